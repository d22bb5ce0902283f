"""`python -m steered_vsrpp train …`: `vsrpp`, steered at given steps from inside the training process.

`scripts/prove_same` copies this file into a separate folder and puts it on PYTHONPATH, because the `vsrpp` it steers may
be from any commit. It relies only on parts that all commits have: `Batches.__next__`, which each rank calls once per
step, `Inbox`, the run folder's files, and torchrun's RANK and WORLD_SIZE. The variable PROVE_SAME has the plan as JSON:

    tree      folder whose `vsrpp` must be the one imported
    actions   [{"at": step, …}], carried out by rank 0, in this order, when it fetches the batch of that step:
              {"put": kind, "payload": {…}}   put a command into the inbox; it acts at the boundary after this step
              {"settle": step}                wait until the checkpoint of that step is complete
              {"kill": true}                  kill -9 this process
    nan       steps whose ground truth is NaN on the last rank, the first time they are fetched. The small frames stay
              finite: on a CPU, grid_sample with padding "border" (basicvsr's flow) crashes in backward if the grid is NaN
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

SETTLE_TIMEOUT_S = 60.0
RECORDED_WITHIN_S = 0.3
"""The checkpoint thread syncs the folder after renaming it, and only then reports the checkpoint for its event."""


class Steering:
    """Carries out a plan, step by step."""

    def __init__(self, plan: dict[str, Any]) -> None:
        rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self._actions: list[dict[str, Any]] = list(plan["actions"]) if rank == 0 else []
        self._nan: set[int] = set(plan["nan"]) if rank == world_size - 1 else set()

    def fetching(self, step: int) -> None:
        """Called before the batch of `step` is fetched."""
        while self._actions and self._actions[0]["at"] == step:
            self._act(self._actions.pop(0))

    def spoils(self, step: int) -> bool:
        """Whether to make the ground truth of `step` NaN; True once per step."""
        spoilt = step in self._nan
        self._nan.discard(step)
        return spoilt

    def _act(self, action: dict[str, Any]) -> None:
        if "put" in action:
            _put(action["put"], action["payload"])
        elif "settle" in action:
            _settle(action["settle"])
        elif "kill" in action:
            _check_all_recorded()
            os.kill(os.getpid(), signal.SIGKILL)


def _put(kind: str, payload: dict[str, Any]) -> None:
    from vsrpp.store import Inbox

    inbox = Inbox(_run_folder() / "inbox.db")
    try:
        inbox.put(kind, payload, origin="cli", author="anna")  # committed when it returns
    finally:
        inbox.close()


def _settle(step: int) -> None:
    manifest = _run_folder() / "checkpoints" / f"step_{step:07d}" / "manifest.json"
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while not manifest.is_file():
        if time.monotonic() > deadline:
            raise RuntimeError(f"no checkpoint at step {step} within {SETTLE_TIMEOUT_S:g} s")
        time.sleep(0.01)
    time.sleep(RECORDED_WITHIN_S)


def _check_all_recorded() -> None:
    """Raises RuntimeError if a checkpoint's event is missing: the record at a kill must be deterministic."""
    folder = _run_folder()
    with sqlite3.connect(f"{(folder / 'run.db').as_uri()}?mode=ro", uri=True) as db:
        recorded = {step for (step,) in db.execute("SELECT step FROM events WHERE type = 'checkpoint_saved'")}
    on_disk = {int(path.parent.name[5:12]) for path in folder.glob("checkpoints/step_*/manifest.json")}
    if on_disk - recorded:
        raise RuntimeError(f"the checkpoints of steps {sorted(on_disk - recorded)} are not on record yet")


def _run_folder() -> Path:
    """The only run in ./runs."""
    (database,) = Path("runs").resolve().glob("*/run.db")
    return database.parent


def main() -> None:
    plan = json.loads(os.environ["PROVE_SAME"])
    import vsrpp

    if not Path(vsrpp.__file__).is_relative_to(plan["tree"]):
        raise SystemExit(f"steered_vsrpp: imported {vsrpp.__file__}, which is not in {plan['tree']}")
    from vsrpp.data.loader import Batches

    steering, fetch = Steering(plan), Batches.__next__

    def steered_fetch(batches: Any) -> Any:
        step = batches.step + 1
        steering.fetching(step)
        lr_frames, truth = fetch(batches)
        return lr_frames, truth * float("nan") if steering.spoils(step) else truth

    Batches.__next__ = steered_fetch  # type: ignore[method-assign]
    runpy.run_module("vsrpp", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
