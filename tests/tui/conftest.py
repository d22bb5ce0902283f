"""Runs for the terminal UI to show."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tui_driving import RUN_ID
from tests.support.tui_fakes import FakeRun, half_way


@pytest.fixture(autouse=True)
def _one_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.fixture(autouse=True)
def _patience_with_a_silent_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a live trainer counts as silent after 20 s, which a test may take on a busy machine."""
    monkeypatch.setattr("vsrpp.control.run_view.SILENT_AFTER_S", 3600.0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[FakeRun]:
    """A live run that answers."""
    made = half_way(tmp_path / "runs" / RUN_ID).serve()
    yield made
    made.close()
