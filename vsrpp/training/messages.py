"""What training says when it refuses or fails, and the answers of a live run."""

from __future__ import annotations

from vsrpp.errors import NotFound, Reason, VsrppError

# ---- answers of a live run
RUN_ENDED = Reason("refused.ended", "the run has ended")
ENDED_BEFORE = Reason("refused.ended_before", "the run ended before it could act on this; ask again")
CHECKPOINT_FAILED = Reason("refused.checkpoint_failed", "checkpoint {step} failed: {why}")
NO_SUCH_REVISION = Reason("refused.file_revision", "this run has no such revision")
CONFLICT = Reason("refused.conflict", "conflict: the file was written at revision {base_revision}, and {who}")
FILE_UNREADABLE = Reason("refused.file_text", "{why}")

# ---- starting
NOTHING_TO_TRAIN = Reason(
    "refused.nothing_to_train",
    "the checkpoint is at step {step} and max_steps is {max_steps}: nothing to train. Raise it: --max-steps {more}",
)
FOLDER_HAS_RUN = Reason(
    "refused.run_exists", "{folder} already contains a run. Continue it: vsrpp train --resume {run}"
)
NEVER_STARTED = Reason(
    "refused.never_started", "{folder} has no checkpoint to resume from; start a new run with vsrpp train"
)
ALREADY_FINISHED = Reason(
    "refused.finished",
    "run {run} is finished at step {step}. Start a new run from it: vsrpp train --from {run} --max-steps {more}",
)
OUT_OF_HOURS = Reason(
    "refused.hours",
    "run {run} has used {spent_h} of its {max_h} hours (max_hours). Raise the limit:"
    " vsrpp train --resume {run} --max-hours {more_h}",
)
NO_CHECKPOINT_LEFT = Reason(
    "not_found.start", "{folder} has no whole checkpoint left, and it started from another run.", NotFound
)
CHECKPOINT_DOES_NOT_FIT = Reason(
    "refused.network",
    "the checkpoint does not fit this network: {differences}. To load only the weights that fit, omit --from: "
    "--set pretrained={file} --set pretrained_partial=true",
)
DISK_TOO_SMALL = Reason(
    "refused.disk",
    "{folder} has {free} free; {count} checkpoints of this network need {needed}. Keep fewer (--set keep_last=3) or use"
    " another disk (--run-dir).",
)
TRAINED_ELSEWHERE = Reason("refused.busy", "run {run} is being trained by another process.")
NO_CUDA = Reason(
    "refused.cuda", "device = cuda refused: torch finds no CUDA device here. Use device=cpu or device=auto."
)
FP16_ON_CPU = Reason(
    "refused.fp16",
    "precision = fp16 refused: on a CPU a step takes hundreds of times as long as in fp32. Use bf16 or fp32 here.",
)
TOO_FEW_GPUS = Reason(
    "refused.local_rank", "LOCAL_RANK = {rank} refused: this host has {count} GPUs. Start one process per GPU."
)
PREFLIGHT = Reason("refused.preflight", "{why} Nothing was started.")

# ---- replaying
START_IS_ELSEWHERE = Reason(
    "refused.start_missing", "run {run} continued another run, and the checkpoint it started from is not here."
)
NOTHING_TO_REPLAY = Reason("refused.nothing_to_replay", "nothing to replay: the run has no checkpoint on record.")

# ---- during training
NO_CHECKPOINT_WRITTEN = Reason(
    "failed.dry_run_checkpoint", "no checkpoint could be written: check the disk of --run-dir.", VsrppError
)
FAILED_AT_STEP = Reason("failed.step", "the run failed at step {step}: {type}: {why}", VsrppError)
OUT_OF_MEMORY = Reason("failed.memory", "{advice} ({why})", VsrppError)
NON_FINITE_STOP = Reason("failed.non_finite", "{why}; the run stopped{before}. {advice}", VsrppError)
NO_GOOD_CHECKPOINT = Reason(
    "failed.no_good_checkpoint", "{why}; the run stopped: it has no good checkpoint to go back to. {advice}", VsrppError
)
