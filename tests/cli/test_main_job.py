"""The main job as a person does it: real processes, a real tracking store, and only the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.support.processes import TrainingProcess, environment, train_command, vsrpp
from tests.support.runs import TINY
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

pytestmark = pytest.mark.slow
LONG = {"max_steps": 1_000_000, "validate_every": 50_000, "checkpoint_every": 100_000}
"""A run that lasts as long as a test needs it."""


def document(folder: Path, *arguments: str, code: int = 0):
    done = vsrpp(folder, *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path, empty_store: Path):
    """A finished run, edited once by command, once by file, and ended by a third edit: (folder, run ID, last step)."""
    folder = tmp_path_factory.mktemp("job")
    shutil.copy(empty_store, folder / "mlflow.db")
    with TrainingProcess(
        folder, train_command(tiny_clip, max_steps=1_000_000, checkpoint_every=200, validate_every=200, keep_every=200)
    ) as run:
        run_dir = run.run_dir()
        paused = vsrpp(folder, "pause", "latest")
        assert paused.returncode == 0, paused.stderr + run.output
        edited = document(folder, "set", "latest", "max_lr=2e-4", "--reason", "too fast")
        assert (edited["status"], edited["revision"]) == ("applied", 1)
        values = json.loads((run_dir / "runtime_config.json").read_text())
        (run_dir / "runtime_config.json").write_text(json.dumps({**values, "grad_clip": 0.5}))
        wait_until(lambda: control.status(RunPaths(run_dir))["revision"] == 2)
        end = (control.status(RunPaths(run_dir))["step"] // 200 + 2) * 200
        assert document(folder, "set", "latest", f"max_steps={end}")["status"] == "applied"
        assert vsrpp(folder, "resume", "latest").returncode == 0
        assert run.wait() == 0, run.output
        output = run.output
    assert "⚙️  Config Update: max_lr 1.00e-03 → 2.00e-04" in output
    assert "⚙️  Config Update: grad_clip 1.0 → 0.5" in output
    return folder, run_dir.name, end


def client(folder: Path):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def test_every_read_only_command_answers_with_its_documented_keys(finished) -> None:
    folder, run_id, end = finished
    status = document(folder, "status", run_id[:8])
    assert {"run_id", "run_dir", "state", "step", "max_steps", "revision", "branch", "phase", "lr", "losses", "config", "best",
            "psnr_y", "bicubic_psnr_y", "checkpoints", "backlog", "steps_per_s", "eta_s"} <= status.keys()  # fmt: skip
    assert (status["state"], status["step"], status["revision"], status["run_id"]) == ("finished", end, 3, run_id)
    assert {"rows", "artifacts", "age_s"} <= status["backlog"].keys()
    assert (status["off_host"], status["off_host_why"]) == (None, "the tracking store is on this host")
    assert (status["backlog"]["rows"], status["backlog"]["artifacts"]) == (0, 0)
    assert Path(status["run_dir"]).is_absolute()
    rows = {row["key"]: row for row in document(folder, "config", "latest")["parameters"]}
    assert rows["max_lr"]["value"] == 2e-4
    assert rows["max_lr"]["changed_at_step"] is not None
    assert (rows["n_feats"]["tier"], rows["n_feats"]["changed_by"]) == ("startup", None)
    events = document(folder, "history", "latest")
    assert {
        "seq",
        "time",
        "step",
        "branch",
        "type",
        "revision",
        "origin",
        "author",
        "reason",
        "data",
        "hash",
    } == events[0].keys()
    assert [e["reason"] for e in events if e["type"] == "config_applied"] == ["too fast", None, None]
    (row,) = document(folder, "runs")
    assert {"run_id", "name", "state", "step", "best", "started", "run_dir"} <= row.keys()


def test_the_record_is_one_file_when_the_run_is_over(finished, tmp_path: Path) -> None:
    folder, run_id, end = finished
    run = RunPaths(folder / "runs" / run_id)
    for database in run.databases:
        log = database.with_name(f"{database.name}-wal")
        assert not log.exists() or log.stat().st_size == 0, log
    copy = tmp_path / "copy" / "run.db"
    copy.parent.mkdir()
    shutil.copy(run.run_db, copy)
    with RunReader(copy) as alone, RunReader(run.run_db) as reader:
        events = list(alone.events())
        assert events == list(reader.events())
        assert (events[-1].type, events[-1].step) == ("finished", end)
        assert alone.newest_metric_id() == reader.newest_metric_id() > 0
        assert alone.verify().ok


def test_the_record_verifies_and_a_changed_row_is_exit_6(finished, tmp_path: Path) -> None:
    folder, run_id, _ = finished
    assert vsrpp(folder, "history", run_id, "--verify").returncode == 0
    copy = tmp_path / run_id
    shutil.copytree(folder / "runs" / run_id, copy)
    import sqlite3

    with sqlite3.connect(copy / "run.db") as db:
        db.execute("UPDATE events SET reason = 'because' WHERE type = 'config_applied'")
    done = vsrpp(folder, "history", str(copy), "--verify", "--local")
    assert done.returncode == 6
    assert "was changed or inserted" in done.stderr


def test_mlflow_has_every_row_the_edits_and_the_checkpoints_as_logged_models(finished) -> None:
    folder, run_id, end = finished
    mlflow = client(folder)
    run = mlflow.get_run(run_id)
    assert (run.info.status, run.data.tags["vsrpp.kind"], run.data.tags["vsrpp.state"]) == (
        "FINISHED",
        "train",
        "finished",
    )
    assert run.data.params["run/n_feats"] == "4"
    assert float(run.data.params["config/max_lr"]) == 1e-3
    assert mlflow.get_metric_history(run_id, "config/max_lr")[-1].value == 2e-4
    assert mlflow.get_metric_history(run_id, "config/revision")[-1].value == 3
    assert len(mlflow.get_metric_history(run_id, "events/config_change")) >= 1
    paths = RunPaths(folder / "runs" / run_id)
    from vsrpp.store import RunReader

    with RunReader(paths.run_db) as reader:
        for key in ("loss/total", "lr", "val/psnr_y", "config/max_lr"):
            mine = [(row.step, row.value) for row in reader.series(key)]
            theirs = sorted((m.step, m.value) for m in mlflow.get_metric_history(run_id, key))
            assert mine == theirs, key
    artifacts = {a.path for a in mlflow.list_artifacts(run_id)}
    assert {"timeline.jsonl", "timeline.md"} <= artifacts
    models = mlflow.search_logged_models([run.info.experiment_id])
    by_step = {int(m.tags["vsrpp.step"]): m for m in models if m.source_run_id == run_id}
    assert {end - 200, end} <= by_step.keys()
    linked = {metric.key for metric in by_step[end].metrics or []}
    assert "val/psnr_y" in linked


def test_tensorboard_has_the_edits(finished) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, run_id, _ = finished
    board = EventAccumulator(str(folder / "runs" / run_id / "tensorboard"))
    board.Reload()
    assert board.Scalars("Config/Parameters/max_lr")[-1].value == pytest.approx(2e-4)


def test_a_checkpoint_comes_back_from_mlflow_alone_and_trains_on(finished, tiny_clip: Path, tmp_path: Path) -> None:
    folder, run_id, end = finished
    work = tmp_path / "elsewhere"
    shutil.copytree(folder, work, ignore=shutil.ignore_patterns("runs"))
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp", "restore", run_id, "--step", "best", "--out", "back", "--json"], cwd=work,
        env={**environment(work), **env}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["source"], found["verified"], found["run_id"]) == ("mlflow", True, run_id)
    assert (Path(found["path"]) / "model.safetensors").is_file()
    words = ["train", "--from", f"{run_id}@{end - 200}", "--no-panel", "--no-tensorboard"]
    words += ["--max-steps", str(end - 180)]
    on = subprocess.run(
        [sys.executable, "-m", "vsrpp", *words], cwd=work, env={**environment(work), **env}, capture_output=True,
        text=True, timeout=600,
    )  # fmt: skip
    assert on.returncode == 0, on.stderr + on.stdout
    assert f"✅ Config restored from step {end - 200}" in on.stdout
    (new,) = [p for p in (work / "runs").iterdir() if p.is_dir()]
    assert client(folder).get_run(new.name).data.tags["mlflow.parentRunId"] == run_id
    assert control.status(RunPaths(new))["step"] == end - 180


def test_a_step_that_is_not_there_is_exit_3_naming_the_nearest(finished) -> None:
    folder, run_id, end = finished
    done = vsrpp(folder, "restore", run_id, "--step", str(end - 190), "--out", str(folder / "none"))
    assert done.returncode == 3
    assert f"nearest is step {end - 200}" in done.stderr or f"nearest is {end - 200}" in done.stderr, done.stderr
    assert not (folder / "none").exists()


def test_replay_is_identical_and_evaluate_scores_the_network_and_bicubic(finished, tiny_clip: Path) -> None:
    folder, run_id, _ = finished
    replayed = document(folder, "replay", run_id)
    assert (replayed["identical"], replayed["first_difference"]) == (True, None)
    assert replayed["sha256"] == replayed["original_sha256"]
    ours = document(folder, "evaluate", run_id, "--data", str(tiny_clip), "--count", "4")
    bicubic = document(folder, "evaluate", "bicubic", "--data", str(tiny_clip), "--scale", "2", "--count", "4")
    for figures in (ours, bicubic):
        assert {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "frames", "scale", "clips"} <= figures.keys()
        assert (figures["frames"], figures["scale"]) == (4, 2)


DIES_AT_130 = """
import os, signal, sys
from vsrpp.cli import main
from vsrpp.training import loop
one_step = loop.one_step
def step(run):
    if run.state.step == 130:
        os.kill(os.getpid(), signal.SIGKILL)
    return one_step(run)
