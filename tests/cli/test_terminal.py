"""What the command line prints, in a real terminal (tmux) and without one."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from vsrpp.output import Column, print_table, say

ROOT = Path(__file__).resolve().parents[2]

PROGRESS = """
import sys, time
from itertools import count
from pathlib import Path
from vsrpp.cli import console
from vsrpp.training.status import TrainingProgress
shown = console.Console()
shown.say("begins")
enough = Path(sys.argv[1])
for step in count(1):
    shown.progress(TrainingProgress(step=step, max_steps=100000, state="training", phase="stable",
        loss=0.00393, lr=1e-3, steps_per_s=12.79, eta_s=7790.0, psnr_y=43.12, bicubic_psnr_y=41.0))
    if step % 20 == 0:
        shown.say(f"message {step}")
    if step % 20 == 0 and enough.exists():
        break
    time.sleep(0.02)
shown.end_progress()
print("ended")
if len(sys.argv) > 2:
    sys.stdin.read()  # keeps the window open
"""


class Tmux:
    """A separate tmux server, with one window in which one process runs."""

    def __init__(self, command: list[str], columns: int, rows: int) -> None:
        self._name = f"vsrpp-{uuid.uuid4().hex[:8]}"
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TMUX", "COLUMNS", "LINES")}
        env |= {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        start = ["new-session", "-d", "-x", str(columns), "-y", str(rows), *command]
        subprocess.run(["tmux", "-L", self._name, "-f", "/dev/null", *start], check=True, env=env, timeout=20)

    def _call(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-L", self._name, *words], check=True, capture_output=True, text=True, timeout=20
        ).stdout  # fmt: skip

    def lines(self) -> list[str]:
        """All that was printed, scrollback included, without empty lines."""
        return [line for line in self._call("capture-pane", "-p", "-S", "-1000").splitlines() if line.strip()]

    def resize(self, columns: int) -> None:
        self._call("resize-window", "-x", str(columns), "-y", "24")

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._name, "kill-server"], check=False, capture_output=True, timeout=20)


@pytest.fixture
def progress(tmp_path: Path) -> Iterator[Tmux]:
    script = tmp_path / "progress.py"
    script.write_text(PROGRESS)
    terminal = Tmux([sys.executable, str(script), str(tmp_path / "enough"), "stay"], 80, 24)
    yield terminal
    terminal.close()


def steps(terminal: Tmux) -> list[str]:
    return [line for line in terminal.lines() if "step " in line or "steps/s" in line]


def messages(terminal: Tmux) -> list[str]:
    return [line for line in terminal.lines() if line.startswith("message ")]


@pytest.mark.slow
def test_the_progress_line_leaves_nothing_behind_at_80_columns_nor_after_a_resize(
    progress: Tmux, tmp_path: Path
) -> None:
    wait_until(lambda: "message 60" in progress.lines())
    assert len(steps(progress)) <= 1, progress.lines()
    for columns in (50, 120, 80):
        progress.resize(columns)
        said = len(messages(progress))
        wait_until(lambda before=said: len(messages(progress)) > before + 1, what="lines drawn at the new width")
        (line,) = wait_until(lambda: found if len(found := steps(progress)) == 1 else None, what="one progress line")
        assert len(line) < columns, progress.lines()
    (tmp_path / "enough").touch()
    wait_until(lambda: "ended" in progress.lines())
    said = len(messages(progress))
    assert progress.lines() == ["begins", *(f"message {20 * n}" for n in range(1, said + 1)), "ended"]


OVER = """
import subprocess, sys
from vsrpp.output import LiveLine
LiveLine().draw("progress of another process", 0.5)
said = "from vsrpp.output import say_over; say_over('a warning', stderr=True)"
subprocess.run([sys.executable, "-c", said], check=True)
LiveLine().draw("progress again", 0.5)
sys.stdin.read()
"""


def test_what_another_process_says_takes_the_place_of_the_progress_line() -> None:
    terminal = Tmux([sys.executable, "-c", OVER], 80, 24)
    try:
        warning, progress = wait_until(
            lambda: lines if "progress again" in "".join(lines := terminal.lines()) else None
        )
    finally:
        terminal.close()
    assert warning == "a warning"
    assert progress.endswith("progress again")


PARSED = {"ui/jobs.py"}
"""Reads the output of commands, and so knows carriage returns."""


def test_no_source_file_spells_a_terminal_s_control_characters() -> None:
    files = [*ROOT.glob("vsrpp/**/*.py"), *ROOT.glob("ui/**/*.py"), *ROOT.glob("scripts/*")]
    for file in files:
        if not file.is_file() or str(file.relative_to(ROOT)) in PARSED:
            continue
        text = file.read_text(encoding="utf-8")
        if file.suffix != ".py" and not text.startswith("#!/usr/bin/env python"):
            assert not re.search(r"\\(?:033|e|x1b)\[|\\r\b", text), file
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not set(node.value) & set("\x1b\x9b\r\b"), f"{file}, line {node.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "dumb", "NO_COLOR": "1"}], ids=["dumb", "no colour"])
def test_a_dumb_terminal_gets_plain_lines(env: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "progress.py"
    script.write_text(PROGRESS)
    command = f"{sys.executable} {script} {script}"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip
    assert "\x1b" not in done.stdout
    assert done.stdout.replace("\r\n", "\n").splitlines()[0] == "begins"
    assert "step 1/100000  stable" in done.stdout
    assert "\r" not in done.stdout.replace("\r\n", "")


def test_what_people_and_files_say_is_neither_markup_nor_control(capsys: pytest.CaptureFixture[str]) -> None:
    say("[red]name[/red] :smile: \x1b[2J\x1b]0;title\x07 \u202eabc \x9b2J")
    assert capsys.readouterr().out == "[red]name[/red] :smile: \\x1b[2J\\x1b]0;title\\x07 \\u202eabc \\x9b2J\n"


def test_a_table_without_a_terminal_is_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        [Column(title="RUN"), Column(title="STEP", right=True), Column(title="NAME")],
        [["a" * 90, "7", "[b]x[/b]" * 30]],
    )
    title, row = capsys.readouterr().out.splitlines()
    assert title.split() == ["RUN", "STEP", "NAME"]
    assert row == f"{'a' * 90}     7  {'[b]x[/b]' * 30}"


def test_numbers_are_aligned_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Column(title="RUN"), Column(title="STEP", right=True, keep=True)], [["a", "7"], ["b", "123456"]])
    assert capsys.readouterr().out == "RUN    STEP\na         7\nb    123456\n"


def test_a_long_line_is_never_broken_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("/a/long/path " * 40, hang=4)
    assert capsys.readouterr().out.count("\n") == 1
