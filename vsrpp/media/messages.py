"""Everything that can be wrong with a video or an image, one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import Reason, VsrppError

# Reading

NOT_DECODABLE = Reason(
    "refused.media.not_decodable", "{path} refused: it cannot be decoded past frame {frame} ({cause})."
)
INCOMPLETE = Reason("refused.media.incomplete", "{path} refused (strict): {problems}.")
NO_DECODABLE_FRAME = Reason(
    "refused.media.no_decodable_frame", "{path} refused: its video stream contains no decodable frame."
)
NO_FRAME_SIZE = Reason(
    "refused.media.no_frame_size",
    "{path} refused: its video stream gives no frame size; the file is truncated or not a video.",
)
UNREADABLE_VIDEO = Reason("refused.media.unreadable_video", "{path} refused: it cannot be read ({cause}).")
NOT_OPENED_AS_VIDEO = Reason(
    "refused.media.not_opened_as_video", "{path} refused: it cannot be opened as a video ({cause})."
)
NO_VIDEO_STREAM = Reason("refused.media.no_video_stream", "{path} refused: it has no video stream.")
VIDEO_CHANGES_SIZE = Reason(
    "refused.media.video_changes_size",
    "{path} refused: frame {frame} is {width}x{height}, the frames before it are {first_width}x{first_height}; "
    "all frames of a clip must have one size.",
)
FRAMES_DIFFER_IN_SIZE = Reason(
    "refused.media.frames_differ_in_size",
    "{path} refused: it is {width}x{height}, the frames before it are {first_width}x{first_height}; "
    "all frames of a clip must have one size.",
)
UNKNOWN_MATRIX = Reason(
    "refused.media.unknown_matrix",
    "{path} refused: its colours use a matrix that is not supported ({matrix}); convert it to BT.709 or BT.2020 first.",
)
UNKNOWN_PIXELS = Reason(
    "refused.media.unknown_pixels", "{path} refused: its pixel format is not RGB, grey or YUV ({pix_fmt})."
)
UNREADABLE_IMAGE = Reason("refused.media.unreadable_image", "{path} refused: it cannot be read as an image ({cause}).")
READING_FAILED = Reason(
    "failed.media.reading", "{path} could not be read ({cause}); the machine is at fault.", VsrppError
)
DEEP_GREY = Reason(
    "refused.media.deep_grey",
    "{path} refused: its depth is not supported (mode {mode}); convert it to 8 or 16 bits a channel.",
)
OF_A_FILE = frozenset(
    reason.code
    for reason in (
        NOT_DECODABLE, NO_DECODABLE_FRAME, NO_FRAME_SIZE, UNREADABLE_VIDEO, NOT_OPENED_AS_VIDEO, NO_VIDEO_STREAM,
        VIDEO_CHANGES_SIZE, FRAMES_DIFFER_IN_SIZE, UNREADABLE_IMAGE, DEEP_GREY, UNKNOWN_MATRIX, UNKNOWN_PIXELS, INCOMPLETE,
    )
)  # fmt: skip
"""Errors about one video or image."""
OF_A_FRAME = frozenset({UNREADABLE_IMAGE.code, DEEP_GREY.code, FRAMES_DIFFER_IN_SIZE.code})
"""Errors about the file of one frame, whose samples can be replaced."""

# Writing

NOT_A_VIDEO_NAME = Reason(
    "refused.media.not_a_video_name",
    "{path} refused: its name does not end in a video suffix ({suffixes}); frames go into a folder.",
)
UNKNOWN_SUFFIX = Reason(
    "refused.media.unknown_suffix",
    "{path} refused: {suffix} is not a video suffix ({suffixes}). To write frames into a folder of this name, end it with /.",
)
NOT_WRITTEN_HERE = Reason(
    "refused.media.not_written_here",
    "{path} refused: {suffix} files can be read, but not written; use one of {suffixes}.",
)
CODEC_NOT_HELD = Reason(
    "refused.media.codec_not_held",
    "codec {codec} refused: {suffix} files hold {codecs}. Files that hold {codec}: {suffixes}.",
)
DEPTH_NOT_HELD = Reason(
    "refused.media.depth_not_held",
    "{suffix} refused: it holds 8 bits per channel, the input has {bits}. Use one of {suffixes}, or cut to 8 bits with "
    "--pix-fmt yuv420p.",
)
CODEC_DEPTH = Reason(
    "refused.media.codec_depth",
    "codec {codec} refused: it is written with 8 bits per channel, the input has {bits}. Use --codec {codecs}, or cut to "
    "8 bits with --pix-fmt yuv420p.",
)
NOT_ENCODED = Reason(
    "refused.media.not_encoded", "codec {codec} refused: it cannot encode {width}×{height} as {pix_fmt} ({cause})."
)
NO_ENCODER = Reason(
    "refused.media.no_encoder", "codec {codec} refused: the FFmpeg of this PyAV has no encoder for it ({encoder})."
)
PIX_FMT = Reason("refused.media.pix_fmt", "--pix-fmt {pix_fmt} refused: {codec} encodes {formats}.")
UNKNOWN_PIX_FMT = Reason(
    "refused.media.unknown_pix_fmt",
    "--pix-fmt {pix_fmt} refused: FFmpeg knows no such pixel format. Try yuv420p or yuv444p.",
)
PIX_FMT_OF_FRAMES = Reason(
    "refused.media.pix_fmt_of_frames", "--pix-fmt refused: frames in a folder are PNG files in RGB."
)
PIX_FMT_SIZE = Reason(
    "refused.media.pix_fmt_size",
    "--pix-fmt {pix_fmt} refused: it needs even sides, and the output is {width}×{height}. Use yuv444p.",
)
CRF_RANGE = Reason("refused.media.crf_range", "--crf {crf} refused: must be between 0 and {most} for {codec}.")
UNEVEN_RATE = Reason(
    "refused.media.uneven_rate",
    "{suffix} refused: it holds a constant frame rate only, and the input's frames are unevenly spaced. Use .mkv or .mp4.",
)
SOUND_NOT_HELD = Reason(
    "refused.media.sound_not_held",
    "{suffix} cannot hold the input's sound ({codec}): drop it with --no-audio{or_use}.",
)
VIDEO_NOT_HELD = Reason("refused.media.video_not_held", "{suffix} cannot hold this video ({cause}).")
VIDEO_WITH_SOUND_NOT_HELD = Reason(
    "refused.media.video_with_sound_not_held",
    "{suffix} cannot hold this video with its sound ({cause}). Try --no-audio, or an .mkv file.",
)
