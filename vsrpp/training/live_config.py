"""The live config inside the trainer: the only place where the config changes.

Edits come from the inbox (panel, terminal, command line, MLflow tags) and from the file. Both are checked here against
the config in force, and applied or refused as a whole. During a resume, recorded edits are applied again at their
recorded steps, and new ones wait until the end of the record.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vsrpp import config
from vsrpp.config import messages as config_messages
from vsrpp.config.condition import parse_conditions
from vsrpp.control import ConfigHistory, stale_keys, who
from vsrpp.documents import ProblemDocument
from vsrpp.errors import Refused, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Command, Event, Inbox
from vsrpp.store.events import jsonable
from vsrpp.store.inbox import PendingCommands
from vsrpp.training import messages
from vsrpp.training.config_file import RuntimeConfigFile, Save
from vsrpp.training.recorder import RunRecorder

ANSWER_TRIES = 30
MAX_TEXT, MAX_ERRORS = 200, 20
"""Limits for what the record keeps of a refused edit: characters per value, errors."""
MAX_PROBATION_STEPS = 100_000


class AnswerWriter:
    """Writes answers into the inbox from a separate thread, so that a busy inbox never delays a step."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._queue: queue.SimpleQueue[tuple[str, Answer] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def put(self, uid: str, answer: Answer) -> None:
        self._queue.put((uid, answer))

    def close(self) -> None:
        """Wait until all answers are written."""
        self._queue.put(None)
        self._thread.join()
        self._inbox.close()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            for _ in range(ANSWER_TRIES):
                try:
                    self._inbox.answer(*item)
                    break
                except sqlite3.Error:  # locked for long, or disk full: the command is done, only its answer is late
                    time.sleep(1.0)


@dataclass(frozen=True, slots=True)
class _Author:
    """Who made an edit, and the terms of its probation."""

    uid: str | None
    origin: str
    author: str | None = None
    reason: str | None = None
    probation: Any = None


