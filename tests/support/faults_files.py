"""Faults of files: a damaged record, checkpoint or sample, a config that is no file, data that moved."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.support.clips import piece, write_frames
from tests.support.faulting import (
    STEPS,
    Fault,
    Lab,
    Row,
    at_step,
    final_weights,
    last_line,
    one_line,
    signal_main,
    state_of,
    verify,
)
from vsrpp import control
from vsrpp.paths import RunPaths


def finished(lab: Lab) -> RunPaths:
    """A copy of the undisturbed run's folder, for faults that need an ended run."""
    lab.bench.reference()
    made = next((lab.bench.folder / "undisturbed-1" / "runs").glob("*/run.db")).parent
    copy = lab.folder / "runs" / made.name
    shutil.copytree(made, copy)
    return RunPaths(copy)


# ---- the record
def record_alone(lab: Lab, row: Row) -> None:
    paths = finished(lab)
    whole = len(control.history(paths))
    for rest in paths.root.glob("*.db-*"):
        rest.unlink()
    row.said = f"{whole} events, run.db of {paths.run_db.stat().st_size:,} bytes"
    verify(row, paths)
    row.check(len(control.history(paths)) == whole, "run.db alone lacks events")
    row.state, row.code = state_of(paths), 0


def backup_of_a_live_run(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(45)
        target = lab.folder / "copy.tar"
        done = lab.vsrpp("backup", str(paths.root), str(target))
        row.said = last_line(done.stdout or done.stderr)
        row.check(done.returncode == 0, f"backup exits with {done.returncode}: {last_line(done.stderr)}")
        run.wait(120)
    if not target.is_file():
        return
    with tarfile.open(target) as tar:
        tar.extractall(lab.folder / "elsewhere", filter="data")
    copy = RunPaths(next((lab.folder / "elsewhere").rglob("run.db")).parent)
    row.state = state_of(copy)
    with lab.resume(copy) as again:
        row.code = again.wait(120)
        row.check(row.code == 0, f"the resume exits with {row.code}: {last_line(again.output)}")
    lab.compare(row, copy, resumed=True, sha256=lab.bench.reference())


def damaged_record(damage: Callable[[RunPaths], None]) -> Callable[[Lab, Row], None]:
    def act(lab: Lab, row: Row) -> None:
        healthy = finished(lab)
        broken = RunPaths(healthy.root.with_name("0" * 32))
        shutil.copytree(healthy.root, broken.root)
        damage(broken)
        one_line(row, lab.vsrpp("status", str(broken.root)), (0, 1, 3))
        one_line(row, lab.vsrpp("history", "--verify", str(broken.root)), (0, 6))
        one_line(row, lab.vsrpp("train", "--resume", str(broken.root), "--no-panel", "--no-tensorboard"), (1, 2, 3))
        there = lab.vsrpp("runs", "--local")
        row.check(healthy.run_id in there.stdout and there.returncode == 0, "`runs` does not list the healthy run")
        by_id = lab.vsrpp("status", healthy.run_id)
        row.check(by_id.returncode == 0, f"status of the healthy run says {last_line(by_id.stderr)}")

    return act


def random_bytes(paths: RunPaths) -> None:
    paths.run_db.write_bytes(np.random.default_rng(0).bytes(20_000))


def flipped_header(paths: RunPaths) -> None:
    _overwrite(paths.run_db, 0, b"\xff" * 16)


def flipped_body(paths: RunPaths) -> None:
    size = paths.run_db.stat().st_size
    for at in range(4096, size, 4096):
        _overwrite(paths.run_db, at, b"\xff" * 64)


def cut_short(paths: RunPaths) -> None:
    os.truncate(paths.run_db, paths.run_db.stat().st_size // 2)


def damaged_delivery(paths: RunPaths) -> None:
    paths.delivery_db.write_bytes(b"no database" * 1000)
    random_bytes(paths)


def damaged_inbox(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(30)
        signal_main(run, signal.SIGTERM)
        run.wait(60)
        paths.inbox_db.write_bytes(b"no database" * 1000)
        with lab.resume(paths) as again:
            row.code = again.wait(120)
            row.said = again.says("inbox")
            row.check(row.code == 0, f"the resume exits with {row.code}: {last_line(again.output)}")
        row.state = "stopped"
        lab.compare(row, paths, resumed=True, sha256=lab.bench.reference())


def _overwrite(file: Path, at: int, what: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(what)


# ---- checkpoints
def damaged_checkpoint(damage: Callable[[Path], None], code: int | tuple[int, ...]) -> Callable[[Lab, Row], None]:
    def act(lab: Lab, row: Row) -> None:
        paths = finished(lab)
        folder = paths.checkpoint(STEPS).root
        damage(folder)
        done = lab.vsrpp(
            "train", "--from", str(folder), "--no-panel", "--no-tensorboard", "--max-steps", "1", timeout_s=60
        )
        one_line(row, done, code)
        row.check(len(list((lab.folder / "runs").iterdir())) == 1, "it makes a run folder first")

    return act


def empty_manifest(folder: Path) -> None:
    _rewrite(folder / "manifest.json", lambda manifest: manifest.update(files={}))


def list_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


def cut_state(folder: Path) -> None:
    _with_hash(folder, "training_state.pt", (folder / "training_state.pt").read_bytes()[:-2000])


def hostile_state(folder: Path) -> None:
    """A pickle that would run a command: it must be refused, and nothing may run."""
    marker = folder.parent / "PWNED"
    _with_hash(folder, "training_state.pt", f"cos\nsystem\n(S'touch {marker}'\ntR.".encode())


def not_a_number(folder: Path) -> None:
    from safetensors.numpy import load_file, save

    for name in ("model.safetensors", "model_ema.safetensors"):
        tensors = {key: value.copy() for key, value in load_file(folder / name).items()}
        next(iter(tensors.values())).flat[0] = np.nan
        _with_hash(folder, name, save(tensors))


def _rewrite(file: Path, change: Callable[[dict[str, object]], None]) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def _with_hash(folder: Path, name: str, content: bytes) -> None:
    """Replace a file of a checkpoint and its hash in the manifest."""
    import hashlib

    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name].update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (folder / "manifest.json").write_text(json.dumps(manifest))


def last_checkpoint_gone(lab: Lab, row: Row) -> None:
    paths = finished(lab)
    shutil.rmtree(paths.checkpoint(STEPS).root)
    row.state = state_of(paths)
    with lab.resume(paths) as again:
        row.code = again.wait(120)
        row.said = again.says("checkpoint")
        row.check(row.code == 0, f"the resume exits with {row.code}: {last_line(again.output)}")
    lab.compare(row, paths, resumed=True, sha256=lab.bench.reference())


# ---- data and configs
def clip_of_frames(lab: Lab) -> Path:
    folder = lab.folder / "frames"
    for name in ("one", "two", "three"):
        write_frames(folder / name, piece(16, start=len(name) * 20))
    return folder


def unreadable_sample(lab: Lab, row: Row, *, workers: int = 0) -> None:
    data = clip_of_frames(lab)
    bad = data / "two" / "00000005.png"
    bad.write_bytes(bad.read_bytes()[:200])
    with lab.train("--set", "reading=originals", data=data, num_workers=workers) as run:
        run.wait(120)
        paths = run.paths
        row.said = run.says(bad.name)
        row.check(bad.name in run.output, "it does not name the file")
        row.code, row.state = run.process.returncode, state_of(paths)
        row.check(row.code == 0, f"exits with {row.code}: {last_line(run.output)}")
    lab.replay(row, paths)
    found = lab.vsrpp("data", str(data), "--read-all")
    row.check(found.returncode != 0 and bad.name in found.stdout + found.stderr, "--read-all does not find it")


def data_moved(lab: Lab, row: Row) -> None:
    data = lab.folder / "here"
    shutil.copytree(lab.bench.data, data) if lab.bench.data.is_dir() else _copy_clip(lab.bench.data, data)
    with lab.train(data=data) as run:
        paths = run.until(30)
        signal_main(run, signal.SIGTERM)
        row.code = run.wait(60)
        row.state = state_of(paths)
        there = data.rename(lab.folder / "there")
        with lab.resume(paths) as again:
            row.check(again.wait(60) != 0, "it resumes without the data")
            row.said = last_line(again.output)
            row.check("--data" in row.said, "the refusal does not name --data")
        with lab.resume(paths, "--data", str(there)) as again:
            row.check(
                again.wait(120) == 0, f"the resume exits with {again.process.returncode}: {last_line(again.output)}"
            )
        lab.replay(row, paths, "--data", str(there))


def _copy_clip(file: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(file, folder)


def config_that_is_no_file(lab: Lab, row: Row) -> None:
    pipe = lab.folder / "pipe.yaml"
    os.mkfifo(pipe)
    for odd in (pipe, Path("/dev/zero"), lab.folder):
        words = ["train", "--data", "sample", "--config", str(odd), "--no-panel", "--no-tensorboard"]
        try:
            one_line(row, lab.vsrpp(*words, timeout_s=60), (2, 3))
        except subprocess.TimeoutExpired:
            row.check(False, f"{odd} is read for ever")


def saved_config_odd(lab: Lab, row: Row) -> None:
    with lab.train(max_steps=100_000) as run:
        paths = run.until(20)
        for odd in (b"\xff\xfe", b"[1]", b'{"max_lr": NaN}', b'{"max_lr": "\\ud800"}', b"{" * 5000, b"0" * 2_000_000):
            before = at_step(paths)
            paths.runtime_config.write_bytes(odd)
            _until_more(lab, run, paths, before)
        done = lab.vsrpp("set", str(paths.root), "max_lr=2e-4")
        row.check(done.returncode == 0, f"set exits with {done.returncode}")
        row.said = run.says("refused|runtime_config")
        row.check(lab.vsrpp("stop", str(paths.root)).returncode == 0, "stop is not answered")
        row.code, row.state = run.wait(60), state_of(paths)
        lab.replay(row, paths)


def edit_that_ends_the_run(lab: Lab, row: Row) -> None:
    with lab.train() as run:
        paths = run.until(40)
        done = lab.vsrpp("set", str(paths.root), "max_steps=30")
        one_line(row, done, 2)
        row.check("--yes" in done.stderr, "the refusal does not name --yes")
        lab.vsrpp("set", str(paths.root), "max_steps=30", "--yes")
        row.check(run.wait(60) == 0, f"exits with {run.process.returncode}")
        row.state = state_of(paths)
        with lab.resume(paths, "--set", f"max_steps={STEPS}") as again:
            row.check(
                again.wait(120) == 0, f"the resume exits with {again.process.returncode}: {last_line(again.output)}"
            )
        row.check(final_weights(paths).startswith(f"{STEPS}:"), "it does not reach the raised max_steps")
        lab.replay(row, paths)


def _until_more(lab: Lab, run: object, paths: RunPaths, before: int) -> None:
    from tests.support.waiting import wait_until

    del lab, run
    wait_until(lambda: at_step(paths) > before, 30, "another step")


RECORD, CHECKPOINTS, DATA = "the record", "checkpoints", "data and configs"
FAULTS = [
    Fault("run.db alone, without -wal", RECORD, record_alone),
    Fault("backup of a live run, resumed elsewhere", RECORD, backup_of_a_live_run),
    Fault("run.db of random bytes", RECORD, damaged_record(random_bytes)),
    Fault("run.db with a damaged header", RECORD, damaged_record(flipped_header)),
    Fault("run.db with damaged pages", RECORD, damaged_record(flipped_body)),
    Fault("run.db cut short", RECORD, damaged_record(cut_short)),
    Fault("delivery.db and run.db no databases", RECORD, damaged_record(damaged_delivery)),
    Fault("inbox.db no database at a resume", RECORD, damaged_inbox),
    Fault("finished run without its last checkpoint", CHECKPOINTS, last_checkpoint_gone),
    Fault("manifest that names no file", CHECKPOINTS, damaged_checkpoint(empty_manifest, (2, 6))),
    Fault("manifest that is a list", CHECKPOINTS, damaged_checkpoint(list_manifest, (2, 3, 6))),
    Fault("training_state.pt cut short", CHECKPOINTS, damaged_checkpoint(cut_state, (2, 6))),
    Fault("training_state.pt that runs a command", CHECKPOINTS, damaged_checkpoint(hostile_state, (2, 6))),
    Fault("weights with NaN", CHECKPOINTS, damaged_checkpoint(not_a_number, (2, 6))),
    Fault("unreadable frame while training", DATA, unreadable_sample),
    Fault("unreadable frame, data workers", DATA, lambda lab, row: unreadable_sample(lab, row, workers=2)),
    Fault("data moved between stop and resume", DATA, data_moved),
    Fault("--config a pipe, a device, a folder", DATA, config_that_is_no_file),
    Fault("runtime_config.json saved as garbage", DATA, saved_config_odd),
    Fault("max_steps below the current step", DATA, edit_that_ends_the_run),
]
