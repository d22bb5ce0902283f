"""The runs trained by `scripts/prove_same`, and the commands sent to them by step.

A run of one process acts on a command at that step; one of two processes at the next step at which the ranks meet. A
scenario is a sequence of processes ("lives") that train the same run: the first starts it, the others resume it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SETS: dict[str, Any] = {
    "n_feats": 4, "n_blocks": 1, "num_frames": 2, "crop_size": 32, "batch_size": 2, "scale": 2, "warmup_steps": 4,
    "torch_threads": 1, "num_workers": 0, "device": "cpu", "val_fraction": 0.2, "max_steps": 24, "log_every": 2,
    "validate_every": 10, "checkpoint_every": 10, "max_lr": 1e-3, "control_interval": 4, "keep_last": 100,
    "plateau_action": "reduce_lr",
}  # fmt: skip
"""`plateau_action` was that by default. `keep_last` keeps every checkpoint, because pruning depends on when MLflow has them."""
NETWORKS: dict[str, dict[str, Any]] = {
    "vsrpp": {"network": "vsrpp"},
    "basicvsr": {"network": "basicvsr", "scale": 4, "flow_freeze_steps": 6},
}
MS: dict[str, Any] = {"l1_weight": 0.5, "ms_weight": 0.3}
"""An edit that changes the weights of the next step; gradients are too small here for `grad_clip` to do so."""
ALWAYS, NEVER = "loss > 0.01x", "loss > 100x"
"""Probation conditions that hold at the first step, and never."""
Action = dict[str, Any]


def put(at: int, kind: str, **payload: Any) -> Action:
    return {"at": at, "put": kind, "payload": payload}


def edit(at: int, **changes: Any) -> Action:
    return put(at, "edit", changes=changes)


def try_out(at: int, steps: int, revert_if: str, **changes: Any) -> Action:
    """An edit on probation."""
    return put(at, "edit", changes=changes, probation={"steps": steps, "revert_if": revert_if})


def kill(at: int, *, newest_checkpoint: int) -> list[Action]:
    return [{"at": at - 2, "settle": newest_checkpoint}, {"at": at, "kill": True}]


@dataclass(frozen=True, slots=True)
class Life:
    """One training process (or a pair of them)."""

    actions: list[Action]
    killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    lives: tuple[Life, ...]
    must_record: frozenset[str]
    """Event types that prove that the scenario took place; otherwise the comparison would prove nothing."""
    sets: dict[str, Any] = field(default_factory=dict)
    nan: tuple[int, ...] = ()


def scenario(name: str, *lives: Life, must_record: str, nan: tuple[int, ...] = (), **sets: Any) -> Scenario:
    return Scenario(name=name, lives=lives, must_record=frozenset(must_record.split()), nan=nan, sets=sets)


MIXED = scenario(
    "mixed",
    Life(
        [
            edit(3, max_lr=8e-4, grad_clip=0.5), try_out(5, 8, ALWAYS, max_lr=9e-4), put(13, "rollback", step=10),
            edit(16, **MS), *kill(18, newest_checkpoint=10),
        ],
        killed=True,
    ),
    Life([try_out(21, 3, NEVER, max_lr=6e-4), put(22, "validate")]),
    must_record="config_applied config_reverted rolled_back restored config_confirmed validated finished",
    max_steps=30,
)  # fmt: skip
"""Combines several other scenarios; also the run whose folder the other code must be able to use."""
STEERED = scenario(
    "steered",
    Life(
        [
            edit(3, max_lr=8e-4, grad_clip=0.5), try_out(5, 8, ALWAYS, max_lr=9e-4), try_out(11, 3, NEVER, max_lr=6e-4),
            put(13, "validate"), put(17, "rollback", step=10), put(26, "stop"),
        ]
    ),
    must_record="config_applied config_reverted config_confirmed validated rolled_back non_finite stopped",
    nan=(22, 23, 24), non_finite_patience=3, max_steps=40,
)  # fmt: skip
SCENARIOS = (
    scenario(
        "edit",
        Life([edit(5, max_lr=8e-4, grad_clip=0.5), edit(9, max_lr=0.5), edit(13, **MS)]),
        must_record="config_applied config_refused finished",
    ),
    scenario(
        "reverted", Life([try_out(7, 8, ALWAYS, max_lr=9e-4), edit(7, **MS)]),
        must_record="config_applied config_reverted finished",
    ),
    scenario(
        "confirmed", Life([try_out(7, 8, NEVER, max_lr=6e-4), edit(8, **MS)]),
        must_record="config_applied config_confirmed finished",
    ),
    scenario(
        "rollback", Life([edit(5, max_lr=8e-4), edit(12, **MS), put(15, "rollback", step=10)]),
        must_record="config_applied rolled_back finished",
    ),
    scenario("validation", Life([put(7, "validate"), put(13, "checkpoint")]), must_record="validated finished"),
    scenario(
        "stop", Life([put(5, "pause"), put(5, "resume"), put(13, "stop")]), Life([]),
        must_record="paused resumed stopped restored finished",
    ),
    scenario(
        "kill", Life([edit(5, max_lr=8e-4), edit(12, **MS), *kill(18, newest_checkpoint=10)], killed=True),
        Life([edit(21, max_lr=5e-4)]), must_record="config_applied restored finished",
    ),
    scenario(
        "non_finite", Life([edit(5, max_lr=8e-4)]), must_record="non_finite rolled_back finished",
        nan=(13, 14, 15), non_finite_patience=3,
    ),
    STEERED,
    MIXED,
)  # fmt: skip
