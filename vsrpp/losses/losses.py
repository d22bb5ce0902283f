"""The weighted sum the trainer minimises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.errors import Refused
from vsrpp.losses import terms
from vsrpp.losses.perceptual import VggFeatureLoss

TERMS = ("l1", "ms", "grad", "perceptual")
PIXEL_LOSSES = {"l1": terms.l1, "charbonnier": terms.charbonnier}
"""What the term `l1` is, by the run's `pixel_loss`."""
_PLAIN = {"l1": terms.l1, "ms": terms.multi_scale, "grad": terms.gradient}
_KEY_SUFFIX = "_weight"


def term_of_key(key: str) -> str | None:
    """The loss term a live config key weighs ("l1_weight" -> "l1"), or None if the key weighs none."""
    term = key.removesuffix(_KEY_SUFFIX)
    return term if key.endswith(_KEY_SUFFIX) and term in TERMS else None


class Losses(nn.Module):
    """Holds no weights of its own: they come with every call, so that a live edit counts on the next step."""

    def __init__(self, perceptual: VggFeatureLoss | None = None, *, pixel_loss: str = "l1") -> None:
        super().__init__()
        self.perceptual = perceptual
        self._plain = {**_PLAIN, "l1": PIXEL_LOSSES[pixel_loss]}

    def forward(self, pred: Tensor, gt: Tensor, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, T, 3, H, W) predictions and ground truth in [0, 1] -> the total, and each term's value, detached.

        The total is the sum of weight × term over the terms with a weight above 0, in fp32 even under autocast; the
        values are unweighted. l1, ms and grad are always among them, perceptual only with a weight above 0: it is dear.
        Raises ValueError for an unknown term or if no weight is above 0, Refused for perceptual without a weight file.
        """
        unknown = set(weights) - set(TERMS)
        active = [term for term in TERMS if weights.get(term, 0.0) > 0]
        if unknown:
            raise ValueError(f"unknown loss terms: {sorted(unknown)}")
        if not active:
            raise ValueError(f"no loss term has a weight above 0: {dict(weights)}")
        with torch.autocast(device_type=pred.device.type, enabled=False):
            pred, gt = pred.float().flatten(0, 1), gt.float().flatten(0, 1)
            values = self._values(pred, gt, active)
            total = torch.stack([weights[term] * values[term] for term in active]).sum()
        return total, {term: value.detach() for term, value in values.items()}

    def _values(self, pred: Tensor, gt: Tensor, active: list[str]) -> dict[str, Tensor]:
        error = pred - gt
        values = {term: function(error if term in active else error.detach()) for term, function in self._plain.items()}
        if "perceptual" in active:
            if self.perceptual is None:
                raise Refused("perceptual_weight above 0 refused: the run has no perceptual_weights file.")
            values["perceptual"] = self.perceptual(pred, gt)
        return values


def build(run_config: Mapping[str, Any]) -> Losses:
    """The losses of a run, on the CPU.

    A configured perceptual weight file is read now: a wrong one stops the run before its first step (Refused).
    """
    path = run_config.get("perceptual_weights")
    perceptual = VggFeatureLoss(Path(path)) if path else None
    return Losses(perceptual, pixel_loss=run_config.get("pixel_loss", "l1"))
