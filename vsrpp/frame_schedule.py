"""`num_frames_schedule`: the length of a training sample as a function of the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FrameSchedule = tuple[tuple[int, int], ...]
"""(step, frames from that step on), in order of the steps."""


def frame_schedule(run_config: Mapping[str, Any]) -> FrameSchedule:
    """The schedule of a checked run config: `0: 3, 2000: 7` gives ((0, 3), (2000, 7)). Steps before the first entry have
    `num_frames`, as has every step of a run without a schedule."""
    text = run_config.get("num_frames_schedule") or ""
    pairs = (entry.split(":") for entry in text.strip(" {}").split(",") if entry.strip())
    entries = {int(step): int(frames) for step, frames in pairs}
    return tuple(sorted({0: int(run_config["num_frames"]), **entries}.items()))


def frames_at(run_config: Mapping[str, Any], step: int) -> int:
    """Frames of a sample of step + 1, the next one after `step` optimizer steps."""
    return next(frames for start, frames in reversed(frame_schedule(run_config)) if start <= max(step, 0))


def most_frames(run_config: Mapping[str, Any]) -> int:
    """Frames of the longest sample of a run."""
    return max(frames for _, frames in frame_schedule(run_config))
