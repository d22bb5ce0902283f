"""The weighted sum the trainer minimises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.losses import messages, terms
from vsrpp.losses.perceptual import VggFeatureLoss

TERMS = ("l1", "ms", "grad", "perceptual")
PIXEL_LOSSES = {"l1": terms.l1, "charbonnier": terms.charbonnier}
"""The function behind the term `l1`, selected by `pixel_loss`."""
_PLAIN = {"l1": terms.l1, "ms": terms.multi_scale, "grad": terms.gradient}
_KEY_SUFFIX = "_weight"


def term_of_key(key: str) -> str | None:
    """The loss term that a live config key weights ("l1_weight" -> "l1"); None for other keys."""
    term = key.removesuffix(_KEY_SUFFIX)
    return term if key.endswith(_KEY_SUFFIX) and term in TERMS else None


class Losses(nn.Module):
    """The weighted loss. The weights are passed to every call, so that a live edit applies from the next step."""

    def __init__(self, perceptual: VggFeatureLoss | None = None, *, pixel_loss: str = "l1") -> None:
        super().__init__()
        self.perceptual = perceptual
        self._plain = {**_PLAIN, "l1": PIXEL_LOSSES[pixel_loss]}

    def forward(self, pred: Tensor, gt: Tensor, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """(N, T, 3, H, W) predictions and ground truth in [0, 1] -> the total, and each term's value, detached.

        The total is the sum of weight × term over the terms with a weight above 0, in fp32 even under autocast. The values
        are unweighted; l1, ms and grad are always included, the expensive perceptual only if its weight is above 0.
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
                raise messages.NO_PERCEPTUAL_FILE()
            values["perceptual"] = self.perceptual(pred, gt)
        return values


def build(run_config: Mapping[str, Any]) -> Losses:
    """The losses of a run, on the CPU.

    Reads the perceptual weight file if one is configured. Raises Refused if it is unusable.
    """
    path = run_config.get("perceptual_weights")
    perceptual = VggFeatureLoss(Path(path)) if path else None
    return Losses(perceptual, pixel_loss=run_config.get("pixel_loss", "l1"))
