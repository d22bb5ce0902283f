"""Standard output that cannot be written is one line and exit 1, for every command; a closed pipe is quiet and exits 141."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.made_runs import MadeRun, made_run
from tests.support.processes import environment
from vsrpp.cli import CLOSED_PIPE, main, messages
from vsrpp.cli.console import Console
from vsrpp.launch import train_job
from vsrpp.launch.request import TrainRequest
from vsrpp.output import announce, standard_streams

FULL = f"vsrpp: {messages.OUTPUT_LOST.sentence(why='No space left on device')}\n"
COMMANDS = [
    ["runs", "--local"],
    ["history", "latest", "--json"],
    ["status", "latest", "--json"],
    ["data", "sample"],
    ["completion", "bash"],
    ["--help"],
    ["set", "latest", "max_lr=1", "--dry-run", "--json"],
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> MadeRun:
    return made_run(tmp_path_factory.mktemp("lost") / "runs")


def command(run: MadeRun, words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    """`vsrpp` in a shell, with a redirection."""
    folder = run.root.parent.parent
    return subprocess.run(
        ["bash", "-c", f'"$0" -m vsrpp "$@" {redirection}', sys.executable, *words], cwd=folder, env=environment(folder),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_line_and_exit_1(words: list[str], run: MadeRun) -> None:
    done = command(run, words, "> /dev/full")
    assert done.returncode == 1
    *refusal, lost = done.stderr.splitlines(keepends=True)
    assert lost == FULL
    assert bool(refusal) == (words[0] == "set")


@pytest.mark.parametrize("words", COMMANDS[:4], ids=" ".join)
def test_a_closed_pipe_is_quiet(words: list[str], run: MadeRun) -> None:
    folder = run.root.parent.parent
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp", *words], cwd=folder, env=environment(folder), stdout=writer,
        stderr=subprocess.PIPE, timeout=120,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (CLOSED_PIPE, b"")


def test_standard_error_that_cannot_be_written_changes_nothing(run: MadeRun) -> None:
    done = command(run, ["status", "nope"], "2> /dev/full")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_a_document_is_not_printed_elsewhere_if_standard_output_is_closed(run: MadeRun) -> None:
    done = command(run, ["status", "latest", "--json"], ">&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Standard output is a full disk."""
    with Path("/dev/full").open("w") as full, contextlib.redirect_stdout(full):
        yield


def test_a_training_outlives_its_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[int] = []

    def trained(_: TrainRequest, console: Console, *, has_terminal: bool) -> int:
        for step in range(3):
            console.say(f"step {step}")
            said.append(step)
        return 0

    monkeypatch.setattr(train_job, "train", trained)
    with full_disk():
        assert main(["train"]) == 0
    assert (said, capsys.readouterr().err) == ([0, 1, 2], FULL)
    with full_disk():
        assert main(["train", "--check"]) == 1, "a dry run that shows nothing has failed"


def test_a_server_tells_its_address_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with full_disk(), standard_streams() as streams:
        announce("Panel: http://localhost:5050/")
        assert streams.lost() is not None
    assert capsys.readouterr().err == "Panel: http://localhost:5050/\n"
