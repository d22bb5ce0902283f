"""A refused value and its reason, as checks return it and messages print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a value is refused."""

    key: str
    """The parameter, or an empty string if the edit as a whole is at fault."""
    value: Any
    message: str
    """The reason alone: `must be between 1e-05 and 0.001`."""
