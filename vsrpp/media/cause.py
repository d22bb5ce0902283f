"""What an exception of a decoder says, on one line."""

from __future__ import annotations


def cause_of(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
