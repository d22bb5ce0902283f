"""Which clips train and which validate: every rule of the split; no frame does both."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reasons import raises
from vsrpp.data import messages
from vsrpp.data.cache import StoredClip
from vsrpp.data.sampling import Sampling
from vsrpp.data.split import split, too_short

FIVE = Sampling(5)


def _clip(number: int, frames: int, content: str | None = None) -> StoredClip:
    path = Path(f"/clips/{number:03d}")
    return StoredClip(path.name, path, path, content or f"content{number}", frames, 96, 64, 96, 64, 4)


def _clips(count: int, frames: int) -> list[StoredClip]:
    return [_clip(number, frames) for number in range(count)]


@given(
    frames=st.lists(st.integers(20, 200), min_size=1, max_size=12),
    num_frames=st.integers(1, 10),
    fraction=st.none() | st.floats(0.01, 0.5),
)
def test_no_frame_both_trains_and_validates_and_none_is_lost(
    frames: list[int], num_frames: int, fraction: float | None
) -> None:
    clips = [_clip(number, count) for number, count in enumerate(frames)]
    made = split(clips, [], Sampling(num_frames), fraction)
    seen = [(span.clip.name, frame) for span in made.train + made.val for frame in range(span.start, span.stop)]
    assert len(seen) == len(set(seen)) == sum(frames)
    assert made.train
    assert made.val


@pytest.mark.parametrize(("count", "fraction", "kept"), [(5, None, 1), (30, None, 3), (30, 0.5, 15), (5, 0.01, 1)])
def test_from_five_clips_on_the_last_whole_clips_validate(count: int, fraction: float | None, kept: int) -> None:
    made = split(_clips(count, 10), [], FIVE, fraction)
    assert [span.clip.name for span in made.val] == [f"{number:03d}" for number in range(count - kept, count)]
    assert all(span.frames == 10 for span in made.train + made.val)


@pytest.mark.parametrize(("frames", "fraction", "kept"), [(100, None, 15), (20, None, 5), (100, 0.3, 30)])
def test_below_five_clips_the_last_frames_of_each_validate(frames: int, fraction: float | None, kept: int) -> None:
    made = split(_clips(4, frames), [], FIVE, fraction)
    assert [(span.start, span.stop) for span in made.train] == [(0, frames - kept)] * 4
    assert [(span.start, span.stop) for span in made.val] == [(frames - kept, frames)] * 4


def test_val_data_validates_whole_and_data_trains_whole() -> None:
    made = split(_clips(2, 30), [_clip(9, 3)], FIVE)
    assert [span.frames for span in made.train] == [30, 30]
    assert [(span.clip.name, span.frames) for span in made.val] == [("009", 3)]


def test_clips_that_are_also_in_val_data_are_left_out_of_training() -> None:
    copy = _clip(7, 30, content="content1")
    made = split(_clips(3, 30), [copy], FIVE)
    assert [span.clip.name for span in made.train] == ["000", "002"]


def test_a_copy_of_a_held_out_clip_does_not_train_either() -> None:
    clips = [*_clips(5, 10), _clip(5, 10, content="content0")]
    made = split(clips, [], FIVE)
    assert [span.clip.name for span in made.train] == ["001", "002", "003", "004"]


def test_nothing_left_to_train_on_is_refused() -> None:
    with raises(messages.ALL_VALIDATE, path=Path("/clips/000")):
        split(_clips(2, 30), _clips(2, 30), FIVE)


def test_a_clip_with_too_few_frames_left_to_train_on_is_told_with_the_numbers() -> None:
    made = split([*_clips(1, 9), _clip(1, 30)], [], FIVE)
    ((span, error),) = too_short(made.train, FIVE)
    assert (span.clip.name, error.reason_code) == ("000", messages.TOO_FEW_LEFT.code)
    told = (Path("/clips/000"), 4, 9, "num_frames = 5", 5)
    assert tuple(error.fields[name] for name in ("path", "left", "frames", "need", "validating")) == told
