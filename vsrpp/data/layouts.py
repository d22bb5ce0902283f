"""Recognises the field's dataset layouts: REDS, Vimeo-90K, Vid4, LQ/GT pairs, packed copies, and plain folders.

REDS       train_sharp/000/00000000.png, train_sharp_bicubic/X4/…; clips 000, 011, 015, 020 (REDS4) validate
Vimeo-90K  sequences/00001/0001/im1.png … im7.png, sep_trainlist.txt, sep_testlist.txt or BasicSR's lists; only im4 is scored
Vid4       GT/calendar/…, BIx4/calendar/…, BDx4/calendar/…
pairs      GT and LQ (or HR, HQ and LR) side by side, in any case, or two paths of a `data:` block
train_val  train and val side by side, each with one of these layouts or plain
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vsrpp.data import messages, pairs
from vsrpp.data.degradation_table import DEFAULT, TABLE
from vsrpp.data.pack_index import INDEX, packed_sources
from vsrpp.data.readers import ADDED, HELD_OUT, Source
from vsrpp.data.sources import Clip, clip_at, entries_of, find_plain, measure
from vsrpp.data.survey import Survey, some
from vsrpp.media import READER_VERSION

REDS4 = ("000", "011", "015", "020")
"""The REDS clips that papers exclude from training and report on."""
VIMEO_SCORED = (3,)
"""Only im4 of a Vimeo-90K sequence is scored, the middle of its seven frames."""
TRAIN_VAL = "train_val"
KINDS = ("auto", "reds", "vimeo90k", "vid4", "pairs", TRAIN_VAL, "packed", "clips", "videos", "video", "frames")

_SEQUENCES = "sequences"
_GT_NAMES = ("GT", "HR", "HQ")
_LQ_NAMES = ("LQ", "LR")
"""Folders of small frames beside the ground truth of pairs. All of these names in any case, except by the first rules."""
_FIRST_NAMES = frozenset({"GT", "HR", "LQ", "LR"})
_TRAIN_NAMES, _VAL_NAMES = ("train", "training"), ("val", "valid", "validation", "test")
_LISTS = {"train": "sep_trainlist.txt", "val": "sep_testlist.txt"}
_BASICSR_LISTS = {"train": "meta_info_Vimeo90K_train_GT.txt", "val": "meta_info_Vimeo90K_test_GT.txt"}
_BASICSR_LIST = "meta_info*.txt"


@dataclass(frozen=True)
class LayoutQuery:
    """The scale and degradation of a run: they decide which of a layout's small frames are used."""

    scale: int = 4
    degradation: str = DEFAULT
    reader_version: int = READER_VERSION
    """Which sizes the frames of a pair have."""

    def pairs(self, ground: Sequence[Source], small: Sequence[Source], survey: Survey) -> list[Source]:
        """See `pairs.matched`."""
        large, lq = ([source.read_by(self.reader_version) for source in sources] for sources in (ground, small))
        return pairs.matched(large, lq, self.scale, survey)


def find(
    path: str | Path, kind: str = "auto", *, query: LayoutQuery | None = None, lq: str | Path | None = None,
    survey: Survey | None = None,
) -> tuple[str, list[Source]]:  # fmt: skip
    """(kind, clips) of a path, or of the sample clip for "sample"; kind is one of KINDS except `auto`, or the name of a
    plug-in's reader.

    lq: path of the small frames of a pair. survey: takes what is noticed, and decides whether clips may be left out; none
    may without one. Raises NotFound if there is nothing at the path; Refused if it matches no layout, matches another layout
    than `kind`, or holds pairs that do not fit.
    """
    query, survey = query or LayoutQuery(), survey or Survey()
    if lq is not None:
        return "pairs", query.pairs(find_plain(path, survey)[1], find_plain(lq, survey)[1], survey)
    root = Path(path).expanduser().absolute()
    recognised = _recognise(root, kind, query, survey) if str(path) != "sample" else None
    if recognised is None:
        if kind in LAYOUTS:
            _check_exists(Path(path))
            raise messages.NOT_THIS_KIND(path=path, kind=kind, wanted=LAYOUTS[kind].wanted)
        plain_kind, sources = find_plain(path, survey)
        recognised = plain_kind, [replace(source, degradation=query.degradation) for source in sources]
    if kind not in ("auto", recognised[0]):
        raise messages.OTHER_KIND(path=path, kind=kind, recognised=recognised[0])
    if recognised[0] != "vimeo90k" and root.is_dir():
        for file in sorted(root.glob(_BASICSR_LIST)):
            survey.remark(messages.META_NOT_USED, path=file, kind=recognised[0])
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


