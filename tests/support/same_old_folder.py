"""Checks that the new code can use a run folder and an MLflow store written by the old code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.same_outcome import Facts, leaves, newest_checkpoint, outcome
from tests.support.same_running import HEADLESS, Tree, Workspace, resume_words, run_folder
from tests.support.same_scenarios import MIXED, Life

FROM_STEP, FROM_MAX_STEPS = 20, 34
VOLATILE = frozenset({"age_s", "lost_s"})
"""Keys of a document whose values are ages."""
DOCUMENTS = (("status",), ("config",), ("history", "--verify"))
READ_BY_FACES = """
import dataclasses, json, sys
from pathlib import Path
from vsrpp import control
from vsrpp.control.curves import curves
from vsrpp.paths import RunPaths
run = RunPaths(Path(sys.argv[1]))
print(json.dumps({
    "status": control.status(run), "history": [event.to_json() for event in control.history(run)],
    "config": control.config_view(run), "verified": dataclasses.asdict(control.verify(run)),
    "curves": dataclasses.asdict(curves(run, ["loss/total", "lr", "val/psnr_y"], max_points=10)),
}))
"""
"""The calls by which panel and terminal UI read a run."""


@dataclass(frozen=True, slots=True)
class Results:
    """What the old code and the new code produced from the same input."""

    step: int
    old_sha256: str
    new_sha256: str
    old: Facts
    new: Facts


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run that the old code trained to the end; `killed` is a copy made between its two lives."""

    workspace: Workspace
    old: Tree
    new: Tree
    processes: int
    folder: Path
    killed: Path

    @property
    def run(self) -> Path:
        return run_folder(self.folder)


def resumed(old_run: OldRun) -> Results:
    """The new code resumes the killed run, as the old code did."""
    folder = old_run.workspace.copy(old_run.killed, old_run.killed.with_name(f"{old_run.killed.name}-resumed"))
    old_run.workspace.live(old_run.new, folder, old_run.processes, resume_words(folder), MIXED.lives[-1])
    (step, before), (_, after) = newest_checkpoint(old_run.run), newest_checkpoint(run_folder(folder))
    return Results(step, before, after, outcome(old_run.run), outcome(run_folder(folder)))


def replayed(old_run: OldRun) -> Results:
    """The new code replays the run from its folder."""
    folder = old_run.workspace.new_folder(f"{old_run.folder.name}-replayed")
    return _replayed(old_run, folder, str(old_run.run))


def restored(old_run: OldRun) -> Results:
    """The new code restores the newest checkpoint and replays the run from the MLflow store alone."""
    folder = old_run.workspace.copy(old_run.folder, old_run.folder.with_name(f"{old_run.folder.name}-restored"))
    (folder / "runs").rename(folder / "moved-away")
    run_id = old_run.run.name
    answer = json.loads(old_run.workspace.vsrpp(old_run.new, folder, "restore", run_id, "--out", "restored", "--json"))
    step, before = newest_checkpoint(old_run.run)
    after = _sha256(folder / "restored" / "model.safetensors")
    again = _replayed(old_run, folder, run_id)
    old = {"restore": f"step {step} from mlflow, verified True", "restored weights": before, **again.old}
    new = {
        "restore": f"step {answer['step']} from {answer['source']}, verified {answer['verified']}",
        "restored weights": after, **again.new,
    }  # fmt: skip
    return Results(step, before, after, old, new)


def started_from(old_run: OldRun) -> Results:
    """Both start a new run from a checkpoint of the old run."""
    found = {}
    for tree in (old_run.old, old_run.new):
        folder = from_folder(old_run, tree)
        old_run.workspace.new_folder(folder.name)
        words = ["train", "--from", f"{old_run.run}@{FROM_STEP}", "--max-steps", str(FROM_MAX_STEPS), *HEADLESS]
        old_run.workspace.live(tree, folder, old_run.processes, words, Life([]))
        found[tree.name] = (*newest_checkpoint(run_folder(folder)), outcome(run_folder(folder)))
    (step, before, old), (_, after, new) = found["old"], found["new"]
    return Results(step, before, after, old, new)


def documents(old_run: OldRun) -> Results:
    """Both print JSON on the finished and the killed run, and compare the finished one with that of `started_from`."""
    ended, killed = old_run.run, run_folder(old_run.killed)
    other = run_folder(from_folder(old_run, old_run.old))
    old, new = (
        {
            **_documents(old_run.workspace, tree, old_run.folder, ended),
            **_documents(old_run.workspace, tree, old_run.killed, killed),
            **_document(old_run.workspace, tree, old_run.folder, "compare", str(ended), str(other)),
        }
        for tree in (old_run.old, old_run.new)
    )
    step, _ = newest_checkpoint(ended)
    return Results(step, _digest(old), _digest(new), old, new)


def from_folder(old_run: OldRun, tree: Tree) -> Path:
    return old_run.folder.with_name(f"{old_run.folder.name}-from-{tree.name}")


# ---- parts
def _replayed(old_run: OldRun, folder: Path, run: str) -> Results:
    said = old_run.workspace.vsrpp(old_run.new, folder, "replay", run, "--json", processes=old_run.processes)
    verdict = json.loads(said)
    step, sha256 = newest_checkpoint(old_run.run)
    old = {"replay": f"to step {step}, identical True", "replayed weights": sha256}
    new = {
        "replay": f"to step {verdict['step']}, identical {verdict['identical']}",
        "replayed weights": verdict["sha256"],
    }
    return Results(step, sha256, verdict["sha256"], old, new)


def _documents(workspace: Workspace, tree: Tree, folder: Path, run: Path) -> Facts:
    found: Facts = {}
    for command, *options in DOCUMENTS:
        found |= _document(workspace, tree, folder, command, str(run), *options)
    found |= _document(workspace, tree, folder, "runs")
    return found | _facts(f"document control {folder.name}", workspace.python(tree, folder, READ_BY_FACES, str(run)))


def _document(workspace: Workspace, tree: Tree, folder: Path, command: str, *arguments: str) -> Facts:
    said = workspace.vsrpp(tree, folder, command, *arguments, "--json")
    return _facts(f"document {command} {folder.name}", said)


def _facts(name: str, text: str) -> Facts:
    return dict(leaves(_lasting(json.loads(text)), name))


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(item) for key, item in value.items() if key not in VOLATILE}
    return [_lasting(item) for item in value] if isinstance(value, list) else value


def _digest(facts: Facts) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
