"""A real SQLite tracking store and a real `mlflow server`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import Server


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    """A SQLite tracking store for one test."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def unstarted_server(empty_store: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that one test may start, kill and restart."""
    with _server(empty_store, tmp_path / "server") as made:
        yield made


@pytest.fixture
def server(unstarted_server: Server) -> Server:
    """The same server, already started."""
    unstarted_server.start()
    return unstarted_server


@pytest.fixture(scope="session")
def shared_server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server shared by tests that do not kill it and read only their own run, because a start takes ten seconds."""
    with _server(empty_store, tmp_path_factory.mktemp("shared") / "server") as made:
        made.start()
        yield made


@contextmanager
def _server(empty_store: Path, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    made = Server(folder)
    try:
        yield made
    finally:
        made.kill()
