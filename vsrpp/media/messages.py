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
        VIDEO_CHANGES_SIZE, FRAMES_DIFFER_IN_SIZE, UNREADABLE_IMAGE, DEEP_GREY, UNKNOWN_MATRIX, UNKNOWN_PIXELS,
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
CODEC_NOT_HELD = Reason(
    "refused.media.codec_not_held", "codec {codec} refused: {suffix} files cannot hold it here ({cause})."
)
SOUND_NOT_HELD = Reason(
    "refused.media.sound_not_held",
    "{suffix} cannot hold the input's sound ({codec}): use .mkv, or drop the sound with --no-audio.",
)
VIDEO_NOT_HELD = Reason("refused.media.video_not_held", "{suffix} cannot hold this video ({cause}).")
VIDEO_WITH_SOUND_NOT_HELD = Reason(
    "refused.media.video_with_sound_not_held",
    "{suffix} cannot hold this video with its sound ({cause}). Try --no-audio, or an .mkv file.",
)
