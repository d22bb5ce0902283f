"""Real clips for tests, and small files made from their frames."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from vsrpp.data import sample_clip
from vsrpp.media import READER_VERSION
from vsrpp.media.video_reader import iter_video


def bikes() -> Path:
    """The clip bikes.mp4: 640x272, 250 frames."""
    return sample_clip("bikes.mp4")


@lru_cache(maxsize=1)
def bikes_frames() -> np.ndarray:
    """All frames of the clip, (250, 272, 640, 3) uint8, read-only; by reader_version 1, as those that references were made of."""
    frames = np.stack(list(iter_video(bikes(), version=1)))
    frames.setflags(write=False)
    return frames


@lru_cache(maxsize=1)
def bikes_reference() -> dict[str, Any]:
    """BasicSR's metrics of the bicubic baseline on four of its frames."""
    return json.loads((Path(__file__).resolve().parents[1] / "data" / "bikes_bicubic_x4.json").read_text())


def piece(frames: int, height: int = 64, width: int = 96, start: int = 0) -> np.ndarray:
    """A small section of the clip, (frames, height, width, 3) uint8."""
    return bikes_frames()[start : start + frames, 100 : 100 + height, 200 : 200 + width]


def write_video(path: Path, frames: np.ndarray, *, codec: str = "ffv1") -> Path:
    """A video file; ffv1 in .mkv is lossless, libx264 in .mp4 is common."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def write_frames(folder: Path, frames: np.ndarray, name: str = "{:08d}.png") -> Path:
    """A folder of frames, numbered from 0."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(number))
    return folder


def run_config(data: Path | str, **changes: Any) -> dict[str, Any]:
    """A small run config with the keys that `vsrpp.data` reads."""
    config = {
        "data": str(data),
        "val_data": None,
        "val_fraction": None,
        "scale": 4,
        "num_frames": 5,
        "crop_size": 32,
        "batch_size": 2,
        "seed": 0,
        "degradation": "bicubic",
        "reader_version": READER_VERSION,
        "decode_cache_gib": 1.0,
    }
    return config | changes


def tiny_clip(folder: Path, *, frames: int = 24, width: int = 96, height: int = 64) -> Path:
    """A short, small video cut from the sample clip."""
    return write_video(folder / "tiny.mkv", piece(frames, height, width))
