"""Every pair of options has an effect or is refused in one line; a new option without a row here fails.

For `train` the options go the whole way to the places where something is started, which only note what they are given.
"""

from __future__ import annotations

import io
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.runs import open_in_process, train
from vsrpp import models
from vsrpp.cli import main
from vsrpp.cli.parser import build
from vsrpp.cli.table import COMMANDS, TRAIN, command
from vsrpp.cli.train import train as train_command
from vsrpp.data.survey import Survey
from vsrpp.errors import VsrppError
from vsrpp.launch import supervisor, train_job
from vsrpp.paths import RunPaths
from vsrpp.plugins import trust
from vsrpp.training import resume, start

Outcome = dict[str, Any] | str
"""What would be started, or why not."""

TRAIN_OPTIONS: dict[str, list[str]] = {
    "--preset": ["base"],
    "--config": ["more.yaml"],
    "--data": ["tiny.mkv"],
    "--set": ["max_lr=3e-4"],
    "--plugin": ["extra.py"],
    "--trust-code": ["0" * 64],
    "--allow-changed-code": [],
    "--from": ["latest"],
    "--resume": ["latest"],
    "--max-steps": ["77"],
    "--max-hours": ["5"],
    "--cost-per-hour": ["2"],
    "--deliver-to": ["http://127.0.0.1:9"],
    "--experiment": ["films"],
    "--check": [],
    "--json": [],
    "--no-panel": [],
    "--no-tensorboard": [],
    "--no-token": [],
    "--devices": ["2"],
    "--nodes": ["2"],
    "--rendezvous": ["127.0.0.1:29511"],
    "--node-rank": ["1"],
    "--max-restarts": ["3"],
    "--tui": [],
    "--run-dir": ["others"],
}
"""One value of every option of `train` that differs from its default."""
NEED_ANOTHER = {
    "--trust-code": "--from", "--allow-changed-code": "--resume", "--json": "--check", "--nodes": "--rendezvous",
    "--rendezvous": "--nodes", "--max-restarts": "--devices",
}  # fmt: skip
"""Refused alone, and an option that they work with; `--node-rank` needs two."""
TRUE_ANYWAY = {
    ("--check", "--no-panel"), ("--check", "--no-tensorboard"), ("--check", "--no-token"), ("--no-panel", "--no-token")
}  # fmt: skip
"""The second asks for nothing to be started or asked for, and the first starts nothing that would."""

PLUGIN = """
from vsrpp.plugins import loss_term


@loss_term(name="extra", label="extra", colour="#123456")
def term(pred, truth):
    return (pred - truth).abs().mean()
"""


