"""inbox.db: commands from other processes to a live run, and the trainer's answers.

It is a separate file, so that many writers never make the trainer wait for a lock during a step: the trainer only
reads, and a separate thread writes its answers (`AnswerWriter` in `vsrpp.training.live_config`).
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrpp.documents import AnswerStatus, ChangeDocument, ProblemDocument, RemarkDocument
from vsrpp.errors import NotFound, Reason, Refused, TimedOut, VsrppError
from vsrpp.store import db, messages
from vsrpp.store.db import connect_writer, is_locked
from vsrpp.store.events import canonical, jsonable, readable

SCHEMA = """
CREATE TABLE IF NOT EXISTS commands (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, time REAL NOT NULL, kind TEXT NOT NULL,
    payload TEXT NOT NULL, origin TEXT NOT NULL, author TEXT, reason TEXT, base_revision INTEGER,
    answer TEXT, answered_at REAL);
CREATE INDEX IF NOT EXISTS commands_pending ON commands (id) WHERE answer IS NULL;
"""
COMMAND_KINDS = ("edit", "pause", "resume", "validate", "checkpoint", "rollback", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to a live run. Its `uid` ensures that it is carried out once, however often it is read."""

    id: int
    uid: str
    time: float
    kind: str
    payload: dict[str, Any]
    origin: str
    author: str | None = None
    reason: str | None = None
    base_revision: int | None = None

    def repeats(self, other: Command) -> bool:
        """Whether both ask for the same, in the same words, by the same person."""
        same = ("kind", "origin", "author", "reason", "base_revision")
        if any(getattr(self, name) != getattr(other, name) for name in same):
            return False
        try:
            return json.dumps(self.payload, sort_keys=True) == json.dumps(other.payload, sort_keys=True)
        except RecursionError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableCommand:
    """A row of the inbox that is no command of this version. It is answered with `error`, by its row ID."""

    id: int
    error: VsrppError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a command: the document that `vsrpp set --json` and similar commands print."""

    status: AnswerStatus
    """`applied` (an edit), `done` (another command), `refused`, or `pending`."""
    step: int | None = None
    branch: int | None = None
    revision: int | None = None
    changes: list[ChangeDocument] = field(default_factory=list)
    errors: list[ProblemDocument] = field(default_factory=list)
    remarks: list[RemarkDocument] = field(default_factory=list)
    """What was allowed, yet is notable."""
    message: str = ""
    reason_code: str = ""
    """Why it was refused or is pending, for programs; empty if it was carried out."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The fields of the message."""

    @property
    def warnings(self) -> list[str]:
        """The remarks in English."""
        return [remark["message"] for remark in self.remarks]

    def to_json(self) -> dict[str, Any]:
        """With `warnings`, which older versions read."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "warnings": self.warnings}

    @property
    def error(self) -> type[VsrppError] | None:
        """The class of the failure that this answer is; None for a success."""
        if self.status == "refused":
            return NotFound if self.reason_code.partition(".")[0] == NotFound.reason_code else Refused
        return TimedOut if self.status == "pending" else None

    def check(self) -> Answer:
        """Returns this answer, or raises it, for scripts: Refused, NotFound, or TimedOut while it is pending."""
        if self.error is not None:
            raise self.error(self.message, reason_code=self.reason_code or None, fields=self.fields)
        return self


class Inbox:
    """A process's handle on a run's inbox, for writing commands or answers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = connect_writer(path, SCHEMA)

    def close(self) -> None:
        self._db.close()

    def put(
        self, kind: str, payload: dict[str, Any], *, origin: str, author: str | None = None, reason: str | None = None,
        base_revision: int | None = None, uid: str | None = None,
    ) -> str:  # fmt: skip
        """Store a command for the trainer; returns its uid. An existing command with this uid is left unchanged.

        Raises VsrppError if the inbox cannot be written, for example because another process holds it locked.
        """
        assert kind in COMMAND_KINDS, kind
        uid = uid or uuid.uuid4().hex
        try:
            self._db.execute(
                "INSERT INTO commands (uid, time, kind, payload, origin, author, reason, base_revision)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING",
                (uid, time.time(), kind, json.dumps(payload), origin, readable(author) if author else author,
                 readable(reason) if reason else reason, base_revision),
            )  # fmt: skip
        except sqlite3.OperationalError as error:
            if is_locked(error):
                raise messages.STORE_LOCKED(path=str(self._path), timeout_s=f"{db.BUSY_TIMEOUT_S:g}") from error
            raise messages.STORE_UNWRITTEN(path=str(self._path), why=str(error)) from error
        return uid

    def answer(self, uid: str, answer: Answer) -> None:
        """Write the answer of a command, which has only one: a second call is ignored."""
        self.answer_all([([uid], answer)])

    def answer_all(self, answers: Iterable[tuple[Sequence[str | int], Answer]]) -> None:
        """Write answers in one transaction, each for some commands: by uid, or by row ID; for none: to all without one."""
        now = time.time()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for keys, answer in answers:
                row = (canonical(jsonable(answer.to_json())), now)
                set_answer = "UPDATE commands SET answer = ?, answered_at = ? WHERE answer IS NULL"
                if not keys:
                    self._db.execute(set_answer, row)
                for column, kind in (("uid", str), ("id", int)):
                    rows = ((*row, key) for key in keys if isinstance(key, kind))
                    self._db.executemany(f"{set_answer} AND {column} = ?", rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def answer_of(self, uid: str) -> Answer | None:
        """The answer to a command; None while there is none. Raises VsrppError for one that cannot be read."""
        try:
            row = self._db.execute("SELECT answer FROM commands WHERE uid = ?", (uid,)).fetchone()
            return _read_answer(row[0]) if row and row[0] else None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise messages.ANSWER_UNREADABLE(why=str(error)) from error
        except sqlite3.OperationalError as error:
            if is_locked(error):
                return None
            raise messages.ANSWER_UNREADABLE(why=str(error)) from error

    def wait(self, uid: str, timeout_s: float, *, alive: Callable[[], bool] = lambda: True) -> Answer:
        """Wait for the answer; its status is `pending` after `timeout_s`, or once `alive()` returns False."""
        deadline = time.monotonic() + timeout_s
        pause_s, last_look = 0.002, time.monotonic()
        while True:
            answer = self.answer_of(uid)
            if answer is not None:
                return answer
            now = time.monotonic()
            if not now < deadline:  # also ends if the timeout is NaN
                return _pending(messages.NO_ANSWER_YET, timeout_s=f"{timeout_s:g}")
            if now - last_look > 0.5:
                last_look = now
                if not alive():
                    return self.answer_of(uid) or _pending(messages.ENDED_UNANSWERED)
            time.sleep(min(pause_s, max(0.0, deadline - now)))
            pause_s = min(pause_s * 1.5, 0.02)


def _pending(reason: Reason, **fields: Any) -> Answer:
    return Answer(status="pending", message=reason.sentence(**fields), reason_code=reason.code, fields=fields)


def _read_answer(text: str) -> Answer:
    """Parse an answer of the trainer, ignoring fields added by newer versions."""
    row = json.loads(text)
    known = {name: value for name, value in row.items() if name in Answer.__slots__}
    if "remarks" not in row:  # of an older version
        known["remarks"] = [{"message": text, "reason_code": "", "fields": {}} for text in row.get("warnings", ())]
    return Answer(**known)
