"""How a training sample is taken from a clip: how many frames, how far apart, and which symmetries are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Sampling:
    """What `TrainSet` draws beside clip, window and crop. Validation reads consecutive frames, and turns nothing."""

    num_frames: int
    intervals: tuple[int, ...] = (1,)
    """Distances between neighbouring frames of a sample, one of which is drawn; a repeated one is drawn more often."""
    flip: bool = True
    """Whether half of the samples are mirrored left-right, and half up-down."""
    transpose: bool = True
    """Whether rows and columns are swapped in half of the samples."""
    reverse_time: bool = True
    """Whether half of the samples run backwards."""

    @classmethod
    def of(cls, run_config: Mapping[str, Any]) -> Sampling:
        """The sampling of a run config. A record without the keys has every symmetry, and consecutive frames."""
        return cls(
            run_config["num_frames"],
            read_intervals(run_config.get("frame_interval", 1)),
            flip=run_config.get("flip", True),
            transpose=run_config.get("transpose", True),
            reverse_time=run_config.get("reverse_time", True),
        )

    @property
    def widest(self) -> int:
        """The largest interval."""
        return max(self.intervals)

    @property
    def needed(self) -> int:
        """Consecutive frames that a clip must have for a sample at every interval."""
        return extent(self.num_frames, self.widest)

    @property
    def need(self) -> str:
        """The settings that `needed` follows from: `num_frames = 15`, `num_frames = 15 at frame_interval = 2 (29 frames)`."""
        text = f"num_frames = {self.num_frames}"
        return text if self.widest == 1 else f"{text} at frame_interval = {self.widest} ({self.needed} frames)"

    @property
    def lower(self) -> str:
        """What to lower for shorter clips."""
        return "num_frames" if self.widest == 1 else "num_frames or frame_interval"

    def to_json(self) -> dict[str, Any]:
        """For `vsrpp data --json`."""
        return {**asdict(self), "intervals": list(self.intervals)}

    def describe(self) -> str:
        """`5 frames`, `5 frames, 1 or 2 apart, without flip and reverse_time`."""
        apart = [] if self.intervals == (1,) else [f"{' or '.join(map(str, sorted(set(self.intervals))))} apart"]
        off = [name for name in ("flip", "transpose", "reverse_time") if not getattr(self, name)]
        return ", ".join([f"{self.num_frames} frames", *apart, *([f"without {' and '.join(off)}"] if off else [])])

    def turns(self, bits: Sequence[int]) -> list[int]:
        """Drawn bits (left-right, up-down, transpose, time) without those that are switched off."""
        allowed = (self.flip, self.flip, self.transpose, self.reverse_time)
        return [bit * on for bit, on in zip(bits, allowed, strict=True)]


def extent(num_frames: int, interval: int) -> int:
    """Consecutive frames from the first to the last frame of a sample."""
    return (num_frames - 1) * interval + 1


def read_intervals(value: str | int) -> tuple[int, ...]:
    """`frame_interval` of a checked run config: 2 gives (2,), "1, 2, 3" gives (1, 2, 3)."""
    return tuple(map(int, value.split(","))) if isinstance(value, str) else (int(value),)
