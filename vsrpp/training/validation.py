"""Validation: the EMA weights on frames never trained on, beside bicubic, by the field's protocol (`vsrpp.metrics`)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from vsrpp import metrics, resize
from vsrpp.data import ValClip
from vsrpp.distributed.process_group import Group
from vsrpp.inference.chunks import upscale_frames

CHUNK_FRAMES = 16
OVERLAP = 4
PICTURE_CLIPS = 4
"""Pictures are kept of at most this many clips: they are for looking at, and every one is uploaded."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The figures of one validation. Means are over frames, then clips."""

    means: dict[str, float]
    """psnr_y, ssim_y, quality, sharpness, and bicubic_psnr_y, bicubic_ssim_y, bicubic_quality; tdiff_y and bicubic_tdiff_y
    (`metrics.temporal_difference_y`) unless every clip is a single frame."""
    clips: list[dict[str, Any]]
    images: list[dict[str, Any]]
    """[{path, profile, clip, frame, width, height}], paths relative to the run folder: bicubic | output | truth, side by
    side; the profile is one row of pixels of each over time."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring one clip gave; sent to rank 0 by the rank that did it."""

    number: int
    row: dict[str, Any]
    figures: dict[str, float]
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame and a profile of a clip as PNG files that are not written yet."""

    clip: str
    frame: int
    width: int
    height: int
    png: bytes
    profile_png: bytes

    def keep(self, run_dir: Path, folder: Path) -> dict[str, Any]:
        """Write both files; what `Validation.images` says of them."""
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.clip)
        path, profile = folder / f"{name}.png", folder / f"{name}_profile.png"
        path.write_bytes(self.png)
        profile.write_bytes(self.profile_png)
        return {
            "profile": str(profile.relative_to(run_dir)), "path": str(path.relative_to(run_dir)),
            "clip": self.clip, "frame": self.frame, "width": self.width, "height": self.height,
        }  # fmt: skip


class Validator:
    """Keeps the bicubic baseline of the validation clips, which never changes, and scores the network against them.

    In a group every rank scores the clips number rank, rank + world size, …: whole clips, so that a figure does not
    depend on who made it, and a rank without one has nothing to do.
    """

    def __init__(
        self, clips: Sequence[ValClip], scale: int, device: torch.device, precision: str, group: Group | None = None
    ) -> None:  # fmt: skip
        self.clips = clips
        self._scale = scale
        self._device = device
        self._precision = precision
        self._group = group or Group.alone()
        self._bicubic: dict[int, dict[str, float]] = {}

    def run(
        self, model: nn.Module, step: int, run_dir: Path, images: Path | None, between: Callable[[], None]
    ) -> Validation:
        """Score `model` on every clip. No pictures if `images` is None; they are written here, on rank 0."""
        return _summed_up(self.score(model, pictures=images is not None, between=between), step, run_dir, images)

    def score(
        self, model: nn.Module, *, pictures: bool, between: Callable[[], None] = lambda: None
    ) -> list[Scored]:  # fmt: skip
        """Score `model` on this rank's clips; all clips in order on rank 0, none elsewhere. All ranks call it together.

        `between` is called after every clip (to show that the run lives). Never touches a random generator.
        """
        own = []
        for number in range(self._group.rank, len(self.clips), self._group.world_size):
            own.append(self._score(model, number, picture=pictures and number < PICTURE_CLIPS))
            between()
        return sorted((one for share in self._group.gathered(own) for one in share), key=lambda one: one.number)

    def _score(self, model: nn.Module, number: int, *, picture: bool) -> Scored:
        clip = self.clips[number]
        lr, gt = clip.lr(), clip.gt()
        output = upscale_frames(
            model, lr, device=self._device, chunk_frames=CHUNK_FRAMES, overlap=OVERLAP, precision=self._precision
        )
        scored = clip.scored
        if number not in self._bicubic:
            self._bicubic[number] = _figures(resize.resize_u8(lr, self._scale), gt, scored)
        figures = {**_figures(output, gt, scored), "sharpness": sharpness_ratio(output[scored], gt[scored])}
        figures |= {f"bicubic_{name}": value for name, value in self._bicubic[number].items()}
        row = {"name": clip.name, "frames": len(scored), **figures}
        return Scored(number, row, figures, self._picture(clip, lr, output, gt) if picture else None)

    def _picture(
        self, clip: ValClip, lr: NDArray[np.uint8], output: NDArray[np.uint8], gt: NDArray[np.uint8]
    ) -> Picture:  # fmt: skip
        frame = clip.frames // 2
        clips = [resize.resize_u8(lr, self._scale), output, gt]
        height, width = gt.shape[1:3]
        return Picture(
            clip.name, frame, width, height, _png(np.concatenate([shown[frame] for shown in clips], axis=1)),
            _png(metrics.temporal_profile(clips)),
        )  # fmt: skip


def _summed_up(scored: Sequence[Scored], step: int, run_dir: Path, images: Path | None) -> Validation:
    """The validation that the clips' scores make; their pictures are written to `images`, unless it is None."""
    folder = images / f"step_{step:07d}" if images is not None else None
    pictures = [one.picture.keep(run_dir, folder) for one in scored if one.picture is not None and folder is not None]
    return Validation(_means([one.figures for one in scored]), [one.row for one in scored], pictures)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def sharpness_ratio(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean absolute gradient of the output's luma over the truth's; 1 is as sharp as the truth, bicubic ×4 is near 0.6.

    Frames (T, H, W, 3) uint8. A truth without any edge counts as 1.
    """
    truth_edges = _edges(truth)
    return _edges(output) / truth_edges if truth_edges > 0 else 1.0


def _edges(frames: NDArray[np.uint8]) -> float:
    total = 0.0
    for frame in frames:
        y = metrics.to_y(frame)
        total += float(np.abs(np.diff(y, axis=0)).mean() + np.abs(np.diff(y, axis=1)).mean())
    return total / len(frames)


def _figures(frames: NDArray[np.uint8], gt: NDArray[np.uint8], scored: list[int]) -> dict[str, float]:
    """Of a whole clip; all but tdiff_y, which looks from frame to frame, of the `scored` frames alone."""
    figures = metrics.evaluate_frames(frames[scored], gt[scored], rgb=False)
    tdiff_y = metrics.temporal_difference_y(frames, gt)
    steady = {} if tdiff_y is None else {"tdiff_y": tdiff_y}
    return {**figures, **steady, "quality": metrics.quality(figures["psnr_y"], figures["ssim_y"])}


def _means(clips: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the clips that have it: a single frame has no tdiff_y."""
    names = {name: None for clip in clips for name in clip}
    return {name: metrics.mean_over_clips([{name: c[name]} for c in clips if name in c])[name] for name in names}
