"""A clip of any length to ×scale: streamed through a network in bounded memory, and there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch

from vsrpp.data.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Source, find_plain
from vsrpp.errors import Refused, VsrppError
from vsrpp.inference.chunks import Bounds, upscale_stream
from vsrpp.inference.video import FolderWriter, Reading, VideoWriter, codec_for, read
from vsrpp.models import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks of an upscaling beside input and output."""

    bounds: Bounds
    codec: str | None = None
    """h264, hevc, vp9 or ffv1; None goes by the output's name."""
    crf: int | None = None
    fps: Fraction | None = None
    """Frames a second of a video made of a folder of frames; a video has its own."""
    audio: bool = True
    overwrite: bool = False
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class Progress:
    frames: int
    expected: int | None
    """By the input's own word, which may be wrong."""
    elapsed_s: float

    @property
    def eta_s(self) -> float | None:
        if not self.expected or not self.frames:
            return None
        return max(0.0, self.elapsed_s / self.frames * (self.expected - self.frames))


def upscale(
    model: Network, source: str, target: str, wish: Wish, *, device: torch.device,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Upscale one video or folder of frames into `target`; returns frames, sizes, seconds, codec and notes.

    A `target` that ends in a video's suffix is a video, anything else a folder. It appears, complete, at the end: until
    then a hidden file or folder beside it is written, and removed if anything fails. Raises NotFound, Refused or
    VsrppError.
    """
    clip, out = _input(source), Path(target).expanduser().absolute()
    as_video = out.suffix.lower() in VIDEO_SUFFIXES
    _check_target(clip, out, wish, as_video)
    building = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    reading = read(clip)
    size = (reading.width * model.scale, reading.height * model.scale)
    started, done = time.monotonic(), 0
    codec = codec_for(out, wish.codec) if as_video else "png"
    out.parent.mkdir(parents=True, exist_ok=True)
    writer: VideoWriter | FolderWriter | None = None
    try:
        writer = _writer(clip, building, reading, size, codec, wish)
        for frame in upscale_stream(model, reading.frames, device=device, bounds=wish.bounds, precision=wish.precision):
            writer.write(frame)
            done += 1
            on_progress(Progress(done, reading.expected, time.monotonic() - started))
        if not done:
            raise Refused(f"{clip.path} refused: it has a video stream but not one decodable frame.")
        writer.finish()
        _put(building, out)
    except torch.OutOfMemoryError:
        raise VsrppError(
            f"out of memory at tiles of {wish.bounds.tile} pixels and chunks of {wish.bounds.chunk_frames} frames:"
            f" try --tile {max(64, (wish.bounds.tile or 512) // 2)} --chunk {max(4, wish.bounds.chunk_frames // 2)}."
        ) from None
    except OSError as error:
        raise VsrppError(f"{out} could not be written: {error}.") from None
    finally:
        if writer is not None:
            with contextlib.suppress(av.error.FFmpegError):  # what cannot be closed well is removed below
                writer.close()
        if reading.container is not None:
            reading.container.close()
        _remove(building)
    return {
        "input": str(clip.path), "output": str(out), "frames": done, "scale": model.scale,
        "input_size": [reading.width, reading.height], "output_size": list(size), "codec": codec,
        "seconds": time.monotonic() - started, "notes": reading.notes,
    }  # fmt: skip


def _input(path: str) -> Source:
    kind, sources = find_plain(path)
    if kind not in ("video", "frames") or len(sources) != 1:
        raise Refused(
            f"{path} refused: it holds {len(sources)} clips; upscale takes one video or one folder of frames."
        )
    return sources[0]


def _check_target(clip: Source, out: Path, wish: Wish, as_video: bool) -> None:
    here = clip.path.resolve()
    if out.resolve() == here:
        raise Refused(f"{out} is the input itself: name another output.")
    if not as_video and (wish.codec or out.suffix.lower() in IMAGE_SUFFIXES):
        raise Refused(f"{out} refused: no video's name ({' '.join(VIDEO_SUFFIXES)}); frames go into a folder.")
    if as_video and clip.kind == "frames" and wish.fps is None:
        raise Refused("a folder of frames has no frame rate: give one, such as --fps 25 or --fps 30000/1001.")
    if wish.fps is not None and clip.kind == "video":
        raise Refused("--fps refused: the input is a video and keeps its own time stamps.")
    if not out.exists():
        return
    if not wish.overwrite:
        raise Refused(f"{out} is there already: name another output, or replace it with --overwrite.")
    if out.is_dir() and (as_video or any(entry.suffix.lower() not in IMAGE_SUFFIXES for entry in out.iterdir())):
        raise Refused(f"{out} is a folder with more than frames in it: --overwrite does not touch it.")
    if not as_video and not out.is_dir():
        raise Refused(f"{out} is a file; frames go into a folder.")
    if not as_video and here.is_relative_to(out.resolve()):
        raise Refused(f"{out} holds the input: name another output.")


def _writer(
    clip: Source, building: Path, reading: Reading, size: tuple[int, int], codec: str, wish: Wish
) -> VideoWriter | FolderWriter:
    if codec == "png":
        names = tuple(file.stem for file in clip.files) if clip.kind == "frames" else ()
        return FolderWriter(building, names if len(set(names)) == len(names) else ())
    rate = wish.fps or reading.rate
    assert rate is not None
    return VideoWriter(
        building, clip.path if clip.kind == "video" else None, reading, size, codec=codec, rate=rate, crf=wish.crf,
        audio=wish.audio,
    )  # fmt: skip


def _put(building: Path, out: Path) -> None:
    """The finished work takes its name; a folder that it replaces goes only then."""
    if not out.is_dir():
        building.replace(out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(old)
    building.rename(out)
    shutil.rmtree(old)


def _remove(building: Path) -> None:
    if building.is_dir():
        shutil.rmtree(building, ignore_errors=True)
    else:
        building.unlink(missing_ok=True)
