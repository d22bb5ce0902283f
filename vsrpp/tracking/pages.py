"""Reads a listing of the tracking server to its last page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def all_pages(search: Callable[..., Any], *arguments: Any, limit: int | None = None, **options: Any) -> list[Any]:
    """Everything that one of MLflow's `search_…` functions finds, in its order; at most `limit`."""
    found: list[Any] = []
    token = None
    while True:
        page = search(*arguments, page_token=token, **options)
        found += page
        token = page.token
        if not token or (limit is not None and len(found) >= limit):
            return found[:limit]
