"""What is noticed while the clips of a run are found and opened: remarks, and clips that are left out.

A new run leaves out clips that cannot be used, and its record names them. A run on record leaves out exactly the clips that
its record names; any other clip that cannot be used is an error then. Records from before such a list follow the first rules:
every clip must be usable, and a folder is read as it was when they were written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vsrpp.data import messages
from vsrpp.data.readers import Source
from vsrpp.documents import RemarkDocument
from vsrpp.errors import Refused, Remark, VsrppError
from vsrpp.media.messages import OF_A_FILE
from vsrpp.safe_text import printable

T = TypeVar("T")

FINDING, READING = "finding", "reading"
"""When a clip turns out to be unusable: before `max_clips` of the clips are chosen, or after."""
KEY = "clips_left_out"
"""The key in the data of the event `started`."""
_SHOWN = 5
_NAMES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A clip that was found, but is not used."""

    entry: str
    """The source of the mix that it is of: `train[0]`, `val[1]`."""
    clip: str
    digest: str
    """Of the clip's name, which a record may hold in another spelling."""
    stage: str
    """FINDING or READING."""
    path: str
    error: str
    """Why, in one line."""
    reason_code: str
    fields: dict[str, Any]

    @property
    def refusal(self) -> VsrppError:
        """The error that a clip which must not be left out would have raised."""
        return Refused(self.error, reason_code=self.reason_code, fields=self.fields)


@dataclass(slots=True)
class Survey:
    """Collects remarks and clips left out, and decides whether a clip may be left out."""

    first_rules: bool = False
    """Whether folders are read as before there was a list of clips left out."""
    tolerant: bool = False
    """Whether a clip that cannot be used is left out. If not, its error is raised."""
    recorded: Mapping[tuple[str, str, str], LeftOut] = field(default_factory=dict)
    """By (entry, stage, digest): the clips that are left out without looking at them."""
    entry: str = ""
    """The source of the mix that is being looked at."""
    remarks: list[RemarkDocument] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    _names: set[tuple[str, str]] = field(default_factory=set)
    """(entry, name) of the clips that are left out."""

    @classmethod
    def of(cls, started: Mapping[str, Any] | None) -> Survey:
        """For a new run, or by the data of the event `started` of a run on record."""
        if started is None:
            return cls(tolerant=True)
        known = [LeftOut(**row) for row in started.get(KEY) or ()]
        return cls(first_rules=KEY not in started, recorded={(one.entry, one.stage, one.digest): one for one in known})

    def remark(self, remark: Remark, **fields: Any) -> None:
        """Note something that a person should know."""
        if (filled := remark.filled(**_plain(fields))) not in self.remarks:
            self.remarks.append(filled)

    def usable(self, clip: str, path: Path, make: Callable[[], T], *, stage: str = FINDING) -> T | None:
        """What `make` returns; None if the clip is left out. Raises the error of a clip that must not be left out."""
        known = self.recorded.get((self.entry, stage, _digest(clip))) if self.recorded else None
        if known is not None:
            self._names.add((self.entry, clip))
            if known not in self.left_out:
                self.left_out.append(known)
            return None
        try:
            return make()
        except Refused as error:
            self.leave_out(clip, path, error, stage=stage)
            return None

    def usable_source(self, source: Source, make: Callable[[], T]) -> T | None:
        """The same for a clip that was found. One that its layout reserves for validation is never left out."""
        if source.split == "val":
            return make()
        self.entry = source.entry
        return self.usable(source.name, source.path, make, stage=READING)

    def leave_out(self, clip: str, path: Path, error: VsrppError, *, stage: str) -> None:
        """Leave a clip out because of an error. Raises it if the clip must not be left out."""
        if not self.tolerant or error.reason_code not in messages.OF_A_CLIP | OF_A_FILE:
            raise error
        self._names.add((self.entry, clip))
        self.left_out.append(
            LeftOut(
                entry=self.entry, clip=printable(clip), digest=_digest(clip), stage=stage, path=printable(str(path)),
                error=str(error), reason_code=error.reason_code, fields=_plain(error.fields),
            )
        )  # fmt: skip

    def names_left_out(self) -> set[str]:
        """The names of the clips left out of the source that is being looked at."""
        return {name for entry, name in self._names if entry == self.entry}

    def check_any_left(self, entry: str) -> None:
        """Raises the first error of a source whose clips were all left out."""
        for one in self.left_out:
            if one.entry == entry:
                raise one.refusal

    def to_json(self) -> dict[str, Any]:
        """`left_out` and `remarks`, for `vsrpp data --json`."""
        return {"left_out": [asdict(one) for one in self.left_out], "remarks": self.remarks}

    def record(self) -> dict[str, Any]:
        """For the data of the event `started`, and for other processes that open the data."""
        return {} if self.first_rules else {KEY: [asdict(one) for one in self.left_out]}

    def lines(self, most: int | None = _SHOWN) -> list[str]:
        """One line for each clip left out and each remark; at most `most` of either kind, and one that counts the others."""
        left_out = [messages.LEFT_OUT.sentence(clip=one.clip, why=one.error) for one in self.left_out]
        return [*_first(left_out, most), *_first([remark["message"] for remark in self.remarks], most)]


def _first(lines: list[str], most: int | None) -> list[str]:
    if most is None or len(lines) <= most + 1:
        return lines
    return [*lines[:most], messages.MORE_LINES.sentence(count=len(lines) - most)]


def _digest(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, (int, float)) else str(value) for name, value in fields.items()}


def some(names: list[str]) -> str:
    """The first few names, and how many more there are: `a, b, c and 12 more`."""
    if len(names) <= _NAMES + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"
