"""The window of inference: how many frames a network reads at once for the frames it keeps.

Imports nothing, so that commands can name it without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHUNK_FRAMES = 16
"""Frames kept of a chunk."""
OVERLAP = 8
"""Frames read on either side of them, since validation version 2. Upscaling has always read that many."""
_OVERLAP_1 = 4


def validation_overlap(run_config: Mapping[str, Any]) -> int:
    """Frames that a run's validation reads on either side of a chunk."""
    return _OVERLAP_1 if run_config.get("validation_version", 1) == 1 else OVERLAP


def window(chunk_frames: int, overlap: int) -> int:
    """The longest clip that a network reads at once."""
    return chunk_frames + 2 * overlap


def validated_window(run_config: Mapping[str, Any]) -> int:
    """The window that a run's figures were measured with."""
    return window(CHUNK_FRAMES, validation_overlap(run_config))
