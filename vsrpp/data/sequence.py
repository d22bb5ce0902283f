"""What the file names of a clip's frames say: missing numbers, odd names, two files of one frame."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vsrpp.data import messages
from vsrpp.data.readers import Source
from vsrpp.data.survey import Survey, some
from vsrpp.media.promise import cut_off_at, promised_frames

_NUMBER = re.compile(r"[0-9]+")
_Skeleton = tuple[str, ...]
"""A stem's text without its numbers."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """How the frames of a clip are numbered."""

    stems: dict[int, str]
    """Number -> stem of its file, ascending."""
    step: int
    """The usual distance between neighbours."""
    odd: tuple[Path, ...]
    """Files that are named unlike the others."""

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """(first, last) missing number of each gap."""
        return [(a + self.step, b - 1) for a, b in pairwise(self.stems) if b - a > self.step]

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return sum(len(range(first, last + 1, self.step)) for first, last in self.gaps)

    def name(self, number: int) -> str:
        """The stem that a missing frame would have."""
        before = self.stems[max(known for known in self.stems if known < number)]
        return _with_number(before, _place(list(self.stems.values())), number)


def numbering(files: Sequence[Path]) -> Numbering | None:
    """The numbering of frames in natural order; None unless at least three have names that differ in one number alone.

    Numbers whose distances are no multiples of the usual one, such as time stamps, count as no numbering.
    """
    stems = [file.stem for file in files]
    usual, count = Counter(map(_skeleton, stems)).most_common(1)[0] if stems else ((), 0)
    alike = [stem for stem in stems if _skeleton(stem) == usual]
    place = _place(alike)
    if count < 3 or 2 * count <= len(files) or place is None:
        return None
    numbers = {int(_NUMBER.findall(stem)[place]): stem for stem in alike}
    steps = Counter(b - a for a, b in pairwise(sorted(numbers)))
    step = steps.most_common(1)[0][0] if steps else 0
    if not step or any(each % step for each in steps):
        return None
    ordered = {number: numbers[number] for number in sorted(numbers)}
    return Numbering(ordered, step, tuple(file for file in files if _skeleton(file.stem) != usual))


def remark(source: Source, frames: int | None, survey: Survey) -> None:
    """Note what is missing of a clip: in the numbering of its files, or against what a video's header promises.

    frames: how many could be read; None if that is not known.
    """
    for clip in (source, source.lq):
        if clip is not None and clip.format.frame_files:
            _remark_names(source.name, clip.files, survey)
        elif clip is not None and clip.kind == "video" and frames is not None:
            promised = promised_frames(clip.path)
            if promised is not None and frames < promised:
                survey.remark(messages.FEWER_FRAMES, path=clip.path, promised=promised, frames=frames)
            if promised is None and (early := cut_off_at(clip.path)):
                survey.remark(messages.CUT_OFF, path=clip.path, promised=f"{early[0]:.1f}", ends=f"{early[1]:.1f}")


def _remark_names(clip: str, files: Sequence[Path], survey: Survey) -> None:
    found = numbering(files)
    if found is None:
        return
    if gaps := found.gaps:
        names = [
            found.name(first) if first == last else f"{found.name(first)} to {found.name(last)}" for first, last in gaps
        ]
        survey.remark(messages.FRAMES_MISSING, clip=clip, count=found.missing, names=some(names))
    if found.odd:
        survey.remark(messages.ODD_FRAMES, clip=clip, names=some([file.name for file in found.odd]))


def twice(files: Sequence[Path]) -> Iterator[tuple[str, list[Path]]]:
    """Each stem that several files have, such as 0001.png and 0001.jpg, with these files."""
    for stem, count in Counter(file.stem for file in files).items():
        if count > 1:
            yield stem, [file for file in files if file.stem == stem]


def _skeleton(stem: str) -> _Skeleton:
    return tuple(_NUMBER.split(stem))


def _place(stems: Sequence[str]) -> int | None:
    """Which of a stem's numbers counts the frames; None if it is none or several that differ."""
    columns = list(zip(*(map(int, _NUMBER.findall(stem)) for stem in stems), strict=True))
    varying = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    return varying[0] if len(varying) == 1 else None


def _with_number(stem: str, place: int | None, number: int) -> str:
    found = list(_NUMBER.finditer(stem))[place or 0]
    return f"{stem[: found.start()]}{number:0{len(found.group())}d}{stem[found.end() :]}"
