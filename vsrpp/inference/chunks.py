"""Upscaling a clip of any length in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vsrpp.inference.tiles import blend, fade_in, lay_over, tile_spans
from vsrpp.inference.window import CHUNK_FRAMES, OVERLAP
from vsrpp.models.precision import autocast

Frames = NDArray[np.uint8]
"""(T, height, width, 3) uint8, RGB."""
DeepFrames = NDArray[Any]
"""The same, uint8 or uint16 at full scale."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The frames a chunk reads and the part of them it keeps: half-open ranges, counted from the clip's first frame."""

    read_start: int
    read_stop: int
    keep_start: int
    keep_stop: int


def chunk_plan(frames: int, chunk_frames: int | None, overlap: int) -> list[Chunk]:
    """Chunks that keep `chunk_frames` frames and read `overlap` more on either side. None: the whole clip as one chunk.

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
    """Yields a clip's upscaled frames chunk by chunk, in order: (n, H, W, 3) uint8.

    `read(start, stop)` returns frames as (n, h, w, 3) uint8; at most chunk_frames + 2 · overlap are requested at once.
    The model is moved to `device`; its training mode is restored.

    Chunking changes the result: the network is recurrent in both directions, so every output frame depends on the whole
    clip, and no overlap shorter than the clip reproduces the whole clip's result exactly. A chunk starts from an empty
    hidden state `overlap` frames before the first frame it keeps. How quickly that start is forgotten depends on the
    weights; no bound is known. The whole clip is not always better either: beyond the frames of a training sample the
    recurrence runs longer than it was trained for, which validation measures (`vsrpp.training.recurrence`). With
    overlap ≥ frames each chunk reads, and costs, the whole clip.
    Memory is bounded in the number of frames only; `upscale_stream` also bounds it in the frame size.
    """
    for chunk in chunk_plan(frames, chunk_frames, overlap):
        small = read(chunk.read_start, chunk.read_stop)
        yield upscale_chunk(model, small, chunk, device=device, precision=precision)


def upscale_chunk(
    model: nn.Module, lr_u8: Frames, chunk: Chunk, *, device: torch.device | str, precision: str = "fp32"
) -> Frames:
    """The upscaled frames that a chunk keeps, (n, H, W, 3) uint8, from those it reads. See `upscale_chunks`."""
    upscaled = _upscale(model, lr_u8, torch.device(device), precision)
    return upscaled[chunk.keep_start - chunk.read_start : chunk.keep_stop - chunk.read_start]


def part_to_read(
    start: int, stop: int | None, *, chunk_frames: int, overlap: int, whole: int
) -> tuple[int, int | None]:
    """(first, end) of the frames that `upscale_iter` must be given for frames start … stop-1 of a clip.

    None: up to the clip's end. The chunks are those of the whole clip, counted from its first frame.
    """
    first = 0 if start < whole else max(0, start // chunk_frames * chunk_frames - overlap)
    if stop is None:
        return first, None
    return first, max(first + whole + 1, -(-stop // chunk_frames) * chunk_frames + overlap)


def upscale_iter(
    model: nn.Module,
    frames: Iterable[Frames],
    *,
    device: torch.device | str,
    chunk_frames: int,
    overlap: int,
    whole: int = 0,
    start: int = 0,
    precision: str = "fp32",
) -> Iterator[Frames]:
    """The frames of `upscale_chunks`, one by one, for a clip that is read once and whose length is not known.

    A clip of up to `whole` frames is one chunk. Holds at most chunk_frames + 2 · overlap input frames, or `whole` + 1.
    Yields the frames from `start` on, as they are in the whole clip; `frames` then begin where `part_to_read` says.
    """
    source = iter(frames)
    first, _ = part_to_read(start, None, chunk_frames=chunk_frames, overlap=overlap, whole=whole)
    window = list(islice(source, whole + 1))
    size = chunk_frames if first or len(window) > whole else max(len(window), 1)
    for kept in count(start // size * size, size):
        del window[: max(0, kept - overlap) - first]
        first = max(0, kept - overlap)
        window += islice(source, max(0, kept + size + overlap - first - len(window)))
        known = first + len(window)
        if known <= max(kept, start):
            return
        chunk = Chunk(first, min(known, kept + size + overlap), kept, min(known, kept + size))
        small = np.stack(window[: chunk.read_stop - first])
        yield from upscale_chunk(model, small, chunk, device=device, precision=precision)[max(0, start - kept) :]


def upscale_frames(
    model: nn.Module,
    lr_u8: Frames,
    *,
    device: torch.device | str,
    chunk_frames: int | None = None,
    overlap: int = 8,
    precision: str = "fp32",
) -> Frames:
    """(T, h, w, 3) uint8 -> (T, H, W, 3) uint8, the whole clip at once unless `chunk_frames` is given.

    See `upscale_chunks`.
    """
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBounds:
    """How much of a clip `upscale_stream` holds at once. Raises ValueError for inconsistent values."""

    chunk_frames: int = CHUNK_FRAMES
    """Frames kept of each chunk."""
    overlap: int = OVERLAP
    """Frames read on either side of a chunk. On either side of a cut, half as many are cross-faded between chunks."""
    tile: int = 256
    """Side of a tile in input pixels; 0 processes whole frames."""
    tile_overlap: int = 32
    """Pixels shared by neighbouring tiles; the middle half of them is cross-faded."""

    def __post_init__(self) -> None:
        chunk_plan(1, self.chunk_frames, self.overlap)
        tile_spans(1, self.tile, self.tile_overlap)

    @property
    def fade(self) -> int:
        """Frames on either side of a cut that are cross-faded."""
        return min(self.overlap // 2, self.chunk_frames // 2)

    def reads_from(self, start: int) -> int:
        """The first input frame that a stream reads whose output begins at frame `start`."""
        return max(0, start - self.chunk_frames - self.overlap)

    def tiles(self, height: int, width: int) -> int:
        """Number of tiles of a frame."""
        return len(tile_spans(height, self.tile, self.tile_overlap)) * len(
            tile_spans(width, self.tile, self.tile_overlap)
        )

    def passes(self, frames: int, start: int = 0) -> Iterator[tuple[Chunk, int]]:
        """(chunk, frames that are final after it) for a clip of `frames` frames whose output begins at frame `start`.

        `start` is a multiple of `chunk_frames`. The chunk before it is computed once more, for the cross-fade.
        """
        kept = max(0, start - self.chunk_frames)
        while kept < frames:
            stop = min(kept + self.chunk_frames, frames)
            if frames <= kept + self.chunk_frames + self.overlap and frames - stop <= self.fade:
                stop = frames  # the remainder is too short for its own chunk
            reach = min(kept + self.chunk_frames + self.overlap, frames)
            yield Chunk(max(0, kept - self.overlap), reach, kept, stop), frames if stop == frames else stop - self.fade
            kept = stop

    def work(self, frames: int, height: int, width: int, start: int = 0) -> int:
        """Frames through the network times tiles, for a clip of that length whose output begins at frame `start`."""
        read = sum(chunk.read_stop - chunk.read_start for chunk, _ in self.passes(frames, start))
        return read * self.tiles(height, width)


def upscale_stream(
    model: nn.Module,
    frames: Iterable[DeepFrames],
    *,
    device: torch.device | str,
    bounds: StreamBounds | None = None,
    precision: str = "fp32",
    start: int = 0,
    on_work: Callable[[int], None] = lambda _: None,
) -> Iterator[DeepFrames]:
    """Upscales (h, w, 3) frames to (H, W, 3), uint8 or uint16, in order, in memory that does not depend on the clip's length.

    At most chunk_frames + 2 · overlap input frames and about as many output frames are held at once. `upscale_chunks`
    describes the effect of chunking; cross-fading spreads it over 2 · `bounds.fade` frames, so that cuts do not show as a
    jump. Tiles are treated alike: near its border a tile lacks context, so the outer quarter of an overlap is dropped and
    the middle is cross-faded.

    With `start`, a multiple of chunk_frames, the output begins at that frame, identical to that of the whole clip; `frames`
    then begin at frame `bounds.reads_from(start)`. `on_work` gets, after each tile, the frames that went through the network.
    """
    bounds = bounds or StreamBounds()
    source = iter(frames)
    window: list[DeepFrames] = []
    begins = bounds.reads_from(start)
    faded: DeepFrames | None = None
    kept = max(0, start - bounds.chunk_frames)
    while True:
        reach = kept + bounds.chunk_frames + bounds.overlap
        window += islice(
            source, max(0, reach + 1 - begins - len(window))
        )  # one more, to see whether the clip continues
        known = begins + len(window)
        if known <= kept:
            return
        chunk, final = next(bounds.passes(known, kept + bounds.chunk_frames))
        last = chunk.keep_stop == known
        first = max(0, kept - bounds.fade)
        until = min(chunk.keep_stop + bounds.fade, known)
        output = _upscale_tiles(
            model, np.stack(window[: chunk.read_stop - begins]), torch.device(device), precision, bounds,
            slice(first - begins, until - begins), on_work,
        )  # fmt: skip
        if faded is not None:
            _fade(faded, output)
        yield from output[max(0, start - first) : final - first]
        if last:
            return
        faded = output[final - first :].copy()
        del output  # frees it before the next chunk's
        kept = chunk.keep_stop
        forget = max(0, kept - bounds.overlap) - begins
        del window[:forget]
        begins += forget


def _fade(before: DeepFrames, output: DeepFrames) -> None:
    """Cross-fade in place: `before` are the previous chunk's versions of the first frames of `output`."""
    for number, old in enumerate(before):
        output[number] = blend(old, output[number], (number + 0.5) / len(before))


