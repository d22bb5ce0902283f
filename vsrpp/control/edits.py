"""Commands to a live run: preview and apply an edit, send a command, wait for the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from vsrpp import config, schedule
from vsrpp.config import messages as config_messages
from vsrpp.config.condition import parse_conditions
from vsrpp.config.schema import loss_terms
from vsrpp.control import messages
from vsrpp.control.config_history import ConfigHistory, who
from vsrpp.control.numbers import LIMITS
from vsrpp.control.panel_links import account
from vsrpp.control.runs import LIVE_STATES, run_state
from vsrpp.documents import PreviewChange, ProblemDocument, RatePoint, RemarkDocument
from vsrpp.errors import Refused
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Inbox, RunReader

MAX_EDIT_BYTES = 64 * 1024
MAX_PROBATION_STEPS = 100_000
DEFAULT_WAIT_S = 60.0
MAX_STEPS = "max_steps"
CONFIRMED = "confirmed"
"""Key in the payload of an edit or a rollback: true if it may end the run at once. Older trainers do not look at it."""
BASE_REVISION = "base_revision"
"""Key of a problem with the base revision of an edit itself."""
on_sent: ContextVar[Callable[[], None] | None] = ContextVar("on_sent", default=None)
"""Called once a command is in the inbox, so that a caller with several threads can keep their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The effects of an edit, as plain data."""

    revision: int
    changes: list[PreviewChange]
    """[{key, old, new, tier}]; unchanged keys are omitted."""
    errors: list[ProblemDocument] = field(default_factory=list)
    remarks: list[RemarkDocument] = field(default_factory=list)
    """What is allowed, yet notable."""
    weight_sum: float | None = None
    """Sum of the loss weights after the edit, if it sets one of them."""
    rate_ahead: list[RatePoint] = field(default_factory=list)
    """[{step, old, new}]: the learning rate from the current step to the end, before and after."""
    ends_run: bool = False
    """Whether the edit ends the run now, so that it has to be confirmed."""

    @property
    def warnings(self) -> list[str]:
        """The remarks in English."""
        return [remark["message"] for remark in self.remarks]

    def to_json(self) -> dict[str, Any]:
        """The document of `set --dry-run --json`."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "remarks"}
        return {**plain, "warnings": self.warnings}


def current_config(reader: RunReader) -> ConfigHistory:
    return ConfigHistory.of_record(reader)


def run_config_of(reader: RunReader) -> dict[str, Any]:
    """The run config as resolved at the start, with what the last resume changed: limits (`control.numbers.LIMITS`),
    plug-ins whose code it allowed to differ, and paths of data that moved."""
    started, restored = reader.last_event("started"), reader.last_event("restored")
    if started is None:
        return {}
    unlimited: dict[str, Any] = dict.fromkeys(LIMITS)
    later = restored.data if restored else {}
    changed_code = {"plugins": later["plugins"]} if later.get("plugins") else {}
    return {
        **unlimited,
        **started.data["run_config"],
        **later.get("limits", {}),
        **changed_code,
        **later.get("moved", {}),
    }


