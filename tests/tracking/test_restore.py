"""Restoring a checkpoint by run ID: from the run folder or from MLflow alone, and never a damaged one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from tests.support.servers import models_of, the_run
from vsrpp.digests import file_sha256
from vsrpp.errors import NotFound, ProofFailed
from vsrpp.tracking import messages
from vsrpp.tracking.restore import restore
from vsrpp.tracking.runs import server_runs, tag_as_tool
from vsrpp.tracking.sync import sync


@pytest.fixture
def run(runs: Path, uri: str) -> MadeRun:
    made = made_run(runs)
    assert sync(made.paths.root, uri).delivered
    return made


@pytest.fixture
def gone(run: MadeRun, tmp_path: Path) -> MadeRun:
    """The run folder is moved away, so that only MLflow has the run."""
    shutil.move(run.paths.root, tmp_path / "elsewhere")
    return run


def _content(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


def test_local_first(run: MadeRun, uri: str, runs: Path, tmp_path: Path) -> None:
    back = restore(run.run_id, step="best", out=tmp_path / "out", uri="http://127.0.0.1:9", runs=runs)
    assert (back.run_id, back.step, back.revision, back.source, back.verified) == (run.run_id, 100, 1, "local", True)
    assert _content(back.path) == _content(run.paths.checkpoint(100).root)


@pytest.mark.parametrize(("step", "expected"), [("best", 100), ("latest", 200), (200, 200)])
def test_from_mlflow_alone(gone: MadeRun, uri: str, runs: Path, tmp_path: Path, step: int | str, expected: int) -> None:
    back = restore(gone.run_id[:6], step=step, out=tmp_path / "out", uri=uri, runs=runs)
    assert (back.run_id, back.step, back.source, back.verified) == (gone.run_id, expected, "mlflow", True)
    assert _content(back.path) == _content(tmp_path / "elsewhere" / "checkpoints" / f"step_{expected:07d}")
    assert (back.path / "model.safetensors").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_by_the_id_that_mlflow_gave_it(gone: MadeRun, uri: str, runs: Path, tmp_path: Path) -> None:
    mlflow_run_id = the_run(uri, gone.run_id).info.run_id
    back = restore(mlflow_run_id, step="latest", out=tmp_path / "out", uri=uri, runs=runs)
    assert (back.run_id, back.step) == (gone.run_id, 200)


@pytest.mark.parametrize("file", ["model.safetensors", "training_state.pt", "manifest.json"])
def test_a_tampered_artifact_is_not_restored(gone: MadeRun, uri: str, runs: Path, tmp_path: Path, file: str) -> None:
    folder = Path(models_of(uri, gone.run_id)[1].artifact_location) / "artifacts" / "checkpoint"
    path = folder / file
    path.write_bytes(path.read_bytes().replace(b"0", b"1") + b" ")
    with pytest.raises(ProofFailed) as caught:
        restore(gone.run_id, step=200, out=tmp_path / "out", uri=uri, runs=runs)
    changed = messages.MANIFEST_CHANGED if file == "manifest.json" else messages.FILE_CHANGED
    assert caught.value.reason_code == changed.code
    assert not (tmp_path / "out").exists()


def test_a_missing_artifact_is_not_restored(gone: MadeRun, uri: str, runs: Path, tmp_path: Path) -> None:
    folder = Path(models_of(uri, gone.run_id)[1].artifact_location) / "artifacts" / "checkpoint"
    (folder / "model_ema.safetensors").unlink()
    with raises(messages.FILE_MISSING, file="model_ema.safetensors"):
        restore(gone.run_id, step=200, out=tmp_path / "out", uri=uri, runs=runs)


def test_no_such_step_names_the_nearest(gone: MadeRun, uri: str, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no checkpoint at step 120; the nearest is step 100"):
        restore(gone.run_id, step=120, out=tmp_path / "out", uri=uri, runs=runs)


def test_no_such_run(uri: str, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No run nosuch"):
        restore("nosuch", out=tmp_path / "out", uri=uri, runs=runs)


def test_a_full_folder_is_left_alone(run: MadeRun, uri: str, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("x")
    with raises(messages.OUT_NOT_EMPTY, out=out):
        restore(run.run_id, out=out, uri=uri, runs=runs)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_best_is_of_the_present_line(runs: Path, uri: str, tmp_path: Path) -> None:
    run = MadeRun(runs / "back1", "back1").start().train(50)
    run.checkpoint(30.0)
    run.train(50)
    run.checkpoint(33.0)
    run.rollback(50).train(100)
    run.checkpoint(31.0)
    run.end()
    assert sync(run.paths.root, uri).delivered
    assert restore("back1", step="best", out=tmp_path / "a", uri=uri, runs=runs).step == 150
    shutil.rmtree(run.paths.root)
    assert restore("back1", step="best", out=tmp_path / "b", uri=uri, runs=runs).step == 150
    assert restore("back1", step=100, out=tmp_path / "c", uri=uri, runs=runs).step == 100


def test_server_away_is_one_line(gone: MadeRun, runs: Path, tmp_path: Path) -> None:
    with raises(messages.SERVER_UNUSABLE, server="http://127.0.0.1:9", kind="unreachable"):
        restore(gone.run_id, out=tmp_path / "out", uri="http://127.0.0.1:9", runs=runs)


def test_a_run_that_ended_while_mlflow_was_away_is_marked_until_sync_tells_its_end(
    run: MadeRun, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support.servers import client_of, the_run
    from vsrpp import cli

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    arguments = ["runs", "--run-dir", str(run.paths.root.parent)]
    assert cli.main(arguments) == 0
    assert "MLflow still shows" not in capsys.readouterr().out
    client_of(uri).update_run(the_run(uri, run.run_id).info.run_id, status="RUNNING")
    assert cli.main(arguments) == 0
    assert f"MLflow still shows {run.run_id} as running" in capsys.readouterr().out


def test_runs_of_the_server_are_ours_alone(run: MadeRun, uri: str) -> None:
    from tests.support.servers import client_of

    tool = client_of(uri).create_run("0")
    tag_as_tool(tool.info.run_id, uri)
    assert client_of(uri).get_run(tool.info.run_id).data.tags["vsrpp.kind"] == "tool"
    (row,) = server_runs(uri)
    assert (row["run_id"], row["state"], row["status"], row["step"]) == (run.run_id, "finished", "FINISHED", 200)
    assert row["best"] == {"step": 100, "psnr_y": 31.5, "key": "val/psnr_y", "value": 31.5}
