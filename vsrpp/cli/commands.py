"""The commands set, pause, resume, validate, checkpoint, stop and rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from vsrpp import config, control, paths
from vsrpp.cli import messages
from vsrpp.cli.json_output import print_json
from vsrpp.cli.own_document import keep_document
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.documents import ChangeDocument, ProblemDocument
from vsrpp.errors import Refused, VsrppError
from vsrpp.formats import value
from vsrpp.output import green, say, yellow
from vsrpp.paths import RunPaths
from vsrpp.store import Answer

_NO_EDIT: dict[str, Any] = {
    "status": "refused", "revision": None, "step": None, "changes": [], "errors": [], "warnings": []
}  # fmt: skip
"""The document of an edit that was refused before it reached the run."""


_SIDES: tuple[Literal["old", "new"], ...] = ("old", "new")


def set_values(
    run: str, *, assignments: list[str], dry_run: bool, probation: int | None, revert_if: str | None,
    author: str | None, reason: str | None, base_revision: int | None, confirmed: bool, wait_s: float | None,
    run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Apply an edit to a live run, or with `dry_run` show its effects. Raises Refused, NotFound or NotLive."""
    with keep_document(_NO_EDIT, Refused, as_json=as_json):
        folder = control.find_run(run, paths.runs_dir(run_dir))
        run_config = control.run_config(folder)
        changes = config.parse_assignments(assignments, run_config)
        terms = None
        if probation is not None:
            terms = {"steps": probation, "revert_if": revert_if}
        elif revert_if:
            raise messages.PROBATION_MISSING()
        if dry_run:
            unsent = {"--reason": reason, "--author": author, "--wait": wait_s}
            given = [flag for flag, value in unsent.items() if value is not None]
            if given:
                raise messages.DRY_RUN_SENDS_NOTHING(options=" and ".join(given))
            return _preview(folder, changes, base_revision, confirmed, terms, run_config, as_json)
        answer = control.apply(
            folder, changes, origin="cli", probation=terms, author=author, reason=reason, base_revision=base_revision,
            confirmed=confirmed, wait_s=control.DEFAULT_WAIT_S if wait_s is None else wait_s,
        )  # fmt: skip
    if as_json:
        print_json({"status": answer.status, "revision": answer.revision, "step": answer.step, "changes": answer.changes,
                    "errors": answer.errors, "warnings": answer.warnings, **_verdict(answer)})  # fmt: skip
    elif answer.status == "applied":
        for change in answer.changes:
            old, new = (_value(change, side, run_config) for side in _SIDES)
            say(f"{change['key']} {old} → {green(new)}")
        for warning in answer.warnings:
            say(yellow(f"⚠️  {warning}"))
        say(f"applied at step {answer.step}, revision {answer.revision}" if answer.changes else answer.message)
    return _end(answer)


def command(run: str, *, kind: str, wait_s: float, run_dir: Path | None, as_json: bool) -> int:
    """Send pause, resume, validate, checkpoint or stop to a live run. Raises NotFound or NotLive."""
    answer = control.command(control.find_run(run, paths.runs_dir(run_dir)), kind, origin="cli", wait_s=wait_s)
    return _show(answer, as_json, f"{kind}: done")


def rollback(
    run: str, *, step: str | None, revision: int | None, author: str | None, reason: str | None, confirmed: bool,
    wait_s: float, run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Roll a live run back to a checkpoint; exit 3 if there is none. Raises Refused, NotFound or NotLive."""
    nothing = {"status": "refused", "step": None, "branch": None, "revision": None}
    with keep_document(nothing, Refused, as_json=as_json):
        ref = CheckpointRef("revision", revision or 0) if step is None else CheckpointRef.parse(step)
    answer = control.command(
        control.find_run(run, paths.runs_dir(run_dir)), "rollback", ref.to_payload(), origin="cli", author=author, reason=reason,
        confirmed=confirmed, wait_s=wait_s,
    )  # fmt: skip
    return _show(answer, as_json, "rolled back")


def _preview(
    run: RunPaths, changes: dict[str, Any], base_revision: int | None, confirmed: bool,
    terms: dict[str, Any] | None, run_config: dict[str, Any], as_json: bool,
) -> int:  # fmt: skip
    preview = control.preview(run, changes, base_revision=base_revision, probation=terms, confirmed=confirmed)
    if not preview.errors and not control.is_live(run):
        raise messages.OVER(run=run.run_id, state=control.status(run)["state"])
    if as_json:
        verdict = _verdict_of(Refused) if preview.errors else _verdict_of(None)
        if preview.errors:
            verdict["reason_code"] = preview.errors[0]["reason_code"]
        status = "refused" if preview.errors else "preview"
        print_json({"status": status, "step": None, **preview.to_json(), "probation": terms, **verdict})
    elif not preview.errors:
        for change in preview.changes:
            old, new = (_value(change, side, run_config) for side in _SIDES)
            say(f"{change['key']} {old} → {green(new)}  ({change['tier']})")
        for warning in preview.warnings:
            say(yellow(f"⚠️  {warning}"))
        if preview.weight_sum is not None:
            say(f"the loss weights then sum to {preview.weight_sum:g}")
        if terms:
            say(f"on probation for {terms['steps']} steps; reverted if {terms['revert_if'] or 'a value is not finite'}")
        say("nothing was changed (--dry-run)")
    if preview.errors:
        problems = _problems(preview.errors)
        live = {row["key"]: row["value"] for row in control.config_view(run)["parameters"]}
        _tell(config.refusal_line(problems, preview.revision, live), problems)
        return 2
    return 0


def _show(answer: Answer, as_json: bool, done: str) -> int:
    if as_json:
        print_json({"status": answer.status, "step": answer.step, "branch": answer.branch, "revision": answer.revision,
                    "message": answer.message, **_verdict(answer)})  # fmt: skip
    elif answer.status == "done":
        say(f"{done} at step {answer.step} (branch {answer.branch}, revision {answer.revision})")
    return _end(answer)


def _end(answer: Answer) -> int:
    if answer.error is None:
        return 0
    _tell(answer.message, _problems(answer.errors))
    return answer.error.exit_code


def _tell(line: str, problems: list[config.Problem]) -> None:
    """Print a refusal on standard error: one line, or one per problem plus one for the values that stay in force."""
    together = config.refusal(problems) if problems else ""
    holds = line.removeprefix(together).strip()
    lines = (
        [*(config.refusal([problem]) for problem in problems), holds] if len(problems) > 1 and holds != line else [line]
    )
    for each in lines:
        say(f"vsrpp: {each}", stderr=True)


def _problems(rows: list[ProblemDocument]) -> list[config.Problem]:
    return [config.Problem.from_json(row) for row in rows]


def _verdict(answer: Answer) -> dict[str, Any]:
    """Exit code and reason of an answer, for scripts."""
    verdict = _verdict_of(answer.error)
    return {**verdict, "reason_code": answer.reason_code} if answer.error and answer.reason_code else verdict


def _verdict_of(error: type[VsrppError] | None) -> dict[str, Any]:
    return {"code": error.exit_code if error else 0, "reason_code": error.reason_code if error else None}


def _value(change: ChangeDocument, side: Literal["old", "new"], run_config: dict[str, Any]) -> str:
    return value(change["key"], change[side], run_config=run_config)
