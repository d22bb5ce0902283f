"""What the trainer's terminal prints for an event; it must never raise, because it runs in the training loop."""

from __future__ import annotations

from typing import Any

import pytest

from vsrpp.cli.console import event_lines
from vsrpp.store import EVENT_TYPES, Event

ODD: list[dict[str, Any]] = [
    {},
    {"changes": {"max_lr": 0.5}, "errors": [{"key": "max_lr", "value": 0.5, "message": "must be less"}], "line": "no"},
    {"changes": ["max_lr"], "errors": ["no"], "metrics": [1], "images": None},
    {"changes": [{"key": "max_lr", "old": "nan", "new": None}], "to_step": "x", "from_step": None, "psnr_y": "inf"},
    {"changes": 3, "probation": [], "error": {"a": 1}, "size_bytes": "big", "reason": 7, "phase": None},
]


def event(type: str, data: dict[str, Any]) -> Event:
    return Event(
        seq=2,
        time=0.0,
        step=5,
        branch=0,
        type=type,
        revision=1,
        origin="cli",
        author=None,
        reason=None,
        data=data,
        hash="",
    )


@pytest.mark.parametrize("data", ODD)
@pytest.mark.parametrize("type", sorted(EVENT_TYPES))
def test_an_event_is_printed_whatever_it_holds(type: str, data: dict[str, Any]) -> None:
    assert all(isinstance(line, str) for line in event_lines(event(type, data)))


def test_an_applied_edit_is_a_line_for_each_change() -> None:
    changes = [{"key": "max_lr", "old": 1e-4, "new": 2e-4}, {"key": "grad_clip", "old": 1.0, "new": 0.5}]
    lines = event_lines(event("config_applied", {"changes": changes}))
    assert lines == ["⚙️  Config Update: max_lr 1.00e-04 → 2.00e-04", "⚙️  Config Update: grad_clip 1.0 → 0.5"]