def _recognise(root: Path, kind: str, query: LayoutQuery, survey: Survey) -> tuple[str, list[Source]] | None:
    """(kind, clips) of a dataset layout, or of a plug-in's reader: the one that `kind` names, or for `auto` the first that
    recognises the path."""
    if kind in ADDED:
        _check_exists(root)
        return kind, _added(root, kind, query)
    if root.is_dir():
        for name, layout in LAYOUTS.items():
            sources = layout.sources(root, query, survey)
            if sources is not None:
                return name, sources
    if kind == "auto" and root.exists():
        found = next((name for name, added in ADDED.items() if added.recognises(root)), None)
        return (found, _added(root, found, query)) if found else None
    return None


def _added(root: Path, name: str, query: LayoutQuery) -> list[Source]:
    return [replace(source, degradation=query.degradation) for source in ADDED[name].sources(root)]


def _packed(root: Path, query: LayoutQuery, _survey: Survey) -> list[Source] | None:
    return packed_sources(root, query.scale, query.degradation) if (root / INDEX).is_file() else None


def _reds(root: Path, query: LayoutQuery, survey: Survey) -> list[Source] | None:
    bases = (root, root / "train", root.parent if root.name == "train_sharp" else root)
    base = next((base for base in bases if (base / "train_sharp").is_dir()), None)
    if base is None:
        return None
    reduced = base / "train_sharp_bicubic" / f"X{query.scale}"
    small = reduced if TABLE[query.degradation].published and reduced.is_dir() else None
    if small is None and reduced.parent.is_dir():
        _remark_unused(reduced.parent, query, survey)
    sources = _beside(base / "train_sharp", small, query, survey)
    for clip in survey.left_out:
        if clip.entry == survey.entry and clip.clip in REDS4:
            raise clip.refusal
    return [replace(source, split="val" if source.name in REDS4 else "train") for source in sources]


def _vimeo(root: Path, query: LayoutQuery, survey: Survey) -> list[Source] | None:
    own = {part: root / name for part, name in _LISTS.items() if (root / name).is_file()}
    lists = own or {part: root / name for part, name in _BASICSR_LISTS.items() if (root / name).is_file()}
    ground = next((root / name for name in (_SEQUENCES, "GT", "HR", "gt", "hr") if (root / name).is_dir()), None)
    if ground is None or not lists:
        if ground is not None and ground.name == _SEQUENCES:
            raise messages.NO_VIMEO_LIST(path=root, lists=", ".join([*_LISTS.values(), *_BASICSR_LISTS.values()]))
        return None
    small = _small(root, query, survey)
    beside = root.with_name(f"{root.name}_matlabLRx{query.scale}") / _SEQUENCES
    if small is None and TABLE[query.degradation].published and beside.is_dir():
        small = beside
    return [
        replace(source, split=part)
        for part, file in lists.items()
        for source in _listed(ground, small, file, query, survey, tested=part == "val")
    ]


def _listed(
    ground: Path, small: Path | None, file: Path, query: LayoutQuery, survey: Survey, *, tested: bool
) -> list[Source]:  # fmt: skip
    """The clips that a list names. A tested one is never left out: a published figure is that of the whole list."""
    lines = file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise messages.EMPTY_VIMEO_LIST(file=file)
    if missing := [name for name in names if not (ground / name).is_dir()]:
        more = f" and {len(missing) - 1} others" if missing[1:] else ""
        raise messages.NO_LISTED_FOLDER(path=ground / missing[0], more=more, file=file.name)

    def sequence(name: str) -> Source:
        clip = clip_at(ground / name, name, survey)
        given = clip_at(small / name, name, survey) if small is not None else None
        found = pairs.pair(clip, given, query.scale) if given else replace(clip, degradation=query.degradation)
        return replace(found, scored=_vimeo_scored(clip), mirrors=True)

    if tested:
        return [sequence(name) for name in names]
    found = (survey.usable(name, ground / name, partial(sequence, name)) for name in names)
    return [source for source in found if source is not None]


def _vimeo_scored(source: Source) -> tuple[int, ...]:
    return VIMEO_SCORED if len(source.files) == 2 * VIMEO_SCORED[0] + 1 else ()


def _vid4(root: Path, query: LayoutQuery, survey: Survey) -> list[Source] | None:
    return _ground_and_small(
        root, query, survey, lambda name: name[:2] in ("BI", "BD") and name[2:3] == "x" and name[3:].isdigit()
    )


