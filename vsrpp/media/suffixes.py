"""Suffixes by which files in a folder are taken for videos and images.

A single file given by its path is opened whatever its name is (`inputs.is_video`).
"""

from __future__ import annotations

VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".m2ts", ".wmv", ".flv", ".y4m", ".ts", ".mts",
    ".vob", ".3gp", ".ogv", ".gif", ".mxf", ".asf", ".f4v", ".m2v", ".264", ".h264", ".265", ".hevc",
)  # fmt: skip
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
