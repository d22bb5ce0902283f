"""Recognises the field's dataset layouts: REDS, Vimeo-90K, Vid4, LQ/GT pairs, packed copies, and plain folders.

REDS       train_sharp/000/00000000.png, train_sharp_bicubic/X4/…; clips 000, 011, 015, 020 (REDS4) validate
Vimeo-90K  sequences/00001/0001/im1.png … im7.png, sep_trainlist.txt, sep_testlist.txt; only im4 is scored
Vid4       GT/calendar/…, BIx4/calendar/…, BDx4/calendar/…
pairs      GT and LQ (or HR and LR) side by side, or two paths of a `data:` block
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsrpp.data import messages, pairs
from vsrpp.data.degradation_table import DEFAULT, TABLE
from vsrpp.data.pack_index import INDEX, packed_sources
from vsrpp.data.readers import ADDED, Source
from vsrpp.data.sources import Clip, clip_at, entries_of, find_plain, measure
from vsrpp.media import READER_VERSION

REDS4 = ("000", "011", "015", "020")
"""The REDS clips that papers exclude from training and report on."""
VIMEO_SCORED = (3,)
"""Only im4 of a Vimeo-90K sequence is scored, the middle of its seven frames."""
KINDS = ("auto", "reds", "vimeo90k", "vid4", "pairs", "packed", "clips", "videos", "video", "frames")

_SEQUENCES = "sequences"
_GT_NAMES = ("GT", "HR", "gt", "hr")
_LQ_NAMES = ("LQ", "LR", "lq", "lr")
"""Folders of small frames beside the ground truth of pairs."""
_LISTS = {"train": "sep_trainlist.txt", "val": "sep_testlist.txt"}


@dataclass(frozen=True)
class LayoutQuery:
    """The scale and degradation of a run: they decide which of a layout's small frames are used."""

    scale: int = 4
    degradation: str = DEFAULT
    reader_version: int = READER_VERSION
    """Which sizes the frames of a pair have."""

    def pairs(self, ground: Sequence[Source], small: Sequence[Source]) -> list[Source]:
        """See `pairs.matched`."""
        large, lq = ([source.read_by(self.reader_version) for source in sources] for sources in (ground, small))
        return pairs.matched(large, lq, self.scale)


def find(
    path: str | Path, kind: str = "auto", *, query: LayoutQuery | None = None, lq: str | Path | None = None
) -> tuple[str, list[Source]]:
    """(kind, clips) of a path, or of the sample clip for "sample"; kind is one of KINDS except `auto`, or the name of a
    plug-in's reader.

    lq: path of the small frames of a pair. Raises NotFound if there is nothing at the path; Refused if it matches no
    layout, matches another layout than `kind`, or holds pairs that do not fit.
    """
    query = query or LayoutQuery()
    if lq is not None:
        return "pairs", query.pairs(find_plain(path)[1], find_plain(lq)[1])
    recognised = _recognise(Path(path).expanduser().absolute(), kind, query) if str(path) != "sample" else None
    if recognised is None:
        if kind in LAYOUTS:
            _check_exists(Path(path))
            raise messages.NOT_THIS_KIND(path=path, kind=kind, wanted=LAYOUTS[kind].wanted)
        plain_kind, sources = find_plain(path)
        recognised = plain_kind, [replace(source, degradation=query.degradation) for source in sources]
    if kind not in ("auto", recognised[0]):
        raise messages.OTHER_KIND(path=path, kind=kind, recognised=recognised[0])
    return recognised


def inspect(path: str | Path) -> list[Clip]:
    """The clips of a path, or of the sample clip for "sample". Videos are decoded once to count their frames.

    Raises NotFound if there is nothing at the path; Refused if it contains nothing usable, a file cannot be read, or the
    frames of a folder differ in size.
    """
    return [measure(source) for source in find(path)[1]]


def _check_exists(path: Path) -> None:
    if not path.expanduser().exists():
        raise messages.NO_DATA(path=path)


def _recognise(root: Path, kind: str, query: LayoutQuery) -> tuple[str, list[Source]] | None:
    """(kind, clips) of a dataset layout, or of a plug-in's reader: the one that `kind` names, or for `auto` the first that
    recognises the path."""
    if kind in ADDED:
        _check_exists(root)
        return kind, _added(root, kind, query)
    if root.is_dir():
        for name, layout in LAYOUTS.items():
            sources = layout.sources(root, query)
            if sources is not None:
                return name, sources
    if kind == "auto" and root.exists():
        found = next((name for name, added in ADDED.items() if added.recognises(root)), None)
        return (found, _added(root, found, query)) if found else None
    return None


