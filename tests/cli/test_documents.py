"""`--json` answers with exactly one document on standard output, whatever happens; sentences go to standard error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.made_runs import made_run
from tests.support.processes import environment, vsrpp
from tests.support.reasons import raises
from vsrpp import config, control
from vsrpp.cli import early, main, panel
from vsrpp.cli.json_output import one_document, print_json, release
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.control.messages import NO_CHECKPOINT_REF
from vsrpp.errors import NotFound, ProofFailed
from vsrpp.paths import RunPaths
from vsrpp.store import RunWriter
from vsrpp.tracking import registry


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """A finished run without a checkpoint, in ./runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("VSRPP_RUNS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    made = RunPaths(tmp_path / "runs" / "aa11bb22")
    made.root.mkdir(parents=True)
    run_config, live = config.defaults("demo")
    writer = RunWriter(made.run_db, "aa11bb22")
    writer.append("started", step=0, branch=0, revision=0, data={"run_config": run_config, "config": live}, at=1e9)
    writer.append("finished", step=10, branch=0, revision=0, at=1e9)
    writer.set_state({"state": "finished", "step": 10})
    writer.close()
    return made


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    code = main(list(words))
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


FAILURES = [
    (["--json", "statu"], 2, "refused.usage"),
    (["--json"], 2, "refused.usage"),
    (["status", "--json"], 2, "refused.usage"),
    (["status", "latest", "--json", "--wat"], 2, "refused.usage"),
    (["status", "latest", "again", "--json"], 2, "refused.usage"),
    (["set", "latest", "max_lr=1", "--wait", "-3", "--json"], 2, "refused.usage"),
    (["set", "latest", "max_lr=1", "--wait", "nan", "--json"], 2, "refused.usage"),
    (["set", "latest", "max_lr=1", "--base-revision", "1.5", "--json"], 2, "refused.usage"),
    (["status", "nope", "--json"], 3, "not_found"),
    (["--run-dir", "elsewhere", "status", "latest", "--json"], 3, "not_found"),
    (["--json", "--run-dir=elsewhere", "history", "latest"], 3, "not_found"),
    (["pause", "latest", "--json"], 4, "not_live"),
    (["set", "latest", "max_lr=2e-4", "--json"], 4, "not_live"),
    (["set", "latest", "max_lr=2e-4", "--dry-run", "--json"], 4, "not_live"),
    (["upscale", "latest", "nothing.mp4", "out.mp4", "--json"], 3, "not_found"),
    (["history", "latest", "--limit", "0", "--json"], 2, "refused.range"),
    (["restore", "latest", "--out", "runs", "--json"], 2, "refused.not_empty"),
    (["restore", "latest", "--step", "77", "--out", "new", "--json"], 3, "not_found.checkpoint"),
]


@pytest.mark.parametrize(("words", "code", "reason"), FAILURES, ids=str)
def test_a_failure_is_one_document_and_lines_on_standard_error(
    words: list[str], code: int, reason: str, run: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    status, document, said = answer(capsys, *words)
    assert (status, document["status"], document["code"]) == (code, "error", code)
    assert document["reason_code"] == reason or document["reason_code"].startswith(f"{reason}.")
    assert said == f"vsrpp: {document['message']}\n"


def test_a_refused_edit_keeps_its_own_document(run: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    status, document, said = answer(capsys, "set", "latest", "max_lr=1", "nfeat=3", "--dry-run", "--json")
    assert (status, document["status"], document["code"], document["reason_code"]) == (2, "refused", 2, "refused.range")
    assert [row["key"] for row in document["errors"]] == ["max_lr", "nfeat"]
    assert [line.split(" = ")[0] for line in said.splitlines()[:2]] == ["vsrpp: max_lr", "vsrpp: nfeat"]
    assert said.splitlines()[2].startswith("vsrpp: Still at revision 0")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("set latest max_lr", "refused.assignment"),
        ("set latest max_lr=2e-4 max_lr=3e-4", "refused.twice"),
        ("set latest max_lr=2e-4 --revert-if bad", "refused.probation_missing"),
        ("rollback latest --step x", "refused.checkpoint_ref"),
    ],
)
def test_what_is_refused_before_it_reaches_the_run_is_refused_in_the_command_s_document(
    words: str, reason: str, run: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    status, document, said = answer(capsys, *words.split(), "--json")
    assert (status, document["status"], document["code"], document["reason_code"]) == (2, "refused", 2, reason)
    assert document["revision"] is None
    assert said == f"vsrpp: {document['message']}\n"


def test_history_is_a_list_that_can_be_paged(run: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    everything = answer(capsys, "history", "latest", "--json")[1]
    assert [event["seq"] for event in everything] == [1, 2]
    assert answer(capsys, "history", "latest", "--json", "--limit", "1")[1] == everything[:1]
    assert answer(capsys, "history", "latest", "--json", "--after", "1")[1] == everything[1:]
    assert answer(capsys, "history", "latest", "--json", "--after", "2")[1] == []


def test_a_verified_history_says_whether_it_holds(run: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    head = control.history(run)[0].hash
    for step, anchor in ((5, head), (7, "0" * 64)):
        folder = run.checkpoint(step)
        folder.root.mkdir(parents=True)
        folder.manifest.write_text(json.dumps({"step": step, "branch": 0, "chain": {"seq": 1, "hash": anchor}}))
    status, document, said = answer(capsys, "history", "latest", "--verify", "--json")
    assert (status, document["holds"], document["broken_at"], document["code"]) == (6, False, 1, 6)
    assert document["reason_code"].startswith("proof_failed")
    assert "checkpoint 7" in said
    run.checkpoint(7).manifest.unlink()
    status, document, _ = answer(capsys, "history", "latest", "--verify", "--json")
    assert (status, document["holds"], document["events"], document["broken_at"]) == (0, True, 2, None)
    assert document["anchors"] == [{"where": "checkpoint 5", "seq": 1, "agrees": True, "why": None}]
    assert document["signatures"] is None


@pytest.mark.parametrize("damage", ["weights", "manifest"])
def test_an_evaluation_of_a_changed_checkpoint_keeps_its_document(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = made_run(tmp_path / "runs")
    newest = made.paths.checkpoint(200)
    file = newest.model_ema if damage == "weights" else newest.manifest
    file.write_bytes(b"[]")
    status, document, said = answer(capsys, "evaluate", str(newest.root), "--data", "sample", "--json")
    known = {"run_id": made.run_id, "step": 200} if damage == "weights" else {"run_id": None, "step": None}
    assert {key: document[key] for key in known} == known
    assert (status, document["code"], document["verified"]) == (6, 6, False)
    assert document["reason_code"].startswith("proof_failed.checkpoints")
    assert (document["psnr_y"], document["clips"]) == (None, [])
    assert said == f"vsrpp: {document['message']}\n"


def test_what_a_library_prints_does_not_reach_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with one_document():
        print("a link to nowhere")
        print_json({"identical": False})
        release(ProofFailed("it parted"))
    said = capsys.readouterr()
    assert json.loads(said.out) == {"identical": False, "code": 6, "reason_code": "proof_failed"}
    assert said.err == "a link to nowhere\n"
    with one_document():
        release(NotFound("no run", fields={"where": Path("x"), "nan": float("nan")}))
    assert json.loads(capsys.readouterr().out)["fields"] == {"where": "x", "nan": "nan"}


def test_runs_asks_no_server_when_told_so(run: RunPaths, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@192.0.2.1:1")
    assert main(["runs", "--local", "--json"]) == 0
    said = capsys.readouterr()
    assert [row["run_id"] for row in json.loads(said.out)] == ["aa11bb22"]
    assert said.err == ""


def test_what_is_bare_or_misspelt_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "usage: vsrpp" in capsys.readouterr().out
    assert main(["help", "set"]) == 0
    assert "usage: vsrpp set" in capsys.readouterr().out
    assert main(["statu"]) == 2
    assert "did you mean status?" in capsys.readouterr().err
    assert main(["set", "a", "b=1", "--wai", "3", "--reasn", "x"]) == 2
    assert "did you mean --reason?" in capsys.readouterr().err


BEFORE_ANYTHING_HEAVY = [
    (["upscale", "latest", "nothing.mp4", "out.mp4"], 3),
    (["upscale", "latest", "clip.mp4", "clip.mp4"], 2),
    (["evaluate", "latest", "--data", "nothing"], 3),
    (["evaluate", "bicubic", "--data", "clip.mp4", "--profile", "no/folder.png"], 1),
    (["restore", "latest", "--step", "77", "--out", "new"], 3),
    (["restore", "latest", "--out", "runs"], 2),
    (["promote", "latest@77", "--alias", "x"], 3),
    (["train", "--resume", "zzz"], 3),
    (["train", "--resume", "latest@77"], 3),
    (["train", "--data", "nothing"], 3),
    (["train", "--data", "nothing", "--check"], 3),
    (["train", "--from", "latest@77"], 3),
    (["replay", "zzz"], 3),
    (["compare", "latest", "zzz", "--html", "no/folder.html"], 1),
    (["data", "nothing"], 3),
    (["data", "clip.mp4", "--sheet", "clip.mp4"], 2),
    (["runs", "--local"], 0),
]


def test_what_a_look_at_the_disk_refuses_needs_neither_torch_nor_mlflow(run: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    script = tmp_path / "look.py"
    script.write_text(
        "import json, sys\nfrom vsrpp.cli import main\n"
        f"for words, code in json.loads({json.dumps(json.dumps(BEFORE_ANYTHING_HEAVY))}):\n"
        "    assert main(words) == code, words\n"
        "    assert not {'torch', 'mlflow'} & sys.modules.keys(), words\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("step", ["2e1", "2_0", "20.0", "revision:2e0"])
def test_a_step_may_be_written_like_any_other_whole_number(step: str) -> None:
    assert CheckpointRef.parse(step) == CheckpointRef.parse("revision:2" if step.startswith("rev") else "20")


@pytest.mark.parametrize("step", ["1e99", "-1", "1.5", "nan", "_1", "１"])
def test_what_is_no_step_is_refused(step: str) -> None:
    with raises(NO_CHECKPOINT_REF, ref=step):
        CheckpointRef.parse(step)


@pytest.mark.parametrize("port", ["-1", "65536", "1e99", "http"])
def test_a_port_that_cannot_be_is_refused(
    port: str, run: RunPaths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel, "ui_package", pytest.fail)
    assert main(["panel", f"--port={port}"]) == 2
    assert main(["tensorboard", "latest", f"--port={port}"]) == 2
    assert capsys.readouterr().err.count("argument --port: must be ") == 2


def test_a_parameter_given_as_an_option_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, hint in (("--lr", "--set max_lr=VALUE"), ("--n-feats", "--set n_feats=VALUE"), ("--devics", "--devices"),
                       ("--batch-size", "--set batch_size=VALUE"), ("--resme", "--resume")):  # fmt: skip
        assert main(["train", flag, "3"]) == 2
        assert f"did you mean {hint}?" in capsys.readouterr().err
    assert main(["status", "latest", "--lr", "3"]) == 2
    assert "--set" not in capsys.readouterr().err


def test_promote_announces_the_server_it_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_run(tmp_path, "cd34" * 8)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    monkeypatch.setattr(registry, "promote", lambda *_, **__: pytest.fail("asked", pytrace=False))
    with pytest.raises(pytest.fail.Exception, match="asked"):
        main(["promote", "cd34", "--alias", "x", "--run-dir", str(tmp_path)])
    assert capsys.readouterr().err == "asking the tracking server http://mlflow.example …\n"


def test_completion_is_a_script_of_the_shell(tmp_path: Path) -> None:
    for shell, sign in (("bash", "complete "), ("zsh", "#compdef vsrpp"), ("fish", "complete -c vsrpp")):
        done = vsrpp(tmp_path, "completion", shell)
        assert (done.returncode, done.stderr) == (0, "")
        assert sign in done.stdout
        assert "rollback" in done.stdout


COMPLETED = {
    "vsrpp ro": ["rollback"],
    "vsrpp --json st": ["status", "stop"],
    "vsrpp rollback latest --s": ["--step"],
    "vsrpp train --preset ": ["demo", "base", "large"],
    "vsrpp help comp": ["compare", "completion"],
    "vsrpp data cl": ["clip.mp4"],
    "vsrpp compare cl": ["clip.mp4"],
    "vsrpp upscale latest cl": ["clip.mp4"],
}


def test_bash_completes_commands_options_choices_and_files(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "vsrpp.bash").write_text(vsrpp(tmp_path, "completion", "bash").stdout)
    script = """source ./vsrpp.bash
complete -p vsrpp >/dev/null || exit 1
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "$line"; [[ "$line" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMPREPLY=()
    _shtab_vsrpp vsrpp "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    echo "${COMPREPLY[*]}"
done"""
    done = subprocess.run(
        ["bash", "-c", script],
        input="\n".join(COMPLETED) + "\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert dict(zip(COMPLETED, map(str.split, done.stdout.splitlines()), strict=True)) == COMPLETED, done.stderr


def test_the_address_of_a_server_is_told_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    early.asking("http://ann:secret@mlflow.example:5000")
    said = capsys.readouterr()
    assert said.err.startswith("asking the tracking server http://")
    assert "mlflow.example:5000" in said.err
    assert "secret" not in said.err
    assert said.out == ""
