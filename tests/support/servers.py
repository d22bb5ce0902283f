"""A real tracking server that can be killed and restarted, and queries of a tracking store."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.waiting import free_port, wait_until
from vsrpp.store import RunReader


class Server:
    """A real `mlflow server` on loopback over a SQLite store; `kill` and `start` may be repeated."""

    def __init__(
        self, folder: Path, *, options: list[str] | None = None, more: list[str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`options` replace those of the SQLite store, `more` are added to them."""
        self.port = free_port()
        self.folder, self.uri = folder, f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = environment or {}
        here = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination"]
        self._options = [*(options or [*here, str(folder / "artifacts")]), *(more or [])]

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *self._options, "--host", "127.0.0.1", "--port", str(self.port),
             "--workers", "1"],
            stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **self._environment},
        )  # fmt: skip
        wait_until(self._answers, 300, f"mlflow server on port {self.port}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=20) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9 the process group of the server and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs_of(uri: str, run_id: str) -> list[Any]:
    client = client_of(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.`vsrpp.run_id` = '{run_id}'"))


def the_run(uri: str, run_id: str) -> Any:
    """The only MLflow run with our run ID; fails unless there is exactly one."""
    found = runs_of(uri, run_id)
    assert len(found) == 1, [run.info.run_id for run in found]
    return found[0]


def assert_same_rows(uri: str, run_db: Path, run_id: str) -> None:
    """Check that the server has each metric row of the store once, with step, time and value, and no others."""
    run, client = the_run(uri, run_id), client_of(uri)
    with RunReader(run_db) as reader:
        rows = reader.metrics()
    wanted = Counter((row.key, row.step, round(row.time * 1000), as_mlflow_keeps(row.value)) for row in rows)
    there: Counter[tuple[str, int, int, str]] = Counter()
    for key in {row.key for row in rows} | set(run.data.metrics):
        history = client.get_metric_history(run.info.run_id, key)
        there.update((key, m.step, m.timestamp, as_mlflow_keeps(m.value)) for m in history)
    assert there == wanted


def as_mlflow_keeps(value: float) -> str:
    """A value as stored by MLflow's databases, which replace infinity with the largest number."""
    return repr(math.copysign(sys.float_info.max, value) if math.isinf(value) else value)


def artifact_paths(uri: str, run_id: str, folder: str | None = None) -> list[str]:
    return [file.path for file in client_of(uri).list_artifacts(the_run(uri, run_id).info.run_id, folder)]


def models_of(uri: str, run_id: str) -> list[Any]:
    run = the_run(uri, run_id)
    found = client_of(uri).search_logged_models([run.info.experiment_id], f"tags.`vsrpp.run_id` = '{run_id}'")
    return sorted(found, key=lambda model: (int(model.tags["vsrpp.branch"]), int(model.tags["vsrpp.step"])))
