"""The degradations by name: those that ship, and those that a plug-in adds. All other files ask this table.

A plug-in brings a function

    degrade(frames, rng, *, scale, **parameters) -> small frames

frames: (T, H, W, 3) uint8, a copy that it may change; H and W are multiples of scale. Returns (T, H / scale, W / scale, 3)
uint8. rng: a `numpy.random.Generator`, the only source of chance it may use, so that a sample is a pure function of (seed,
index). In training it gets the cropped and turned ground truth of one sample; in validation the clip in blocks of
`BLOCK_FRAMES` whole frames, each block with the clip's generator from its beginning.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsrpp.data import messages
from vsrpp.data.degradations import BD_SCALE, Frames, bd, draw_degradation, realistic
from vsrpp.resize import resize_part_u8, resize_u8

BLOCK_FRAMES = 8
"""Frames degraded together in a validation clip, counted from its first. A plug-in's results depend on it."""
GIVEN = "given"
"""The degradation of a pair, whose small frames come with the data. Not in the table."""
DEFAULT = "bicubic"
_UINT64 = 2**64
_BD_MARGIN = 2 * BD_SCALE


@dataclass(frozen=True)
class Draw:
    """What chance a degradation may use: the key of a training sample or of a validation clip."""

    seed: int
    index: int

    @classmethod
    def of_clip(cls, content: str) -> Draw:
        """The draw of a validation clip, by its content hash: the same in every run."""
        return cls(int(hashlib.sha256(content.encode()).hexdigest()[:16], 16), 0)

    def generator(self) -> np.random.Generator:
        """A new generator at its beginning. Its stream is separate from those that draw the crop and `realistic`."""
        return np.random.Generator(np.random.Philox(key=[self.seed % _UINT64, self.index], counter=[0, 0, 0, 2]))


