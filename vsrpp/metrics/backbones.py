"""AlexNet and VGG16 up to their last feature, in plain torch, numbered as torchvision numbers them; and their weight files."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from vsrpp.metrics import messages

_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of each convolution, by stage."""
ALEXNET_RELUS, VGG16_RELUS = (1, 4, 7, 9, 11), (3, 8, 15, 22, 29)
"""The layers whose features are compared: all of AlexNet's ReLUs, and the last one of each of VGG16's stages."""


def alexnet() -> nn.Sequential:
    """torchvision's `alexnet().features` (Krizhevsky 2014, one column), without the last pool."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def vgg16() -> nn.Sequential:
    """torchvision's `vgg16().features` (Simonyan and Zisserman 2015), without the last pool."""
    layers: list[nn.Module] = []
    channels = 3
    for stage, outputs in enumerate(_VGG16):
        if stage:
            layers.append(nn.MaxPool2d(2))
        for out in outputs:
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            channels = out
    return nn.Sequential(*layers)


def read_files(paths: Sequence[Path], option: str) -> dict[str, Tensor]:
    """The tensors of several torch files together. Raises Refused, naming the option, for what is not one."""
    tensors: dict[str, Tensor] = {}
    for path in paths:
        if not path.is_file():
            raise messages.WEIGHT_FILE(option=option, path=path, cause="no such file")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            state = None
        if not isinstance(state, Mapping):
            raise messages.WEIGHT_FILE(option=option, path=path, cause="not a torch weight file")
        tensors |= {str(key): value.float() for key, value in state.items() if isinstance(value, Tensor)}
    return tensors


def load_features(features: nn.Sequential, tensors: Mapping[str, Tensor]) -> str:
    """Fill a backbone from torchvision's `features.N.weight`, or from the slices and stages of the packages' own files.

    Returns the name of the first tensor that is missing or of another shape, "" if there is none.
    """
    by_place = {_place(key): value for key, value in tensors.items()}
    weights = {}
    for key, wanted in features.state_dict().items():
        have = by_place.get(key)
        if have is None or have.shape != wanted.shape:
            return f"features.{key}"
        weights[key] = have
    features.load_state_dict(weights, assign=True)
    return ""


def _place(key: str) -> str:
    """`N.weight` of `features.N.weight`, `net.slice2.N.weight` (an LPIPS saved whole) and `stage2.N.weight` (a DISTS)."""
    *room, number, kind = key.split(".") if key.count(".") > 1 else (key, "", "")
    known = room == ["features"] or room[0].startswith("stage") or (room[0] == "net" and room[1].startswith("slice"))
    return f"{number}.{kind}" if known else key
