from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from tests.support.inboxes import taken
from vsrpp.store import Answer, Inbox
from vsrpp.store.pending import PendingCommands


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


def test_a_command_is_taken_once_and_in_order(path: Path) -> None:
    pending, inbox = PendingCommands(path), Inbox(path)
    uids = [inbox.put("edit", {"changes": {"max_lr": n}}, origin="cli") for n in range(3)]
    assert [command.uid for command in taken(pending)] == uids
    assert taken(pending) == []
    later = inbox.put("pause", {}, origin="panel")
    assert [command.uid for command in taken(pending)] == [later]


def test_what_an_earlier_process_left_unanswered_is_taken_and_the_answered_is_not(path: Path) -> None:
    inbox = Inbox(path)
    done, left = (inbox.put("edit", {}, origin="cli") for _ in range(2))
    inbox.answer(done, Answer(status="applied", step=1))
    assert [command.uid for command in taken(PendingCommands(path))] == [left]


def test_a_command_gets_one_answer(path: Path) -> None:
    inbox = Inbox(path)
    uid = inbox.put("edit", {}, origin="cli")
    inbox.answer(uid, Answer(status="applied", step=4, revision=1))
    inbox.answer(uid, Answer(status="refused"))
    answer = inbox.answer_of(uid)
    assert answer is not None
    assert (answer.status, answer.step) == ("applied", 4)


def test_waiting_ends_with_the_answer_not_with_the_timeout(path: Path) -> None:
    inbox = Inbox(path)
    uid = inbox.put("edit", {}, origin="cli")
    threading.Thread(target=lambda: Inbox(path).answer(uid, Answer(status="applied"))).start()
    assert inbox.wait(uid, 60).status == "applied"


def test_waiting_gives_up_when_nobody_is_there_to_answer(path: Path) -> None:
    inbox = Inbox(path)
    began = time.monotonic()
    answer = inbox.wait(inbox.put("edit", {}, origin="cli"), 60, alive=lambda: False)
    assert answer.status == "pending"
    assert time.monotonic() - began < 30


def _put(path: Path, origin: str, count: int) -> None:
    inbox = Inbox(path)
    for number in range(count):
        inbox.put("edit", {"changes": {"n": number}}, origin=origin)


def test_commands_of_many_processes_are_all_taken_once(path: Path) -> None:
    pending = PendingCommands(path)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put, args=(path, f"p{n}", 25)) for n in range(4)]
    for process in processes:
        process.start()
    commands = []
    deadline = time.monotonic() + 240
    while len(commands) < 100 and time.monotonic() < deadline:
        commands += taken(pending)
    for process in processes:
        process.join()
    commands += taken(pending)
    assert len(commands) == 100
    assert len({command.uid for command in commands}) == 100
    for origin in {command.origin for command in commands}:
        assert [c.payload["changes"]["n"] for c in commands if c.origin == origin] == list(range(25))
