"""LPIPS and DISTS give the figures of the packages' own code; tLP and tOF those of TecoGAN's definitions."""

from __future__ import annotations

import hashlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import perceptual
from tests.support.clips import piece
from tests.support.reasons import raises
from vsrpp.metrics import messages
from vsrpp.metrics.dists import Dists
from vsrpp.metrics.extra import extra_measures, tlp100
from vsrpp.metrics.lpips import Lpips
from vsrpp.metrics.meter import ClipMeter

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "data" / "perceptual.json").read_text())
"""Written by scripts/perceptual_reference."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    states = {
        "alex": perceptual.random_backbone("alex"), "vgg": perceptual.random_backbone("vgg"),
        "alex_heads": perceptual.random_heads("alex"), "vgg_heads": perceptual.random_heads("vgg"),
        "alpha_beta": perceptual.random_alpha_beta(),
    }  # fmt: skip
    return {name: perceptual.saved(folder / f"{name}.pth", state) for name, state in states.items()}


def batches() -> tuple[torch.Tensor, torch.Tensor]:
    ours, truth = map(perceptual.batch, perceptual.frames_to_compare())
    return ours, truth


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_that_of_the_package(net: str, files: dict[str, Path]) -> None:
    ours, truth = batches()
    lpips = Lpips([files[f"{net}_heads"], files[net]])
    assert lpips(ours, truth).tolist() == pytest.approx(REFERENCE[f"lpips_{net}"], rel=1e-5)
    assert lpips(truth[:1], truth[:1]).tolist() == [0]


def test_dists_is_that_of_the_package(files: dict[str, Path]) -> None:
    ours, truth = batches()
    dists = Dists([files["vgg"], files["alpha_beta"]])
    assert dists(ours, truth).tolist() == pytest.approx(REFERENCE["dists"], abs=1e-6)
    assert dists(truth[:1], truth[:1]).tolist() == pytest.approx([0], abs=1e-6)


def test_a_network_saved_whole_is_read_too(files: dict[str, Path], tmp_path: Path) -> None:
    """The slices of `lpips.LPIPS(net="alex").state_dict()`, with lin0 a second time as the package registers it."""
    slices = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
    whole = dict(torch.load(files["alex_heads"]))
    for key, value in torch.load(files["alex"]).items():
        number, kind = key.split(".")[1:]
        whole[f"net.slice{slices[int(number)]}.{number}.{kind}"] = value
    whole |= {"lins.0.model.1.weight": whole["lin0.model.1.weight"], "scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    ours, truth = batches()
    found = Lpips([perceptual.saved(tmp_path / "whole.pth", whole)])(ours, truth)
    assert found.tolist() == Lpips([files["alex"], files["alex_heads"]])(ours, truth).tolist()


def test_files_that_do_not_fit_are_refused_by_what_is_missing(files: dict[str, Path], tmp_path: Path) -> None:
    with raises(messages.WEIGHTS_MISSING, missing="no linear layer lin0"):
        Lpips([files["alex"]])
    with raises(messages.WEIGHTS_MISSING, missing="no features.0.weight of VGG16"):
        Lpips([files["alex"], files["vgg_heads"]])
    with raises(messages.WEIGHTS_MISSING, missing="no alpha"):
        Dists([files["vgg"]])
    with raises(messages.WEIGHT_FILE, cause="no such file"):
        Lpips([tmp_path / "nowhere.pth"])
    (tmp_path / "text.pth").write_text("<html>")
    with raises(messages.WEIGHT_FILE, cause="not a torch weight file"):
        Dists([tmp_path / "text.pth"])
    small = torch.zeros(1, 3, 24, 24)
    with raises(messages.TOO_SMALL_TO_MEASURE, measure="LPIPS", side=31):
        Lpips([files["alex"], files["alex_heads"]])(small, small)


def test_a_clip_has_the_mean_of_its_frames_and_the_fingerprints_of_its_weights(files: dict[str, Path]) -> None:
    ours, truth = perceptual.frames_to_compare()
    extra = extra_measures([files["alex"], files["alex_heads"]])
    meter = ClipMeter(extra)
    for number, pair in enumerate(zip(ours, truth, strict=True), 5):
        meter.add(*pair, number=number, scored=number != 6)
    figures = meter.result()
    expected = [REFERENCE["lpips_alex"][frame] for frame in (0, 2)]
    assert figures["per_frame"]["lpips"] == pytest.approx(expected, rel=1e-5)
    assert figures["lpips"] == pytest.approx(sum(expected) / 2, rel=1e-5)
    assert (figures["frames"], figures["per_frame"]["frame"]) == (2, [5, 7])
    lpips = Lpips([files["alex"], files["alex_heads"]])
    steps = [lpips(batch[:2], batch[1:]) for batch in batches()]
    assert figures["per_frame"]["tlp100"] == pytest.approx((100 * (steps[0] - steps[1]).abs()).tolist(), rel=1e-3)
    sha256 = hashlib.sha256(files["alex"].read_bytes()).hexdigest()
    assert extra.weights["lpips"][0] == {"file": "alex.pth", "sha256": sha256}


def test_tlp_is_the_difference_of_the_changes_from_frame_to_frame() -> None:
    def distance(one: np.ndarray, other: np.ndarray) -> float:
        return abs(int(one.flat[0]) - int(other.flat[0])) / 10

    frames = [np.full((1, 1, 3), level, np.uint8) for level in (3, 9, 1, 2)]
    assert tlp100(distance)(*frames) == pytest.approx(100 * abs(0.1 - 0.6))


def test_tof_without_opencv_is_refused_and_with_it_is_the_mean_length_of_the_flows_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with raises(messages.NO_OPENCV):
        extra_measures(tof=True)
    cv2: Any = types.ModuleType("cv2")
    cv2.COLOR_RGB2GRAY = 7
    cv2.cvtColor = lambda frame, code: frame[..., 0].astype(np.float64)
    cv2.calcOpticalFlowFarneback = lambda before, now, *_: np.stack([now - before, 2 * (now - before)], axis=-1)
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    measure = extra_measures(tof=True).of_steps["tof"]
    frames = [np.full((4, 5, 3), level, np.uint8) for level in (10, 12, 10, 15)]
    assert measure(*frames) == pytest.approx(np.hypot(3, 6))


def test_tof_of_a_clip_that_stands_still_is_its_own_motion() -> None:
    pytest.importorskip("cv2", reason="tOF needs opencv-python-headless")
    measure = extra_measures(tof=True).of_steps["tof"]
    frames = piece(2)
    assert measure(frames[0], frames[1], frames[0], frames[1]) == 0
    assert measure(frames[0], frames[0], frames[0], frames[1]) > 0.05