class Started(Exception):
    """Ends a command where something would be started."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Path:
    """A working directory with a finished run in `runs`, a copy of it in `others`, and files to name."""
    folder = tmp_path_factory.mktemp("pairs")
    train(open_in_process(folder / "runs", tiny_clip, max_steps=4, batch_size=2)[1])
    shutil.copytree(folder / "runs", folder / "others")
    shutil.copy(tiny_clip, folder / "tiny.mkv")
    (folder / "more.yaml").write_text("log_every: 7\n", encoding="utf-8")
    (folder / "extra.py").write_text(PLUGIN, encoding="utf-8")
    return folder


@pytest.fixture
def outcome(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Outcome]]:
    """What `vsrpp train` with these words would start, with which values, or the refusal."""
    seen: dict[str, Any] = {}
    parser = build()

    def noting(name: str, *keys: str, end: bool = False) -> Callable[..., Any]:
        def note(*values: Any, **named: Any) -> Any:
            given = {**dict(zip(keys, values, strict=False)), **named}
            seen[name] = {key: _plain(value) for key, value in given.items()}
            if end:
                raise Started
            run_config = given.get("run_config") or {"name": None}
            return SimpleNamespace(
                paths=RunPaths(folder / "new"), run_config=run_config, finish=lambda _: None, follow=lambda _: None,
                data=SimpleNamespace(samples_per_epoch=1, val=[], val_frames=(0, 0), survey=Survey()),
            )  # fmt: skip

        return note

    monkeypatch.chdir(folder)
    monkeypatch.setattr(trust, "allow", noting("trust", "sha256s"))
    monkeypatch.setattr(start, "prepare_new", noting("new", "run_config", "live"))
    monkeypatch.setattr(resume, "prepare_resume", noting("resume", "folder"))
    monkeypatch.setattr(train_job.Delivery, "start", noting("delivery"))
    monkeypatch.setattr(train_job, "Sidecars", noting("sidecars", "paths", end=True))
    monkeypatch.setattr(train_job, "dry_run", noting("check", "run_config", "live", end=True))
    monkeypatch.setattr(supervisor, "run", noting("ranks", "plan", "command", end=True))
    monkeypatch.setattr(models, "step_cost", lambda _: SimpleNamespace(parameters=1, flops=1, memory_bytes=1))
    monkeypatch.setattr(models, "exact", lambda _: True)
    monkeypatch.setattr("vsrpp.cli.console.Console.begin", lambda *_: None)

    def run(*words: str) -> Outcome:
        seen.clear()
        monkeypatch.setattr(sys, "stdin", _Terminal())  # here: pytest's own are put back between fixture and test
        monkeypatch.setattr(sys, "stdout", _Terminal())
        fields = vars(parser.parse_args(["train", *words]))
        del fields["entry"], fields["starts_ranks"]
        try:
            train_command(command_line=["train", *words], **fields)
        except Started:
            return dict(seen)
        except VsrppError as error:
            return str(error)
        raise AssertionError("nothing was started")

    yield run


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _plain(value: Any) -> Any:
    """What can be compared between two calls."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    same_only_as_itself = callable(value) or type(value).__eq__ is object.__eq__
    return type(value).__name__ if same_only_as_itself and value is not None else value


def words_of(flag: str) -> list[str]:
    return [flag, *TRAIN_OPTIONS[flag]]


def test_every_option_of_train_is_tried() -> None:
    assert set(TRAIN_OPTIONS) == {option.flag for option in TRAIN.all_options()}


def test_every_pair_of_train_has_an_effect_or_is_refused_in_one_line(outcome: Callable[..., Outcome]) -> None:
    alone = {flag: outcome(*words_of(flag)) for flag in TRAIN_OPTIONS}
    refused = {flag for flag, seen in alone.items() if isinstance(seen, str)}
    assert refused == {*NEED_ANOTHER, "--node-rank"}, "an option that is always refused proves nothing"
    for flag, partner in NEED_ANOTHER.items():
        assert not isinstance(outcome(*words_of(flag), *words_of(partner)), str), flag
    hosts = outcome(*words_of("--nodes"), *words_of("--rendezvous"), *words_of("--node-rank"))
    assert "node_rank=1" in str(hosts)
    again = {flag: outcome(*words_of(flag)) for flag in TRAIN_OPTIONS}
    assert again == alone, "what differs by itself would hide an option without effect"
    silent = []
    for one, other in itertools.combinations(TRAIN_OPTIONS, 2):
        together = outcome(*words_of(one), *words_of(other))
        if isinstance(together, str):
            assert "\n" not in together and together, (one, other)
            continue
        for flag, partner in ((one, other), (other, one)):
            if together == alone[partner] and (partner, flag) not in TRUE_ANYWAY:
                silent.append(f"{flag} has no effect with {partner}")
    assert not silent, "\n".join(silent)


