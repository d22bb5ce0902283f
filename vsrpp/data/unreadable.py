"""Frames that cannot be read while training, and which samples are replaced because of them.

A sample that has an unreadable frame is replaced by the next index whose frames can be read. The replacement is on record,
so that the same index gives the same sample on every rank, after a resume and in a replay, even if the file was repaired
in between: a frame on record is not read again.

Workers load batches ahead and ranks may read other disks, so that one worker may still read a file that another cannot. A
frame therefore counts as bad for exactly the indexes that were replaced because of it, and for every index from
`from_index` on: the first index of the step before which all ranks were told, and discarded what they had loaded ahead.

Frames are named by their place in the training data, not by their path, so that the record holds for data that moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Place = tuple[int, int]
"""(number of the training span, number of the frame in its clip)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A frame that could not be read for a sample."""

    index: int
    """The sample that was to be loaded."""
    span: int
    frame: int
    clip: str
    file: str
    error: str
    reason_code: str
    fields: dict[str, Any]
    """Of the error, as text and numbers."""

    @property
    def place(self) -> Place:
        return self.span, self.frame


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFrame:
    """The samples for which a frame counts as unreadable."""

    indexes: frozenset[int]
    from_index: int
    """All samples from this index on."""

    def counts_for(self, index: int) -> bool:
        return index in self.indexes or index >= self.from_index


@dataclass(frozen=True, slots=True)
class BadFrames:
    """The frames on record as unreadable. A plain value, sent to worker processes and ranks."""

    by_place: Mapping[Place, BadFrame] = field(default_factory=dict)
    complete: bool = False
    """Whether no frame may be added, as in a replay, which has the samples of the record or none."""

    def __len__(self) -> int:
        return len(self.by_place)

    def __contains__(self, place: object) -> bool:
        return place in self.by_place

    def counts_for(self, place: Place, index: int) -> bool:
        """Whether the frame is not to be read for sample `index`."""
        frame = self.by_place.get(place)
        return frame is not None and frame.counts_for(index)

    def met(self, place: Place, indexes: Iterable[int], from_index: int) -> BadFrames:
        """With a frame that was unreadable for `indexes`, and counts as bad from `from_index` on."""
        known = self.by_place.get(place) or BadFrame(indexes=frozenset(), from_index=from_index)
        met = BadFrame(indexes=known.indexes | set(indexes), from_index=min(known.from_index, from_index))
        return replace(self, by_place={**self.by_place, place: met})

    def back_at(self, index: int) -> BadFrames:
        """After a return to the state before `index`: what is known to be bad is so for all samples from there on."""
        known = {
            place: replace(frame, from_index=min(frame.from_index, index)) for place, frame in self.by_place.items()
        }
        return replace(self, by_place=known)
