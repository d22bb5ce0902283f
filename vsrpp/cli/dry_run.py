"""train --check: what the run would take, and what would fail later."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp.errors import Refused
from vsrpp.output import amount_of_bytes, amount_of_flops, bold, duration, green, print_json, red, yellow
from vsrpp.paths import CheckpointPaths
from vsrpp.tracking.environment import sqlite_artifact_root, without_password

if TYPE_CHECKING:
    from vsrpp.training.dry_run import Rehearsal

SERVER_TIMEOUT_S = 5.0


def check(
    run_config: dict[str, Any], live: dict[str, Any], *, runs: Path, uri: str, parent: CheckpointPaths | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Try the run and print what was found. Raises Refused if it would not run."""
    from vsrpp.training.dry_run import rehearse

    seen = rehearse(
        run_config, live, runs=runs, say=(lambda _: None) if as_json else print, store=sqlite_artifact_root(uri),
        parent=parent,
    )  # fmt: skip
    seen.warnings += unreachable(uri)
    if as_json:
        print_json(seen.to_json())
    else:
        print("\n".join(lines(seen, run_config)))
    if seen.problems:
        more = f" (and {len(seen.problems) - 1} more above)" if len(seen.problems) > 1 else ""
        raise Refused(f"this run would fail: {seen.problems[0]}{more}")
    return 0


def unreachable(uri: str) -> list[str]:
    """A warning if no server answers at the tracking address: the run starts without it and delivers later."""
    if not uri.startswith(("http://", "https://")):
        return []
    from vsrpp.tracking.environment import address

    try:
        with urllib.request.urlopen(f"{address(uri).rstrip('/')}/health", timeout=SERVER_TIMEOUT_S):
            return []
    except urllib.error.HTTPError:  # it answers
        return []
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        line = f"the tracking server at {without_password(uri)} cannot be reached ({reason})."
        return [line + " The run would start without it; until it is back no checkpoint is pruned."]


def lines(seen: Rehearsal, run_config: dict[str, Any]) -> list[str]:
    """The report for people."""
    shown = [f"{name:15}{text}" for name, text in _rows(seen, run_config).items()]
    shown += [yellow(f"⚠️  {line}") for line in seen.warnings]
    shown += [red(f"❌ {line}") for line in seen.problems]
    return shown if seen.problems else [*shown, green("✅ It would run. Nothing was started.")]


def _rows(seen: Rehearsal, run_config: dict[str, Any]) -> dict[str, str]:
    rows = {}
    if seen.windows:
        rows["data"] = f"{seen.windows} windows to train on, {seen.val_frames} frames to validate on"
    if seen.cost is not None:
        rows["network"] = (
            f"{run_config['network']} ×{run_config['scale']}, {seen.cost.parameters:,} parameters; a step takes"
            f" {amount_of_flops(seen.cost.flops)} and, estimated, {amount_of_bytes(seen.cost.memory_bytes)}"
        )
    return {**rows, **_measured_rows(seen)} if seen.measured is not None else rows


def _measured_rows(seen: Rehearsal) -> dict[str, str]:
    one, whole = seen.measured, seen.forecast
    assert one is not None and whole is not None
    of = "the device" if seen.device == "cuda" else "this process"
    store = f", and {amount_of_bytes(seen.store_bytes)} for the tracking store" if seen.store_bytes else ""
    least, most = whole.checkpoints
    checkpoints = f"{least} to {most} checkpoints" if least < most else f"{most} checkpoints"
    return {
        "memory": f"{amount_of_bytes(seen.peak_bytes)} at the peak of {of}, of {amount_of_bytes(seen.memory_bytes)}",
        "a step": f"{one.step_s:.3g} s, {one.data_wait_s:.2g} s of it waiting for data; loss {_losses(seen.losses)}",
        "a validation": f"{one.validation_s:.3g} s",
        "a checkpoint": f"{amount_of_bytes(one.checkpoint_bytes)}; training waits {one.checkpoint_wait_s:.2g} s for it",
        "the whole run": bold(_hours(whole.hours))
        + f": {whole.steps} steps {_hours(whole.step_hours)}, {whole.validations} validations"
        + f" {_hours(whole.validation_hours)}, {checkpoints} {_hours(whole.checkpoint_hours)}",
        "disk": f"{amount_of_bytes(whole.disk_bytes)} at most ({whole.kept_checkpoints} checkpoints, pictures, record)"
        f"{store}; {amount_of_bytes(seen.free_bytes)} free",
        "upload": f"{amount_of_bytes(whole.upload_bytes)} at most, over the run",
    }


def _hours(hours: float) -> str:
    return duration(3600 * hours)


def _losses(losses: list[float]) -> str:
    return " → ".join(f"{loss:.4g}" for loss in losses)
