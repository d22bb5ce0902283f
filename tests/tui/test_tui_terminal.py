"""On a real pseudo-terminal: the start, the bytes sent, and that the terminal is restored, however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.terminals import ROOT, Terminal
from tests.support.tui_driving import RUN_ID
from tests.support.tui_fakes import FakeRun, half_way

STARTUP_S, IMPORT_S = 0.5, 0.5
"""From Textual imported to the first picture of the run, where importing it takes half a second; both are processor time:
other work on the machine does not count, and a slow machine is slow at both."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    run = half_way(tmp_path / "runs" / RUN_ID).serve()
    yield run.paths.root
    run.close()


def shown(output: bytes) -> bool:
    return b"q Quit" in re.sub(rb"\x1b\[[0-9;]*m", b"", output) and b"fusion.2" in output


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_leaving_restores_the_terminal_and_says_how_to_come_back(folder: Path, key: str) -> None:
    with Terminal(folder) as terminal:
        terminal.read_until(shown)
        terminal.press(key)
        assert terminal.wait() == 0
        assert terminal.left_clean()
        assert f"Left run {RUN_ID}; training goes on. Reopen it: vsrpp top".encode() in terminal.output
        assert terminal.errors() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_restores_the_terminal_too(folder: Path, number: signal.Signals) -> None:
    with Terminal(folder) as terminal:
        terminal.read_until(shown)
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.left_clean()
        assert terminal.errors() == ""


def test_a_fault_restores_the_terminal_and_is_one_line(folder: Path) -> None:
    code = (
        "import sys; from vsrpp.tui import run_watcher, __main__;"
        "run_watcher.SnapshotReader.look = lambda *a, **k: 1 / 0; sys.exit(__main__.main())"
    )
    with Terminal(folder, code=code) as terminal:
        assert terminal.wait() == 1
        assert terminal.left_clean()
        assert "division by zero" in terminal.errors()


def test_a_fault_while_drawing_restores_the_terminal(folder: Path) -> None:
    code = (
        "import sys; from vsrpp.tui import __main__; from vsrpp.tui.pages import overview;"
        "overview.below = lambda *a: 1 / 0; sys.exit(__main__.main())"
    )
    with Terminal(folder, code=code) as terminal:
        assert terminal.wait() == 1
        assert terminal.left_clean()
        assert "division by zero" in terminal.errors()


def test_a_terminal_that_is_gone_ends_it(folder: Path) -> None:
    import os

    with Terminal(folder) as terminal:
        terminal.read_until(shown)
        os.close(terminal.slave)
        os.close(terminal.master)
        terminal.slave = terminal.master = -1
        assert terminal.process.wait(120) is not None


def test_what_is_typed_ahead_lands_where_it_belongs(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / RUN_ID).serve()
    with Terminal(run.paths.root) as terminal:
        terminal.read_until(shown)
        terminal.press("\r13\r3e-4\rtoo fast\r")
        terminal.read_until(lambda out: b"Applied at step" in out)
        terminal.press("\rclip\r0.5\r\rb\x1b[B\r\r")
        terminal.read_until(lambda out: b"Rollback: done" in out)
        terminal.press("q")
        assert terminal.wait() == 0
    run.close()
    assert [(command.payload, command.reason) for command in run.seen] == [
        ({"changes": {"max_lr": 3e-4}}, "too fast"),
        ({"changes": {"grad_clip": 0.5}}, None),
        ({"step": 1000}, None),
    ]


def test_leaving_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / RUN_ID)
    run.deaf = True
    run.serve()
    with Terminal(run.paths.root) as terminal:
        terminal.read_until(shown)
        terminal.press("v")
        terminal.read_until(lambda out: b"requested" in out)
        started = time.monotonic()
        terminal.press("q")
        assert terminal.wait() == 0
        assert time.monotonic() - started < 50.0, "an answer is waited for up to a minute"
    run.close()


