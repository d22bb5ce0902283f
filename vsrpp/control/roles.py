"""Who may do what to a run: the roles, and the one table of what each action needs. Every entry point checks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from vsrpp import config
from vsrpp.control import messages


class Role(IntEnum):
    """Each may do what the ones below it may."""

    VIEWER = 1
    """Looks at everything, changes nothing."""
    OPERATOR = 2
    """Also edits the safe tier, pauses, resumes, validates and saves checkpoints."""
    OWNER = 3
    """Everything, as the account that owns the run folders."""

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role | None:
        """The role of that name; None for anything else."""
        return next((role for role in cls if role.word == word), None)


ROLE_WORDS = tuple(role.word for role in Role)

NEEDS: Mapping[str, Role] = {
    "edit.safe": Role.OPERATOR,
    "edit.careful": Role.OWNER,
    "edit.ending": Role.OWNER,
    "command.pause": Role.OPERATOR,
    "command.resume": Role.OPERATOR,
    "command.validate": Role.OPERATOR,
    "command.checkpoint": Role.OPERATOR,
    "command.stop": Role.OWNER,
    "command.rollback": Role.OWNER,
    "job.restore": Role.OWNER,
    "job.promote": Role.OWNER,
    "job.from": Role.OWNER,
    "job.resume": Role.OWNER,
    "job.replay": Role.OWNER,
    "job.cancel": Role.OWNER,
}
"""Action -> the lowest role that may take it; ask `needed_for`.

`edit.safe`, `edit.careful`: by the tier of a key; `edit.ending`: a `max_steps` that the run has passed.
"""


def needed_for(action: str) -> Role:
    """The lowest role that may take an action. Raises Refused for one that is not declared: nobody may take it."""
    if action not in NEEDS:
        raise messages.NO_ROLE_DECLARED(action=action.partition(".")[2] or action)
    return NEEDS[action]


def needed_for_edit(keys: Iterable[str], run_config: Mapping[str, Any] | None = None) -> Role:
    """The lowest role that may edit all of these keys, plug-ins' included; an unknown key needs the highest."""
    known = config.live_parameters(run_config)
    return max(
        (needed_for(f"edit.{known[key].tier}") if key in known else Role.OWNER for key in keys), default=Role.OPERATOR
    )


def check(role: Role, kind: str, keys: Iterable[str] = (), run_config: Mapping[str, Any] | None = None) -> None:
    """Raises Refused if `role` may not send a command of this kind, or nobody may; for an edit, to all of `keys`.

    Keys that no run accepts while it trains (unknown ones, the startup tier) are left to the refusal that says so.
    """
    if kind == "edit":
        known = config.live_parameters(run_config)
        needs = {key: needed_for(f"edit.{known[key].tier}") for key in keys if key in known}
    else:
        needs = {kind: needed_for(f"command.{kind}")}
    beyond = {what: needed for what, needed in needs.items() if needed > role}
    if beyond:
        raise messages.ROLE(what=", ".join(beyond), role=role.word, needed=max(beyond.values()).word)
