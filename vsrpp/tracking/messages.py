"""What the tracking side says when it refuses or fails, each sentence beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import NotFound, ProofFailed, Reason, Remark, VsrppError

# ---- the tracking server
SERVER_UNUSABLE = Reason(
    "failed.tracking_server", "The tracking server {server} cannot be used ({kind}): {cause}", VsrppError
)
NO_DATABASE = Reason("not_found.tracking_database", "No tracking database {path}.", NotFound)
NO_RUN_ON_SERVER = Reason("not_found.run_on_server", "No run {run} on the tracking server {server}.", NotFound)
PREFIX_OF_SEVERAL = Reason(
    "refused.server_prefix", "{run} is a prefix of several runs on the tracking server ({ids}); give more characters."
)

# ---- syncing
NOT_A_RUN_FOLDER = Reason("not_found.run_folder", "{folder} is not a run folder: it has no run.db.", NotFound)
LOCK_UNUSABLE = Reason(
    "refused.delivery_lock",
    "{file} cannot be opened as a lock: {why}. It must be a plain file; delete it and try again.",
)
BEING_UPLOADED = Reason(
    "refused.being_uploaded", "{run} is being uploaded by process {holder}; sync again once that process has exited."
)

# ---- a run's record on the server
NO_TIMELINE = Reason(
    "not_found.timeline", "MLflow run {mlflow_run} has no {file}: no training record was uploaded to it.", NotFound
)
TIMELINE_UNREADABLE = Reason("proof_failed.timeline", "{file} of run {run} cannot be read: {cause}.", ProofFailed)
RECORD_BROKEN = Reason(
    "proof_failed.server_record",
    "the record of run {run} on the tracking server fails verification: {why}.",
    ProofFailed,
)
FOLDER_OCCUPIED = Reason("refused.folder_occupied", "{folder} already exists but contains no run: move it away.")
REBUILD_LIVE = Reason("refused.rebuild_live", "run {run} is training or being uploaded: stop it first.")
RECORD_HOLDS = Reason(
    "refused.record_holds",
    "the record of run {run} holds ({events} events), so nothing was rebuilt.",
)
NO_CHECKPOINT_ON_SERVER = Reason(
    "not_found.checkpoint_on_server",
    "run {run} has no checkpoint on the tracking server, and it was started from another run.",
    NotFound,
)

# ---- restoring a checkpoint
NOTHING_RESTORED = "Nothing was restored."
ALIAS_NOT_MOVED = "It was not registered, and no alias was moved."
OUT_NOT_EMPTY = Reason("refused.out_not_empty", "{out} is not empty; give a new folder.")
OUT_NOT_WRITTEN = Reason("failed.restore_write", "{out} cannot be written: {cause}.", VsrppError)
MANIFEST_UNREADABLE = Reason(
    "proof_failed.manifest_unreadable",
    "The checkpoint's manifest cannot be read: {cause}. {holds}",
    ProofFailed,
)
MANIFEST_CHANGED = Reason(
    "proof_failed.manifest_changed",
    "The checkpoint's manifest was changed after it was uploaded. {holds}",
    ProofFailed,
)
FILE_MISSING = Reason("proof_failed.file_missing", "{file} is missing from the checkpoint. {holds}", ProofFailed)
FILE_CHANGED = Reason(
    "proof_failed.file_changed",
    "{file} was changed: its SHA-256 is not the one in the manifest. {holds}",
    ProofFailed,
)
OTHER_STEP = Reason(
    "proof_failed.other_step",
    "The checkpoint's manifest says step {step}, not {wanted}. {holds}",
    ProofFailed,
)

# ---- model addresses and the registry
MODEL_ADDRESS = Reason(
    "refused.model_address", "{address} refused: give models:/m-…, models:/NAME@ALIAS or models:/NAME/VERSION."
)
ALIAS_REJECTED = Reason("refused.model_alias", "{name}@{alias} refused: {cause}")
NO_MODEL = Reason("not_found.model", "No {address} on the tracking server {server}.", NotFound)
NOT_OUR_MODEL = Reason("not_found.model_foreign", "{address} is not a VSR++ checkpoint.", NotFound)
REGISTERED_FROM_ELSEWHERE = Reason(
    "not_found.model_source",
    "{address} is not a VSR++ checkpoint: it was registered from {source}.",
    NotFound,
)

# ---- the delivery process, as the run's record tells it
RESTARTED = Remark(
    "because.delivery_restarted", "The delivery process exited with code {code}; restarted ({count} of {limit})."
)
STARTED_AGAIN = Remark(
    "because.delivery_started_again", "The delivery process could not be started; tried again ({count} of {limit})."
)
GAVE_UP = Remark(
    "because.delivery_gave_up",
    "The delivery process exited with code {code}; no more restarts. To upload pending records: {sync}.{more}",
)
NEVER_STARTED = Remark(
    "because.delivery_never_started",
    "The delivery process could not be started; no more attempts. To upload pending records: {sync}.{more}",
)

# ---- what is not uploaded
EXPERIMENT_DELETED = Remark(
    "because.experiment_deleted", "the MLflow experiment {name} is deleted: restore it in the UI, or use another name"
)
NO_EXPERIMENT = Remark(
    "because.no_experiment",
    "the tracking server has no experiment {id} (MLFLOW_EXPERIMENT_ID): create it, or name another",
)
OLDER_COPY = Remark(
    "because.older_copy",
    "the MLflow run {run} holds {there} events of this run, this folder another history of {here}: a copy of it went on"
    " elsewhere. Nothing is uploaded from this one: fetch that run with vsrpp rebuild, or start a new one with --from",
)
RUN_DELETED = Remark("because.run_deleted", "the MLflow run {run} is deleted: restore it in the UI to continue")
FILE_GONE = Remark("because.file_gone", "the file no longer exists")
NO_MODEL_TO_LOG_TO = Reason(
    "not_found.tracking.model_to_log_to",
    "the checkpoint of step {step} of run {run} is not on the tracking server; upload it with vsrpp sync first.",
    NotFound,
)
