"""An unexpected error is one line and a file, whatever its words and the command's arguments are made of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vsrpp.cli.crash import report


def test_names_that_no_encoding_can_hold_are_written_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSRPP_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["vsrpp", "status", "run\udcff"])
    line = report(OSError(2, "no such file", "run\udcff"))
    (file,) = (tmp_path / "crashes").iterdir()
    assert str(file) in line and "\n" not in line
    assert "run\\udcff" in file.read_text(encoding="utf-8")
