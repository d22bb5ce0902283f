"""Upscales a clip of any length: streams it through a network in bounded memory and writes the output atomically."""

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
import numpy as np
import torch
from numpy.typing import NDArray

from vsrpp.data.readers import Source
from vsrpp.data.sources import find_plain
from vsrpp.inference import messages
from vsrpp.inference.chunks import StreamBounds, upscale_stream
from vsrpp.media import messages as media_messages
from vsrpp.media.containers import CONTAINERS, codec_for, is_video_target
from vsrpp.media.encoder import CODECS, Encoding, FrameEncoder
from vsrpp.media.encoding_plan import plan_encoding
from vsrpp.media.folder_writer import FolderWriter, folder_turn
from vsrpp.media.images import images_size, iter_images
from vsrpp.media.inputs import is_video
from vsrpp.media.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from vsrpp.media.video_reader import OpenClip, open_video
from vsrpp.media.video_writer import VideoWriter, trial
from vsrpp.models import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleOptions:
    """The options of an upscaling, apart from input and output."""

    bounds: StreamBounds
    codec: str | None = None
    """h264, hevc, av1, vp9 or ffv1; None chooses by the output's suffix and the input's depth."""
    crf: int | None = None
    pix_fmt: str | None = None
    """FFmpeg's name of the output's pixel format; None: 4:2:0 with the input's depth, RGB for ffv1."""
    fps: Fraction | None = None
    """Frames per second of a video made from a folder of frames. An input video keeps its own."""
    audio: bool = True
    overwrite: bool = False
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class UpscaleProgress:
    frames: int
    expected: int | None
    """As stated by the input's container, which may be wrong."""
    elapsed_s: float

    @property
    def eta_s(self) -> float | None:
        if not self.expected or not self.frames:
            return None
        return max(0.0, self.elapsed_s / self.frames * (self.expected - self.frames))


