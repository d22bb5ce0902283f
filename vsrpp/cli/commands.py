"""set, pause, resume, validate, checkpoint, stop, rollback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from vsrpp import config, control, paths
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.documents import ChangeDocument
from vsrpp.errors import NotFound, Refused
from vsrpp.formats import value
from vsrpp.output import green, print_json, yellow
from vsrpp.paths import RunPaths
from vsrpp.store import Answer

_EXIT = {"applied": 0, "done": 0, "refused": 2, "pending": 5}


def set_values(
    run: str, *, assignments: list[str], dry_run: bool, probation: int | None, revert_if: str | None,
    author: str | None, reason: str | None, base_revision: int | None, wait_s: float, run_dir: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Apply an edit to a live run, or with `dry_run` show what would follow. Raises Refused, NotFound or NotLive."""
    folder, changes = control.find_run(run, paths.runs_dir(run_dir)), config.parse_assignments(assignments)
    if dry_run:
        return _preview(folder, changes, base_revision, as_json)
    terms = None
    if probation is not None:
        terms = {"steps": probation, "revert_if": revert_if}
    elif revert_if:
        raise Refused("--revert-if needs --probation STEPS.")
    answer = control.apply(
        folder, changes, origin="cli", probation=terms, author=author, reason=reason, base_revision=base_revision,
        wait_s=wait_s,
    )  # fmt: skip
    if as_json:
        print_json({"status": answer.status, "revision": answer.revision, "step": answer.step, "changes": answer.changes,
                    "errors": answer.errors, "warnings": answer.warnings})  # fmt: skip
    elif answer.status == "applied":
        for change in answer.changes:
            print(f"{change['key']} {_value(change, 'old')} → {green(_value(change, 'new'))}")
        for warning in answer.warnings:
            print(yellow(f"⚠️  {warning}"))
        print(f"applied at step {answer.step}, revision {answer.revision}" if answer.changes else answer.message)
    return _end(answer)


def command(run: str, *, kind: str, wait_s: float, run_dir: Path | None, as_json: bool) -> int:
    """Ask a live run to pause, resume, validate, checkpoint or stop. Raises NotFound or NotLive."""
    answer = control.command(control.find_run(run, paths.runs_dir(run_dir)), kind, origin="cli", wait_s=wait_s)
    return _show(answer, as_json, f"{kind}: done")


def rollback(
    run: str, *, step: str | None, revision: int | None, author: str | None, reason: str | None, wait_s: float,
    run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Take a live run back to a checkpoint; exit 3 if there is none. Raises Refused, NotFound or NotLive."""
    ref = CheckpointRef("revision", revision or 0) if step is None else CheckpointRef.parse(step)
    answer = control.command(
        control.find_run(run, paths.runs_dir(run_dir)), "rollback", ref.to_payload(), origin="cli", author=author, reason=reason,
        wait_s=wait_s,
    )  # fmt: skip
    code = _show(answer, as_json, "rolled back")
    not_found = answer.reason_code.partition(".")[0] == NotFound.reason_code
    return NotFound.exit_code if answer.status == "refused" and not_found else code


def _preview(run: RunPaths, changes: dict[str, Any], base_revision: int | None, as_json: bool) -> int:
    preview = control.preview(run, changes, base_revision=base_revision)
    if as_json:
        print_json({"status": "refused" if preview.errors else "preview", "step": None, **preview.to_json()})
    elif not preview.errors:
        for change in preview.changes:
            print(f"{change['key']} {_value(change, 'old')} → {green(_value(change, 'new'))}  ({change['tier']})")
        for warning in preview.warnings:
            print(yellow(f"⚠️  {warning}"))
        if preview.weight_sum is not None:
            print(f"the four weights then sum to {preview.weight_sum:g}")
        print("nothing was changed (--dry-run)")
    if preview.errors:
        problems = [config.Problem.from_json(row) for row in preview.errors]
        live = {row["key"]: row["value"] for row in control.config_view(run)["parameters"]}
        print(f"vsrpp: {config.refusal_line(problems, preview.revision, live)}", file=sys.stderr)
        return 2
    return 0


def _show(answer: Answer, as_json: bool, done: str) -> int:
    if as_json:
        print_json({"status": answer.status, "step": answer.step, "branch": answer.branch, "revision": answer.revision})
    elif answer.status == "done":
        print(f"{done} at step {answer.step} (branch {answer.branch}, revision {answer.revision})")
    return _end(answer)


def _end(answer: Answer) -> int:
    if answer.status in ("refused", "pending"):
        print(f"vsrpp: {answer.message}", file=sys.stderr)
    return _EXIT[answer.status]


def _value(change: ChangeDocument, side: Literal["old", "new"]) -> str:
    return value(change["key"], change[side])