def preview(
    paths: RunPaths, changes: dict[str, Any], *, base_revision: int | None = None, probation: dict[str, Any] | None = None,
    confirmed: bool = False,
) -> Preview:  # fmt: skip
    """Check an edit against the config in force and compute its effects, without sending anything to the run.

    An edit that ends the run now is an error unless it is `confirmed`; the run itself judges that again when it acts.
    """
    with RunReader(paths.run_db) as reader:
        history, run_config = current_config(reader), run_config_of(reader)
        step = int(reader.state().get("step", 0))
    problems = config.check_changes(history.live, changes, run_config)
    problems += [*stale_keys(history, changes, base_revision, run_config), *probation_problems(probation)]
    edited = {**history.live, **changes}
    changed = config.diff(history.live, edited)
    end = None if problems else ending_change(changed, step)
    if end is not None and not confirmed:
        problems.append(ends_run(end, step, paths.run_id))
    errors = [problem.to_json() for problem in problems]
    known = config.live_parameters(run_config)
    rows: list[PreviewChange] = [
        {"key": change.key, "old": change.old, "new": change.new, "tier": known[change.key].tier}
        for change in changed
        if change.key in known
    ]
    if errors:
        return Preview(revision=history.revision, changes=rows, errors=errors, ends_run=end is not None)
    weights = [term.key for term in loss_terms(run_config)]
    return Preview(
        revision=history.revision,
        changes=rows,
        remarks=[
            *([messages.ENDS_RUN_NOW.filled(step=step)] if end is not None else []),
            *config.warnings(history.live, changes, run_config),
        ],
        weight_sum=sum(edited[key] for key in weights) if set(weights) & set(changes) else None,
        rate_ahead=_rate_ahead(step, history.live, edited, run_config),
        ends_run=end is not None,
    )


def ending_change(changed: Iterable[config.Change], step: int) -> config.Change | None:
    """The change, of an edit that the schema accepts, that ends a run at `step`: no other live parameter can."""
    return next((change for change in changed if change.key == MAX_STEPS and change.new <= step), None)


def ends_run(change: config.Change, step: int, run: str) -> config.Problem:
    """Why an edit with such a change is refused unless it is confirmed."""
    return config.Problem.of(change.key, change.new, messages.ENDS_RUN, step=step, max_steps=int(change.new), run=run)


def probation_problems(terms: Any) -> list[config.Problem]:
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


def stale_keys(
    history: ConfigHistory,
    changes: dict[str, Any],
    base_revision: int | None,
    run_config: Mapping[str, Any] | None = None,
) -> list[config.Problem]:
    """A problem for each key changed since the edit's base revision, or one if that revision does not exist."""
    if base_revision is None:
        return []
    if base_revision > history.revision:
        return [config.Problem.of(BASE_REVISION, base_revision, messages.REVISION_TO_COME)]
    problems = []
    for key, value in changes.items():
        event = history.last_change(key, after_revision=base_revision)
        if event is not None and history.live.get(key) != value:
            problems.append(
                config.Problem.of(
                    key, value, messages.STALE, base_revision=base_revision, who=who(event),
                    now=config.format_value(key, history.live[key], run_config), step=event.step, revision=event.revision,
                )
            )  # fmt: skip
    return problems


def apply(
    paths: RunPaths, changes: dict[str, Any], *, origin: str, author: str | None = None, reason: str | None = None,
    base_revision: int | None = None, probation: dict[str, Any] | None = None, confirmed: bool = False,
    wait_s: float = DEFAULT_WAIT_S,
) -> Answer:  # fmt: skip
    """Send an edit to the run's inbox and wait for the trainer's answer (`applied`, `refused`, or `pending`).

    `probation` {"steps": N, "revert_if": "loss > 2x"} makes the run revert the edit if the condition becomes true.
    `confirmed`: the edit may end the run at once. Only the trainer decides; a refused edit is recorded, too. Raises
    NotLive; Refused for something that is not an edit.
    """
    if not changes:
        raise messages.NOTHING_TO_SET()
    payload: dict[str, Any] = {"changes": changes}
    if probation is not None:
        parse_conditions(probation.get("revert_if"))
        payload["probation"] = probation
    if confirmed:
        payload[CONFIRMED] = True
    return _ask(
        paths, "edit", payload, origin=origin, author=author, reason=reason,
        base_revision=base_revision, wait_s=wait_s,
    )  # fmt: skip


def leave_edit(paths: RunPaths, changes: dict[str, Any], *, origin: str) -> None:
    """Leave an edit in the inbox of a run that is about to train, which answers it in its record alone."""
    inbox = Inbox(paths.inbox_db)
    try:
        inbox.put("edit", {"changes": changes}, origin=origin, author=account())
    finally:
        inbox.close()


