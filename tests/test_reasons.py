"""Reason codes: each is unique, begins with the code of its error class, and stands in a room's `messages.py`."""

from __future__ import annotations

import importlib
import string
from pathlib import Path

import pytest

from vsrpp.errors import Reason

ROOT = Path(__file__).resolve().parents[1]
ROOMS = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(ROOT.glob("vsrpp/*/messages.py"))]


def reasons(module: str) -> dict[str, Reason]:
    """The reasons a module defines, by their names."""
    return {name: value for name, value in vars(importlib.import_module(module)).items() if isinstance(value, Reason)}


def test_no_two_reasons_share_a_code() -> None:
    codes = [reason.code for module in ROOMS for reason in reasons(module).values()]
    assert len(codes) > 100
    assert sorted(code for code in set(codes) if codes.count(code) > 1) == []


@pytest.mark.parametrize("module", ROOMS)
def test_a_code_begins_with_its_class_and_its_sentence_is_one_line_of_named_fields(module: str) -> None:
    for name, reason in reasons(module).items():
        general = reason.error.reason_code
        assert reason.code == general or reason.code.startswith(f"{general}."), name
        fields = [field for _, field, _, _ in string.Formatter().parse(reason.text) if field is not None]
        assert all(field.isidentifier() for field in fields), name
        assert "\n" not in reason.text, name
