"""Suffixes by which files in a folder are taken for videos and images.

A single file given by its path is opened whatever its name is (`inputs.is_video`).
"""

from __future__ import annotations

FIRST_VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".m2ts", ".wmv", ".flv", ".y4m",
)  # fmt: skip
"""Those of the first rules (`Survey.first_rules`), and of outputs."""
VIDEO_SUFFIXES = (
    *FIRST_VIDEO_SUFFIXES,
    ".ts", ".mts", ".m2t", ".vob", ".3gp", ".3g2", ".ogv", ".ogm", ".gif", ".mxf", ".asf", ".f4v", ".qt", ".divx", ".rm",
    ".rmvb", ".dv", ".nut", ".ivf", ".mjpeg", ".mjpg", ".m1v", ".m2v", ".mpv", ".mp4v", ".h264", ".264", ".h265", ".265", ".hevc",
    ".avc", ".vc1", ".obu", ".wtv", ".amv",
)  # fmt: skip
"""Files in a folder that are videos."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
UNREAD_SUFFIXES = (
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".exr", ".hdr", ".dpx", ".cin", ".tga", ".psd", ".ppm", ".pgm", ".dng",
    ".cr2", ".cr3", ".nef", ".arw", ".raw", ".apng", ".braw", ".r3d", ".yuv", ".npy", ".npz", ".h5", ".hdf5", ".tfrecord",
    ".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".xz", ".lmdb",
)  # fmt: skip
"""Pictures, videos and archives that are not read, but named."""
