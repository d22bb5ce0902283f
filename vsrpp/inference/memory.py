"""The memory that an upscaling takes, estimated before it starts, and the tile and chunk that would fit."""

from __future__ import annotations

import copy
import resource
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vsrpp.inference.chunks import StreamBounds
from vsrpp.models.spynet import COARSEST

_SIDE = COARSEST
"""Side of the small picture: what a network with flow resizes to anyway."""
_MEASURED_FRAMES = 32
"""The most frames that a network is measured on, which takes a second; beyond, memory is assumed to grow in proportion."""
_ENCODER_BYTES = 90
"""Bytes per output pixel that an encoder holds: about 60 frames of 4:2:0, for x264's lookahead and references."""
_SMALLEST_TILE, _SMALLEST_CHUNK = 64, 4


def there_is(device: torch.device) -> int:
    """Bytes available to this process: free memory plus what it holds, within its limit."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    free = psutil.virtual_memory().available + psutil.Process().memory_info().rss
    return free if limit == resource.RLIM_INFINITY else min(free, limit)


def most_there_can_be() -> int:
    """Bytes that this process can have: the machine's memory, or its limit."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    whole = psutil.virtual_memory().total + psutil.swap_memory().total
    return whole if limit == resource.RLIM_INFINITY else min(whole, limit)


class MemoryEstimate:
    """What upscaling a video of a size takes under given bounds."""

    def __init__(self, model: nn.Module, size: tuple[int, int], device: torch.device, *, value_bytes: int = 1) -> None:
        """`size` is (width, height) of the input; `value_bytes` those of one colour of a pixel."""
        self._model, self._size, self._device, self._value_bytes = model, size, device, value_bytes
        self._scale = int(model.scale)  # type: ignore[arg-type]
        self._holds = psutil.Process().memory_info().rss

    def network(self, bounds: StreamBounds) -> int:
        """Bytes of the network's pass over a tile, on its device, without the workspaces of convolutions."""
        width, height = (min(side, bounds.tile or side) for side in self._size)
        frames = bounds.chunk_frames + 2 * bounds.overlap
        measured = min(frames, _MEASURED_FRAMES)
        return _peak_bytes(self._model, measured, height, width) * frames // measured

    def host(self, bounds: StreamBounds) -> int:
        """Bytes of this process: what it holds now, the frames of two chunks, the encoder, and on a CPU the network."""
        width, height = self._size
        pixels = width * height
        read = 3 * (bounds.chunk_frames + 2 * bounds.overlap)
        made = 2 * (bounds.chunk_frames + 2 * bounds.fade) + 2 * bounds.fade
        frames = 3 * self._value_bytes * pixels * (read + made * self._scale**2)
        encoder = _ENCODER_BYTES * self._value_bytes * pixels * self._scale**2
        return self._holds + frames + encoder + (self.network(bounds) if self._device.type == "cpu" else 0)

    def needs(self, bounds: StreamBounds) -> int:
        """Bytes of the device's memory."""
        return self.host(bounds) if self._device.type == "cpu" else self.network(bounds)

    def that_fits(self, bounds: StreamBounds, room: int) -> StreamBounds | None:
        """The least reduced bounds that need at most `room` bytes, the tile first; None if none do."""
        return next((smaller for smaller in self._smaller(bounds) if self.needs(smaller) <= room), None)

    def _smaller(self, bounds: StreamBounds) -> Iterator[StreamBounds]:
        chunk, side = bounds.chunk_frames, bounds.tile or max(self._size)
        while True:
            tile = side
            while tile > 2 * bounds.tile_overlap:
                yield replace(bounds, chunk_frames=chunk, tile=tile)
                if tile <= _SMALLEST_TILE:
                    break
                tile = max(_SMALLEST_TILE, tile // 2)
            if chunk <= _SMALLEST_CHUNK:
                return
            chunk = max(_SMALLEST_CHUNK, chunk // 2)


def _peak_bytes(model: nn.Module, frames: int, height: int, width: int) -> int:
    """The most that tensors take at once in a pass over a clip, the weights not counted.

    The pass is made on the meta device, where tensors have sizes but no values; with a network that cannot do that, on a
    small picture.
    """
    try:
        return _measured(copy.deepcopy(model).to("meta"), frames, height, width, "meta")
    except (RuntimeError, TypeError, ValueError):
        device = next(model.parameters(), torch.empty(0)).device
        small = _measured(model, frames, _SIDE, _SIDE, device)
        return int(small * height * width / _SIDE**2)


def _measured(model: nn.Module, frames: int, height: int, width: int, device: torch.device | str) -> int:
    with torch.inference_mode():
        clip = torch.zeros(1, frames, 3, height, width, device=device)
        with _Peak() as seen:
            model(clip)
    return seen.peak + clip.nbytes


class _Peak(TorchDispatchMode):
    """Counts the bytes of the storages that operations make and that are still held."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._users: dict[int, int] = {}
        """By storage."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(leaf) for leaf in tree_leaves(args)}
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and id(tensor) not in given:
                self._hold(tensor)
        return made

    def _hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        self._users[key] = self._users.get(key, 0) + 1
        if self._users[key] == 1:
            self._now += size
            self.peak = max(self.peak, self._now)
        weakref.finalize(tensor, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            self._now -= size
