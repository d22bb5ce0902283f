"""The runs the tracking server knows, queried in a separate thread, so that no page waits for a server that is down."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp.tracking.connection import find_runs
from vsrpp.tracking.environment import address
from vsrpp.tracking.failures import classify

from .markup import Piece
from .views import runs as runs_view
from .views.compare import web_address

FRESH_S = 30.0


class TrackedRuns:
    """Asks at most every half minute, and only while somebody has the runs page open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._rows: list[dict[str, Any]] = []
        self._why: str | None = None
        self._known = False

    def piece(self) -> Piece:
        """The section of the runs page, as far as is known now."""
        self._ask()
        uri = paths.tracking_uri(self._folder)
        local = {run_paths.run_id for run_paths in control.local_runs(self._folder)}
        rows = [row for row in self._rows if row["run_id"] not in local]
        return runs_view.tracking(uri, rows, self._why, asked=self._known or self._why is not None)

    def _ask(self) -> None:
        with self._lock:
            if time.monotonic() - self._asked_at < FRESH_S:
                return
            self._asked_at = time.monotonic()
        threading.Thread(target=self._read, name="tracked-runs", daemon=True).start()

    def _read(self) -> None:
        try:
            self._rows, self._why = search(paths.tracking_uri(self._folder)), None
        except Exception as error:  # noqa: BLE001 - whatever the server or its client raises is shown, never fatal
            self._why = classify(error).message
        self._known = True


def search(uri: str) -> list[dict[str, Any]]:
    """The newest runs on the server that are trainings of ours. Imports MLflow; may take seconds."""
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return []
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=address(uri))
    mlflow_runs = find_runs(client, "tags.`vsrpp.run_id` != ''", 50)
    web = web_address(uri)
    return [
        {
            "run_id": run.data.tags.get("vsrpp.run_id", run.info.run_id),
            "name": run.info.run_name,
            "status": run.info.status.lower(),
            "psnr_y": run.data.metrics.get("val/psnr_y"),
            "started": run.info.start_time / 1000 if run.info.start_time else None,
            "url": f"{web}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}" if web else "",
        }
        for run in mlflow_runs
        if run.data.tags.get("vsrpp.kind") != "tool"
    ]
