"""Upscaling a clip of any length in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Frames = NDArray[np.uint8]
"""(T, height, width, 3) uint8, RGB."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames read and, of these, the frames kept; both half-open, counted from the clip's first frame."""

    read_start: int
    read_stop: int
    keep_start: int
    keep_stop: int


def chunk_plan(frames: int, chunk_frames: int | None, overlap: int) -> list[Chunk]:
    """Chunks of `chunk_frames` kept frames, each read with `overlap` more on either side. None: the whole clip at once.

    Raises ValueError for chunk_frames below 1 or overlap below 0.
    """
    if chunk_frames is not None and chunk_frames < 1:
        raise ValueError(f"chunk_frames = {chunk_frames}: must be at least 1")
    if overlap < 0:
        raise ValueError(f"overlap = {overlap}: must be at least 0")
    size = frames if chunk_frames is None else chunk_frames
    return [
        Chunk(max(0, start - overlap), min(frames, start + size + overlap), start, min(frames, start + size))
        for start in range(0, frames, max(size, 1))
    ]


def upscale_chunks(
    model: nn.Module,
    read: Callable[[int, int], Frames],
    frames: int,
    *,
    device: torch.device | str,
    chunk_frames: int | None,
    overlap: int,
    precision: str = "fp32",
) -> Iterator[Frames]:
    """Yields a clip's upscaled frames chunk by chunk, in order.

    `read(start, stop)` gives the frames asked for, (n, h, w, 3) uint8: no more than chunk_frames + 2 · overlap at once.
    The model is moved to `device`, and left in the mode it was in.

    What a cut costs: the network is recurrent in both directions, so every frame it puts out depends on every frame of
    the clip, and no overlap shorter than the clip gives exactly the whole clip's result. A chunk starts from an empty
    hidden state `overlap` frames before the first frame it keeps; how fast that start is forgotten follows from the
    weights, no bound is known. Nor is the whole clip always the better picture: beyond the `num_frames` of training the
    recurrence runs longer than it ever did. With overlap ≥ frames each chunk sees, and costs, the whole clip.
    Memory is bounded over time alone: one frame that is too large for the device stays too large.
    """
    for chunk in chunk_plan(frames, chunk_frames, overlap):
        upscaled = _upscale(model, read(chunk.read_start, chunk.read_stop), torch.device(device), precision)
        yield upscaled[chunk.keep_start - chunk.read_start : chunk.keep_stop - chunk.read_start]


def upscale_frames(
    model: nn.Module,
    lr_u8: Frames,
    *,
    device: torch.device | str,
    chunk_frames: int | None = None,
    overlap: int = 8,
    precision: str = "fp32",
) -> Frames:
    """(T, h, w, 3) uint8 -> (T, H, W, 3) uint8, at once unless `chunk_frames` is given: see `upscale_chunks`."""
    chunks = upscale_chunks(
        model,
        lambda start, stop: lr_u8[start:stop],
        len(lr_u8),
        device=device,
        chunk_frames=chunk_frames,
        overlap=overlap,
        precision=precision,
    )
    return np.concatenate(list(chunks))


def _upscale(model: nn.Module, lr_u8: Frames, device: torch.device, precision: str) -> Frames:
    was_training = model.training
    model.to(device).eval()
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            lr = torch.from_numpy(np.array(lr_u8)).to(device).permute(0, 3, 1, 2).float().div_(255.0)
            sr_u8 = model(lr[None])[0].float().clamp_(0.0, 1.0).mul_(255.0).round_().to(torch.uint8)
            return sr_u8.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    finally:
        model.train(was_training)
