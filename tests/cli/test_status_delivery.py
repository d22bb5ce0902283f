"""`vsrpp status` reports pending uploads, the current upload, and what blocks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.delivering import delivered, lost, set_aside, uploading
from vsrpp import config, control
from vsrpp.cli import main
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    made = RunPaths(tmp_path / "runs" / "r1")
    made.root.mkdir(parents=True)
    run_config, live = config.defaults("demo")
    writer = RunWriter(made.run_db, "r1")
    writer.append("started", step=0, branch=0, revision=0, data={"run_config": run_config, "config": live}, at=1e9)
    writer.record(10, 0, {"loss/total": 0.5}, at=1e9)
    writer.set_state({"state": "training", "step": 10, "process": control.process_identity()})
    writer.close()
    return made


def said(paths: RunPaths, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["status", str(paths.root)]) == 0
    return capsys.readouterr().out


def test_a_lost_server_is_named_with_its_kind_its_age_and_what_it_means(
    paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    lost(paths, "disk_full", "No space left on device", for_s=245.0)
    text = said(paths, capsys)
    assert "tracking is behind: 2 rows, 0 artifacts" in text
    assert "disk full for 4 min 0" in text and ": No space left on device\n" in text
    assert "Free some space; delivery then continues." in text


def test_an_upload_is_told_with_its_size_its_progress_and_its_pace(
    paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    uploading(paths, "checkpoint 10", 500_000_000, 2_000_000_000)
    assert "uploading checkpoint 10: 25 %, 476.8 MiB of 1.9 GiB, " in said(paths, capsys)


def test_a_run_that_ended_without_telling_mlflow_says_how_to_tell_it(
    paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(paths)
    writer = RunWriter(paths.run_db, "r1")
    writer.append("finished", step=10, branch=0, revision=0)
    writer.set_state({"state": "finished", "step": 10})
    writer.close()
    delivered_rows_only(paths)
    assert "MLflow still shows it as running. Report the end: vsrpp sync r1" in said(paths, capsys)


def test_what_was_set_aside_is_told_and_nothing_where_all_is_there(
    paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    delivered(paths)
    text = said(paths, capsys)
    assert not any(word in text for word in ("tracking is behind", "uploading", "set aside", "sync"))
    set_aside(paths, "param/run/data", "it was changed")
    assert "1 set aside: it was changed" in said(paths, capsys)


def delivered_rows_only(paths: RunPaths) -> None:
    from vsrpp.store import Marks

    marks = Marks(paths.delivery_db)
    for sink in ("mlflow", "mlflow.artifacts", "mlflow.timeline"):
        marks.advance(sink, event_seq=2)
    marks.close()
