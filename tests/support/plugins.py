"""Plug-ins for tests, written into folders of their own."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.processes import environment
from tests.support.runs import TINY, Steered
from vsrpp.launch.request import RankCommand, TrainRequest
from vsrpp.launch.run_configs import resolve
from vsrpp.paths import RunPaths

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


_MAKE = """
import sys
from pathlib import Path
from tests.support.plugins import steered
run = steered(Path.cwd(), sys.argv[1], {12: lambda run: run.ask("stop")}, network="extras.py:TinyNet", tiny_width=4,
              fft_weight=0.2, l1_weight=0.4, max_steps=20)
assert run.train() == "stopped"
print(run.paths.root)
"""


def steered(
    folder: Path, data: str | Path, at: dict[int, Any] | None = None, *, plugins: Iterable[str] = (), **sets: Any
) -> Any:
    """A tiny run in this process, in `folder`/runs, with plug-ins as the working directory has them."""
    from vsrpp.training.start import prepare_new

    run_config, live = configs(data, plugins, **sets)
    return Steered(
        prepare_new(run_config, live, runs=folder / "runs", run_id=lambda: None, say=lambda _: None), at
    )  # fmt: skip


def configs(data: str | Path, plugins: Iterable[str] = (), **sets: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run config and the live config, as `vsrpp train` resolves them; loads the plug-ins."""
    settings = tuple(f"{key}={value}" for key, value in {**TINY, **sets}.items())
    request = TrainRequest(
        rank_command=RankCommand(module="vsrpp", arguments=()), preset="demo", data=str(data), settings=settings,
        plugins=tuple(plugins),
    )  # fmt: skip
    return resolve(request, None)


def made_elsewhere(folder: Path, data: Path, text: str = EXTRAS) -> tuple[RunPaths, Path]:
    """A run that was stopped at step 12, of another account: (its folder, its plug-in's file)."""
    file = write(folder, text)
    done = subprocess.run(
        [sys.executable, "-c", _MAKE, str(data)], cwd=folder, capture_output=True, text=True,
        env={**environment(folder), "XDG_CONFIG_HOME": str(folder / "config")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return RunPaths(Path(done.stdout.splitlines()[-1])), file
