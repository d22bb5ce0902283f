"""DISTS (Ding et al., TPAMI 2020) in plain torch: structure and texture similarity of VGG16's features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrpp.metrics import messages
from vsrpp.metrics.backbones import VGG16_RELUS, load_features, read_files, vgg16

OPTION = "--dists-weights"
FILES = "torchvision's weight file vgg16-397923af.pth and weights.pt of the package DISTS_pytorch"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CHANNELS = (3, 64, 128, 256, 512, 512)
_STABLE = 1e-6
_HANNING = (0.25, 0.5, 0.25)
"""One axis of the 3×3 window of the pools: numpy's hanning(5) without its zeros, normalised."""


class Dists(nn.Module):
    """The distance of two batches of pictures (N, 3, H, W) fp32 in [0, 1], each value of (N,); 0 for equal ones."""

    mean: Tensor
    std: Tensor
    window: Tensor

    def __init__(self, files: Sequence[Path]) -> None:
        """files: VGG16's and the one with alpha and beta, in any order, or one with both (a DISTS saved whole).

        Raises Refused if something is missing or does not fit.
        """
        super().__init__()
        tensors = read_files(files, OPTION)
        weights = [tensors.get(name) for name in ("alpha", "beta")]
        for name, weight in zip(("alpha", "beta"), weights, strict=True):
            if weight is None or weight.shape != (1, sum(_CHANNELS), 1, 1):
                raise messages.WEIGHTS_MISSING(option=OPTION, missing=f"no {name}", files=FILES)
        with torch.device("meta"):
            self.features = vgg16()
        if missing := load_features(self.features, tensors):
            raise messages.WEIGHTS_MISSING(option=OPTION, missing=f"no {missing} of VGG16", files=FILES)
        self.alpha, self.beta = (nn.Parameter(weight) for weight in weights if weight is not None)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        axis = torch.tensor(_HANNING)
        self.register_buffer("window", (axis[:, None] * axis[None, :])[None, None], persistent=False)
        self.requires_grad_(False)

    def forward(self, ours: Tensor, truth: Tensor) -> Tensor:
        total = self.alpha.sum() + self.beta.sum()
        alphas, betas = ((part / total).split(_CHANNELS, dim=1) for part in (self.alpha, self.beta))
        similarity = torch.zeros(len(ours), device=ours.device)
        for alpha, beta, x, y in zip(alphas, betas, self._stages(ours), self._stages(truth), strict=True):
            x_mean, y_mean = (part.mean(dim=(2, 3), keepdim=True) for part in (x, y))
            x_var, y_var = (
                ((part - mean) ** 2).mean(dim=(2, 3), keepdim=True) for part, mean in ((x, x_mean), (y, y_mean))
            )
            covariance = (x * y).mean(dim=(2, 3), keepdim=True) - x_mean * y_mean
            texture = (2 * x_mean * y_mean + _STABLE) / (x_mean**2 + y_mean**2 + _STABLE)
            structure = (2 * covariance + _STABLE) / (x_var + y_var + _STABLE)
            similarity = similarity + (alpha * texture + beta * structure).sum(dim=(1, 2, 3))
        return 1 - similarity

    def _stages(self, pictures: Tensor) -> list[Tensor]:
        """The pictures themselves and the output of each of VGG16's stages, with L2 pools between them."""
        found = [pictures]
        x = (pictures - self.mean) / self.std
        for number, layer in enumerate(self.features):
            x = self._l2_pool(x) if isinstance(layer, nn.MaxPool2d) else layer(x)
            if number in VGG16_RELUS:
                found.append(x)
        return found

    def _l2_pool(self, x: Tensor) -> Tensor:
        """Half the size: the root of the squares' weighted mean under a Hanning window (Hénaff and Simoncelli 2016)."""
        channels = x.shape[1]
        window = self.window.expand(channels, 1, 3, 3)
        return (F.conv2d(x**2, window, stride=2, padding=1, groups=channels) + 1e-12).sqrt()
