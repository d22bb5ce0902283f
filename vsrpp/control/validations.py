"""The validations of a run, with the figures of each clip and, as long as they are kept, of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vsrpp.control.lineage import SEGMENT_EVENTS, figures, lineage
from vsrpp.paths import RunPaths
from vsrpp.store import Event, RunReader, read_frame_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRecord:
    """One validation on record."""

    step: int
    branch: int
    time: float
    """Seconds since the epoch."""
    figures: dict[str, float]
    """Measure -> mean over frames, then clips: psnr_y, ssim_y, bicubic_psnr_y …"""
    clips: list[dict[str, Any]]
    """{name, frames, and each measure} of each clip; `per_frame` {frame: [numbers], measure: [values]} if it is kept."""


def validations(paths: RunPaths, *, left_behind: bool = False) -> list[ValidationRecord]:
    """Those on the line to the current state, by step; a repeated one once. left_behind: of abandoned branches, too."""
    with RunReader(paths.run_db) as reader:
        events = list(reader.events(types=("validated", *SEGMENT_EVENTS)))
    newest = {(event.branch, event.step): event for event in events if event.type == "validated"}
    if not left_behind:
        line = lineage(events, keep_events=False)
        newest = {(event.branch, event.step): event for _, event in line.along((*at, e) for at, e in newest.items())}
    return [_record(paths, event) for _, event in sorted(newest.items())]


def _record(paths: RunPaths, event: Event) -> ValidationRecord:
    clips = [dict(clip) for clip in event.data.get("clips", ())]
    kept = read_frame_figures(paths, event.step, event.branch)
    if [clip.get("name") for clip in kept] == [clip.get("name") for clip in clips]:
        clips = [clip | {"per_frame": own["per_frame"]} for clip, own in zip(clips, kept, strict=True)]
    return ValidationRecord(
        step=event.step, branch=event.branch, time=event.time, figures=figures(event.data), clips=clips
    )  # fmt: skip
