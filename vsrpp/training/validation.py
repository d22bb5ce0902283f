"""Validation: scores the EMA weights on held-out frames, against bicubic, by the field's protocol (`vsrpp.metrics`)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from vsrpp import metrics, resize
from vsrpp.config.frame_schedule import frames_at
from vsrpp.data import ValClip
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.inference.chunks import upscale_frames
from vsrpp.inference.window import CHUNK_FRAMES, validated_window, validation_overlap
from vsrpp.paths import RunPaths
from vsrpp.training import foreign_metrics, recurrence
from vsrpp.training.side_products import SideProducts

PICTURE_CLIPS = 4
"""Maximum number of clips with pictures: they are for viewing, and all of them are uploaded."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One validation. The controller's inputs are on every rank, the rest on rank 0 only."""

    step: int
    quality: float
    sharpness: float
    means: dict[str, float] = field(default_factory=dict)
    """Over frames, then clips: psnr_y, ssim_y, quality, sharpness, and bicubic_psnr_y, bicubic_ssim_y, bicubic_quality;
    tdiff_y and bicubic_tdiff_y (`metrics.temporal_difference_y`) unless every clip is a single frame."""
    clips: list[dict[str, Any]] = field(default_factory=list)
    images: list[dict[str, Any]] = field(default_factory=list)
    """[{path, profile, clip, frame, width, height}], paths relative to the run folder: bicubic | output | ground truth,
    side by side; the profile shows one pixel row of each over time."""
    window: int | None = None
    """The longest clip that the network read at once; None under validation version 1, which does not record it."""

    @property
    def figures(self) -> dict[str, float]:
        """The means under their metric names."""
        return {f"val/{name}": value for name, value in self.means.items()}


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one clip, sent to rank 0 by the rank that computed them."""

    number: int
    row: dict[str, Any]
    figures: dict[str, float]
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame and a profile of a clip as encoded PNG files, not yet written."""

    clip: str
    frame: int
    width: int
    height: int
    png: bytes
    profile_png: bytes

    def keep(self, run_dir: Path, folder: Path) -> dict[str, Any]:
        """Write both files; returns their entry for `Scores.images`."""
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in self.clip)
        path, profile = folder / f"{name}.png", folder / f"{name}_profile.png"
        path.write_bytes(self.png)
        profile.write_bytes(self.profile_png)
        return {
            "profile": str(profile.relative_to(run_dir)), "path": str(path.relative_to(run_dir)),
            "clip": self.clip, "frame": self.frame, "width": self.width, "height": self.height,
        }  # fmt: skip


