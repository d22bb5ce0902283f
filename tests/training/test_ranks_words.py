"""What several processes agree on before and between steps, where one process suffices to test it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.reasons import raises
from vsrpp.distributed import messages
from vsrpp.distributed.process_group import ProcessGroup, of_the_whole, shared_out
from vsrpp.errors import Refused
from vsrpp.training.cadence import next_turn, row_due, validation_due
from vsrpp.training.preflight import first_difference, shared_gpu

LIVE = {"log_every": 5, "validate_every": 12, "max_steps": 50}
FACTS: dict[str, Any] = {
    "host": "a", "gpu": None, "vsrpp": "1", "torch": "2", "python": "3", "device": "cpu", "fingerprint": "f",
    "asked": {"n_feats": 4},
}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "also", "then"),
    [(0, [], 10), (10, [], 12), (12, [], 20), (49, [], 50), (3, [4], 4), (3, [None, 2, 3], 10), (44, [70], 48)],
)
def test_rank_0_talks_next_where_every_rank_knows(step: int, also: list[int | None], then: int) -> None:
    assert next_turn(step, LIVE, 10, also) == then


def test_rows_and_validations_fall_due_at_their_multiples_and_at_the_last_step() -> None:
    assert [step for step in range(1, 51) if validation_due(step, LIVE)] == [12, 24, 36, 48, 50]
    assert [step for step in range(44, 51) if row_due(step, LIVE)] == [45, 50]


def test_a_batch_is_shared_out_evenly_or_refused() -> None:
    assert shared_out(8, 4) == 2
    with raises(messages.BATCH_NOT_DIVISIBLE, batch_size=6, world_size=4, fits="4 or 8"):
        shared_out(6, 4)
    with raises(messages.BATCH_NOT_DIVISIBLE, world_size=2, fits="2"):
        shared_out(1, 2)


def test_figures_of_the_whole_add_memory_up_and_average_the_rest() -> None:
    ranks = [{"system/gpu_memory_mib": 3.0, "activity/a": 1.0, "speed/data_wait_s": 0.1, "only": 5.0},
             {"system/gpu_memory_mib": 4.0, "activity/a": 2.0, "speed/data_wait_s": 0.3}]  # fmt: skip
    whole = of_the_whole(ranks)
    assert whole["system/gpu_memory_mib"] == 7.0 and whole["activity/a"] == 1.5 and whole["only"] == 5.0
    assert whole["speed/data_wait_s"] == pytest.approx(0.2) and whole["speed/data_wait_worst_s"] == 0.3
    assert of_the_whole(ranks[:1]) == ranks[0], "one process has nothing to compare with"


def test_a_process_of_its_own_needs_nobody() -> None:
    alone = ProcessGroup.single()
    assert alone.is_rank_0 and not alone.joined and not alone.many
    assert alone.broadcast("word") == "word" and alone.gather(3) == [3] and alone.mean([1.0, 2.0]) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"torch": "9"}, "rank 1 (b) has torch 9, but rank 0 has 2"),
        ({"vsrpp": "9"}, "rank 1 (b) has vsrpp 9, but rank 0 has 1"),
        ({"device": "H200"}, "rank 1 (b) has device H200, but rank 0 has cpu"),
        ({"fingerprint": "g"}, "rank 1 (b) has different data than rank 0"),
        ({"asked": {"n_feats": 8}}, "rank 1 (b) was started with n_feats = 8, but rank 0 with 4"),
        ({"error": "no such file: x.mkv"}, "rank 1 (b) cannot train: no such file: x.mkv"),
    ],
)
def test_what_a_rank_has_otherwise_is_named(change: dict[str, Any], parts: str) -> None:
    line = first_difference(1, FACTS, {**FACTS, "host": "b", **change})
    assert line is not None and line.startswith(parts)


def test_the_same_on_another_host_is_no_difference() -> None:
    assert first_difference(1, FACTS, {**FACTS, "host": "b"}) is None


def test_two_ranks_on_one_gpu_are_refused() -> None:
    one, other = {**FACTS, "gpu": "GPU-1"}, {**FACTS, "gpu": "GPU-2"}
    assert shared_gpu([one, other, {**one, "host": "b"}]) is None
    assert "rank 2 (a) would train on the GPU of rank 0" in str(shared_gpu([one, other, one]))


@pytest.mark.parametrize("text", ["soon", "0", "nan", "1e9"])
def test_a_time_out_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("VSRPP_RANK_TIMEOUT_S", text)):
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match="VSRPP_RANK_TIMEOUT_S"):
        ProcessGroup.join()


def test_a_world_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with raises(messages.RANK_RANGE, last=1):
        ProcessGroup.join()
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(Refused, match="RANK = 'first' refused"):
        ProcessGroup.join()
