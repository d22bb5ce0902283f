"""One optimizer step: forward → weighted losses → backward → clip → optimizer → EMA.

It reads no commands and writes no records: it returns metrics, and the loop decides what to do with them.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vsrpp import schedule
from vsrpp.controller.controller import Outcome
from vsrpp.distributed.ddp import DdpModel
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.models.foreign import blocks_of
from vsrpp.models.precision import autocast
from vsrpp.plugins import registry
from vsrpp.training.activity import Activity
from vsrpp.training.batches import Batch
from vsrpp.training.state import RECENT_STEPS, TrainingState


@dataclass(frozen=True, slots=True)
class StepResult:
    """The results of one step."""

    loss: float
    grad_norm: float
    """Norm of the whole gradient before clipping."""
    finite: bool
    """Whether loss and gradient were finite (apart from an overflow); if not, the weights are unchanged."""
    overflowed: bool
    """Whether fp16 loss scaling made the gradient non-finite: the step is skipped and the scale lowered."""
    metrics: dict[str, float]
    """`loss/*`, `weight/*`, `share/*`, `lr`, `lr_factor`, `grad_norm`, `grad_clip`; under fp16 `loss_scale`, `overflows`."""


class TrainStep:
    """Makes optimizer steps of a training state, under a config that may change between steps."""

    def __init__(
        self, run_config: dict[str, Any], state: TrainingState, device: torch.device, group: ProcessGroup
    ) -> None:
        self.activity = Activity(blocks_of(state.model))
        self._state = state
        self._device = device
        self._group = group
        self._precision = run_config["precision"]
        self._run_config = run_config
        self._schedule = schedule.shape_of(run_config)
        self._of_network = registry.live_parameters(run_config, "network", run_config["network"])
        self._of_optimizer = registry.live_parameters(run_config, "optimizer", str(run_config.get("optimizer")))
        self._parts = int(run_config.get("accumulate", 1))
        self._forward = DdpModel(state.model, group, device, deterministic=bool(run_config["deterministic"]))

    def __call__(self, batch: Batch, live: dict[str, Any], *, watched: bool) -> StepResult:
        """One step on this rank's `batch` under `live`. `watched`: also measure the blocks' activity.

        Raises PeerLost if another rank is missing or late.
        """
        state = self._state
        lr_frames, truth = batch
        effect = state.controller.effective(live)
        rate = schedule.learning_rate(state.step, live, self._run_config, effect.lr_factor, self._schedule)
        state.set_rate(rate)
        self._hand_over(live)
        state.model.train()
        state.optimizer.zero_grad(set_to_none=True)
        with self._group.synchronised():
            total, terms = self._gradient(lr_frames, truth, effect.weights, live, watched=watched)
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), effect.clip)
        loss, grad_norm, values = self._of_all(*_to_floats(total, norm, terms))  # waits for the device, once a step
        finite = math.isfinite(loss) and math.isfinite(grad_norm)
        overflowed = math.isfinite(loss) and not finite and self._scaled()
        if finite:
            state.optimizer.step()
        if overflowed:  # the unscaled norm is unknown: use the newest known one
            grad_norm = state.recent[-1]["grad_norm"] if state.recent else effect.clip
        state.scaler.update()
        state.step += 1
        if finite:
            state.update_ema()
            state.controller.observe_norm(grad_norm)
        state.overflows += overflowed
        state.skipped_in_a_row = 0 if finite else state.skipped_in_a_row + (not overflowed)
        state.convergence.add(loss)
        state.recent = [*state.recent[1 - RECENT_STEPS :], {"grad_norm": grad_norm, **values}]
        metrics = {
            "loss/total": loss, **{f"loss/{term}": value for term, value in values.items()},
            "lr": rate, "lr_factor": effect.lr_factor, "grad_norm": grad_norm, "grad_clip": effect.clip,
            **{f"weight/{term}": weight for term, weight in effect.weights.items()},
            **{f"share/{term}": effect.weights[term] * value / loss for term, value in values.items() if loss},
        }  # fmt: skip
        if state.scaler.is_enabled() and watched:
            metrics |= {"loss_scale": state.scaler.get_scale(), "overflows": float(state.overflows)}
        return StepResult(loss, grad_norm, finite or overflowed, overflowed, metrics)

    def close(self) -> None:
        self._forward.close()

    def _hand_over(self, live: dict[str, Any]) -> None:
        """Give a plug-in's network and optimizer their live parameters: as attributes, and in the parameter groups."""
        for key in self._of_network:
            for network in (self._state.model, self._state.model_ema):
                setattr(network, key, live[key])
        for key in self._of_optimizer:
            for group in self._state.optimizer.param_groups:
                group[key] = live[key]

    def _gradient(
        self, lr_frames: Tensor, truth: Tensor, weights: dict[str, float], live: dict[str, Any], *, watched: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """Forward and backward in `accumulate` parts; returns the loss and its terms, means over the batch, detached.

        Parts are weighted by their number of samples, so that the gradients add up to that of the whole batch.
        """
        state, parts = self._state, min(self._parts, len(lr_frames))
        sums: list[Tensor] = []
        names: list[str] = []
        for number, (part, wanted) in enumerate(
            zip(lr_frames.tensor_split(parts), truth.tensor_split(parts), strict=True), start=1
        ):
            share = len(part) / len(lr_frames)
            together = nullcontext() if number == parts else self._forward.no_sync()
            with together, self.activity.watching(watched):  # backward may recompute, and must do so the same way
                with autocast(self._device, self._precision):
                    output = self._forward(part)
                total, terms = state.losses(output, wanted, weights, live)
                state.scaler.scale(total * share).backward()
            names, part_means = list(terms), [share * figure for figure in (total.detach(), *terms.values())]
            sums = [sum_ + more for sum_, more in zip(sums, part_means, strict=True)] if sums else part_means
        return sums[0], dict(zip(names, sums[1:], strict=True))

    def _scaled(self) -> bool:
        """Whether the loss is scaled up, which alone can make a gradient non-finite."""
        return self._state.scaler.is_enabled() and self._state.scaler.get_scale() > 1.0

    def _of_all(self, loss: float, grad_norm: float, values: dict[str, float]) -> tuple[float, float, dict[str, float]]:
        """Means over the ranks, so that every rank's controller sees the same numbers; a NaN spreads to all ranks."""
        if not self._group.many:
            return loss, grad_norm, values
        loss, grad_norm, *means = self._group.mean([loss, grad_norm, *values.values()])
        return loss, grad_norm, dict(zip(values, means, strict=True))


def observe(
    state: TrainingState, result: StepResult, live: dict[str, Any], seen: tuple[float, float] | None
) -> Outcome:
    """Pass the step to the controller, with (quality, sharpness) of a validation after it, if there was one."""
    metrics = result.metrics
    terms = {
        key.removeprefix("loss/"): value
        for key, value in metrics.items()
        if key.startswith("loss/") and key != "loss/total"
    }
    finite = math.isfinite(metrics["loss/total"]) and math.isfinite(metrics["grad_norm"])
    quality, sharpness = seen or (None, None)
    return state.controller.update(
        state.step,
        loss=metrics["loss/total"],
        terms=terms,
        quality=quality,
        sharpness=sharpness,
        finite=finite,
        live=live,
    )


def _to_floats(total: Tensor, norm: Tensor, terms: dict[str, Tensor]) -> tuple[float, float, dict[str, float]]:
    """All numbers of a step in one transfer from the device."""
    loss, grad_norm, *values = torch.stack([total, norm.detach(), *terms.values()]).tolist()
    return loss, grad_norm, dict(zip(terms, values, strict=True))
