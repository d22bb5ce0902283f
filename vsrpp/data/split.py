"""Decides which frames train and which validate; no frame does both, and validation reads none that train, not even as context.

- With validation data: all of it validates, or, if its layout names validation clips, only those. All other clips train,
  except those also in the validation data and those the layout excludes from training (REDS4, Vimeo-90K's test list).
- With a layout that names its validation clips: those validate.
- With five clips or more: the last val_fraction of the clips (default 0.1, at least one clip) validate.
- With fewer clips: the last val_fraction of each clip's frames (default 0.15, at least num_frames) validate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vsrpp.data import messages
from vsrpp.data.cache import StoredClip
from vsrpp.data.originals import OriginalClip
from vsrpp.data.sampling import Sampling, extent
from vsrpp.errors import VsrppError

AnyClip = StoredClip | OriginalClip

WHOLE_CLIPS_FROM = 5
CLIPS_FRACTION = 0.1
FRAMES_FRACTION = 0.15


@dataclass(frozen=True)
class Span:
    """Frames start … stop-1 of a clip."""

    clip: AnyClip
    start: int
    stop: int

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.stop - self.start

    @property
    def mirrors(self) -> bool:
        """Whether a sample may play the span forwards and backwards; only for whole clips of a layout trained that way."""
        return self.clip.mirrors and self.frames == self.clip.frames

    def windows(self, num_frames: int, interval: int = 1) -> int:
        """The number of different samples of num_frames frames, `interval` apart; 0 if the span is too short."""
        needed = extent(num_frames, interval)
        length = 2 * self.frames if self.mirrors and self.frames < needed else self.frames
        return max(0, length - needed + 1)

    def numbers(self, window: int, count: int, interval: int = 1) -> slice | list[int]:
        """The clip's frame numbers for the sample of `count` frames, `interval` apart, that starts at `window`."""
        needed = extent(count, interval)
        if window + needed <= self.frames:
            return slice(self.start + window, self.start + window + needed, interval)
        there_and_back = [*range(self.start, self.stop), *range(self.stop - 1, self.start - 1, -1)]
        return there_and_back[window : window + needed : interval]


@dataclass(frozen=True)
class Split:
    """The spans that train and the spans that validate."""

    train: list[Span]
    val: list[Span]


def split(
    clips: Sequence[AnyClip], val_clips: Sequence[AnyClip], sampling: Sampling, fraction: float | None = None
) -> Split:
    """Split clips by the rules in the module's docstring. val_clips: the clips of val_data, empty without it.

    A training span may be `too_short` for a sample. Raises Refused if no clip is left to train on.
    """
    val_clips = val_clips or [clip for clip in clips if clip.split == "val"]
    if val_clips or len(clips) >= WHOLE_CLIPS_FROM:
        return _whole_clips(clips, val_clips, CLIPS_FRACTION if fraction is None else fraction)
    return _tails(clips, sampling.longest, FRAMES_FRACTION if fraction is None else fraction)


def too_short(spans: Sequence[Span], sampling: Sampling) -> Iterator[tuple[Span, VsrppError]]:
    """The training spans that no sample fits in, each with the error that says so."""
    for span in spans:
        if not span.windows(sampling.longest, sampling.widest):
            yield span, messages.TOO_FEW_LEFT(
                path=span.clip.path, left=span.frames, frames=span.clip.frames, need=sampling.need, lower=sampling.lower,
                validating=span.clip.frames - span.frames,
            )  # fmt: skip


def _whole_clips(clips: Sequence[AnyClip], val_clips: Sequence[AnyClip], fraction: float) -> Split:
    if not val_clips:
        kept = min(len(clips) - 1, max(1, round(len(clips) * fraction)))
        clips, val_clips = clips[:-kept], clips[-kept:]
    validating = {clip.content_sha256 for clip in val_clips}
    train = [
        Span(clip, 0, clip.frames) for clip in clips if clip.split != "val" and clip.content_sha256 not in validating
    ]
    if not train:
        raise messages.ALL_VALIDATE(path=clips[0].path)
    return Split(train, [Span(clip, 0, clip.frames) for clip in val_clips])


def _tails(clips: Sequence[AnyClip], num_frames: int, fraction: float) -> Split:
    cuts = [clip.frames - max(num_frames, round(clip.frames * fraction)) for clip in clips]
    return Split(
        [Span(clip, 0, max(0, cut)) for clip, cut in zip(clips, cuts, strict=True)],
        [Span(clip, max(0, cut), clip.frames) for clip, cut in zip(clips, cuts, strict=True)],
    )
