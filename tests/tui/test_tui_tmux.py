"""End to end in a real terminal: a real training in one tmux window, the terminal UI in another."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAIN = (
    "train --preset demo --data sample --no-panel --no-tensorboard --max-steps 1000000 --set n_feats=4 --set n_blocks=1"
    " --set crop_size=32 --set batch_size=1 --set num_frames=2 --set torch_threads=1 --set validate_every=5000"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Tmux:
    """A separate tmux server; every window is 80×24."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "tmux.sock")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "VSRPP_", "TMUX"))},
            "PYTHONPATH": str(ROOT), "VSRPP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "TERM": "xterm-256color",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def do(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-u", "-S", self.socket, *words], capture_output=True, text=True, env=self.environment,
            cwd=self.folder, check=True, timeout=120,
        ).stdout  # fmt: skip

    def start(self, name: str, command: str) -> int:
        """Run a command in a detached session; returns the process ID of the command."""
        self.do("-f", "/dev/null", "new-session", "-d", "-s", name, "-x", "80", "-y", "24", f"exec {command}")
        return int(self.do("list-panes", "-t", name, "-F", "#{pane_pid}"))

    def keys(self, name: str, *keys: str) -> None:
        self.do("send-keys", "-t", name, *keys)

    def screen(self, name: str) -> str:
        return self.do("capture-pane", "-p", "-t", name)

    def shows(self, name: str, *texts: str, timeout_s: float = 180.0) -> str:
        _until(lambda: all(text in self.screen(name) for text in texts), timeout_s, lambda: self.screen(name))
        return self.screen(name)


def _until(condition: Callable[[], Any], timeout_s: float, told: Callable[[], str] = str) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
    return found


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    yield server
    pids = subprocess.run(
        ["tmux", "-S", server.socket, "list-panes", "-a", "-F", "#{pane_pid}"], capture_output=True, text=True
    ).stdout.split()
    for pid in map(int, pids):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    subprocess.run(["tmux", "-S", server.socket, "kill-server"], capture_output=True)


def test_a_rate_set_by_hand_in_a_real_training_then_detach_kill_reattach(tmux: Tmux) -> None:
    python = sys.executable
    trainer = tmux.start("train", f"{python} -m vsrpp {TRAIN} > train.log 2>&1")
    run = _until(
        lambda: next((path.parent for path in (tmux.folder / "runs").glob("*/runtime_config.json")), None), 300,
        lambda: (tmux.folder / "train.log").read_text(),
    )  # fmt: skip
    face = tmux.start("face", f"{python} -m vsrpp.tui {run}")
    tmux.shows("face", "● training", "STREAM OVERVIEW", "fusion.")

    tmux.keys("face", "Enter")
    tmux.shows("face", "RUNTIME CONFIGURATION")
    tmux.keys("face", "13", "Enter")
    tmux.shows("face", "13. Max learning rate")
    tmux.keys("face", "3e-4", "Enter", "Enter")
    applied = tmux.shows("face", "✔ Applied at step", "revision 1: max_lr 1.00e-03 → 3.00e-04")
    step = int(applied.split("✔ Applied at step ")[1].split(",")[0])
    (edit,) = [event for event in _history(run, tmux) if event["type"] == "config_applied"]
    assert (edit["origin"], edit["step"], edit["revision"]) == ("terminal", step, 1)
    assert edit["data"]["changes"] == [{"key": "max_lr", "old": 1e-3, "new": 3e-4}]

    os.kill(face, signal.SIGKILL)
    _until(lambda: "face" not in tmux.do("list-sessions"), 180)
    os.kill(trainer, 0)
    tmux.start("again", f"{python} -m vsrpp.tui {run} --lang de")
    seen = tmux.shows("again", "● trainiert", "Revision 1", "STREAM-ÜBERSICHT (Durchschnitt)")
    tmux.keys("again", "p")
    tmux.shows("again", "‖ pausiert", "✔ Pause: erledigt bei Schritt")

    tmux.do("kill-session", "-t", "again")
    os.kill(trainer, 0)
    tmux.start("third", f"{python} -m vsrpp.tui {run}")
    tmux.shows("third", "‖ paused", "config applied max_lr 1.00e-03 → 3.00e-04")
    stood = _steady(tmux, "third")
    tmux.do("resize-window", "-t", "third", "-x", "60", "-y", "20")
    tmux.shows("third", "x Stop", "? Help", "q Quit")
    tmux.do("resize-window", "-t", "third", "-x", "80", "-y", "24")
    _until(lambda: _cells(tmux.screen("third")) == stood, 180, lambda: f"{stood}\n{tmux.screen('third')}")
    tmux.keys("third", "x")
    tmux.shows("third", "Stop this run?")
    tmux.keys("third", "y")
    tmux.shows("third", "■ stopped", "✔ Stop: done")
    _until(lambda: "train:" not in tmux.do("list-sessions").split(), 300)
    origins = {
        event["type"]: event["origin"] for event in _history(run, tmux) if event["type"] in ("paused", "stopped")
    }
    assert origins == {"paused": "terminal", "stopped": "terminal"}
    assert "Regelung" in seen


def _cells(screen: str) -> list[str]:
    """The part of the screen that does not change while a run is paused: all but the header and the message."""
    return [row.rstrip() for row in screen.splitlines()[2:9]]


def _steady(tmux: Tmux, name: str) -> list[str]:
    """The screen, once it has been unchanged for three seconds, so that everything is read and drawn."""
    seen: list[list[str]] = []

    def stands() -> bool:
        seen.append(_cells(tmux.screen(name)))
        time.sleep(1.0)
        return len(seen) > 3 and all(cells == seen[-1] for cells in seen[-4:])

    _until(stands, 180, lambda: "\n".join(map(str, seen[-4:])))
    return seen[-1]


def _history(run: Path, tmux: Tmux) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp", "history", str(run), "--json"], capture_output=True, text=True, check=True,
        env=tmux.environment, cwd=tmux.folder, timeout=300,
    )  # fmt: skip
    return list(json.loads(done.stdout))
