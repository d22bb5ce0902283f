"""A failure among several processes ends with one line that names the rank, never in a hang."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import environment, train_command
from tests.support.waiting import free_port, wait_until
from vsrpp import control
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

pytestmark = pytest.mark.slow

ENDLESS = {"batch_size": 2, "control_interval": 2, "max_steps": 1_000_000, "validate_every": 100_000,
           "checkpoint_every": 100_000}  # fmt: skip


STARVED = """
import sys, torch
from vsrpp.cli import main
from vsrpp.training import loop
one_step = loop.one_step
def starving(run):
    if run.state.step == 5:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return one_step(run)
loop.one_step = starving
sys.exit(main())
"""
"""A process whose memory runs out at its sixth step: there is no GPU here to fill."""


class Rank:
    """`vsrpp train …` as one of several ranks, in torchrun's environment."""

    def __init__(
        self, folder: Path, rank: int, port: int, arguments: list[str], env: dict[str, str], program: Sequence[str]
    ) -> None:  # fmt: skip
        world = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}  # fmt: skip
        self._out = (folder / f"rank-{rank}.out").open("w+")
        self._err = (folder / f"rank-{rank}.err").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments], cwd=folder, env={**environment(folder), **world, **env},
            stdout=self._out, stderr=self._err, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    @property
    def errors(self) -> str:
        return Path(self._err.name).read_text()

    @property
    def output(self) -> str:
        return Path(self._out.name).read_text()

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._out.close()
        self._err.close()


@contextmanager
def two(folder: Path, data: Path, *, only_1: dict[str, Any] | None = None, env: dict[str, str] | None = None,
        program_1: Sequence[str] = ("-m", "vsrpp"), **sets: Any) -> Iterator[tuple[Rank, Rank]]:  # fmt: skip
    """Both ranks of a run; only rank 1 gets the options `only_1` and runs `program_1`."""
    port = free_port()
    asked = [train_command(data, **{**ENDLESS, **sets}), train_command(data, **{**ENDLESS, **sets, **(only_1 or {})})]
    programs = (("-m", "vsrpp"), program_1)
    ranks = [Rank(folder, rank, port, asked[rank], env or {}, programs[rank]) for rank in (0, 1)]
    try:
        yield ranks[0], ranks[1]
    finally:
        for rank in ranks:
            rank.end()


def under_way(folder: Path, leader: Rank) -> RunPaths:
    """The run, after its first steps."""

    def found() -> RunPaths | None:
        assert leader.process.poll() is None, leader.errors
        for file in (folder / "runs").glob("*/runtime_config.json"):
            with RunReader(RunPaths(file.parent).run_db) as reader:
                if reader.latest("loss/total"):
                    return RunPaths(file.parent)
        return None

    return wait_until(found, 240.0, "the first steps")


def failure(run: RunPaths) -> str:
    return str(control.history(run)[-1].data["error"])


def assert_one_line(rank: Rank, *parts: str) -> None:
    lines = [line for line in rank.errors.splitlines() if line.startswith("vsrpp: ")]
    assert len(lines) == 1 and all(part in lines[0] for part in parts), rank.errors
    assert "Traceback" not in rank.errors + rank.output, rank.errors


def test_a_killed_rank_ends_the_run_with_one_line_that_names_it(tmp_path: Path, tiny_clip: Path) -> None:
    with two(tmp_path, tiny_clip) as (leader, follower):
        run = under_way(tmp_path, leader)
        follower.process.kill()
        assert leader.process.wait(120) == 1
        assert_one_line(leader, "rank 1 does not respond")
        assert "rank 1" in failure(run)
        assert control.status(run)["state"] == "failed"


def test_a_stalled_rank_ends_the_run_when_the_time_is_up(tmp_path: Path, tiny_clip: Path) -> None:
    with two(tmp_path, tiny_clip, env={"VSRPP_RANK_TIMEOUT_S": "12"}) as (leader, follower):
        run = under_way(tmp_path, leader)
        follower.process.send_signal(signal.SIGSTOP)
        assert leader.process.wait(180) == 1
        assert_one_line(leader, "rank 1 does not respond")
        assert "rank 1" in failure(run)


def test_a_rank_whose_memory_runs_out_is_named_with_the_reason(tmp_path: Path, tiny_clip: Path) -> None:
    with two(tmp_path, tiny_clip, program_1=("-c", STARVED)) as (leader, follower):
        assert leader.process.wait(240) == 1
        assert follower.process.wait(120) == 1
        (run,) = (RunPaths(file.parent) for file in (tmp_path / "runs").glob("*/run.db"))
        assert_one_line(leader, "rank 1 failed", "out of memory", "2.00 GiB")
        assert "rank 1" in failure(run)
        assert "Traceback" not in follower.errors


def test_a_killed_rank_0_takes_the_others_with_it(tmp_path: Path, tiny_clip: Path) -> None:
    with two(tmp_path, tiny_clip) as (leader, follower):
        under_way(tmp_path, leader)
        leader.process.kill()
        assert follower.process.wait(120) != 0
        assert "Traceback" not in follower.errors


def test_a_failure_of_rank_0_in_the_middle_of_a_step_ends_the_others(tmp_path: Path, tiny_clip: Path) -> None:
    """Rank 0 can no longer write the record, a thousand steps before the ranks next communicate."""
    with two(tmp_path, tiny_clip, control_interval=1000) as (leader, follower):
        run = under_way(tmp_path, leader)
        with contextlib.closing(sqlite3.connect(run.run_db, timeout=60.0)) as record:
            record.execute("drop table metrics")
        assert leader.process.wait(120) == 1
        assert follower.process.wait(60) == 1
        assert "Traceback" not in follower.errors + leader.errors


def test_other_configs_are_refused_before_anything_is_begun(tmp_path: Path, tiny_clip: Path) -> None:
    with two(tmp_path, tiny_clip, only_1={"n_feats": 8}) as (leader, follower):
        assert leader.process.wait(240) == follower.process.wait(60) == 2
        assert_one_line(leader, "rank 1 (", "n_feats = 8", "rank 0 with 4", "Nothing was started")
        assert not follower.errors
        assert not list((tmp_path / "runs").glob("*/run.db"))


def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path: Path, tiny_clip: Path) -> None:
    with two(tmp_path, tiny_clip, batch_size=3) as (leader, follower):
        assert leader.process.wait(240) == follower.process.wait(60) == 2
        assert_one_line(leader, "batch_size = 3", "divisible by 2", "2 or 4")
        assert not follower.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_all_is_a_stop_that_rank_0_makes(tmp_path: Path, tiny_clip: Path, number: int) -> None:
    with two(tmp_path, tiny_clip) as (leader, follower):
        run = under_way(tmp_path, leader)
        for rank in (follower, leader):
            rank.process.send_signal(number)
        assert leader.process.wait(240) == 75, leader.errors
        assert follower.process.wait(60) == 0, follower.errors
        stopped = control.history(run)[-1]
        assert stopped.type in ("stopped", "checkpoint_saved")
        assert control.checkpoint_steps(run)
