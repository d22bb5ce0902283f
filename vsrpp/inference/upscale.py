"""Upscales a clip of any length: streams it through a network in bounded memory, in segments that survive an interruption.

A thread decodes, one encodes, and the network runs between them. What can be refused is refused before the network runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from vsrpp.data.readers import Source
from vsrpp.data.sources import find_plain
from vsrpp.errors import out_of_memory
from vsrpp.inference import messages
from vsrpp.inference.batch import SINGLE
from vsrpp.inference.chunks import StreamBounds, upscale_stream
from vsrpp.inference.part import Job, Part, fingerprint, part_of
from vsrpp.inference.pipeline import ReadAhead, WriteBehind
from vsrpp.inference.progress import ProgressMeter, UpscaleProgress
from vsrpp.inference.requirements import Requirements, check_requirements, less
from vsrpp.inference.segments import FolderSegments, Frame, Segments, Stamp, VideoSegments, segment_frames
from vsrpp.media import messages as media_messages
from vsrpp.media.cause import cause_of
from vsrpp.media.containers import CONTAINERS, codec_for, is_video_target
from vsrpp.media.encoder import CODECS, Encoding
from vsrpp.media.encoding_plan import plan_encoding
from vsrpp.media.folder_writer import folder_turn
from vsrpp.media.images import open_images
from vsrpp.media.suffixes import IMAGE_SUFFIXES
from vsrpp.media.video_reader import OpenClip, open_video
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
    deinterlace: bool = False
    """Make whole frames of the fields of interlaced video."""
    overwrite: bool = False
    """Replace an existing output, and start over where an unfinished one is not resumed."""
    resume: bool = False
    """Go on with an unfinished output, if there is one."""
    strict: bool = False
    """Refuse an input that is damaged or cut off."""
    precision: str = "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleEars:
    """Whom an upscaling tells how it goes."""

    on_start: Callable[[Requirements, int], None] = lambda _needs, _frames: None
    """Before the network runs: what it will take, and how many frames were finished earlier."""
    on_progress: Callable[[UpscaleProgress], None] = lambda _: None
    on_kept: Callable[[int], None] = lambda _: None
    """After a failure or an interruption: the number of finished frames that are kept for a resume."""


def upscale(
    model: Network, source: str, target: str, options: UpscaleOptions, *, device: torch.device,
    ears: UpscaleEars | None = None, clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:  # fmt: skip
    """Upscale one video or folder of frames into `target`; returns frames, sizes, seconds, codec and notes.

    A `target` with a video suffix becomes a video, anything else a folder. Finished segments are kept in a hidden folder
    next to it until the output is complete; an interruption leaves them there. Raises NotFound, Refused or VsrppError.
    """
    ears = ears or UpscaleEars()
    clip, out = _input(source), Path(target).expanduser().absolute()
    as_video = is_video_target(target)
    _check_target(clip, out, options, as_video)
    started = clock()
    opened = _open(clip, options)
    size = (opened.width * model.scale, opened.height * model.scale)
    encoding = _encoding(clip, out, opened, size, options) if as_video else None
    job = _job(model, clip, encoding, options, device)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part_of(out, job, resume=options.resume, discard=options.overwrite) as part:
            try:
                segments = _segments(part, clip, opened, encoding, options)
                needs = check_requirements(model, opened, out, options.bounds, device, encoding, segments.frames)
                ears.on_start(needs, segments.frames)
                frames = _run(model, opened, segments, options, device, ears, clock)
                if not frames:
                    raise media_messages.NO_DECODABLE_FRAME(path=clip.path)
                _put(segments.join(), out)
                part.remove()
            except BaseException:
                if kept := part.frames():
                    ears.on_kept(kept)
                raise
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise less(model, opened, options.bounds, device) from None
    except OSError as error:
        raise messages.NOT_WRITTEN(path=out, cause=cause_of(error)) from None
    finally:
        opened.close()
    written = encoding.size if encoding else size[::-1] if opened.rotation % 180 else size
    return {
        "input": str(clip.path), "output": str(out), "frames": frames, "resumed_at": segments.frames,
        "scale": model.scale, "input_size": [opened.width, opened.height], "output_size": list(written),
        "codec": encoding.codec if encoding else "png", "seconds": clock() - started,
        "missing_frames": opened.missing, "notes": list(dict.fromkeys([*opened.notes, *segments.notes, *opened.problems])),
    }  # fmt: skip


def _run(
    model: Network, opened: OpenClip, segments: Segments, options: UpscaleOptions, device: torch.device,
    ears: UpscaleEars, clock: Callable[[], float],
) -> int:  # fmt: skip
    """Upscale the frames that follow the finished segments; returns the number of all frames."""
    bounds, start = options.bounds, segments.frames
    meter = ProgressMeter(
        bounds, (opened.width, opened.height), opened.expected, start, on_progress=ears.on_progress, clock=clock
    )
    meter.show()
    stamps: deque[Stamp] = deque()
    frames = start
    with (
        ReadAhead(_from(opened, bounds.reads_from(start)), bounds.chunk_frames) as source,
        WriteBehind[tuple[Frame, Stamp]](lambda item: segments.write(*item), bounds.chunk_frames) as writer,
    ):

        def read() -> Iterator[Frame]:
            for number, frame, stamp in source:
                if number >= start:
                    stamps.append(stamp)
                meter.frame_read()
                yield frame

        for frame in upscale_stream(
            model, read(), device=device, bounds=bounds, precision=options.precision, start=start,
            on_work=meter.tile_done,
        ):  # fmt: skip
            writer.put((frame, stamps.popleft()))
            frames += 1
            meter.frame_done()
        writer.finish()
    return frames


def _from(opened: OpenClip, first: int) -> Iterator[tuple[int, Frame, Stamp]]:
    """The frames from number `first` on, with their time stamps; those before are decoded, too, for they cannot be sought."""
    for number, frame in enumerate(opened.frames):
        stamp = opened.stamps.pop(0) if opened.stamps else (number, 0)
        if number >= first:
            yield number, frame, stamp


def _input(path: str) -> Source:
    kind, sources = find_plain(path)
    if kind not in SINGLE:
        raise messages.SEVERAL_CLIPS(path=path, clips=len(sources))
    return sources[0]


def _open(clip: Source, options: UpscaleOptions) -> OpenClip:
    if clip.kind == "video":
        return open_video(clip.path, deinterlace=options.deinterlace, strict=options.strict)
    return open_images(clip.files)


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


def _encoding(clip: Source, out: Path, opened: OpenClip, size: tuple[int, int], options: UpscaleOptions) -> Encoding:
    return plan_encoding(
        out, opened, size, source=clip.path if clip.kind == "video" else None, codec=options.codec, crf=options.crf,
        pix_fmt=options.pix_fmt, rate=options.fps,
    )  # fmt: skip


def _segments(
    part: Part, clip: Source, opened: OpenClip, encoding: Encoding | None, options: UpscaleOptions
) -> Segments:
    length = segment_frames(options.bounds.chunk_frames)
    if encoding is None:
        names = tuple(file.stem for file in clip.files) if clip.kind == "frames" else ()
        names = names if len(set(names)) == len(names) else ()
        return FolderSegments(part, length, names, turn=folder_turn(opened))
    source = clip.path if clip.kind == "video" else None
    return VideoSegments(part, length, source, encoding, audio=options.audio)


def _job(model: Network, clip: Source, encoding: Encoding | None, options: UpscaleOptions, device: torch.device) -> Job:
    """What determines the output's bytes, apart from the numbers of threads."""
    weights = hashlib.sha256(json.dumps(model.facts(), sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode() + np.ascontiguousarray(tensor.detach().cpu()).tobytes())
    output = {"codec": "png"}
    if encoding is not None:
        output = {
            "codec": encoding.codec, "pix_fmt": encoding.pix_fmt, "fps": str(encoding.rate),
            "encoder": f"FFmpeg {av.ffmpeg_version_info}",
            **{name: value for name, value in encoding.options.items() if name == "crf"},
        }  # fmt: skip
    return {
        "input": fingerprint(clip.files), "checkpoint": weights.hexdigest(), "scale": model.scale, **output,
        **asdict(options.bounds), "audio": options.audio, "deinterlace": options.deinterlace,
        "device": device.type, "precision": options.precision,
    }  # fmt: skip


def _put(whole: Path, out: Path) -> None:
    """Rename the finished output into place; a folder it replaces is deleted only afterwards."""
    if not out.is_dir():
        whole.replace(out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(old)
    whole.rename(out)
    shutil.rmtree(old)
