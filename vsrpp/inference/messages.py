"""Everything that can be wrong with upscaling and scoring, one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, VsrppError

# Input

SEVERAL_CLIPS = Reason(
    "refused.inference.several_clips",
    "{path} refused: it contains {clips} clips; this takes one video or one folder of frames.",
)
BATCH_NEEDS_FOLDER = Reason(
    "refused.inference.batch_needs_folder", "{path} refused: the input has {clips} clips, so OUTPUT must be a folder."
)
SAME_TARGET = Reason(
    "refused.inference.same_target", "{one} and {other} refused: both would become {target}. Upscale them separately."
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
TARGET_IS_FILE = Reason("refused.inference.target_is_file", "{path} is a file; frames go into a folder.")
TARGET_HOLDS_OTHERS = Reason(
    "refused.inference.target_holds_others",
    "{path} refused: the folder contains more than frames, so --overwrite does not replace it.",
)
NOT_WRITTEN = Reason("failed.inference.not_written", "{path} could not be written: {cause}.", VsrppError)
OUT_OF_MEMORY = Reason(
    "failed.inference.out_of_memory",
    "out of memory with tiles of {tile} pixels and chunks of {chunk} frames{needed}: try --tile {less_tile} "
    "--chunk {less_chunk}.",
    VsrppError,
)
TOO_LARGE = Reason(
    "refused.inference.too_large",
    "tiles of {tile} pixels and chunks of {chunk} frames refused: they take about {needs}, and there are {room}. {advice}",
)
NO_ROOM = Reason(
    "refused.inference.no_room",
    "{path} refused: it will take about {needs} until it is complete, and {free} are free in its folder.",
)

# Going on

UNFINISHED = Reason(
    "refused.inference.unfinished",
    "{path} is unfinished, with {frames} frames: continue with --resume, or start over with --overwrite.",
)
ANOTHER_JOB = Reason(
    "refused.inference.another_job",
    "{path} cannot be resumed: its {frames} frames were made differently ({differs}). Use what was used then, or start over "
    "with --overwrite instead of --resume.",
)
AT_WORK = Reason("refused.inference.at_work", "{path} refused: another process is upscaling into it.")
SEGMENT_DAMAGED = Reason(
    "refused.inference.segment_damaged",
    "{path} is damaged: start over with --overwrite instead of --resume.",
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
