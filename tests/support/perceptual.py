"""Random weight files in the layouts of torchvision, lpips and DISTS_pytorch, and frames to compare; always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.support.clips import piece
from vsrpp.metrics.backbones import alexnet, vgg16
from vsrpp.resize import resize_u8

BACKBONES = {"alex": alexnet, "vgg": vgg16}
HEADS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
DISTS_CHANNELS = 3 + 64 + 128 + 256 + 512 + 512


def random_backbone(net: str) -> dict[str, Tensor]:
    """He-normal weights under torchvision's names, small biases."""
    random = np.random.Generator(np.random.Philox(7))
    state = {}
    with torch.device("meta"):
        layers = BACKBONES[net]()
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            shape = tuple(layer.weight.shape)
            spread = np.sqrt(2 / np.prod(shape[1:]))
            state[f"features.{number}.weight"] = _tensor(spread * random.standard_normal(shape))
            state[f"features.{number}.bias"] = _tensor(0.1 * random.standard_normal(shape[0]))
    return state


def random_heads(net: str) -> dict[str, Tensor]:
    """The linear layers of an LPIPS, none negative."""
    random = np.random.Generator(np.random.Philox(8))
    widths = enumerate(HEADS[net])
    return {f"lin{number}.model.1.weight": _tensor(random.random((1, width, 1, 1))) for number, width in widths}


def random_alpha_beta() -> dict[str, Tensor]:
    random = np.random.Generator(np.random.Philox(9))
    return {name: _tensor(0.1 + 0.05 * random.random((1, DISTS_CHANNELS, 1, 1))) for name in ("alpha", "beta")}


def saved(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, path)
    return path


def frames_to_compare() -> tuple[np.ndarray, np.ndarray]:
    """(bicubic, truth): three frames of the sample clip, (3, 32, 40, 3) uint8."""
    truth = piece(3, 32, 40)
    return resize_u8(resize_u8(truth, 1 / 4), 4), truth


def batch(frames: np.ndarray) -> Tensor:
    """(T, H, W, 3) uint8 -> (T, 3, H, W) fp32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float() / 255


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