# ---- the same parameter from several sides
def test_parent_then_preset_then_file_then_set(outcome: Callable[..., Outcome], folder: Path) -> None:
    """Each of these keys is set by the sources named in it, and the last of them holds."""
    (folder / "file.yaml").write_text("n_blocks: 7\nbatch_size: 5\ngrad_clip: 3.0\n", encoding="utf-8")
    seen = outcome("--from", "latest", "--preset", "base", "--config", "file.yaml", "--set", "batch_size=6")
    assert isinstance(seen, dict)
    run_config, live = seen["new"]["run_config"], seen["new"]["live"]
    assert (run_config["scale"], run_config["val_fraction"]) == (2, 0.2), "the parent's: presets agree on it"
    assert (run_config["n_feats"], live["max_lr"], run_config["preset"]) == (64, 1.5e-4, "base"), "the preset's"
    assert (run_config["n_blocks"], live["grad_clip"]) == (7, 3.0), "the file's"
    assert run_config["batch_size"] == 6
    (folder / "file.yaml").write_text("preset: large\nn_feats: 96\n", encoding="utf-8")
    seen = outcome("--from", "latest", "--config", "file.yaml")
    assert isinstance(seen, dict)
    run_config = seen["new"]["run_config"]
    assert (run_config["n_feats"], run_config["n_blocks"], run_config["scale"]) == (96, 16, 2)
    seen = outcome("--from", "latest")
    assert isinstance(seen, dict)
    assert (seen["new"]["run_config"]["n_feats"], seen["new"]["live"]["max_steps"]) == (4, 4)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--from", "latest", "--set", "pretrained=w.safetensors"], "with --from the weights come from the checkpoint"),
        (["--from", "latest", "--config", "weights.yaml"], 'pretrained = "w.pth" refused: with --from'),
        (["--from", "latest", "--set", "pretrained_partial=true"], "pretrained_partial = true refused: with --from"),
        (["--set", "max_steps=5", "--max-steps", "6"], "max_steps refused: set twice, to 5 and to 6."),
        (["--set", "preset=base", "--preset", "large"], 'preset refused: set twice, to "base" and to "large".'),
        (["--set", "data=a.mkv", "--data", "tiny.mkv"], 'data refused: set twice, to "a.mkv" and to "tiny.mkv".'),
        (["--set", "max_hours=5", "--max-hours", "none"], "max_hours refused: set twice, to 5 and to null."),
        (
            ["--resume", "latest", "--set", "max_steps=8", "--max-steps", "9"],
            "max_steps refused: set twice, to 8 and to 9.",
        ),
        (["--resume", "latest", "--set", "n_feats=8"], "--set n_feats cannot change a run that is resumed"),
    ],
)
def test_what_would_be_ignored_is_refused(
    outcome: Callable[..., Outcome], folder: Path, words: list[str], expected: str
) -> None:
    (folder / "weights.yaml").write_text("pretrained: w.pth\n", encoding="utf-8")
    said = outcome(*words)
    assert isinstance(said, str) and expected in said


def test_an_option_goes_before_the_file_even_where_it_removes_a_limit(
    outcome: Callable[..., Outcome], folder: Path
) -> None:
    (folder / "limits.yaml").write_text("max_hours: 5\ncost_per_hour: 2\n", encoding="utf-8")
    seen = outcome("--config", "limits.yaml", "--max-hours", "none")
    assert isinstance(seen, dict)
    assert [seen["new"]["run_config"][key] for key in ("max_hours", "cost_per_hour")] == [None, 2]
    assert isinstance(outcome("--from", "latest", "--set", "pretrained=none"), dict), "nothing is named by it"


def test_what_a_resume_is_given_reaches_the_run(outcome: Callable[..., Outcome]) -> None:
    seen = outcome("--resume", "latest", "--max-steps", "9", "--set", "max_hours=3", "--set", "max_lr=3e-4")
    assert isinstance(seen, dict)
    assert (seen["resume"]["limits"], seen["resume"]["edit"]) == ({"max_hours": 3}, {"max_lr": 3e-4, "max_steps": 9})


