"""A schedule of the number of frames: a pure function of the step, for samples, memory and resumed runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import Steered, configs
from vsrpp import config, models, paths
from vsrpp.data import open_data
from vsrpp.data.loader import Batches
from vsrpp.errors import Refused
from vsrpp.frame_schedule import frame_schedule, frames_at, most_frames

SCHEDULE = "0: 2, 3: 4"


def test_the_frames_of_a_step_follow_from_the_step_alone() -> None:
    run_config = {"num_frames": 5, "num_frames_schedule": "{2000: 7, 6000: 15}"}
    assert frame_schedule(run_config) == ((0, 5), (2000, 7), (6000, 15))
    assert [frames_at(run_config, step) for step in (-1, 0, 1999, 2000, 9000)] == [5, 5, 5, 7, 15]
    assert most_frames(run_config) == 15
    assert frame_schedule({"num_frames": 5}) == ((0, 5),)


def test_batches_change_their_length_at_the_step_wherever_they_start(tiny_clip: Path) -> None:
    run_config, _ = configs(tiny_clip, num_frames_schedule=SCHEDULE, batch_size=2)
    train = open_data(run_config, cache_dir=paths.cache_dir()).train
    with Batches(train, 2, 0) as batches:
        whole = [next(batches) for _ in range(5)]
    assert [batch[0].shape[1] for batch in whole] == [2, 2, 2, 4, 4]
    with Batches(train, 1, 2, rank=1, world_size=2) as batches:
        shares = [next(batches) for _ in range(2)]
    for (lr, gt), share in zip(whole[2:4], shares, strict=True):
        assert lr[1:].equal(share[0])
        assert gt[1:].equal(share[1])


def test_memory_is_estimated_for_the_longest_sample(tiny_clip: Path) -> None:
    scheduled, _ = configs(tiny_clip, num_frames_schedule="0: 2, 500: 9")
    longest, _ = configs(tiny_clip, num_frames=9)
    assert models.step_cost(scheduled).memory_bytes == models.step_cost(longest).memory_bytes


def test_clips_must_hold_the_longest_sample_and_the_refusal_names_the_schedule(tiny_clip: Path) -> None:
    run_config, _ = configs(tiny_clip, num_frames_schedule="0: 2, 500: 90")
    with pytest.raises(Refused, match="num_frames_schedule = 90"):
        open_data(run_config, cache_dir=paths.cache_dir())


@pytest.mark.parametrize("text", ["3", "0: 1", "0: 3; 5: 4", "0: 201", ""])
def test_a_schedule_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="0: 3, 2000: 7"):
        config.resolve("demo", None, {"num_frames_schedule": text})


def test_a_config_file_may_hold_the_schedule_as_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("num_frames_schedule: {0: 3, 2000: 7}\n")
    assert config.resolve(None, file, {})[0]["num_frames_schedule"] == "0: 3, 2000: 7"


def test_a_run_resumed_across_a_change_of_length_ends_with_the_same_weights(tmp_path: Path, tiny_clip: Path) -> None:
    sets = {"num_frames_schedule": "0: 2, 12: 4", "max_steps": 15, "checkpoint_every": 10, "validate_every": 100}
    whole = Steered.new(tmp_path / "a", tiny_clip, **sets)
    whole.train()
    killed = Steered.new(tmp_path / "b", tiny_clip, **sets)
    killed.die_at(13)
    again = Steered.resumed(killed.paths)
    again.train()
    one, other = (run.context.state.model.state_dict() for run in (whole, again))
    assert all(one[key].equal(other[key]) for key in one)
