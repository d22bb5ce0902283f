"""The lane that uploads the record to MLflow: metrics, params, tags, description, end state. It uploads no files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from vsrpp.control.backlog import ARTIFACT_EVENTS, ARTIFACTS, END_TOLD, MLFLOW, TIMELINE
from vsrpp.control.effect import Effects, rows_of
from vsrpp.paths import RunPaths
from vsrpp.safe_text import redact
from vsrpp.store import Event, Marks, MetricRow, RunReader
from vsrpp.tracking import messages, report, tree
from vsrpp.tracking.candidates import LINE_TAG, line_tag
from vsrpp.tracking.connection import (
    CHAIN_HEAD_TAG,
    CHAIN_SEQ_TAG,
    METRICS_PER_BATCH,
    PARAMS_PER_BATCH,
    RUN_ID_TAG,
    TAG_CHARACTERS,
    Connection,
    clean,
    config_text,
    param_text,
)
from vsrpp.tracking.dataset_inputs import dataset_inputs
from vsrpp.tracking.failures import SinkMissing, classify
from vsrpp.tracking.view import END_STATUS, RecordSummary

log = logging.getLogger("vsrpp.delivery")
METRICS_EVERY_S = 1.0
"""A batch is sent once a second or at 1000 rows; on two cores every batch takes CPU time from training."""
EVENTS_EVERY_S = 10.0
"""Tags, description and (by the upload lane) the timeline files are updated at most this often."""


class MlflowRows:
    """Sends the contents of run.db to the MLflow run, in order. Marks advance only after the server has confirmed."""

    name = MLFLOW

    def __init__(
        self,
        connection: Connection,
        paths: RunPaths,
        reader: RunReader,
        marks: Marks,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection, self._paths, self._reader, self._marks, self._clock = connection, paths, reader, marks, clock
        self._view = RecordSummary()
        self._effects = Effects(rows_of(reader))
        self.opened = False
        """Whether the MLflow run is confirmed; also read by the threads for tags and uploads."""
        self.wanted_seq = 0
        """Events up to this number are sent without waiting for the interval; set by the upload thread."""
        self._retry_due = False
        self._refused_now: set[str] = set()
        self._metrics_at = self._events_at = self._renewed_at = 0.0
        self._renew_cost_s = 0.0
        self._told_metric_id = -1
        self._end: str | None = None
        self._end_told = False

    # ---- the lane
    def pending(self) -> int:
        metric_id, event_seq = self._marks.position(MLFLOW)
        unsaid_end = 1 if self._end and not self._end_told else 0
        left = self._reader.newest_metric_id() - metric_id + self._reader.head()[0] - event_seq
        return left + unsaid_end + self._retry_due

    def work(self, hurry: bool) -> bool:
        opened = self.open()
        metrics = self._metrics(hurry)
        events = self._events(hurry and not metrics)  # while rows arrive, events keep their interval
        return metrics or events or self._finish() or self._retry() or opened

    def end(self, state: str) -> None:
        """No more records will come: set this end state (finished, stopped, failed, dead) after the pending ones."""
        self._end, self._end_told = state, False

    def retry_set_aside(self) -> None:
        """Send rejected rows once more: the cause may be gone."""
        aside = self._marks.items(MLFLOW, "refused")
        self._retry_due = any(not _of_uploads(key, data) for key, data in aside.items())

    def open(self) -> bool:
        """Confirm the MLflow run; True if that was still to do. Detects a folder that was uploaded elsewhere before."""
        if self.opened:
            return False
        run_id, recorded = self._reader.run_id, self._marks.fact("mlflow_run") or {}
        connection = self._connection
        if not connection.run_id or (recorded.get("run_id") and recorded["run_id"] != connection.run_id):
            given, connection.run_id = connection.run_id, ""
            connection.open(run_id, known=recorded.get("run_id"))
            if given and given != connection.run_id:
                log.warning("this run continues in its own MLflow run %s, not in %s", connection.run_id, given)
        self._check_history(run_id)
        if recorded.get("run_id") not in (None, connection.run_id):
            log.warning("the tracking server changed: uploading everything again")
            self._marks.reset(MLFLOW)
            self._marks.reset(ARTIFACTS)
            self._marks.reset(TIMELINE)
            self._marks.set_fact(END_TOLD, None)
        self._tags({RUN_ID_TAG: run_id, "vsrpp.kind": "train"})
        if self._end is None:
            connection.set_running()
            self._marks.set_fact(END_TOLD, None)
        self._marks.set_fact(
            "mlflow_run",
            {
                "run_id": connection.run_id,
                "experiment_id": connection.experiment_id,
                "uri": redact(connection.target.uri, path=True),
            },
        )
        delivered_seq = self._marks.position(MLFLOW)[1]
        for event in takewhile(lambda event: event.seq <= delivered_seq, self._reader.events()):
            self._view.add(event)
        self.opened = True
        return True

    def _check_history(self, run_id: str) -> None:
        """Compare the events that the server says to have with the record. What another run wrote is written over.

        Raises SinkMissing if the server has events of this run that the record does not have: it never goes back.
        """
        tags = self._connection.tags
        if tags.get(RUN_ID_TAG) not in (None, run_id):
            log.warning(
                "run %s wrote to MLflow run %s: this run's facts are restored",
                tags[RUN_ID_TAG],
                self._connection.run_id,
            )
            self._marks.reset(TIMELINE)
            return
        seq = int(tags.get(CHAIN_SEQ_TAG) or 0)
        there = next(iter(self._reader.events(after_seq=seq - 1)), None) if seq else None
        if seq and (there is None or there.hash != tags.get(CHAIN_HEAD_TAG)):
            here = self._reader.head()[0]
            raise SinkMissing(messages.OLDER_COPY.filled(run=self._connection.run_id, there=seq, here=here))

    # ---- metrics
    def _metrics(self, hurry: bool) -> bool:
        now, mark = self._clock(), self._marks.position(MLFLOW)[0]
        waiting = self._reader.newest_metric_id() - mark
        if not waiting or (waiting < METRICS_PER_BATCH and not hurry and now - self._metrics_at < METRICS_EVERY_S):
            return False
        rows = self._reader.metrics(after_id=mark, limit=METRICS_PER_BATCH)
        self._metrics_at = now
        for row, why in self._connection.log(metrics=[as_metric(row) for row in rows]):
            self._set_aside(f"metric/{row.key}/{row.step}/{row.timestamp}", why, {"value": row.value})
        self._marks.advance(MLFLOW, metric_id=rows[-1].id)
        return True

    # ---- events
    def _events(self, hurry: bool) -> bool:
        """Send the params of `started` at once, everything else at the next interval; then advance the mark."""
        now, mark = self._clock(), self._marks.position(MLFLOW)[1]
        newest_metric_id = self._marks.position(MLFLOW)[0]
        waiting = self._reader.head()[0] > mark
        moved = newest_metric_id != self._told_metric_id
        wait_s = max(EVENTS_EVERY_S, 20 * self._renew_cost_s)
        if not (waiting or moved) or (not hurry and self.wanted_seq <= mark and now - self._renewed_at < wait_s):
            return False
        for event in self._reader.events(after_seq=max(mark, self._view.events[-1].seq if self._view.events else 0)):
            if event.type == "started":
                self._started(event)
            self._view.add(event)
        began = time.monotonic()
        self._tags(self._facts())
        self._renew_cost_s, self._renewed_at, self._told_metric_id = time.monotonic() - began, now, newest_metric_id
        if self._view.events:
            self._marks.advance(MLFLOW, event_seq=self._view.events[-1].seq)
        return True

    def _started(self, event: Event) -> None:
        try:
            self._params(event)
            inputs = dataset_inputs(event.data)
            if inputs:
                self._connection.client.log_inputs(self._connection.run_id, inputs)
        except Exception as error:
            failure = classify(error)
            if not failure.of_the_row:
                raise
            self._set_aside(f"event/{event.seq}", failure.message, {"type": event.type})

    def _params(self, event: Event) -> None:
        from mlflow.entities import Param

        data = event.data
        values: dict[str, Any] = {f"run/{key}": value for key, value in (data.get("run_config") or {}).items()}
        values |= {f"config/{key}": value for key, value in (data.get("config") or {}).items()}
        params = [Param(key, config_text(key, value)) for key, value in values.items()]
        for start in range(0, len(params), PARAMS_PER_BATCH):
            for param, why in self._connection.log(params=params[start : start + PARAMS_PER_BATCH]):
                self._set_aside(f"param/{param.key}", why, {"value": param.value})
        self._tags(self._lineage(data))
        tree.adopt(self._connection.client, self._reader.run_id, self._connection.run_id)

    def _lineage(self, data: dict[str, Any]) -> dict[str, str]:
        tags = {f"vsrpp.version.{name}": str(version) for name, version in (data.get("versions") or {}).items()}
        for key in ("host", "device", "data_fingerprint", "code_version"):
            if data.get(key):
                tags[f"vsrpp.{key}"] = param_text(data[key])
        parent = data.get("parent") or {}
        tags |= {f"vsrpp.parent_{key}": str(value) for key, value in parent.items() if isinstance(value, (str, int))}
        tags |= tree.parent_tags(self._connection.client, parent.get("run_id"), self._connection.run_id)
        return tags

    def _facts(self) -> dict[str, str]:
        """Tags for the runs' table and `vsrpp runs`, so that one query returns all of it."""
        step = max((row.step for row in self._reader.latest("loss/total").values()), default=0)
        step = max(step, self._view.events[-1].step if self._view.events else 0)
        tags = {
            "vsrpp.state": self._view.state if self._end is None else self._end,
            "vsrpp.step": str(step),
            "mlflow.note.content": report.description(
                self._view, self._reader.run_id, step, self._effects.of(self._view.events)
            ),
        }
        if self._view.checkpoints:
            tags["vsrpp.checkpoint_step"] = str(self._view.checkpoints[-1].step)
        best = self._view.best()
        if best:
            tags |= {
                "vsrpp.best_step": str(best.step),
                "vsrpp.best_key": best.key,
                "vsrpp.best_is": "lowest" if best.key in self._view.best_rule.lower else "highest",
                "vsrpp.best_value": repr(best.value),
            }
            if best.psnr_y is not None:
                tags["vsrpp.best_psnr_y"] = repr(best.psnr_y)
        tags[LINE_TAG] = line_tag(self._view.line)
        return tags

    def _finish(self) -> bool:
        if self._end is None or self._end_told:
            return False
        ended_at = self._view.ended_at or (self._view.events[-1].time if self._view.events else self._clock())
        if self._end == "dead":
            self._tags({"vsrpp.state": "dead"})
        self._connection.client.set_terminated(
            self._connection.run_id, status=END_STATUS[self._end], end_time=round(ended_at * 1000)
        )
        seq = self._view.events[-1].seq if self._view.events else 0
        self._marks.set_fact(END_TOLD, {"state": self._end, "seq": seq})
        self._end_told = True
        return True

    # ---- rejected rows
    def _retry(self) -> bool:
        """Send rejected rows once more; accepted ones are dropped from the list, the others stay."""
        if not self._retry_due:
            return False
        aside = {key: data for key, data in self._marks.items(MLFLOW, "refused").items() if not _of_uploads(key, data)}
        self._refused_now.clear()
        metrics = [_metric_aside(key, data["value"]) for key, data in aside.items() if key.startswith("metric/")]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            for metric, why in self._connection.log(metrics=metrics[start : start + METRICS_PER_BATCH]):
                self._set_aside(f"metric/{metric.key}/{metric.step}/{metric.timestamp}", why, {"value": metric.value})
        if len(metrics) < len(aside):
            for event in self._reader.events(types=("started",)):
                self._started(event)
            self._tags(self._facts())
        for key in aside.keys() - self._refused_now:
            self._marks.drop_item(MLFLOW, "refused", key)
        self._retry_due = False
        return bool(aside)

    def _tags(self, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        rows = [RunTag(key, clean(value)[:TAG_CHARACTERS]) for key, value in tags.items()]
        for tag, why in self._connection.log(tags=rows):
            self._set_aside(f"tag/{tag.key}", why, {"value": tag.value[:200]})

    def _set_aside(self, key: str, why: str, data: dict[str, Any]) -> None:
        log.warning("rejected by the server, not retried: %s (%s)", key, why)
        self._refused_now.add(key)
        self._marks.put_item(MLFLOW, "refused", key, {**data, "why": why})


def as_metric(row: MetricRow, *, model_id: str | None = None, run_id: str | None = None) -> Any:
    """A row as an MLflow entity, always with the same timestamp, so that sending it again adds nothing."""
    from mlflow.entities import Metric

    return Metric(row.key, row.value, round(row.time * 1000), row.step, model_id=model_id, run_id=run_id)


def _of_uploads(key: str, data: dict[str, Any]) -> bool:
    return key.startswith("image/") or (key.startswith("event/") and data.get("type") in ARTIFACT_EVENTS)


def _metric_aside(key: str, value: Any) -> Any:
    """The entity of a rejected row, from its key `metric/KEY/STEP/TIMESTAMP`."""
    from mlflow.entities import Metric

    name, step, timestamp = key.removeprefix("metric/").rsplit("/", 2)
    number = float("nan") if value is None else float(value)
    return Metric(name, number, int(timestamp) if timestamp.isdigit() else round(float(timestamp) * 1000), int(step))
