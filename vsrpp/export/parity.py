"""Compares an exported file with the network it was made of, on frames of the sample clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsrpp.data.sources import find_plain, read_frames
from vsrpp.errors import NotFound, Refused
from vsrpp.export import messages
from vsrpp.export.forms import ExportRequest
from vsrpp.export.runners import load
from vsrpp.resize import resize_u8

SIZES = ((36, 44), (64, 48), (45, 81))
"""(h, w) of the frames compared: multiples of 32 and of 4, and neither."""


def largest_difference(
    network: nn.Module, path: Path, request: ExportRequest, run_config: Mapping[str, Any]
) -> dict[str, Any]:
    """Run the file at every one of SIZES: `max_abs_difference`, `differences` (by size), `sizes`, and `compared_on`.

    Raises ProofFailed if the file cannot be run, or differs by more than the request's limit.
    """
    clip, compared_on = sample_frames(request.frames, int(run_config["scale"]))
    run, differences = load(path, request, run_config), []
    for height, width in SIZES:
        frames, size = clip[:, :, :, :height, :width], f"{request.frames} frames of {width}×{height}"
        with torch.no_grad():
            expected = network(frames)
            try:
                output = run(given(frames, request))
            except Exception as error:  # noqa: BLE001 - each runtime has its own classes of errors
                cause = (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")
                raise messages.NOT_RUN(form=request.form, size=size, cause=cause) from None
        expected = expected[:, request.middle] if request.windowed else expected
        difference = (output - expected).abs().max().item() if output.shape == expected.shape else float("inf")
        if not difference <= request.limit:
            said = f"{difference:.2g}"
            raise messages.DIFFERS(form=request.form, difference=said, size=size, limit=f"{request.limit:g}")
        differences.append(difference)
    return {
        "max_abs_difference": max(differences), "differences": differences, "sizes": [list(size) for size in SIZES],
        "compared_on": compared_on,
    }  # fmt: skip


def given(frames: Tensor, request: ExportRequest) -> Tensor:
    """A clip (N, T, 3, h, w) as the file's input."""
    return frames.flatten(1, 2) if request.windowed else frames


def sample_frames(count: int, scale: int) -> tuple[Tensor, str]:
    """(1, count, 3, h, w) in [0, 1], the sample clip reduced by `scale`, of the largest of SIZES in each direction.

    Also returns what they are: `sample`, or `synthetic` where the clip is not installed.
    """
    height, width = (max(side) for side in zip(*SIZES, strict=True))
    try:
        frames, name = resize_u8(read_frames(find_plain("sample")[1][0], 0, count), 1 / scale), "sample"
    except (NotFound, Refused):
        frames, name = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8), "synthetic"
    cut = np.ascontiguousarray(frames[:, :height, :width].transpose(0, 3, 1, 2))
    return torch.from_numpy(cut).float().div(255.0)[None], name