class LiveConfig:
    """Handles edits at a step boundary. `live` is the config in force; read it again at every step."""

    def __init__(
        self, paths: RunPaths, run_config: dict[str, Any], history: ConfigHistory, recorder: RunRecorder
    ) -> None:  # fmt: skip
        self.history = history
        self.row_due = False
        """Whether the config changed since its last row; at most one row is written per boundary."""
        self._paths = paths
        self._run_config = run_config
        self._recorder = recorder
        self._file = RuntimeConfigFile(paths.runtime_config)
        self._pending = PendingCommands(paths.inbox_db)
        self.answers = AnswerWriter(Inbox(paths.inbox_db))

    @property
    def live(self) -> dict[str, Any]:
        return self.history.live

    @property
    def revision(self) -> int:
        return self.history.revision

    def close(self) -> None:
        """Write pending answers, then close the files."""
        for command in self._pending.take():
            self.answers.put(command.uid, self.refusal(messages.RUN_ENDED()))
        self.answers.close()
        self._pending.close()

    # ---- incoming
    def open_file(self, *, fresh: bool) -> None:
        """Write the file for a fresh start; on a resume leave it to be read, since it may contain an edit."""
        if fresh or not self._paths.runtime_config.exists():
            self.rewrite_file()

    def take(self) -> list[Command | Save]:
        """Commands and saves since the last call, in order; about 3 µs if there are none."""
        requests: list[Command | Save] = [*self._pending.take()]
        save = self._file.look()
        if save is not None:
            requests.append(save)
        return requests

    def rewrite_file(self) -> None:
        self._file.write(config.dump_runtime(self.live, self.revision))

    def refresh_file(self) -> None:
        """Update the file if a kill left it at an older revision; an edit in it is kept."""
        try:
            stands = json.loads(self._paths.runtime_config.read_text(encoding="utf-8"))
            base = self.history.at(stands.pop("revision"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        if base is not None and stands == base and base is not self.live:
            self.rewrite_file()

    def changed(self, event: Event) -> None:
        """Adopt the config of a recorded event."""
        self.history.add(event)
        self.rewrite_file()
        self.row_due = True

    def write_row(self) -> None:
        """Write `config/<key>` of every numeric live value, and the revision, once per boundary."""
        if not self.row_due:
            return
        self.row_due = False
        values = {f"config/{key}": float(value) for key, value in self.live.items() if isinstance(value, (int, float))}
        values["config/revision"] = float(self.revision)
        if self.revision:
            values["events/config_change"] = 1.0
        self._recorder.row(values, replace=True)

    # ---- edits
    def decide(self, request: Command | Save, *, recorded_uids: dict[str, Event]) -> Answer:
        """Apply or refuse one edit as a whole, record it, rewrite the file, and send the answer to the inbox."""
        if isinstance(request, Save):
            return self._decide_save(request)
        done = recorded_uids.get(request.uid)
        if done is not None:
            answer = self._answer_from(done)
        else:
            author = _Author(
                request.uid, request.origin, request.author, request.reason, request.payload.get("probation")
            )
            changes = request.payload.get("changes")
            stale = stale_keys(self.history, changes, request.base_revision) if isinstance(changes, dict) else []
            answer = self._decide_changes(changes, author, [*stale, *_probation_problems(author.probation)])
        self.answers.put(request.uid, answer)
        return answer

    def refusal(self, error: VsrppError) -> Answer:
        """The answer to a command that cannot be carried out."""
        return Answer(
            status="refused", revision=self.revision, message=str(error), reason_code=error.reason_code,
            fields=jsonable(error.fields),
        )  # fmt: skip

    def _decide_save(self, save: Save) -> Answer:
        author = _Author(None, "file", save.author)
        if save.error is not None:
            if not self._paths.runtime_config.exists():
                self.rewrite_file()
            name = self._paths.runtime_config.name
            return self._refuse({}, [config.Problem.of(name, None, messages.FILE_UNREADABLE, why=save.error)], author)
        values = dict(save.values)
        base_revision = values.pop("revision", self.revision)
        base = self.history.at(base_revision) if type(base_revision) is int else None
        if base is None:
            return self._refuse({}, [config.Problem.of("revision", base_revision, messages.NO_SUCH_REVISION)], author)
        changes, conflicts = config.merge(base, values, self.live)
        problems = [self._conflict(key, values[key], base_revision) for key in conflicts]
        if not changes and not problems:
            return Answer(status="applied", revision=self.revision)
        return self._decide_changes({**changes, **{key: values[key] for key in conflicts}}, author, problems)

    def _conflict(self, key: str, value: Any, base_revision: int) -> config.Problem:
        event = self.history.last_change(key, after_revision=base_revision)
        now = config.format_value(key, self.live[key])
        by = f"it is {now}"
        if event is not None:
            by = f"{who(event)} set it to {now} at step {event.step} (revision {event.revision})"
        return config.Problem.of(key, value, messages.CONFLICT, base_revision=base_revision, who=by)

    def _decide_changes(self, changes: Any, author: _Author, others: list[config.Problem]) -> Answer:
        if not isinstance(changes, dict) or not changes:
            return self._refuse({}, config.check_changes(self.live, None), author)
        problems = config.check_changes(self.live, changes, self._run_config)
        named = {problem.key for problem in problems}
        problems += [problem for problem in others if problem.key not in named]
        if problems:
            return self._refuse(changes, problems, author)
        changed = config.diff(self.live, {**self.live, **config.normalise(changes)})
        if not changed:
            return Answer(
                status="applied",
                step=self._recorder.step,
                revision=self.revision,
                message="no change: these values are already in force",
            )
        warnings = config.warnings(self.live, changes, self._run_config)
        data: dict[str, Any] = {
            "command": author.uid, "changes": [{"key": c.key, "old": c.old, "new": c.new} for c in changed],
        }  # fmt: skip
        if author.probation:
            data["probation"] = author.probation
        event = self._recorder.emit(
            "config_applied", revision=self.revision + 1, origin=author.origin, author=author.author, reason=author.reason,
            data=data,
        )  # fmt: skip
        assert event is not None
        self.changed(event)
        return self._answer_from(event, warnings)

    def _refuse(self, changes: dict[str, Any], problems: Sequence[config.Problem], author: _Author) -> Answer:
        errors = [_brief_row(problem.to_json()) for problem in problems[:MAX_ERRORS]]
        changes = {str(key)[:MAX_TEXT]: _brief(value) for key, value in list(changes.items())[:MAX_ERRORS]}
        event = self._recorder.emit(
            "config_refused", revision=self.revision, origin=author.origin, author=author.author, reason=author.reason,
            data={"command": author.uid, "changes": changes, "errors": errors, "line": self.refusal_line(errors)},
        )  # fmt: skip
        assert event is not None
        return self._answer_from(event)

    def refusal_line(self, errors: Sequence[ProblemDocument]) -> str:
        if errors and errors[0]["reason_code"] == messages.FILE_UNREADABLE.code:  # the whole file, not one value
            return f"{errors[0]['key']} refused: it {errors[0]['message']}. Still at revision {self.revision}."
        return config.refusal_line([config.Problem.from_json(row) for row in errors], self.revision, self.live)

    @staticmethod
    def _answer_from(event: Event, warnings: list[str] | None = None) -> Answer:
        """The answer for an edit's event, identical whether given at once or after a crash."""
        if event.type == "config_refused":
            errors = event.data["errors"]
            codes = [str(row.get("reason_code") or Refused.reason_code) for row in errors]
            return Answer(
                status="refused", step=event.step, branch=event.branch, revision=event.revision, errors=errors,
                message=event.data["line"], reason_code=codes[0] if codes else Refused.reason_code,
            )  # fmt: skip
        return Answer(
            status="applied", step=event.step, branch=event.branch, revision=event.revision,
            changes=event.data["changes"], warnings=warnings or [],
        )  # fmt: skip


def _probation_problems(terms: Any) -> list[config.Problem]:
    """Problems in the terms of a probation: {"steps": N, "revert_if": CONDITION or null}."""
    if not terms:
        return []
    steps = terms.get("steps") if isinstance(terms, dict) else None
    if type(steps) is not int or not 1 <= steps <= MAX_PROBATION_STEPS:
        reason = config_messages.PROBATION_STEPS
        return [config.Problem.of("probation", steps, reason, limit=MAX_PROBATION_STEPS)]
    try:
        parse_conditions(terms.get("revert_if"))
    except Refused as error:
        message = str(error).rstrip(".")
        return [config.Problem("probation", terms.get("revert_if"), message, error.reason_code, error.fields)]
    return []


def _brief_row(row: ProblemDocument) -> ProblemDocument:
    fields = {name: _brief(value) for name, value in row["fields"].items()}
    return {
        "key": row["key"][:MAX_TEXT], "value": _brief(row["value"]), "message": row["message"],
        "reason_code": row["reason_code"], "fields": fields,
    }  # fmt: skip


def _brief(value: Any) -> Any:
    """A refused value, shortened for the record because it may be of any size."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to record"
    if len(text) <= MAX_TEXT:
        return value
    return f"{text[:MAX_TEXT]}… ({len(text)} characters)"
