"""The parser's options are the parameters of the functions that run the commands."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from vsrpp.cli import (
    commands,
    compare,
    completion,
    data,
    evaluate,
    export,
    import_config,
    panel,
    parser,
    plugins,
    replay,
    restore,
    safekeeping,
    status,
    train,
    upscale,
)  # fmt: skip
from vsrpp.launch import train_job
from vsrpp.launch.request import RankCommand, TrainRequest

COMMANDS: list[tuple[str, Any, str]] = [
    ("runs", status, "show_runs"), ("status a", status, "show_status"), ("config a", status, "show_config"),
    ("history a", status, "show_history"), ("set a max_lr=1", commands, "set_values"),
    ("pause a", commands, "command"), ("resume a", commands, "command"), ("validate a", commands, "command"),
    ("checkpoint a", commands, "command"), ("stop a", commands, "command"), ("rollback a --step 1", commands, "rollback"),
    ("restore a --out x", restore, "restore"), ("replay a", replay, "replay"),
    ("evaluate a --data x", evaluate, "evaluate"), ("upscale a x y", upscale, "upscale"), ("data x", data, "data"),
    ("export a x.onnx --to onnx", export, "export"),
    ("plugins", plugins, "plugins"),
    ("import-config train.yml out.yaml --gpus 8", import_config, "import_config"),
    ("compare a b", compare, "compare"), ("sync a", restore, "sync"), ("promote a --alias x", restore, "promote"),
    ("backup a x.tar", safekeeping, "backup"), ("rebuild a", safekeeping, "rebuild"),
    ("panel", panel, "panel"), ("top a", panel, "top"), ("tensorboard a", panel, "tensorboard"),
    ("completion bash", completion, "completion"), ("help", completion, "help"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "module", "function"), COMMANDS, ids=lambda value: str(value).split()[0])
def test_a_command_is_called_with_every_parameter_it_has(
    line: str, module: Any, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = inspect.signature(getattr(module, function))
    called: list[dict[str, Any]] = []
    monkeypatch.setattr(module, function, lambda **options: called.append(options))
    assert parser.parse(line.split())() == 0
    (options,) = called
    signature.bind(**options)
    assert options.keys() == signature.parameters.keys()


def test_every_command_is_in_this_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser.parse(["--help"])
    listed = set(re.findall(r"^    ([a-z-]+)(?: |$)", capsys.readouterr().out, re.MULTILINE))
    assert listed == {line.split()[0] for line, _, _ in COMMANDS} | {"train"}


def test_a_training_is_one_request_with_every_field_the_parser_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[TrainRequest] = []
    monkeypatch.setattr(train_job, "train", lambda request, console, has_terminal: requests.append(request) or 0)
    line = [
        "train",
        "--set",
        "n_feats=8",
        "--set",
        "max_lr=1e-4",
        "--no-panel",
        "--from",
        "models:/vsrpp@best",
        "--run-dir",
        "r",
    ]
    parser.parse(line)()
    parser.parse(["train", "--run-dir", ""])()
    request, plain = requests
    assert request == TrainRequest(
        rank_command=RankCommand(module=train.MODULE, arguments=tuple(line)), settings=("n_feats=8", "max_lr=1e-4"),
        panel=False, source="models:/vsrpp@best", run_dir=Path("r"),
    )  # fmt: skip
    assert plain == TrainRequest(rank_command=RankCommand(module=train.MODULE, arguments=("train", "--run-dir", "")))
