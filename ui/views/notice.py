"""A sentence with how it is meant: what a view, an answer or a refusal says until it is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..markup import Piece, piece

Kind = Literal["good", "info", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Notice:
    kind: Kind
    text: str

    def piece(self, role: Literal["status", "alert"] = "status") -> Piece:
        """On its own, announced by a screen reader: politely, or at once as an `alert`."""
        return piece("told", kind=self.kind, text=self.text, role=role)
