"""Which frames train and which validate; no frame does both.

- Validation data given: all of it validates (of a layout that names its own, those), and everything else trains but for
  clips that are also among it, and those the layout keeps out of training (REDS4 of REDS, the test list of Vimeo-90K).
- A layout that names its validation clips: those validate.
- Five clips or more: the last val_fraction (0.1 unless set, at least one) whole clips validate.
- Fewer clips: of each, the last val_fraction (0.15 unless set, at least num_frames) frames validate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrpp.data.cache import StoredClip
from vsrpp.data.originals import OriginalClip
from vsrpp.errors import Refused

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
        """How many frames it is."""
        return self.stop - self.start

    @property
    def mirrors(self) -> bool:
        """Whether a sample may run to the end and back: of a whole clip whose layout is trained on so."""
        return self.clip.mirrors and self.frames == self.clip.frames

    def windows(self, num_frames: int) -> int:
        """Samples of num_frames frames that begin at different frames; 0 if it is too short."""
        length = 2 * self.frames if self.mirrors and self.frames < num_frames else self.frames
        return max(0, length - num_frames + 1)

    def numbers(self, window: int, count: int) -> slice | list[int]:
        """Which frames of the clip the sample of `count` frames at a window is made of."""
        if window + count <= self.frames:
            return slice(self.start + window, self.start + window + count)
        there_and_back = [*range(self.start, self.stop), *range(self.stop - 1, self.start - 1, -1)]
        return there_and_back[window : window + count]


@dataclass(frozen=True)
class Split:
    """What trains and what validates."""

    train: list[Span]
    val: list[Span]


def split(
    clips: Sequence[AnyClip], val_clips: Sequence[AnyClip], num_frames: int, fraction: float | None = None
) -> Split:
    """The split of the module's docstring; val_clips are those of val_data, empty without it.

    Raises Refused, naming the clip, where none is left to train on or a training span is shorter than num_frames.
    """
    val_clips = val_clips or [clip for clip in clips if clip.split == "val"]
    if val_clips or len(clips) >= WHOLE_CLIPS_FROM:
        result = _whole_clips(clips, val_clips, CLIPS_FRACTION if fraction is None else fraction)
    else:
        result = _tails(clips, num_frames, FRAMES_FRACTION if fraction is None else fraction)
    for span in result.train:
        if not span.windows(num_frames):
            raise Refused(
                f"{span.clip.path} refused: {span.frames} of its {span.clip.frames} frames are left to train on, "
                f"fewer than num_frames = {num_frames} (its last {span.clip.frames - span.frames} validate); "
                "use a longer clip, fewer num_frames, a smaller val_fraction, or val_data"
            )
    return result


def _whole_clips(clips: Sequence[AnyClip], val_clips: Sequence[AnyClip], fraction: float) -> Split:
    if not val_clips:
        kept = min(len(clips) - 1, max(1, round(len(clips) * fraction)))
        clips, val_clips = clips[:-kept], clips[-kept:]
    validating = {clip.content_sha256 for clip in val_clips}
    train = [
        Span(clip, 0, clip.frames) for clip in clips if clip.split != "val" and clip.content_sha256 not in validating
    ]
    if not train:
        raise Refused(
            f"{clips[0].path} refused: every clip to train on is also one to validate on, so none is left; "
            "give other val_data, or none"
        )
    return Split(train, [Span(clip, 0, clip.frames) for clip in val_clips])


def _tails(clips: Sequence[AnyClip], num_frames: int, fraction: float) -> Split:
    cuts = [clip.frames - max(num_frames, round(clip.frames * fraction)) for clip in clips]
    return Split(
        [Span(clip, 0, max(0, cut)) for clip, cut in zip(clips, cuts, strict=True)],
        [Span(clip, max(0, cut), clip.frames) for clip, cut in zip(clips, cuts, strict=True)],
    )
