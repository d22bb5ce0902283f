"""The `data:` block of a config, and its short form, as one list of sources to train on and one to validate on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.data.degradations import check_degradation
from vsrpp.data.layouts import LayoutQuery, find
from vsrpp.data.sources import Source
from vsrpp.errors import Refused

_PATHS = ("path", "lq")


@dataclass(frozen=True)
class MixEntry:
    """One source of a mix."""

    path: str
    kind: str = "auto"
    weight: float = 1.0
    """How often it is drawn, over the sum of all weights; validation does not weigh."""
    degradation: str = "bicubic"
    lq: str | None = None
    max_clips: int | None = None
    """At most so many clips, evenly spread; None for all."""

    def find(self, scale: int) -> tuple[str, list[Source]]:
        """(kind, clips) of it; raises what `layouts.find` raises."""
        check_degradation(self.degradation, scale)
        return find(self.path, self.kind, query=LayoutQuery(scale, self.degradation), lq=self.lq)


@dataclass(frozen=True)
class Block:
    """What a run trains and validates on."""

    train: tuple[MixEntry, ...]
    val: tuple[MixEntry, ...]
    """Empty: part of `train` is kept out for it."""


def read_block(run_config: Mapping[str, Any]) -> Block:
    """The sources of a run config, checked already by the schema; `--data PATH` is a block of one source.

    Raises Refused for validation data said twice, and for what has no effect beside `lq`.
    """
    data, val_data = run_config["data"], run_config.get("val_data")
    degradation = run_config.get("degradation") or "bicubic"
    if isinstance(data, str):
        mix: Mapping[str, Any] = {"train": [{"path": data}]}
    else:
        mix = data
    train = tuple(_entry(item, degradation, f"data.train[{place}]") for place, item in enumerate(mix["train"]))
    val = tuple(_entry(item, degradation, f"data.val[{place}]") for place, item in enumerate(mix.get("val") or ()))
    if val_data and val:
        raise Refused(f"val_data = {val_data} refused: data.val says what to validate on; keep one of them")
    if val_data:
        val = (MixEntry(val_data, degradation=degradation),)
    return Block(train, val)


def with_absolute_paths(data: Any) -> Any:
    """`data` or `val_data` of a config with every path absolute, so that the run means the same from any folder."""
    if isinstance(data, Mapping):
        return {part: [_absolute_entry(item) for item in items] for part, items in data.items()}
    return _absolute(data) if data else data


def _absolute_entry(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _absolute(value) if key in _PATHS else value for key, value in item.items()}


def _absolute(path: str) -> str:
    return path if path == "sample" else str(Path(path).expanduser().resolve())


def _entry(item: Mapping[str, Any], degradation: str, where: str) -> MixEntry:
    if item.get("lq") and (item.get("degradation") or item.get("kind", "auto") not in ("auto", "pairs")):
        raise Refused(f"{where} refused: beside lq neither degradation nor another kind than pairs has an effect")
    most = item.get("max_clips")
    return MixEntry(**{"degradation": degradation, **item, "max_clips": None if most is None else int(most)})
