"""Roles: who may do what, from one table."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.reasons import raises
from vsrpp import config
from vsrpp.control import messages, roles
from vsrpp.control.roles import Role
from vsrpp.errors import Refused
from vsrpp.store.inbox import COMMAND_KINDS

SAFE = [key for key, parameter in config.live_parameters().items() if parameter.tier == "safe"]
CAREFUL = [key for key, parameter in config.live_parameters().items() if parameter.tier == "careful"]


def allowed(role: Role, kind: str, keys: Iterable[str] = ()) -> bool:
    try:
        roles.check(role, kind, keys)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("kind", COMMAND_KINDS)
def test_every_command_has_a_lowest_role_and_all_above_may_do_it(kind: str) -> None:
    keys = SAFE if kind == "edit" else ()
    lowest = Role.OWNER if kind in ("rollback", "stop") else Role.OPERATOR
    assert [role for role in Role if allowed(role, kind, keys)] == [role for role in Role if role >= lowest]


def test_an_action_that_is_not_declared_is_nobodys() -> None:
    assert not any(allowed(role, "start_training") for role in Role)
    with raises(messages.NO_ROLE_DECLARED, action="start_training"):
        roles.needed_for("command.start_training")


def test_an_operator_edits_the_safe_tier_only() -> None:
    assert SAFE
    assert CAREFUL
    roles.check(Role.OPERATOR, "edit", SAFE)
    for key in CAREFUL:
        with pytest.raises(Refused, match=f"^{key} refused: the role operator") as refusal:
            roles.check(Role.OPERATOR, "edit", [SAFE[0], key])
        assert refusal.value.fields == {"what": key, "role": "operator", "needed": "owner"}


@pytest.mark.parametrize("key", ["max_lrr", "seed"])
def test_a_key_that_no_live_run_accepts_is_left_to_the_refusal_that_says_why(key: str) -> None:
    assert allowed(Role.OPERATOR, "edit", [key])


def test_a_viewer_may_do_nothing() -> None:
    assert not any(allowed(Role.VIEWER, kind, SAFE) for kind in COMMAND_KINDS)
