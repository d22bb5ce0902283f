"""kill -9 at random moments during edits: nothing acknowledged is lost, and the result is bit-identical to an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killing import prove
from tests.support.killing_proof import lost_or_doubled
from vsrpp.store import Event


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_kills_lose_no_edit_no_checkpoint_and_no_bit(tmp_path: Path) -> None:
    proof = prove(tmp_path, kills=5, seed=3)
    assert proof.failures == []
    assert (proof.kills, proof.replay_identical) == (5, True)
    assert proof.acknowledged > 0
    assert proof.checkpoints_verified > 0


def applied(token: str, revision: int, grad_clip: float) -> Event:
    return Event(
        seq=revision, time=0.0, step=5, branch=0, type="config_applied", revision=revision, origin="cli", author=None,
        reason=token, data={"changes": [{"key": "grad_clip", "old": 1.0, "new": grad_clip}]}, hash="",
    )  # fmt: skip


def test_the_proof_itself_finds_what_is_lost_changed_or_there_twice() -> None:
    row = {"token": "hand 1", "kind": "edit", "status": "applied", "revision": 1, "step": 5}
    row["changes"] = [{"key": "grad_clip", "old": 1.0, "new": 0.5}]
    there = applied("hand 1", 1, 0.5)
    assert lost_or_doubled([row], [there]) == []
    assert "is not on record" in lost_or_doubled([row], [])[0]
    assert "but not as acknowledged" in lost_or_doubled([row], [applied("hand 1", 1, 0.7)])[0]
    assert "2 times" in lost_or_doubled([row], [there, applied("hand 1", 2, 0.5)])[0]
    assert "missing or duplicated" in lost_or_doubled([], [applied("hand 1", 2, 0.5)])[0]
