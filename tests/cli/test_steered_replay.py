"""A run like the quickstart's, edited twice and rolled back once, replays bit-identically; with an edit removed it does not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.support.processes import TrainingProcess, vsrpp
from tests.support.waiting import wait_until
from vsrpp import Run, control
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
SHORTER = {
    "n_feats": 8, "n_blocks": 1, "crop_size": 32, "num_frames": 3, "batch_size": 1, "checkpoint_every": 10, "log_every": 5,
    "validate_every": 100_000, "max_steps": 1_000_000,
}  # fmt: skip
"""The demo preset and its clip, with steps short enough for a test; ended by an edit."""
QUICKSTART = ["train", "--preset", "demo", "--data", "sample", "--no-panel", "--no-tensorboard"]
QUICKSTART += [word for key, value in SHORTER.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunPaths]:
    """A finished run on the sample clip: edited, edited again, rolled back to between the edits, ended by an edit."""
    folder = tmp_path_factory.mktemp("quickstart")
    with TrainingProcess(folder, QUICKSTART) as process:
        run = Run(process.run_dir(180))
        run.wait_for(5)
        faster = run.set({"max_lr": 5e-4}, reason="faster")
        assert faster.status == "applied" and faster.step is not None, process.output
        edited_at = faster.step
        wait_until(
            lambda: [s for s in control.checkpoint_steps(run.paths) if s > edited_at],
            300,
            "a checkpoint after the edit",
        )
        to_step = max(control.checkpoint_steps(run.paths))
        assert run.set(grad_clip=0.3, reason="calmer").status == "applied", process.output
        run.wait_for(run.status().step + 3)
        assert run.rollback(to_step, reason="no better").status == "done", process.output
        last = run.status().step + 15
        assert run.set(max_steps=max(last, to_step + 15), reason="enough").status == "applied", process.output
        assert process.wait(600) == 0, process.output
    return folder, run.paths


def test_it_replays_identical(steered: tuple[Path, RunPaths]) -> None:
    folder, run = steered
    done = vsrpp(folder, "replay", str(run.root), "--json", timeout_s=600)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert (verdict["identical"], verdict["sha256"]) == (True, verdict["original_sha256"])


def test_with_one_edit_left_out_it_does_not_and_names_the_first_step_that_differs(
    steered: tuple[Path, RunPaths], tmp_path: Path
) -> None:
    folder, run = steered
    copy = RunPaths(tmp_path / run.run_id)
    shutil.copytree(run.root, copy.root)
    left_out = leave_out(copy, "faster")
    assert control.verify(run).ok
    with_chain = vsrpp(folder, "history", str(copy.root), "--json")
    assert "faster" not in with_chain.stdout
    done = vsrpp(folder, "replay", str(copy.root), timeout_s=600)
    assert done.returncode == 6, done.stdout + done.stderr
    first_row = (left_out // 5 + 1) * 5
    assert f"parted from its record at step {first_row}: " in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def leave_out(run: RunPaths, reason: str) -> int:
    """Remove one edit from a record and rebuild the chain, as a forger would; returns the step of the edit."""
    events = control.history(run)
    (gone,) = [event for event in events if event.reason == reason]
    with sqlite3.connect(run.run_db) as db:
        db.execute("DELETE FROM events")
        db.execute("DELETE FROM meta WHERE key = 'head'")
    db.close()
    writer = RunWriter(run.run_db, run.run_id)
    for event in events:
        if event is gone:
            continue
        data = dict(event.data)
        if data.get("to_seq", 0) >= gone.seq:
            data["to_seq"] -= 1
        writer.append(
            event.type, step=event.step, branch=event.branch, revision=event.revision, origin=event.origin,
            author=event.author, reason=event.reason, data=data, at=event.time,
        )  # fmt: skip
    writer.close()
    return gone.step
