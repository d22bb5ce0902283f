"""Every command, given a hostile run and secrets wherever an address can stand: nothing it prints or writes repeats them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.support.hostile import HOSTILE, SECRET, TRACKING, WEBHOOK, assert_safe, hostile_run
from vsrpp import safe_text
from vsrpp.cli import crash, main
from vsrpp.cli.table import COMMANDS
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

RUN = "a0" * 16
TYPOS = ["--deliver-too", TRACKING, f"--{HOSTILE}"]
EACH: dict[str, list[list[str]]] = {
    "train": [
        ["--preset", "demo", "--data", "sample", "--set", f"alerts_url={WEBHOOK}", "--set", "seed=x"],
        ["--preset", "demo", "--data", "sample", "--set", "alerts_url=hooks.example.com/S3cretHOOK"],
        ["--preset", "demo", "--data", "sample", "--set", f"alert_url={WEBHOOK}"],
        ["--preset", "demo", "--data", WEBHOOK], ["--data", HOSTILE], ["--from", "models:/x@y"], ["--from", WEBHOOK],
        ["--from", "http://S3cretTOKEN@host/S3cret"], ["--config", "secrets.yaml"], ["--config", f"{HOSTILE}.yaml"],
        ["--resume", "f" * 32],
    ],
    "runs": [[], ["--local"]],
    "status": [[RUN], ["f" * 32]],
    "config": [[RUN]],
    "history": [[RUN], [RUN, "--verify"]],
    "set": [[RUN, f"max_lr={WEBHOOK}"], [RUN, f"{HOSTILE}=1"], [RUN, "max_lr=1e-4", "--reason", TRACKING]],
    "pause": [[RUN]], "resume": [[RUN]], "validate": [[RUN]], "checkpoint": [[RUN]], "stop": [[RUN]],
    "rollback": [[RUN, "--step", "20"]],
    "restore": [[RUN, "--step", "best", "--out", "out"], ["f" * 32, "--out", "out2"]],
    "replay": [["f" * 32]],
    "evaluate": [
        [HOSTILE, "--data", WEBHOOK], [f"{RUN}@7"], ["--frames", HOSTILE, "--data", "sample"],
        ["bicubic", "--suite", HOSTILE, "--root", "."], ["bicubic", "--suite", "vid4", "--root", WEBHOOK],
        ["bicubic", "--data", "sample", "--against", HOSTILE], ["bicubic", "--data", "sample", "--lpips-weights", HOSTILE],
        ["bicubic", "--data", "sample", "--against", "bicubic", "--fail-if", HOSTILE],
    ],
    "export": [[RUN, HOSTILE, "--to", "onnx"], [HOSTILE, "x.onnx", "--to", "onnx"], [f"{RUN}@7", "x.pt2", "--to", "pt2"]],
    "upscale": [[HOSTILE, HOSTILE, "x.mp4"], ["models:/x@y", "sample", "x.mp4"]],
    "import-config": [[HOSTILE], [WEBHOOK], ["options.yml", "--overwrite"], ["options.py", "--overwrite"]],
    "data": [[HOSTILE], [WEBHOOK]],
    "plugins": [["--plugin", HOSTILE], ["--plugin", WEBHOOK]],
    "compare": [[RUN, RUN, "--html", "page.html"], [RUN, HOSTILE], [RUN, "f" * 32]],
    "backup": [[RUN, "copy.db"], [RUN, HOSTILE], [HOSTILE, "copy.tar"]],
    "rebuild": [[RUN], [HOSTILE], ["f" * 32]],
    "sync": [["f" * 32]],
    "promote": [[f"{RUN}@best", "--alias", HOSTILE]],
    "panel": [[HOSTILE]],
    "top": [[HOSTILE]],
    "tensorboard": [[HOSTILE]],
    "completion": [[HOSTILE]],
    "help": [[HOSTILE], [WEBHOOK]],
}  # fmt: skip
"""Command -> argument lists that show a run or repeat what they were given; none trains or serves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    hostile_run(root / "runs")
    hostile_run(root / "runs", "b1" * 16)
    (root / "secrets.yaml").write_text(
        f'alerts_url: "hooks.example.com/S3cretHOOK"\nseed: "{WEBHOOK}"\nno_such_url: "x/S3cretX"\n"k": "{TRACKING}"\n'
    )
    values = {
        "name": HOSTILE,
        "model_type": WEBHOOK,
        "num_gpu": TRACKING,
        HOSTILE: HOSTILE,
        "path": {"pretrain_network_g": WEBHOOK},
    }
    (root / "options.yml").write_text(json.dumps(values))
    lines = [f"{name} = {value!r}" for name, value in values.items() if name.isidentifier()]
    (root / "options.py").write_text(
        "\n".join([f"_base_ = {HOSTILE!r}", "scale = 4", *lines, f"x = open({WEBHOOK!r})"])
    )
    return root


@pytest.fixture(autouse=True)
def surroundings(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safe_text.forget()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", TRACKING)
    monkeypatch.setenv("VSRPP_RUNS", str(folder / "runs"))
    monkeypatch.setenv("VSRPP_CACHE", str(tmp_path / "cache"))
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_no_command_repeats_a_secret_or_steers_the_terminal(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = next(found for found in COMMANDS if found.name == command)
    with_json = [[*words, "--json"] for words in EACH[command]] if listed.json else []
    for words in [*EACH[command], *with_json, *([TYPOS] if command != "help" else [])]:
        main([command, *words])
        said = capfd.readouterr()
        assert said.out + said.err, f"{command} {words} says nothing"
        assert_safe(said.out + said.err, f"{command} {words}")
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file():
            assert_safe(file.read_text(errors="replace"), str(file))


def test_a_page_of_a_comparison_has_no_secret_and_no_raw_markup(folder: Path) -> None:
    assert main(["compare", RUN, "b1" * 16, "--html", "both.html"]) == 0
    page = (folder / "both.html").read_text()
    assert_safe(page.replace("\t", " "), "the page")
    assert "<img src=x>" not in page and "evil.example" in page


def test_what_a_hostile_run_says_is_shown_on_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", RUN]) == 0
    lines = capsys.readouterr().out.splitlines()
    (applied,) = [line for line in lines if "1.50e-04 → 2.00e-04" in line]
    assert "\\x1b]0;title\\x07" in applied and "\\r\\n2026-01-01" in applied and "\\u202e" in applied
    assert "[red]x[/red]" in applied, "rich's markup stays text"


def test_a_crash_file_is_for_its_owner_and_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["vsrpp", "train", "--set", f"alerts_url={WEBHOOK}", "--set", "alerts_url=hooks.example.com/S3cretHOOK",
             "--deliver-to", TRACKING, f"--deliver-to={TRACKING}", "--data", "/dev/\udcff"]  # fmt: skip
    monkeypatch.setattr("sys.argv", words)
    try:
        raise RuntimeError(f"cannot open {WEBHOOK}\n{HOSTILE}")
    except RuntimeError as error:
        line = crash.report(error)
    assert_safe(line, "the line")
    (file,) = (tmp_path / "cache" / "crashes").iterdir()
    assert str(file) in line and stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert_safe(text, "the file")
    assert "alerts_url=https://hooks.example.com/…" in text and "RuntimeError" in text


def test_a_record_keeps_no_secret_of_an_address(folder: Path) -> None:
    with RunReader(RunPaths(folder / "runs" / RUN).run_db) as reader:
        assert not any(SECRET.findall(str(event.to_json())) for event in reader.events())
        assert reader.verify().ok