def test_it_starts_within_half_a_second_of_textuals_import(folder: Path) -> None:
    code = (
        "import textual.app, textual.containers, textual.screen, textual.widgets._input, textual.drivers.linux_driver;"
        "import sys, time; print(time.time(), time.process_time(), file=sys.stderr, flush=True);"
        "from vsrpp.tui import __main__; sys.exit(__main__.main())"
    )
    with Terminal(folder, code=code) as terminal:
        terminal.read_until(shown)
        at, cpu = time.time(), terminal.cpu_s()
        terminal.press("q")
        terminal.wait()
        began, cpu_before = map(float, terminal.errors().split()[:2])
    print(f"\nfirst picture {at - began:.2f} s after Textual's import, {cpu - cpu_before:.2f} s of them computing")
    assert cpu - cpu_before <= STARTUP_S * max(1.0, cpu_before / IMPORT_S)


def test_no_color_sends_no_colour(folder: Path) -> None:
    with Terminal(folder, NO_COLOR="1") as terminal:
        terminal.read_until(shown)
        terminal.press("\r")
        terminal.read_until(lambda out: b"RUNTIME" in out)
        terminal.press("\x03")
        terminal.wait()
        codes = {code for match in re.findall(rb"\x1b\[([0-9;]*)m", terminal.output) for code in match.split(b";")}
    colours = {
        code for code in codes if code.isdigit() and (30 <= int(code) <= 48 or 90 <= int(code) <= 107) and code != b"39"
    }
    assert colours == set()
    assert b"7" in codes  # the selection stays visible


def test_the_c_locale_gets_ascii_alone(folder: Path) -> None:
    with Terminal(folder, "--lang", "de", LANG="C") as terminal:
        terminal.read_until(lambda out: b"STREAM-UEBERSICHT" in out)
        for key in "2345\r":
            terminal.press(key)
            terminal.read(0.3)
        terminal.press("\x03")
        assert terminal.wait() == 0
        drawn = terminal.output.split(b"\x1b[?1049l")[0]
        assert drawn.isascii()


def test_a_resize_of_the_terminal_is_followed(folder: Path) -> None:
    with Terminal(folder) as terminal:
        terminal.read_until(shown)
        terminal.output = b""
        terminal.resize(120, 40)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.read_until(lambda out: b"Roll back" in out and b"Loss values" in out)
        terminal.press("q")
        assert terminal.wait() == 0


def test_without_a_terminal_it_says_what_to_use_instead(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp.tui", str(folder)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        cwd=ROOT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "vsrpp: standard input is no terminal; for one look in plain text: vsrpp status RUN\n"
    assert done.stdout == ""


def test_a_terminal_without_a_cursor_is_refused(folder: Path) -> None:
    with Terminal(folder, TERM="dumb") as terminal:
        assert terminal.wait() == 2
        assert "TERM=dumb cannot place a cursor" in terminal.errors()


def test_it_loads_neither_torch_nor_mlflow_nor_what_only_checks_need() -> None:
    code = "import sys, vsrpp.tui.app; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=300
    )
    for heavy in ("torch", "mlflow", "numpy", "jsonschema", "yaml", "gradio"):
        assert f"'{heavy}'" not in done.stdout


@pytest.mark.slow
def test_what_it_costs_to_be_attached(tmp_path: Path) -> None:
    """CPU time and bytes over 20 s of a run with 25 steps per second and a row every ten steps."""
    run = FakeRun(tmp_path / "runs" / RUN_ID, max_steps=100_000)
    run.train(5000).validate(30.0).checkpoint(30.0).delivered()
    with Terminal(run.paths.root) as terminal:
        terminal.read_until(shown)
        terminal.read(2.0)
        cpu_before, sent, began = terminal.cpu_s(), 0, time.monotonic()
        for _ in range(20):
            for _ in range(5):
                run.train(10)
                sent += len(terminal.read(0.2))
        seconds = time.monotonic() - began
        cpu = (terminal.cpu_s() - cpu_before) / seconds
        for _ in range(20):  # pending output is drawn first
            still = 0
            for _ in range(4):
                run.say()
                still += len(terminal.read(1.0))
            if not still:
                break
        terminal.press("q")
        assert terminal.wait() == 0
    run.close()
    per_minute = sent * 60 / seconds / 1000
    print(f"\nattached: {cpu:.1%} of a core, {per_minute:.0f} kB a minute; {still} B in 4 s of standing still")
    assert still == 0
    assert cpu < 0.1
    assert sent * 60 / seconds < 100_000
