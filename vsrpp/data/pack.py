"""`vsrpp data pack`: decodes the clips of a path once into a folder of raw frames that any run on any machine can map.

One folder per clip (gt.bin at the source's size, lr.bin, meta.json with their hashes) and an index. The copy is built
under a temporary name and renamed when complete. After a kill, packing the same path again keeps the finished clips.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vsrpp.data import messages, sequence
from vsrpp.data.block import MixEntry
from vsrpp.data.build import META, ProgressCallback, build, write_synced
from vsrpp.data.cache import cache_name, locked
from vsrpp.data.degradation_table import DEFAULT, identity_of
from vsrpp.data.pack_index import INDEX, VERSION
from vsrpp.data.plan import check_room
from vsrpp.data.readers import Source
from vsrpp.data.survey import Survey
from vsrpp.digests import file_sha256
from vsrpp.media import READER_VERSION

_MADE_OF = "made_of.txt"
"""Written last into a clip's folder: a hash of its source. A folder without this file is unfinished."""


def pack(
    path: str, out: Path, *, scale: int, degradation: str = DEFAULT, reader_version: int = READER_VERSION,
    progress: ProgressCallback | None = None, survey: Survey | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Pack every clip of a path into the new folder `out`; returns {path, kind, clips, frames, bytes, left_out, remarks}.

    The frames are those of a run at `scale` with `degradation` and `reader_version`. Calls progress(clip name, frames
    done, frames expected) as `open_data` does. Clips that cannot be found whole are left out. Raises Refused if `out`
    exists, the disk lacks space, or a file cannot be read or written.
    """
    out = out.expanduser().absolute()
    if out.exists():
        raise messages.PACK_EXISTS(path=out)
    survey = survey or Survey.of(None)
    kind, sources = MixEntry(path, degradation=degradation, reader_version=reader_version).find(scale, survey)
    if kind == "packed":
        raise messages.ALREADY_PACKED(path=path)
    building = out.with_name(f"{out.name}.partial")
    try:
        building.mkdir(parents=True, exist_ok=True)
        with locked(out.with_name(f"{out.name}.lock")):
            facts = {"kind": kind, "scale": scale, "degradation": identity_of(degradation)}
            packed = _pack(sources, facts, building, out, progress)
    except OSError as error:
        cause = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise messages.PACKING_FAILED(path=path, out=out, cause=cause, building=building) from None
    finally:
        out.with_name(f"{out.name}.lock").unlink(missing_ok=True)
    for source, frames in zip(sources, packed.pop("frames_of"), strict=True):
        sequence.remark(source, frames, survey)
    return packed | survey.to_json()


def _pack(
    sources: Sequence[Source], facts: Mapping[str, Any], building: Path, out: Path, progress: ProgressCallback | None
) -> dict[str, Any]:
    scale = facts["scale"]
    folders = {f"{number:06d}": source for number, source in enumerate(sources)}
    for entry in building.iterdir():
        source = folders.get(entry.name)
        if source is None or not _is_finished(entry, source, scale):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    missing = {name: source for name, source in folders.items() if not (building / name).exists()}
    expected = {name: _size(source, scale) for name, source in missing.items()}
    check_room(sum(size for _, size in expected.values()), building, "packs")
    for name, source in missing.items():
        _build(source, scale, building / name, expected[name][0], progress or (lambda *_: None))
    rows = [_row(building / name, source) for name, source in folders.items()]
    for name in folders:
        (building / name / _MADE_OF).unlink()
    write_synced(building / INDEX, json.dumps({"version": VERSION, **facts, "clips": rows}, indent=1))
    building.rename(out)
    size = sum(file.stat().st_size for file in out.glob("*/*.bin"))
    return {
        "path": str(out), "kind": facts["kind"], "clips": len(rows), "frames": sum(row["frames"] for row in rows),
        "bytes": size, "frames_of": [row["frames"] for row in rows],
    }  # fmt: skip


def _build(source: Source, scale: int, folder: Path, expected: int, progress: ProgressCallback) -> None:
    made_of = cache_name(source, scale)
    temporary = folder.with_name(f"{folder.name}.tmp")
    meta = build(source, scale, temporary, expected, 2**63, progress, cut=False)
    if cache_name(source, scale) != made_of:
        raise messages.CHANGED_WHILE_READ(path=source.path)
    meta["sha256"] = {name: file_sha256(temporary / name) for name in ("gt.bin", "lr.bin")}
    write_synced(temporary / META, json.dumps(meta))
    write_synced(temporary / _MADE_OF, made_of)
    temporary.rename(folder)


def _is_finished(folder: Path, source: Source, scale: int) -> bool:
    try:
        return (folder / _MADE_OF).read_text(encoding="utf-8") == cache_name(source, scale)
    except OSError:
        return False


def _row(folder: Path, source: Source) -> dict[str, Any]:
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    row: dict[str, Any] = {"name": source.name, "folder": folder.name, "split": source.split}
    row |= {"scored": list(source.scored), "mirrors": source.mirrors, "degradation": source.degradation}
    row |= {"frames": meta["frames"], "width": meta["source_width"], "height": meta["source_height"]}
    return row | {"sha256": file_sha256(folder / META)}


def _size(source: Source, scale: int) -> tuple[int, int]:
    """(frames, bytes) of a packed clip; upper bounds for a video."""
    assert not source.format.stored
    frames, width, height = source.format.header(source, [])
    return frames, 3 * frames * (width * height + (width // scale) * (height // scale))
