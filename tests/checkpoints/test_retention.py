from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsrpp.checkpoints.retention import Kept, to_prune


def rows(
    *steps: int, score: dict[int, float] | None = None, uploaded: bool = True, pinned: tuple[int, ...] = ()
) -> list[Kept]:
    return [Kept(step=s, score=(score or {}).get(s), uploaded=uploaded, pinned=s in pinned) for s in steps]


@pytest.mark.parametrize(
    ("checkpoints", "policy", "gone"),
    [
        (rows(1, 2, 3), {"keep_last": 3, "keep_every": 0}, []),
        (rows(1, 2, 3, 4), {"keep_last": 2, "keep_every": 0}, [1, 2]),
        (rows(1, 2, 3, 4, score={1: 9.0, 3: 8.0}), {"keep_last": 2, "keep_every": 0}, [2]),
        (rows(10, 20, 30, 40), {"keep_last": 1, "keep_every": 20}, [10, 30]),
        (rows(1, 2, 3, 4, pinned=(2,)), {"keep_last": 1, "keep_every": 0}, [1, 3]),
        (rows(1, 2, 3, uploaded=False), {"keep_last": 1, "keep_every": 0}, []),
        ([], {"keep_last": 1, "keep_every": 0}, []),
    ],
)
def test_what_retention_lets_go(checkpoints: list[Kept], policy: dict[str, int], gone: list[int]) -> None:
    assert to_prune(checkpoints, local_only=False, **policy) == gone


def test_without_uploads_the_policy_local_prunes_what_is_not_uploaded() -> None:
    assert to_prune(rows(1, 2, 3, uploaded=False), keep_last=1, keep_every=0, local_only=True) == [1, 2]


def test_short_of_disk_uploaded_ones_go_first_then_the_oldest() -> None:
    mixed = [*rows(1, 2, uploaded=False), *rows(3, 4), *rows(5, uploaded=False)]
    assert to_prune(mixed, keep_last=10, keep_every=0, local_only=False, short_of_disk=True) == [3, 4, 1, 2]


@given(
    steps=st.lists(st.integers(0, 500), unique=True, min_size=1),
    keep_last=st.integers(1, 10),
    scores=st.data(),
    short=st.booleans(),
)
def test_the_newest_and_the_best_are_never_let_go(steps, keep_last, scores, short) -> None:
    made = [
        Kept(step=s, score=scores.draw(st.none() | st.floats(0, 50)), uploaded=scores.draw(st.booleans()))
        for s in steps
    ]
    gone = to_prune(made, keep_last=keep_last, keep_every=0, local_only=False, short_of_disk=short)
    assert max(steps) not in gone
    scored = [row for row in made if row.score is not None]
    if scored:
        assert max(scored, key=lambda row: (row.score, row.step)).step not in gone
    if not short:
        assert all(row.uploaded for row in made if row.step in gone)
