"""Loads the panel once; each test gets an empty folder of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.panel_loader import load_panel

load_panel()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder
