"""The standard test suites by name, each with the protocol under which papers report it: colour, border, frames, degradation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vsrpp.data import pairs
from vsrpp.data.layouts import REDS4, LayoutQuery, find
from vsrpp.data.readers import Source
from vsrpp.data.sources import clip_at
from vsrpp.inference import messages

SCALE = 4
"""All suites are reported at ×4."""
ABBREVIATIONS = {"bicubic": "BI", "bd": "BD"}
"""Of the degradations, as tables have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A test suite and its protocol. Quantised to uint8; the mean over frames, then clips."""

    title: str
    colour: str
    """`y` or `rgb`: the figures that papers report."""
    border: int = 0
    """Pixels cut off on each side before scoring."""
    degradations: tuple[str, ...]
    """Those that papers report, the usual one first."""
    clips: Mapping[str, int | None]
    """Name -> frames; None: any number. Empty: a list beside the clips names them (Vimeo-90K)."""
    folders: tuple[str, ...]
    """Names that its folder has in a folder of suites."""
    truth: tuple[str, ...]
    """Where a clip's ground truth is in its folder; `{clip}` is filled in."""
    small: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Degradation -> where a clip's small frames are; if they are nowhere, or none is named, they are generated."""
    list_length: int = 0
    """Clips on its list, if a list names them."""
    source: str = ""
    """Whose protocol it is."""

    @property
    def frames_in_words(self) -> str:
        return "im4 of each sequence" if not self.clips else "all frames"

    @property
    def figures(self) -> tuple[str, str]:
        """The reported PSNR and SSIM, by measure."""
        return f"psnr_{self.colour}", f"ssim_{self.colour}"

    def to_json(self) -> dict[str, Any]:
        """The protocol."""
        return {
            "title": self.title, "colour": self.colour, "border": self.border, "scored": self.frames_in_words,
            "protocol_of": self.source,
        }  # fmt: skip


_UDM10 = ("archpeople", "archwall", "auditorium", "band", "caffe", "camera", "clap", "lake", "photography", "polyflow")
_SPMCS = (
    "car05_001", "hdclub_003_001", "hitachi_isee5_001", "hk004_001", "HKVTG_004", "jvc_009_001", "NYVTG_006", "PRVTG_012",
    "RMVTG_011", "veni3_011", "veni5_015",
)  # fmt: skip
_GROUND = ("GT/{clip}", "HR/{clip}")
_BASICVSR = "BasicVSR (Chan et al., CVPR 2021)"

SUITES: dict[str, Suite] = {
    "reds4": Suite(
        title="REDS4", colour="rgb", degradations=("bicubic",), clips=dict.fromkeys(REDS4, 100), folders=("REDS4", "REDS"),
        truth=("train_sharp/{clip}", "train/train_sharp/{clip}", *_GROUND),
        small={"bicubic": ("train_sharp_bicubic/X4/{clip}", "train/train_sharp_bicubic/X4/{clip}", "sharp_bicubic/{clip}",
                           "BIx4/{clip}")},
        source=_BASICVSR,
    ),
    "vid4": Suite(
        title="Vid4", colour="y", degradations=("bicubic", "bd"),
        clips={"calendar": 41, "city": 34, "foliage": 49, "walk": 47}, folders=("Vid4",), truth=_GROUND,
        small={"bicubic": ("BIx4/{clip}",), "bd": ("BDx4/{clip}",)}, source=_BASICVSR,
    ),
    "udm10": Suite(
        title="UDM10", colour="y", degradations=("bd",), clips=dict.fromkeys(_UDM10, 32), folders=("UDM10",),
        truth=(*_GROUND, "{clip}/truth"), source=_BASICVSR,
    ),
    "spmcs": Suite(
        title="SPMCS", colour="y", border=8, degradations=("bd",), clips=dict.fromkeys(_SPMCS), folders=("SPMCS", "SPMC_test"),
        truth=(*_GROUND, "{clip}/truth", "test_set/{clip}/truth"), source="RRN (Isobe et al., BMVC 2020)",
    ),
    "vimeo-t": Suite(
        title="Vimeo-90K-T", colour="y", degradations=("bicubic", "bd"), clips={}, list_length=7824,
        folders=("vimeo90k", "vimeo_septuplet", "Vimeo-90K"), truth=("sequences/…/im1.png", "sep_testlist.txt"),
        source=_BASICVSR,
    ),
}  # fmt: skip
"""Of UDM10 and SPMCS the small frames are always generated from the ground truth: those that come with them (`blur4`, and the
BDx4 that KAIR's prepare_UDM10.py makes of it) have another kernel and phase, which costs a BD network 12 dB (mmagic #803)."""


def parse_suites(text: str) -> list[str]:
    """Names separated by commas, each once. Raises Refused for one that is unknown."""
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names or [text]:
        if name not in SUITES:
            raise messages.UNKNOWN_SUITE(suite=name, suites=", ".join(SUITES))
    return names


def check_scale(name: str, scale: int) -> None:
    """Raises Refused for a network of another scale."""
    if scale != SCALE:
        raise messages.SUITE_SCALE(suite=name, scale=SCALE, network=scale)


def degradation_of(name: str, asked: str | None, trained_on: str) -> str:
    """Asked for, else what the network was trained on if the suite is reported with it, else the suite's usual one.

    Raises Refused for one asked for with which the suite is not reported.
    """
    suite = SUITES[name]
    if asked is not None and asked not in suite.degradations:
        raise messages.SUITE_DEGRADATION(suite=name, degradations=" and ".join(suite.degradations), degradation=asked)
    return asked or (trained_on if trained_on in suite.degradations else suite.degradations[0])


def suite_sources(name: str, root: Path, degradation: str) -> list[Source]:
    """The clips of a suite, which `root` is or holds. Raises NotFound or Refused, naming what is missing."""
    suite = SUITES[name]
    places = [root / folder for folder in suite.folders if (root / folder).is_dir()] + [root]
    for place in places:
        sources = (
            _listed(name, suite, place, degradation) if not suite.clips else _named(name, suite, place, degradation)
        )
        if sources:
            return sources
    first = suite.truth[0].format(clip=next(iter(suite.clips), ""))
    expected = (
        f"{suite.folders[0]}/{first}, or {first}"
        if suite.clips
        else f"{suite.folders[0]} with {' and '.join(suite.truth)}"
    )
    raise messages.SUITE_MISSING(suite=name, root=root, expected=expected)


def _named(name: str, suite: Suite, place: Path, degradation: str) -> list[Source]:
    """The clips below one of the places for ground truth; [] if none of them is there."""
    for pattern in suite.truth:
        found = {clip: place / pattern.format(clip=clip) for clip in suite.clips}
        missing = [clip for clip, path in found.items() if not path.is_dir()]
        if len(missing) < len(found):
            if missing:
                raise messages.SUITE_INCOMPLETE(
                    suite=name, path=place / pattern.partition("{")[0], missing=", ".join(missing)
                )
            return [_clip(name, suite, place, clip, path, degradation) for clip, path in found.items()]
    return []


def _clip(name: str, suite: Suite, place: Path, clip: str, path: Path, degradation: str) -> Source:
    truth, wanted = clip_at(path, clip), suite.clips[clip]
    if wanted not in (None, len(truth.files)):
        raise messages.SUITE_FRAMES(suite=name, path=path, frames=len(truth.files), expected=wanted)
    given = [place / pattern.format(clip=clip) for pattern in suite.small.get(degradation, ())]
    small = next((folder for folder in given if folder.is_dir()), None)
    if small is None:
        return replace(truth, degradation=degradation)
    return pairs.pair(truth, clip_at(small, clip), SCALE)


def _listed(name: str, suite: Suite, place: Path, degradation: str) -> list[Source]:
    """The clips on the list of Vimeo-90K's test set."""
    if not (place / "sep_testlist.txt").is_file():
        return []
    _, located = find(place, "vimeo90k", query=LayoutQuery(SCALE, degradation))
    sources = [source for source in located if source.split == "val"]
    if len(sources) != suite.list_length:
        raise messages.SUITE_INCOMPLETE(
            suite=name, path=place / "sep_testlist.txt", missing=f"{suite.list_length - len(sources)} of its"
            f" {suite.list_length} sequences",
        )  # fmt: skip
    return sources
