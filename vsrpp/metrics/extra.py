"""Measures beside PSNR, SSIM and tdiff_y: LPIPS, DISTS, and over time tLP and tOF as TecoGAN defines them."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsrpp.digests import file_sha256
from vsrpp.metrics import messages
from vsrpp.metrics.meter import ExtraMeasures, Frame, FrameMeasure, StepMeasure

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vsrpp.metrics.dists import Dists
    from vsrpp.metrics.lpips import Lpips

_KEPT_FRAMES = 4
"""Output and truth, before and now. Of AlexNet only: VGG16's features of one frame of 1280×720 take 0.45 GB."""
_FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)
"""OpenCV's pyramid scale, levels, window, iterations, neighbourhood, its sigma, and flags, as TecoGAN calls it."""


def extra_measures(
    lpips_weights: Sequence[Path] = (), dists_weights: Sequence[Path] = (), *, tof: bool = False
) -> ExtraMeasures:
    """The measures that are asked for; torch is imported for those with weights. Raises Refused for a file that does not fit,
    or if OpenCV is asked for and missing."""
    of_frames: dict[str, FrameMeasure] = {}
    of_steps: dict[str, StepMeasure] = {}
    weights: dict[str, list[dict[str, str]]] = {}
    if tof:
        of_steps["tof"] = _tof()
    if lpips_weights:
        from vsrpp.metrics.lpips import Lpips

        of_frames["lpips"] = _lpips(Lpips(lpips_weights))
        of_steps["tlp100"] = tlp100(of_frames["lpips"])
        weights["lpips"] = _fingerprints(lpips_weights)
    if dists_weights:
        from vsrpp.metrics.dists import Dists

        of_frames["dists"] = _dists(Dists(dists_weights))
        weights["dists"] = _fingerprints(dists_weights)
    return ExtraMeasures(of_frames, of_steps, weights)


def _fingerprints(files: Sequence[Path]) -> list[dict[str, str]]:
    """{file, sha256} of weight files."""
    return [{"file": path.name, "sha256": file_sha256(path)} for path in files]


def _pictures(frame: Frame, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) fp32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))[None]).to(device).float() / 255


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _dists(network: Dists) -> FrameMeasure:
    import torch

    device = _device()
    network = network.to(device).eval()

    def measure(ours: Frame, truth: Frame) -> float:
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return float(network(_pictures(ours, device), _pictures(truth, device)))

    return measure


def _lpips(network: Lpips) -> FrameMeasure:
    """The distance of two frames. It keeps the features of the last frames, because tLP compares each of them again."""
    import torch

    device = _device()
    network = network.to(device).eval()
    kept: deque[tuple[Frame, list[Tensor]]] = deque(maxlen=_KEPT_FRAMES if network.net == "alex" else 0)

    def features(frame: Frame) -> list[Tensor]:
        for known, found in kept:
            if known is frame:
                return found
        found = network.compared(_pictures(frame, device))
        kept.append((frame, found))
        return found

    def measure(ours: Frame, truth: Frame) -> float:
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return float(network.compare(features(ours), features(truth)))

    return measure


def tlp100(lpips: FrameMeasure) -> StepMeasure:
    """tLP × 100 (Chu et al., SIGGRAPH 2020): |LPIPS(p[t-1], p[t]) − LPIPS(g[t-1], g[t])| · 100."""

    def measure(ours_before: Frame, ours: Frame, truth_before: Frame, truth: Frame) -> float:
        return 100 * abs(lpips(truth_before, truth) - lpips(ours_before, ours))

    return measure


def _tof() -> StepMeasure:
    """tOF (Chu et al.): the mean length, in pixels, of the difference of OpenCV's Farnebäck flows of output and truth."""
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError:
        raise messages.NO_OPENCV() from None
    flow_of: Callable[..., Any] = cv2.calcOpticalFlowFarneback

    def measure(ours_before: Frame, ours: Frame, truth_before: Frame, truth: Frame) -> float:
        grey = [
            cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in (ours_before, ours, truth_before, truth)
        ]
        ours_flow, truth_flow = (flow_of(grey[first], grey[first + 1], None, *_FARNEBACK) for first in (0, 2))
        return float(np.sqrt(np.square(np.subtract(truth_flow, ours_flow)).sum(axis=-1)).mean())

    return measure
