"""Small real datasets in the field's layouts, cut from the sample clips."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.support.clips import piece, write_frames
from vsrpp.data.degradations import bd
from vsrpp.resize import resize_u8

SHAPE = (8, 64, 96)


def clip_frames(number: int, frames: int = SHAPE[0], height: int = SHAPE[1], width: int = SHAPE[2]) -> np.ndarray:
    """Frames of the sample clip that are unique to this number."""
    return piece(frames, height, width, start=number * 10)


def make_reds(root: Path, names: tuple[str, ...] = ("000", "001", "002", "011", "240"), *, paired: bool = True) -> Path:
    """train_sharp and train_sharp_bicubic/X4, including two clips of REDS4."""
    for number, name in enumerate(names):
        frames = clip_frames(number)
        write_frames(root / "train_sharp" / name, frames)
        if paired:
            write_frames(root / "train_sharp_bicubic" / "X4" / name, resize_u8(frames, 1 / 4))
    return root


def make_vimeo(root: Path, train: int = 3, test: int = 2) -> Path:
    """sequences/00001/0001/im1.png … im7.png with both lists."""
    names = [f"0000{1 + number // 2}/000{1 + number % 2}" for number in range(train + test)]
    for number, name in enumerate(names):
        write_frames(root / "sequences" / name, clip_frames(number, 7), "im{}.png")
        folder = root / "sequences" / name
        for place in range(7, 0, -1):
            (folder / f"im{place - 1}.png").rename(folder / f"im{place}.png")
    (root / "sep_trainlist.txt").write_text("\n".join(names[:train]) + "\n")
    (root / "sep_testlist.txt").write_text("\n".join(names[train:]) + "\n\n")
    return root


def make_vid4(root: Path) -> Path:
    """GT, BIx4 and BDx4 of the four clips, with different lengths and sizes."""
    for number, name in enumerate(("calendar", "city", "foliage", "walk")):
        frames = clip_frames(number, 14 + number, 64 + 8 * (number % 2), 96)
        write_frames(root / "GT" / name, frames)
        write_frames(root / "BIx4" / name, resize_u8(frames, 1 / 4))
        write_frames(root / "BDx4" / name, bd(frames))
    return root


def make_pairs(root: Path, clips: int = 5, scale: int = 4) -> Path:
    """GT and LQ folders; the LQ frames are darker than a reduction of the GT, so that their origin is visible."""
    for number in range(clips):
        frames = clip_frames(number)
        write_frames(root / "GT" / f"{number:03d}", frames)
        write_frames(root / "LQ" / f"{number:03d}", resize_u8(frames, 1 / scale) // 2)
    return root


def make_clips(root: Path, clips: int = 5) -> Path:
    """A plain folder of clips."""
    for number in range(clips):
        write_frames(root / f"{number:03d}", clip_frames(number))
    return root


def without(root: Path, *parts: str) -> Path:
    """Remove parts of a dataset."""
    for part in parts:
        path = root / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return root
