"""Every view of a run shows the same line; checked against a simple model of random histories."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vsrpp import Run, control
from vsrpp.control.compare import local_record
from vsrpp.control.curves import curves
from vsrpp.control.lineage import lineage
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader, RunWriter
from vsrpp.tracking.candidates import line_tag, read_line_tag
from vsrpp.tracking.view import RecordSummary

KEY = "loss/total"
START = {"max_lr": 1e-4, "log_every": 10}


@dataclass
class State:
    """What a checkpoint, or a state held in memory, stores about the line that led to it."""

    step: int = 0
    branch: int = 0
    seq: int = 0
    live: dict[str, Any] = field(default_factory=lambda: dict(START))
    rows: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    """(branch, step) of the rows that lead here."""
    in_force: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Step -> the config under which the next one was made."""


class History:
    """A run as written by its trainer, with the ground truth kept beside the record."""

    def __init__(self, folder: Path) -> None:
        self.paths = RunPaths(folder / "runs" / "r1")
        self.paths.root.mkdir(parents=True)
        self.writer = RunWriter(self.paths.run_db, "r1")
        self.writer.set_meta("created", 0.0)
        self.now = State()
        self.rows: list[tuple[int, int]] = []
        self.checkpoints: dict[tuple[int, int], State] = {}
        self.unrecorded: list[tuple[int, int]] = []
        self.scores: dict[tuple[int, int], float] = {}
        self.revision = self.branches = 0
        self.emit("started", config=dict(START), run_config={"keep_best_by": "val/psnr_y"}, device="cpu")
        self.row()

    def emit(self, type: str, *, branch: int | None = None, step: int | None = None, **data: Any) -> None:
        event = self.writer.append(
            type, step=self.now.step if step is None else step, branch=self.now.branch if branch is None else branch,
            revision=self.revision, data=data,
        )  # fmt: skip
        self.now.seq = event.seq

    def row(self) -> None:
        place = (self.now.branch, self.now.step)
        self.rows.append(place)
        self.writer.record(place[1], place[0], {KEY: float(len(self.rows))})

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.now.in_force[self.now.step] = dict(self.now.live)
            self.now.step += 1
            self.now.rows.append((self.now.branch, self.now.step))
            self.row()

    def edit(self, value: int) -> None:
        changes = [{"key": "max_lr", "old": self.now.live["max_lr"], "new": value * 1e-5}]
        self.revision += 1
        self.now.live["max_lr"] = value * 1e-5
        self.emit("config_applied", changes=changes)

    def checkpoint(self, at_once: int) -> None:
        place = (self.now.branch, self.now.step)
        if place not in self.checkpoints and place[1]:
            self.checkpoints[place] = copy.deepcopy(self.now)
            self.unrecorded.append(place)
        if at_once % 2:
            self.record_checkpoints()

    def record_checkpoints(self) -> None:
        """The writer thread finishes, possibly long after the run has left the branch."""
        for branch, step in self.unrecorded:
            self.emit("checkpoint_saved", branch=branch, step=step, metrics={}, revision=self.revision)
        self.unrecorded.clear()

    def validate(self, score: int) -> None:
        self.scores[self.now.branch, self.now.step] = 30.0 + score
        self.emit("validated", psnr_y=30.0 + score, by_hand=True)

    def turn(self, type: str, target: State, lowered: bool = False) -> None:
        left, live = self.now, dict(target.live)
        if lowered:
            live["max_lr"] = live["max_lr"] / 2
        changes = [{"key": k, "old": left.live[k], "new": live[k]} for k in live if live[k] != left.live[k]]
        self.revision += 1
        self.branches += 1
        self.emit(
            type, branch=self.branches, from_step=left.step, to_step=target.step, to_seq=target.seq,
            from_branch=left.branch, changes=changes,
        )  # fmt: skip
        self.now = copy.deepcopy(target)
        self.now.branch, self.now.live = self.branches, live
        self.now.rows.append((self.branches, self.now.step))
        self.now.seq = self.writer.head()[0]
        self.row()

    def rollback(self, number: int, lowered: bool = False) -> None:
        """To a checkpoint of the line; `lowered`: automatically, after non-finite steps."""
        self.record_checkpoints()
        on_line = [state for place, state in self.checkpoints.items() if place in self.now.rows]
        if on_line:
            self.turn("rolled_back", on_line[number % len(on_line)], lowered)

    def probation(self, steps: int) -> None:
        """A harmful edit: reverted to the exact state before it."""
        held = copy.deepcopy(self.now)
        self.edit(50 + steps)
        self.train(steps % 4)
        self.turn("config_reverted", held)

    def resume(self, number: int) -> None:
        """After a kill: repeated steps add no row and no event."""
        self.emit("restored", step=max(0, self.now.step - number % 3), resume=True)


ACTIONS: dict[str, Callable[[History, int], None]] = {
    "train": lambda run, n: run.train(1 + n % 5),
    "edit": History.edit,
    "checkpoint": History.checkpoint,
    "validate": History.validate,
    "rollback": History.rollback,
    "non_finite": lambda run, n: run.rollback(n, lowered=True),
    "probation": History.probation,
    "resume": History.resume,
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(1, 9)), max_size=40))
def test_every_view_of_a_random_history_tells_the_same_line(actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = History(Path(folder))
        for name, number in actions:
            ACTIONS[name](run, number)
        run.record_checkpoints()
        run.writer.close()
        _hold_views_against(run)


def _hold_views_against(run: History) -> None:
    truth, on_line = run.now, set(run.now.rows)
    with RunReader(run.paths.run_db) as reader:
        events = list(reader.events())
        line, status_line = lineage(events), control.line_of(reader)
    for place in run.rows:  # each row on exactly one curve
        covering = [piece for piece in line.pieces() if piece.covers(*place)]
        assert [piece.abandoned for piece in covering] == [place not in on_line]
        assert line.holds(*place) == status_line.holds(*place) == (place in on_line)
    tag = read_line_tag(line_tag(line))
    assert tag is not None and all(tag.holds(*place) == (place in on_line) for place in run.rows)

    drawn = [
        (s.branch, p.step, s.abandoned) for s in curves(run.paths, [KEY], max_points=10**6).series for p in s.points
    ]
    assert sorted(drawn) == sorted((*place, place not in on_line) for place in run.rows)
    api = [(row.branch, row.step) for row in Run(run.paths.root).metrics(KEY)]
    assert sorted(api) == sorted(set(api)) and set(api) <= on_line

    compared = local_record(run.paths)
    steps = [step for step, _ in compared.curves[KEY]]
    assert steps == sorted({step for _, step in on_line})

    for step, live in truth.in_force.items():  # the config under which each step of the line was made
        span = line.config_at(step)
        assert span is not None and span.live == live, step
    assert line.config_spans()[-1].live == control.ConfigHistory.of(events).live == truth.live

    saved = {(event.branch, event.step) for event in line.checkpoints}
    summary = RecordSummary()
    for event in events:
        summary.add(event)
    assert saved == {(e.branch, e.step) for e in summary.checkpoints} == {p for p in run.checkpoints if p in on_line}
    scored = {place: run.scores[place] for place in saved if place in run.scores}
    best = control.best_checkpoint(line, control.BestRule())
    assert best == summary.best() and (best is None) == (not scored)
    if best is not None:
        assert best.value == max(scored.values()) and scored[best.branch, best.step] == best.value
        with RunReader(run.paths.run_db) as reader:
            assert control.best_of(reader) == best
