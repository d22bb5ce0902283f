"""The weighted sum the trainer minimises."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.config.schema import LossTerm, loss_terms
from vsrpp.losses import messages, terms
from vsrpp.plugins import registry

PIXEL_LOSSES = {"l1": terms.l1, "charbonnier": terms.charbonnier}
"""The function behind the term `l1`, selected by `pixel_loss`."""


class Losses(nn.Module):
    """The weighted loss. The weights are passed to every call, so that a live edit applies from the next step.

    There are three kinds of terms. Those of the error (prediction minus truth) are linear before their norm, cheap, and
    always computed. The term with a weight file, and those of plug-ins, take both pictures and are computed only while
    their weight is above 0.
    """

    def __init__(
        self, terms_: Sequence[LossTerm], of_error: Mapping[str, Callable[[Tensor], Tensor]],
        of_both: Mapping[str, Callable[..., Tensor]], parameters: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        """`parameters`: for each plug-in's term, the keywords it takes, with their values at the start."""
        super().__init__()
        self.terms = tuple(term.name for term in terms_)
        self._needs_file = {term.name for term in terms_ if term.weights_file} - set(of_both)
        self._of_error = dict(of_error)
        self._of_both = dict(of_both)
        self._settings = dict(parameters or {})
        self._modules_of_terms = nn.ModuleDict({n: f for n, f in of_both.items() if isinstance(f, nn.Module)})

    def forward(
        self, pred: Tensor, gt: Tensor, weights: Mapping[str, float], values: Mapping[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, T, 3, H, W) predictions and ground truth in [0, 1] -> the total, and each term's value, detached.

        The total is the sum of weight × term over the terms with a weight above 0, in fp32 even under autocast. The
        returned terms are unweighted. `values`: the live config, for parameters of plug-ins that can be edited.

        Raises ValueError for an unknown term or if no weight is above 0, Refused for a term without the weight file it needs.
        """
        unknown = set(weights) - set(self.terms)
        active = [term for term in self.terms if weights.get(term, 0.0) > 0]
        if unknown:
            raise ValueError(f"unknown loss terms: {sorted(unknown)}")
        if not active:
            raise ValueError(f"no loss term has a weight above 0: {dict(weights)}")
        with torch.autocast(device_type=pred.device.type, enabled=False):
            pred, gt = pred.float().flatten(0, 1), gt.float().flatten(0, 1)
            results = self._values(pred, gt, active, values or {})
            total = torch.stack([weights[term] * results[term] for term in active]).sum()
        return total, {term: value.detach() for term, value in results.items()}

    def _values(self, pred: Tensor, gt: Tensor, active: list[str], values: Mapping[str, Any]) -> dict[str, Tensor]:
        error = pred - gt
        results = {
            term: function(error if term in active else error.detach()) for term, function in self._of_error.items()
        }
        for term in active:
            if term in self._needs_file:
                raise messages.NO_PERCEPTUAL_FILE()
            if term in self._of_both:
                settings = {key: values.get(key, start) for key, start in self._settings.get(term, {}).items()}
                results[term] = self._of_both[term](pred, gt, **settings)
        return results


def build(run_config: Mapping[str, Any]) -> Losses:
    """The losses of a run, on the CPU.

    Reads the weight files of terms that have one configured. Raises Refused if it is unusable.
    """
    of_error: dict[str, Callable[[Tensor], Tensor]] = {}
    of_both: dict[str, Callable[..., Tensor]] = {}
    parameters: dict[str, dict[str, Any]] = {}
    for term in loss_terms(run_config):
        if term.plugin:
            of_both[term.name] = registry.provided(run_config, "loss", term.name)  # type: ignore[assignment]
            parameters[term.name] = registry.parameters(run_config, "loss", term.name, run_config)
        elif term.weights_file is None:
            of_error[term.name] = _function(term)
        elif run_config.get(term.weights_file):
            of_both[term.name] = _function(term)(Path(run_config[term.weights_file]))
    of_error["l1"] = PIXEL_LOSSES[run_config.get("pixel_loss", "l1")]
    return Losses(loss_terms(run_config), of_error, of_both, parameters)


def check(run_config: Mapping[str, Any]) -> None:
    """Try the terms of plug-ins on two small pictures. Raises Refused, with file and line, for one that does not fit."""
    foreign = [term for term in loss_terms(run_config) if term.plugin]
    if not foreign:
        return
    with torch.random.fork_rng(devices=[]):
        side = min(64, int(run_config["crop_size"]))
        truth = torch.rand(2, 3, side, side)
        pred = (truth + 0.1 * torch.randn_like(truth)).requires_grad_()
    for term in foreign:
        _check_term(term, run_config, pred, truth)


def _check_term(term: LossTerm, run_config: Mapping[str, Any], pred: Tensor, truth: Tensor) -> None:
    trial = registry.Trial.of(run_config, "loss", term.name)
    assert trial is not None
    with trial.attempt():
        value = trial.thing(pred, truth, **registry.parameters(run_config, "loss", term.name, run_config))
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.isfinite():
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise trial.refusal(f"it gives {shape}, not a finite scalar tensor")
    if not value.requires_grad:
        raise trial.refusal("its value has no gradient")


def _function(term: LossTerm) -> Any:
    module, _, name = term.function.partition(":")
    return getattr(importlib.import_module(module), name)