def _upscale_tiles(
    model: nn.Module, lr: DeepFrames, device: torch.device, precision: str, bounds: StreamBounds, keep: slice,
    on_work: Callable[[int], None],
) -> DeepFrames:  # fmt: skip
    """The frames `keep` of a window, upscaled tile by tile."""
    height, width = lr.shape[1:3]
    rows, columns = (tile_spans(side, bounds.tile, bounds.tile_overlap) for side in (height, width))
    if len(rows) == len(columns) == 1:
        output = _upscale(model, lr, device, precision, keep)
        on_work(len(lr))
        return output
    scale = int(model.scale)  # type: ignore[arg-type]
    canvas = np.empty((keep.stop - keep.start, height * scale, width * scale, 3), lr.dtype)
    for (top, bottom), row_weight in zip(rows, fade_in(rows, scale), strict=True):
        for (left, right), column_weight in zip(columns, fade_in(columns, scale), strict=True):
            output = _upscale(model, lr[:, top:bottom, left:right], device, precision, keep)
            place = canvas[:, top * scale : bottom * scale, left * scale : right * scale]
            lay_over(place, output, row_weight, column_weight)
            on_work(len(lr))
    return canvas


def _upscale(
    model: nn.Module, lr: DeepFrames, device: torch.device, precision: str, keep: slice = slice(None)
) -> DeepFrames:
    """The frames `keep` of a clip, upscaled: uint8 or uint16, full scale, as the input."""
    was_training = model.training
    model.to(device).eval()
    white, depth = (255.0, torch.uint8) if lr.dtype == np.uint8 else (65535.0, torch.uint16)
    try:
        with torch.inference_mode(), autocast(device, precision):
            pictures = torch.from_numpy(np.array(lr)).to(device).permute(0, 3, 1, 2).float().div_(white)
            sr = model(pictures[None])[0, keep].float().clamp_(0.0, 1.0).mul_(white).round_().to(depth)
            return sr.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    finally:
        model.train(was_training)
