"""Batches are the same for any number of workers and from any starting point, and the workers end with them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tests.support.clips import piece, run_config, write_frames
from tests.support.reasons import raises
from tests.support.waiting import wait_until
from vsrpp.data import TrainSet, messages, open_data
from vsrpp.data.loader import Batch, Batches
from vsrpp.data.sampling import Sampling
from vsrpp.data.split import Span
from vsrpp.data.unreadable import BadFrames
from vsrpp.errors import VsrppError


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> TrainSet:
    folder = tmp_path_factory.mktemp("clips")
    write_frames(folder / "clip", piece(30))
    return open_data(run_config(folder / "clip"), cache_dir=folder / "cache").train


def _workers() -> list[psutil.Process]:
    """The processes that make batches: children of multiprocessing's fork server, which lives until the end."""
    servers = [
        child for child in psutil.Process().children() if "multiprocessing.forkserver" in " ".join(child.cmdline())
    ]
    return [worker for server in servers for worker in server.children()]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("start_step", [0, 7])
def test_batch_of_a_step_holds_its_samples_whatever_makes_it(
    train: TrainSet, num_workers: int, start_step: int
) -> None:
    with Batches(train, 3, start_step, num_workers) as batches:
        for step in range(start_step, start_step + 6):
            assert batches.step == step
            for made, number in zip(next(batches), (0, 1), strict=True):
                expected = np.stack([train.sample(index)[number] for index in range(step * 3, step * 3 + 3)])
                np.testing.assert_array_equal(made.numpy(), expected)
                assert made.dtype == torch.float32


def test_ranks_share_a_step_without_sharing_a_sample(train: TrainSet) -> None:
    for rank in (0, 1):
        with Batches(train, 2, 3, rank=rank, world_size=2) as batches:
            first = (3 * 2 + rank) * 2
            np.testing.assert_array_equal(next(batches)[1][1].numpy(), train.sample(first + 1)[1])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_torchs_global_generator_is_never_drawn_from(train: TrainSet, num_workers: int) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with Batches(train, 2, num_workers=num_workers) as batches:
        next(batches)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_closing_ends_thread_and_workers(train: TrainSet, num_workers: int) -> None:
    batches = Batches(train, 2, num_workers=num_workers)
    next(batches)
    assert len(_workers()) == num_workers
    batches.close()
    batches.close()
    names = [thread.name for thread in threading.enumerate()]
    assert "vsrpp-batches" not in names
    wait_until(lambda: not _workers(), what="the end of the workers")
    # multiprocessing's own feeders of the workers' queues end a few milliseconds after the workers
    feeders = lambda: [thread for thread in threading.enumerate() if thread.name == "QueueFeederThread"]  # noqa: E731
    wait_until(lambda: not feeders(), what="the end of the feeders")
    assert list(batches) == []


def test_batches_are_made_ahead_but_only_a_few(train: TrainSet) -> None:
    asked: list[int] = []

    class Watched(TrainSet):
        def readable_u8(self, index: int, bad: BadFrames) -> Any:
            asked.append(index)
            return super().readable_u8(index, bad)

    watched = Watched(train.spans, seed=0, sampling=Sampling(5), crop_size=32, scale=4)
    with Batches(watched, 1) as batches:
        next(batches)
        wait_until(lambda: len(asked) == 4, what="one taken, two waiting, one in hand")
        time.sleep(0.2)
        assert len(asked) == 4


def test_a_killed_worker_is_one_line_with_a_way_out_and_takes_the_others_along(train: TrainSet) -> None:
    batches = Batches(train, 2, num_workers=2)
    next(batches)
    os.kill(_workers()[0].pid, signal.SIGKILL)
    with pytest.raises(VsrppError, match=r"loading data failed: .*--set num_workers=0") as caught:
        for _ in batches:
            pass
    assert "\n" not in str(caught.value)
    with pytest.raises(VsrppError):
        next(batches)
    batches.close()
    # though the error, still held here, keeps the loader from being collected
    wait_until(lambda: not _workers(), what="the end of the workers")


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(104, "Connection reset by peer")])
def test_a_worker_that_dies_handing_over_a_batch_is_one_line_too(
    train: TrainSet, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment of a worker's death is random, so the error of its dead connection is simulated."""

    def dead(*_: object) -> Iterator[Batch]:
        raise error
        yield

    monkeypatch.setattr("vsrpp.data.loader.from_workers", dead)
    with Batches(train, 2, num_workers=1) as batches, pytest.raises(VsrppError, match=r"failed: .+; fewer"):
        next(batches)


def test_workers_leave_ctrl_c_to_the_trainer(train: TrainSet) -> None:
    with Batches(train, 2, num_workers=1) as batches:
        next(batches)
        os.kill(_workers()[0].pid, signal.SIGINT)
        assert all(len(next(batches)) == 2 for _ in range(10))


def test_what_reading_the_data_raises_reaches_the_training_loop(train: TrainSet, tmp_path: Path) -> None:
    (span,) = train.spans
    gone = Span(replace(span.clip, folder=tmp_path / "gone"), span.start, span.stop)
    broken = TrainSet([gone], seed=0, sampling=Sampling(5), crop_size=32, scale=4)
    with Batches(broken, 1) as batches, raises(messages.DECODED_FILE_LOST):
        next(batches)
