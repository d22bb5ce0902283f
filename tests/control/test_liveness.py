"""Whether a run's process is alive does not depend on the clock."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vsrpp import control
from vsrpp.store import RunReader, RunWriter


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.wait()


def stepped_by(seconds: float) -> dict[str, Any]:
    """This process's identity, as it stands on record after the clock was stepped: every wall-clock time is off."""
    identity = control.process_identity()
    return {**identity, "started": identity["started"] + seconds}


@pytest.mark.parametrize("seconds", [5.0, -5.0, 3600.0, -86400.0])
def test_a_stepped_clock_leaves_a_live_run_live(tmp_path: Path, seconds: float) -> None:
    writer = RunWriter(tmp_path / "run.db", "run")
    writer.set_state({"state": "training", "process": stepped_by(seconds)})
    with RunReader(tmp_path / "run.db") as reader:
        assert control.run_state(reader) == "training"
    writer.close()


def test_a_process_is_alive_until_it_ends(process: subprocess.Popen[bytes]) -> None:
    identity = control.process_identity(process.pid)
    assert identity["pid"] == process.pid and control.process_alive(identity)
    process.kill()
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is None:
        pass
    assert not control.process_alive(identity), "a zombie is not alive"
    process.wait()
    assert not control.process_alive(identity)


@pytest.mark.parametrize(
    "changed",
    [{"ticks": 1}, {"boot": "00000000-0000-0000-0000-000000000000"}, {"host": "elsewhere"}, {"pid": 2**22 + 1}],
)
def test_another_process_with_the_same_number_is_told_apart(changed: dict[str, Any]) -> None:
    assert not control.process_alive({**control.process_identity(), **changed})


def test_a_record_of_an_older_version_is_told_by_its_start_time() -> None:
    identity = control.process_identity()
    older = {key: identity[key] for key in ("host", "pid", "started")}
    assert control.process_alive(older)
    assert not control.process_alive({**older, "started": older["started"] - 60})
