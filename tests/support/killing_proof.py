"""The checks after every kill and at the end: complete checkpoints, a valid chain, nothing lost, identical bits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import environment
from vsrpp import control
from vsrpp.control.edits import current_config
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader
from vsrpp.tracking.restore import verify as verify_files


@dataclass(slots=True)
class Proof:
    """What was done and found; `failures` is empty if all checks pass."""

    kills: int = 0
    kills_by_moment: dict[str, int] = field(default_factory=dict)
    """Counts by what `status` reported at the kill: starting, walking the record again, training, paused …"""
    acknowledged: int = 0
    """Edits and commands answered as applied or done before the next kill."""
    in_flight: int = 0
    """Those without an answer because of a kill: a later process may take them, but never twice."""
    events: int = 0
    step: int = 0
    branches: int = 0
    checkpoints_verified: int = 0
    """Checkpoint folders whose hashes were all compared, counted after every kill."""
    torn_saves: int = 0
    """Saves interrupted by a kill: they leave a temporary folder, never a checkpoint."""
    replay_identical: bool | None = None
    sha256: str = ""
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.failures and bool(self.replay_identical)

    def fail(self, what: str) -> None:
        """Record a failure once, with the kill after which it was first seen."""
        if not any(said.endswith(what) for said in self.failures):
            self.failures.append(f"after kill {self.kills}: {what}")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}


def checkpoint_folders(run: RunPaths) -> list[Path]:
    """All checkpoint folders, including those replaced by a later branch."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(path for path in run.checkpoints.iterdir() if path.is_dir() and not path.name.startswith("."))


def check_what_stands(run: RunPaths, proof: Proof) -> None:
    for folder in checkpoint_folders(run):
        try:
            verify_files(folder)
        except VsrppError as error:
            proof.fail(f"{folder.name}: {error}")
        proof.checkpoints_verified += 1
    proof.torn_saves += sum(1 for _ in run.checkpoints.glob(".step_*.part"))
    verdict = control.verify(run)
    if not verdict.ok:
        proof.fail(f"the chain is broken: {verdict.why}")


def conclude(folder: Path, run: RunPaths, journal: Path, proof: Proof, devices: int = 1) -> None:
    from vsrpp.checkpoints.files import load_checkpoint
    from vsrpp.paths import CheckpointPaths

    events = control.history(run)
    proof.events, proof.step = len(events), events[-1].step
    proof.branches = 1 + max(event.branch for event in events)
    check_what_stands(run, proof)
    for path in checkpoint_folders(run):
        try:
            load_checkpoint(CheckpointPaths(path))
        except VsrppError as error:
            proof.failures.append(f"{path.name} cannot be loaded: {error}")
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    proof.failures += lost_or_doubled(rows, events)
    proof.acknowledged = sum(row["status"] in ("applied", "done") for row in rows)
    proof.in_flight = sum(row["status"] == "in flight" for row in rows)
    with RunReader(run.run_db) as reader:
        in_force, revision = current_config(reader).live, current_config(reader).revision
    on_disk = json.loads(run.runtime_config.read_text())
    if (on_disk.pop("revision"), on_disk) != (revision, in_force):
        proof.failures.append("the file on disk is not the config in force")
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp", "replay", str(run.root), "--devices", str(devices), "--json"], cwd=folder,
        env=child_environment(folder), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 6):
        proof.failures.append(f"replay: {done.stderr.strip()}")
        return
    verdict = json.loads(done.stdout)
    proof.replay_identical, proof.sha256 = verdict["identical"], verdict["original_sha256"]
    if not verdict["identical"]:
        proof.failures.append(f"the undisturbed run differs: {verdict['first_difference']}")


def lost_or_doubled(rows: list[dict[str, Any]], events: list[Any]) -> list[str]:
    """Acknowledged requests that are missing or different on record, and duplicates."""
    by_token: dict[str, list[Any]] = {}
    for event in events:
        if event.reason and event.reason.startswith("hand "):
            by_token.setdefault(event.reason, []).append(event)
    found = []
    for row in rows:
        mine = by_token.get(row["token"], [])
        if len(mine) > 1:
            found.append(f"{row['token']} ({row['kind']}) is on record {len(mine)} times")
        if row["status"] != "applied" and (row["status"] != "done" or row["kind"] not in ("validate", "rollback")):
            continue
        if row["kind"] == "file":
            kept = [e for e in events if e.type == "config_applied" and row["changes"][0] in _settings(e)]
            if len(kept) != 1:
                found.append(f"a saved file's {row['changes']} was acknowledged and is on record {len(kept)} times")
        elif not mine:
            found.append(f"{row['token']} ({row['kind']}) was acknowledged and is not on record")
        elif row["kind"] == "edit" and (mine[0].revision, mine[0].step, mine[0].data["changes"]) != (
            row["revision"], row["step"], row["changes"],
        ):  # fmt: skip
            found.append(f"{row['token']} is on record, but not as acknowledged: {row} {mine[0]}")
    revisions = Counter(e.revision for e in events if e.type in ("config_applied", "config_reverted", "rolled_back"))
    if sorted(revisions) != list(range(1, len(revisions) + 1)) or set(revisions.values()) - {1}:
        found.append("a revision is missing or duplicated")
    return found


def _settings(event: Any) -> list[dict[str, Any]]:
    return [{"key": change["key"], "new": change["new"]} for change in event.data["changes"]]


def child_environment(folder: Path) -> dict[str, str]:
    made = environment(folder)
    return {**made, "PYTHONPATH": made["PYTHONPATH"]}
