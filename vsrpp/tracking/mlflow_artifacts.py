"""The upload lane: checkpoints as logged models, and validation pictures, both triggered by events."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any, cast

from vsrpp.control.remote_copies import PLACE
from vsrpp.errors import because
from vsrpp.paths import RunPaths
from vsrpp.safe_text import redact
from vsrpp.store import Event, Marks, RunReader
from vsrpp.tracking import logged_model, messages, mlflow_pictures
from vsrpp.tracking.backlog import ARTIFACT_EVENTS, ARTIFACTS, MLFLOW
from vsrpp.tracking.connection import Connection
from vsrpp.tracking.failures import classify
from vsrpp.tracking.mlflow_rows import MlflowRows, as_metric
from vsrpp.tracking.mlflow_timeline import MlflowTimeline, kept_current
from vsrpp.tracking.progress import CountedClient, UploadProgress
from vsrpp.tracking.remote_copies import named_place, why_on_this_host

log = logging.getLogger("vsrpp.delivery")
REFERENCE = "reference"
"""Item type: reference pictures at step 0 that were uploaded, by their key."""
LINKED = ("val/", "loss/", "lr")
"""Prefixes of the metrics of a checkpoint's step that are linked to its logged model."""


class MlflowArtifacts:
    """Uploads one item at a time, oldest first; runs in its own thread with its own reader and marks."""

    name = ARTIFACTS

    def __init__(
        self, connection: Connection, rows: MlflowRows, paths: RunPaths, reader: RunReader, marks: Marks
    ) -> None:
        self._connection, self._rows, self._paths, self._reader, self._marks = connection, rows, paths, reader, marks
        self._run_config: dict[str, Any] | None = None
        self._timeline = MlflowTimeline(connection, reader, marks)
        self.progress = UploadProgress()
        self.ending = False
        """No more events will come, so small uploads do not wait for a full batch. Set by another thread."""
        self.waits_for_rows = False
        """True if the MLflow run is not confirmed, or the record of the next checkpoint is not uploaded yet."""
        self.to_retry: list[int] = []
        """Events whose rejected uploads are retried."""

    def pending(self) -> int:
        return self._reader.count_events(*ARTIFACT_EVENTS, after_seq=self._marks.position(ARTIFACTS)[1])

    def work(self, hurry: bool) -> bool:
        self.waits_for_rows = not self._rows.opened
        if self.waits_for_rows:
            return False
        event = self._next()
        if self._timeline.work(hurry or event is not None):
            return True
        if event is None:
            return False
        self.waits_for_rows = not self._rows_are_there(event)
        if self.waits_for_rows:
            return False
        try:
            if event.type == "checkpoint_saved":
                self._checkpoint(event)
            else:
                self._pictures(event)
        except Exception as error:
            failure = classify(error)
            if not failure.of_the_row:
                raise
            log.exception("event %d (%s) set aside", event.seq, event.type)
            self._marks.put_item(MLFLOW, "refused", f"event/{event.seq}", {"type": event.type, "why": failure.message})
        else:
            self._marks.drop_item(MLFLOW, "refused", f"event/{event.seq}")
        finally:
            self.progress.end()
        self._marks.advance(ARTIFACTS, event_seq=event.seq)
        if event.seq in self.to_retry:
            self.to_retry.remove(event.seq)
        return True

    def retry_set_aside(self) -> None:
        """Retry rejected uploads and missing pictures once, before anything else."""
        seqs = set()
        for key, data in self._marks.items(MLFLOW, "refused").items():
            kind, _, rest = key.partition("/")
            if kind == "image" or (kind == "event" and data.get("type") in ARTIFACT_EVENTS):
                seqs.add(int(rest.partition("/")[0]))
        self.to_retry = sorted(seqs)

    def _next(self) -> Event | None:
        if self.to_retry:
            return next(self._reader.events(after_seq=self.to_retry[0] - 1, limit=1), None)
        mark = self._marks.position(ARTIFACTS)[1]
        return next(self._reader.events(after_seq=mark, types=ARTIFACT_EVENTS, limit=1), None)

    def _rows_are_there(self, event: Event) -> bool:
        """Whether the checkpoint's record is uploaded; if not, request it, because it must precede the checkpoint."""
        if event.type != "checkpoint_saved" or self._marks.position(MLFLOW)[1] >= event.seq:
            return True
        self._rows.wanted_seq = event.seq
        return False

    # ---- checkpoints
    def _checkpoint(self, event: Event) -> None:
        key = f"{event.branch}/{event.step}"
        if self._marks.item(MLFLOW, "checkpoint", key):
            return
        if self._config().get("checkpoint_upload") == "local":
            self._marks.put_item(MLFLOW, "checkpoint", key, {"model_id": None, "bytes": 0, "policy": "local"})
            return
        folder = logged_model.folder_of(self._paths, event)
        if folder is None:  # pruned, or overwritten by a later branch
            log.warning("checkpoint %s no longer exists on disk", key)
            self._marks.put_item(MLFLOW, "checkpoint", key, {"model_id": None, "bytes": 0, "gone": True})
            return
        total = sum(path.stat().st_size for path in folder.root.iterdir() if path.is_file())
        self.progress.begin(f"checkpoint {event.step}", total)
        with kept_current(self._connection, self._paths, lambda: self.ending):
            model, size = logged_model.upload(
                self._counted(folder.root), folder, event, run_id=self._reader.run_id, run_config=self._config()
            )
        self._link(model.model_id, event)
        remote_uri = self._away(model.artifact_location)
        self._marks.put_item(
            MLFLOW, "checkpoint", key, {"model_id": model.model_id, "bytes": size, "off_host": remote_uri}
        )

    def _away(self, artifact_uri: str) -> str | None:
        """The files' address if it is on another machine. Also records the answer as a fact, for `status`."""
        tracking_uri = self._connection.target.uri
        why = why_on_this_host(tracking_uri, artifact_uri)
        place = {
            "uri": redact(named_place(tracking_uri, artifact_uri), path=True),
            "why_here": why.sentence() if why else "",
            "why_code": why.code if why else "",
        }
        if self._marks.fact(PLACE) != place:
            self._marks.set_fact(PLACE, place)
        return None if why else place["uri"]

    def _counted(self, folder: Path) -> Connection:
        """The same connection with a client that counts uploaded bytes."""
        counted = copy.copy(self._connection)
        counted.client = cast("Any", CountedClient(self._connection.client, self.progress, folder))
        return counted

    def _config(self) -> dict[str, Any]:
        if self._run_config is None:
            started = next(self._reader.events(types=("started",), limit=1), None)
            self._run_config = dict(started.data.get("run_config") or {}) if started else {}
        return self._run_config

    def _link(self, model_id: str, event: Event) -> None:
        """Link the metrics of the checkpoint's step to its model, with existing rows, so that charts gain no points."""
        rows = []
        for key in self._reader.metric_keys():
            if key.startswith(LINKED):
                rows += self._reader.series(key, branch=event.branch, from_step=event.step, to_step=event.step)
        if rows:
            metrics = [as_metric(row, model_id=model_id, run_id=self._connection.run_id) for row in rows]
            self._connection.log(metrics=metrics)

    # ---- validations
    def _pictures(self, event: Event) -> None:
        uploaded = self._marks.item(MLFLOW, "checkpoint", f"{event.branch}/{event.step}")
        if uploaded and uploaded.get("model_id"):  # the checkpoint was saved before this validation
            self._link(uploaded["model_id"], event)
        for image in event.data.get("images") or []:
            path = self._paths.root / str(image["path"])
            item, key = f"image/{event.seq}/{image['path']}", f"val/{image.get('clip', path.stem)}"
            if path.is_file():
                self._reference(event, key, path)
                mlflow_pictures.upload(self._connection, self._reader.run_id, event, key, path)
                self._marks.drop_item(MLFLOW, "refused", item)
            else:
                gone = messages.FILE_GONE
                self._marks.put_item(MLFLOW, "refused", item, {"why": gone.sentence(), **because(gone.code, {})})

    def _reference(self, event: Event, key: str, path: Path) -> None:
        if event.step == 0 or self._marks.item(ARTIFACTS, REFERENCE, key):
            return
        first = next(self._reader.events(limit=1))
        mlflow_pictures.upload_reference(self._connection, self._reader.run_id, first.time, key, path)
        self._marks.put_item(ARTIFACTS, REFERENCE, key, {})
