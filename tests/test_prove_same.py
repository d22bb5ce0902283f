"""`scripts/prove_same`: the working tree trains like an earlier commit, and a difference would be found."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import steered_vsrpp
from tests.support.same_outcome import differences, outcome, summary
from tests.support.same_running import CODE
from vsrpp.store import Answer, Inbox, RunWriter

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "prove_same"
BEFORE_THE_REFACTOR = "6f4150f"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_working_tree_trains_resumes_and_replays_like_the_code_before_the_refactor() -> None:
    done = subprocess.run([sys.executable, SCRIPT, BEFORE_THE_REFACTOR, "--short"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"  # a shallow clone is reported
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("vsrpp ")]
    assert [row[:3] for row in rows] == [
        ["vsrpp", "1", "mixed"], ["vsrpp", "1", "old-resumed"], ["vsrpp", "1", "old-replayed"], ["vsrpp", "2", "steered"],
    ]  # fmt: skip
    for _, _, _, step, old, new, verdict in rows:
        assert int(step) > 20
        assert old == new
        assert verdict == "same"
    mixed, resumed, replayed, _ = (row[4] for row in rows)
    assert mixed == resumed == replayed


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_code_with_another_learning_rate_is_reported_as_different(tmp_path: Path) -> None:
    for part in CODE:
        shutil.copytree(ROOT / part, tmp_path / part)
    schedule = tmp_path / "vsrpp" / "schedule.py"
    text = schedule.read_text()
    assert text.count("return 0.5 * (1.0") == 1
    schedule.write_text(text.replace("return 0.5 * (1.0", "return 0.49 * (1.0"))
    command = [sys.executable, SCRIPT, "--old-tree", tmp_path, "--only", "vsrpp/1/edit"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 6, f"{done.stdout}\n{done.stderr}"
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("vsrpp ")]
    old, new, verdict = row[4:7]
    assert verdict == "DIFFERENT"
    assert old != new
    assert {"event", "row", "checkpoint"} <= set(row)
    assert "\n  row " in done.stdout


def test_a_commit_that_is_not_in_the_history_fails_and_says_what_to_do() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "f" * 40, "--short"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 6
    assert "is not in this repository's history" in done.stderr
    assert "git fetch --unshallow" in done.stderr


def test_a_run_that_imports_the_code_of_another_tree_does_not_train(tmp_path: Path) -> None:
    plan = json.dumps({"tree": str(tmp_path), "actions": [], "nan": []})
    environment = {**os.environ, "PROVE_SAME": plan, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, steered_vsrpp.__file__, "train"], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 1
    assert f"which is not in {tmp_path}" in done.stderr


# ---- what counts as a difference
EDIT = {"changes": [{"key": "max_lr", "old": 1e-3, "new": 8e-4}]}
STATE: dict[str, Any] = {
    "step": 4, "optimizer": {"state": {0: {"exp_avg": torch.full((2, 3), 0.25)}}}, "recent": [{"l1": 0.5}],
    "asked_quality": None,
}  # fmt: skip


def a_run(folder: Path, *, at: float = 0.0, host: str = "here", checkpoint_told_first: bool = False) -> Path:
    """A run of four steps with an edit and a checkpoint, as a trainer leaves it."""
    run = folder / "run"
    checkpoint = run / "checkpoints" / "step_0000004"
    checkpoint.mkdir(parents=True)
    save_file({"w": torch.arange(6.0)}, checkpoint / "model.safetensors")
    save_file({"w": torch.arange(6.0) / 2}, checkpoint / "model_ema.safetensors")
    torch.save(STATE, checkpoint / "training_state.pt")
    for path in (run / "runtime_config.json", run / "run_config.yaml", checkpoint / "runtime_config.json",
                 checkpoint / "run_config.yaml"):  # fmt: skip
        path.write_text("{}\n")
    writer = RunWriter(run / "run.db", "a run")
    start = {"run_config": {"scale": 2}, "host": host, "code_version": host, "versions": {"vsrpp": host}}
    saved = {"path": "checkpoints/step_0000004", "reason": "due", "files": {"training_state.pt": host}}
    writer.append("started", step=0, branch=0, revision=0, data=start, at=at)
    tell = [
        lambda: writer.append("checkpoint_saved", step=4, branch=0, revision=1, data=saved, at=at),
        lambda: writer.append("config_applied", step=4, branch=0, revision=1, origin="cli", data=EDIT, at=at),
    ]
    for append in tell if checkpoint_told_first else reversed(tell):
        append()
    writer.append("tracking_lost" if host == "there" else "face_failed", step=4, branch=0, revision=1, at=at)
    writer.record(4, 0, {"loss/total": 0.1, "grad_norm": float("nan"), "speed/step_s": at}, at=at)
    manifest = {"step": 4, "branch": 0, "revision": 1, "reason": "due", "time": at, "chain": {"seq": 1, "hash": host}}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    writer.close()
    inbox = Inbox(run / "inbox.db")
    inbox.answer(inbox.put("edit", EDIT, origin="cli"), Answer(status="applied", step=4, message=host))
    inbox.close()
    return run


def in_database(name: str, statement: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        with closing(sqlite3.connect(run / name)) as db, db:
            assert db.execute(statement).rowcount == 1

    return change


def in_weights(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "checkpoints" / "step_0000004" / name
        weights = load_file(path)
        weights["w"][3] = torch.nextafter(weights["w"][3], torch.tensor(9.0))
        save_file(weights, path)

    return change


def in_state(change_state: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "checkpoints" / "step_0000004" / "training_state.pt"
        state = torch.load(path, weights_only=True)
        change_state(state)
        torch.save(state, path)

    return change


DELETE_ROW = "DELETE FROM metrics WHERE key_id = (SELECT id FROM metric_keys WHERE key = 'loss/total')"
CHANGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a weight, by its last bit": ("checkpoint (1)", in_weights("model.safetensors")),
    "a weight of the EMA, by its last bit": ("checkpoint (1)", in_weights("model_ema.safetensors")),
    "a moment of the optimizer": (
        "checkpoint (1)", in_state(lambda state: state["optimizer"]["state"][0]["exp_avg"].add_(1e-7)),
    ),
    "a number in the training state": ("checkpoint (1)", in_state(lambda state: state["recent"][0].update(l1=0.51))),
    "the type of a number in the training state": ("checkpoint (1)", in_state(lambda state: state.update(step=4.0))),
    "a key of the training state": ("checkpoint (2)", in_state(lambda state: state.pop("asked_quality"))),
    "a checkpoint that is missing": (
        "checkpoint (17)", lambda run: shutil.rmtree(run / "checkpoints" / "step_0000004"),
    ),
    "the step of an event": ("event (1)", in_database("run.db", "UPDATE events SET step = 5 WHERE type LIKE 'config%'")),
    "the revision of an event": ("event (1)", in_database("run.db", "UPDATE events SET revision = 2 WHERE seq = 2")),
    "the changes of an edit": (
        "event (1)", in_database("run.db", "UPDATE events SET data = replace(data, '0.0008', '0.0009') WHERE seq = 2"),
    ),
    "an event that is missing": ("event (1)", in_database("run.db", "DELETE FROM events WHERE seq = 2")),
    "a metric, by its last bit": (
        "row (1)", in_database("run.db", "UPDATE metrics SET value = 0.1 + 1.4e-17 WHERE value = 0.1"),
    ),
    "a metric that is no longer NaN": ("row (1)", in_database("run.db", "UPDATE metrics SET value = 0 WHERE value IS NULL")),
    "a metric that is missing": ("row (1)", in_database("run.db", DELETE_ROW)),
    "an answer": (
        "answer (1)", in_database("inbox.db", "UPDATE commands SET answer = replace(answer, 'applied', 'refused')"),
    ),
    "the config file": ("file (1)", lambda run: (run / "runtime_config.json").write_text("{ }\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_difference_is_found_in(name: str, tmp_path: Path) -> None:
    kinds, change = CHANGES[name]
    run = a_run(tmp_path)
    before = outcome(run)
    change(run)
    assert summary(differences(before, outcome(run))) == kinds


def test_runs_that_differ_in_times_hosts_wording_and_speed_count_as_the_same(tmp_path: Path) -> None:
    one = outcome(a_run(tmp_path / "one"))
    other = outcome(a_run(tmp_path / "other", at=9.0, host="there", checkpoint_told_first=True))
    assert differences(one, other) == []
    assert len(one) > 20
