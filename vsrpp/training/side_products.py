"""Files that training writes but does not depend on: one that cannot be written is reported, and training continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIDE_PRODUCTS = ("pictures", "frame_figures", "config_file")


class SideProducts:
    """Reports when writing one begins to fail, and when it works again; not every attempt."""

    def __init__(self) -> None:
        self._lost: set[str] = set()
        self._news: list[tuple[str, dict[str, Any]]] = []

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Around an attempt to write `what`, one of SIDE_PRODUCTS: an OSError inside ends the attempt, not the run."""
        assert what in SIDE_PRODUCTS, what
        try:
            yield
        except OSError as error:
            if what not in self._lost:
                self._lost.add(what)
                self._news.append(("output_lost", {"what": what, "error": str(error)}))
        else:
            if what in self._lost:
                self._lost.discard(what)
                self._news.append(("output_back", {"what": what}))

    def lost(self, what: str) -> bool:
        """Whether the last attempt to write it failed."""
        return what in self._lost

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """The events (type, data) since the last call."""
        news, self._news = self._news, []
        return news
