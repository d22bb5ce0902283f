"""Whether a network's recurrence is stable: its hidden state along the window of inference, and its gain there and in a
window as long as a training sample.

A network that gains at the few frames of a training sample may still diverge over a longer clip, which neither the loss
nor a short validation shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vsrpp import metrics, resize
from vsrpp.data import ValClip
from vsrpp.inference.chunks import chunk_plan, upscale_frames
from vsrpp.inference.window import CHUNK_FRAMES, OVERLAP
from vsrpp.models import recurrences_of

MOST_GROWTH = 1000.0
"""Growth on record for a state that became infinite."""


def measure(
    model: nn.Module, clip: ValClip, train_frames: int, scale: int, *, device: torch.device, precision: str
) -> dict[str, float]:  # fmt: skip
    """Figures of the middle chunk of a clip, read with the window of inference; {} if no frame is beyond `train_frames`.

    `gain_window` and `gain_train_window` (dB of PSNR-Y over bicubic, of the same frames read with the window of inference
    and in windows of `train_frames` frames), `hidden_DIRECTION_first` and `_last` (mean absolute hidden state at the
    window's first and last frame), `recurrence_growth` (the state's factor per frame, over the second half of the frames
    beyond `train_frames`, of the direction that grows most). {} for a network that names no recurrence.
    """
    chunks = chunk_plan(clip.frames, CHUNK_FRAMES, OVERLAP)
    chunk = chunks[len(chunks) // 2]
    frames = chunk.read_stop - chunk.read_start
    parts = recurrences_of(model)
    if not parts or frames <= train_frames:
        return {}
    kept = slice(chunk.keep_start - chunk.read_start, chunk.keep_stop - chunk.read_start)
    lr, gt = clip.lr(chunk.read_start, chunk.read_stop), clip.gt(chunk.keep_start, chunk.keep_stop)

    def upscaled(first: int, stop: int) -> NDArray[np.uint8]:
        return upscale_frames(model, lr[first:stop], device=device, precision=precision)

    with _states(parts) as states:
        long = upscaled(0, frames)[kept]
    short = _in_short_windows(upscaled, kept, train_frames, frames)
    bicubic = _psnr(resize.resize_u8(lr[kept], scale), gt)
    sizes = {name: torch.stack(found).tolist() for name, found in states.items() if found}
    sizes = {name: size for name, size in sizes.items() if len(size) == frames}  # a plug-in's module may run otherwise
    ends: dict[str, float] = {}
    for name, size in sizes.items():
        first, last = (size[-1], size[0]) if name.startswith("backward") else (size[0], size[-1])
        ends |= {f"hidden_{name}_first": _finite(first), f"hidden_{name}_last": _finite(last)}
    growth = {"recurrence_growth": max(_growth(size, train_frames) for size in sizes.values())} if sizes else {}
    return {"gain_window": _psnr(long, gt) - bicubic, "gain_train_window": _psnr(short, gt) - bicubic, **ends, **growth}


def _in_short_windows(upscaled: Any, kept: slice, length: int, frames: int) -> NDArray[np.uint8]:
    """The kept frames, upscaled in windows of `length` frames; the last one is moved back to fit."""
    parts = []
    for start in range(kept.start, kept.stop, length):
        first = min(start, frames - length)
        stop = min(start + length, kept.stop)
        parts.append(upscaled(first, first + length)[start - first : stop - first])
    return np.concatenate(parts)


def _growth(sizes: list[float], train_frames: int) -> float:
    """The factor per frame by which a state grows, over the second half of the frames that training does not see.

    A bounded state that is still filling up has settled by then; one that diverges has not.
    """
    start = (train_frames + len(sizes) - 2) // 2
    before, after = sizes[start], sizes[-1]
    if not math.isfinite(after) or not before:
        return MOST_GROWTH if after else 1.0
    return min(MOST_GROWTH, (after / before) ** (1.0 / (len(sizes) - 1 - start)))


def _finite(size: float) -> float:
    return size if math.isfinite(size) else float(np.finfo(np.float32).max)


def _psnr(frames: NDArray[np.uint8], gt: NDArray[np.uint8]) -> float:
    return metrics.evaluate_frames(frames, gt, rgb=False)["psnr_y"]


@contextmanager
def _states(parts: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """The mean absolute output of each module, call by call."""
    sizes: dict[str, list[Tensor]] = {name: [] for name in parts}
    hooks = []
    for name, part in parts.items():

        def keep(_module: nn.Module, _given: Any, output: Any, kept: list[Tensor] = sizes[name]) -> None:
            if isinstance(output, Tensor):
                kept.append(output.detach().float().abs().mean())

        hooks.append(part.register_forward_hook(keep))
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()
