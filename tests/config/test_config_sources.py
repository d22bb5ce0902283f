"""The configs a run starts with, from a preset, a file, `--set` and options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.support.reasons import raises
from vsrpp import config
from vsrpp.config import messages
from vsrpp.config.sources import LARGEST_FILE
from vsrpp.config.yaml_traps import traps
from vsrpp.errors import NotFound, Reason, Refused


def write(tmp_path, text):
    file = tmp_path / "my.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("preset", config.presets())
def test_preset_alone_gives_its_defaults(preset):
    assert config.resolve(preset, None, {}) == config.defaults(preset)


def test_without_a_preset_the_default_one_is_taken():
    assert config.resolve(None, None, {}) == config.defaults(config.default_preset())


def test_later_sources_win(tmp_path):
    file = write(tmp_path, "preset: base\nn_feats: 32\nseed: 1\nbatch_size: 2\nlive:\n  max_lr: 2e-4\n  min_lr: 1e-7\n")
    run_config, live = config.resolve(None, file, {"seed": 2, "max_lr": 3e-4, "batch_size": 3}, batch_size=4, data=None)
    assert (run_config["preset"], run_config["n_blocks"], run_config["data"]) == ("base", 16, "sample")
    assert (run_config["n_feats"], run_config["seed"], run_config["batch_size"]) == (32, 2, 4)
    assert (live["min_lr"], live["max_lr"]) == (1e-7, 3e-4)


def test_preset_of_the_command_line_wins_over_the_files(tmp_path):
    run_config, _ = config.resolve("demo", write(tmp_path, "preset: base\n"), {})
    assert run_config == config.defaults("demo")[0]


def test_live_keys_may_stand_flat_beside_the_others(tmp_path):
    _, live = config.resolve("base", write(tmp_path, "max_lr: 2e-4\nadaptive: off\nplateau_action: none\n"), {})
    assert (live["max_lr"], live["adaptive"], live["plateau_action"]) == (2e-4, False, "none")


def test_a_runs_own_files_are_config_files(tmp_path):
    run_config, live = config.resolve("base", None, {"n_feats": 16, "max_lr": 3e-4, "name": "tall"})
    (tmp_path / "run_config.yaml").write_text(yaml.safe_dump(run_config, sort_keys=False))
    (tmp_path / "runtime_config.json").write_text(config.dump_runtime(live, 4))
    assert config.resolve(None, tmp_path / "run_config.yaml", {})[0] == run_config
    assert config.resolve("base", tmp_path / "runtime_config.json", {})[1] == live


def test_values_come_out_in_their_parameters_types():
    run_config, live = config.resolve("base", None, {"n_feats": 32.0, "grad_clip": 2, "scale": 4.0})
    assert repr((run_config["n_feats"], live["grad_clip"], run_config["scale"])) == "(32, 2.0, 4)"


def test_what_depends_on_the_machine_stays_open():
    assert config.resolve("base", None, {})[0]["torch_threads"] is None


def test_every_problem_is_named_in_one_line(tmp_path):
    file = write(tmp_path, "n_feat: 3\nmax_lr: 5\n")
    with pytest.raises(Refused) as refused:
        config.resolve("base", file, {"crop_size": 250, "l1_weight": 0.1})
    assert str(refused.value) == (
        "n_feat = 3 refused: unknown; did you mean n_feats? "
        "max_lr = 5 refused: must be between 1e-05 and 0.001; "
        "l1_weight = 0.1 refused: the loss weights would sum to 0.5; they must sum to 0.95–1.05 (set them together); "
        "crop_size = 250 refused: must be a multiple of scale (4)."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- 1\n- 2\n", "expected keys and values, as in `max_lr: 2e-4`."),
        ("live: 3\n", "expected keys and values under `live`."),
        ("seed: 1\nseed: 2\n", '"seed" is set twice (line 2, column 1).'),
        ("max_lr: 1e-4\nlive:\n  max_lr: 2e-4\n", '"max_lr" is set twice, to 0.0001 and to 0.0002.'),
        ("a: [1,\n", "expected the node content, but found '<stream end>' (line 2, column 1)."),
        ("a: \x01\n", "it contains control characters; a config is a YAML file."),
        ("seed: !!python/object:os.system 1\n", None),
        ("? [1]\n: 2\n? {a: 1}\n: 3\n", None),
    ],
)
def test_file_that_cannot_be_read_is_refused_with_the_place(tmp_path, text, reason):
    file = write(tmp_path, text)
    with pytest.raises(Refused) as refused:
        config.resolve("base", file, {})
    assert len(str(refused.value).splitlines()) == 1
    if reason is not None:
        assert str(refused.value) == f"{file} refused: {reason}"


def test_file_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(Refused):
        config.resolve("base", file, {})
    with pytest.raises(Refused):
        config.resolve("base", tmp_path, {})  # a folder


def test_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound) as missing:
        config.resolve("base", tmp_path / "none.yaml", {})
    assert str(missing.value) == f"No config file {tmp_path / 'none.yaml'}."


def test_empty_file_changes_nothing(tmp_path):
    assert config.resolve("base", write(tmp_path, ""), {}) == config.defaults("base")


def test_unknown_preset_is_refused():
    with pytest.raises(Refused) as refused:
        config.resolve("huge", None, {})
    assert str(refused.value) == 'preset = "huge" refused: must be demo, base or large.'


OTHER_FILES: list[tuple[str, bytes, Reason]] = [
    ("mmagic.py", b"_base_ = 'x.py'\nmodel = dict(\n    type='BasicVSR', num_blocks=30)\n", messages.FOREIGN_FILE),
    ("lazy.py", b"with read_base():\n    from .base import *\nlr = 2\n", messages.FOREIGN_FILE),
    ("short.py", b"max_lr = 2e-4\n", messages.FILE_OTHER_FORMAT),
    ("config.toml", b"[live]\nmax_lr = 2e-4\n", messages.FILE_OTHER_FORMAT),
    ("flat.toml", b"n_feats = 16\n", messages.FILE_OTHER_FORMAT),
    ("weights.pth", b"PK\x03\x04\x00", messages.FILE_CHARACTERS),
    ("program", b"\x7fELF\xff\xfe", messages.FILE_NOT_YAML),
    ("words", b"just words\n", messages.FILE_NOT_OBJECT),
    ("large.yaml", b"#" * (LARGEST_FILE + 1), messages.FILE_TOO_LARGE),
    ("cycle.yaml", b"a: &a [*a]\n", messages.FILE_CONTAINS_ITSELF),
]


@pytest.mark.parametrize(
    ("name", "content", "reason"), OTHER_FILES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_no_yaml_is_refused_by_its_kind(name: str, content: bytes, reason: Reason, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with raises(reason, file=str(file)):
        config.resolve(None, config.config_file(str(file)), {})
    traps(file)


def test_a_folder_or_a_pipe_is_no_config(tmp_path: Path) -> None:
    with raises(messages.FILE_FOLDER, file=str(tmp_path)):
        config.config_file(str(tmp_path))
    (tmp_path / "run_config.yaml").write_text("scale: 4\n")
    with raises(messages.FILE_FOLDER_NEAR, inside=str(tmp_path / "run_config.yaml")):
        config.config_file(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with raises(messages.FILE_NOT_REGULAR):
        config.config_file(str(tmp_path / "pipe"))
    assert config.config_file("/dev/null").exists()


def test_a_folder_with_the_name_of_a_recipe_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "basicvsr_reds").mkdir()
    assert config.config_file("basicvsr_reds").is_file()
