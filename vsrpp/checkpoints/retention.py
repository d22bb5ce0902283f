"""The retention policy: a pure decision on which checkpoints stay on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The facts about one checkpoint on disk that retention depends on."""

    step: int
    score: float | None
    """The metric that defines the best checkpoint (higher is better); None without a validation at that step."""
    uploaded: bool
    pinned: bool = False


def to_prune(
    checkpoints: Sequence[Kept], *, keep_last: int, keep_every: int, local_only: bool, short_of_disk: bool = False
) -> list[int]:
    """Steps whose folders may be removed, oldest first.

    Kept are the last `keep_last`, the best, every `keep_every`-th step (0: none), the pinned, always the newest, and, unless
    `local_only`, whatever is not uploaded yet. When short of disk space, only the newest, the best and the pinned are kept;
    the others are removed oldest first, uploaded ones before the rest.
    """
    rows = sorted(checkpoints, key=lambda row: row.step)
    if not rows:
        return []
    scored = [row for row in rows if row.score is not None]
    protected = {rows[-1].step} | {row.step for row in rows if row.pinned}
    if scored:
        protected.add(max(scored, key=lambda row: (row.score, row.step)).step)
    if short_of_disk:
        others = [row for row in rows if row.step not in protected]
        return [row.step for row in sorted(others, key=lambda row: (not row.uploaded, row.step))]
    keep = protected | {row.step for row in rows[-max(1, keep_last) :]}
    keep |= {row.step for row in rows if keep_every and row.step % keep_every == 0}
    return [row.step for row in rows if row.step not in keep and (row.uploaded or local_only)]
