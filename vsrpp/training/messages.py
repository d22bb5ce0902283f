"""What training says when it refuses or fails, and the answers of a live run."""

from __future__ import annotations

from vsrpp.errors import NotFound, ProofFailed, Reason, Remark, VsrppError

# ---- answers of a live run
RUN_ENDED = Reason("refused.ended", "the run has ended")
ENDED_BEFORE = Reason("refused.ended_before", "the run ended before it could act on this; ask again")
UNUSABLE_COMMAND = Reason("refused.command", "the command cannot be carried out as it stands ({why})")
TOO_MANY_COMMANDS = Reason(
    "refused.too_many_commands",
    "too many at once: {limit} of one author and {limit_all} of all may wait, the others ({count}) are refused unread",
)
CHECKPOINT_FAILED = Reason("refused.checkpoint_failed", "checkpoint {step} failed: {why}")
NO_SUCH_REVISION = Reason("refused.file_revision", "this run has no such revision")
CONFLICT = Reason(
    "refused.conflict",
    "conflict: the file was written at revision {base_revision}, and {who} set it to {now} at step {step} (revision"
    " {revision})",
)
CONFLICT_UNKNOWN = Reason(
    "refused.conflict_unknown", "conflict: the file was written at revision {base_revision}, and it is {now}"
)

# ---- a saved config file that cannot be read, after its name and `refused: it`
FILE_NOT_REGULAR = Reason("refused.file_text.not_regular", "is not a regular file")
FILE_TOO_LARGE = Reason("refused.file_text.size", "is {size} bytes; a live config has at most {limit}")
FILE_GONE = Reason("refused.file_text.gone", "no longer exists")
FILE_UNREADABLE = Reason("refused.file_text.unreadable", "cannot be read: {why}")
FILE_NOT_UTF8 = Reason("refused.file_text.encoding", "is not UTF-8 (byte {byte})")
FILE_EMPTY = Reason("refused.file_text.empty", "is empty (line 1, column 1)")
FILE_NOT_JSON = Reason("refused.file_text.json", "is not valid JSON: {why} (line {line}, column {column})")
FILE_KEY_TWICE = Reason("refused.file_text.twice", "is not usable as a config: {key} appears twice")
FILE_UNUSABLE = Reason("refused.file_text.unusable", "is not usable as a config: {why}")
FILE_NOT_OBJECT = Reason("refused.file_text.object", "does not contain a JSON object (line 1, column 1)")
FILE_PROBLEMS = frozenset(
    reason.code
    for reason in (
        FILE_NOT_REGULAR, FILE_TOO_LARGE, FILE_GONE, FILE_UNREADABLE, FILE_NOT_UTF8, FILE_EMPTY, FILE_NOT_JSON,
        FILE_KEY_TWICE, FILE_UNUSABLE, FILE_NOT_OBJECT,
    )
)  # fmt: skip
"""Codes that concern the whole file, not one value."""

ROLLBACK_ENDS_RUN = Reason(
    "refused.rollback_ends_run",
    "this ends the run now: at step {step} its config had max_steps = {max_steps}. To stop it: vsrpp stop {run}; to"
    " confirm: vsrpp rollback {run} --step {step} --yes",
)

# ---- starting
NOTHING_TO_TRAIN = Reason(
    "refused.nothing_to_train",
    "max_steps = {max_steps} at step {step} leaves nothing to train. Raise it: --max-steps {more}",
)
FOLDER_HAS_RUN = Reason(
    "refused.run_exists", "{folder} already contains a run. Continue it: vsrpp train --resume {run}"
)
NEVER_STARTED = Reason(
    "refused.never_started", "{folder} has no checkpoint to resume from; start a new run with vsrpp train"
)
ALREADY_FINISHED = Reason(
    "refused.finished",
    "run {run} is finished at step {step}. Continue it: vsrpp train --resume {run} --set max_steps={more}; or start a"
    " new run from it: vsrpp train --from {run} --max-steps {more}",
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
VALIDATION_TOO_LARGE = Reason(
    "refused.validation_memory",
    "validation clip {clip} refused: scoring {frames} frames of {width}×{height} at once needs at least {needed} of memory on"
    " {device}, which has {has}. Use smaller validation frames (val_data).",
)
LOCK_UNUSABLE = Reason(
    "refused.lock_unusable",
    "{file} cannot be opened as a lock: {why}. It must be a plain file; delete it and try again.",
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

DATA_GONE = Reason("not_found.data_gone", "{error} If the data has moved: {command} --data NEW", NotFound)
OTHER_DATA = Reason(
    "refused.other_data",
    "{path} refused: it is not the data of run {run}: {difference}. To train on other data, start a new run:"
    " vsrpp train --from {run} --data {path}",
)

# ---- replaying
START_IS_ELSEWHERE = Reason(
    "refused.start_missing", "run {run} continued another run, and the checkpoint it started from is not here."
)
NOTHING_TO_REPLAY = Reason("refused.nothing_to_replay", "nothing to replay: the run has no checkpoint on record.")

REPLAY_UNREADABLE = Reason(
    "proof_failed.unreadable",
    "{error} The run could read it: restore the file, and replay again.",
    ProofFailed,
)

# ---- during training
NO_CHECKPOINT_WRITTEN = Reason(
    "failed.dry_run_checkpoint", "no checkpoint could be written: check the disk of --run-dir.", VsrppError
)
FAILED_AT_STEP = Reason("failed.step", "the run failed at step {step}: {type}: {why}", VsrppError)
OUT_OF_MEMORY = Reason("failed.memory", "{advice} ({why})", VsrppError)
_SKIPPED = "{count} steps in a row had a loss or gradient that is not finite (last at step {step})"
_LOWER_RATE = (
    "Check the data, or continue from a good checkpoint with a lower rate: vsrpp train --from {run}@best --set"
    " max_lr={max_lr}"
)
NON_FINITE_STOP = Reason("failed.non_finite", f"{_SKIPPED}; the run stopped. {_LOWER_RATE}", VsrppError)
NON_FINITE_AGAIN = Reason(
    "failed.non_finite_again",
    f"{_SKIPPED}; the run stopped after {{returns}} returns to a good state. {_LOWER_RATE}",
    VsrppError,
)
NO_GOOD_CHECKPOINT = Reason(
    "failed.no_good_checkpoint",
    f"{_SKIPPED}; the run stopped: it has no good checkpoint to go back to. {_LOWER_RATE}",
    VsrppError,
)

NOT_SAVED = Reason(
    "failed.not_saved",
    "the run ended at step {step} ({ended}) while it waited: {why}. Not saved: {events} events, {rows} metric rows and the"
    " {steps} steps since step {saved}. Continue from there: vsrpp train --resume {run}",
    VsrppError,
)

# ---- why a run waits
WEIGHTS_OF_OTHER_VERSION = Remark(
    "because.weights_of_other_version",
    "{file} was trained under network_version {theirs}, this run computes with {ours}: the same weights give other frames"
    " until training has adapted them. To keep their arithmetic: --set network_version={theirs}",
)
WEIGHTS_OF_UNKNOWN_VERSION = Remark(
    "because.weights_of_unknown_version",
    "{file} does not say under which network_version it was trained; this run computes with {ours}. If it is of a run with"
    " another one, set that: --set network_version=…",
)
RECORD_UNWRITTEN = Remark("because.record_unwritten", "the record (run.db) cannot be written: {why}")
CHECKPOINT_UNWRITTEN = Remark("because.checkpoint_unwritten", "the last checkpoint cannot be written: {why}")
FOLDER_MOVED = Remark(
    "because.folder_moved", "the run folder is no longer at {folder}: it was moved, removed or replaced; move it back"
)

# ---- why the run itself reverted, confirmed or rolled back
RETURNED = Remark("because.non_finite", _SKIPPED)
PROBATION_NON_FINITE = Remark("because.probation_non_finite", "a loss or gradient was not finite")
PROBATION_HELD = Remark("because.probation_held", "{condition} held: {metric} went from {before} to {now}")
PROBATION_PASSED = Remark("because.probation_passed", "nothing held within {steps} steps")
PROBATION_UNKNOWN = Remark(
    "because.probation_unknown", "nothing held within {steps} steps, but this run does not measure {metrics}"
)
PROBATION_RUN_OVER = Remark("because.probation_run_over", "the run is over")
