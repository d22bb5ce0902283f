"""One optimizer step: gradient accumulation, the loss scale under fp16, and gradient checkpointing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.processes import train_command, vsrpp
from tests.support.runs import Steered, configs
from vsrpp import config
from vsrpp.errors import Refused
from vsrpp.models.precision import autocast
from vsrpp.training.machine import resolve_machine
from vsrpp.training.replay import Original, replay


def gradient(folder: Path, data: Path, **sets: Any) -> tuple[list[torch.Tensor], dict[str, float]]:
    """(clipped gradient of the first step, its figures)."""
    run = Steered.new(folder, data, **sets)
    run.one_step()
    made = [parameter.grad.clone() for parameter in run.context.state.model.parameters() if parameter.grad is not None]
    last = run.context.metrics
    run.abandon()
    run.inbox.close()
    return made, last


# ---- accumulation
def test_a_batch_in_parts_gives_the_gradient_and_the_figures_of_the_whole(tmp_path: Path, tiny_clip: Path) -> None:
    whole, figures = gradient(tmp_path / "1", tiny_clip, batch_size=4)
    for parts in (2, 4):
        split, its = gradient(tmp_path / str(parts), tiny_clip, batch_size=4, accumulate=parts)
        assert its.keys() == figures.keys()
        assert its == pytest.approx(figures, rel=1e-4)
        for one, other in zip(whole, split, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_parts_that_do_not_divide_the_batch_are_refused() -> None:
    with pytest.raises(Refused, match=r"batch_size = 4 refused: must be a multiple of accumulate \(3\)") as caught:
        config.resolve("demo", None, {"batch_size": 4, "accumulate": 3})
    assert "\n" not in str(caught.value)


def test_a_run_in_parts_trains_and_replays(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, batch_size=2, accumulate=2)
    assert run.train() == "finished"
    assert replay(Original.of(run.paths), tmp_path / "replay").identical


# ---- fp16
def scaled(tmp_path: Path, clip: Path, *, fits: float = 2.0**20, **sets: Any) -> Steered:
    """A run whose loss is scaled as under fp16, on a CPU, where the network stays in fp32.

    A gradient overflows while the scale is above `fits`.
    """
    run = Steered.new(tmp_path, clip, log_every=1, **sets)
    state = run.context.state
    state.scaler = torch.amp.GradScaler("cpu")

    def overflow(made: torch.Tensor) -> torch.Tensor:
        return made * float("inf") if state.scaler.get_scale() > fits else made

    next(iter(state.model.parameters())).register_hook(overflow)
    return run


def test_a_scaled_loss_trains_as_an_unscaled_one_does(tmp_path: Path, tiny_clip: Path) -> None:
    plain = Steered.new(tmp_path / "a", tiny_clip)
    plain.train()
    run = scaled(tmp_path / "b", tiny_clip)
    run.train()
    assert run.context.metrics["loss_scale"] == 2.0**16
    for one, other in zip(plain.context.state.model.parameters(), run.context.state.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_an_overflow_is_skipped_counted_and_halves_the_scale_but_leads_nowhere(tmp_path: Path, tiny_clip: Path) -> None:
    run = scaled(tmp_path, tiny_clip, fits=2.0**13, non_finite_patience=1)
    weights = [parameter.detach().clone() for parameter in run.context.state.model.parameters()]
    run.one_step()
    state = run.context.state
    assert all(torch.equal(a, b) for a, b in zip(weights, state.model.parameters(), strict=True))
    assert (state.overflows, state.skipped_in_a_row, state.step) == (1, 0, 1)
    assert state.scaler.get_scale() == 2.0**15
    assert run.train() == "finished"
    assert state.overflows == 3
    assert "non_finite" not in run.types()
    assert "rolled_back" not in run.types()
    assert all(bool(p.isfinite().all()) for p in run.context.state.model_ema.parameters())


def test_a_loss_that_is_not_finite_is_no_overflow(tmp_path: Path, tiny_clip: Path) -> None:
    run = scaled(tmp_path, tiny_clip)
    with torch.no_grad():
        next(iter(run.context.state.model.parameters())).fill_(float("nan"))
    run.one_step()
    assert (run.context.state.overflows, run.context.state.skipped_in_a_row) == (0, 1)
    run.abandon()
    run.inbox.close()


def test_the_scale_is_part_of_the_state(tmp_path: Path, tiny_clip: Path) -> None:
    run = scaled(tmp_path, tiny_clip, fits=2.0**15)
    run.one_step()
    held = run.context.state.capture(run.context.live)
    run.context.state.scaler = torch.amp.GradScaler("cpu")
    run.context.state.overflows = 0
    run.context.state.restore(held)
    assert run.context.state.scaler.get_scale() == 2.0**15
    assert run.context.state.overflows == 1
    run.abandon()
    run.inbox.close()


def test_fp16_is_refused_on_a_cpu_and_names_what_to_take(tiny_clip: Path) -> None:
    run_config, _ = configs(tiny_clip, precision="fp16", device="cpu")
    with pytest.raises(Refused, match=r"precision = fp16 refused: .* Use bf16 or fp32"):
        resolve_machine(run_config)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_precision_is_the_arithmetic_inside(precision: str, dtype: torch.dtype) -> None:
    with autocast(torch.device("cpu"), precision):
        assert torch.nn.functional.linear(torch.ones(1, 2), torch.ones(1, 2)).dtype == dtype


# ---- gradient checkpointing
@pytest.mark.parametrize("network", ["vsrpp", "basicvsr", "basicvsrpp"])
def test_gradient_checkpointing_changes_no_bit(tmp_path: Path, tiny_clip: Path, network: str) -> None:
    kept, figures = gradient(tmp_path / "a", tiny_clip, network=network)
    again, its = gradient(tmp_path / "b", tiny_clip, network=network, gradient_checkpointing=True)
    assert figures == its
    assert all(torch.equal(one, other) for one, other in zip(kept, again, strict=True))


# ---- channels last
def test_channels_last_trains_to_the_same_weights_but_for_rounding(tmp_path: Path, tiny_clip: Path) -> None:
    plain = Steered.new(tmp_path / "a", tiny_clip, max_steps=6)
    plain.train()
    run = Steered.new(tmp_path / "b", tiny_clip, max_steps=6, channels_last=True)
    weight = run.context.state.model.backward_trunk.blocks[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    run.train()
    for one, other in zip(plain.context.state.model.parameters(), run.context.state.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)
    assert replay(Original.of(run.paths), tmp_path / "replay").identical


def test_a_state_of_a_run_without_it_goes_on_channels_last_as_it_would_have(tmp_path: Path, tiny_clip: Path) -> None:
    plain = Steered.new(tmp_path / "a", tiny_clip, max_steps=6)
    run = Steered.new(tmp_path / "b", tiny_clip, max_steps=6, channels_last=True)
    for _ in range(3):
        plain.one_step()
    run.context.state.restore(plain.context.state.capture(plain.context.live))
    for one in (plain, run):
        for _ in range(3):
            one.one_step()
        one.abandon()
        one.inbox.close()
    moments = [one.context.state.optimizer.state for one in (plain, run)]
    for first, second in zip(moments[0].values(), moments[1].values(), strict=True):
        torch.testing.assert_close(first["exp_avg"], second["exp_avg"], rtol=1e-2, atol=1e-5)


# ---- torch.compile
@pytest.mark.slow
def test_compiled_trunks_train_to_the_same_weights_under_the_same_keys_and_replay(
    tmp_path: Path, tiny_clip: Path
) -> None:
    plain = Steered.new(tmp_path / "a", tiny_clip, max_steps=6)
    plain.train()
    run = Steered.new(tmp_path / "b", tiny_clip, max_steps=6, compile=True, gradient_checkpointing=True)
    assert run.train() == "finished"
    state, compiled = plain.context.state.model.state_dict(), run.context.state.model.state_dict()
    assert state.keys() == compiled.keys()
    assert compiled_calls(run) > 0
    for name, tensor in state.items():
        torch.testing.assert_close(tensor, compiled[name], rtol=1e-2, atol=1e-4)
    assert replay(Original.of(run.paths), tmp_path / "replay").identical


def compiled_calls(run: Steered) -> int:
    """The graphs that torch.compile made of the network's trunk."""
    from torch._dynamo.eval_frame import _debug_get_cache_entry_list

    return len(_debug_get_cache_entry_list(type(run.context.state.model.backward_trunk).forward.__code__))


@pytest.mark.slow
def test_a_missing_compiler_is_refused_in_one_line_before_anything_is_written(
    tmp_path: Path, tiny_clip: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    done = vsrpp(tmp_path, *train_command(tiny_clip, compile="true"))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert "compile = true refused" in line
    assert "No working C++ compiler" in line
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").glob("*/run.db"))
