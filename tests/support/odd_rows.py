"""Rows that another program, another version or a damaged disk may leave in an inbox."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

GOOD = {
    "time": 1.7e9, "kind": "edit", "payload": '{"changes": {"max_lr": 2e-4}}', "origin": "cli", "author": "anna",
    "reason": None, "base_revision": None,
}  # fmt: skip
"""A row that is applied, without its uid."""
NOT_UTF8 = "CAST(X'7B22FF227D' AS TEXT)"
"""SQL: text that is not UTF-8."""
ODD: dict[str, list[Any]] = {
    "uid": [b"\x00\xff", "", "u" * 5000, NOT_UTF8],
    "time": ["soon", b"\x00", float("inf"), float("-inf"), NOT_UTF8],
    "kind": ["profile", "", "EDIT", "edit\x00", b"edit", "k" * 5000, NOT_UTF8],
    "payload": ["", "{", "[]", "1", "NaN", '"text"', b'{"changes": {"max_lr": 2e-4}}', "[" * 100_000, " " * 2_000_000, NOT_UTF8],
    "origin": ["", b"cli", "o" * 5000, NOT_UTF8],
    "author": [b"anna", NOT_UTF8],
    "reason": [b"why", NOT_UTF8],
    "base_revision": ["seven", -1, 1.5, 2**62, b"\x07", float("inf"), NOT_UTF8],
}  # fmt: skip
"""Values for each column that make the row no command, or an edit to refuse."""

VALUES = [
    "null", "true", "NaN", "-Infinity", "1e999", "-1", "1.5", "1" * 4000, '"text"', '"\\ud83d"', "[]", "[[1]]",
    '{"a": 1}', "[" * 500 + "]" * 500,
]  # fmt: skip
"""JSON values of every type."""
FIELDS = {
    "edit": [
        '{"changes": %s}', '{"changes": {"max_lr": %s}}', '{"changes": {"max_steps": %s}}', '{"changes": {%s: 1}}',
        '{"changes": {"max_lr": 2e-4}, "probation": %s}', '{"changes": {"max_lr": 2e-4}, "probation": {"steps": %s}}',
        '{"changes": {"max_lr": 2e-4}, "probation": {"steps": 5, "revert_if": %s}}',
        '{"changes": {"max_lr": 2e-4}, "probation": {"steps": 2, "more": %s}}',
    ],
    "rollback": ['{"step": %s}', '{"revision": %s}', '{"step": 1, "revision": %s}', '{"more": %s}'],
    "validate": ['{"more": %s}'],
    "checkpoint": ['{"step": %s}'],
    "pause": ['{"step": %s}'],
    "resume": ['{"step": %s}'],
}  # fmt: skip
"""Every field of every payload."""


def put(inbox: Path, **columns: Any) -> int:
    """Insert one row past every check; returns its ID."""
    row = {"uid": f"uid-{next(_numbers)}", **GOOD, **columns}
    with closing(sqlite3.connect(inbox, timeout=30)) as db, db:
        marks = ["?" if value is not NOT_UTF8 else NOT_UTF8 for value in row.values()]
        values = [value for value in row.values() if value is not NOT_UTF8]
        added = db.execute(f"INSERT INTO commands ({', '.join(row)}) VALUES ({', '.join(marks)})", values)
        return int(added.lastrowid or 0)


def answers(inbox: Path) -> dict[int, str | None]:
    """The answer of every row, as stored."""
    with closing(sqlite3.connect(inbox, timeout=30)) as db:
        return dict(db.execute("SELECT id, answer FROM commands"))


def odd_columns() -> Iterator[tuple[str, Any]]:
    for column, values in ODD.items():
        yield from ((column, value) for value in values)


def odd_payloads() -> Iterator[tuple[str, str]]:
    for kind, shapes in FIELDS.items():
        yield from ((kind, shape % value) for shape, value in itertools.product(shapes, VALUES))


_numbers = itertools.count()
