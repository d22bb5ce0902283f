"""What scripts that compare trained arms share: finished arms are kept, runs are steered at exact steps, seeds are paired."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

    from vsrpp import Run
    from vsrpp.store import Answer, Event

ROOT = Path(__file__).resolve().parent.parent
WAIT_S = 1800.0
"""Longest wait for a run on a loaded machine."""
T_95 = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's t, by degrees of freedom."""
TINY: dict[str, Any] = {"n_feats": 4, "n_blocks": 1, "num_frames": 2, "crop_size": 32, "batch_size": 1}
"""The network and samples of a --short form."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    cell: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.cell}-{self.arm}-{self.seed}"

    def facts(self) -> Result:
        return {"cell": self.cell, "arm": self.arm, "seed": self.seed}


def environment(home: Path) -> dict[str, str]:
    """The environment of every process of an experiment: this checkout, with tracking and cache inside `home`."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {
        **os.environ, "PYTHONPATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "VSRPP_CACHE": str(home / "cache"),
    }  # fmt: skip


def call(folder: Path, *words: str) -> str:
    """The standard output of a `vsrpp` command in `folder` inside an experiment's home; SystemExit if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "vsrpp", *words], cwd=folder, env=environment(folder.parent), capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"vsrpp {' '.join(words)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def set_words(sets: dict[str, Any]) -> list[str]:
    """`--set KEY=VALUE` for each parameter."""
    return [word for key, value in sets.items() for word in ("--set", f"{key}={json.dumps(value).strip(chr(34))}")]


# ---- keeping
def keep(home: Path, arm: Arm, result: Result) -> Result:
    """Write the result of a finished arm to `home/results`, whole or not at all."""
    path = home / "results" / f"{arm.name}.json"
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1), encoding="utf-8")
    partial.replace(path)
    return result


def kept(home: Path) -> list[Result]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((home / "results").glob("*.json"))]


def train_missing(
    home: Path, wanted: Iterable[Arm], trained: Callable[[Arm], Result], *, most: int | None, jobs: int
) -> None:  # fmt: skip
    """Train the arms that have no result yet, at most `most` of them, `jobs` at a time."""
    left = [arm for arm in wanted if not (home / "results" / f"{arm.name}.json").is_file()]
    with ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(trained, left[:most]):
            print(json.dumps(result), file=sys.stderr, flush=True)


def parser(doc: str | None, *, short: str) -> argparse.ArgumentParser:
    """The command line of such a script; `short` says what --short trains."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n\n")[0])
    made.add_argument("folder", type=Path, metavar="DIR", help="folder of the arms and their results")
    made.add_argument("--most", type=int, help="arms to train in this session")
    made.add_argument("--jobs", type=int, default=1, help="arms to train at once (1)")
    made.add_argument("--report", action="store_true", help="train nothing")
    made.add_argument("--short", action="store_true", help=short)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    return made


# ---- steering
def start(config: dict[str, Any], home: Path, arm: Arm) -> Run:
    """Start training an arm through `vsrpp.train` in its own folder; an unfinished earlier attempt is set aside."""
    import vsrpp

    os.environ.update(environment(home))
    folder = home / arm.name
    attempt = sum(1 for _ in folder.glob("runs*"))
    return vsrpp.train({**config, "seed": arm.seed, "torch_threads": 1}, runs=folder / f"runs{attempt}")


def processes_of(run: Run) -> list[psutil.Process]:
    """The training process that `start` started for a run; none once it has ended."""
    import psutil

    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if str(run.paths.root.parent) in " ".join(process.cmdline()):
                found.append(process)
    return found


def finish(run: Run) -> None:
    """Wait until the run has ended, and its process with it. Raises SystemExit unless the run finished."""
    for _ in run.follow(timeout_s=WAIT_S):
        pass
    for process in processes_of(run):
        process.wait(WAIT_S)
    if run.status().state != "finished":
        raise SystemExit(f"{run.paths.root}: {run.status().state}; see its train.log")


def edit_at(run: Run, step: int, changes: dict[str, Any], **terms: Any) -> Answer:
    """Make an edit at exactly `step`, of which the run saves a checkpoint.

    The run is paused as soon as it has that checkpoint, rolled back to it, edited and resumed. What it trained beyond
    the step is abandoned and counts for nothing, so that the result does not depend on the machine's speed.
    `terms`: further arguments of `Run.set`.
    """
    run.wait_for(step, timeout_s=WAIT_S)
    run.pause(wait_s=WAIT_S).check()
    _until(lambda: any(saved.step == step for saved in run.checkpoints()), f"checkpoint {step} of {run.paths.root}")
    run.rollback(step, wait_s=WAIT_S).check()
    answer = run.set(changes, wait_s=WAIT_S, **terms).check()
    assert answer.step == step, f"{run.run_id}: the edit of step {step} acted at step {answer.step}"
    run.resume(wait_s=WAIT_S).check()
    return answer


def verdict_of(run: Run, answer: Answer) -> Event:
    """The event that ends the probation of an applied edit: `config_confirmed` or `config_reverted`."""
    (applied,) = (e for e in run.history("config_applied") if e.revision == answer.revision)
    return next(run.follow("config_confirmed", "config_reverted", after_seq=applied.seq, timeout_s=WAIT_S))


def abandoned(run: Run) -> list[tuple[int, int]]:
    """(step returned to, steps abandoned) of each reverted probation."""
    events = run.history("config_reverted")
    return [(event.data["to_step"], event.data["from_step"] - event.data["to_step"]) for event in events]


def curve(run: Run) -> list[tuple[int, int, float]]:
    """(step, steps charged by then, PSNR-Y in dB) of each validation on the line to the final state.

    Charged are the steps of the line and those that probations abandoned before it.
    """
    lost = abandoned(run)
    rows = {row.step: row.value for row in run.metrics("val/psnr_y")}
    return [(step, step + sum(n for at, n in lost if at < step), value) for step, value in sorted(rows.items())]


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {WAIT_S:g} s")
        time.sleep(0.05)


# ---- analysis
def interval(values: Sequence[float]) -> dict[str, Any]:
    """Mean and 95 % interval (Student's t) of one figure per seed."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None, "seeds": len(values)}
    reach = T_95[min(len(values), len(T_95)) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return {"mean": mean, "low": mean - reach, "high": mean + reach, "seeds": len(values)}


def span(row: dict[str, Any], digits: int = 3) -> str:
    """The 95 % interval of a row for a table."""
    return "–" if row["low"] is None else f"{row['low']:+.{digits}f} … {row['high']:+.{digits}f}"
