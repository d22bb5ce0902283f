"""Training a network with optical flow: its own learning rate, frozen at first, weights from a file, bit-identical."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.clips import tiny_clip
from tests.support.runs import Steered, configs
from vsrpp import models
from vsrpp.errors import NotFound, Refused
from vsrpp.training.start import prepare_new
from vsrpp.training.state import TrainingState

BASIC = {"network": "basicvsr", "flow_freeze_steps": 2, "max_steps": 4, "log_every": 1, "validate_every": 10}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tiny_clip(tmp_path, frames=12, width=64, height=48)


def flow_of(run: Steered) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in run.context.state.model.state_dict().items() if k.startswith("spynet")}


def test_the_flow_group_keeps_its_ratio_under_every_rate() -> None:
    state = TrainingState({**configs(Path("x"), **BASIC)[0], "n_feats": 4}, torch.device("cpu"))
    for rate in (1e-4, 3e-4):
        state.set_rate(rate)
        assert [group["lr"] for group in state.optimizer.param_groups] == [rate, rate * 0.125]
    flow = {id(parameter) for parameter in state.model.spynet.parameters()}  # type: ignore[operator]
    assert {id(parameter) for parameter in state.optimizer.param_groups[1]["params"]} == flow


def test_a_network_without_flow_has_one_group() -> None:
    state = TrainingState(configs(Path("x"))[0], torch.device("cpu"))
    state.set_rate(1e-4)
    assert [group["lr"] for group in state.optimizer.param_groups] == [1e-4]


@pytest.mark.slow
def test_flow_is_frozen_for_its_steps_then_learns_and_a_live_rate_keeps_the_ratio(tmp_path: Path, clip: Path) -> None:
    seen: dict[int, dict[str, torch.Tensor]] = {}
    rates: list[list[float]] = []

    def look(run: Steered) -> None:
        seen[run.context.state.step] = flow_of(run)
        rates.append([group["lr"] for group in run.context.state.optimizer.param_groups])

    def edit(run: Steered) -> None:
        look(run)
        run.edit(max_lr=5e-4)

    run = Steered.new(tmp_path / "runs", clip, {1: look, 2: edit, 3: look}, **BASIC)
    assert run.train() == "finished"
    names = [name for name in seen[1] if name.endswith("weight")]
    assert all(torch.equal(seen[1][name], seen[2][name]) for name in names)
    assert any(not torch.equal(seen[2][name], seen[3][name]) for name in names)
    assert all(flow == pytest.approx(rest * 0.125) for rest, flow in rates)
    assert "config_applied" in run.types()


@pytest.mark.slow
def test_two_runs_and_a_resumed_one_end_with_the_same_bits_on_a_cpu(tmp_path: Path, clip: Path) -> None:
    whole = Steered.new(tmp_path / "a", clip, **{**BASIC, "max_steps": 6})
    whole.train()
    again = Steered.new(tmp_path / "b", clip, **{**BASIC, "max_steps": 6})
    again.die_at(1)
    resumed = Steered.resumed(again.paths)
    resumed.train()
    assert whole.weights() == resumed.weights()


@pytest.mark.slow
def test_a_run_starts_from_the_pretrained_file_and_says_so(tmp_path: Path, clip: Path) -> None:
    run_config, live = configs(clip, **BASIC)
    torch.manual_seed(7)
    torch.save({"params": models.build(run_config).state_dict()}, tmp_path / "w.pth")
    run_config["pretrained"] = str(tmp_path / "w.pth")
    said: list[str] = []
    prepared = prepare_new(run_config, live, runs=tmp_path / "runs", run_id=lambda: None, say=said.append)
    run = Steered(prepared)
    theirs = torch.load(tmp_path / "w.pth", weights_only=True)["params"]
    assert all(torch.equal(v, theirs[k]) for k, v in run.context.state.model.state_dict().items())
    assert any(line.startswith("Starting from pretrained weights: all weights from w.pth") for line in said)
    assert run.train() == "finished"
    started = next(event for event in prepared.line.events if event.type == "started")
    assert len(started.data["pretrained_sha256"]) == 64


def test_weights_that_do_not_fit_are_refused_before_a_run_folder_is_made(tmp_path: Path, clip: Path) -> None:
    run_config, live = configs(clip, **BASIC)
    torch.save({"fusion.weight": torch.zeros(1)}, tmp_path / "w.pth")
    for name, error in (("w.pth", Refused), ("missing.pth", NotFound)):
        run_config["pretrained"] = str(tmp_path / name)
        with pytest.raises(error, match=name):
            prepare_new(run_config, live, runs=tmp_path / "runs", run_id=lambda: None, say=lambda _: None)
    assert not (tmp_path / "runs").exists()
