"""The perceptual loss: VGG19 features in plain torch, with torchvision's weights read from a local file."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from vsrpp.errors import VsrppError
from vsrpp.losses import messages
from vsrpp.safe_text import public

WEIGHTS_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CONV_CHANNELS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512))
"""Output channels of each convolution, by stage; stages are separated by a 2×2 max pool."""
MIN_SIDE = 16
"""Smallest side in pixels, since four pools halve it four times."""


def _vgg19_to_conv5_4() -> nn.Sequential:
    """Layers numbered as torchvision's `vgg19().features`, up to conv5_4 (number 34) without the ReLU after it."""
    layers: list[nn.Module] = []
    channels = 3
    for stage, outputs in enumerate(CONV_CHANNELS):
        if stage:
            layers.append(nn.MaxPool2d(2))  # windows do not overlap, so the backward needs no atomics
        for out in outputs:
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(inplace=True)]
            channels = out
    return nn.Sequential(*layers[:-1])


class VggFeatureLoss(nn.Module):
    """The perceptual loss of ESRGAN (Wang et al., ECCV workshops 2018, section 3.3), with frozen weights.

    L1 between the conv5_4 features, before activation, of two batches of pictures (M, 3, H, W) fp32 in [0, 1] with sides
    of at least 16 pixels. Normalises by ImageNet's mean and deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Path) -> None:
        """Raises Refused if the file is missing or does not hold torchvision's VGG19."""
        super().__init__()
        with torch.device("meta"):  # no random weights: a seeded run draws the same numbers with and without this loss
            self.features = _vgg19_to_conv5_4()
        _load(self.features, weights)
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pred: Tensor, gt: Tensor) -> Tensor:
        if min(pred.shape[-2:]) < MIN_SIDE:
            side = f"{pred.shape[-2]}×{pred.shape[-1]}"
            raise ValueError(f"the perceptual loss needs pictures of at least {MIN_SIDE} pixels a side, not {side}")
        with torch.no_grad():
            wanted = self.features((gt - self.mean) / self.std)
        return (self.features((pred - self.mean) / self.std) - wanted).abs().mean()


def _load(features: nn.Sequential, path: Path) -> None:
    def refused(cause: str) -> VsrppError:
        return messages.PERCEPTUAL_FILE(path=path, cause=cause, url=public(WEIGHTS_URL))

    if not path.is_file():
        raise refused("no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise refused("not a torch weight file") from error
    wanted = features.state_dict()
    weights: dict[str, Tensor] = {}
    for key, tensor in wanted.items():
        have = state.get(f"features.{key}") if isinstance(state, dict) else None
        if not isinstance(have, Tensor) or have.shape != tensor.shape:
            raise refused(f"not torchvision's VGG19 (features.{key} is missing or of another shape)")
        weights[key] = have.float()
    features.load_state_dict(weights, assign=True)
