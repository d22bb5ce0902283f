"""JSON answers of the panel's own addresses; a failure's HTTP status follows from its error class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Response

from vsrpp.errors import NotFound, NotLive, Refused, TimedOut, VsrppError
from vsrpp.safe_text import escape_json

from . import refusals

DONE, PENDING = 200, 202
_BY_CLASS = {
    Refused.exit_code: 400,
    NotFound.exit_code: 404,
    NotLive.exit_code: 409,
    TimedOut.exit_code: 504,
}
_BY_REASON = {
    refusals.ROLE.code: 403,
    refusals.ROLE_EDIT.code: 403,
    refusals.ROLE_EDIT_ENDS.code: 403,
    refusals.REQUEST_TOO_SLOW.code: 408,
    refusals.REQUEST_TOO_LARGE.code: 413,
}
"""Reasons with a more specific HTTP status than that of their class."""


def http_status(error: VsrppError) -> int:
    """The HTTP status of a failure: its reason's own, else by the exit code of its class; 500 for every other."""
    return _BY_REASON.get(error.reason_code) or _BY_CLASS.get(error.exit_code, 500)


def json_answer(document: Mapping[str, Any], status: int = DONE) -> Response:
    """A document that no cache keeps; what JSON has no type for becomes text."""
    return Response(to_json(document), status, {"Cache-Control": "no-store"}, "application/json")


def failure(error: VsrppError) -> Response:
    """{status, reason_code, fields, message} of an error, as `--json` prints it."""
    document = {"status": "error", "reason_code": error.reason_code, "fields": error.fields, "message": str(error)}
    return json_answer(document, http_status(error))


def to_json(document: Mapping[str, Any]) -> bytes:
    return escape_json(json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str)).encode()