def _added(root: Path, name: str, query: LayoutQuery) -> list[Source]:
    return [replace(source, degradation=query.degradation) for source in ADDED[name].sources(root)]


def _packed(root: Path, query: LayoutQuery) -> list[Source] | None:
    return packed_sources(root, query.scale, query.degradation) if (root / INDEX).is_file() else None


def _reds(root: Path, query: LayoutQuery) -> list[Source] | None:
    bases = (root, root / "train", root.parent if root.name == "train_sharp" else root)
    base = next((base for base in bases if (base / "train_sharp").is_dir()), None)
    if base is None:
        return None
    reduced = base / "train_sharp_bicubic" / f"X{query.scale}"
    small = reduced if TABLE[query.degradation].published and reduced.is_dir() else None
    return [
        replace(source, split="val" if source.name in REDS4 else "train")
        for source in _beside(base / "train_sharp", small, query)
    ]


def _vimeo(root: Path, query: LayoutQuery) -> list[Source] | None:
    lists = {part: root / name for part, name in _LISTS.items() if (root / name).is_file()}
    ground = next((root / name for name in (_SEQUENCES, *_GT_NAMES) if (root / name).is_dir()), None)
    if ground is None or not lists:
        if ground is not None and ground.name == _SEQUENCES:
            raise messages.NO_VIMEO_LIST(path=root, lists=" nor ".join(_LISTS.values()))
        return None
    small = _small(root, query)
    beside = root.with_name(f"{root.name}_matlabLRx{query.scale}") / _SEQUENCES
    if small is None and TABLE[query.degradation].published and beside.is_dir():
        small = beside
    return [
        replace(source, split=part) for part, file in lists.items() for source in _listed(ground, small, file, query)
    ]


def _listed(ground: Path, small: Path | None, file: Path, query: LayoutQuery) -> list[Source]:
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise messages.EMPTY_VIMEO_LIST(file=file)
    sources = []
    for name in names:
        if not (ground / name).is_dir():
            raise messages.NO_LISTED_FOLDER(path=ground / name, file=file.name)
        clip = clip_at(ground / name, name)
        given = clip_at(small / name, name) if small is not None else None
        found = pairs.pair(clip, given, query.scale) if given else replace(clip, degradation=query.degradation)
        sources.append(replace(found, scored=_vimeo_scored(clip), mirrors=True))
    return sources


def _vimeo_scored(source: Source) -> tuple[int, ...]:
    return VIMEO_SCORED if len(source.files) == 2 * VIMEO_SCORED[0] + 1 else ()


def _vid4(root: Path, query: LayoutQuery) -> list[Source] | None:
    return _ground_and_small(
        root, query, lambda name: name[:2] in ("BI", "BD") and name[2:3] == "x" and name[3:].isdigit()
    )


def _pairs(root: Path, query: LayoutQuery) -> list[Source] | None:
    return _ground_and_small(root, query, _LQ_NAMES.__contains__)


def _ground_and_small(root: Path, query: LayoutQuery, is_small: Callable[[str], bool]) -> list[Source] | None:
    ground = next((root / name for name in _GT_NAMES if (root / name).is_dir()), None)
    if ground is None or not any(is_small(entry.name) for entry in entries_of(root)):
        return None
    return _beside(ground, _small(root, query), query)


def _small(root: Path, query: LayoutQuery) -> Path | None:
    """The folder of small frames that fits scale and degradation; None if they have to be generated."""
    names = [name.format(scale=query.scale) for name in TABLE[query.degradation].folders]
    return next((root / name for name in names if (root / name).is_dir()), None)


def _beside(ground: Path, small: Path | None, query: LayoutQuery) -> list[Source]:
    sources = find_plain(ground)[1]
    if small is None:
        return [replace(source, degradation=query.degradation) for source in sources]
    return query.pairs(sources, find_plain(small)[1])


@dataclass(frozen=True)
class Layout:
    """A dataset layout that ships."""

    wanted: str
    """What a folder of this layout has, after `which has`."""
    sources: Callable[[Path, LayoutQuery], list[Source] | None]
    """The clips of a folder; None if it has another layout. Raises Refused if it has this one, but incomplete."""


LAYOUTS: dict[str, Layout] = {
    "packed": Layout(f"a file {INDEX}, written by `vsrpp data pack`", _packed),
    "reds": Layout("a folder train_sharp", _reds),
    "vimeo90k": Layout("a folder sequences (or GT) and sep_trainlist.txt or sep_testlist.txt", _vimeo),
    "vid4": Layout("a folder GT and a folder BIx4 or BDx4", _vid4),
    "pairs": Layout("a folder GT (or HR) and a folder LQ (or LR)", _pairs),
}
"""By kind, in the order in which they are tried."""
