"""The panel's only way to change anything: each call names who asks, and the table of roles decides first.

No other file of the panel sends a command, an edit or a job; `tests/ui/test_panel_roles.py` looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp import config, control
from vsrpp.control import Role, RunView
from vsrpp.paths import RunPaths
from vsrpp.store import Answer

from . import refusals
from .door import Visitor
from .jobs import Job, Jobs
from .verbs import Action

WAIT_S = 20.0
ORIGIN = "panel"


def command(
    visitor: Visitor, paths: RunPaths, kind: str, payload: Mapping[str, Any] | None = None, *, confirmed: bool = False,
    wait_s: float = WAIT_S,
) -> Answer:  # fmt: skip
    """Have a run do something. Raises Refused for a visitor without the role, and what `control.command` does."""
    _allow(visitor, f"command.{kind}", kind)
    return control.command(
        paths, kind, dict(payload) if payload else None, origin=ORIGIN, author=visitor.name, confirmed=confirmed,
        wait_s=wait_s,
    )  # fmt: skip


def check_edit(visitor: Visitor, changes: Mapping[str, Any], snapshot: RunView) -> None:
    """Raises Refused for an edit that the visitor's role does not cover, naming the keys."""
    beyond = [key for key in changes if control.needed_for_edit([key], snapshot.run_config) > visitor.role]
    if beyond:
        needed = control.needed_for_edit(beyond, snapshot.run_config)
        raise refusals.ROLE_EDIT(keys=", ".join(beyond), **_fields(visitor, needed))
    needed = control.needed_for("edit.ending")
    if visitor.role < needed and _ends(changes, snapshot):
        raise refusals.ROLE_EDIT_ENDS(max_steps=changes["max_steps"], **_fields(visitor, needed))


def edit(visitor: Visitor, paths: RunPaths, changes: dict[str, Any], snapshot: RunView, **more: Any) -> Answer:
    """Send an edit to a run; `more` as `control.apply` takes it. Raises Refused as `check_edit`, and what that does."""
    check_edit(visitor, changes, snapshot)
    return control.apply(paths, changes, origin=ORIGIN, author=visitor.name, wait_s=WAIT_S, **more)


def start(visitor: Visitor, jobs: Jobs, action: Action) -> Job:
    """Start a command of `vsrpp`. Raises Refused for a visitor without the role, and what `Jobs.start` does."""
    _allow(visitor, f"job.{action.verb}", action.verb)
    return jobs.start(action, visitor.name)


def cancel(visitor: Visitor, jobs: Jobs, key: str) -> Job:
    """End a job. Raises Refused for a visitor without the role, and what `Jobs.cancel` does."""
    _allow(visitor, "job.cancel", "cancel")
    return jobs.cancel(key, visitor.name)


def _allow(visitor: Visitor, action: str, word: str) -> None:
    needed = control.needed_for(action)
    if visitor.role < needed:
        raise refusals.ROLE(action=word, **_fields(visitor, needed))


def _fields(visitor: Visitor, needed: Role) -> dict[str, str]:
    role = visitor.role.word
    return {"who": (visitor.name or "").removesuffix(f" ({role})"), "role": role, "needed": needed.word}


def _ends(changes: Mapping[str, Any], snapshot: RunView) -> bool:
    """Whether an edit sets `max_steps` to a step that the run has already reached."""
    if "max_steps" not in changes:
        return False
    try:
        return config.read_whole(str(changes["max_steps"])) <= snapshot.step
    except ValueError:
        return False  # the run itself refuses it
