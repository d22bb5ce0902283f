"""Registry: an alias refers to a checkpoint, and every MLflow address returns the same bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.reasons import raises
from tests.support.servers import Server, client_of, models_of
from vsrpp.cli import main
from vsrpp.digests import file_sha256
from vsrpp.errors import NotFound, Refused
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.tracking import messages
from vsrpp.tracking.registry import promote
from vsrpp.tracking.sync import sync


@pytest.fixture
def run(runs: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> MadeRun:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    made = made_run(runs)
    assert sync(made.paths.root, uri).delivered
    return made


def weights(address: str, runs: Path) -> str:
    return file_sha256(checkpoint_folder(address, runs).model)


def test_an_alias_is_pointed_moved_and_moved_back(run: MadeRun, uri: str, runs: Path) -> None:
    first, second = (file_sha256(run.paths.checkpoint(step).model) for step in (100, 200))
    best = promote(run.run_id, "best", alias="champion", uri=uri)
    assert (best.step, best.version, best.previous_version, best.uri) == (100, 1, None, "models:/vsrpp@champion")
    assert weights("models:/vsrpp@champion", runs) == first
    newest = promote(run.run_id, "latest", alias="champion", uri=uri)
    assert (newest.step, newest.version, newest.previous_version) == (200, 2, 1)
    assert weights("models:/vsrpp@champion", runs) == second
    client_of(uri).set_registered_model_alias("vsrpp", "champion", "1")  # rolled back in the UI
    assert weights("models:/vsrpp@champion", runs) == first
    assert weights("models:/vsrpp/2", runs) == second
    assert weights(f"models:/{models_of(uri, run.run_id)[1].model_id}", runs) == second
    assert promote(run.run_id, 200, alias="challenger", uri=uri).version == 2, "no second version of one checkpoint"


def test_the_command_says_what_it_did(run: MadeRun, uri: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["promote", f"{run.run_id[:6]}@best", "--alias", "champion", "--run-dir", str(runs)]
    assert main(command) == 0
    assert f"✅ models:/vsrpp@champion is step 100 of run {run.run_id}, version 1\n" in capsys.readouterr().out
    shutil.rmtree(run.paths.root)
    assert main([*command, "--name", "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run_id": run.run_id, "step": 100, "name": "other", "version": 1, "alias": "champion",
        "model_id": models_of(uri, run.run_id)[0].model_id, "uri": "models:/other@champion", "previous_version": None,
    }  # fmt: skip
    assert main(["promote", f"{run.run_id}@130", "--alias", "champion", "--run-dir", str(runs)]) == 3
    assert "has no checkpoint at step 130; the nearest is step 100" in capsys.readouterr().err


def test_a_checkpoint_changed_on_the_server_is_not_promoted(
    run: MadeRun, uri: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(run.run_id, "best", alias="champion", uri=uri)
    newest = models_of(uri, run.run_id)[1]
    uploaded = Path(unquote(urlsplit(newest.artifact_location).path))
    (weights_file,) = uploaded.rglob("model_ema.safetensors")
    weights_file.write_bytes(b"other weights")
    assert main(["promote", run.run_id, "--alias", "champion", "--run-dir", str(runs), "--json"]) == 6
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document == {
        "run_id": run.run_id, "step": 200, "name": "vsrpp", "version": None, "alias": "champion", "model_id": None,
        "uri": None, "previous_version": None, "verified": False, "code": 6, "reason_code": messages.FILE_CHANGED.code,
        "message": messages.FILE_CHANGED.sentence(file="model_ema.safetensors", holds=messages.ALIAS_NOT_MOVED),
    }  # fmt: skip
    assert said.err.endswith(f"vsrpp: {document['message']}\n")
    assert client_of(uri).get_model_version_by_alias("vsrpp", "champion").version == 1
    assert len(client_of(uri).search_model_versions("name = 'vsrpp'")) == 1


@pytest.mark.parametrize("alias", ["v1", "latest", "a b", ""])
def test_an_alias_that_mlflow_does_not_take_is_refused(run: MadeRun, uri: str, alias: str) -> None:
    with raises(messages.ALIAS_REJECTED, name="vsrpp", alias=alias):
        promote(run.run_id, "best", alias=alias, uri=uri)


@pytest.mark.parametrize(
    ("address", "error", "why"),
    [
        ("models:/vsrpp@nobody", NotFound, "No models:/vsrpp@nobody on the tracking server"),
        ("models:/vsrpp/7", NotFound, "No models:/vsrpp/7 on the tracking server"),
        ("models:/m-0123", NotFound, "No models:/m-0123 on the tracking server"),
        ("models:/vsrpp", Refused, "give models:/m-…, models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/vsrpp/newest", Refused, "give models:/m-…, models:/NAME@ALIAS or models:/NAME/VERSION"),
    ],
)
def test_an_address_of_nothing_is_said_in_one_line(
    run: MadeRun, runs: Path, address: str, error: type[Exception], why: str
) -> None:
    with pytest.raises(error) as raised:
        checkpoint_folder(address, runs)
    assert why in str(raised.value)


def test_a_model_of_somebody_else_is_no_checkpoint(run: MadeRun, uri: str, runs: Path) -> None:
    model = client_of(uri).create_logged_model("0", name="foreign")
    with raises(messages.NOT_OUR_MODEL):
        checkpoint_folder(f"models:/{model.model_id}", runs)


@pytest.mark.slow
def test_the_same_over_http(runs: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    run = made_run(runs)
    assert sync(run.paths.root, server.uri).delivered
    assert promote(run.run_id, "best", alias="champion", uri=server.uri).version == 1
    assert weights("models:/vsrpp@champion", runs) == file_sha256(run.paths.checkpoint(100).model)
