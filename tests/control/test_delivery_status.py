"""The kinds of upload failures are distinguished, and each has its own sentence."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.delivering import delivered, lost, set_aside, uploading
from vsrpp import config, control
from vsrpp.control.delivery_status import KINDS
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter
from vsrpp.texts import LANGUAGES, Texts
from vsrpp.tracking.failures import KINDS as FAILURES


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A live run with two events and a row, all five minutes old."""
    made = RunPaths(tmp_path / "r1")
    made.root.mkdir()
    run_config, live = config.defaults("demo")
    writer = RunWriter(made.run_db, "r1")
    at = time.time() - 300
    writer.append("started", step=0, branch=0, revision=0, data={"run_config": run_config, "config": live}, at=at)
    writer.record(10, 0, {"loss/total": 0.5}, at=at)
    files = {"size_bytes": 2_000_000, "metrics": {}, "path": "checkpoints/step_0000010"}
    writer.append("checkpoint_saved", step=10, branch=0, revision=0, data=files, at=at)
    writer.set_state({"state": "training", "step": 10, "process": control.process_identity()})
    writer.close()
    return made


def left_of(paths: RunPaths) -> dict[str, Any]:
    return control.status(paths)["backlog"]


@pytest.mark.parametrize("kind", FAILURES)
def test_every_failure_that_delivery_tells_apart_is_a_trouble_with_its_age_and_words(
    paths: RunPaths, kind: str
) -> None:
    lost(paths, kind, "what the server said", for_s=245.0)
    left = left_of(paths)
    assert (left["trouble"], left["error"]) == (kind, "what the server said")
    assert 245.0 <= left["lost_s"] < 1000.0
    assert kind in KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_trouble_has_a_word_and_a_meaning_in_both_languages(kind: str) -> None:
    for key in (f"trouble.{kind}", f"means.{kind}"):
        assert len({Texts(language)(key, run="r1") for language in LANGUAGES}) == 2, key


def test_a_backlog_that_grows_old_without_a_failure_is_slow_while_the_run_lives(paths: RunPaths) -> None:
    left = left_of(paths)
    assert (left["trouble"], left["lost_s"]) == ("slow", None)
    assert left["age_s"] >= 300


def test_what_a_run_that_is_over_left_is_undelivered(paths: RunPaths) -> None:
    writer = RunWriter(paths.run_db, "r1")
    writer.append("finished", step=10, branch=0, revision=0, at=time.time() - 60)
    writer.set_state({"state": "finished", "step": 10})
    writer.close()
    left = left_of(paths)
    assert (left["trouble"], left["end_due"]) == ("undelivered", True)


def test_what_is_all_delivered_is_no_trouble(paths: RunPaths) -> None:
    delivered(paths)
    left = left_of(paths)
    assert (left["trouble"], left["rows"], left["artifacts"]) == (None, 0, 0)


def test_a_long_upload_alone_is_no_trouble_and_its_pace_is_known(paths: RunPaths) -> None:
    from vsrpp.store import Marks

    marks = Marks(paths.delivery_db)
    marks.advance("mlflow", metric_id=10**6, event_seq=10**6)
    marks.advance("mlflow.timeline", event_seq=10**6)
    marks.close()
    uploading(paths, "checkpoint 10", 500_000, 2_000_000, for_s=10.0)
    left = left_of(paths)
    assert (left["trouble"], left["rows"], left["artifacts"]) == (None, 0, 1)
    going = control.upload(left)
    assert going is not None
    assert (going["what"], going["share"]) == ("checkpoint 10", 0.25)
    assert 500 < going["bytes_per_s"] <= 50_000


def test_an_upload_that_has_only_begun_has_no_pace() -> None:
    said = {"what": "checkpoint 1", "bytes": 0, "done_bytes": 0, "since": 100.0}
    assert control.upload({"uploading": said}, now=100.2) == {
        "what": "checkpoint 1", "bytes": 0.0, "done_bytes": 0.0, "share": 0.0, "bytes_per_s": None,
    }  # fmt: skip
    assert control.upload({"uploading": None}) is None


def test_what_was_set_aside_is_counted_with_the_newest_reason(paths: RunPaths) -> None:
    delivered(paths)
    set_aside(paths, "metric/loss/total/10/0", "first")
    set_aside(paths, "param/run/data", "changed param")
    left = left_of(paths)
    assert (left["set_aside"], left["set_aside_why"], left["trouble"]) == (2, "changed param", None)
