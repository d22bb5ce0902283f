"""What `promote` and `evaluate` print with `--json` if their checkpoint does not verify (exit 6)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from vsrpp.errors import ProofFailed
from vsrpp.output import print_json


@contextlib.contextmanager
def keep_document(document: dict[str, Any], *, as_json: bool) -> Iterator[None]:
    """If a proof fails within this, print `document`, which has the keys of the command's answer, and raise the error.

    Keys that are null are filled in from the error's fields; `verified` is false.
    """
    try:
        yield
    except ProofFailed as error:
        if as_json:
            known = {key: error.fields.get(key) for key, value in document.items() if value is None}
            print_json({**document, **known, "verified": False, "message": str(error)})
        raise
