"""Checks failures by reason code and fields, so that a sentence can be edited without changing a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vsrpp.errors import Reason, VsrppError


@contextmanager
def raises(reason: Reason, **fields: Any) -> Iterator[pytest.ExceptionInfo[VsrppError]]:
    """Expects a failure in the block: with this reason, at least these fields, and a one-line sentence."""
    with pytest.raises(reason.error) as caught:
        yield caught
    assert caught.value.reason_code == reason.code, str(caught.value)
    assert {name: caught.value.fields.get(name) for name in fields} == fields
    assert "\n" not in str(caught.value)
