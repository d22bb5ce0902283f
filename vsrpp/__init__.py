"""VSR++: steerable, reproducible training of video super-resolution networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsrpp.api import Run as Run
    from vsrpp.api import train as train

__all__ = ["Run", "__version__", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`from vsrpp import Run` loads the API at that moment, so that importing the package alone costs nothing."""
    if name in ("Run", "train"):
        from vsrpp import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
