"""The API for a live or finished run, used by all interfaces. Imports neither torch nor MLflow."""

from vsrpp.control.backlog import Backlog, backlog
from vsrpp.control.backup import Backup, backup
from vsrpp.control.best import BestCheckpoint, BestRule, best_checkpoint, best_on_record, checkpoint_metrics
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.config_history import CONFIG_EVENTS, ConfigHistory, who
from vsrpp.control.delivery_status import delivery, upload
from vsrpp.control.edits import (
    CONFIRMED,
    DEFAULT_WAIT_S,
    Preview,
    apply,
    command,
    current_config,
    ending_change,
    ends_run,
    leave_edit,
    preview,
    probation_problems,
    run_config_of,
    stale_keys,
)
from vsrpp.control.lineage import SEGMENT_EVENTS, Lineage, line_of, lineage, steers
from vsrpp.control.local_checkpoints import LocalCheckpoint, local_checkpoints
from vsrpp.control.numbers import numbers
from vsrpp.control.panel_links import account, owners_link
from vsrpp.control.remote_copies import newest_remote_copy
from vsrpp.control.roles import NEEDS, ROLE_WORDS, Role, needed_for, needed_for_edit
from vsrpp.control.run_rows import RunRow, runs
from vsrpp.control.run_view import RunView
from vsrpp.control.run_view_reader import RunViewReader, status, view_run
from vsrpp.control.runs import (
    ENDED_STATES,
    FINAL_STATES,
    LIVE_STATES,
    find_run,
    is_live,
    local_runs,
    newer_store,
    process_alive,
    process_identity,
    run_state,
)
from vsrpp.control.validations import ValidationRecord, validations
from vsrpp.control.views import (
    best_of,
    checkpoint_steps,
    config_view,
    each_event,
    history,
    manifest_anchors,
    manifest_of,
    run_config,
    verify,
    verify_signatures,
)

__all__ = [
    "CONFIG_EVENTS",
    "CONFIRMED",
    "DEFAULT_WAIT_S",
    "ENDED_STATES",
    "FINAL_STATES",
    "LIVE_STATES",
    "NEEDS",
    "ROLE_WORDS",
    "SEGMENT_EVENTS",
    "Backlog",
    "Backup",
    "BestCheckpoint",
    "BestRule",
    "CheckpointRef",
    "ConfigHistory",
    "Lineage",
    "LocalCheckpoint",
    "Preview",
    "Role",
    "RunRow",
    "RunView",
    "RunViewReader",
    "ValidationRecord",
    "account",
    "apply",
    "backlog",
    "backup",
    "best_checkpoint",
    "best_of",
    "best_on_record",
    "checkpoint_metrics",
    "checkpoint_steps",
    "command",
    "config_view",
    "current_config",
    "delivery",
    "each_event",
    "ending_change",
    "ends_run",
    "find_run",
    "history",
    "is_live",
    "leave_edit",
    "line_of",
    "lineage",
    "local_checkpoints",
    "local_runs",
    "manifest_anchors",
    "manifest_of",
    "needed_for",
    "needed_for_edit",
    "newer_store",
    "newest_remote_copy",
    "numbers",
    "owners_link",
    "preview",
    "probation_problems",
    "process_alive",
    "process_identity",
    "run_config",
    "run_config_of",
    "run_state",
    "runs",
    "stale_keys",
    "status",
    "steers",
    "upload",
    "validations",
    "verify",
    "verify_signatures",
    "view_run",
    "who",
]
