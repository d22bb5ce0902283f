"""Of several ranks that failed together, the launcher names the one that caused it."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from vsrpp.launch.agent import first_failure

KILLED, ABORTED, TOLD = -signal.SIGKILL, -signal.SIGABRT, -signal.SIGTERM


@pytest.mark.parametrize(
    ("codes", "blamed"),
    [
        ({0: 1, 1: KILLED}, 1),
        ({0: ABORTED, 1: KILLED}, 1),
        ({0: KILLED, 1: ABORTED}, 0),
        ({0: 1, 1: ABORTED}, 1),
        ({0: ABORTED, 1: 1}, 0),
        ({0: 1, 1: TOLD}, 0),
        ({0: 2, 1: 1}, 0),
    ],
)
def test_who_took_the_others_along(codes: dict[int, int], blamed: int) -> None:
    """The ranks fail in the order of their numbers, a tenth of a second apart."""
    failures = {rank: SimpleNamespace(exitcode=code, timestamp=100 + 0.1 * rank) for rank, code in codes.items()}
    assert first_failure(failures) == (blamed, codes[blamed])


def test_one_that_is_killed_long_after_the_first_is_not_blamed() -> None:
    failures = {
        0: SimpleNamespace(exitcode=1, timestamp=100),
        1: SimpleNamespace(exitcode=KILLED, timestamp=130),
    }
    assert first_failure(failures) == (0, 1)
