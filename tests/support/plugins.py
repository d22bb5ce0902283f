"""Plug-ins for tests, written into folders of their own."""

from __future__ import annotations

import itertools
from pathlib import Path

_numbers = itertools.count()

EXTRAS = """\
import torch
from torch import nn
from vsrpp.plugins import Parameter, loss_term, network


@network(parameters={"tiny_width": Parameter(int, default=16, minimum=4, maximum=64, unit="channels", description="Features.")})
class TinyNet(nn.Module):
    def __init__(self, *, scale: int, tiny_width: int):
        super().__init__()
        self.scale = scale
        self.body = nn.Sequential(
            nn.Conv2d(3, tiny_width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(tiny_width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale),
        )

    def forward(self, lr):
        n, t = lr.shape[:2]
        x = lr.flatten(0, 1)
        return (self.body(x) + x.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)).unflatten(0, (n, t))


@loss_term(
    name="fft", label="FFT", colour="#22c55e",
    parameters={"fft_power": Parameter(float, default=1.0, minimum=0.5, maximum=2.0, tier="safe", description="Exponent.")},
)
def fft(pred, truth, *, fft_power):
    return (torch.fft.rfft2(pred) - torch.fft.rfft2(truth)).abs().add(1e-6).pow(fft_power).mean() * 0.01
"""
"""A network with a parameter, and a loss term with a live one."""

LOSS = """\
from vsrpp.plugins import Parameter, loss_term


@loss_term(name="{name}", label="{name}", colour="#123456")
def term(pred, truth):
    return (pred - truth).abs().mean()
"""


def write(folder: Path, text: str = EXTRAS, name: str = "extras.py", *, alone: bool = True) -> Path:
    """A file of a plug-in. `alone`: its text, and so its SHA-256, is that of no other test."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + (f"# {next(_numbers)} of {folder}\n" if alone else ""), encoding="utf-8")
    return file


def loss(name: str) -> str:
    """The text of a plug-in with one loss term."""
    return LOSS.format(name=name)
