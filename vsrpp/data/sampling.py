"""How a training sample is taken from a clip: how many frames, how far apart, and which symmetries are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vsrpp.frame_schedule import FrameSchedule, frame_schedule


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
    schedule: FrameSchedule = ()
    """Frames by step, if they change during the run; `num_frames` otherwise."""

    @classmethod
    def of(cls, run_config: Mapping[str, Any]) -> Sampling:
        """The sampling of a run config. A record without the keys has every symmetry, and consecutive frames."""
        return cls(
            run_config["num_frames"],
            read_intervals(run_config.get("frame_interval", 1)),
            flip=run_config.get("flip", True),
            transpose=run_config.get("transpose", True),
            reverse_time=run_config.get("reverse_time", True),
            schedule=frame_schedule(run_config) if run_config.get("num_frames_schedule") else (),
        )

    def frames_at(self, step: int) -> int:
        """Frames of a sample of the next step after `step` optimizer steps."""
        return next((frames for start, frames in reversed(self.schedule) if start <= step), self.num_frames)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The numbers of frames that samples of the run have, ascending."""
        return tuple(sorted({frames for _, frames in self.schedule} or {self.num_frames}))

    @property
    def longest(self) -> int:
        """Frames of the longest sample."""
        return self.lengths[-1]

    @property
    def widest(self) -> int:
        """The largest interval."""
        return max(self.intervals)

    @property
    def needed(self) -> int:
        """Consecutive frames that a clip must have for a sample at every interval."""
        return extent(self.longest, self.widest)

    @property
    def need(self) -> str:
        """The settings that `needed` follows from: `num_frames = 15`, `num_frames = 15 at frame_interval = 2 (29 frames)`."""
        text = f"{self._key} = {self.longest}"
        return text if self.widest == 1 else f"{text} at frame_interval = {self.widest} ({self.needed} frames)"

    @property
    def lower(self) -> str:
        """What to lower for shorter clips."""
        return self._key if self.widest == 1 else f"{self._key} or frame_interval"

    @property
    def _key(self) -> str:
        return "num_frames_schedule" if self.schedule else "num_frames"

    def to_json(self) -> dict[str, Any]:
        """For `vsrpp data --json`."""
        return {**asdict(self), "intervals": list(self.intervals), "schedule": [list(entry) for entry in self.schedule]}

    def describe(self) -> str:
        """`5 frames`, `5 frames, 1 or 2 apart, without flip and reverse_time`."""
        apart = [] if self.intervals == (1,) else [f"{' or '.join(map(str, sorted(set(self.intervals))))} apart"]
        off = [name for name in ("flip", "transpose", "reverse_time") if not getattr(self, name)]
        length = f"{self.num_frames} frames"
        if self.schedule:
            length = "frames " + " and ".join(f"{frames} from step {step}" for step, frames in self.schedule)
        return ", ".join([length, *apart, *([f"without {' and '.join(off)}"] if off else [])])

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
