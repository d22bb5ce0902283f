"""The API for a live or finished run, used by all interfaces. Imports neither torch nor MLflow."""

from vsrpp.control.backlog import Backlog, backlog
from vsrpp.control.best import BestCheckpoint, BestRule, best_checkpoint, best_on_record, checkpoint_metrics
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.config_history import CONFIG_EVENTS, ConfigHistory, who
from vsrpp.control.delivery_status import delivery, upload
from vsrpp.control.edits import Preview, apply, command, current_config, preview, run_config_of, stale_keys
from vsrpp.control.lineage import SEGMENT_EVENTS, Lineage, line_of, lineage, steers
from vsrpp.control.local_checkpoints import LocalCheckpoint, local_checkpoints
from vsrpp.control.numbers import numbers
from vsrpp.control.remote_copies import newest_remote_copy
from vsrpp.control.run_rows import RunRow, runs
from vsrpp.control.run_view import RunView, RunViewReader, status, view_run
from vsrpp.control.runs import (
    ENDED_STATES,
    FINAL_STATES,
    LIVE_STATES,
    find_run,
    is_live,
    local_runs,
    process_alive,
    process_identity,
    run_state,
)
from vsrpp.control.views import (
    best_of,
    checkpoint_steps,
    config_view,
    each_event,
    history,
    manifest_of,
    run_config,
    verify,
)

__all__ = [
    "CONFIG_EVENTS",
    "ENDED_STATES",
    "FINAL_STATES",
    "LIVE_STATES",
    "SEGMENT_EVENTS",
    "Backlog",
    "BestCheckpoint",
    "BestRule",
    "CheckpointRef",
    "ConfigHistory",
    "Lineage",
    "LocalCheckpoint",
    "Preview",
    "RunRow",
    "RunView",
    "RunViewReader",
    "apply",
    "backlog",
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
    "find_run",
    "history",
    "is_live",
    "line_of",
    "lineage",
    "local_checkpoints",
    "local_runs",
    "manifest_of",
    "newest_remote_copy",
    "numbers",
    "preview",
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
    "verify",
    "view_run",
    "who",
]
