"""How many processes a replay starts, when it is not exact, and what is refused before any of them starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.reasons import raises
from vsrpp.errors import Reason
from vsrpp.launch import messages, replay_job, supervisor
from vsrpp.launch import plan as launch
from vsrpp.launch.plan import Plan
from vsrpp.launch.replay_plan import ReplayRecord, plan
from vsrpp.launch.request import RankCommand, ReplayRequest
from vsrpp.store import RunWriter


def command_for(run: str) -> RankCommand:
    return RankCommand(module="vsrpp.cli", arguments=("replay", run))


def request(devices: str | None = None, run: str = "ab12", run_dir: Path | None = None) -> ReplayRequest:
    return ReplayRequest(run=run, command_for=command_for, devices=devices, run_dir=run_dir)


def record(*world_sizes: int, device: str = "cpu", batch_size: int = 8) -> ReplayRecord:
    run_config = {"device": device, "batch_size": batch_size}
    return ReplayRecord(run="/runs/ab12", run_id="ab12", run_config=run_config, world_sizes=world_sizes)


@pytest.mark.parametrize(
    ("world_sizes", "devices", "count", "warning"),
    [
        ((1,), None, 1, None),
        ((2,), None, 2, None),
        ((4, 4), None, 4, None),
        ((2,), "2", 2, None),
        ((2,), "1", 1, "was trained by 2 processes and is replayed by 1 process: every step"),
        ((1,), "2", 2, "was trained by 1 process and is replayed by 2 processes: every step"),
        ((1, 2), None, 2, "by 1 process, then by 2 processes: such a run cannot be replayed bit-identically."),
        ((2, 2, 1), None, 1, "by 2 processes, then by 1 process: such a run cannot be replayed bit-identically"),
        ((1, 2), "4", 4, "It is replayed by 4 processes."),
    ],
)  # fmt: skip
def test_as_many_processes_as_trained_it_last_and_a_warning_where_it_will_not_be_exact(
    world_sizes: tuple[int, ...], devices: str | None, count: int, warning: str | None
) -> None:
    said: list[str] = []
    planned = plan(request(devices), record(*world_sizes), said.append)
    assert planned == (None if count == 1 else Plan(count))
    assert len(said) == (warning is not None)
    assert warning is None or warning in said[0]


@pytest.mark.parametrize(
    ("gpus", "devices", "reason", "fields"),
    [
        (2, None, messages.REPLAY_TOO_FEW_GPUS, {"gpus": "2 GPUs are", "needed": 4, "where": "here", "fewer": 2}),
        (3, None, messages.REPLAY_TOO_FEW_GPUS, {"gpus": "3 GPUs are", "fewer": 2}),
        (0, None, messages.REPLAY_TOO_FEW_GPUS, {"gpus": "no GPU is", "where": "on one with a GPU", "fewer": 1}),
        (1, "2", messages.REPLAY_MORE_DEVICES_THAN_GPUS, {"devices": 2, "gpus": "1 GPU is"}),
    ],
)  # fmt: skip
def test_too_few_gpus_are_refused_with_the_number_of_devices_that_fits(
    gpus: int, devices: str | None, reason: Reason, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "visible_gpus", lambda: gpus)
    with raises(reason, **fields):
        plan(request(devices), record(4, device="cuda"), pytest.fail)


def test_a_batch_that_cannot_be_divided_and_a_number_that_is_none_are_refused() -> None:
    with raises(messages.REPLAY_BATCH_NOT_DIVISIBLE, devices=3, run_id="ab12", batch_size=8):
        plan(request("3"), record(2), pytest.fail)
    with raises(messages.DEVICES_NOT_A_NUMBER, devices="many"):
        plan(request("many"), record(2), pytest.fail)


class Silent:
    """A console that shows nothing."""

    def _ignore(self, _: Any) -> None:
        return

    warn = say = rank_line = progress = verdict = _ignore


@pytest.fixture
def begun_by_two(tmp_path: Path) -> Path:
    """A folder of runs with the record of a run that two processes started."""
    (tmp_path / "ab12").mkdir()
    writer = RunWriter(tmp_path / "ab12" / "run.db", "ab12")
    started = {"ranks": 2, "run_config": {"device": "cpu", "batch_size": 2}}
    writer.append("started", step=0, branch=0, revision=0, data=started)
    writer.close()
    return tmp_path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize("name", ["ab12", "ab", "latest", "folder"])
def test_every_rank_is_given_the_folder_of_the_run_that_was_found(
    name: str, begun_by_two: Path, alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(supervisor, "run", lambda plan, command, console: started.append((plan, command)) or 6)
    folder = str(begun_by_two / "ab12")
    code = replay_job.replay(request(run=folder if name == "folder" else name, run_dir=begun_by_two), Silent())
    assert (code, started) == (6, [(Plan(2), command_for(folder))])


def test_a_process_of_a_world_replays_in_it_and_starts_none(
    begun_by_two: Path, alone: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "run", pytest.fail)
    alone("RANK", "1")
    alone("WORLD_SIZE", "2")
    with raises(messages.STARTED_AS_RANK, rank=1, size=2, by="torchrun"):
        replay_job.replay(request("2", run_dir=begun_by_two), Silent())
