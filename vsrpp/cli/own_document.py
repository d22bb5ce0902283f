"""Keeps a command's own JSON document if it fails in a way that is an answer: a refused edit, a proof that failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from vsrpp.cli.json_output import print_json
from vsrpp.errors import VsrppError


@contextlib.contextmanager
def keep_document(document: dict[str, Any], on: type[VsrppError], *, as_json: bool, **verdict: Any) -> Iterator[None]:
    """On this error, print `document`, which has the keys of the command's answer, with `verdict`; then raise the error.

    Keys that are null are filled in from the error's fields.
    """
    try:
        yield
    except on as error:
        if as_json:
            known = {key: error.fields.get(key) for key, value in document.items() if value is None}
            print_json({**document, **known, **verdict, "message": str(error)})
        raise
