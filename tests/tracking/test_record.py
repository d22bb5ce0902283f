"""The record, read back from the tracking server alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from tests.support.servers import Server, client_of, the_run
from vsrpp.errors import ProofFailed
from vsrpp.store import Event, RunReader, verify_chain
from vsrpp.tracking import messages
from vsrpp.tracking.record import fetch
from vsrpp.tracking.sync import sync


def turned(runs: Path, run_id: str = "turned1") -> MadeRun:
    """A run with two rollbacks, one in the same millisecond as its last row."""
    run = MadeRun(runs / run_id, run_id).start().train(40)
    run.event("config_refused", {"errors": []}, origin="mlflow", reason="line\u2028break \x85 and \u00e4\n\u2705")
    run.validate(30.0)
    run.writer.record(40, 0, {"grad_clip": float("inf"), "lr_factor": float("nan")}, at=run.tick())
    run.rollback(20).train(40)
    run.validate(31.0)
    left, run.now = run.step, run.tick() - 0.125
    run.writer.record(left, 1, {"val/ssim_y": 0.5}, at=run.now)
    run.step, run.branch, run.revision = 40, 2, 2
    data = {"from_step": left, "to_step": 40, "to_seq": 1, "from_branch": 1, "changes": []}
    run.writer.append("config_reverted", step=40, branch=2, revision=2, data=data, at=run.now)
    run.train(30).validate(32.0)
    return run.end()


def same(then: dict[tuple[int, int, str], float], now: dict[tuple[int, int, str], float]) -> bool:
    return {key: repr(value) for key, value in then.items()} == {key: repr(value) for key, value in now.items()}


def assert_whole(run: MadeRun, uri: str, folder: Path) -> None:
    run_id, events, rows, start = fetch(run.run_id, uri, folder)
    with RunReader(run.paths.run_db) as reader:
        assert events == list(reader.events())
        wanted = {(row.branch, row.step, row.key): row.value for row in reader.metrics()}
    assert same(wanted, rows)
    assert (run_id, start) == (run.run_id, None)
    assert verify_chain(events, run_id).ok


def test_events_and_rows_come_back_as_they_were_written(runs: Path, uri: str, tmp_path: Path) -> None:
    run = turned(runs)
    assert sync(run.paths.root, uri).delivered
    assert_whole(run, uri, tmp_path / "start")
    _, _, rows, _ = fetch("turned", uri, tmp_path / "start", ("val/", "lr"))
    assert {key.split("/")[0] for _, _, key in rows} == {"val", "lr", "lr_factor"}


@pytest.mark.slow
def test_the_same_over_http(runs: Path, shared_server: Server, tmp_path: Path) -> None:
    run = turned(runs)
    assert sync(run.paths.root, shared_server.uri).delivered
    assert_whole(run, shared_server.uri, tmp_path / "start")


def test_the_start_of_a_run_that_continued_another_is_fetched(runs: Path, uri: str, tmp_path: Path) -> None:
    run = MadeRun(runs / "child1", "child1")
    run.step = 100
    run.start(parent={"run_id": "ab12", "step": 100})
    start = run.checkpoint()
    run.train(50)
    run.checkpoint()
    run.end()
    assert sync(run.paths.root, uri).delivered
    content = start.model.read_bytes()
    shutil.rmtree(run.paths.root)
    _, _, _, fetched = fetch("child1", uri, tmp_path / "start")
    assert fetched is not None
    assert fetched.model.read_bytes() == content


def test_a_changed_timeline_is_no_record(runs: Path, uri: str, tmp_path: Path) -> None:
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    there, client = the_run(uri, run.run_id), client_of(uri)
    file = tmp_path / "timeline.jsonl"
    lines = Path(client.download_artifacts(there.info.run_id, file.name, str(tmp_path))).read_text().split("\n")
    changed = json.loads(lines[1])
    changed["data"]["changes"][0]["new"] = 3e-4
    for text, why in (
        ([lines[0], json.dumps(changed), *lines[2:]], "event 2 .config_applied. was changed or inserted"),
        (lines[:3], "event 8 is missing: it is anchored in the MLflow run"),
        ([lines[0], "{torn"], "cannot be read"),
    ):
        file.write_text("\n".join(text))
        client.log_artifact(there.info.run_id, str(file))
        with pytest.raises(ProofFailed, match=why):
            fetch(run.run_id, uri, tmp_path / "start")


def test_a_run_without_a_timeline_is_not_ours(uri: str, tmp_path: Path) -> None:
    foreign = client_of(uri).create_run("0").info.run_id
    with raises(messages.NO_TIMELINE, mlflow_run=foreign, file="timeline.jsonl"):
        fetch(foreign, uri, tmp_path)


def test_every_field_of_an_event_is_in_the_timeline(runs: Path, uri: str, tmp_path: Path) -> None:
    run = made_run(runs)
    assert sync(run.paths.root, uri).delivered
    there = the_run(uri, run.run_id)
    path = client_of(uri).download_artifacts(there.info.run_id, "timeline.jsonl", str(tmp_path))
    assert {tuple(json.loads(line)) for line in Path(path).read_text().split("\n") if line} == {tuple(Event.__slots__)}
