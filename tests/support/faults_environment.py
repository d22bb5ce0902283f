"""Faults of the machine around a training: disks, locks, signals, processes, clocks."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.support.faulting import (
    STEPS,
    Fault,
    Lab,
    NotTried,
    Row,
    Training,
    at_step,
    bind,
    can_mount,
    children,
    full,
    last_line,
    locked,
    mounted,
    read_only,
    signal_main,
    state_of,
    verify,
)
from tests.support.odd_rows import put
from tests.support.processes import environment
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.paths import RunPaths
from vsrpp.store import Inbox

HOLD_S = 4.0
"""How long a fault lasts that has to last for some time."""


def checkpoints_full_then_room(lab: Lab, row: Row) -> None:
    with lab.train() as run, mounted(run.paths.checkpoints, size="2m"):
        with full(run.paths.checkpoints):
            row.check(run.until_state("waiting"), f"it does not wait: {run.says('❌|finished|failed')}")
            row.said = run.says("waiting at|❌")
        row.code = run.wait(120)
        row.state = state_of(run.paths)
        lab.compare(row, run.paths, resumed=False, sha256=lab.bench.reference())


def checkpoints_full_then_sigterm(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        with mounted(run.paths.checkpoints, size="2m"), full(run.paths.checkpoints):
            row.check(run.until_state("waiting"), f"it does not wait: {run.says('❌|finished|failed')}")
            signal_main(run, signal.SIGTERM)
            run.wait(60)
        row.said = run.says("[Nn]ot saved|❌")
        lab.end(row, run)
        row.check(row.code == 75, f"exits with {row.code}, not 75")


def run_folder_full(lab: Lab, row: Row, *, devices: int = 1) -> None:
    with mounted(lab.folder / "runs"), lab.train(devices=devices) as run:
        run.until(30)
        with full(lab.folder / "runs"):
            row.check(run.until_state("waiting"), f"it does not wait: {last_line(run.output)}")
            stood = at_step(run.paths)
            time.sleep(HOLD_S)
            row.check(at_step(run.paths) == stood, "it trains on without a record")
        row.said = run.says("waiting at|❌")
        lab.end(row, run, devices=devices)
        row.check(row.code == 0, f"exits with {row.code}")


def run_folder_full_for_too_long(lab: Lab, row: Row) -> None:
    with mounted(lab.folder / "runs"), lab.train("--set", "storage_wait_s=3") as run:
        run.until(30)
        with full(lab.folder / "runs"):
            code = run.wait(60)
        row.said = run.says("not saved|❌|full|space")
        row.check(code == 1, f"exits with {code}, not 1")
        lab.end(row, run)


def pictures_full(lab: Lab, row: Row) -> None:
    with lab.train() as run, mounted(run.paths.root / "images", size="4k"):
        with full(run.paths.root / "images"):
            run.wait(120)
        row.said = run.says("picture|image|❌")
        lab.end(row, run)
        row.check(row.code == 0, f"exits with {row.code}")


def pictures_a_file(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        images = run.paths.root / "images"
        run.until(20)
        shutil.rmtree(images, ignore_errors=True)
        images.write_text("not a folder")
        run.wait(120)
        row.said = run.says("picture|image|❌")
        lab.end(row, run)
        row.check(row.code == 0, f"exits with {row.code}")


def record_locked(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        run.until(30)
        with locked(run.paths.run_db):
            row.check(run.until_state("waiting", 30), f"it does not wait: {last_line(run.output)}")
            time.sleep(HOLD_S)
        row.said = run.says("waiting at")
        lab.end(row, run)
        row.check(row.code == 0, f"exits with {row.code}")


def config_file_a_mount_point(lab: Lab, row: Row) -> None:
    with lab.train(max_steps=100_000) as run:
        paths = run.until(10)
        bind(paths.runtime_config, paths.runtime_config)
        try:
            done = lab.vsrpp("set", str(paths.root), "max_lr=2e-4")
            row.said, row.code = last_line(done.stdout or done.stderr), done.returncode
            row.check(done.returncode == 0, f"set exits with {done.returncode}: {last_line(done.stderr)}")
            row.check(lab.vsrpp("stop", str(paths.root)).returncode == 0, "stop is not answered")
            row.check(run.wait(60) == 0, f"the run ends with {run.process.returncode}: {last_line(run.output)}")
        finally:
            subprocess.run(["umount", str(paths.runtime_config)], check=True)
        row.state = state_of(paths)
        lab.replay(row, paths)


def run_folder_read_only(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(30)
        with read_only(paths.root):
            time.sleep(HOLD_S)
            row.check(run.process.poll() is None or run.process.returncode == 0, f"it ends: {last_line(run.output)}")
        row.said = run.says("waiting at|❌|[Rr]ead-only")
        lab.end(row, run)
        row.check(row.code == 0, f"exits with {row.code}")


def run_folder_moved(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(30)
        aside = paths.root.with_name("moved")
        paths.root.rename(aside)
        wait_until(lambda: "wait" in run.output or run.process.poll() is not None, 60)
        row.check(run.process.poll() is None, f"it ends with {run.process.returncode}: {last_line(run.output)}")
        row.check(not paths.root.exists(), "the folder is made again at the old path: two halves")
        row.said = run.says("waiting at|❌")
        shutil.rmtree(paths.root, ignore_errors=True)
        aside.rename(paths.root)
        lab.end(row, run)
        row.check(row.code == 0, f"exits with {row.code}")


def checkpoints_deleted(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(45)
        shutil.rmtree(paths.checkpoints, ignore_errors=True)
        lab.end(row, run)
        row.said = last_line(run.output)
        row.check(row.code == 0, f"exits with {row.code}")


def signalled(number: signal.Signals, code: int, *, devices: int = 1):  # type: ignore[no-untyped-def]
    def act(lab: Lab, row: Row) -> None:
        with lab.train(devices=devices) as run:
            paths = run.until(30)
            signal_main(run, number)
            run.wait(120)
            row.check(run.process.returncode == code, f"exits with {run.process.returncode}, not {code}")
            if code in (0, 75):
                kept = control.checkpoint_steps(paths)[-1]
                row.check(kept > 30 or kept >= at_step(paths), f"its newest checkpoint is {kept}")
            row.said = last_line(run.output)
            lab.end(row, run, devices=devices)

    return act


def rank_killed(lab: Lab, row: Row) -> None:
    with lab.train(devices=2) as run:
        run.until(30)
        ranks = [pid for pid in children(run.process.pid) if _environment(pid).get("RANK") == "1"]
        if not ranks:
            raise NotTried("rank 1 cannot be told by its environment")
        os.kill(ranks[0], signal.SIGKILL)
        row.check(run.wait(90) == 1, f"exits with {run.process.returncode}, not 1")
        row.said = run.says("rank|❌")
        lab.end(row, run, devices=2)


def stopped_and_continued(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        run.until(30)
        signal_main(run, signal.SIGSTOP)
        time.sleep(HOLD_S)
        signal_main(run, signal.SIGCONT)
        lab.end(row, run)
        row.said = last_line(run.output)


def data_worker_killed(lab: Lab, row: Row) -> None:
    with lab.train(num_workers=1, max_steps=STEPS) as run:
        paths = run.until(30)
        workers = _data_workers(run.process.pid)
        if not workers:
            raise NotTried("no data worker found")
        os.kill(workers[0], signal.SIGKILL)
        row.check(run.wait(90) == 1, f"exits with {run.process.returncode}, not 1")
        row.said = run.says("❌|worker")
        row.check(control.checkpoint_steps(paths)[-1] > 30, "it leaves no checkpoint")
        lab.end(row, run)


def validation_failed(lab: Lab, row: Row) -> None:
    metric, trouble = lab.folder / "frail.py", lab.folder / "trouble"
    metric.write_text(
        "from pathlib import Path\nfrom vsrpp.plugins import metric\n\n"
        "@metric(name='frail', label='Frail', lower_is_better=True)\n"
        f"def frail(pred, truth):\n    if Path({str(trouble)!r}).exists():\n"
        "        raise RuntimeError('the metric broke')\n    return 1.0\n"
    )
    with lab.train("--plugin", str(metric)) as run:
        paths = run.until(45)
        trouble.touch()
        row.check(run.wait(90) == 1, f"exits with {run.process.returncode}, not 1")
        row.said = run.says("metric broke|❌")
        row.check(control.checkpoint_steps(paths)[-1] >= 79, "it leaves no checkpoint")
        trouble.unlink()
        lab.end(row, run)


def clock_stepped(lab: Lab, row: Row) -> None:
    """/proc/stat's boot time moves by 5 s, as after an NTP step; in a mount namespace of the command's own."""
    if not can_mount():
        raise NotTried("needs a mount")
    with lab.train(max_steps=100_000) as run:
        paths = run.until(10)
        lines = Path("/proc/stat").read_text().splitlines()
        stepped = lab.folder / "stat"
        moved = [f"btime {int(line.split()[1]) + 5}" if line.startswith("btime") else line for line in lines]
        stepped.write_text("\n".join(moved) + "\n")
        words = f"mount --bind {stepped} /proc/stat && exec {sys.executable} -m vsrpp set {paths.root} max_lr=2e-4"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", words], cwd=lab.folder, env=environment(lab.folder), capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        row.said, row.code = last_line(done.stdout or done.stderr), done.returncode
        row.check(done.returncode == 0, f"set exits with {done.returncode}: {last_line(done.stderr)}")
        _stop_and_replay(lab, row, run, paths)


def clock_behind(lab: Lab, row: Row) -> None:
    with lab.train(max_steps=100_000) as run:
        paths = run.until(30)
        signal_main(run, signal.SIGTERM)
        run.wait(60)
    with lab.resume(paths) as run:
        wait_until(lambda: control.is_live(paths) and at_step(paths) > 40, 60, "the resumed run")
        uid = put(paths.inbox_db, kind="stop", payload="{}", time=time.time() - 3600)
        row.check(run.wait(60) == 0, f"exits with {run.process.returncode}")
        with closing(Inbox(paths.inbox_db)) as inbox:
            answer = inbox.answer_of(f"{uid}")
        row.said, row.code = str(answer or last_line(run.output)), run.process.returncode
        row.state = state_of(paths)
        lab.replay(row, paths)


def flood(lab: Lab, row: Row) -> None:
    with lab.train(max_steps=100_000) as run:
        paths = run.until(20)
        with closing(Inbox(paths.inbox_db)) as inbox:
            for number in range(5000):
                inbox.put("edit", {"changes": {"max_lr": 1e-4 + number * 1e-9}}, origin="cli", author="flood")
        before = at_step(paths)
        wait_until(lambda: at_step(paths) > before + 20 or run.process.poll() is not None, 20, "more steps")
        paused = lab.vsrpp("pause", str(paths.root), "--wait", "10")
        row.said, row.code = last_line(paused.stdout or paused.stderr), paused.returncode
        row.check(paused.returncode == 0, f"pause exits with {paused.returncode}: {last_line(paused.stderr)}")
        signal_main(run, signal.SIGTERM)
        row.check(run.wait(15) == 75, f"exits with {run.process.returncode}, not 75")
        row.state = state_of(paths)
        verify(row, paths)


def inbox_locked(lab: Lab, row: Row) -> None:
    with lab.train(max_steps=100_000) as run:
        paths = run.until(10)
        with locked(paths.inbox_db):
            before = at_step(paths)
            done = lab.vsrpp("set", str(paths.root), "max_lr=2e-4", "--wait", "3")
            row.said, row.code = last_line(done.stderr), done.returncode
            row.check(done.returncode in (1, 5) and "bug" not in done.stderr, f"set says {last_line(done.stderr)}")
            row.check(at_step(paths) > before, "training stands still")
        _stop_and_replay(lab, row, run, paths)


def odd_row(column: str, value: object):  # type: ignore[no-untyped-def]
    def act(lab: Lab, row: Row) -> None:
        with lab.train() as run:
            paths = run.until(20)
            put(paths.inbox_db, **{column: value})
            lab.end(row, run)
            with closing(sqlite3.connect(paths.inbox_db)) as db:
                answer = db.execute("SELECT answer FROM commands").fetchone()[0]
            row.said = answer or "no answer"
            row.check("refused" in row.said, f"it is not refused: {row.said}")
            row.check(row.code == 0, f"exits with {row.code}: {last_line(run.output)}")

    return act


def killed_with_damaged_checkpoints(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(65)
        signal_main(run, signal.SIGKILL)
        run.wait(30)
        for step in control.checkpoint_steps(paths)[-2:]:
            model = paths.checkpoint(step).root / "model.safetensors"
            model.write_bytes(model.read_bytes()[:-100])
        with lab.resume(paths) as again:
            row.check(
                again.wait(120) == 0, f"the resume exits with {again.process.returncode}: {last_line(again.output)}"
            )
            row.said = again.says("damaged|differs|hash|skip|instead")
        row.code, row.state = run.process.returncode, "dead"
        lab.compare(row, paths, resumed=True, sha256=lab.bench.reference())


def server_dead(lab: Lab, row: Row) -> None:
    with lab.train("--deliver-to", "http://127.0.0.1:9") as run:
        lab.end(row, run)
        row.said = run.says("tracking|server|deliver")
        row.check(row.code == 0, f"exits with {row.code}")


def second_trainer(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(10)
        done = lab.vsrpp("train", "--resume", str(paths.root), "--no-panel", "--no-tensorboard")
        row.said = last_line(done.stderr)
        row.check(done.returncode not in (0, 1), f"the second trainer exits with {done.returncode}")
        lab.end(row, run)


def _stop_and_replay(lab: Lab, row: Row, run: Training, paths: RunPaths) -> None:
    row.state = state_of(paths)
    row.check(lab.vsrpp("stop", str(paths.root)).returncode == 0, "stop is not answered")
    row.check(run.wait(60) == 0, f"the run ends with {run.process.returncode}: {last_line(run.output)}")
    lab.replay(row, paths)


def _environment(pid: int) -> dict[str, str]:
    import psutil

    return psutil.Process(pid).environ()


def _data_workers(trainer: int) -> list[int]:
    """The data workers of a trainer: what its fork server forked."""
    import psutil

    below = psutil.Process(trainer).children(recursive=True)
    servers = {child.pid for child in below if "forkserver" in " ".join(child.cmdline())}
    return [child.pid for child in below if child.ppid() in servers]


DISK, SIGNALS, INBOX, CLOCK = "disk and folder", "signals and processes", "commands", "clocks"
FAULTS = [
    Fault("checkpoints/ full to the end, then room", DISK, checkpoints_full_then_room),
    Fault("checkpoints/ full to the end, then SIGTERM", DISK, checkpoints_full_then_sigterm),
    Fault("run folder full for some seconds", DISK, run_folder_full),
    Fault("run folder full for some seconds, two ranks", DISK, lambda lab, row: run_folder_full(lab, row, devices=2)),
    Fault("run folder full for longer than storage_wait_s", DISK, run_folder_full_for_too_long),
    Fault("images/ full", DISK, pictures_full),
    Fault("images/ a file", DISK, pictures_a_file),
    Fault("run.db locked by another writer", DISK, record_locked),
    Fault("runtime_config.json a mount point", DISK, config_file_a_mount_point),
    Fault("run folder read-only for some seconds", DISK, run_folder_read_only),
    Fault("run folder moved and moved back", DISK, run_folder_moved),
    Fault("checkpoints/ deleted while live", DISK, checkpoints_deleted),
    Fault("newest two checkpoints damaged after kill -9", DISK, killed_with_damaged_checkpoints),
    Fault("tracking server never there", DISK, server_dead),
    Fault("SIGHUP (closed terminal)", SIGNALS, signalled(signal.SIGHUP, 75)),
    Fault("SIGUSR1 (Slurm)", SIGNALS, signalled(signal.SIGUSR1, 75)),
    Fault("SIGTERM", SIGNALS, signalled(signal.SIGTERM, 75)),
    Fault("SIGINT", SIGNALS, signalled(signal.SIGINT, 0)),
    Fault("SIGTERM, two ranks", SIGNALS, signalled(signal.SIGTERM, 75, devices=2)),
    Fault("SIGHUP, two ranks", SIGNALS, signalled(signal.SIGHUP, 75, devices=2)),
    Fault("kill -9", SIGNALS, signalled(signal.SIGKILL, -9)),
    Fault("kill -9 of rank 1 of two", SIGNALS, rank_killed),
    Fault("SIGSTOP, SIGCONT", SIGNALS, stopped_and_continued),
    Fault("second trainer on the same run", SIGNALS, second_trainer),
    Fault("data worker killed", SIGNALS, data_worker_killed),
    Fault("validation fails", SIGNALS, validation_failed),
    Fault("inbox row of an unknown kind", INBOX, odd_row("kind", "profile")),
    Fault("inbox row with text for a time", INBOX, odd_row("time", "soon")),
    Fault("inbox row with text for a revision", INBOX, odd_row("base_revision", "seven")),
    Fault("inbox row with a blob for its payload", INBOX, odd_row("payload", b"\x00\xff")),
    Fault("5,000 queued edits", INBOX, flood),
    Fault("inbox.db locked by another process", INBOX, inbox_locked),
    Fault("clock stepped by 5 s", CLOCK, clock_stepped),
    Fault("command's clock an hour behind a resumed run", CLOCK, clock_behind),
]