class Degradation(ABC):
    """One way to make small frames."""

    name: str
    per_sample: bool = False
    """Whether each training sample is degraded with its own draw, after it was cropped. Otherwise nothing is drawn, and
    crops are taken from small frames that were made once."""
    by_blocks: bool = False
    """Whether a frame's result depends on the block of a validation clip that it is in."""
    only_scale: int | None = None
    """The one scale it is defined at; None for all."""
    folders: tuple[str, ...] = ()
    """Names of folders with small frames of this kind beside the ground truth; `{scale}` is filled in."""
    published: bool = False
    """Whether the small frames that REDS and Vimeo-90K publish in folders of their own are of this kind."""

    @property
    def identity(self) -> str:
        """Part of the fingerprint and of the cache's names: equal if and only if the same frames give the same results."""
        return self.name

    @abstractmethod
    def degrade(self, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
        """(T, H, W, 3) uint8 -> (T, H / scale, W / scale, 3) uint8. first_frame: the first one's number in its clip."""

    def reach(self, scale: int) -> int | None:
        """Pixels to the right and below that a small frame's part depends on, beyond those it covers; None for all."""
        return None

    def part(
        self, frame: Frames, draw: Draw, *, size: tuple[int, int], scale: int, number: int, rows: slice, columns: slice
    ) -> Frames:
        """Rows and columns of the small frame made of one frame (H, W, 3): the bits of the whole, but perhaps faster.

        frame: at least the part up to `reach` beyond rows and columns. size: (H, W) of the whole frame.
        """
        return self.degrade(frame[None], draw, scale=scale, first_frame=number)[0, rows, columns]


class _Bicubic(Degradation):
    name = "bicubic"
    folders = ("LQ", "LR", "BIx{scale}")
    published = True

    def degrade(self, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
        return resize_u8(np.ascontiguousarray(frames), 1 / scale)

    def reach(self, scale: int) -> int:
        return 2 * scale + 2

    def part(
        self, frame: Frames, draw: Draw, *, size: tuple[int, int], scale: int, number: int, rows: slice, columns: slice
    ) -> Frames:
        return resize_part_u8(frame, 1 / scale, rows, columns, size=size)


class _Bd(Degradation):
    name = "bd"
    only_scale = BD_SCALE
    folders = ("BDx{scale}",)

    def degrade(self, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
        return bd(np.ascontiguousarray(frames))

    def reach(self, scale: int) -> int:
        return _BD_MARGIN

    def part(
        self, frame: Frames, draw: Draw, *, size: tuple[int, int], scale: int, number: int, rows: slice, columns: slice
    ) -> Frames:
        """Blurs a margin larger than the kernel and crops it, so that border replication acts only at the frame's border."""
        starts = [max(0, part.start * BD_SCALE - _BD_MARGIN) for part in (rows, columns)]
        piece = frame[starts[0] : rows.stop * BD_SCALE + _BD_MARGIN, starts[1] : columns.stop * BD_SCALE + _BD_MARGIN]
        small = bd(piece[None])[0]
        top, left = (part.start - start // BD_SCALE for part, start in zip((rows, columns), starts, strict=True))
        return small[top : top + rows.stop - rows.start, left : left + columns.stop - columns.start]


class _Realistic(Degradation):
    name = "realistic"
    per_sample = True

    def degrade(self, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
        return realistic(frames, scale, draw_degradation(draw.seed, draw.index), first_frame)


@dataclass(frozen=True)
class AddedDegradation(Degradation):
    """A plug-in's function (see the module's docstring) with the values of its parameters.

    It is pickled to data workers, so `function` must unpickle in a process that has not imported the plug-in.
    """

    name: str
    function: Callable[..., Frames]
    sha256: str
    """Of the plug-in's source: other code makes other frames."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    per_sample = True
    by_blocks = True

    @property
    def identity(self) -> str:
        return f"{self.name} {self.sha256} {json.dumps(dict(self.parameters), sort_keys=True)}"

    def degrade(self, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
        """Raises VsrppError if the function fails, Refused if it returns anything but small uint8 frames."""
        try:
            made = self.function(np.array(frames, order="C"), draw.generator(), scale=scale, **self.parameters)
        except Exception as error:
            cause = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise messages.DEGRADATION_FAILED(degradation=self.name, cause=cause) from error
        shape = (len(frames), frames.shape[1] // scale, frames.shape[2] // scale, 3)
        if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.shape != shape:
            given = f"{made.dtype} {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
            raise messages.DEGRADATION_RESULT(degradation=self.name, given=given, shape=shape)
        return made


TABLE: dict[str, Degradation] = {method.name: method for method in (_Bicubic(), _Bd(), _Realistic())}
"""By the name that `degradation` in a config has."""
_SHIPPED = tuple(TABLE)


def add_degradation(method: AddedDegradation) -> None:
    """Add a plug-in's degradation, in each process that opens data. Raises ValueError for a name that ships."""
    if method.name in _SHIPPED:
        raise ValueError(f"{method.name} is a degradation that ships")
    TABLE[method.name] = method


def checked(name: str, scale: int) -> Degradation:
    """The degradation of that name. Raises Refused if there is none, or if it is not defined at this scale."""
    if name not in TABLE:
        raise messages.UNKNOWN_DEGRADATION(degradation=name, first=", ".join(_SHIPPED[:-1]), last=_SHIPPED[-1])
    method = TABLE[name]
    if method.only_scale not in (None, scale):
        raise messages.DEGRADATION_SCALE(degradation=name, only_scale=method.only_scale, scale=scale)
    return method


def identity_of(name: str) -> str:
    """`Degradation.identity` by name; of GIVEN, the name."""
    return TABLE[name].identity if name in TABLE else name


def degrade_blocks(method: Degradation, frames: Frames, draw: Draw, *, scale: int, first_frame: int = 0) -> Frames:
    """Small frames as in a validation clip. first_frame: a multiple of BLOCK_FRAMES."""
    starts = range(0, len(frames), BLOCK_FRAMES)
    blocks = [(frames[start : start + BLOCK_FRAMES], first_frame + start) for start in starts]
    return np.concatenate([method.degrade(block, draw, scale=scale, first_frame=first) for block, first in blocks])