class Validator:
    """Keeps the bicubic baseline of the validation clips, which never changes, and scores the network.

    Every rank of a group scores the clips rank, rank + world size, …: whole clips, so that a result does not depend on
    the rank that computed it. A rank without a clip has nothing to do.
    """

    def __init__(
        self, clips: Sequence[ValClip], scale: int, device: torch.device, precision: str, group: ProcessGroup,
        paths: RunPaths | None = None, metrics_: foreign_metrics.Metrics | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """`paths`: the run folder, for the pictures; None on ranks above 0. `metrics_`: those of plug-ins.

        `run_config`: decides the rules (`validation_version`); None means version 1.
        """
        self.clips = clips
        self._scale = scale
        self._device = device
        self._precision = precision
        self._group = group
        self._paths = paths
        self.side_products = SideProducts()
        """Where a failure to write pictures is reported."""
        self._metrics = metrics_ or {}
        self._run_config = run_config or {}
        self._overlap = validation_overlap(self._run_config)
        self._by_version_1 = self._run_config.get("validation_version", 1) == 1
        self._bicubic: dict[int, dict[str, float]] = {}

    def run(
        self, model: nn.Module, step: int, *, pictures: bool, between: Callable[[], None] = lambda: None
    ) -> Scores:  # fmt: skip
        """Score `model` on every clip, all ranks together; with `pictures`, rank 0 writes some of the outputs."""
        scored = self.score(model, pictures=pictures, between=between, step=step)
        means = _means([clip.figures for clip in scored])
        quality, sharpness = self._group.broadcast((means.get("quality", 0.0), means.get("sharpness", 0.0)))
        if not self._group.is_rank_0:
            return Scores(step, quality, sharpness)
        window = None if self._by_version_1 else validated_window(self._run_config)
        rows = [clip.row for clip in scored]
        return Scores(step, quality, sharpness, means, rows, self._keep_pictures(scored, step), window)

    def _keep_pictures(self, scored: Sequence[Scored], step: int) -> list[dict[str, Any]]:
        if self._paths is None:
            return []
        folder, kept = self._paths.images / f"step_{step:07d}", []
        with self.side_products.writing("pictures"):
            for clip in scored:
                if clip.picture is not None:
                    kept.append(clip.picture.keep(self._paths.root, folder))
        return kept

    def score(
        self, model: nn.Module, *, pictures: bool, between: Callable[[], None] = lambda: None, step: int = 0
    ) -> list[Scored]:  # fmt: skip
        """Score `model` on this rank's clips; returns all clips in order on rank 0, none elsewhere.

        All ranks must call it.
        `between` is called after every clip (to show that the run is alive). Uses no random generator.
        """
        own = []
        for number in range(self._group.rank, len(self.clips), self._group.world_size):
            own.append(self._score(model, number, step, picture=pictures and number < PICTURE_CLIPS))
            between()
        return sorted((clip for share in self._group.gather(own) for clip in share), key=lambda clip: clip.number)

    def _score(self, model: nn.Module, number: int, step: int, *, picture: bool) -> Scored:
        clip = self.clips[number]
        lr, gt = clip.lr(), clip.gt()
        output = upscale_frames(
            model, lr, device=self._device, chunk_frames=CHUNK_FRAMES, overlap=self._overlap, precision=self._precision
        )
        scored = clip.scored
        if number not in self._bicubic:
            self._bicubic[number] = self._figures(resize.resize_u8(lr, self._scale), gt, scored)
        figures = {**self._figures(output, gt, scored), "sharpness": sharpness_ratio(output[scored], gt[scored])}
        figures |= {f"bicubic_{name}": value for name, value in self._bicubic[number].items()}
        figures |= self._stability(model, clip, step)
        row = {"name": clip.name, "frames": len(scored), **figures}
        return Scored(number, row, figures, self._picture(clip, lr, output, gt) if picture else None)

    def _stability(self, model: nn.Module, clip: ValClip, step: int) -> dict[str, float]:
        if self._by_version_1:
            return {}
        frames = frames_at(self._run_config, step - 1)  # of the step that the weights come from
        return recurrence.measure(model, clip, frames, self._scale, device=self._device, precision=self._precision)

    def _figures(self, frames: NDArray[np.uint8], gt: NDArray[np.uint8], scored: list[int]) -> dict[str, float]:
        return {**_figures(frames, gt, scored), **foreign_metrics.scored(self._metrics, frames, gt, scored)}

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


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def sharpness_ratio(output: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Ratio of mean absolute luma gradients, output to ground truth: 1 is equally sharp, bicubic ×4 about 0.6.

    Frames (T, H, W, 3) uint8. A ground truth without any edge gives 1.
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
    """Metrics of a whole clip; all but tdiff_y, which compares successive frames, use only the `scored` frames."""
    figures = metrics.evaluate_frames(frames[scored], gt[scored], rgb=False)
    tdiff_y = metrics.temporal_difference_y(frames, gt)
    steady = {} if tdiff_y is None else {"tdiff_y": tdiff_y}
    return {**figures, **steady, "quality": metrics.quality(figures["psnr_y"], figures["ssim_y"])}


def _means(clips: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the clips that have it: a single frame has no tdiff_y."""
    names = {name: None for clip in clips for name in clip}
    return {name: metrics.mean_over_clips([{name: c[name]} for c in clips if name in c])[name] for name in names}
