"""The process that edits a run while it is being killed: sends a request, records the answer, repeats.

Usage: `killing_commands.py RUN_DIR SEED JOURNAL`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vsrpp import control
from vsrpp.errors import NotLive, Refused
from vsrpp.paths import RunPaths


@contextlib.contextmanager
def hand(run: RunPaths, seed: int, journal: Path) -> Iterator[None]:
    """A process that edits until the block ends; the journal then contains the answers."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(run.root), str(seed), str(journal)], stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        yield
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(120) == 0, "the hand failed"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def be_a_hand(run: RunPaths, draw: random.Random, journal: Path) -> None:
    """Send requests and record the answers until standard input ends. Waits while the run is dead."""
    with journal.open("a", buffering=1) as notes:
        for number in range(10_000_000):
            if select.select([0], [], [], draw.uniform(0.005, 0.08))[0]:
                return
            row = ask_once(run, draw, f"hand {number}")
            if row is None:
                time.sleep(0.2)
            else:
                notes.write(json.dumps(row) + "\n")


def ask_once(run: RunPaths, draw: random.Random, token: str) -> dict[str, Any] | None:
    """One request in a random way; None if no process could take it, `in flight` if a kill came before the answer."""
    kind = draw.choices(
        ["edit", "probation", "file", "validate", "checkpoint", "rollback"], [70, 6, 12, 4, 5, 3]
    )[0]  # fmt: skip
    row: dict[str, Any] = {"token": token, "kind": "edit" if kind == "probation" else kind}
    sent: list[bool] = []
    control.edits.on_sent.set(lambda: sent.append(True))
    try:
        if kind == "file" and not control.is_live(run):
            return None
        if kind == "file":
            return save_the_file(run, draw, row)
        if kind in ("edit", "probation"):
            terms = {"steps": draw.randint(3, 25), "revert_if": f"loss > {draw.choice([1e-3, 1.05, 5])}x"}
            answer = control.apply(
                run, some_edit(draw), origin="cli", reason=token, wait_s=60,
                probation=terms if kind == "probation" else None,
            )  # fmt: skip
        else:
            payload = (
                {"step": draw.choice([*control.checkpoint_steps(run)[-3:], "best"])} if kind == "rollback" else None
            )
            answer = control.command(run, kind, payload, origin="cli", reason=token, wait_s=60)
    except (NotLive, Refused):
        return {**row, "status": "in flight"} if sent else None
    status = answer.status if answer.status != "pending" else "in flight"
    return {**row, "status": status, "revision": answer.revision, "step": answer.step, "changes": answer.changes,
            "message": answer.message}  # fmt: skip


def some_edit(draw: random.Random) -> dict[str, Any]:
    """A unique value, so that it can be found in the record; one in ten is out of range."""
    if draw.random() < 0.1:
        return {"max_lr": draw.uniform(1, 2)}
    weight = draw.uniform(0.3, 0.7)
    return draw.choice(
        [
            {"max_lr": draw.uniform(1e-4, 1e-3)},
            {"grad_clip": draw.uniform(0.1, 10)},
            {"min_lr": draw.uniform(1e-8, 5e-5), "grad_clip": draw.uniform(0.1, 10)},
            {"l1_weight": weight, "ms_weight": 0.8 - weight if weight < 0.8 else 0.0, "grad_weight": 0.2},
        ]
    )


def save_the_file(run: RunPaths, draw: random.Random, row: dict[str, Any]) -> dict[str, Any] | None:
    """Save like an editor; acknowledged once the file names a later revision and contains the value."""
    try:
        values = json.loads(run.runtime_config.read_text())
    except (OSError, ValueError):
        return None
    clip = draw.uniform(0.1, 10)
    fresh = run.root / ".hand"
    fresh.write_text(json.dumps({**values, "grad_clip": clip}, indent=2))
    fresh.replace(run.runtime_config)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            now = json.loads(run.runtime_config.read_text())
            if now["revision"] > values["revision"]:
                changes = [{"key": "grad_clip", "new": clip}]
                return {**row, "status": "applied" if now["grad_clip"] == clip else "superseded", "changes": changes}
        time.sleep(0.01)
    return {**row, "status": "in flight"}


if __name__ == "__main__":
    be_a_hand(RunPaths(Path(sys.argv[1])), random.Random(int(sys.argv[2])), Path(sys.argv[3]))
