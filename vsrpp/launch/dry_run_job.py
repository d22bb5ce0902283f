"""train --check: try out the run that would be started, without starting it."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from vsrpp.launch import messages
from vsrpp.launch.console import TrainConsole
from vsrpp.paths import CheckpointPaths
from vsrpp.safe_text import redact, redact_text
from vsrpp.tracking.environment import address, sqlite_artifact_root

SERVER_TIMEOUT_S = 5.0


def dry_run(
    run_config: dict[str, Any], live: dict[str, Any], *, runs: Path, uri: str, parent: CheckpointPaths | None,
    console: TrainConsole, as_json: bool,
) -> int:  # fmt: skip
    """Try the run, show the findings and return the exit status. Raises Refused if the run would fail."""
    from vsrpp.training.dry_run import dry_run

    report = dry_run(
        run_config, live, runs=runs, say=(lambda _: None) if as_json else console.say, store=sqlite_artifact_root(uri),
        parent=parent,
    )  # fmt: skip
    report.warnings += unreachable(uri)
    console.dry_run(report, run_config, as_json=as_json)
    if report.problems:
        more = f" (and {len(report.problems) - 1} more above)" if len(report.problems) > 1 else ""
        raise messages.WOULD_FAIL(problem=report.problems[0], more=more)
    return 0


def unreachable(uri: str) -> list[str]:
    """A warning if the tracking server does not answer: the run starts anyway and uploads later."""
    if not uri.startswith(("http://", "https://")):
        return []
    try:
        with urllib.request.urlopen(f"{address(uri).rstrip('/')}/health", timeout=SERVER_TIMEOUT_S):
            return []
    except urllib.error.HTTPError:  # an error status is an answer, too
        return []
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        line = f"the tracking server at {redact(uri, path=True)} cannot be reached ({redact_text(str(reason))})."
        return [line + " The run would start without it; no checkpoint is pruned until the server is back."]
