"""A run from pretrained weights of another network: what was loaded is said and recorded; `--from` says how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.support.clips import tiny_clip
from tests.support.reasons import raises
from tests.support.runs import configs, open_in_process
from vsrpp import models
from vsrpp.paths import CheckpointPaths
from vsrpp.store import RunReader
from vsrpp.training import messages
from vsrpp.training.start import prepare_new
from vsrpp.training.state import TrainingState

TINY = {"network": "vsrpp", "num_frames": 2}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tiny_clip(tmp_path)


def test_a_run_at_another_scale_takes_what_fits_and_records_what_stayed_fresh(tmp_path: Path, clip: Path) -> None:
    torch.manual_seed(7)
    theirs = models.build(configs(clip, **TINY, scale=4)[0]).state_dict()
    torch.save({"params": theirs}, tmp_path / "x4.pth")
    run_config, live = configs(clip, **TINY, scale=2, pretrained=str(tmp_path / "x4.pth"), pretrained_partial=True)
    said: list[str] = []
    prepared = prepare_new(run_config, live, runs=tmp_path / "runs", run_id=lambda: None, say=said.append)
    prepared.writer.close()
    (line,) = [line for line in said if line.startswith("Starting from pretrained weights: ")]
    with RunReader(prepared.paths.run_db) as reader:
        started = reader.last_event("started")
    assert started is not None
    listed = started.data["pretrained_partial"]
    weights = TrainingState(run_config, torch.device("cpu")).model.state_dict()
    assert {*listed["loaded"], *listed["fresh"]} == weights.keys()
    assert all(torch.equal(weights[key], theirs[key]) for key in listed["loaded"])
    assert f"{len(listed['loaded'])} of the network's {len(weights)} tensors" in line
    assert f"{len(listed['fresh'])} stay fresh" in line


def test_weights_of_another_network_version_are_told(tmp_path: Path, clip: Path) -> None:
    run_config, live = configs(clip, **TINY, scale=2)
    folder = CheckpointPaths(tmp_path / "step_0000010")
    folder.root.mkdir()
    torch.save({"params": models.build(run_config).state_dict()}, folder.root / "x.pth")

    def told(theirs: dict[str, Any] | None, ours: int) -> list[str]:
        folder.run_config.unlink(missing_ok=True)
        if theirs is not None:
            folder.run_config.write_text(yaml.safe_dump({"network": "vsrpp", **theirs}))
        said: list[str] = []
        start = run_config | {"pretrained": str(folder.root / "x.pth"), "network_version": ours}
        prepare_new(start, live, runs=tmp_path / "runs", run_id=lambda: None, say=said.append).writer.close()
        return [line.removeprefix("⚠️  ") for line in said if "network_version" in line]

    older = messages.WEIGHTS_OF_OTHER_VERSION.sentence(file="x.pth", theirs=1, ours=2)
    assert told({}, 2) == told({"network_version": 1}, 2) == [older]
    assert told({}, 1) == told({"network_version": 2}, 2) == []
    assert told({"network_version": 2}, 1) == [
        messages.WEIGHTS_OF_OTHER_VERSION.sentence(file="x.pth", theirs=2, ours=1)
    ]
    assert told(None, 2) == [messages.WEIGHTS_OF_UNKNOWN_VERSION.sentence(file="x.pth", ours=2)]


def test_from_a_checkpoint_of_another_network_names_the_way_to_load_what_fits(tmp_path: Path, clip: Path) -> None:
    from vsrpp.training import loop

    prepared, context = open_in_process(tmp_path / "runs", clip, **TINY, scale=4, max_steps=1)
    assert loop.train(context) == "finished"
    (checkpoint,) = prepared.paths.checkpoints.iterdir()
    parent = CheckpointPaths(checkpoint)
    run_config, live = configs(clip, **TINY, scale=2)
    with raises(messages.CHECKPOINT_DOES_NOT_FIT, differences="scale is 4 there and 2 here", file=parent.model_ema):
        prepare_new(run_config, live, runs=tmp_path / "b", run_id=lambda: None, say=lambda _: None, parent=parent)
    run_config |= {"pretrained": str(parent.model_ema), "pretrained_partial": True}
    again = prepare_new(run_config, live, runs=tmp_path / "b", run_id=lambda: None, say=lambda _: None)
    again.writer.close()
