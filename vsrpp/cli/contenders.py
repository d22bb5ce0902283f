"""What `vsrpp evaluate` scores: a network, bicubic, or the frames of another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import manifest as manifests
from vsrpp.cli import messages
from vsrpp.cli.evaluate_request import BICUBIC, EvaluationRequest, is_folder_of_frames
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.paths import CheckpointPaths

if TYPE_CHECKING:
    from vsrpp.data.readers import Source
    from vsrpp.inference.evaluate import Upscale
    from vsrpp.metrics.meter import ExtraMeasures

DEFAULT_SCALE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredClips:
    """The clips that are scored, and how."""

    name: str
    """Of the suite, or of the data."""
    sources: Sequence[Source]
    scale: int
    degradation: str
    border: int = 0
    suite: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One side of an evaluation."""

    title: str
    """For tables."""
    line: str
    """For people."""
    run_id: str | None = None
    step: int | None = None
    branch: int = 0
    scale: int | None = None
    """None: any."""
    trained_on: str | None = None
    """The degradation; None: any."""
    upscale: Upscale | None = None
    frames: Path | None = None

    def score(
        self, clips: ScoredClips, extra: ExtraMeasures, *, start: int = 0, count: int | None = None,
        profile: Path | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The keys of `inference.evaluate.evaluate_sources`, and `degradation`. Raises NotFound or Refused."""
        from vsrpp.inference import evaluate as scoring
        from vsrpp.inference.foreign_frames import evaluate_frames_of

        shared: dict[str, Any] = {"start": start, "count": count, "extra": extra, "border": clips.border}
        if self.frames is not None:
            folder = self._frames_of(clips, self.frames)
            return evaluate_frames_of(folder, clips.sources, clips.scale, **shared) | {"degradation": clips.degradation}
        upscale = self.upscale or scoring.bicubic_of(clips.scale)
        figures = scoring.evaluate_sources(clips.sources, upscale, clips.scale, profile=profile, **shared)
        return figures | {"degradation": clips.degradation}

    @staticmethod
    def _frames_of(clips: ScoredClips, folder: Path) -> Path:
        """The folder of a suite below one with several; the folder itself if it has none of its name."""
        if clips.suite is None:
            return folder
        from vsrpp.inference.suites import SUITES

        names = [clips.suite, SUITES[clips.suite].title, *SUITES[clips.suite].folders]
        return next((folder / name for name in names if (folder / name).is_dir()), folder)


def first_contender(request: EvaluationRequest, runs: Path, document: dict[str, Any]) -> Contender:
    """A; its run ID and step are noted in `document` before its files are verified. Raises Refused, NotFound or ProofFailed."""
    if request.frames is not None:
        return _frames(request.frames)
    assert request.source is not None
    return _contender(request.source, runs, document)


def second_contender(request: EvaluationRequest, runs: Path) -> Contender | None:
    """B; None without --against."""
    if request.against is None:
        return None
    if request.against != BICUBIC and is_folder_of_frames(request.against):
        return _frames(Path(request.against).expanduser())
    return _contender(request.against, runs, {})


def common_scale(asked: int | None, contenders: Sequence[Contender]) -> int:
    """The scale at which all are scored. Raises Refused for networks of another scale."""
    fixed = [contender.scale for contender in contenders if contender.scale is not None]
    scale = asked or next(iter(fixed), DEFAULT_SCALE)
    for network in fixed:
        if network != scale and asked is not None:
            raise messages.EVALUATE_SCALE(scale=asked, network=network)
        if network != scale:
            raise messages.EVALUATE_SCALES(scale=scale, against=network)
    return scale


def _frames(folder: Path) -> Contender:
    return Contender(title=folder.resolve().name, line=f"frames in {folder}", frames=folder)


def _contender(source: str, runs: Path, document: dict[str, Any]) -> Contender:
    if source == BICUBIC:
        return Contender(title="Bicubic", line=BICUBIC)
    folder = checkpoint_folder(source, runs)
    said = _read_manifest(folder)
    document |= {key: said[key] for key in ("run_id", "step")}
    from vsrpp.inference import evaluate as scoring

    upscale, scale, trained_on = scoring.network_of(folder)
    run_id, step = str(said["run_id"]), said["step"]
    return Contender(
        title=f"{run_id[:8]}@{step}", line=f"run {run_id}, checkpoint of step {step}", run_id=run_id, step=step,
        branch=int(said["branch"] or 0), scale=scale, trained_on=trained_on, upscale=upscale,
    )  # fmt: skip


def _read_manifest(folder: CheckpointPaths) -> dict[str, Any]:
    """The run ID, step and branch of a checkpoint; None if its manifest, not yet verified, does not say."""
    try:
        manifest = manifests.read(folder)
    except (OSError, ValueError):
        manifest = {}
    return {key: manifest.get(key) for key in ("run_id", "step", "branch")}
