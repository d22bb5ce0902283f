"""MATLAB-compatible bicubic upscaling on any device, as two products with constant matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vsrpp.models.precision import full
from vsrpp.models.tracing import tracing
from vsrpp.resize import weights_matrix

MAX_CACHED = 16
"""Most matrices cached, at two per frame size. A run has two sizes, crop and clip; a folder of mixed clips has many."""


_REACH = 2
"""Pixels on either side of an input pixel that its output pixels depend on."""


class BicubicUpscale(nn.Module):
    """(…, h, w) -> (…, scale·h, scale·w) in fp32, without gradient; equals `vsrpp.resize` to within 1e-4 of full scale.

    `interpolate(mode="bicubic")` uses another kernel (a = -0.75) and has no deterministic backward on CUDA. The matrices
    follow from the size, so they are plain tensors outside the state dict. The bound assumes fp32 matmuls, torch's
    default; with TF32 it is about 1e-3.

    A graph that is traced for export must hold for every size, so there it is one convolution with constant weights; that
    rounds differently, and takes frames of 2×2 pixels and up.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self._phases = _phases(scale)
        self._matrices: dict[tuple[int, torch.device], Tensor] = {}

    @property
    def cached(self) -> int:
        """The number of cached matrices, at most MAX_CACHED."""
        return len(self._matrices)

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        with full(pictures.device):
            if tracing():
                return self._convolved(pictures.float())
            height, width = pictures.shape[-2:]
            rows = self._matrix(height, pictures.device) @ pictures.float()
            return rows @ self._matrix(width, pictures.device).T

    def _convolved(self, pictures: Tensor) -> Tensor:
        leading = pictures.shape[:-2]
        mirrored = _mirrored(_mirrored(pictures.reshape(-1, 1, *pictures.shape[-2:]), -1), -2)
        upscaled = F.pixel_shuffle(F.conv2d(mirrored, self._phases.to(pictures.device)), self.scale)
        return upscaled.reshape(*leading, *upscaled.shape[-2:])

    def _matrix(self, size: int, device: torch.device) -> Tensor:
        key = (size, device)
        if key not in self._matrices:
            if len(self._matrices) >= MAX_CACHED:
                self._matrices.clear()
            weights = weights_matrix(size, size * self.scale, float(self.scale)).astype(np.float32)
            with torch.inference_mode(False):  # a matrix created in validation is used in training, too
                self._matrices[key] = torch.from_numpy(weights).to(device)
        return self._matrices[key]


def _phases(scale: int) -> Tensor:
    """The (scale², 1, 5, 5) kernels of the output pixels of one input pixel, row by row, from `vsrpp.resize` itself."""
    size = 2 * _REACH + 1
    inner = slice(_REACH, _REACH + size)  # of a line twice as far from both ends as the kernel reaches
    lines = weights_matrix(size + 2 * _REACH, (size + 2 * _REACH) * scale, float(scale))
    taps = lines[2 * _REACH * scale : (2 * _REACH + 1) * scale, inner]
    kernels = taps[:, None, :, None] * taps[None, :, None, :]
    return torch.from_numpy(kernels.reshape(scale**2, 1, size, size).astype(np.float32))


def _mirrored(pictures: Tensor, axis: int) -> Tensor:
    """Two more lines on either side of an axis: the border as a mirror, the edge line repeated."""
    before, after = pictures.narrow(axis, 0, _REACH).flip(axis), pictures.narrow(axis, -_REACH, _REACH).flip(axis)
    return torch.cat((before, pictures, after), dim=axis)
