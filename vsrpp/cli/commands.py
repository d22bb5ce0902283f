"""set, pause, resume, validate, checkpoint, stop, rollback."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from vsrpp import config, control, paths
from vsrpp.errors import NotFound, Refused
from vsrpp.output import green, print_json, yellow
from vsrpp.paths import RunPaths
from vsrpp.store import Answer

_EXIT = {"applied": 0, "done": 0, "refused": 2, "pending": 5}


def target(options: argparse.Namespace) -> RunPaths:
    return control.find_run(options.target, runs_folder(options))


def runs_folder(options: argparse.Namespace) -> Path:
    return paths.runs_dir(options.run_dir)


def set_values(options: argparse.Namespace) -> int:
    run, changes = target(options), config.parse_assignments(options.values)
    if options.dry_run:
        return _preview(run, changes, options)
    probation = None
    if options.probation is not None:
        probation = {"steps": options.probation, "revert_if": options.revert_if}
    elif options.revert_if:
        raise Refused("--revert-if needs --probation STEPS.")
    answer = control.apply(
        run, changes, origin="cli", probation=probation, author=options.author, reason=options.reason,
        base_revision=options.base_revision, wait_s=options.wait,
    )  # fmt: skip
    if options.json:
        print_json({"status": answer.status, "revision": answer.revision, "step": answer.step, "changes": answer.changes,
                    "errors": answer.errors, "warnings": answer.warnings})  # fmt: skip
    elif answer.status == "applied":
        for change in answer.changes:
            print(f"{change['key']} {_value(change, 'old')} → {green(_value(change, 'new'))}")
        for warning in answer.warnings:
            print(yellow(f"⚠️  {warning}"))
        print(f"applied at step {answer.step}, revision {answer.revision}" if answer.changes else answer.message)
    return _end(answer)


def command(options: argparse.Namespace) -> int:
    answer = control.command(target(options), options.command, origin="cli", wait_s=options.wait)
    return _say(answer, options, f"{options.command}: done")


def rollback(options: argparse.Namespace) -> int:
    payload: dict[str, Any] = {"revision": options.revision}
    if options.step is not None:
        if options.step != "best" and not options.step.isdecimal():
            raise Refused(f"--step {options.step} refused: must be a step or `best`.")
        payload = {"step": options.step if options.step == "best" else int(options.step)}
    answer = control.command(
        target(options), "rollback", payload, origin="cli", author=options.author, reason=options.reason,
        wait_s=options.wait,
    )  # fmt: skip
    code = _say(answer, options, "rolled back")
    return NotFound.exit_code if answer.status == "refused" and answer.message.startswith("no checkpoint") else code


def _preview(run: RunPaths, changes: dict[str, Any], options: argparse.Namespace) -> int:
    seen = control.preview(run, changes, base_revision=options.base_revision)
    if options.json:
        print_json({"status": "refused" if seen.errors else "preview", "step": None, **seen.to_json()})
    elif not seen.errors:
        for change in seen.changes:
            print(f"{change['key']} {_value(change, 'old')} → {green(_value(change, 'new'))}  ({change['tier']})")
        for warning in seen.warnings:
            print(yellow(f"⚠️  {warning}"))
        if seen.weight_sum is not None:
            print(f"the four weights then sum to {seen.weight_sum:g}")
        print("nothing was changed (--dry-run)")
    if seen.errors:
        problems = [config.Problem(row["key"], row["value"], row["message"]) for row in seen.errors]
        live = {row["key"]: row["value"] for row in control.config_view(run)["parameters"]}
        print(f"vsrpp: {config.refusal_line(problems, seen.revision, live)}", file=sys.stderr)
        return 2
    return 0


def _say(answer: Answer, options: argparse.Namespace, done: str) -> int:
    if options.json:
        print_json({"status": answer.status, "step": answer.step, "branch": answer.branch, "revision": answer.revision})
    elif answer.status == "done":
        print(f"{done} at step {answer.step} (branch {answer.branch}, revision {answer.revision})")
    return _end(answer)


def _end(answer: Answer) -> int:
    if answer.status in ("refused", "pending"):
        print(f"vsrpp: {answer.message}", file=sys.stderr)
    return _EXIT[answer.status]


def _value(change: dict[str, Any], side: str) -> str:
    return config.format_value(change["key"], change[side])
