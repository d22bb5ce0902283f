"""Which samples a frame on record as unreadable is left out of, and what replaces them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import piece, run_config, write_frames
from vsrpp.data import TrainSet, open_data
from vsrpp.data.unreadable import BadFrames

PLACE, OTHER = (0, 3), (0, 4)


def test_a_frame_counts_for_the_samples_replaced_and_for_all_from_an_index_on() -> None:
    bad = BadFrames().met(PLACE, [4, 7], 12)
    assert [index for index in range(16) if bad.counts_for(PLACE, index)] == [4, 7, 12, 13, 14, 15]
    assert not bad.counts_for(OTHER, 15)


def test_later_reports_of_a_frame_only_add_samples() -> None:
    bad = BadFrames().met(PLACE, [4], 12).met(PLACE, [9], 20)
    assert [index for index in range(16) if bad.counts_for(PLACE, index)] == [4, 9, 12, 13, 14, 15]
    assert len(bad) == 1


def test_after_a_return_what_is_known_counts_from_there_on() -> None:
    bad = BadFrames().met(PLACE, [14], 16).met(OTHER, [2], 4).back_at(10)
    assert [index for index in range(12) if bad.counts_for(PLACE, index)] == [10, 11]
    assert [index for index in range(6) if bad.counts_for(OTHER, index)] == [2, 4, 5]


@pytest.fixture
def train(tmp_path: Path) -> TrainSet:
    for number in range(6):
        write_frames(tmp_path / "set" / f"{number:03d}", piece(12, start=20 * number))
    return open_data(run_config(tmp_path / "set", reading="originals"), cache_dir=tmp_path / "cache").train


def test_the_next_readable_index_takes_the_place_whether_the_frame_is_met_or_on_record(train: TrainSet) -> None:
    damaged = train.spans[1].clip.files_of(5)[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    found = {index: train.readable_u8(index, BadFrames()) for index in range(30)}
    replaced = [index for index, (_, met) in found.items() if met]
    assert replaced
    assert {one.place for index in replaced for one in found[index][1]} == {(1, 5)}
    damaged.write_bytes(whole)
    bad = BadFrames().met((1, 5), replaced, 1000)
    for index, (pixels, _) in found.items():
        again, met = train.readable_u8(index, bad)
        assert not met
        for ours, theirs in zip(again, pixels, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        taken = next(other for other in range(index, index + 30) if other not in replaced)
        np.testing.assert_array_equal(pixels[1], train.sample_u8(taken)[1])
