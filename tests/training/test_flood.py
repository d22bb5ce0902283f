"""A flood of commands: training goes on, urgent commands and signals act at once, and every command is answered."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support import odd_rows
from tests.support.inboxes import taken
from tests.support.rank_0 import Rank0
from vsrpp.store import Inbox, RunReader
from vsrpp.store.pending import MAX_PER_AUTHOR, MAX_WAITING, PendingCommands
from vsrpp.training import commands

FLOOD = 20_000


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Rank0]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    made = Rank0(tmp_path, max_steps=100_000, validate_every=50_000, checkpoint_every=50_000)
    yield made
    made.close()
    for number, handler in before.items():
        signal.signal(number, handler)


def flood(inbox: Path, rows: list[tuple[str, dict[str, Any], str]]) -> None:
    """Insert (kind, payload, author) in one transaction, as no face would."""
    with closing(sqlite3.connect(inbox, timeout=30)) as db, db:
        db.executemany(
            "INSERT INTO commands (uid, time, kind, payload, origin, author) VALUES (?, 0, ?, ?, 'cli', ?)",
            ((f"{author}-{n}", kind, json.dumps(payload), author) for n, (kind, payload, author) in enumerate(rows)),
        )


def edits(count: int, authors: int = 1) -> list[tuple[str, dict[str, Any], str]]:
    return [
        ("edit", {"changes": {"max_lr": (1 + n % 2) * 1e-4, "grad_clip": 1 + n / count}}, f"a{n % authors}")
        for n in range(count)
    ]


@pytest.mark.parametrize("authors", [1, 50])
def test_twenty_thousand_edits_stop_neither_steps_nor_a_pause_nor_sigterm(run: Rank0, authors: int) -> None:
    run.ending.begin()
    flood(run.paths.inbox_db, edits(FLOOD, authors))
    pause = run.ask("pause")
    resume = run.ask("resume")
    began, steps, slowest = time.monotonic(), 0, 0.0
    while run.inbox.answer_of(resume) is None:
        boundary_began = time.monotonic()
        assert run.step() is None
        steps, slowest = steps + 1, max(slowest, time.monotonic() - boundary_began)
        assert time.monotonic() < began + 20
    assert run.inbox.answer_of(pause) is not None
    assert steps >= 2 and slowest < 2.0, "a budget of 50 ms, on a busy machine"
    assert "paused" in run.types() and "resumed" in run.types()
    waits = Counter(answer is None for answer in odd_rows.answers(run.paths.inbox_db).values())
    assert waits[True] > 100, "the pause went before edits"
    os.kill(os.getpid(), signal.SIGTERM)
    signalled = time.monotonic()
    assert run.step() == "SIGTERM"
    run.live_config.close()
    assert time.monotonic() < signalled + 10
    given = odd_rows.answers(run.paths.inbox_db)
    assert len(given) == FLOOD + 2 and None not in given.values()
    with RunReader(run.paths.run_db) as reader:
        assert reader.verify().ok


def test_edits_in_a_flood_are_applied_in_order_and_on_record(run: Rank0) -> None:
    count = 400
    flood(run.paths.inbox_db, edits(count))
    for _ in range(3000):
        run.step()
        if None not in odd_rows.answers(run.paths.inbox_db).values():
            break
    uids = [event.data["command"] for event in run.events if event.type == "config_applied"]
    assert uids == [f"a0-{n}" for n in range(count)]
    steps = Counter(event.step for event in run.events if event.type == "config_applied")
    assert len(steps) > 1, "not all at one boundary"


def test_commands_of_one_author_beyond_the_limit_are_refused_and_others_are_not(run: Rank0) -> None:
    flood(run.paths.inbox_db, [("checkpoint", {"n": n}, "loop") for n in range(MAX_PER_AUTHOR + 500)])
    other = run.edit(max_lr=2e-4)
    for _ in range(3000):
        run.step()
        if None not in odd_rows.answers(run.paths.inbox_db).values():
            break
    given = [json.loads(answer or "") for answer in odd_rows.answers(run.paths.inbox_db).values()]
    assert Counter(answer["reason_code"] for answer in given) == {
        "": MAX_PER_AUTHOR + 1,
        "refused.too_many_commands": 500,
    }
    assert run.answer(other).status == "applied"
    (event,) = [event for event in run.events if event.type == "config_refused"]
    assert event.author == "loop" and event.data["errors"][0]["fields"]["count"] == 500


def test_no_number_of_authors_makes_the_queue_grow_beyond_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    Inbox(path).close()
    flood(path, [("validate", {}, f"a{n}") for n in range(MAX_WAITING + 100)])
    with closing(PendingCommands(path)) as pending:
        while pending.newest_seen < MAX_WAITING + 100:
            pending.look()
        assert sum(len(ids) for ids in pending.beyond_limits().values()) == 100
        assert len(taken(pending)) == MAX_WAITING


@pytest.mark.parametrize("kind", ["validate", "checkpoint", "pause"])
def test_a_command_repeated_while_it_waits_is_carried_out_once(run: Rank0, kind: str) -> None:
    count = 450
    flood(run.paths.inbox_db, [(kind, {}, "anna")] * count)
    if kind == "pause":
        run.ask("resume")
    while None in odd_rows.answers(run.paths.inbox_db).values():
        run.step()
        run.checkpoints.collect(wait=True)
    done = {"validate": "validated", "checkpoint": "checkpoint_saved", "pause": "paused"}[kind]
    assert run.types().count(done) == 1
    answers = {answer for answer in odd_rows.answers(run.paths.inbox_db).values() if kind != "pause" or answer}
    assert len(answers) <= 2 and all('"done"' in (answer or "") for answer in answers)


def test_the_same_edit_after_another_one_or_sent_later_counts_again(run: Rank0) -> None:
    flood(run.paths.inbox_db, [("edit", {"changes": {"max_lr": rate}}, "anna") for rate in (2e-4, 2e-4, 3e-4, 2e-4)])
    run.step()
    run.edit(max_lr=3e-4)
    run.step()
    run.edit(max_lr=2e-4)
    run.step()
    applied = [event.data["changes"][0]["new"] for event in run.events if event.type == "config_applied"]
    assert applied == [2e-4, 3e-4, 2e-4, 3e-4, 2e-4]


def test_what_is_sent_together_acts_in_its_order_however_slow_each_is(
    run: Rank0, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BOUNDARY_BUDGET_S", 0.0)
    asked = [run.ask("validate"), run.edit(max_lr=2e-4), run.ask("pause"), run.edit(max_lr=3e-4), run.ask("resume")]
    run.step()
    assert [run.answer(uid).status for uid in asked] == ["done", "applied", "done", "applied", "done"]
    types = [type for type in run.types() if type in ("validated", "config_applied", "paused", "resumed")]
    assert types == ["validated", "config_applied", "paused", "config_applied", "resumed"]
