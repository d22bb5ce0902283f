"""What `--json` prints: one document, held back until the command has ended, so that an error can complete it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

from vsrpp.errors import VsrppError
from vsrpp.safe_text import escape_json, redact_data


class _Documents:
    """The document of the command that runs now."""

    def __init__(self) -> None:
        self.holding = False
        self.stream: Any = None
        """Standard output, while everything else that is printed goes to standard error; None if it is closed."""
        self.held: list[Any] = []


_documents = _Documents()


@contextlib.contextmanager
def one_document() -> Iterator[None]:
    """Within this, what `print_json` is given is held until `release`; whatever else is printed goes to standard error."""
    _documents.holding, _documents.stream, _documents.held = True, sys.stdout, []
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _documents.holding, _documents.stream, _documents.held = False, None, []


def release(error: VsrppError | None = None) -> None:
    """Print the one document: the command's own, completed by an error's code and reason, or the error's."""
    document = _documents.held[-1] if _documents.held else None
    if error is not None:
        own = error_document(error)
        verdict = {"code": own["code"], "reason_code": own["reason_code"]}
        document = {**document, **verdict} if isinstance(document, dict) else own
    elif not _documents.held:
        return
    _write(document, _documents.stream)


def error_document(error: VsrppError) -> dict[str, Any]:
    """An error for programs."""
    return {
        "status": "error", "code": error.exit_code, "reason_code": error.reason_code, "message": str(error),
        "fields": _plain(error.fields),
    }  # fmt: skip


def print_json(document: Any) -> None:
    """Print one document, or hold it within `one_document`."""
    if _documents.holding:
        _documents.held.append(document)
    else:
        _write(document, sys.stdout)


def print_json_rows(rows: Iterable[Any]) -> None:
    """Print one document that is a list, as `print_json` would, without holding it in memory: a file holds it."""
    held = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - `_write` closes it
    before = "[\n  "
    for row in rows:
        text = escape_json(json.dumps(redact_data(row), indent=2, ensure_ascii=False, allow_nan=False))
        held.write(before + text.replace("\n", "\n  "))
        before = ",\n  "
    held.write("[]" if before.startswith("[") else "\n]")
    print_json(held)


def _write(document: Any, stream: Any) -> None:
    if stream is None:
        return
    if isinstance(document, io.TextIOBase):
        document.seek(0)
        shutil.copyfileobj(document, stream)
        print(file=stream, flush=True)
        document.close()
        return
    text = json.dumps(redact_data(document), indent=2, ensure_ascii=False, allow_nan=False)
    print(escape_json(text), file=stream, flush=True)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as JSON has them: what it does not know, such as a path or nan, as text."""
    return {key: value if _is_plain(value) else str(value) for key, value in fields.items()}


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
