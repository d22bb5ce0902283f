"""A refused value with its reason, as checks return it and messages print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vsrpp.documents import ProblemDocument
from vsrpp.errors import Reason
from vsrpp.safe_text import redact

PRIVATE = frozenset({"alerts_url", "signing_key"})
"""Parameters that ranks are not compared by: secret addresses, and files that each host may have elsewhere."""


def public_value(key: str, value: Any) -> Any:
    """The value as it may be shown: of a secret address, also under a mistyped key, its host."""
    return redact(value) if isinstance(value, str) and (key in PRIVATE or "url" in key.lower()) else value


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a value is refused."""

    key: str
    """The parameter, or an empty string for the edit as a whole."""
    value: Any
    message: str
    """Only the reason: `must be between 1e-05 and 0.001`."""
    reason_code: str = "refused"
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the message."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", public_value(self.key, self.value))

    @classmethod
    def of(cls, key: str, value: Any, reason: Reason, **fields: Any) -> Problem:
        return cls(key, value, reason.sentence(**fields), reason.code, fields)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Problem:
        """Read a problem from an answer or event; older records have no reason codes."""
        return cls(
            str(row.get("key", "")), row.get("value"), str(row.get("message", "")), str(row.get("reason_code") or "refused"),
            row.get("fields") or {},
        )  # fmt: skip

    def to_json(self) -> ProblemDocument:
        return {
            "key": self.key, "value": self.value, "message": self.message, "reason_code": self.reason_code,
            "fields": dict(self.fields),
        }  # fmt: skip
