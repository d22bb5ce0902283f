"""Recognises the field's dataset layouts: REDS, Vimeo-90K, Vid4, LQ/GT pairs, packed copies, and plain folders.

REDS       train_sharp/000/00000000.png, train_sharp_bicubic/X4/…; clips 000, 011, 015, 020 (REDS4) validate
Vimeo-90K  sequences/00001/0001/im1.png … im7.png, sep_trainlist.txt, sep_testlist.txt; only im4 is scored
Vid4       GT/calendar/…, BIx4/calendar/…, BDx4/calendar/…
pairs      GT and LQ (or HR and LR) side by side, or two paths of a `data:` block
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vsrpp.data import messages, pairs
from vsrpp.data.degradation_table import DEFAULT, TABLE
from vsrpp.data.pack_index import INDEX, packed_sources
from vsrpp.data.sources import Clip, Source, clip_at, entries_of, find_plain, measure

REDS4 = ("000", "011", "015", "020")
"""The REDS clips that papers exclude from training and report on."""
VIMEO_SCORED = (3,)
"""Only im4 of a Vimeo-90K sequence is scored, the middle of its seven frames."""
KINDS = ("auto", "reds", "vimeo90k", "vid4", "pairs", "packed", "clips", "videos", "video", "frames")

_GT_NAMES = ("GT", "HR", "gt", "hr")
_LQ_NAMES = ("LQ", "LR", "lq", "lr")
"""Folders that make a folder of ground truth one of pairs."""
_LISTS = {"train": "sep_trainlist.txt", "val": "sep_testlist.txt"}


@dataclass(frozen=True)
class LayoutQuery:
    """The scale and degradation of a run: they decide which of a layout's small frames are used."""

    scale: int = 4
    degradation: str = DEFAULT


def find(
    path: str | Path, kind: str = "auto", *, query: LayoutQuery | None = None, lq: str | Path | None = None
) -> tuple[str, list[Source]]:
    """(kind, clips) of a path, or of the sample clip for "sample"; kind is one of KINDS except `auto`.

    lq: path of the small frames of a pair. Raises NotFound if there is nothing at the path; Refused if it matches no
    layout, matches another layout than `kind`, or holds pairs that do not fit.
    """
    query = query or LayoutQuery()
    if lq is not None:
        return "pairs", pairs.matched(find_plain(path)[1], find_plain(lq)[1], query.scale)
    recognised = _recognise(Path(path).expanduser().absolute(), query) if str(path) != "sample" else None
    if recognised is None:
        if kind in _LOOKED_FOR:
            _check_exists(Path(path))
            raise messages.NOT_THIS_KIND(path=path, kind=kind, wanted=_LOOKED_FOR[kind])
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


_LOOKED_FOR = {
    "reds": "a folder train_sharp",
    "vimeo90k": "a folder sequences (or GT) and sep_trainlist.txt or sep_testlist.txt",
    "vid4": "a folder GT and a folder BIx4 or BDx4",
    "pairs": "a folder GT (or HR) and a folder LQ (or LR)",
    "packed": f"a file {INDEX}, written by `vsrpp data pack`",
}


def _check_exists(path: Path) -> None:
    if not path.expanduser().exists():
        raise messages.NO_DATA(path=path)


def _recognise(root: Path, query: LayoutQuery) -> tuple[str, list[Source]] | None:
    if not root.is_dir():
        return None
    if (root / INDEX).is_file():
        return "packed", packed_sources(root, query.scale, query.degradation)
    for base in (root, root / "train", root.parent if root.name == "train_sharp" else root):
        if (base / "train_sharp").is_dir():
            return "reds", _reds(base, query)
    lists = {part: root / name for part, name in _LISTS.items() if (root / name).is_file()}
    ground = next((root / name for name in ("sequences", *_GT_NAMES) if (root / name).is_dir()), None)
    if ground is None:
        return None
    if lists:
        return "vimeo90k", _vimeo(root, ground, lists, query)
    if ground.name == "sequences":
        raise messages.NO_VIMEO_LIST(path=root, lists=" nor ".join(_LISTS.values()))
    small = _small(root, query)
    beside = [entry.name for entry in entries_of(root)]
    kind = "vid4" if any(map(_is_vid4_folder, beside)) else "pairs" if set(beside) & set(_LQ_NAMES) else None
    return (kind, _beside(ground, small, query)) if kind else None


def _reds(base: Path, query: LayoutQuery) -> list[Source]:
    reduced = base / "train_sharp_bicubic" / f"X{query.scale}"
    small = reduced if TABLE[query.degradation].published and reduced.is_dir() else None
    return [
        replace(source, split="val" if source.name in REDS4 else "train")
        for source in _beside(base / "train_sharp", small, query)
    ]


def _vimeo(root: Path, ground: Path, lists: dict[str, Path], query: LayoutQuery) -> list[Source]:
    small = _small(root, query)
    beside = root.with_name(f"{root.name}_matlabLRx{query.scale}") / "sequences"
    if small is None and TABLE[query.degradation].published and beside.is_dir():
        small = beside
    sources = []
    for part, file in lists.items():
        names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not names:
            raise messages.EMPTY_VIMEO_LIST(file=file)
        for name in names:
            if not (ground / name).is_dir():
                raise messages.NO_LISTED_FOLDER(path=ground / name, file=file.name)
            clip = clip_at(ground / name, name)
            given = clip_at(small / name, name) if small is not None else None
            sources.append(
                replace(pairs.pair(clip, given, query.scale) if given else replace(clip, degradation=query.degradation),
                        split=part, scored=_vimeo_scored(clip), mirrors=True)
            )  # fmt: skip
    return sources


def _vimeo_scored(source: Source) -> tuple[int, ...]:
    return VIMEO_SCORED if len(source.files) == 2 * VIMEO_SCORED[0] + 1 else ()


def _small(root: Path, query: LayoutQuery) -> Path | None:
    """The folder of small frames that fits scale and degradation; None if they have to be generated."""
    names = [name.format(scale=query.scale) for name in TABLE[query.degradation].folders]
    return next((root / name for name in names if (root / name).is_dir()), None)


def _is_vid4_folder(name: str) -> bool:
    return name[:2] in ("BI", "BD") and name[2:3] == "x" and name[3:].isdigit()


def _beside(ground: Path, small: Path | None, query: LayoutQuery) -> list[Source]:
    sources = find_plain(ground)[1]
    if small is None:
        return [replace(source, degradation=query.degradation) for source in sources]
    return pairs.matched(sources, find_plain(small)[1], query.scale)
