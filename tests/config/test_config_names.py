"""The field's names for our parameters lead to ours, and surprising YAML values are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.reasons import raises
from vsrpp import config
from vsrpp.config.aliases import ALIASES
from vsrpp.config.messages import FOREIGN_FILE
from vsrpp.config.yaml_traps import traps
from vsrpp.errors import Refused


def test_every_alias_names_a_parameter_and_is_none() -> None:
    known = config.parameters()
    assert {key for key in ALIASES.values() if key not in known} == set()
    assert {name for name in ALIASES if name in known} == set()


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("lr", "max_lr"), ("learning_rate", "max_lr"), ("total_iter", "max_steps"), ("iterations", "max_steps"),
        ("gt_size", "crop_size"), ("num_feat", "n_feats"), ("num_block", "n_blocks"), ("manual_seed", "seed"),
        ("num_worker_per_gpu", "num_workers"), ("dataroot_gt", "data"), ("upscale", "scale"), ("max_lrr", "max_lr"),
        ("milestones", "lr_milestones"), ("gamma", "lr_gamma"), ("periods", "lr_periods"), ("scheduler", "lr_schedule"),
        ("betas", "beta1 and beta2"),
        ("batch_size_per_gpu", "batch_size (the whole batch, of all processes)"),
    ],
)  # fmt: skip
def test_a_name_of_the_field_is_answered_with_ours(name: str, ours: str) -> None:
    with pytest.raises(Refused, match="refused") as refused:
        config.resolve("base", None, {name: 3})
    assert f"did you mean {ours}?" in str(refused.value)
    assert f"did you mean {ours}?" in config.check_changes(config.defaults("base")[1], {name: 3})[0].message


def test_a_part_of_a_data_block_gets_no_parameters_name() -> None:
    with pytest.raises(Refused) as refused:
        config.resolve("base", None, {"data": {"train": [{"path": "x", "lr": 2}]}})
    assert "max_lr" not in str(refused.value)


BASICSR = """
name: x
model_type: VideoRecurrentModel
manual_seed: 10
datasets:
  train: {dataroot_gt: REDS, gt_size: 256, batch_size_per_gpu: 4}
  val: {dataroot_gt: REDS4}
network_g: {type: BasicVSR, num_feat: 64}
train:
  total_iter: 300000
  optim_g: {type: Adam, lr: 2e-4, betas: [0.9, 0.99]}
  scheduler: {type: MultiStepLR, milestones: [250000, 400000], gamma: 0.5}
"""


def test_an_option_file_of_basicsr_is_refused_with_the_command_that_translates_it(tmp_path: Path) -> None:
    file = tmp_path / "basicvsr.yml"
    for text in (BASICSR, BASICSR.replace("2e-4", "!mine 2e-4"), BASICSR + "name: y\n"):
        file.write_text(text)
        with raises(FOREIGN_FILE, file=str(file), kind="BasicSR") as refused:
            config.resolve("base", file, {})
        assert f"vsrpp import-config {file}" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 010", "line 1: seed: 010 is read as octal, 8; write 8, or 10"),
        ("max_lr: 2e-4\nmax_steps: 1:30", "line 2: max_steps: 1:30 is read as a base-60 number, 90"),
        ("live:\n  max_lr: -1:30.5", "max_lr: -1:30.5 is read as a base-60 number, -90.5"),
        ("data: $HOME/clips", "data: $HOME/clips is taken literally"),
        ("data:\n  train:\n    - path: ${REDS}/x", "line 3: data.train.path: ${REDS}/x is taken literally"),
        ("name: on", 'name: on is read as true, not as text; write "on"'),
        ("plateau_action: no", "plateau_action: no is read as false"),
    ],
)
def test_a_trap_of_yaml_is_told_with_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    (line,) = traps(file)
    assert words in line
    assert line.startswith("run.yaml, line ")


@pytest.mark.parametrize(
    "text",
    [
        "seed: 10",
        'seed: "010"',
        "adaptive: on",
        "name: '1:30'",
        "max_lr: 2e-4",
        "seed: 0",
        "",
        "- [",
        "cost: 5$",
        "a: 0x1f",
    ],
)
def test_what_means_what_it_says_is_not_remarked_on(tmp_path: Path, text: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    assert traps(file) == []


@pytest.mark.parametrize(("text", "number"), [("1000", 1000), ("1e3", 1000), ("100_000", 100_000), ("300.0", 300)])
def test_a_whole_number_may_be_written_in_any_way(text: str, number: int) -> None:
    assert config.read_whole(text) == number
    values = config.parse_assignments([f"max_steps={text}"])
    assert config.normalise(values) == {"max_steps": number}


@pytest.mark.parametrize("text", ["1.5", "inf", "nan", "many", ""])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"whole|float|integer"):
        config.read_whole(text)
