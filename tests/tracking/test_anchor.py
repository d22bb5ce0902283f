"""`history --verify` against the head that MLflow has, the anchor that is not on the trainer's disk."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.keys import write_key
from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from tests.support.servers import client_of, the_run
from tests.support.waiting import free_port
from vsrpp import control
from vsrpp.cli import main, messages
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunReader
from vsrpp.store.chain import genesis, link
from vsrpp.store.signing import read_signer, read_verifier
from vsrpp.tracking.anchor import DeliveredRun, delivered, server_head
from vsrpp.tracking.rebuild import rebuild
from vsrpp.tracking.sync import sync


@pytest.fixture
def run(runs: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    """A run that ended and is on the server."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")  # a command changes it for its process
    made = made_run(runs)
    assert sync(made.paths.root, uri).delivered
    return made


def verified(capsys: pytest.CaptureFixture[str], run: RunPaths, *options: str) -> tuple[int, dict[str, Any], str]:
    capsys.readouterr()
    code = main(["history", str(run.root), "--verify", "--json", *options])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def of_mlflow(document: dict[str, Any]) -> dict[str, Any]:
    (row,) = (row for row in document["anchors"] if row["where"] == "MLflow")
    return dict(row)


def forge(run: RunPaths) -> None:
    """Change the author of every event, and make the chain, its head and the manifests fit again."""
    events, hashes = control.history(run), {}
    previous = genesis(run.run_id)
    with sqlite3.connect(run.run_db) as db:
        for event in events:
            previous = link(previous, Event(**{**event.to_json(), "author": "mallory"}))
            hashes[event.seq] = previous
            db.execute("UPDATE events SET author = 'mallory', hash = ? WHERE seq = ?", (previous, event.seq))
    for step in control.checkpoint_steps(run):
        manifest = json.loads(run.checkpoint(step).manifest.read_text())
        manifest["chain"]["hash"] = hashes[manifest["chain"]["seq"]]
        run.checkpoint(step).manifest.write_text(json.dumps(manifest))


def test_a_whole_record_agrees_with_mlflow(run: MadeRun, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, _ = verified(capsys, run.paths)
    assert (code, document["holds"]) == (0, True)
    assert of_mlflow(document) == {"where": "MLflow", "seq": document["events"], "agrees": True, "why": None}
    assert main(["history", str(run.paths.root), "--verify"]) == 0
    said = capsys.readouterr().out
    assert f"anchors: 2 manifests of local checkpoints; MLflow has the head at event {document['events']}" in said


def test_a_record_forged_as_a_whole_contradicts_mlflow(run: MadeRun, capsys: pytest.CaptureFixture[str]) -> None:
    forge(run.paths)
    assert control.verify(run.paths).ok, "nothing on this host contradicts it"
    code, document, said = verified(capsys, run.paths)
    assert (code, document["holds"], of_mlflow(document)["agrees"]) == (6, False, False)
    assert f"event {document['events']} does not match the anchor in MLflow" in said
    assert verified(capsys, run.paths, "--local")[0] == 0


def test_events_cut_off_on_this_host_are_missed(run: MadeRun, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(run.paths.run_db) as db:
        (last,) = db.execute("SELECT max(seq) FROM events").fetchone()
        db.execute("DELETE FROM events WHERE seq = ?", (last,))
        db.execute("UPDATE meta SET value = ? WHERE key = 'head'", (str(last - 1),))
    code, document, said = verified(capsys, run.paths)
    assert (code, document["holds"], document["broken_at"]) == (6, False, last)
    assert f"event {last} is missing: it is anchored in MLflow" in said


def test_a_server_that_cannot_be_asked_is_said_and_no_failure(
    run: MadeRun, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = Marks(run.paths.delivery_db)
    fact = marks.fact("mlflow_run")
    nowhere = f"http://127.0.0.1:{free_port()}"
    client_of(uri).delete_tag(fact["run_id"], "vsrpp.chain_head")
    for place, why in (
        (nowhere, "cannot be used"),
        (uri, "has no vsrpp.chain_head"),
        (f"{uri}2", "No tracking database"),
    ):
        marks.set_fact("mlflow_run", {**fact, "uri": place})
        code, document, _ = verified(capsys, run.paths)
        assert (code, document["holds"]) == (0, True)
        told = of_mlflow(document)
        assert (told["agrees"], told["seq"]) == (None, None)
        assert why in told["why"]
    marks.close()


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        run = DeliveredRun(mlflow_run_id="a" * 32, uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert server_head(run, timeout_s=0.2).why == "no answer within 0.2 s"
        assert time.monotonic() - began < 10


def test_a_run_that_was_never_uploaded_asks_nobody(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_run(runs)
    assert delivered(made.paths) is None
    assert main(["history", str(made.paths.root), "--verify"]) == 0
    said = capsys.readouterr()
    assert "MLflow was not asked: nothing was uploaded yet" in said.out
    assert said.err == ""


def test_the_password_comes_from_the_environment_if_the_server_is_the_same(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run(runs)
    marks = Marks(run.paths.delivery_db)
    marks.set_fact("mlflow_run", {"run_id": "r", "experiment_id": "1", "uri": "http://ann@h"})
    marks.close()
    for given, used in (("http://ann:pw@h", "http://ann:pw@h"), ("http://ann:pw@elsewhere", "http://ann@h")):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
        assert delivered(run.paths) == DeliveredRun(mlflow_run_id="r", uri=used)


@pytest.mark.parametrize("option", [("--key", "public.pem"), ("--local",)])
def test_an_option_of_the_verification_needs_it(option: tuple[str, ...], runs: Path) -> None:
    from vsrpp.cli import status

    made = made_run(runs)
    key = Path(option[1]) if len(option) > 1 else None
    with raises(messages.VERIFY_MISSING, option=option[0]):
        status.show_history(
            str(made.paths.root),
            verify=False,
            key=key,
            local=key is None,
            after=0,
            limit=None,
            run_dir=runs,
            as_json=False,
        )


def test_signatures_survive_the_loss_of_the_folder(
    runs: Path, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = write_key(tmp_path / "key.pem")
    made = made_run(runs, signer=read_signer(tmp_path / "key.pem"))
    assert sync(made.paths.root, uri).delivered
    with RunReader(made.paths.run_db) as reader:
        before = reader.signatures()
    made.paths.root.rename(tmp_path / "elsewhere")
    rebuilt = rebuild(made.run_id, uri, runs).paths
    with RunReader(rebuilt.run_db) as reader:
        assert reader.signatures() == before
    assert control.verify_signatures(rebuilt, read_verifier(public)).ok
    code, document, _ = verified(capsys, rebuilt, "--local", "--key", str(public))
    assert code == 0
    assert document["signatures"] == {
        "key": read_verifier(public).public_key, "valid": True, "events": len(before), "manifests": 2,
    }  # fmt: skip
    there = the_run(uri, made.run_id).info.run_id
    assert "signatures.json" in {file.path for file in client_of(uri).list_artifacts(there)}
