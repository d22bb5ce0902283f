"""Each optimizer: the same bits after a resume, a rollback and a replay; what its settings mean; fresh moments of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.runs import Steered, configs, weights_of
from vsrpp import config, control
from vsrpp.training.optimizers import OPTIMIZERS, build_optimizer
from vsrpp.training.replay import Original, replay
from vsrpp.training.start import prepare_new
from vsrpp.training.state import TrainingState

NAMES = tuple(OPTIMIZERS)
OTHERS = tuple(name for name in NAMES if name != "adamw")
CPU = torch.device("cpu")


def settings(name: str, **sets: Any) -> dict[str, Any]:
    return {**config.defaults("demo")[0], "optimizer": name, **sets}


def one_weight(name: str, *, gradient: float, **sets: Any) -> float:
    """A weight of 1 after one step at rate 0.1."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = build_optimizer(settings(name, **sets), [{"params": [weight]}])
    optimizer.param_groups[0]["lr"] = 0.1
    weight.grad = torch.full((1,), gradient)
    optimizer.step()
    return float(weight.detach())


def steps_of(state: TrainingState, count: int, seed: int) -> None:
    """Optimizer steps with random gradients."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        state.set_rate(1e-3)
        for parameter in state.model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        state.optimizer.step()
        state.step += 1
        state.update_ema()


def test_the_schema_offers_what_there_is() -> None:
    assert config.startup_parameters()["optimizer"].choices == NAMES


@pytest.mark.parametrize("name", OTHERS)
def test_a_killed_run_resumes_and_replays_to_the_same_bits(tmp_path: Path, tiny_clip: Path, name: str) -> None:
    sets = {"optimizer": name, "lr_schedule": "cosine_restarts", "lr_periods": "0.5"}
    whole = Steered.new(tmp_path / "whole", tiny_clip, **sets)
    whole.train()
    run = Steered.new(tmp_path / "killed", tiny_clip, **sets)
    run.die_at(11)
    again = Steered.resumed(run.paths)
    again.train()
    assert again.weights() == whole.weights()
    assert replay(Original.of(again.paths), tmp_path / "replay").identical


@pytest.mark.parametrize("name", NAMES)
def test_a_captured_state_goes_on_with_the_same_bits(name: str) -> None:
    run_config = configs(Path("x"), optimizer=name, beta1=0.8, weight_decay=0.01)[0]
    state = TrainingState(run_config, CPU)
    steps_of(state, 6, seed=1)
    snapshot = state.capture({})
    steps_of(state, 3, seed=2)
    expected = {key: value.clone() for key, value in state.model.state_dict().items()}
    for target in (state, TrainingState(run_config, CPU)):
        target.restore(snapshot)
        steps_of(target, 3, seed=2)
        assert all(torch.equal(value, expected[key]) for key, value in target.model.state_dict().items())


@pytest.mark.parametrize("name", OTHERS)
def test_the_groups_keep_their_ratio(name: str) -> None:
    state = TrainingState({**configs(Path("x"), network="basicvsr", optimizer=name)[0], "n_feats": 4}, CPU)
    state.set_rate(1e-3)
    assert [group["lr"] for group in state.optimizer.param_groups] == [1e-3, 1e-3 * 0.125]


@pytest.mark.parametrize("name", OTHERS)
def test_an_overflow_of_the_scaled_loss_is_skipped(tmp_path: Path, tiny_clip: Path, name: str) -> None:
    run = Steered.new(tmp_path, tiny_clip, log_every=1, optimizer=name)
    state = run.context.state
    state.scaler = torch.amp.GradScaler("cpu")
    first = next(iter(state.model.parameters()))
    first.register_hook(lambda made: made * float("inf") if state.scaler.get_scale() > 2.0**15 else made)
    before = weights_of(run.context)
    run.one_step()
    assert (state.overflows, weights_of(run.context)) == (1, before)
    run.one_step()
    assert state.overflows == 1 and weights_of(run.context) != before
    run.abandon()


def test_a_record_without_the_keys_means_fused_adamw_with_the_betas_of_basicsr() -> None:
    old = {"weight_decay": 0.0}
    optimizer = build_optimizer(old, [{"params": [torch.nn.Parameter(torch.ones(1))]}])
    assert type(optimizer) is torch.optim.AdamW
    (group,) = optimizer.param_groups
    assert (group["betas"], group["fused"], group["weight_decay"]) == ((0.9, 0.99), True, 0.0)


@pytest.mark.parametrize(("name", "kept"), [("adamw", 0.95), ("adam", 0.9), ("nadam", 0.9), ("radam", 0.95)])
def test_weight_decay_is_decoupled_in_adamw_and_a_gradient_in_the_others(name: str, kept: float) -> None:
    """Without a gradient, AdamW shrinks the weight by rate × decay; L2 gives the others a gradient of decay × weight."""
    assert one_weight(name, gradient=0.0) == 1.0
    assert one_weight(name, gradient=0.0, weight_decay=0.5) == pytest.approx(kept, abs=2e-3 if name != "nadam" else 0.1)
    if name != "adamw":
        assert one_weight(name, gradient=0.5) == one_weight(name, gradient=0.0, weight_decay=0.5)


def from_checkpoint(tmp_path: Path, clip: Path, parent: Steered, **sets: Any) -> tuple[Steered, list[str]]:
    """A run from the other's checkpoint of step 10, and what its start said."""
    said: list[str] = []
    run_config, live = configs(clip, **{"max_steps": 14, "checkpoint_every": 12, **sets})
    prepared = prepare_new(
        run_config, live, runs=tmp_path, run_id=lambda: None, say=said.append, parent=parent.paths.checkpoint(10),
        lineage={"run_id": parent.paths.run_id, "step": 10, "source": "x"},
    )  # fmt: skip
    return Steered(prepared), said


def test_a_run_from_a_checkpoint_of_another_optimizer_starts_with_fresh_moments(
    tmp_path: Path, tiny_clip: Path
) -> None:
    parent = Steered.new(tmp_path / "a", tiny_clip)
    parent.train()
    run, said = from_checkpoint(tmp_path / "b", tiny_clip, parent, optimizer="radam")
    assert [line for line in said if "moments" in line] == [
        "The checkpoint's optimizer is adamw, this run's is radam: its moments start fresh."
    ]
    assert not run.context.state.optimizer.state
    assert run.train() == "finished"
    started = control.history(run.paths)[0]
    assert started.data["fresh_moments"] == {"checkpoint": "adamw", "run": "radam"}
    first = next(iter(run.context.state.optimizer.state.values()))
    assert float(first["step"]) == 4.0  # steps 11 to 14
    assert replay(Original.of(run.paths), tmp_path / "replay").identical


def test_a_run_from_a_checkpoint_of_its_optimizer_keeps_the_moments_but_not_the_settings(
    tmp_path: Path, tiny_clip: Path
) -> None:
    parent = Steered.new(tmp_path / "a", tiny_clip)
    parent.train()
    run, said = from_checkpoint(tmp_path / "b", tiny_clip, parent, beta1=0.8, weight_decay=0.1)
    assert not any("moments" in line for line in said)
    state = run.context.state
    assert {float(moments["step"]) for moments in state.optimizer.state.values()} == {10.0}
    (group,) = state.optimizer.param_groups
    assert (group["betas"], group["weight_decay"]) == ((0.8, 0.99), 0.1)
    assert "fresh_moments" not in control.history(run.paths)[0].data
    run.abandon()
