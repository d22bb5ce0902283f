"""train --check: try the run that would be started, and start none."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from vsrpp.errors import Refused
from vsrpp.launch.console import TrainConsole
from vsrpp.paths import CheckpointPaths
from vsrpp.tracking.environment import address, sqlite_artifact_root, without_password

SERVER_TIMEOUT_S = 5.0


def dry_run(
    run_config: dict[str, Any], live: dict[str, Any], *, runs: Path, uri: str, parent: CheckpointPaths | None,
    console: TrainConsole, as_json: bool,
) -> int:  # fmt: skip
    """Try the run and show what was found; the exit status. Raises Refused if it would not run."""
    from vsrpp.training.dry_run import dry_run

    report = dry_run(
        run_config, live, runs=runs, say=(lambda _: None) if as_json else console.say, store=sqlite_artifact_root(uri),
        parent=parent,
    )  # fmt: skip
    report.warnings += unreachable(uri)
    console.dry_run(report, run_config, as_json=as_json)
    if report.problems:
        more = f" (and {len(report.problems) - 1} more above)" if len(report.problems) > 1 else ""
        raise Refused(f"this run would fail: {report.problems[0]}{more}")
    return 0


def unreachable(uri: str) -> list[str]:
    """A warning if no server answers at the tracking address: the run starts without it and delivers later."""
    if not uri.startswith(("http://", "https://")):
        return []
    try:
        with urllib.request.urlopen(f"{address(uri).rstrip('/')}/health", timeout=SERVER_TIMEOUT_S):
            return []
    except urllib.error.HTTPError:  # it answers
        return []
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        line = f"the tracking server at {without_password(uri)} cannot be reached ({reason})."
        return [line + " The run would start without it; until it is back no checkpoint is pruned."]
