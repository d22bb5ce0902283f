"""The errors of a database that cannot be read.

Each is also one of SQLite's errors, so that code that tolerates those needs no second clause.
"""

from __future__ import annotations

import sqlite3

from vsrpp.errors import VsrppError


class StoreUnreadable(VsrppError, sqlite3.OperationalError):
    """A database of a run folder that cannot be read now, such as one that is locked, or has no tables yet."""


class StoreDamaged(VsrppError, sqlite3.DatabaseError):
    """A database of a run folder that is not one, or not whole."""
