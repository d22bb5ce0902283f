"""Refusals of this room, each beside its reason code."""

from __future__ import annotations

from vsrpp.errors import NotFound, NotLive, Reason, Remark, TimedOut, VsrppError

# ---- naming a run
NO_RUNS = Reason("not_found.runs", "No run in {folder} yet. Start one: vsrpp train --data sample", NotFound)
NO_RUN = Reason("not_found", "No run {name} in {folder} ({present}).", NotFound)
SEVERAL_RUNS = Reason("refused.ambiguous", "{name} is a prefix of {count} runs ({runs}); give more of it.")
NOTHING_TO_COMPARE = Reason("not_found.record", "Run {run} has not started: there is nothing to compare.", NotFound)

# ---- naming a checkpoint
NO_CHECKPOINT_REF = Reason(
    "refused.checkpoint_ref",
    "{ref} does not name a checkpoint: give a step, `best`, `best:KEY`, `latest` or `revision:N`.",
)
NO_BEST_KEY = Reason("refused.best_key", "best:{key} refused: must be one of {known}.")
NO_CHECKPOINT = Reason("not_found.checkpoint.none", "Run {run} has no checkpoint yet.", NotFound)
NO_CHECKPOINT_AT_STEP = Reason(
    "not_found.checkpoint", "Run {run} has no checkpoint at step {step}; the nearest is step {nearest}.", NotFound
)
NO_CHECKPOINT_OF_REVISION = Reason(
    "not_found.checkpoint.revision",
    "Run {run} has no checkpoint of revision {revision}; it has checkpoints at steps {steps}.",
    NotFound,
)
NO_VALIDATED_CHECKPOINT = Reason(
    "not_found.checkpoint.best",
    "Run {run} has no checkpoint with {key} yet; the latest checkpoint is step {latest}.",
    NotFound,
)

# ---- commands to a run
ROLE = Reason("refused.role", "{what} refused: the role {role} may not do this; it takes the role {needed}.")
NO_ROLE_DECLARED = Reason("refused.role_undeclared", "{action} refused: no role is declared for it.")
NOTHING_TO_SET = Reason("refused.empty", "Nothing to set: give KEY=VALUE.")
NOT_LIVE_FINISHED = Reason(
    "not_live.finished",
    "Run {run} is finished, so nothing can {action}. Continue it: vsrpp train --resume {run} --set max_steps=N; or start"
    " a new run from it: vsrpp train --from {run}",
    NotLive,
)
NOT_LIVE = Reason(
    "not_live", "Run {run} is {state}, so nothing can {action}. Continue it: vsrpp train --resume {run}", NotLive
)
EDIT_NOT_JSON = Reason("refused.not_json", "The edit cannot be written as JSON ({why}); nothing was changed.")
EDIT_TOO_LARGE = Reason("refused.too_large", "The edit is larger than {limit_kib} KiB; nothing was changed.")
STORE_OF_NEWER = Remark(
    "store_of_newer",
    "{path} is written by a newer VSR++ (store version {theirs}; this one writes {ours}): it is read as far as possible,"
    " and not changed.",
)
RECORD_NOT_UNDERSTOOD = Reason(
    "failed.record_content",
    "{path} contains what this version cannot read ({why}). Restore a backup of the run folder, or rebuild the run from"
    " MLflow: vsrpp rebuild {folder}",
    VsrppError,
)
BACKUP_SUFFIX = Reason(
    "refused.backup_suffix", "{file} refused: give a name ending in .tar (the run folder) or .db (the record alone)."
)
BACKUP_EXISTS = Reason("refused.backup_exists", "{file} refused: it already exists; give a new name.")
BACKUP_UNWRITTEN = Reason("failed.backup_write", "{file} cannot be written: {why}. No backup was made.", VsrppError)
NOT_TEXT = Reason("refused.not_text", "The {field} must be text, not {type}; nothing was changed.")
NO_BASE_REVISION = Reason(
    "refused.base_revision", "The base revision must be a revision of the run, not {value}; nothing was changed."
)
STALE = Reason(
    "refused.stale",
    "stale: made on revision {base_revision}, but {who} set it to {now} at step {step} (revision {revision})",
)
REVISION_TO_COME = Reason("refused.revision", "this run has no such revision yet")
PROBATION_ONLY_FROM = Reason("refused.probation", "revert_if needs probation=STEPS.")
ONE_OF_STEP_AND_REVISION = Reason("refused.rollback", "A rollback goes to a step or to a revision: give one of them.")
NO_EVENT_TYPE = Reason("refused.event_type", "{type} is not an event type; the types are {types}.")
EDIT_NOT_OBJECT = Reason("refused.edit_object", "An edit is an object of keys and values; nothing was changed.")
KEY_TWICE = Reason("refused.key_twice", "{key} refused: set twice in one edit.")
NO_EVENT_IN_TIME = Reason("timed_out.event", "no {types} came within {timeout_s} s.", TimedOut)
NOT_AT_STEP = Reason("timed_out.step", "run {run} is at step {step}, not at {target}, after {timeout_s} s.", TimedOut)
ENDED_WITHOUT = Reason("not_live.ended", "run {run} ended without {type}.", NotLive)
ON_PROBATION = Reason(
    "timed_out.probation",
    "no answer within {timeout_s} s; the command is still pending: revision {revision} is on probation until step"
    " {until_step}, and before that only pause, resume and stop act",
    TimedOut,
)
NEVER_REACHED = Reason("not_live.step", "run {run} is {state} at step {step}; it never reached {target}.", NotLive)

# ---- what ends the run at once
ENDS_RUN = Reason(
    "refused.ends_run",
    "this ends the run now, at step {step}: to stop it, vsrpp stop {run}; to confirm this edit, vsrpp set {run}"
    " max_steps={max_steps} --yes",
)
ENDS_RUN_NOW = Remark("warning.ends_run", "this ends the run now, at step {step}")
# ---- the account's links to its panels
PANEL_SECRET_OPEN = Reason(
    "refused.panel_secret_mode",
    "{file} can be used by other accounts: delete it (all links to the panel then change), or chmod 600 {file} if nobody"
    " else has read it.",
)
PANEL_SECRET_DAMAGED = Reason(
    "refused.panel_secret", "{file} holds no key: delete it; the next start writes a new one, and the links change."
)
PANEL_SECRET_UNREADABLE = Reason("refused.panel_secret_read", "{file} cannot be read: {why}.")

# ---- why no state survives the loss of this machine
TRACKING_STORE_HERE = Remark("off_host.tracking_store", "the tracking store is on this host")
ARTIFACT_STORE_HERE = Remark("off_host.artifact_store", "the artifact store is on this host")
KEPT_LOCAL = Remark("off_host.local", "checkpoints are kept local (checkpoint_upload = local)")
NOTHING_UPLOADED = Remark("off_host.nothing", "no checkpoint has been uploaded yet")

# ---- alerts
WEBHOOK_LINK_LOCAL = Reason(
    "refused.webhook_link_local",
    "alerts_url = {url} refused: it is a link-local address or a cloud's metadata service. If that is where alerts belong,"
    " set alerts_link_local = true.",
)