def upscale(
    model: Network, source: str, target: str, options: UpscaleOptions, *, device: torch.device,
    on_progress: Callable[[UpscaleProgress], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Upscale one video or folder of frames into `target`; returns frames, sizes, seconds, codec and notes.

    A `target` with a video suffix becomes a video, anything else a folder. The output is written to a hidden file or folder
    next to it, renamed when complete, and removed if anything fails. Raises NotFound, Refused or VsrppError.
    """
    clip, out = _input(source), Path(target).expanduser().absolute()
    as_video = is_video_target(target)
    _check_target(clip, out, options, as_video)
    building = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    opened = _open(clip)
    size = (opened.width * model.scale, opened.height * model.scale)
    started, frames_done = time.monotonic(), 0
    out.parent.mkdir(parents=True, exist_ok=True)
    writer: _VideoFile | FolderWriter | None = None
    codec = "png"
    try:
        if as_video:
            encoding = plan_encoding(
                out, opened, size, source=clip.path if clip.kind == "video" else None, codec=options.codec,
                crf=options.crf, pix_fmt=options.pix_fmt, rate=options.fps,
            )  # fmt: skip
            codec = encoding.codec
            writer = _VideoFile(clip, building, opened, encoding, audio=options.audio)
        else:
            names = tuple(file.stem for file in clip.files) if clip.kind == "frames" else ()
            names = names if len(set(names)) == len(names) else ()
            writer = FolderWriter(building, names, turn=folder_turn(opened))
        for frame in upscale_stream(
            model, opened.frames, device=device, bounds=options.bounds, precision=options.precision
        ):
            writer.write(frame)
            frames_done += 1
            on_progress(UpscaleProgress(frames_done, opened.expected, time.monotonic() - started))
        if not frames_done:
            raise media_messages.NO_DECODABLE_FRAME(path=clip.path)
        writer.finish()
        if isinstance(writer, _VideoFile):
            opened.notes += writer.notes
        _put(building, out)
    except torch.OutOfMemoryError:
        raise messages.OUT_OF_MEMORY(
            tile=options.bounds.tile, chunk=options.bounds.chunk_frames,
            less_tile=max(64, (options.bounds.tile or 512) // 2), less_chunk=max(4, options.bounds.chunk_frames // 2),
        ) from None  # fmt: skip
    except OSError as error:
        raise messages.NOT_WRITTEN(path=out, cause=error) from None
    finally:
        if writer is not None:
            with contextlib.suppress(av.error.FFmpegError):  # the incomplete file is removed below
                writer.close()
        if opened.container is not None:
            opened.container.close()
        _remove(building)
    return {
        "input": str(clip.path), "output": str(out), "frames": frames_done, "scale": model.scale,
        "input_size": [opened.width, opened.height], "output_size": list(size), "codec": codec,
        "seconds": time.monotonic() - started, "notes": [*opened.notes, *opened.problems],
    }  # fmt: skip


def _input(path: str) -> Source:
    file = Path(path).expanduser().absolute()
    if file.is_file() and file.suffix.lower() not in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES):
        if not is_video(file):
            raise media_messages.NOT_A_VIDEO(path=file)
        return Source(file.stem, "video", file, (file,))
    kind, sources = find_plain(path)
    if kind not in ("video", "frames") or len(sources) != 1:
        raise messages.SEVERAL_CLIPS(path=path, clips=len(sources))
    return sources[0]


def _open(clip: Source) -> OpenClip:
    if clip.kind == "video":
        return open_video(clip.path, deep=False)
    width, height = images_size(clip.files)
    return OpenClip(width, height, iter_images(clip.files), len(clip.files))


def _check_target(clip: Source, out: Path, options: UpscaleOptions, as_video: bool) -> None:
    source_path = clip.path.resolve()
    if out.resolve() == source_path:
        raise messages.TARGET_IS_INPUT(path=out)
    if not as_video and options.pix_fmt:
        raise media_messages.PIX_FMT_OF_FRAMES()
    if not as_video and options.codec:
        raise media_messages.NOT_A_VIDEO_NAME(path=out, suffixes=" ".join(CONTAINERS))
    if as_video and clip.kind == "frames" and options.fps is None:
        raise messages.NO_FRAME_RATE()
    if options.fps is not None and clip.kind == "video":
        raise messages.FPS_OF_VIDEO()
    codec = codec_for(out, options.codec) if as_video else "png"
    if options.crf is not None and (codec not in CODECS or not CODECS[codec].most_crf):
        raise messages.CRF_WITHOUT_EFFECT(output=codec)
    if not out.exists():
        return
    if not options.overwrite:
        raise messages.TARGET_EXISTS(path=out)
    if out.is_dir() and (as_video or any(entry.suffix.lower() not in IMAGE_SUFFIXES for entry in out.iterdir())):
        raise messages.TARGET_HOLDS_OTHERS(path=out)
    if not as_video and not out.is_dir():
        raise messages.TARGET_IS_FILE(path=out)
    if not as_video and source_path.is_relative_to(out.resolve()):
        raise messages.TARGET_HOLDS_INPUT(path=out)


class _VideoFile:
    """Encodes frames into a file."""

    def __init__(self, clip: Source, building: Path, opened: OpenClip, encoding: Encoding, *, audio: bool) -> None:
        source = clip.path if clip.kind == "video" else None
        trial(building, source, encoding, audio=audio)
        self._stamps, self._encoding = opened.stamps, encoding
        self._encoder, self._writer = FrameEncoder(encoding), VideoWriter(building, source, encoding, audio=audio)
        self._written = 0

    @property
    def notes(self) -> list[str]:
        return self._writer.notes

    def write(self, frame: NDArray[np.uint8]) -> None:
        stamp = self._stamps.pop(0) if self._stamps else (self._written, 0)
        for packet in self._encoder.encode(frame, stamp):
            self._writer.write(packet)
        self._written += 1

    def finish(self) -> None:
        for packet in self._encoder.flush():
            self._writer.write(packet)
        self._writer.finish()

    def close(self) -> None:
        self._writer.close()


def _put(building: Path, out: Path) -> None:
    """Rename the finished output into place; a folder it replaces is deleted only afterwards."""
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
