"""Asking something of a live run: preview and apply an edit, give a command, wait for the answer."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from vsrpp import config, schedule
from vsrpp.config.condition import parse_conditions
from vsrpp.control import messages
from vsrpp.control.config_history import CONFIG_EVENTS, ConfigHistory, who
from vsrpp.control.numbers import LIMITS
from vsrpp.control.runs import run_state
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Inbox, RunReader

MAX_EDIT_BYTES = 64 * 1024
DEFAULT_WAIT_S = 60.0
BASE_REVISION = "base_revision"
"""The name of the revision an edit was made on, where it is itself what is wrong."""
on_sent: ContextVar[Callable[[], None] | None] = ContextVar("on_sent", default=None)
"""Called as soon as a command stands in the inbox: a face that asks from several threads keeps their order by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an edit would do, as data that every face draws."""

    revision: int
    changes: list[dict[str, Any]]
    """[{key, old, new, tier}]; keys whose value stays are left out."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    weight_sum: float | None = None
    """Sum of the four loss weights after the edit, when it sets one of them."""
    rate_ahead: list[dict[str, float]] = field(default_factory=list)
    """[{step, old, new}]: the learning rate from the present step to the end, before and after."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def current_config(reader: RunReader) -> ConfigHistory:
    return ConfigHistory.of(reader.events(types=CONFIG_EVENTS))


def run_config_of(reader: RunReader) -> dict[str, Any]:
    """The run config as resolved at the start, with the limits (`control.numbers.LIMITS`) that the last resume set."""
    started, restored = reader.last_event("started"), reader.last_event("restored")
    if started is None:
        return {}
    unlimited: dict[str, Any] = dict.fromkeys(LIMITS)
    return {**unlimited, **started.data["run_config"], **(restored.data.get("limits", {}) if restored else {})}


def preview(paths: RunPaths, changes: dict[str, Any], *, base_revision: int | None = None) -> Preview:
    """Check an edit against the config in force and say what would follow, without asking the run anything."""
    with RunReader(paths.run_db) as reader:
        history, run_config = current_config(reader), run_config_of(reader)
        step = int(reader.state().get("step", 0))
    problems = config.check_changes(history.live, changes, run_config)
    problems += stale_keys(history, changes, base_revision)
    errors = [problem.to_json() for problem in problems]
    known = config.live_parameters()
    rows = [
        {"key": change.key, "old": change.old, "new": change.new, "tier": known[change.key].tier}
        for change in config.diff(history.live, {**history.live, **changes})
        if change.key in known
    ]
    if errors:
        return Preview(revision=history.revision, changes=rows, errors=errors)
    edited = {**history.live, **changes}
    weights = [key for key in edited if key.endswith("_weight")]
    return Preview(
        revision=history.revision,
        changes=rows,
        warnings=config.warnings(history.live, changes),
        weight_sum=sum(edited[key] for key in weights) if set(weights) & set(changes) else None,
        rate_ahead=_rate_ahead(step, history.live, edited, int(run_config.get("warmup_steps", 0))),
    )


def stale_keys(history: ConfigHistory, changes: dict[str, Any], base_revision: int | None) -> list[config.Problem]:
    """One problem for every key that somebody changed after the revision the edit was made on; one if that is to come."""
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
                    now=config.format_value(key, history.live[key]), step=event.step, revision=event.revision,
                )
            )  # fmt: skip
    return problems


def apply(
    paths: RunPaths, changes: dict[str, Any], *, origin: str, author: str | None = None, reason: str | None = None,
    base_revision: int | None = None, probation: dict[str, Any] | None = None, wait_s: float = DEFAULT_WAIT_S,
) -> Answer:  # fmt: skip
    """Leave an edit in the run's inbox and wait for the trainer's answer (`applied`, `refused`, or `pending`).

    `probation` {"steps": N, "revert_if": "loss > 2x"} lets the run go back by itself if it does harm. The trainer alone
    decides; a refused edit is on record too. Raises NotLive, and Refused for an edit that is no edit.
    """
    if not changes:
        raise messages.NOTHING_TO_SET()
    payload: dict[str, Any] = {"changes": changes}
    if probation is not None:
        parse_conditions(probation.get("revert_if"))
        payload["probation"] = probation
    return _ask(
        paths, "edit", payload, origin=origin, author=author, reason=reason,
        base_revision=base_revision, wait_s=wait_s,
    )  # fmt: skip


def command(
    paths: RunPaths, kind: str, payload: dict[str, Any] | None = None, *, origin: str, author: str | None = None,
    reason: str | None = None, wait_s: float = DEFAULT_WAIT_S,
) -> Answer:  # fmt: skip
    """pause, resume, validate, checkpoint, rollback or stop; answers once it is done. Raises NotLive."""
    return _ask(
        paths, kind, payload or {}, origin=origin, author=author, reason=reason, base_revision=None, wait_s=wait_s
    )


def _ask(
    paths: RunPaths, kind: str, payload: dict[str, Any], *, origin: str, author: str | None, reason: str | None,
    base_revision: int | None, wait_s: float,
) -> Answer:  # fmt: skip
    _check_words(payload, author, reason, base_revision)
    with RunReader(paths.run_db) as reader:
        state = run_state(reader)
        if state not in ("training", "paused", "validating"):
            raise _not_live(paths, kind, state)
        inbox = Inbox(paths.inbox_db)
        try:
            uid = inbox.put(
                kind, payload, origin=origin, author=author or _login(), reason=reason, base_revision=base_revision
            )
            callback = on_sent.get()
            if callback is not None:
                callback()
            answer = inbox.wait(uid, wait_s, alive=lambda: run_state(reader) in ("training", "paused", "validating"))
            trial = reader.state().get("probation") if answer.status == "pending" else None
            return _held_up(answer, trial, wait_s) if trial else answer
        finally:
            inbox.close()


def _check_words(payload: dict[str, Any], author: Any, reason: Any, base_revision: Any) -> None:
    """Raises Refused for what the inbox cannot hold: only Python callers and very long texts get here."""
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


def _login() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


def _rate_ahead(step: int, before: dict[str, Any], after: dict[str, Any], warmup: int) -> list[dict[str, float]]:
    stop = max(int(before["max_steps"]), int(after["max_steps"]), step + 1)
    old = schedule.curve(step, stop, before, warmup, points=60)
    new = schedule.curve(step, stop, after, warmup, points=60)
    return [{"step": at, "old": was, "new": will} for (at, was), (_, will) in zip(old, new, strict=True)]
