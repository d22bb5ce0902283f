"""LPIPS (Zhang et al., CVPR 2018), version 0.1 with AlexNet or VGG16, in plain torch; and tLP, its change over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vsrpp.metrics import messages
from vsrpp.metrics.backbones import ALEXNET_RELUS, VGG16_RELUS, alexnet, load_features, read_files, vgg16

OPTION = "--lpips-weights"
FILES = (
    "torchvision's weight file (alexnet-owt-7be5be79.pth or vgg16-397923af.pth) and the one of the package lpips"
    " (lpips/weights/v0.1/alex.pth or vgg.pth)"
)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_LAYERS = {"alex": ALEXNET_RELUS, "vgg": VGG16_RELUS}
_SMALLEST = {"alex": 31, "vgg": 16}
_HEADS = 5


class Lpips(nn.Module):
    """The distance of two batches of pictures (N, 3, H, W) fp32 in [0, 1], each value of (N,); 0 for equal ones."""

    shift: Tensor
    scale: Tensor

    def __init__(self, files: Sequence[Path]) -> None:
        """files: the backbone's and the linear layers', in any order, or one with both (an LPIPS saved whole).

        The linear layers tell the backbone. Raises Refused if something is missing or does not fit.
        """
        super().__init__()
        tensors = read_files(files, OPTION)
        heads = [tensors.get(f"lin{number}.model.1.weight") for number in range(_HEADS)]
        self.net = "alex" if heads[1] is not None and heads[1].shape[1] == 192 else "vgg"
        with torch.device("meta"):  # no random weights, so nothing is drawn
            self.features = alexnet() if self.net == "alex" else vgg16()
        channels = [self.features[layer - 1].out_channels for layer in _LAYERS[self.net]]
        for number, (head, width) in enumerate(zip(heads, channels, strict=True)):
            if head is None or head.shape != (1, width, 1, 1):
                raise messages.WEIGHTS_MISSING(option=OPTION, missing=f"no linear layer lin{number}", files=FILES)
        if missing := load_features(self.features, tensors):
            raise messages.WEIGHTS_MISSING(
                option=OPTION, missing=f"no {missing} of {'AlexNet' if self.net == 'alex' else 'VGG16'}", files=FILES
            )
        self.heads = nn.ParameterList([head for head in heads if head is not None])
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, ours: Tensor, truth: Tensor) -> Tensor:
        """Raises Refused for pictures that are too small for the network."""
        return self.compare(self.compared(ours), self.compared(truth))

    def compare(self, ours: list[Tensor], truth: list[Tensor]) -> Tensor:
        """The distance of two batches of pictures from what `compared` gives for them."""
        terms = zip(self.heads, ours, truth, strict=True)
        return torch.stack([(head * (one - other) ** 2).sum(dim=1).mean(dim=(1, 2)) for head, one, other in terms]).sum(
            dim=0
        )

    def compared(self, pictures: Tensor) -> list[Tensor]:
        """The features of the compared layers, each pixel of length 1. Raises Refused for pictures that are too small."""
        if min(pictures.shape[-2:]) < _SMALLEST[self.net]:
            raise messages.TOO_SMALL_TO_MEASURE(
                measure="LPIPS", side=_SMALLEST[self.net], width=pictures.shape[-1], height=pictures.shape[-2]
            )
        found = []
        x = (2 * pictures - 1 - self.shift) / self.scale
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _LAYERS[self.net]:
                found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found
