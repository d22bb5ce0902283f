"""MATLAB-compatible bicubic upscaling on any device, as two products with constant matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vsrpp.resize import weights_matrix

MAX_CACHED = 16
"""Most matrices cached, at two per frame size. A run has two sizes, crop and clip; a folder of mixed clips has many."""


class BicubicUpscale(nn.Module):
    """(…, h, w) -> (…, scale·h, scale·w) in fp32, without gradient; equals `vsrpp.resize` to within 1e-4 of full scale.

    `interpolate(mode="bicubic")` uses another kernel (a = -0.75) and has no deterministic backward on CUDA. The matrices
    follow from the size, so they are plain tensors outside the state dict. The bound assumes fp32 matmuls, torch's
    default; with TF32 it is about 1e-3.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self._matrices: dict[tuple[int, torch.device], Tensor] = {}

    @property
    def cached(self) -> int:
        """The number of cached matrices, at most MAX_CACHED."""
        return len(self._matrices)

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        with torch.autocast(device_type=pictures.device.type, enabled=False):
            height, width = pictures.shape[-2:]
            rows = self._matrix(height, pictures.device) @ pictures.float()
            return rows @ self._matrix(width, pictures.device).T

    def _matrix(self, size: int, device: torch.device) -> Tensor:
        key = (size, device)
        if key not in self._matrices:
            if len(self._matrices) >= MAX_CACHED:
                self._matrices.clear()
            weights = weights_matrix(size, size * self.scale, float(self.scale)).astype(np.float32)
            with torch.inference_mode(False):  # a matrix created in validation is used in training, too
                self._matrices[key] = torch.from_numpy(weights).to(device)
        return self._matrices[key]