def _pairs(root: Path, query: LayoutQuery, survey: Survey) -> list[Source] | None:
    small = [folder.name for folder in _folders(root, _LQ_NAMES, survey)]
    return _ground_and_small(root, query, survey, small.__contains__)


def _ground_and_small(
    root: Path, query: LayoutQuery, survey: Survey, is_small: Callable[[str], bool]
) -> list[Source] | None:  # fmt: skip
    ground = next(_folders(root, _GT_NAMES, survey), None)
    given = [entry for entry in entries_of(root) if is_small(entry.name)]
    if ground is None or not given:
        return None
    small = _small(root, query, survey)
    if small is None:
        _remark_unused(given[0], query, survey)
    return _beside(ground, small, query, survey)


def _remark_unused(given: Path, query: LayoutQuery, survey: Survey) -> None:
    survey.remark(messages.SMALL_NOT_USED, path=given, scale=query.scale, degradation=query.degradation)


def _small(root: Path, query: LayoutQuery, survey: Survey) -> Path | None:
    """The folder of small frames that fits scale and degradation; None if they have to be generated."""
    names = [name.format(scale=query.scale) for name in TABLE[query.degradation].folders]
    return next(_folders(root, names, survey), None)


def _folders(root: Path, names: Sequence[str], survey: Survey) -> Iterator[Path]:
    """The folders with one of these names, in their order; in any case, except by the first rules."""
    if survey.first_rules:
        known = [name for name in names if name in _FIRST_NAMES]
        others = [name for name in names if name[:2] in ("BI", "BD")]
        cases = [*known, *map(str.lower, known), *others]
        yield from (root / name for name in cases if (root / name).is_dir())
        return
    there = [entry for entry in entries_of(root) if entry.is_dir()]
    for name in names:
        yield from sorted(
            (entry for entry in there if entry.name.lower() == name.lower()), key=lambda entry: entry.name != name
        )


def _beside(ground: Path, small: Path | None, query: LayoutQuery, survey: Survey) -> list[Source]:
    sources = find_plain(ground, survey)[1]
    if small is None:
        return [replace(source, degradation=query.degradation) for source in sources]
    return query.pairs(sources, find_plain(small, survey)[1], survey)


def _train_val(root: Path, query: LayoutQuery, survey: Survey) -> list[Source] | None:
    if survey.first_rules:
        return None
    train, val = (next(_folders(root, names, survey), None) for names in (_TRAIN_NAMES, _VAL_NAMES))
    if train is None or val is None:
        return None
    others = [entry for entry in entries_of(root) if entry.is_dir() and entry not in (train, val)]
    if any(entry.name.lower() not in (*_TRAIN_NAMES, *_VAL_NAMES) for entry in others):
        return None
    if others:
        survey.remark(messages.NOT_USED, path=root, names=some([entry.name for entry in others]))
    return [
        source
        for folder, split in ((train, "train"), (val, HELD_OUT))
        for source in _part(folder, split, query, survey)
    ]


def _part(folder: Path, split: str, query: LayoutQuery, survey: Survey) -> list[Source]:
    """The clips of `train` or `val`, named with it."""
    entry, survey.entry = survey.entry, f"{survey.entry}/{folder.name}"
    sources = find(folder, query=query, survey=survey)[1]
    survey.entry = entry
    return [replace(source, name=f"{folder.name}/{source.name}", split=split) for source in sources]


@dataclass(frozen=True)
class Layout:
    """A dataset layout that ships."""

    wanted: str
    """What a folder of this layout has, after `which has`."""
    sources: Callable[[Path, LayoutQuery, Survey], list[Source] | None]
    """The clips of a folder; None if it has another layout. Raises Refused if it has this one, but incomplete."""


LAYOUTS: dict[str, Layout] = {
    "packed": Layout(f"a file {INDEX}, written by `vsrpp data pack`", _packed),
    "reds": Layout("a folder train_sharp", _reds),
    "vimeo90k": Layout(
        "a folder sequences (or GT) and sep_trainlist.txt or sep_testlist.txt, or BasicSR's meta_info_Vimeo90K_*_GT.txt",
        _vimeo,
    ),
    "vid4": Layout("a folder GT and a folder BIx4 or BDx4", _vid4),
    "pairs": Layout("a folder GT (HR or HQ) and a folder LQ (or LR)", _pairs),
    TRAIN_VAL: Layout("a folder train and a folder val", _train_val),
}
"""By kind, in the order in which they are tried."""
