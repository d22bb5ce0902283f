from __future__ import annotations

from typing import Any

from vsrpp.control.lineage import lineage
from vsrpp.store import Event


class Record:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, type: str, step: int, branch: int = 0, revision: int = 0, **data: Any) -> int:
        seq = len(self.events) + 1
        self.events.append(
            Event(seq=seq, time=0.0, step=step, branch=branch, type=type, revision=revision, origin="cli", author=None,
                  reason=None, data=data, hash="")
        )  # fmt: skip
        return seq


def edit(record: Record, step: int, branch: int, revision: int) -> int:
    return record.add("config_applied", step, branch, revision, changes=[{"key": "max_lr", "old": 0, "new": revision}])


def test_without_a_turn_everything_is_on_the_line() -> None:
    record = Record()
    record.add("started", 0, config={})
    edit(record, 5, 0, 1)
    line = lineage(record.events)
    assert [e.seq for e in line.steering()] == [1, 2]
    assert (line.branch, line.branch_after(0), line.branch_after(99)) == (0, 0, 0)


def test_a_rollback_drops_what_came_after_the_state_it_went_back_to() -> None:
    record = Record()
    record.add("started", 0, config={})
    kept = edit(record, 5, 0, 1)
    dropped = edit(record, 12, 0, 2)
    turn = record.add("rolled_back", 15, 1, 3, to_step=10, to_seq=kept, from_step=15, changes=[])
    after = edit(record, 11, 1, 4)
    line = lineage(record.events)
    assert [e.seq for e in line.steering()] == [1, kept, turn, after]
    assert dropped not in [e.seq for e in line.events]
    assert [line.branch_after(step) for step in (0, 9, 10, 30)] == [0, 0, 1, 1]
    assert line.holds(0, 10) and line.holds(1, 12) and not line.holds(0, 12)
    assert line.last_step() == 11


def test_an_edit_at_the_very_step_gone_back_to_is_kept_only_if_the_state_had_seen_it() -> None:
    record = Record()
    record.add("started", 0, config={})
    before = edit(record, 10, 0, 1)
    record.add("checkpoint_saved", 10)
    after = edit(record, 10, 0, 2)
    record.add("rolled_back", 15, 1, 3, to_step=10, to_seq=before, from_step=15, changes=[])
    seqs = [e.seq for e in lineage(record.events).steering()]
    assert before in seqs and after not in seqs


def test_a_rollback_across_an_earlier_rollback_leaves_both_branches_behind() -> None:
    record = Record()
    start = record.add("started", 0, config={})
    record.add("rolled_back", 30, 1, 1, to_step=20, to_seq=start, from_step=30, changes=[])
    record.add("rolled_back", 40, 2, 2, to_step=10, to_seq=start, from_step=40, changes=[])
    line = lineage(record.events)
    assert [(s.branch, s.from_step, s.to_step) for s in line.segments] == [(0, 0, 10), (2, 10, None)]
    assert not line.holds(1, 25) and not line.holds(0, 15)


def test_two_rollbacks_to_one_step_leave_the_first_branch_behind() -> None:
    record = Record()
    start = record.add("started", 0, config={})
    record.add("rolled_back", 30, 1, 1, to_step=20, to_seq=start, from_step=30, changes=[])
    record.add("rolled_back", 25, 2, 2, to_step=20, to_seq=start, from_step=25, changes=[])
    line = lineage(record.events)
    assert [(s.branch, s.from_step, s.to_step) for s in line.segments] == [(0, 0, 20), (2, 20, None)]


def test_a_reverted_probation_leaves_its_edit_behind() -> None:
    record = Record()
    start = record.add("started", 0, config={})
    tried = edit(record, 10, 0, 1)
    record.add("config_reverted", 14, 1, 2, to_step=10, to_seq=tried - 1, from_step=14, changes=[])
    line = lineage(record.events)
    assert [e.type for e in line.steering()] == ["started", "config_reverted"]
    assert start == 1 and line.branch_after(10) == 1


def test_a_turn_at_the_very_start_keeps_a_line() -> None:
    record = Record()
    start = record.add("started", 0, config={})
    edit(record, 0, 0, 1)
    record.add("config_reverted", 3, 1, 2, to_step=0, to_seq=start, from_step=3, changes=[])
    line = lineage(record.events)
    assert [line.branch_after(step) for step in (0, 5)] == [1, 1]
    assert line.holds(1, 3)
