"""Forty processes edit one live run at once, through the file, the command line's road and the API.

What is guaranteed. An edit through `control` (every face, the command line, the API) is answered once, and stands in the
record once, unless it asked for what held already. A save of the file has no answer: what the trainer finds in the file
at a step boundary, or meets there when it rewrites it, ends as one event, applied or refused; a save that another save
replaced before that is superseded and leaves no trace. A refused save stays in the file until the next applied edit
rewrites it; from then on the file is the config in force.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.inboxes import taken
from tests.support.processes import ROOT, TrainingProcess, environment, train_command
from tests.support.waiting import wait_until
from vsrpp import Run, control
from vsrpp.store.pending import PendingCommands

KINDS = ["replace"] * 8 + ["file"] * 6 + ["control"] * 13 + ["api"] * 13
ROUNDS = 5


class Hands:
    """The forty processes; those still alive are killed when the `with` block ends."""

    def __init__(self, folder: Path, run: Run) -> None:
        script = str(ROOT / "tests" / "support" / "edit_script.py")
        self.processes = [
            subprocess.Popen(
                [sys.executable, script, str(run.paths.root), kind, str(number)], cwd=folder, env=environment(folder),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            )
            for number, kind in enumerate(KINDS)
        ]  # fmt: skip

    def __enter__(self) -> Hands:
        self.lines()  # each reports that it is ready
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(process.stdout.readline()) for process in self.processes if process.stdout]

    def edit_at_once(self, kinds: set[str]) -> list[dict[str, Any]]:
        """Every editor of these kinds makes one edit, all at the same time."""
        asked = [p for p, kind in zip(self.processes, KINDS, strict=True) if kind in kinds]
        for process in asked:
            assert process.stdin is not None
            process.stdin.write("go\n")
        return [json.loads(process.stdout.readline()) for process in asked if process.stdout]


def on_disk(run: Run) -> dict[str, Any]:
    return json.loads(run.paths.runtime_config.read_text())


def in_force(run: Run) -> dict[str, Any]:
    return {"revision": run.status().revision, **run.config()}


def quiet(run: Run, process: TrainingProcess, number: int) -> None:
    """Wait until all edits are decided: the trainer has read the file, and one further edit is applied."""
    assert process.process.poll() is None, process.output
    step = run.status().step
    wait_until(lambda: run.status().step >= step + 3, what="three more steps")
    # a torn file is read again for two seconds before it is refused; the next edit is not delayed
    assert run.set(log_every=100 + number, reason="quiet").check().changes
    wait_until(lambda: on_disk(run) == in_force(run), timeout_s=120, what="the file as the config in force")


def values_in(event: Any) -> set[float]:
    """The values an edit asked for, whether it was applied or refused."""
    changes = event.data["changes"]
    return set(changes.values()) if isinstance(changes, dict) else {change["new"] for change in changes}


@pytest.mark.slow
def test_forty_processes_edit_one_run_at_once(tmp_path: Path, tiny_clip: Path) -> None:
    sets = {"max_steps": 5_000_000, "validate_every": 100_000, "checkpoint_every": 100_000, "keep_last": 1}
    said: list[dict[str, Any]] = []
    with TrainingProcess(tmp_path, train_command(tiny_clip, **sets)) as process:
        run = Run(process.run_dir())
        with Hands(tmp_path, run) as hands:
            for number in range(ROUNDS):
                # editors that truncate can tear each other's save: half of the rounds are without them
                kinds = {"replace", "control", "api"} | ({"file"} if number % 2 else set())
                said += [{**row, "round": number} for row in hands.edit_at_once(kinds)]
                quiet(run, process, number)
        answer = run.stop()
        assert answer.status == "done", process.output
        assert process.wait() == 0, process.output
    events = run.history()
    assert not any(row["torch"] for row in said)
    assert control.verify(run.paths).ok

    # revisions: every one, once, in order
    applied = [event for event in events if event.type == "config_applied"]
    assert [event.revision for event in applied] == list(range(1, len(applied) + 1))
    assert on_disk(run) == in_force(run)
    assert on_disk(run)["revision"] == len(applied)

    # an edit through `control`: answered once, in the record once, with the same outcome
    outcomes = Counter(row["answer"]["status"] for row in said if row["answer"])
    assert set(outcomes) == {"applied", "refused"}, outcomes
    by_token: dict[str, list[Any]] = {}
    for event in events:
        if event.type in ("config_applied", "config_refused") and event.reason:
            by_token.setdefault(event.reason, []).append(event)
    for row in said:
        if row["answer"]:
            (event,) = by_token[row["token"]]
            assert event.type == f"config_{row['answer']['status']}"
            assert (event.step, event.revision) == (row["answer"]["step"], row["answer"]["revision"])
            assert values_in(event) == set(row["edit"].values())
    with closing(PendingCommands(run.paths.inbox_db)) as pending:
        assert taken(pending) == [], "every command was answered"

    # a save of the file: an event of its own, or another save came before the trainer looked
    from_file = [e for e in events if e.origin == "file" and e.type in ("config_applied", "config_refused")]
    decided = set().union(*(values_in(event) for event in from_file)) if from_file else set()
    saves = [row for row in said if row["kind"] == "replace" and row["round"] % 2 == 0]
    for number in range(0, ROUNDS, 2):
        round_ = [row for row in saves if row["round"] == number]
        last_began = max(row["began"] for row in round_)
        last = [
            row for row in round_ if row["ended"] >= last_began
        ]  # the order of the last saves cannot be determined more exactly
        assert any(set(row["edit"].values()) <= decided for row in last)
    superseded = [row for row in saves if not set(row["edit"].values()) <= decided]
    print(
        f"{len(said)} edits; {dict(outcomes)}; {len(from_file)} events from the file; {len(superseded)} saves superseded"
    )
