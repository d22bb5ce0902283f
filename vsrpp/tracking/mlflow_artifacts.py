"""The lane of uploads to MLflow that events ask for: checkpoints as logged models, validation pictures."""

from __future__ import annotations

import copy
import logging
import re
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, cast

from vsrpp.control.backlog import TIMELINE
from vsrpp.control.off_host import PLACE
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunReader
from vsrpp.tracking import logged_model, report
from vsrpp.tracking.backlog import ARTIFACT_EVENTS, ARTIFACTS, MLFLOW
from vsrpp.tracking.connection import Connection
from vsrpp.tracking.environment import without_password
from vsrpp.tracking.failures import classify
from vsrpp.tracking.mlflow_rows import EVENTS_EVERY_S, MlflowRows, as_metric
from vsrpp.tracking.off_host import named_place, why_on_this_host
from vsrpp.tracking.progress import CountedClient, Progress

log = logging.getLogger("vsrpp.delivery")
THUMBNAIL_PIXELS = 256
"""Longer side of the small picture that the UI's grid shows."""
LINKED = ("val/", "loss/", "lr")
"""Metrics of a checkpoint's step that are linked to its logged model."""


class MlflowArtifacts:
    """One upload at a time, oldest first, with a mark of its own; it has a thread, a reader and marks of its own, too."""

    name = ARTIFACTS

    def __init__(
        self, connection: Connection, rows: MlflowRows, paths: RunPaths, reader: RunReader, marks: Marks
    ) -> None:
        self._connection, self._rows, self._paths, self._reader, self._marks = connection, rows, paths, reader, marks
        self._run_config: dict[str, Any] | None = None
        self._timeline_at = self._timeline_cost_s = 0.0
        self.progress = Progress()
        self.waits_for_rows = False
        """The MLflow run is not confirmed, or the record of the next checkpoint is not there yet."""
        self.to_retry: list[int] = []
        """Events whose uploads were set aside and get another chance."""

    def pending(self) -> int:
        waiting = self._reader.events(after_seq=self._marks.position(ARTIFACTS)[1], types=ARTIFACT_EVENTS)
        return sum(1 for _ in waiting)

    def work(self, hurry: bool) -> bool:
        self.waits_for_rows = not self._rows.opened
        if self.waits_for_rows:
            return False
        event = self._next()
        if self._timeline(hurry or event is not None):
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
        """What the artifact store refused, and pictures that were not there, are tried once more, before all else."""
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
        """Who finds a checkpoint on the server finds its record there, too: asked of the rows' thread, and waited for."""
        if event.type != "checkpoint_saved" or self._marks.position(MLFLOW)[1] >= event.seq:
            return True
        self._rows.wanted_seq = event.seq
        return False

    # ---- the timeline
    def _timeline(self, hurry: bool) -> bool:
        """Bring the timeline's files up to the events that the rows' lane has told, and then say so in the run's tags."""
        from mlflow.entities import RunTag

        told, now = self._marks.position(MLFLOW)[1], time.monotonic()
        wait_s = max(EVENTS_EVERY_S, 20 * self._timeline_cost_s)
        if self._marks.position(TIMELINE)[1] >= told:
            return False
        if not hurry and self._timeline_at and now - self._timeline_at < wait_s:
            return False
        events = [event for event in self._reader.events() if event.seq <= told]
        with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder:
            (Path(folder) / report.TIMELINE).write_text(report.timeline_jsonl(events), encoding="utf-8")
            text = report.timeline_md(events, self._reader.run_id)
            (Path(folder) / "timeline.md").write_text(text, encoding="utf-8")
            self._connection.client.log_artifacts(self._connection.run_id, folder)
        tags = [RunTag("vsrpp.chain_seq", str(events[-1].seq)), RunTag("vsrpp.chain_head", events[-1].hash)]
        self._connection.log(tags=tags)
        self._marks.advance(TIMELINE, event_seq=told)
        self._timeline_at, self._timeline_cost_s = now, time.monotonic() - now
        return True

    # ---- checkpoints
    def _checkpoint(self, event: Event) -> None:
        key = f"{event.branch}/{event.step}"
        if self._marks.item(MLFLOW, "checkpoint", key):
            return
        if self._config().get("checkpoint_upload") == "local":
            self._marks.put_item(MLFLOW, "checkpoint", key, {"model_id": None, "bytes": 0, "policy": "local"})
            return
        folder = logged_model.folder_of(self._paths, event)
        if folder is None:  # pruned, or a later branch wrote over it
            log.warning("checkpoint %s is no longer on disk", key)
            self._marks.put_item(MLFLOW, "checkpoint", key, {"model_id": None, "bytes": 0, "gone": True})
            return
        total = sum(path.stat().st_size for path in folder.root.iterdir() if path.is_file())
        self.progress.begin(f"checkpoint {event.step}", total)
        model, size = logged_model.upload(
            self._counted(folder.root), folder, event, run_id=self._reader.run_id, run_config=self._config()
        )
        self._link(model.model_id, event)
        away = self._away(model.artifact_location)
        self._marks.put_item(MLFLOW, "checkpoint", key, {"model_id": model.model_id, "bytes": size, "off_host": away})

    def _away(self, artifact_uri: str) -> str | None:
        """Where the files lie, if that is another machine; what holds is also a fact, for `status` to say."""
        tracking_uri = self._connection.target.uri
        why = why_on_this_host(tracking_uri, artifact_uri)
        place = {"uri": without_password(named_place(tracking_uri, artifact_uri)), "why_here": why}
        if self._marks.fact(PLACE) != place:
            self._marks.set_fact(PLACE, place)
        return None if why else place["uri"]

    def _counted(self, folder: Path) -> Connection:
        """The connection with a client that counts; what it writes to is the same."""
        counted = copy.copy(self._connection)
        counted.client = cast("Any", CountedClient(self._connection.client, self.progress, folder))
        return counted

    def _config(self) -> dict[str, Any]:
        if self._run_config is None:
            started = next(self._reader.events(types=("started",), limit=1), None)
            self._run_config = dict(started.data.get("run_config") or {}) if started else {}
        return self._run_config

    def _link(self, model_id: str, event: Event) -> None:
        """Link the rows of the checkpoint's step; rows of the record alone, so that the run's charts gain no point."""
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
        if uploaded and uploaded.get("model_id"):  # validated after it was saved
            self._link(uploaded["model_id"], event)
        for image in event.data.get("images") or []:
            path = self._paths.root / str(image["path"])
            key = f"image/{event.seq}/{image['path']}"
            if path.is_file():
                self._picture(path, f"val/{image.get('clip', path.stem)}", event)
                self._marks.drop_item(MLFLOW, "refused", key)
            else:
                self._marks.put_item(MLFLOW, "refused", key, {"why": "the file is gone"})

    def _picture(self, path: Path, key: str, event: Event) -> None:
        """Two files under the names that `log_image` gives them, which the UI's grid and slider read.

        `log_image` itself draws a random name each time, so that a picture sent again would be there twice.
        """
        from PIL import Image

        client, run_id = self._connection.client, self._connection.run_id
        safe = re.sub(r"[^a-zA-Z0-9_\-. /]", "_", key).replace("/", "~")
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{self._reader.run_id}/{event.branch}/{event.step}/{key}")
        stem = f"{safe}+step+{event.step}+timestamp+{round(event.time * 1000)}+{identity}"
        with tempfile.TemporaryDirectory(prefix="vsrpp-") as folder, Image.open(path) as picture:
            full, small = Path(folder) / f"{stem}.png", Path(folder) / f"{stem}+compressed.webp"
            if path.suffix == ".png":
                full.write_bytes(path.read_bytes())
            else:
                picture.save(full)
            thumbnail = picture.convert("RGB")
            thumbnail.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
            thumbnail.save(small)
            client.log_artifact(run_id, str(full), "images")
            client.log_artifact(run_id, str(small), "images")
        client.set_tag(run_id, "mlflow.loggedImages", "true")
