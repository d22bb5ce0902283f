"""How far an upscaling is, in frames that went through the network times tiles, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vsrpp.inference.chunks import StreamBounds


@dataclass(frozen=True, slots=True)
class UpscaleProgress:
    frames: int
    """Finished frames, those of earlier attempts included."""
    expected: int | None
    """As stated by the input's container, which may be wrong."""
    elapsed_s: float
    """Since the network began."""
    work: int
    """Frames that went through the network times tiles; a frame is read by more than one chunk."""
    total_work: int | None
    """Estimated from `expected`."""

    @property
    def share(self) -> float | None:
        """Of the work, 0 to 1."""
        return None if self.total_work is None else min(1.0, self.work / max(1, self.total_work))

    @property
    def eta_s(self) -> float | None:
        return self.elapsed_s * (1 - self.share) / self.share if self.share else None


class ProgressMeter:
    """Measures the progress of one upscaling and tells `on_progress` of each tile and each frame."""

    def __init__(
        self, bounds: StreamBounds, size: tuple[int, int], expected: int | None, start: int, *,
        on_progress: Callable[[UpscaleProgress], None], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`size` is (width, height) of the input; output begins at frame `start`."""
        width, height = size
        self._total = bounds.work(expected, height, width, start) if expected else None
        self._expected, self._on_progress, self._clock = expected, on_progress, clock
        self._frames, self._work = start, 0
        self._began_s = clock()

    def show(self) -> None:
        elapsed_s = self._clock() - self._began_s
        self._on_progress(UpscaleProgress(self._frames, self._expected, elapsed_s, self._work, self._total))

    def frame_read(self) -> None:
        """Decoding up to the first window is not the network's time."""
        if not self._work:
            self._began_s = self._clock()

    def tile_done(self, frames: int) -> None:
        self._work += frames
        self.show()

    def frame_done(self) -> None:
        self._frames += 1
        self.show()
