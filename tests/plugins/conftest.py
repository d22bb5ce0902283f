"""Every test has its own file of trusted code, and leaves no plug-in's modules behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vsrpp.plugins import importer, trust


@pytest.fixture(autouse=True)
def own_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("VSRPP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(trust.ENVIRONMENT, "")
    yield
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, importer.SourceFinder)]
    for name, module in list(sys.modules.items()):
        if isinstance(getattr(module, "__loader__", None), importer.SourceFinder):
            del sys.modules[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
