"""An invalid combination of processes is refused with one line before any process starts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment, train_command
from vsrpp.cli import main
from vsrpp.distributed import timeouts
from vsrpp.launch import plan as launch
from vsrpp.launch import supervisor
from vsrpp.launch.request import RankCommand


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "visible_gpus", lambda: 0)
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", timeouts.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(supervisor, "run", lambda plan, command, console: pytest.fail(f"started {plan}"))


def line(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    assert said.out == ""
    (only,) = said.err.splitlines()
    return only


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--devices", "0"], "--devices 0 refused"),
        (["--devices", "many"], "--devices many refused"),
        (["--devices", "-2"], "--devices -2 refused"),
        (["--nodes", "0"], "at least one host"),
        (["--nodes", "2"], "needs --rendezvous HOST:PORT"),
        (["--nodes", "2", "--rendezvous", "localhost"], "must be HOST:PORT"),
        (["--nodes", "2", "--rendezvous", "localhost:99999"], "port from 1 to 65535"),
        (["--nodes", "2", "--rendezvous", "no.such.host.invalid:29500"], "cannot be resolved"),
        (["--nodes", "2", "--rendezvous", "localhost:29500", "--node-rank", "2"], "ranks are 0 to 1"),
        (["--nodes", "3", "--rendezvous", "192.0.2.1:29500"], "--node-rank is missing"),
        (["--devices", "2", "--node-rank", "1"], "there is only one host"),
        (["--devices", "2", "--rendezvous", "localhost:29500"], "give --nodes too"),
        (["--devices", "2", "--max-restarts", "-1"], "--max-restarts -1 refused"),
        (["--devices", "1", "--max-restarts", "3"], "is for several processes"),
        (["--devices", "2", "--check"], "--check tries the run in one process"),
        (["--devices", "2", "--set", "batch_size=3"], "cannot be divided equally among them. Use batch_size=4 or 2."),
        (["--devices", "4", "--set", "batch_size=2"], "Use batch_size=4."),
        (["--devices", "2", "--set", "batch_size=2", "--set", "device=cuda"], "there is no CUDA device here"),
        (["--devices", "2", "--data", "/no/such/clip"], "/no/such/clip"),
    ],
)  # fmt: skip
def test_a_wrong_combination_is_one_line_and_an_exit_code(
    words: list[str], part: str, tiny_clip: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    start = ["train", "--preset", "demo", *([] if "--data" in words else ["--data", str(tiny_clip)])]
    assert main([*start, *words]) in {2, 3}
    assert part in line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_more_devices_than_gpus_is_refused_and_says_how_many_there_are(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "visible_gpus", lambda: 2)
    assert main([*train_command(tiny_clip, batch_size=4), "--devices", "4"]) == 2
    assert "2 GPUs are visible here, one for each process: --devices 2" in line(capsys)


@pytest.mark.parametrize(
    ("env", "who"),
    [
        ({"RANK": "1", "WORLD_SIZE": "4"}, "process 1 of 4 that torchrun started"),
        ({"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_JOB_NODELIST": "n[1-4]"}, "that Slurm started"),
    ],
)  # fmt: skip
def test_a_process_of_a_world_starts_no_world_of_its_own(
    env: dict[str, str], who: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "--devices", "2"]) == 2
    assert who in line(capsys)


def test_a_rendezvous_port_that_is_taken_here_is_refused(tiny_clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = ["--nodes", "2", "--rendezvous", f"localhost:{port}"]
        assert main([*train_command(tiny_clip, batch_size=2), *words]) == 2
    assert f"port {port} is not available here" in line(capsys)


@pytest.mark.parametrize("said", ["soon", "0", "-3", "nan", "inf"])
def test_a_timeout_that_is_no_time_is_refused(
    said: str, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(timeouts.VARIABLE, said)
    assert main([*train_command(tiny_clip, batch_size=2), "--devices", "2"]) == 2
    assert f"{timeouts.VARIABLE} = {said} refused" in line(capsys)


def test_what_is_right_is_started_with_the_words_that_were_given(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(supervisor, "run", lambda plan, command, console: started.append((plan, command)) or 75)
    monkeypatch.setattr(launch, "visible_gpus", lambda: 4)
    words = [*train_command(tiny_clip, batch_size=8), "--devices", "auto", "--max-restarts", "2"]
    assert main(words) == 75
    command = RankCommand(module="vsrpp.cli", arguments=tuple(words))
    assert started == [(launch.Plan(4, max_restarts=2), command)]
    words = [
        *train_command(tiny_clip, batch_size=8),
        "--devices",
        "2",
        "--nodes",
        "2",
        "--rendezvous",
        "localhost:29511",
    ]
    assert main([*words, "--node-rank", "1"]) == 75
    assert started[-1][0] == launch.Plan(2, 2, 1, ("localhost", 29511))
    assert list(started[-1][0].ranks) == [2, 3]


def test_the_rendezvous_host_is_number_0_and_the_other_of_two_is_1() -> None:
    assert launch.node_rank(None, 2, ("127.0.0.1", 29500)) == 0
    assert launch.node_rank(None, 2, (socket.gethostname(), 29500)) == 0
    assert launch.node_rank(None, 2, ("192.0.2.1", 29500)) == 1


def test_a_refusal_needs_no_torch(tmp_path: Path, tiny_clip: Path) -> None:
    words = ["train", "--preset", "demo", "--data", str(tiny_clip), "--devices", "2", "--set", "batch_size=3"]
    code = (
        "import json, sys; from vsrpp.cli import main; print(json.dumps([main(sys.argv[1:]), 'torch' in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert json.loads(done.stdout) == [2, False], done.stderr
    assert "batch_size = 3 refused" in done.stderr
