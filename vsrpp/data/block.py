"""The `data:` block of a config, or its short form `--data PATH`, as two lists of sources: training and validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.data import added, messages
from vsrpp.data.degradation_table import DEFAULT, checked
from vsrpp.data.layouts import LayoutQuery, find
from vsrpp.data.readers import Source
from vsrpp.data.survey import Survey
from vsrpp.media import READER_VERSION

_PATHS = ("path", "lq")


@dataclass(frozen=True)
class MixEntry:
    """One source of a mix."""

    path: str
    kind: str = "auto"
    weight: float = 1.0
    """Its share of the samples, relative to the sum of all weights. Ignored for validation."""
    degradation: str = DEFAULT
    lq: str | None = None
    max_clips: int | None = None
    """Upper limit on the number of clips, taken evenly spaced; None takes all."""
    reader_version: int = READER_VERSION
    """How files become pixels."""

    def find(self, scale: int, survey: Survey | None = None) -> tuple[str, list[Source]]:
        """Returns (kind, clips). Raises what `layouts.find` raises."""
        checked(self.degradation, scale)
        query = LayoutQuery(scale, self.degradation, self.reader_version)
        kind, sources = find(self.path, self.kind, query=query, lq=self.lq, survey=survey)
        return kind, [source.read_by(self.reader_version) for source in sources]


@dataclass(frozen=True)
class Block:
    """What a run trains and validates on."""

    train: tuple[MixEntry, ...]
    val: tuple[MixEntry, ...]
    """If empty, part of `train` is held out for validation."""


def read_block(run_config: Mapping[str, Any]) -> Block:
    """The sources of a run config that has passed its schema; `--data PATH` gives a block of one source.

    The degradations and readers of its plug-ins are known from then on.

    Raises Refused if both `val_data` and `data.val` are set, or if an entry combines `lq` with a setting it overrides.
    """
    added.join(run_config)
    data, val_data = run_config["data"], run_config.get("val_data")
    version = run_config.get("reader_version", 1)
    degradation = run_config.get("degradation") or DEFAULT
    if isinstance(data, str):
        mix: Mapping[str, Any] = {"train": [{"path": data}]}
    else:
        mix = data
    train = tuple(_entry(item, degradation, version, f"data.train[{place}]") for place, item in enumerate(mix["train"]))
    val = tuple(
        _entry(item, degradation, version, f"data.val[{place}]") for place, item in enumerate(mix.get("val") or ())
    )
    if val_data and val:
        raise messages.VAL_DATA_TWICE(val_data=val_data)
    if val_data:
        val = (MixEntry(val_data, degradation=degradation, reader_version=version),)
    return Block(train, val)


def folders_of(run_config: Mapping[str, Any]) -> list[Path]:
    """The folders that a run config names as data, resolved."""
    block = read_block(run_config)
    paths = [
        path for entry in (*block.train, *block.val) for path in (entry.path, entry.lq) if path and path != "sample"
    ]
    return [folder for path in paths if (folder := Path(path).expanduser().resolve()).is_dir()]


def with_absolute_paths(data: Any) -> Any:
    """`data` or `val_data` of a config with absolute paths, so that a run can be resumed from any working directory."""
    if isinstance(data, Mapping):
        return {part: [_absolute_entry(item) for item in items] for part, items in data.items()}
    return _absolute(data) if data else data


def _absolute_entry(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _absolute(value) if key in _PATHS else value for key, value in item.items()}


def _absolute(path: str) -> str:
    return path if path == "sample" else str(Path(path).expanduser().resolve())


def _entry(item: Mapping[str, Any], degradation: str, reader_version: int, where: str) -> MixEntry:
    if item.get("lq") and (item.get("degradation") or item.get("kind", "auto") not in ("auto", "pairs")):
        raise messages.NO_EFFECT_BESIDE_LQ(where=where)
    max_clips = item.get("max_clips")
    limit = None if max_clips is None else int(max_clips)
    return MixEntry(**{"degradation": degradation, **item, "max_clips": limit, "reader_version": reader_version})