loop.one_step = step
sys.exit(main(sys.argv[1:]))
"""


def test_kill_9_then_resume_ends_bit_for_bit_in_the_same_mlflow_run(
    tmp_path: Path, tiny_clip: Path, empty_store: Path
) -> None:
    sets = {"max_steps": 600, "checkpoint_every": 100, "validate_every": 300}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        shutil.copy(empty_store, folder / "mlflow.db")
    with TrainingProcess(whole, train_command(tiny_clip, **sets)) as run:
        undisturbed = run.run_dir()
        assert run.wait() == 0, run.output
    with TrainingProcess(killed, train_command(tiny_clip, **sets), code=DIES_AT_130) as run:
        run_dir = run.run_dir()
        assert run.wait() == -signal.SIGKILL, run.output
        assert control.status(RunPaths(run_dir))["state"] == "dead"
    with TrainingProcess(killed, ["train", "--resume", run_dir.name, "--no-panel", "--no-tensorboard"]) as again:
        assert again.wait() == 0, again.output
    assert [p.name for p in (killed / "runs").iterdir() if p.is_dir()] == [run_dir.name]
    for name in ("model.safetensors", "model_ema.safetensors"):
        one, other = (p / "checkpoints" / "step_0000600" / name for p in (undisturbed, run_dir))
        assert one.read_bytes() == other.read_bytes(), name
    run_info = client(killed).get_run(run_dir.name)
    assert run_info.info.status == "FINISHED"
    steps = [m.step for m in client(killed).get_metric_history(run_dir.name, "loss/total")]
    assert sorted(steps) == sorted(set(steps)) == list(range(2, 601, 2)), "every row once"


def test_sigterm_saves_delivers_and_asks_to_be_started_again(tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, **LONG)) as run:
        run_dir = run.run_dir()
        wait_until(lambda: control.status(RunPaths(run_dir))["step"] >= 20)
        run.process.send_signal(signal.SIGTERM)
        assert run.wait() == 75, run.output
    seen = control.status(RunPaths(run_dir))
    assert seen["state"] == "stopped"
    assert seen["checkpoints"] == [seen["step"]]
    assert "vsrpp train --resume" in (tmp_path / Path(run.log.name).name).read_text()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("max_lr=0.5", "max_lr = 0.5 refused: must be between 1e-05 and 0.001. Still at revision 0 (max_lr = 0.001)."),
        (
            "n_feats=8",
            "n_feats = 8 refused: cannot change while the run trains: restart, or start a new run from this checkpoint.",
        ),
        ("l1_weight=0.1", "the loss weights would sum to 0.5"),
        ("max_lr=nan", "max_lr = nan refused: must be a finite number"),
        ("max_rl=1e-4", "did you mean max_lr?"),
    ],
)
def test_a_bad_edit_is_one_line_and_exit_2(live_run, edit: str, words: str) -> None:
    folder, _ = live_run
    done = vsrpp(folder, "set", "latest", edit)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.fixture(scope="module")
def live_run(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path):
    folder = tmp_path_factory.mktemp("live")
    with TrainingProcess(folder, train_command(tiny_clip, **LONG)) as run:
        run_dir = run.run_dir()
        wait_until(lambda: control.status(RunPaths(run_dir))["step"] >= 1)
        yield folder, run_dir


def test_a_dry_run_shows_and_changes_nothing(live_run) -> None:
    folder, run_dir = live_run
    seen = document(folder, "set", "latest", "max_lr=1e-4", "--dry-run")
    assert seen["changes"] == [{"key": "max_lr", "old": 1e-3, "new": 1e-4, "tier": "safe"}]
    assert seen["rate_ahead"]
    assert control.status(RunPaths(run_dir))["revision"] == 0


def test_pause_checkpoint_resume_answer_with_the_step_they_took_effect_at(live_run) -> None:
    folder, run_dir = live_run
    paused = document(folder, "pause", "latest")
    assert paused["status"] == "done"
    assert document(folder, "status", "latest")["state"] == "paused"
    saved = document(folder, "checkpoint", "latest")
    assert saved["step"] == paused["step"]
    assert (run_dir / "checkpoints" / f"step_{saved['step']:07d}" / "manifest.json").is_file()
    missing = vsrpp(folder, "rollback", "latest", "--step", str(saved["step"] + 7))
    assert (missing.returncode, str(saved["step"]) in missing.stderr) == (3, True)
    assert document(folder, "resume", "latest")["step"] == paused["step"]
    back = document(folder, "rollback", "latest", "--step", str(saved["step"]))
    assert (back["status"], back["step"], back["branch"]) == ("done", saved["step"], 1)


def test_a_run_that_is_not_live_is_exit_4_and_an_unknown_one_exit_3(finished) -> None:
    folder, run_id, _ = finished
    done = vsrpp(folder, "set", run_id, "max_lr=1e-4")
    assert done.returncode == 4
    assert f"vsrpp train --from {run_id}" in done.stderr
    assert vsrpp(folder, "status", "nosuchrun").returncode == 3
    assert vsrpp(folder, "status").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--data", "nothing/here"], "no data at", 3),
        (["--data", "{empty}"], "neither videos nor frames", 2),
        (["--data", "{broken}"], "broken.mp4", 2),
        (["--data", "{tiny}", "--set", "crop_size=512"], "crop", 2),
        (["--data", "{tiny}", "--set", "max_lr=1"], "max_lr = 1", 2),
        (["--data", "{tiny}", "--set", "n_foots=1"], "did you mean n_feats?", 2),
        (["--data", "{tiny}", "--preset", "huge"], "invalid choice", 2),
        (["--resume", "nosuch"], "nosuch", 3),
    ],
)
def test_what_cannot_be_trained_is_one_line_before_the_first_step(
    tmp_path: Path, tiny_clip: Path, arguments, words: str, code: int
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.mp4").write_bytes(b"no video at all" * 100)
    places = {"empty": tmp_path / "empty", "broken": tmp_path / "broken.mp4", "tiny": tiny_clip}
    filled = [argument.format(**places) for argument in arguments]
    base = [] if "--preset" in filled or "--resume" in filled else ["--preset", "demo"]
    done = vsrpp(tmp_path, "train", *base, "--no-panel", "--no-tensorboard", *filled)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list((tmp_path / "runs").glob("*/run.db"))


def test_weights_load_with_safetensors_alone(finished) -> None:
    folder, run_id, end = finished
    model = safetensors.torch.load_file(
        folder / "runs" / run_id / "checkpoints" / f"step_{end:07d}" / "model.safetensors"
    )
    assert all(isinstance(tensor, torch.Tensor) for tensor in model.values())
    assert TINY["n_feats"] in {tensor.shape[0] for tensor in model.values() if tensor.ndim}


def test_a_panel_that_cannot_start_is_recorded_once_and_training_goes_on(tmp_path: Path, tiny_clip: Path) -> None:
    command = [word for word in train_command(tiny_clip, **LONG) if word != "--no-panel"]
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text("import sys\nif 'panel' in sys.argv: sys.exit(3)\n")
    with TrainingProcess(tmp_path, command, extra_path=tmp_path) as run:
        run_dir = run.run_dir()

        def failures():
            return [e for e in control.history(RunPaths(run_dir)) if e.type == "face_failed"]

        (event,) = wait_until(failures)
        assert event.data["face"] == "panel"
        step = control.status(RunPaths(run_dir))["step"]
        wait_until(lambda: control.status(RunPaths(run_dir))["step"] > step + 50)
        assert len(failures()) == 1
        os.kill(run.process.pid, signal.SIGINT)
        assert run.wait() == 0
