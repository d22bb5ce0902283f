"""`vsrpp export` on a trained run: what it prints, where it records, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.runs import open_in_process, train
from vsrpp.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Path:
    """A working directory with a finished run."""
    folder = tmp_path_factory.mktemp("export")
    train(open_in_process(folder / "runs", tiny_clip, max_steps=4, batch_size=2)[1])
    return folder


def test_the_document_is_the_report_which_the_run_folder_keeps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    words = ["export", "latest", "net.pt", "--to", "torchscript", "--frames", "2"]
    assert main([*words, "--benchmark", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["path"], said["network"], said["scale"]) == (str(folder / "net.pt"), "vsrpp", 2)
    assert said["bytes"] == (folder / "net.pt").stat().st_size and said["max_abs_difference"] <= said["limit"] == 1e-4
    assert len(said["sizes"]) == 3 and said["step"] == 4
    for name in ("torchscript", "pytorch"):
        assert said["benchmark"][name]["frames_per_s"] > 0 and said["benchmark"][name]["memory_bytes"] > 0
    assert said["recorded"]["mlflow"] is None, "there is no tracking store here"
    kept = json.loads(Path(said["recorded"]["report"]).read_text(encoding="utf-8"))
    assert kept == {key: value for key, value in said.items() if key != "recorded"}
    (run,) = (folder / "runs").iterdir()
    assert Path(said["recorded"]["report"]) == run / "exports" / "step_0000004_net.pt.json"
    assert main(words) == 2
    assert "net.pt already exists" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    printed = capsys.readouterr().out
    assert "vsrpp ×2 as torchscript, fp32, clips of 2 frames" in printed and "frames: (N, 2, 3, h, w) fp32" in printed


def test_a_server_that_is_down_is_a_warning_and_the_file_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main(["export", "latest", "net.safetensors", "--to", "safetensors"]) == 0
    assert "not recorded in MLflow: " in capsys.readouterr().err
    assert (folder / "net.safetensors").is_file()
