"""Overlapping tiles, for pictures too large to upscale at once: upscaled one by one and cross-faded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

DROPPED = 0.25
"""Fraction of an overlap, at either end, where a tile is ignored, because zero padding affects it most there."""


def tile_spans(size: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open spans of `tile` pixels that cover 0 … size; neighbours share at least `overlap`. tile 0: one span.

    Raises ValueError unless the tile is larger than twice its overlap.
    """
    if tile < 0 or overlap < 0 or (tile and tile <= 2 * overlap):
        raise ValueError(f"tile = {tile} must be 0 or more than twice the overlap of {overlap}")
    if tile == 0 or tile >= size:
        return [(0, size)]
    starts = [*range(0, size - tile, tile - overlap), size - tile]
    return [(start, start + tile) for start in starts]


def fade_in(spans: list[tuple[int, int]], scale: int) -> list[NDArray[np.float32]]:
    """For each span, the blending weight of its upscaled pixels against earlier tiles: 0 … 1 in the overlap, then 1."""
    weights = [np.ones((stop - start) * scale, np.float32) for start, stop in spans]
    for weight, (before, now) in zip(weights[1:], pairwise(spans), strict=True):
        shared = (before[1] - now[0]) * scale
        places = (np.arange(shared, dtype=np.float32) + 0.5) / max(shared, 1)
        weight[:shared] = np.clip((places - DROPPED) / (1 - 2 * DROPPED), 0.0, 1.0)
    return weights


def lay_over(canvas: NDArray[Any], tile: NDArray[Any], rows: NDArray[np.float32], columns: NDArray[np.float32]) -> None:
    """Blend the upscaled frames of a tile, (T, H, W, 3), into its part of the canvas, in place."""
    top, left = (int((weights < 1.0).sum()) for weights in (rows, columns))
    canvas[:, top:, left:] = tile[:, top:, left:]
    weight = (rows[:, None] * columns)[..., None]
    for strip in ((slice(top), slice(None)), (slice(top, None), slice(left))):  # weights are below 1 here only
        for below, above in zip(canvas, tile, strict=True):
            below[strip] = blend(below[strip], above[strip], weight[strip])


def blend(below: NDArray[Any], above: NDArray[Any], weight: NDArray[np.float32] | float) -> NDArray[Any]:
    """Linear blend, rounded: `below` at weight 0, `above` at weight 1."""
    mixed = below + (above.astype(np.float32) - below) * weight
    return np.rint(mixed).astype(below.dtype)