def test_ranks_that_are_started_again_do_not_repeat_the_edits_of_their_first_start(
    outcome: Callable[..., Outcome], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = (folder / "runs").iterdir()
    (folder / "note").write_text(str(run), encoding="utf-8")
    monkeypatch.setenv("VSRPP_ELASTIC_FILE", str(folder / "note"))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    new = ["--preset", "base", "--data", "tiny.mkv", "--set", "n_feats=8", "--max-steps", "9", "--max-hours", "4"]
    for words in (new, ["--resume", "latest", "--set", "max_steps=9", "--max-hours", "4"]):
        seen = outcome(*words)
        assert isinstance(seen, dict), seen
        assert (seen["resume"]["edit"], seen["resume"]["limits"]) == ({}, {"max_hours": 4})


# ---- the other commands
INDEPENDENT: dict[str, set[str]] = {
    "set": {"--reason", "--author", "--dry-run", "--base-revision", "--probation", "--revert-if", "--yes", "--wait"},
    "rollback": {"--step", "--revision", "--reason", "--author", "--yes", "--wait"},
    "history": {"--verify", "--key", "--local", "--after", "--limit"},
    "restore": {"--step", "--out"},
    "replay": {"--data", "--devices", "--trust-code", "--allow-changed-code"},
    "evaluate": {
        "--data", "--scale", "--degradation", "--start", "--count", "--profile", "--trust-code", "--frames", "--against",
        "--fail-if", "--by", "--suite", "--root", "--table", "--lpips-weights", "--dists-weights", "--tof", "--log",
    },
    "upscale": {
        "--codec", "--crf", "--fps", "--chunk", "--overlap", "--tile", "--tile-overlap", "--device", "--no-audio",
        "--trust-code", "--overwrite", "--deinterlace", "--pix-fmt", "--resume", "--strict", "--keep-going",
    },
    "export": {"--to", "--frames", "--windowed", "--fp16", "--benchmark", "--trust-code", "--overwrite"},
    "import-config": {"--gpus", "--overwrite"},
    "data": {"--sheet", "--overwrite", "--set", "--plugin", "--read-all"},
    "compare": {"--html", "--png", "--log-artifact"},
    "promote": {"--alias", "--name"},
    "panel": {
        "--host", "--port", "--auth", "--no-token", "--lang", "--with-parent", "--links", "--add-user", "--role",
        "--hash-auth",
    },
}  # fmt: skip
"""The options of the other commands with more than two. Each acts whatever the others are, except in the pairs below."""
EXCLUDED: list[tuple[list[str], str]] = [
    (["set", "latest", "max_lr=2e-4", "--dry-run", "--reason", "x"], "--dry-run sends nothing to the run: omit --reason."),
    (["set", "latest", "max_lr=2e-4", "--dry-run", "--author", "x"], "omit --author."),
    (["set", "latest", "max_lr=2e-4", "--dry-run", "--wait", "5"], "omit --wait."),
    (["set", "latest", "max_lr=2e-4", "--dry-run", "--probation", "0"], "probation = 0 refused"),
    (["set", "latest", "max_lr=2e-4", "--dry-run", "--probation", "5", "--revert-if", "x"], "revert-if 'x' refused"),
    (["set", "latest", "max_lr=2e-4", "--revert-if", "loss > 2x"], "--revert-if needs --probation STEPS."),
    (["rollback", "latest", "--step", "4", "--revision", "0"], "not allowed with argument"),
    (["data", "tiny.mkv", "--overwrite"], "--overwrite requires --sheet FILE."),
    (["data", "pack", "tiny.mkv", "out", "--sheet", "a.png"], "data pack writes no contact sheet"),
    (["data", "pack", "tiny.mkv", "out", "--read-all"], "--read-all has no effect on data pack"),
    (["history", "latest", "--key", "public.pem"], "--key belongs to --verify"),
    (["history", "latest", "--local"], "--local belongs to --verify"),
    (["panel", "--links", "--hash-auth", "people"], "one of"),
    (["panel", "--role", "viewer"], "--add-user"),
    (["panel", "--add-user", "anna"], "--auth"),
    (["evaluate", "--data", "tiny.mkv"], "give a run, a checkpoint, bicubic, or --frames DIR"),
    (["evaluate", "bicubic"], "give --data PATH, or --suite NAMES --root DIR"),
    (["evaluate", "bicubic", "--frames", "runs", "--data", "tiny.mkv"], "--frames refused: it stands in place of RUN"),
    (["evaluate", "bicubic", "--data", "tiny.mkv", "--suite", "vid4", "--root", "."], "--suite refused: --data names"),
    (["evaluate", "bicubic", "--suite", "vid4"], "--suite refused: it needs --root DIR"),
    (["evaluate", "bicubic", "--data", "tiny.mkv", "--root", "."], "--root refused: it is for --suite"),
    (["evaluate", "bicubic", "--data", "tiny.mkv", "--table", "latex"], "--table refused: it is for --suite"),
    (["evaluate", "bicubic", "--data", "tiny.mkv", "--fail-if", "psnr_y < 0"], "--fail-if refused: it needs --against"),
    (["evaluate", "latest", "--data", "tiny.mkv", "--against", "bicubic", "--by", "mean"], "--by refused: it is for"),
    (["evaluate", "bicubic", "--data", "tiny.mkv", "--log"], "--log refused: only a checkpoint has a model in MLflow"),
    (["evaluate", "--frames", "runs", "--data", "tiny.mkv", "--log"], "--log refused"),
    (["evaluate", "--frames", "runs", "--data", "tiny.mkv", "--profile", "a.png"], "--profile refused"),
    (["evaluate", "--frames", "runs", "--data", "tiny.mkv", "--degradation", "bd"], "--degradation refused"),
    *(
        (["evaluate", "bicubic", "--suite", "vid4", "--root", ".", *words], "a suite has its own protocol")
        for words in (["--scale", "4"], ["--start", "1"], ["--count", "2"], ["--profile", "a.png"])
    ),
    (["export", "latest", "o.safetensors", "--to", "safetensors", "--frames", "5"], "--frames refused: a safetensors file"),
    (["export", "latest", "o.safetensors", "--to", "safetensors", "--windowed"], "--windowed refused: a safetensors file"),
    (["export", "latest", "o.safetensors", "--to", "safetensors", "--benchmark"], "--benchmark refused: a safetensors"),
    (["export", "latest", "o.pt2", "--to", "pt2", "--windowed", "--frames", "6"], "with --windowed it must be odd"),
    (["upscale", "latest", "tiny.mkv", "out.mkv", "--codec", "ffv1", "--crf", "5"], "--crf refused: ffv1 has no quality"),
    (["upscale", "latest", "tiny.mkv", "out", "--crf", "5"], "--crf refused: png has no quality"),
    (["upscale", "latest", "tiny.mkv", "out.mkv", "--fps", "25"], "--fps refused: the input is a video"),
    (["upscale", "latest", "tiny.mkv", "out.mkv", "--strict", "--keep-going"], "--keep-going refused: --strict refuses"),
    (["upscale", "latest", "tiny.mkv", "out", "--codec", "h264"], "its name does not end in a video suffix"),
    (["upscale", "latest", "tiny.mkv", "out", "--pix-fmt", "yuv444p"], "frames in a folder are PNG files in RGB"),
    (["upscale", "latest", "tiny.mkv", "out.ma4"], "To write frames into a folder of this name, end it with /."),
]  # fmt: skip


def test_every_option_of_the_other_commands_is_judged() -> None:
    shared = {"--json", "--run-dir"}
    for spec in COMMANDS:
        options = {option.flag for option in spec.all_options() if option.flag} - shared
        if spec is not TRAIN and len(spec.options) > 2:
            assert INDEPENDENT.get(spec.name) == options, f"{spec.name}: judge the new option's pairs here"
    assert {command(words[0]).name for words, _ in EXCLUDED} <= set(INDEPENDENT)


@pytest.mark.parametrize(
    ("words", "expected"), EXCLUDED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_pair_without_effect_is_refused_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    monkeypatch.chdir(folder)
    assert main(words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert expected in said[-1] and len(said) == 1
