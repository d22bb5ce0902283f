"""The error classes, as programs distinguish them."""

from __future__ import annotations

import pytest

from vsrpp.errors import KINDS, VsrppError, kind_of_exit


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_ended_with_the_exit_code_of_a_class_gives_that_class(kind: type[VsrppError]) -> None:
    assert kind_of_exit(kind.exit_code) is kind


def test_an_error_of_one_room_does_not_stand_for_its_exit_code() -> None:
    from vsrpp.launch.supervisor import RankFailed

    assert RankFailed.exit_code == VsrppError.exit_code
    assert kind_of_exit(RankFailed.exit_code) is VsrppError


@pytest.mark.parametrize("code", [-9, 70, 137])
def test_an_exit_code_without_a_class_is_a_general_failure(code: int) -> None:
    assert kind_of_exit(code) is VsrppError
