"""What an upscaling will take of memory and disk, told or refused before the network runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from vsrpp import formats
from vsrpp.errors import VsrppError
from vsrpp.inference import messages
from vsrpp.inference.chunks import StreamBounds
from vsrpp.inference.memory import MemoryEstimate, most_there_can_be, there_is
from vsrpp.media.encoder import Encoding
from vsrpp.media.video_reader import OpenClip
from vsrpp.models import Network

_LEAST_BITS = {"png": 2.0, "ffv1": 2.0}
"""Bits per output pixel that a film takes at least; real ones take two to ten times as much."""
_LEAST_BITS_LOSSY = 0.02


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an upscaling will take."""

    memory: int
    """Bytes of the device's memory, about."""
    room: int
    """Bytes of it that there are."""
    fits: StreamBounds | None
    """Smaller bounds that would fit; None if these do, or none would."""
    host: int
    """Bytes of this process if the device has its own memory, else 0."""

    @property
    def tight(self) -> bool:
        return self.memory > self.room


def check_requirements(
    model: Network, opened: OpenClip, out: Path, bounds: StreamBounds, device: torch.device, encoding: Encoding | None,
    done: int,
) -> Requirements:  # fmt: skip
    """Raises Refused if the machine's memory or the free space beside the output cannot be enough. `done` frames exist."""
    memory = _estimate(model, opened, device)
    needs, room = memory.needs(bounds), there_is(device)
    fits = memory.that_fits(bounds, room) if needs > room else None
    if needs > _all(device):
        raise messages.TOO_LARGE(
            tile=bounds.tile, chunk=bounds.chunk_frames, needs=formats.size(needs), room=formats.size(room),
            advice=_advice(fits),
        )  # fmt: skip
    _check_disk(model, opened, out, encoding, done)
    return Requirements(needs, room, fits, 0 if device.type == "cpu" else memory.host(bounds))


def less(model: Network, opened: OpenClip, bounds: StreamBounds, device: torch.device) -> VsrppError:
    """The error for memory that has run out: what was needed, and what to try."""
    needed, fits = "", None
    try:
        memory = _estimate(model, opened, device)
        needs = memory.needs(bounds)
        needed = f", which take about {formats.size(needs)}"
        fits = memory.that_fits(bounds, min(there_is(device), int(needs * 0.75)))
    except (MemoryError, RuntimeError):  # not even enough for the estimate
        pass
    tile, chunk = bounds.tile or max(opened.width, opened.height), bounds.chunk_frames
    return messages.OUT_OF_MEMORY(
        tile=bounds.tile, chunk=chunk, needed=needed, less_tile=fits.tile if fits else max(64, tile // 2),
        less_chunk=fits.chunk_frames if fits else max(4, chunk // 2),
    )  # fmt: skip


def _estimate(model: Network, opened: OpenClip, device: torch.device) -> MemoryEstimate:
    return MemoryEstimate(model, (opened.width, opened.height), device, value_bytes=1 if opened.bits == 8 else 2)


def _advice(fits: StreamBounds | None) -> str:
    return (
        f"--tile {fits.tile} --chunk {fits.chunk_frames} would fit." if fits else "No smaller tile or chunk would fit."
    )


def _all(device: torch.device) -> int:
    """Bytes of memory that this process could have if it had the machine for itself."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return most_there_can_be()


def _check_disk(model: Network, opened: OpenClip, out: Path, encoding: Encoding | None, done: int) -> None:
    """Refuse what cannot fit: the size that even an easy film has; its finished segments and the joined file exist at once."""
    if not opened.expected:
        return
    bits = _LEAST_BITS.get(encoding.codec if encoding else "png", _LEAST_BITS_LOSSY)
    pixels = opened.width * opened.height * model.scale**2
    whole = bits / 8 * pixels * opened.expected
    needs = whole * (1 if encoding is None else 2) - bits / 8 * pixels * done
    free = shutil.disk_usage(out.parent).free
    if needs > free:
        raise messages.NO_ROOM(path=out, needs=formats.size(int(needs)), free=formats.size(free))
