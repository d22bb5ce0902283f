"""`vsrpp compare`: exit codes, one JSON document, a page, a picture, and both on the newest run in MLflow."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.servers import artifact_paths
from vsrpp.cli import main
from vsrpp.tracking.sync import sync


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs; the reason of an edit in the second contains markup."""
    folder = tmp_path / "runs"
    folder.mkdir()
    made_run(folder, "aa11" * 8)
    MadeRun(folder / ("bb22" * 8), "bb22" * 8).start().train(100).edit("max_lr", 3e-4, "<b>bold</b>").train(
        100
    ).validate(32.0).end()
    monkeypatch.setenv("VSRPP_RUNS", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.mark.parametrize(
    ("targets", "code", "said"),
    [
        (["aa11"], 2, "needs two or more runs"),
        (["aa11", "aa11"], 2, "is given twice: give each run once"),
        (["aa11", "bb22", "aa11"], 2, "is given twice"),
        (["aa11", "nowhere"], 3, "No run nowhere in"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    runs: Path, targets: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *targets]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_json_is_one_document(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "aa11", "bb22", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["run_id"][:4] for row in found["runs"]] == ["aa11", "bb22"]
    assert found["parted"]["live_config_step"] == 100
    assert {"run_config", "live_config", "interventions", "results"} <= found.keys()


def test_the_tables_can_be_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "aa11", "bb22"]) == 0
    out = capsys.readouterr().out
    assert "live configs differ  from step 100" in out
    assert "1.50e-04, 2.00e-04 from 100" in out
    assert "31.50 dB @ 100" in out
    assert all(line == line.rstrip() and len(line) < 140 for line in out.splitlines())


def test_page_and_picture(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, picture = tmp_path / "c.html", tmp_path / "c.png"
    assert main(["compare", "aa11", "bb22", "--html", str(page), "--png", str(picture)]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text()
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text
    assert text.count("<svg") == 1
    assert not any(word in text for word in ("<script", "src=", 'href="http'))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert struct.unpack(">II", picture.read_bytes()[16:24])[0] > 1000


def test_a_page_that_cannot_be_written_is_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "aa11", "bb22", "--html", "/nonexistent/c.html"]) == 1
    assert capsys.readouterr().err == "vsrpp: /nonexistent/c.html cannot be written: no such folder: /nonexistent.\n"


@pytest.mark.slow
def test_a_run_whose_folder_is_gone_comes_from_the_server_and_the_page_goes_there(
    runs: Path,
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["compare", "aa11", "bb22", "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    for folder in runs.iterdir():
        assert sync(folder, uri).delivered
    shutil.rmtree(runs / ("bb22" * 8))
    capsys.readouterr()
    assert main(["compare", "aa11", "bb22", "--json", "--log-artifact"]) == 0
    there = json.loads(capsys.readouterr().out)
    assert there["runs"][1].pop("source") == uri
    here["runs"][1].pop("source")
    assert there == here
    newest = max(here["runs"], key=lambda row: row["started"])["run_id"]
    assert sorted(artifact_paths(uri, newest, "comparison")) == [
        "comparison/comparison.html",
        "comparison/comparison.png",
    ]
