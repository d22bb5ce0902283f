"""Clips that were found, and the table of what reads them: the formats that ship, and the readers that plug-ins add.

A plug-in brings an object with the three methods of `Reader`. It is asked about a path after the dataset layouts and before
plain videos and folders (`layouts.find`), or without being asked if a source's `kind` names it. Its frames are decoded into
the cache like those of a video, so data workers never call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vsrpp.data import messages
from vsrpp.data.degradation_table import DEFAULT
from vsrpp.data.packed import iter_raw, raw_shape
from vsrpp.errors import VsrppError
from vsrpp.media import READER_VERSION
from vsrpp.media.images import image_size, images_size, iter_images
from vsrpp.media.video_reader import count_video, iter_video, packet_count, probe_video

Frame = NDArray[np.uint8]

_AT_ONCE = 8
"""Frames asked of a plug-in's reader in one call."""


@dataclass(frozen=True)
class ClipRecord:
    """A clip that a plug-in's reader found."""

    name: str
    """Unique among the clips of a path."""
    path: Path
    frames: int
    """Exact, or an upper bound."""
    width: int
    height: int
    files: tuple[Path, ...] = ()
    """The files it is read from, for its hash and to notice changes; empty if `path` is the file."""
    split: str = ""
    """`train` or `val` if the layout assigns one, else empty."""


class Reader(Protocol):
    """What a plug-in's reader must have."""

    def recognises(self, path: Path) -> bool:
        """Whether this existing path is of its layout or format. Quick: it is asked about every path."""

    def clips(self, path: Path) -> Sequence[ClipRecord]:
        """The clips of a path, in the order they are listed and split in."""

    def read(self, clip: ClipRecord, start: int, count: int) -> Frame:
        """Frames start … start+count-1 as (T, H, W, 3) uint8 RGB; fewer if the clip ends before, none beyond its end."""


HELD_OUT = "held out"
"""`Source.split` of a folder of validation clips beside one of training clips: they are treated like those of `val_data`."""


@dataclass(frozen=True)
class Source:
    """A clip that was found but not yet read."""

    name: str
    kind: str
    """Name in FORMATS: `video` or `frames`; in a packed copy `packed` or `raw`; or a plug-in's reader."""
    path: Path
    files: tuple[Path, ...]
    """The video file, or the frames in natural order."""
    split: str = ""
    """`train`, `val` or HELD_OUT if the layout assigns one, else empty."""
    lq: Source | None = None
    """The small frames of a pair; None if they are generated."""
    degradation: str = DEFAULT
    """How small frames are generated if there are none."""
    scored: tuple[int, ...] = ()
    """Frames that validation scores, counted from 0; empty for all."""
    mirrors: bool = False
    """Whether a sample longer than the clip plays it forwards and backwards (Vimeo-90K: 7 frames as 14)."""
    record: ClipRecord | None = None
    """The clip as a plug-in's reader knows it; None for formats that ship."""
    entry: str = ""
    """The source of the mix that it is of: `train[0]`, `val[1]`."""
    reader_version: int = READER_VERSION
    """How its files become pixels; of a packed copy, how they did when it was packed; 1 for a plug-in's reader."""

    @property
    def format(self) -> Format:
        """How it is read."""
        return FORMATS[self.kind]

    @property
    def validates(self) -> bool:
        """Whether its layout assigns it to validation."""
        return self.split in ("val", HELD_OUT)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from other clips of the same files: of a plug-in's reader, the clip's name and the reader's code."""
        return () if self.record is None else (self.record.name, self.format.sha256)

    def read_by(self, version: int) -> Source:
        """The same clip read by this `reader_version`, unless it is of a packed copy or a plug-in's reader."""
        if self.format.stored or self.record is not None:
            return self
        return replace(self, reader_version=version, lq=self.lq.read_by(version) if self.lq else None)

    def frames(self, start: int = 0, stop: int | None = None, notes: list[str] | None = None) -> Iterator[Frame]:
        """Frames start … stop-1, each (H, W, 3) uint8 RGB, in order. Raises Refused if a file cannot be read.

        Appends to `notes`, at the latest after the last frame, what of the files is not in the frames.
        """
        return self.format.frames(self, start, stop, [] if notes is None else notes)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How clips of a kind are read."""

    in_words: str
    frames: Callable[[Source, int, int | None, list[str]], Iterator[Frame]]
    """Frames start … stop-1; None: to the end. See `Source.frames`."""
    size: Callable[[Source], tuple[int, int]]
    """(width, height), of the first frame."""
    header: Callable[[Source, list[str]], tuple[int, int, int]]
    """(frames, width, height) without decoding: the frames are an upper bound. Checks that all frames have one size.

    Appends to the list what the headers say that is not in the frames.
    """
    measured: Callable[[Source], tuple[int, int, int]] | None = None
    """The same with the exact number of frames; None if `header` is exact."""
    frame_files: bool = False
    """Whether `files` are its frames, one each: they can be read singly, without the cache."""
    one_file: bool = False
    """Whether its content is that of one file."""
    stored: bool = False
    """Whether it is a clip of a packed copy: frames as in the cache, and a meta.json that has its hash."""
    sha256: str = ""
    """Of a plug-in's source."""


