"""Validation: scores the EMA weights on held-out frames, against bicubic, by the field's protocol (`vsrpp.metrics`)."""

from __future__ import annotations

import io
import math
from array import array
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
from vsrpp.data import ValClip
from vsrpp.distributed.process_group import ProcessGroup
from vsrpp.frame_schedule import frames_at
from vsrpp.inference.chunks import chunk_plan, upscale_chunk
from vsrpp.inference.window import CHUNK_FRAMES, validated_window, validation_overlap
from vsrpp.metrics import ClipScorer, FramePair, FrameTable, ProfileLines
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
    frames: list[FrameTable] = field(default_factory=list)
    """Of each of `clips` the values of its scored frames."""
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
    frames: FrameTable
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
        return Scores(
            step, quality, sharpness, means, [clip.row for clip in scored], self._keep_pictures(scored, step),
            [clip.frames for clip in scored], window,
        )  # fmt: skip

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
        self, model: nn.Module, *, pictures: bool, between: Callable[[], None] = lambda: None, step: int = 1
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
        """Chunk by chunk: memory does not depend on the clip's length."""
        clip, baseline = self.clips[number], None if number in self._bicubic else _Figures(self._metrics)
        figures, drawing = _Figures(self._metrics, sharpness=True), _Drawing(clip) if picture else None
        compared, scored = set(clip.compared), set(clip.scored)
        for chunk in chunk_plan(clip.frames, CHUNK_FRAMES, self._overlap):
            frames = sorted(compared.intersection(range(chunk.keep_start, chunk.keep_stop)))
            if not frames:
                continue
            lr = clip.lr(chunk.read_start, chunk.read_stop)
            output = upscale_chunk(model, lr, chunk, device=self._device, precision=self._precision)
            for frame in frames:
                upscaled, truth = output[frame - chunk.keep_start], clip.gt(frame, frame + 1)[0]
                figures.add(FramePair(frame, upscaled, truth), scored=frame in scored)
                if baseline is not None or drawing is not None:
                    enlarged = resize.resize_u8(lr[frame - chunk.read_start], self._scale)
                    if baseline is not None:
                        baseline.add(FramePair(frame, enlarged, truth), scored=frame in scored)
                    if drawing is not None:
                        drawing.add(frame, [enlarged, upscaled, truth])
        if baseline is not None:
            self._bicubic[number] = baseline.means()
        means = {**figures.means(), **{f"bicubic_{name}": value for name, value in self._bicubic[number].items()}}
        means |= self._stability(model, clip, step)
        row = {"name": clip.name, "frames": len(scored), **means}
        return Scored(number, row, means, figures.frames(), drawing.picture() if drawing is not None else None)

    def _stability(self, model: nn.Module, clip: ValClip, step: int) -> dict[str, float]:
        if self._by_version_1:
            return {}
        frames = frames_at(self._run_config, step - 1)  # of the step that the weights come from
        return recurrence.measure(model, clip, frames, self._scale, device=self._device, precision=self._precision)


def largest_chunk(clip: ValClip, run_config: Mapping[str, Any]) -> int:
    """The most frames of a clip that are in memory at once."""
    chunks = chunk_plan(clip.frames, CHUNK_FRAMES, validation_overlap(run_config))
    return max((chunk.read_stop - chunk.read_start for chunk in chunks), default=0)


class _Figures:
    """The metrics of one clip, frame by frame."""

    def __init__(self, foreign: foreign_metrics.Metrics, *, sharpness: bool = False) -> None:
        self._foreign = foreign
        self._sharpness = sharpness
        self._scorer = ClipScorer(rgb=False, added=self._added)

    def _added(self, pair: FramePair) -> dict[str, float]:
        edges = {"edges": _edges(pair.pred_y), "truth_edges": _edges(pair.truth_y)} if self._sharpness else {}
        return {**foreign_metrics.of_frame(self._foreign, pair.pred, pair.truth), **edges}

    def add(self, pair: FramePair, *, scored: bool) -> None:
        self._scorer.add(pair, scored=scored)

    def means(self) -> dict[str, float]:
        """All but tdiff_y, which compares successive frames, are of the scored frames only."""
        figures, others = self._scorer.means(), self._scorer.others.running_means()
        sharpness = {"sharpness": _ratio(others.pop("edges"), others.pop("truth_edges"))} if self._sharpness else {}
        return {**figures, "quality": metrics.quality(figures["psnr_y"], figures["ssim_y"]), **others, **sharpness}

    def frames(self) -> FrameTable:
        """The values of each scored frame; tdiff_y is NaN where the frame before was not compared."""
        made, others = self._scorer.frames, dict(self._scorer.others.columns)
        steps = dict(self._scorer.steps.items("tdiff_y"))
        if self._sharpness:
            edges = zip(others.pop("edges"), others.pop("truth_edges"), strict=True)
            others["sharpness"] = array("d", (_ratio(*pair) for pair in edges))
        tdiff_y = array("d", (steps.get(number, math.nan) for number in made.numbers))
        return FrameTable(made.numbers, {**made.columns, **others, "tdiff_y": tdiff_y})


class _Drawing:
    """Collects the pictures of a clip while it is scored."""

    def __init__(self, clip: ValClip) -> None:
        self._clip = clip
        compared = clip.compared
        self._frame = compared[len(compared) // 2]
        self._shown = next((run for run in clip.runs if self._frame in run), range(clip.frames))
        self._profile = ProfileLines()
        self._beside: NDArray[np.uint8] | None = None

    def add(self, number: int, shown: list[NDArray[np.uint8]]) -> None:
        """The next frame: bicubic, output, truth. The profile shows consecutive frames alone."""
        if number in self._shown:
            self._profile.add(shown)
        if number == self._frame:
            self._beside = np.concatenate(shown, axis=1)

    def picture(self) -> Picture:
        assert self._beside is not None
        height, width = self._beside.shape[0], self._beside.shape[1] // 3
        return Picture(
            self._clip.name, self._frame, width, height, _png(self._beside), _png(self._profile.picture())
        )  # fmt: skip


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _ratio(edges: float, truth_edges: float) -> float:
    """`sharpness`: mean absolute luma gradients, output to truth: 1 is equally sharp, bicubic ×4 about 0.6.

    A ground truth without any edge gives 1.
    """
    return edges / truth_edges if truth_edges > 0 else 1.0


def _edges(y: NDArray[np.float64]) -> float:
    return float(np.abs(np.diff(y, axis=0)).mean() + np.abs(np.diff(y, axis=1)).mean())


def _means(clips: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the clips that have it: a single frame has no tdiff_y."""
    names = {name: None for clip in clips for name in clip}
    return {name: metrics.mean_over_clips([{name: c[name]} for c in clips if name in c])[name] for name in names}
