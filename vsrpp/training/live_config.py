"""The live config inside the trainer: the only place where the config changes.

Edits come from the inbox (panel, terminal, command line, MLflow tags) and from the file. Both are checked here against
the config in force, and applied or refused as a whole. During a resume, recorded edits are applied again at their
recorded steps, and new ones wait until the end of the record.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vsrpp import config
from vsrpp.control import CONFIRMED, ConfigHistory, ending_change, ends_run, probation_problems, stale_keys, who
from vsrpp.control import messages as control_messages
from vsrpp.documents import ProblemDocument, RemarkDocument
from vsrpp.errors import Refused, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Command, Event, Inbox, UnreadableCommand
from vsrpp.store.events import jsonable
from vsrpp.store.pending import MAX_PER_AUTHOR, MAX_WAITING, PendingCommands
from vsrpp.training import messages
from vsrpp.training.answers import AnswerWriter
from vsrpp.training.config_file import RuntimeConfigFile, Save
from vsrpp.training.recorder import RunRecorder
from vsrpp.training.requests import Request, Requests
from vsrpp.training.side_products import SideProducts
from vsrpp.training.throttle import Throttle

MAX_TEXT, MAX_ERRORS = 200, 20
"""Limits for what the record keeps of a refused edit: characters per value, errors."""
FILE_RETRY_S = 5.0
PROBATION = ("steps", "revert_if")
"""The terms of a probation, as the record keeps them."""
COMMANDS = "commands"
"""Key of a problem with a command itself, not with a value."""


@dataclass(frozen=True, slots=True)
class _Author:
    """Who made an edit, the terms of its probation, and whether it may end the run at once."""

    uid: str | None
    origin: str
    author: str | None = None
    reason: str | None = None
    probation: Any = None
    confirmed: bool = False


class LiveConfig:
    """Handles edits at a step boundary. `live` is the config in force; read it again at every step."""

    def __init__(
        self, paths: RunPaths, run_config: dict[str, Any], history: ConfigHistory, recorder: RunRecorder,
        side_products: SideProducts | None = None,
    ) -> None:  # fmt: skip
        """`side_products`: where a failure to write the file is reported."""
        self.history = history
        self.row_due = False
        """Whether the config changed since its last row; at most one row is written per boundary."""
        self._paths = paths
        self._run_config = run_config
        self._recorder = recorder
        self._side_products = side_products or SideProducts()
        self._file = RuntimeConfigFile(paths.runtime_config)
        self._file_again = Throttle(FILE_RETRY_S)
        self._pending = PendingCommands(paths.inbox_db)
        self.requests = Requests(self._pending, self._file)
        self.answers = AnswerWriter(Inbox(paths.inbox_db), durable=lambda: recorder.writer.unwritten is None)

    @property
    def live(self) -> dict[str, Any]:
        return self.history.live

    @property
    def revision(self) -> int:
        return self.history.revision

    def close(self) -> None:
        """Write pending answers, refuse what is left, then close the files."""
        self.answers.close(rest=self.refusal(messages.RUN_ENDED()))
        self._pending.close()

    # ---- incoming
    def open_file(self, *, fresh: bool) -> None:
        """Write the file for a fresh start; on a resume leave it to be read, since it may contain an edit."""
        if fresh or not self._paths.runtime_config.exists():
            self.rewrite_file()

    def refuse_beyond_limits(self) -> None:
        """Answer the commands that came while too many were waiting; one event for all that one look found."""
        beyond = self._pending.beyond_limits()
        if not beyond:
            return
        ids = [id_ for ids in beyond.values() for id_ in ids]
        fields = {"count": len(ids), "limit": MAX_PER_AUTHOR, "limit_all": MAX_WAITING}
        self.answers.put_rows(ids, self.refusal(messages.TOO_MANY_COMMANDS(**fields)))
        problem = config.Problem.of(COMMANDS, len(ids), messages.TOO_MANY_COMMANDS, **fields)
        self._refuse({}, [problem], _Author(None, "inbox", next(iter(beyond)) if len(beyond) == 1 else None))

    def refuse_rest(self) -> None:
        """Answer all commands that wait: the run has ended."""
        self.answers.put_rest(self.refusal(messages.RUN_ENDED()))

    def rewrite_file(self) -> None:
        """Write the config in force into the file. A failure is reported; `mend_file` tries again."""
        with self._side_products.writing("config_file"):
            self._file.write(config.dump_runtime(self.live, self.revision, self._run_config))

    def mend_file(self) -> None:
        """Rewrite the file if that failed; call at every boundary."""
        if self._side_products.lost("config_file") and self._file_again.due():
            self.rewrite_file()

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
    def decide(self, request: Request, *, recorded_uids: dict[str, Event]) -> Answer:
        """Apply or refuse one edit as a whole, record it, rewrite the file, and send the answer to the inbox."""
        if isinstance(request, Save):
            return self._decide_save(request)
        if isinstance(request, UnreadableCommand):
            answer = self.refusal(request.error)
            self.answers.put_rows([request.id], answer)
            return answer
        done = recorded_uids.get(request.uid)
        answer = self._decide_command(request) if done is None else self._answer_from(done)
        self.answers.put(request.uid, answer)
        return answer

    def _decide_command(self, command: Command) -> Answer:
        changes, probation = command.payload.get("changes"), command.payload.get("probation")
        confirmed = command.payload.get(CONFIRMED) is True
        author = _Author(command.uid, command.origin, command.author, command.reason, probation, confirmed)

        def others() -> list[config.Problem]:
            stale = stale_keys(self.history, changes, command.base_revision) if isinstance(changes, dict) else []
            return [*stale, *probation_problems(probation)]

        return self._decide_changes(changes, author, others)

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
            error = save.error
            problem = config.Problem(name, None, str(error), error.reason_code, error.fields)
            return self._refuse({}, [problem], author)
        values = dict(save.values)
        base_revision = values.pop("revision", self.revision)
        base = self.history.at(base_revision) if type(base_revision) is int else None
        if base is None:
            return self._refuse({}, [config.Problem.of("revision", base_revision, messages.NO_SUCH_REVISION)], author)
        changes, conflicts = config.merge(base, values, self.live)
        if not changes and not conflicts:
            return Answer(status="applied", revision=self.revision)
        return self._decide_changes(
            {**changes, **{key: values[key] for key in conflicts}}, author,
            lambda: [self._conflict(key, values[key], base_revision) for key in conflicts],
        )  # fmt: skip

    def _conflict(self, key: str, value: Any, base_revision: int) -> config.Problem:
        event = self.history.last_change(key, after_revision=base_revision)
        now = config.format_value(key, self.live[key], self._run_config)
        if event is None:
            return config.Problem.of(key, value, messages.CONFLICT_UNKNOWN, base_revision=base_revision, now=now)
        return config.Problem.of(
            key, value, messages.CONFLICT, base_revision=base_revision, who=who(event), now=now, step=event.step,
            revision=event.revision,
        )  # fmt: skip

    def _decide_changes(
        self, changes: Any, author: _Author, others: Callable[[], list[config.Problem]]
    ) -> Answer:  # fmt: skip
        """`others` finds the problems that do not lie in the values."""
        try:
            with judging():
                problems, changed, remarks = self._judge(changes, others, author.confirmed)
        except VsrppError as error:
            problem = config.Problem(COMMANDS, None, str(error), error.reason_code, error.fields)
            return self._refuse({}, [problem], author)
        if problems:
            return self._refuse(changes if isinstance(changes, dict) else {}, problems, author)
        if not changed:
            return Answer(
                status="applied",
                step=self._recorder.step,
                revision=self.revision,
                message="no change: these values are already in force",
            )
        data: dict[str, Any] = {
            "command": author.uid, "changes": [{"key": c.key, "old": c.old, "new": c.new} for c in changed],
        }  # fmt: skip
        if author.probation:
            data["probation"] = {key: author.probation[key] for key in PROBATION if key in author.probation}
        event = self._recorder.emit(
            "config_applied", revision=self.revision + 1, origin=author.origin, author=author.author, reason=author.reason,
            data=data,
        )  # fmt: skip
        assert event is not None
        self.changed(event)
        return self._answer_from(event, remarks)

    def _judge(
        self, changes: Any, others: Callable[[], list[config.Problem]], confirmed: bool
    ) -> tuple[list[config.Problem], list[config.Change], list[RemarkDocument]]:
        """(problems, changes, remarks) of an edit; nothing is changed."""
        if not isinstance(changes, dict) or not changes:
            return config.check_changes(self.live, None), [], []
        problems = config.check_changes(self.live, changes, self._run_config)
        named = {problem.key for problem in problems}
        problems += [problem for problem in others() if problem.key not in named]
        if problems:
            return problems, [], []
        changed = config.diff(self.live, {**self.live, **config.normalise(changes, self._run_config)})
        remarks = config.warnings(self.live, changes, self._run_config) if changed else []
        step, end = self._recorder.step, ending_change(changed, self._recorder.step)
        if end is None:
            return [], changed, remarks
        if not confirmed:
            return [ends_run(end, step, self._paths.run_id)], [], []
        return [], changed, [control_messages.ENDS_RUN_NOW.filled(step=step), *remarks]

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
        if errors and errors[0]["reason_code"] in messages.FILE_PROBLEMS:
            return f"{errors[0]['key']} refused: it {errors[0]['message']}. Still at revision {self.revision}."
        return config.refusal_line([config.Problem.from_json(row) for row in errors], self.revision, self.live)

    @staticmethod
    def _answer_from(event: Event, remarks: list[RemarkDocument] | None = None) -> Answer:
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
            changes=event.data["changes"], remarks=remarks or [],
        )  # fmt: skip


@contextmanager
def judging() -> Iterator[None]:
    """Around the check of what a command asks for, which writes nothing: whatever it stumbles over is refused.

    Raises Refused for any error that lies in the command, not for those of the store and the disk.
    """
    try:
        yield
    except (VsrppError, sqlite3.Error, OSError, MemoryError):
        raise
    except Exception as error:
        why = str(error).splitlines()[0] if str(error) else ""
        raise messages.UNUSABLE_COMMAND(why=f"{type(error).__name__}: {why[:MAX_TEXT]}") from error


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
