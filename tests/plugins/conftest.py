"""Every test has its own file of trusted code, and leaves no plug-in's modules behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.panel_loader import load_panel
from tests.support.plugins import EXTRAS, write
from vsrpp.plugins import importer, trust

load_panel()


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


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path with an installed distribution that offers a network, a loss term, and what is broken."""
    site = tmp_path / "site"
    write(site, EXTRAS, "far_nets.py")
    write(site, "import no_such_thing\n", "far_broken.py")
    info = site / "far_nets-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: far-nets\nVersion: 1.5\n")
    (info / "RECORD").write_text("far_nets.py,,\nfar_broken.py,,\n")
    (info / "entry_points.txt").write_text(
        "[vsrpp.networks]\ntiny = far_nets:TinyNet\nbroken = far_broken:Net\n"
        "[vsrpp.losses]\nfft = far_nets:fft\n[vsrpp.detectors]\nwrong = far_nets:TinyNet\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return site
