"""A degradation from outside: a pure function of the sample, the same in workers, and its code part of the fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.added import FromFile
from tests.support.clips import piece, run_config, write_frames
from tests.support.reasons import raises
from vsrpp.data import Data, messages, open_data
from vsrpp.data.degradation_table import TABLE, AddedDegradation, add_degradation
from vsrpp.data.loader import Batches
from vsrpp.data.pack import pack
from vsrpp.inference.evaluate import FrameByFrame, evaluate_path
from vsrpp.resize import resize_u8

NAME = "grain.py:grain"
CODE = """
import threading
import time

import numpy as np

def grain(frames, rng, *, scale, strength):
    small = frames[:, ::scale, ::scale].astype(int)
    noise = rng.integers(-strength, strength + 1, size=small.shape)
    frames[:] = 0
    return np.clip(small + noise, 0, 255).astype(np.uint8)

running = threading.Lock()

def alone(frames, rng, *, scale):
    assert running.acquire(blocking=False)
    time.sleep(0.01)
    running.release()
    return frames[:, ::scale, ::scale]

def floats(frames, rng, *, scale):
    return frames[:, ::scale, ::scale] / 255

def fails(frames, rng, *, scale):
    raise IndexError("no such kernel\\nat all")
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "grain.py").write_text(CODE)
    yield tmp_path / "grain.py"
    TABLE.pop(NAME, None)


def _add(file: Path, function: str = "grain", sha256: str = "a", **parameters: Any) -> None:
    add_degradation(AddedDegradation(NAME, FromFile(file, function), sha256, parameters))


def _open(tmp_path: Path, **changes: Any) -> Data:
    root = tmp_path / "clips"
    if not root.exists():
        for number in range(2):
            write_frames(root / f"{number:03d}", piece(40, 48, 64, start=40 * number))
    return open_data(run_config(root, degradation=NAME, val_fraction=0.3, **changes), cache_dir=tmp_path / "cache")


def test_a_sample_is_a_pure_function_and_its_ground_truth_is_safe_from_the_function(tmp_path: Path, file: Path) -> None:
    _add(file, strength=3)
    data = _open(tmp_path)
    for index in range(8):
        lr, gt = data.train.sample_u8(index)
        data.train.sample_u8(index + 1)
        np.testing.assert_array_equal(data.train.sample_u8(index)[0], lr)
        noise = lr.astype(int) - gt[..., ::4, ::4]
        assert gt.max() > 0
        assert 1 < np.abs(noise[(gt[..., ::4, ::4] > 3) & (gt[..., ::4, ::4] < 252)]).max() <= 3
    with Batches(data.train, 2, num_workers=1) as batches:
        lr_of_worker = np.asarray(next(batches)[0] * 255).round()
    np.testing.assert_array_equal(lr_of_worker, [data.train.sample_u8(index)[0] for index in (0, 1)])


def test_validation_is_the_same_from_cache_originals_packed_copy_and_evaluate(tmp_path: Path, file: Path) -> None:
    _add(file, strength=3)
    cached, originals = _open(tmp_path), _open(tmp_path, reading="originals")
    pack(str(tmp_path / "clips"), tmp_path / "packed", scale=4, degradation=NAME)
    config = run_config(tmp_path / "packed", degradation=NAME, val_fraction=0.3)
    packed = open_data(config, cache_dir=tmp_path / "other")
    assert cached.fingerprint == originals.fingerprint == packed.fingerprint
    for ours, *others in zip(cached.val, originals.val, packed.val, strict=True):
        for theirs in others:
            np.testing.assert_array_equal(ours.lr(1, 11), theirs.lr(1, 11))
    seen: list[np.ndarray] = []

    def upscale(frame: np.ndarray) -> np.ndarray:
        seen.append(frame)
        return resize_u8(frame, 4)

    evaluate_path(str(tmp_path / "clips" / "000"), FrameByFrame(upscale), 4, start=29, count=6, degradation=NAME)
    np.testing.assert_array_equal(np.stack(seen), cached.val[0].lr(1, 7))


def test_a_function_is_called_from_one_thread_at_a_time(tmp_path: Path, file: Path) -> None:
    _add(file, "alone")
    assert _open(tmp_path, reading="originals").val[0].lr().any()


def test_other_code_and_other_parameters_are_other_data(tmp_path: Path, file: Path) -> None:
    fingerprints = set()
    for sha256, strength in (("a", 3), ("b", 3), ("a", 2)):
        _add(file, sha256=sha256, strength=strength)
        data = _open(tmp_path)
        fingerprints.add(data.fingerprint)
    assert len(fingerprints) == 3
    assert np.abs(data.val[0].lr().astype(int) - data.val[0].gt()[:, ::4, ::4]).max() == 2


def test_what_a_function_does_wrong_is_said_in_one_line(tmp_path: Path, file: Path) -> None:
    _add(file, "floats")
    with raises(messages.DEGRADATION_RESULT, degradation=NAME, given="float64 (8, 12, 16, 3)"):
        _open(tmp_path)
    _add(file, "fails")
    with raises(messages.DEGRADATION_FAILED, cause="IndexError: no such kernel"):
        _open(tmp_path)
    with pytest.raises(ValueError, match="ships"):
        add_degradation(AddedDegradation("bicubic", FromFile(file, "grain"), "a"))
