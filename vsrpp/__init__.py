"""VSR++: steerable, reproducible training of video super-resolution networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsrpp.api import Run

__all__ = ["Run", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`from vsrpp import Run` loads the API then, so that importing the package alone costs nothing."""
    if name == "Run":
        from vsrpp.api import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
