"""The trainer's side of delivery: starts the delivery process, tells it which run to follow, and collects its report.

Delivery is a process, not a thread, because importing mlflow takes five seconds of pure Python, and its client would
hold the GIL between torch's small operations. Nothing here imports mlflow or torch, and only `run_id` and `finish`
block.

The protocol is JSON lines: `start`, `follow`, `finish` to the child's standard input; `run`, `report` from its standard
output. The end of the pipe tells the child that the trainer has ended, even after kill -9.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.documents import RemarkDocument
from vsrpp.errors import VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import from_marks
from vsrpp.tracking import messages
from vsrpp.tracking.backlog import ARTIFACTS, MLFLOW, TENSORBOARD, Backlog, Report, backlog

MAX_RESTARTS = 3
UPLOADS_LOST_AFTER_S = 5.0
"""How long uploads alone must fail before it is reported; an outage of the whole server is reported only once."""
OUTAGE_FACTS = ("outages", f"outages.{ARTIFACTS}")
SINKS = {MLFLOW: "rows", ARTIFACTS: "artifacts"}
"""Lane -> the `sink` field of recorded events."""
PINNED = "deliver_to"
"""The fact that names the server, for a run started with an explicit one."""
KILL_GRACE_S = 2.0
"""How long the child may exceed the timeout of `finish` before it is killed."""


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """A sink failed or works again; the trainer records it as an event of this type."""

    type: str
    """`tracking_lost` or `tracking_back`; `output_lost` or `output_back` for TensorBoard's files."""
    time: float
    data: dict[str, Any]


