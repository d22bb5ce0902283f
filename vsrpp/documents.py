"""Types of the JSON documents that Python callers meet: answers, previews, the best checkpoint, a probation."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

ConfigValue = bool | int | float | str | None
"""The value of a live parameter."""
AnswerStatus = Literal["applied", "done", "refused", "pending"]
RunState = Literal[
    "training", "paused", "validating", "waiting", "finished", "stopped", "failed", "dead", "unreadable",
]  # fmt: skip
EventType = Literal[
    "config_applied", "config_refused", "config_reverted", "config_confirmed",
    "plateau_detected", "plateau_cleared", "safety_reset", "lr_floor", "phase_changed",
    "validated", "recurrence_unstable", "below_bicubic", "quality_fell", "validation_recovered",
    "checkpoint_saved", "checkpoint_failed",
    "started", "paused", "resumed", "restored", "rolled_back", "stopped", "finished",
    "tracking_lost", "tracking_back", "face_failed", "output_lost", "output_back", "storage_back",
    "non_finite", "bad_sample", "out_of_memory", "failed",
]  # fmt: skip


class ChangeDocument(TypedDict):
    """One changed value."""

    key: str
    old: Any
    new: Any


class PreviewChange(ChangeDocument):
    """One value that an edit would change."""

    tier: str


class ProblemDocument(TypedDict):
    """Why one value is refused."""

    key: str
    value: Any
    message: str
    reason_code: str
    fields: dict[str, Any]


class RemarkDocument(TypedDict):
    """Something worth knowing that is no failure, such as a warning."""

    message: str
    """English."""
    reason_code: str
    fields: dict[str, Any]
    """What the sentence was filled in with."""


class RatePoint(TypedDict):
    """The learning rate at a step ahead, without and with an edit."""

    step: int
    old: float
    new: float


class BestDocument(TypedDict):
    """The best checkpoint: its step and PSNR-Y (dB), the metric that decides, and its value."""

    step: int
    psnr_y: float | None
    key: str
    value: float


class ProbationDocument(TypedDict):
    """An edit on probation."""

    until_step: int
    revert_if: str
    revision: int


class WaitingDocument(TypedDict):
    """Why a run waits at a step boundary, and since when (seconds since 1970)."""

    why: str
    """English."""
    reason_code: str
    fields: dict[str, Any]
    since: float


class RemoteCopyDocument(TypedDict):
    """The newest state whose upload to another machine is confirmed."""

    step: int
    branch: int
    age_s: float
    uri: str
