"""A real SQLite tracking store (made once: it takes seven seconds, then copied) and a real `mlflow server`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.serving import Server
from vsrpp.tracking import environment


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in it."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    environment.prepare(f"sqlite:///{database}")
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    os.environ.pop(environment.SERVER_ARTIFACT_ROOT, None)
    return database


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    """A SQLite tracking store of the test's own."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    made = Server(folder)
    made.start()
    yield made
    made.kill()