def _raw_header(source: Source, _notes: list[str]) -> tuple[int, int, int]:
    frames, height, width, _ = raw_shape(source.path)
    return frames, width, height


def _iter_files(source: Source, start: int, stop: int | None, notes: list[str]) -> Iterator[Frame]:
    images_size(source.files, source.reader_version, notes)
    return iter_images(source.files[start:stop], source.reader_version)


_RAW = Format(
    in_words="a packed clip",
    frames=lambda source, start, stop, _: islice(iter_raw(source.path), start, stop),
    size=lambda source: _raw_header(source, [])[1:],
    header=_raw_header,
    stored=True,
)

FORMATS: dict[str, Format] = {
    "video": Format(
        in_words="a video",
        frames=lambda source, start, stop, notes: islice(
            iter_video(source.path, source.reader_version, notes), start, stop
        ),
        size=lambda source: probe_video(source.path, source.reader_version),
        header=lambda source, _: (packet_count(source.path), *probe_video(source.path, source.reader_version)),
        measured=lambda source: count_video(source.path, source.reader_version),
        one_file=True,
    ),
    "frames": Format(
        in_words="a folder of frames",
        frames=_iter_files,
        size=lambda source: image_size(source.files[0], source.reader_version),
        header=lambda source, notes: (len(source.files), *images_size(source.files, source.reader_version, notes)),
        frame_files=True,
    ),
    "packed": _RAW,
    "raw": _RAW,
}
"""By `Source.kind`."""
_SHIPPED = tuple(FORMATS)


@dataclass(frozen=True)
class AddedReader:
    """A plug-in's reader, by the name that `kind` in a config has."""

    name: str
    reader: Reader
    sha256: str
    """Of the plug-in's source: other code may read other frames from the same files."""

    def recognises(self, path: Path) -> bool:
        """Raises VsrppError if the reader fails."""
        return bool(self._ask("recognises", path))

    def sources(self, path: Path) -> list[Source]:
        """The clips of a path. Raises VsrppError if the reader fails, Refused if what it returns cannot be used."""
        records = list(self._ask("clips", path))
        if not records or not all(isinstance(record, ClipRecord) for record in records):
            raise messages.READER_CLIPS(reader=self.name, path=path, expected="at least one ClipRecord")
        if len({record.name for record in records}) < len(records):
            raise messages.READER_CLIPS(reader=self.name, path=path, expected="a different name for each clip")
        sources = [
            Source(
                record.name,
                self.name,
                record.path,
                record.files or (record.path,),
                record.split,
                record=record,
                reader_version=1,
            )
            for record in records
        ]
        if missing := next((file for source in sources for file in source.files if not file.is_file()), None):
            raise messages.READER_CLIPS(reader=self.name, path=path, expected=f"files that exist, unlike {missing}")
        return sources

    def format(self) -> Format:
        """How its clips are read."""
        return Format(
            in_words=f"a clip of {self.name}",
            frames=self._frames,
            size=lambda source: (_record(source).width, _record(source).height),
            header=lambda source, _: (_record(source).frames, _record(source).width, _record(source).height),
            sha256=self.sha256,
        )

    def _frames(self, source: Source, start: int, stop: int | None, _notes: list[str]) -> Iterator[Frame]:
        record = _record(source)
        stop = record.frames if stop is None else min(stop, record.frames)
        while start < stop:
            read = self._ask("read", record, start, min(_AT_ONCE, stop - start))
            shape = (record.height, record.width, 3)
            if not isinstance(read, np.ndarray) or read.dtype != np.uint8 or read.shape[1:] != shape:
                given = f"{read.dtype} {read.shape}" if isinstance(read, np.ndarray) else type(read).__name__
                raise messages.READER_FRAMES(reader=self.name, path=source.path, given=given, shape=shape)
            if not len(read):
                return
            yield from read
            start += len(read)

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.reader, method)(*arguments)
        except VsrppError:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise messages.READER_FAILED(reader=self.name, method=method, cause=cause) from error


ADDED: dict[str, AddedReader] = {}
"""The readers of plug-ins by name, in the order in which they are asked."""


def add_reader(added: AddedReader) -> None:
    """Add a plug-in's reader, in each process that opens data. Raises ValueError for the name of a format that ships."""
    if added.name in _SHIPPED:
        raise ValueError(f"{added.name} is a format that ships")
    ADDED[added.name] = added
    FORMATS[added.name] = added.format()


def _record(source: Source) -> ClipRecord:
    assert source.record is not None
    return source.record