class Delivery:
    """A handle on the delivery process. Its failures are reported as values, never raised."""

    def __init__(self, start: dict[str, Any]) -> None:
        self._start = start
        self._run_dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._run: dict[str, Any] | None = None
        self._report: dict[str, Any] | None = None
        self._restarts = 0
        self._gave_up = False
        self._told: dict[tuple[str, int], bool] = {}
        self._began = time.time()
        self.why = ""
        """Why there is no MLflow run, after `run_id` returned None; or why the process could not start."""
        self._spawn()

    @classmethod
    def start(
        cls, *, uri: str, mlflow_run_id: str | None = None, is_ours: bool = True, run_name: str | None = None,
        experiment: str | None = None, experiment_id: str | None = None, tensorboard: bool = True, pinned: bool = False,
    ) -> Delivery:  # fmt: skip
        """Start the process at once: it creates (or confirms) the MLflow run while the trainer imports torch.

        `is_ours`: whether `mlflow_run_id` is known to be this training's; another one is used only if it is unused.
        `pinned`: the run keeps this server, whatever MLFLOW_TRACKING_URI is when it is resumed or synced.
        """
        return cls(
            {
                "uri": uri, "mlflow_run_id": mlflow_run_id, "is_ours": is_ours, "run_name": run_name,
                "experiment": experiment, "experiment_id": experiment_id,
                "tensorboard": tensorboard, "pinned": pinned, "session": uuid.uuid4().hex, "parent": os.getpid(),
            }
        )  # fmt: skip

    # ---- called by the trainer
    @property
    def pid(self) -> int:
        """The process ID; 0 if it could not be started."""
        return self._process.pid if self._process else 0

    def run_id(self, timeout_s: float = 120.0) -> str | None:
        """The MLflow run ID; None (see `why`) if the server rejects it or does not answer within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while self._run is None and self._receive(deadline):
            pass
        if self._run and self._run.get("id"):
            return str(self._run["id"])
        self.why = str(
            (self._run or {}).get("why") or self.why or f"no answer from the tracking server in {timeout_s:.0f} s"
        )
        return None

    @property
    def passed_over(self) -> str:
        """The given MLflow run, if it holds something else, so that this training has one of its own; else ""."""
        return str((self._run or {}).get("passed_over") or "")

    def follow(self, run_dir: Path) -> None:
        """Tell the process which run folder to upload; its run.db must already contain the run ID."""
        self._run_dir = run_dir.resolve()
        self._send({"follow": str(self._run_dir)})

    def check(self) -> RemarkDocument | None:
        """Restart the process if it died. Returns what to record when it was restarted or given up, else None."""
        if self._gave_up or (self._process is not None and self._process.poll() is None):
            return None
        code = None if self._process is None else self._process.returncode
        if self._restarts >= MAX_RESTARTS:
            self._gave_up = True
            sync = f"vsrpp sync {self._run_dir or ''}".strip()
            more = f" {self.why}" if self.why else ""
            if code is None:
                return messages.NEVER_STARTED.filled(sync=sync, more=more)
            return messages.GAVE_UP.filled(code=code, sync=sync, more=more)
        self._restarts += 1
        if self._run and self._run.get("id"):
            self._start |= {"mlflow_run_id": self._run["id"], "is_ours": True}
        self._spawn()
        if self._run_dir is not None:
            self._send({"follow": str(self._run_dir)})
        tries = {"count": self._restarts, "limit": MAX_RESTARTS}
        return messages.STARTED_AGAIN.filled(**tries) if code is None else messages.RESTARTED.filled(code=code, **tries)

    def news(self) -> list[ConnectionChange]:
        """Outages and recoveries of the tracking server since the last call. One small read: call it once a second."""
        if self._run_dir is None:
            return []
        none: list[dict[str, Any]] = []
        facts = from_marks(
            RunPaths(self._run_dir).delivery_db, lambda marks: [marks.fact(name) or {} for name in OUTAGE_FACTS], none
        )
        outages = [outage for fact in facts for outage in fact.get("last", [])]
        boards = [outage for outage in outages if outage["lane"] == TENSORBOARD]
        rows = [outage for outage in outages if outage["lane"] == MLFLOW]
        uploads = [outage for outage in outages if outage["lane"] == ARTIFACTS and self._of_uploads_alone(outage, rows)]
        return [item for outage in boards + rows + uploads for item in self._untold(outage)]

    def finish(self, timeout_s: float = 60.0) -> Report:
        """Announce that the run has ended, wait up to `timeout_s` for the remaining uploads, and end the process."""
        if self._run_dir is None:  # nothing to upload: the child deletes the MLflow run it created and exits by itself
            self._hang_up()
            return Report(delivered=False, rows_left=0, artifacts_left=0, why="the run never started")
        self._send({"finish": timeout_s})
        self._hang_up()
        deadline = time.monotonic() + timeout_s + KILL_GRACE_S
        while self._report is None and self._receive(deadline):
            pass
        self._reap(KILL_GRACE_S)
        if self._report is not None:
            return Report(**self._report)
        return self._report_without_the_child(timeout_s)

    # ---- the process
    def _spawn(self) -> None:
        environment = dict(os.environ)
        root = Path(__file__).resolve().parents[2]
        if root.name != "site-packages":  # run from a checkout, which need not be the child's working directory
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH")]))
        self._unread = b""
        try:
            with tempfile.TemporaryFile() as early_log:  # until the child knows the run folder's delivery.log
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "vsrpp.tracking", "deliver"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=early_log, env=environment,
                    start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self._process, self.why = None, f"{error}."
            return
        self._send({"start": self._start})

    def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        with contextlib.suppress(OSError):  # `check` detects a dead child
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()

    def _hang_up(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _receive(self, deadline: float) -> bool:
        """Read the child's messages; False after the deadline or if the child has ended."""
        process = self._process
        if process is None or process.stdout is None:
            return False
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        received = os.read(process.stdout.fileno(), 65536)
        if not received:
            return False
        *lines, self._unread = (self._unread + received).split(b"\n")
        for message in map(json.loads, lines):
            if "run" in message:
                self._run = message["run"]
            if "report" in message:
                self._report = message["report"]
        return True

    def _reap(self, timeout_s: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _report_without_the_child(self, timeout_s: float) -> Report:
        assert self._run_dir is not None
        try:
            pending = backlog(self._run_dir)
        except VsrppError as error:
            return Report(delivered=False, rows_left=0, artifacts_left=0, why=str(error))
        if self._process is None:
            return _report(pending, "the delivery process could not be started")
        code = self._process.returncode
        why = f"not done within {timeout_s:.0f} s" if code == -9 else f"the delivery process exited with code {code}"
        return _report(pending, why)

    def _of_uploads_alone(self, outage: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
        """Whether only uploads have been failing for a while; once reported, the recovery is reported, too."""
        if (ARTIFACTS, outage["n"]) in self._told:
            return True
        now = time.time()
        since = [outage["since"], *(now if row["until"] is None else row["until"] for row in rows)]
        return outage["until"] is None and now - max(since) >= UPLOADS_LOST_AFTER_S

    def _untold(self, outage: dict[str, Any]) -> list[ConnectionChange]:
        """Changes of one outage that were not reported; an outage that ended before this trainer started has none."""
        number, until = (str(outage["lane"]), int(outage["n"])), outage.get("until")
        if until is not None and until < self._began:
            return []
        reported, news = self._told.get(number), []
        if outage["lane"] == TENSORBOARD:
            return self._untold_of_tensorboard(outage, number, reported)
        if reported is None and outage["since"] >= self._began - 1.0:
            facts = {"class": outage["class"], "error": outage["error"], "sink": SINKS[outage["lane"]]}
            news.append(ConnectionChange("tracking_lost", outage["since"], facts))
        if until is not None and not reported:
            lost_s = round(until - outage["since"], 1)
            facts = {
                "lost_s": lost_s, "rows_delayed": outage.get("rows"), "class": outage["class"],
                "sink": SINKS[outage["lane"]],
            }  # fmt: skip
            news.append(ConnectionChange("tracking_back", until, facts))
        self._told[number] = until is not None
        return news

    def _untold_of_tensorboard(
        self, outage: dict[str, Any], number: tuple[str, int], reported: bool | None
    ) -> list[ConnectionChange]:
        """Its event files are on this host's disk, so that an outage is not one of the server."""
        facts, until, news = {"what": TENSORBOARD}, outage.get("until"), []
        if reported is None:
            news.append(ConnectionChange("output_lost", outage["since"], {**facts, "error": outage["error"]}))
        if until is not None and not reported:
            news.append(ConnectionChange("output_back", until, facts))
        self._told[number] = until is not None
        return news


def uri_of(run: RunPaths, otherwise: str) -> str:
    """The server a run is uploaded to: the one pinned at its start, the environment's, or the last one used.

    `otherwise`: MLFLOW_TRACKING_URI, or the default if that is not set.
    """
    neither: tuple[Any, Any] = (None, None)
    pinned, delivered = from_marks(
        run.delivery_db, lambda marks: (marks.fact(PINNED), marks.fact("mlflow_run")), neither
    )  # fmt: skip
    if isinstance(pinned, dict):
        return str(pinned["uri"])
    if "MLFLOW_TRACKING_URI" not in os.environ and isinstance(delivered, dict) and delivered.get("uri"):
        return str(delivered["uri"])
    return otherwise


def _report(pending: Backlog, why: str) -> Report:
    delivered = pending.rows == 0 and pending.artifacts == 0
    return Report(
        delivered=delivered, rows_left=pending.rows, artifacts_left=pending.artifacts, why="" if delivered else why
    )
