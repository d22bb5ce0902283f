"""How FFmpeg and swscale number matrices and ranges."""

from __future__ import annotations

UNSPECIFIED = 2
"""FFmpeg's number for an unspecified matrix, primaries or transfer function."""
BT709, BT601 = 1, 6
HD_LINES = 720
FULL_RANGE = 2


def sws_matrix(matrix: int) -> int:
    """swscale's number for a matrix: FFmpeg's own where swscale supports it, else swscale's default (BT.601)."""
    return matrix if matrix in (1, 4, 5, 6, 7, 9) else 5