def command(
    paths: RunPaths, kind: str, payload: dict[str, Any] | None = None, *, origin: str, author: str | None = None,
    reason: str | None = None, confirmed: bool = False, wait_s: float = DEFAULT_WAIT_S,
) -> Answer:  # fmt: skip
    """Send pause, resume, validate, checkpoint, rollback or stop; returns once it is done. Raises NotLive, Refused.

    `confirmed`: a rollback may end the run at once.
    """
    sent = {**(payload or {}), **({CONFIRMED: True} if confirmed else {})}
    return _ask(paths, kind, sent, origin=origin, author=author, reason=reason, base_revision=None, wait_s=wait_s)


def _ask(
    paths: RunPaths, kind: str, payload: dict[str, Any], *, origin: str, author: str | None, reason: str | None,
    base_revision: int | None, wait_s: float,
) -> Answer:  # fmt: skip
    _check_words(payload, author, reason, base_revision)
    with RunReader(paths.run_db) as reader:
        state = run_state(reader)
        if state not in LIVE_STATES:
            raise _not_live(paths, kind, state)
        reader.check_writable()
        inbox = Inbox(paths.inbox_db)
        try:
            uid = inbox.put(
                kind, payload, origin=origin, author=author or account(), reason=reason, base_revision=base_revision
            )
            callback = on_sent.get()
            if callback is not None:
                callback()
            answer = inbox.wait(uid, wait_s, alive=lambda: run_state(reader) in LIVE_STATES)
            trial = reader.state().get("probation") if answer.status == "pending" else None
            return _held_up(answer, trial, wait_s) if trial else answer
        finally:
            inbox.close()


def _check_words(payload: dict[str, Any], author: Any, reason: Any, base_revision: Any) -> None:
    """Raises Refused for values that the inbox cannot hold, which only Python callers and very long texts can send."""
    try:
        size = len(json.dumps(payload))
    except (TypeError, ValueError, RecursionError) as error:
        raise messages.EDIT_NOT_JSON(why=str(error)) from None
    size += sum(len(text) for text in (author, reason) if isinstance(text, str))
    if size > MAX_EDIT_BYTES:
        raise messages.EDIT_TOO_LARGE(limit_kib=MAX_EDIT_BYTES // 1024)
    for name, text in (("author", author), ("reason", reason)):
        if text is not None and not isinstance(text, str):
            raise messages.NOT_TEXT(field=name, type=type(text).__name__)
    if base_revision is not None and (type(base_revision) is not int or not 0 <= base_revision < 2**63):
        raise messages.NO_BASE_REVISION(value=repr(base_revision))


def _not_live(paths: RunPaths, kind: str, state: str) -> Exception:
    action = {"edit": "apply this edit", "rollback": "roll back"}.get(kind, kind)
    if state == "finished":
        return messages.NOT_LIVE_FINISHED(run=paths.run_id, action=action)
    return messages.NOT_LIVE(run=paths.run_id, state=state, action=action)


def _held_up(answer: Answer, trial: dict[str, Any], wait_s: float) -> Answer:
    """The answer to a command that has to wait for the end of a probation."""
    fields = {"timeout_s": f"{wait_s:g}", "revision": trial["revision"], "until_step": trial["until_step"]}
    reason = messages.ON_PROBATION
    return replace(answer, message=reason.sentence(**fields), reason_code=reason.code, fields=fields)


def _rate_ahead(
    step: int, before: dict[str, Any], after: dict[str, Any], run_config: dict[str, Any]
) -> list[RatePoint]:  # fmt: skip
    stop = max(int(before["max_steps"]), int(after["max_steps"]), step + 1)
    old = schedule.curve(step, stop, before, run_config, points=60)
    new = schedule.curve(step, stop, after, run_config, points=60)
    return [{"step": at, "old": was, "new": will} for (at, was), (_, will) in zip(old, new, strict=True)]
