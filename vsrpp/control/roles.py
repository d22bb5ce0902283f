"""Who may do what to a run: a viewer, an operator, an owner. The one table of it; every way in asks `check`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from vsrpp import config
from vsrpp.control import messages


class Role(str, Enum):
    """What a person, or whoever holds a token, may do. The value is the word that files and records use."""

    VIEWER = "viewer"
    """Sees everything, changes nothing."""
    OPERATOR = "operator"
    """Also edits the safe tier, pauses, resumes, validates and saves checkpoints."""
    OWNER = "owner"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do; `None` stands for everything."""

    actions: frozenset[str] | None = frozenset()
    """Kinds of commands (`store.COMMAND_KINDS`) and any other actions, by name. One that no role names is the owner's."""
    tiers: frozenset[str] | None = frozenset()
    """Tiers of the keys that its edits may set."""


RIGHTS: Mapping[Role, Rights] = {
    Role.VIEWER: Rights(),
    Role.OPERATOR: Rights(frozenset({"edit", "pause", "resume", "validate", "checkpoint"}), frozenset({"safe"})),
    Role.OWNER: Rights(None, None),
}


def needed(action: str, keys: Collection[str] = (), run_config: Mapping[str, Any] | None = None) -> Role:
    """The lowest role that may do `action`; for an edit, to all of `keys`. `run_config` has the plug-ins' parameters."""
    return next(role for role in Role if not _beyond(role, action, keys, run_config))


def allowed(role: Role, action: str, keys: Collection[str] = (), run_config: Mapping[str, Any] | None = None) -> bool:
    """Whether `role` may do `action`; for an edit, to all of `keys`."""
    return not _beyond(role, action, keys, run_config)


def check(role: Role, action: str, keys: Collection[str] = (), run_config: Mapping[str, Any] | None = None) -> None:
    """Raises Refused, naming what `role` may not do."""
    beyond = _beyond(role, action, keys, run_config)
    if beyond:
        raise messages.ROLE(what=", ".join(beyond), role=role.value, needed=needed(action, keys, run_config).value)


def _beyond(role: Role, action: str, keys: Collection[str], run_config: Mapping[str, Any] | None) -> list[str]:
    """What of it is beyond a role: the action itself, or the keys of an edit.

    Keys that no run accepts while it trains (unknown ones, the startup tier) are left to the refusal that says so.
    """
    rights = RIGHTS[role]
    if rights.actions is not None and action not in rights.actions:
        return [action]
    if rights.tiers is None:
        return []
    live = config.live_parameters(run_config)
    return [key for key in keys if key in live and live[key].tier not in rights.tiers]
