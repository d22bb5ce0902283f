"""Everything that can be wrong with upscaling and scoring, one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, VsrppError

# Input

SEVERAL_CLIPS = Reason(
    "refused.inference.several_clips",
    "{path} refused: it contains {clips} clips; upscale takes one video or one folder of frames.",
)
NO_VIDEO_STREAM = Reason("refused.inference.no_video_stream", "{path} refused: it has no video stream.")
NOT_OPENED_AS_VIDEO = Reason(
    "refused.inference.not_opened_as_video", "{path} refused: it cannot be opened as a video ({cause})."
)
NOT_DECODABLE = Reason(
    "refused.inference.not_decodable", "{path} refused: it cannot be decoded past frame {frame} ({cause})."
)
NO_DECODABLE_FRAME = Reason(
    "refused.inference.no_decodable_frame", "{path} refused: its video stream contains no decodable frame."
)
VIDEO_CHANGES_SIZE = Reason(
    "refused.inference.video_changes_size",
    "{path} refused: frame {frame} is {width}x{height}, the frames before it are {first_width}x{first_height}; "
    "all frames of a clip must have one size.",
)
NO_FRAME_RATE = Reason(
    "refused.inference.no_frame_rate",
    "a folder of frames has no frame rate: give one, such as --fps 25 or --fps 30000/1001.",
)
FPS_OF_VIDEO = Reason(
    "refused.inference.fps_of_video", "--fps refused: the input is a video and keeps its own time stamps."
)

# Output

CRF_WITHOUT_EFFECT = Reason(
    "refused.inference.crf", "--crf refused: {output} has no quality factor. Omit it, or choose another --codec."
)
TARGET_IS_INPUT = Reason("refused.inference.target_is_input", "{path} is the input itself: choose another output.")
TARGET_HOLDS_INPUT = Reason("refused.inference.target_holds_input", "{path} contains the input: choose another output.")
TARGET_EXISTS = Reason(
    "refused.inference.target_exists", "{path} already exists: choose another output, or replace it with --overwrite."
)
NOT_A_VIDEO_NAME = Reason(
    "refused.inference.not_a_video_name",
    "{path} refused: its name does not end in a video suffix ({suffixes}); frames go into a folder.",
)
TARGET_IS_FILE = Reason("refused.inference.target_is_file", "{path} is a file; frames go into a folder.")
TARGET_HOLDS_OTHERS = Reason(
    "refused.inference.target_holds_others",
    "{path} refused: the folder contains more than frames, so --overwrite does not replace it.",
)
CODEC_NOT_HELD = Reason(
    "refused.inference.codec_not_held", "codec {codec} refused: {suffix} files cannot hold it here ({cause})."
)
SOUND_NOT_HELD = Reason(
    "refused.inference.sound_not_held",
    "{suffix} cannot hold the input's sound ({codec}): use .mkv, or drop the sound with --no-audio.",
)
VIDEO_NOT_HELD = Reason("refused.inference.video_not_held", "{suffix} cannot hold this video ({cause}).")
VIDEO_WITH_SOUND_NOT_HELD = Reason(
    "refused.inference.video_with_sound_not_held",
    "{suffix} cannot hold this video with its sound ({cause}). Try --no-audio, or an .mkv file.",
)
NOT_WRITTEN = Reason("failed.inference.not_written", "{path} could not be written: {cause}.", VsrppError)
OUT_OF_MEMORY = Reason(
    "failed.inference.out_of_memory",
    "out of memory with tiles of {tile} pixels and chunks of {chunk} frames: try --tile {less_tile} --chunk {less_chunk}.",
    VsrppError,
)

# Scoring

NETWORK_DOES_NOT_FIT = Reason(
    "refused.inference.network_does_not_fit", "{file} does not fit the network of its run config: {cause}"
)
TOO_SMALL_TO_SCORE = Reason(
    "refused.inference.too_small_to_score", "{path} refused: {width}×{height} is too small to score at ×{scale}."
)
PROFILE_NOT_WRITTEN = Reason("refused.inference.profile_not_written", "{path} could not be written: {cause}.")

# Frames of another program

NO_OUTPUT_FRAMES = Reason(
    "not_found.inference.output_frames",
    "{path} has no frames of clip {clip}: expected a folder or a video of that name.",
    NotFound,
)
OUTPUT_SIZE = Reason(
    "refused.inference.output_size",
    "{path} refused: its frames are {width}×{height}, the ground truth's are {gt_width}×{gt_height}.",
)
OUTPUT_COUNT = Reason(
    "refused.inference.output_count",
    "{path} refused: it has {more} frames than the ground truth of clip {clip}, which it matches for {frames}.",
)

# Standard suites

UNKNOWN_SUITE = Reason("refused.inference.suite", "suite {suite} refused: must be one of {suites}.")
SUITE_MISSING = Reason("not_found.inference.suite", "suite {suite} not found in {root}: expected {expected}.", NotFound)
SUITE_INCOMPLETE = Reason("refused.inference.suite_incomplete", "suite {suite} refused: {path} lacks {missing}.")
SUITE_FRAMES = Reason(
    "refused.inference.suite_frames", "suite {suite} refused: {path} has {frames} frames, not {expected}."
)
SUITE_DEGRADATION = Reason(
    "refused.inference.suite_degradation",
    "suite {suite} refused: papers report it with {degradations}, not {degradation}; score it with --data instead.",
)
SUITE_SCALE = Reason(
    "refused.inference.suite_scale",
    "suite {suite} refused: it is for ×{scale}, and this network upscales by {network}.",
)
