"""Decodes one clip into a folder: gt.bin and lr.bin hold raw uint8 frames, meta.json describes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vsrpp import formats
from vsrpp.data import messages
from vsrpp.data.degradation_table import BLOCK_FRAMES, DEFAULT, TABLE, Draw, identity_of
from vsrpp.data.degradations import Frames
from vsrpp.data.pairs import check_size
from vsrpp.data.readers import Source
from vsrpp.digests import file_sha256

META = "meta.json"

ProgressCallback = Callable[[str, int, int], None]
"""Called while decoding: clip name, frames done, frames expected (an upper bound for a video)."""


def build(
    source: Source, scale: int, folder: Path, expected: int, limit: int, progress: ProgressCallback, *, cut: bool = True
) -> dict[str, Any]:
    """Decode a clip into a new folder as gt.bin, lr.bin and meta.json; returns the content of meta.json.

    All files are fsynced before it returns. cut: crop gt.bin to a multiple of scale.
    Raises Refused if the clip needs more than `limit` bytes or the LQ frames of a pair do not fit.
    """
    folder.mkdir()
    frames_done = written = 0
    shape: tuple[int, ...] = ()
    source_shape: tuple[int, ...] = ()
    content = content_sha256(source)
    notes: list[str] = []
    progress(source.name, 0, expected)
    with (folder / "gt.bin").open("wb") as gt_file, (folder / "lr.bin").open("wb") as lr_file:
        for frames, gt, lr in _reduced(source, scale, content, notes):
            source_shape, shape = frames.shape[1:], gt.shape[1:]
            kept = gt if cut else frames
            written += kept.nbytes + lr.nbytes
            if written > limit:
                raise messages.CLIP_OVER_LIMIT(path=source.path, room=formats.size(limit))
            gt_file.write(np.ascontiguousarray(kept).data)
            lr_file.write(np.ascontiguousarray(lr).data)
            frames_done += len(frames)
            progress(source.name, frames_done, max(expected, frames_done))
        for file in (gt_file, lr_file):
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "content_sha256": content,
        "frames": frames_done,
        "width": shape[1],
        "height": shape[0],
        "source_width": source_shape[1],
        "source_height": source_shape[0],
        "scale": scale,
        "degradation": source.degradation,
        "lq_sha256": content_sha256(source.lq) if source.lq else "",
        "uncut": not cut,
        "reader_version": source.reader_version,
        "notes": notes,
    }
    write_synced(folder / META, json.dumps(meta))
    return meta


def _reduced(source: Source, scale: int, content: str, notes: list[str]) -> Iterator[tuple[Frames, Frames, Frames]]:
    """Chunks of a clip: the original frames, the ground truth cropped to a multiple of scale, and the small frames."""
    lq_notes: list[str] = []
    frames = source.frames(notes=notes)
    small = source.lq.frames(notes=lq_notes) if source.lq else None
    draw = Draw.of_clip(content)
    frames_done = 0
    while chunk := list(islice(frames, BLOCK_FRAMES)):
        whole = np.stack(chunk)
        gt = whole[:, : whole.shape[1] // scale * scale, : whole.shape[2] // scale * scale]
        if small is not None:
            lr = _given(source, list(islice(small, len(chunk))), whole, scale, frames_done)
        else:
            lr = TABLE[source.degradation].degrade(gt, draw, scale=scale, first_frame=frames_done)
        frames_done += len(chunk)
        yield whole, gt, lr
    if small is not None and next(small, None) is not None:
        raise messages.MORE_LQ_FRAMES(path=_lq(source), gt_frames=frames_done, gt_path=source.path)
    notes += [f"small frames: {note}" for note in lq_notes]


def clip_identity(content: str, degradation: str, lq: str, reader_version: int) -> str:
    """Hash of everything training on a clip depends on, but not its path or name. For bicubic, that of its pixels."""
    content = pixels_identity(content, reader_version)
    if degradation == DEFAULT:
        return content
    return hashlib.sha256(json.dumps([content, identity_of(degradation), lq]).encode()).hexdigest()


def pixels_identity(content: str, reader_version: int) -> str:
    """Hash of what the pixels of a clip depend on: its content hash and how its files are read. For version 1, the former."""
    if reader_version == 1:
        return content
    return hashlib.sha256(json.dumps([content, reader_version]).encode()).hexdigest()


def _given(source: Source, small: list[Frames], whole: Frames, scale: int, done: int) -> Frames:
    if len(small) < len(whole):
        raise messages.MORE_GT_FRAMES(path=_lq(source), lq_frames=done + len(small), gt_path=source.path)
    lr = np.stack(small)
    check_size(_lq(source), (whole.shape[2], whole.shape[1]), (lr.shape[2], lr.shape[1]), scale)
    return lr[:, : whole.shape[1] // scale, : whole.shape[2] // scale]


def _lq(source: Source) -> Path:
    assert source.lq is not None
    return source.lq.path


def write_synced(file: Path, text: str) -> None:
    """Write a text file and fsync it."""
    with file.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def content_sha256(source: Source) -> str:
    """Content hash of a clip, independent of paths and names.

    A video: SHA-256 of the file. A folder of frames: SHA-256 over the hashes of its files, in order; of a plug-in's reader,
    also over the clip's name and the reader's code. A clip of a packed copy keeps the hash of the clip it was packed from.
    Raises Refused if a packed clip was changed.
    """
    if source.format.stored:
        check_hashes(source.path)
        return str(json.loads((source.path / META).read_text())["content_sha256"])
    hashes = [file_sha256(file) for file in source.files]
    if source.format.one_file:
        return hashes[0]
    return hashlib.sha256("".join([*hashes, *source.identity]).encode()).hexdigest()


def check_hashes(folder: Path) -> None:
    """Raises Refused unless the files of a packed clip match the hashes in its meta.json."""
    try:
        sha256 = json.loads((folder / META).read_text())["sha256"]
        changed = [name for name, digest in sha256.items() if file_sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        changed = [META]
    if changed:
        raise messages.PACK_CHANGED(file=folder / changed[0])
