"""The TensorBoard lane: writes event files from the store, every point once."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from vsrpp import formats
from vsrpp.config import format_value
from vsrpp.config.schema import loss_terms
from vsrpp.control.config_history import CONFIG_EVENTS
from vsrpp.control.lineage import TURNS, Lineage, turned_to
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, MetricRow, RunReader
from vsrpp.tracking import report
from vsrpp.tracking import tensorboard_tags as tags
from vsrpp.tracking.backlog import TENSORBOARD
from vsrpp.tracking.event_files import EventFiles
from vsrpp.tracking.failures import classify

log = logging.getLogger("vsrpp.delivery")
EVERY_S = 1.0
ROWS_PER_BATCH = 5000
RESULTS = ("val/psnr_y", "val/ssim_y", "val/quality", "loss/total")
"""The result metrics on the HParams page."""
CHANGES = frozenset({"config_applied", "config_reverted", "rolled_back"})


class TensorBoard:
    """Metrics and events in order of time. After a session that did not end cleanly, all files are rewritten.

    Event files cannot be queried, and a mark can only be set after the write. So the marks are valid only after a
    session that was closed.
    """

    name = TENSORBOARD

    def __init__(
        self, paths: RunPaths, reader: RunReader, marks: Marks, clock: Callable[[], float] = time.time
    ) -> None:
        self._paths, self._reader, self._marks, self._clock = paths, reader, marks, clock
        self._files: EventFiles | None = None
        self._at = 0.0
        self._begin()

    def _begin(self) -> None:
        self._line = Lineage(keep_events=False)
        self._max_steps = 0
        self._percent_tags = tags.percent_tags()
        self._written: set[tuple[str, int]] = set()
        """(tag, step) of the config's points: a metric row and an event may both report one."""

    def pending(self) -> int:
        metric_id, event_seq = self._marks.position(TENSORBOARD)
        return self._reader.newest_metric_id() - metric_id + self._reader.head()[0] - event_seq

    def work(self, hurry: bool) -> bool:
        now = self._clock()
        if not hurry and now - self._at < EVERY_S:
            return False
        if self.pending() == 0:
            return False
        try:
            return self._work(now)
        except OSError:
            self._abandon()
            raise

    def _work(self, now: float) -> bool:
        files = self._files or self._open()
        metric_id, event_seq = self._marks.position(TENSORBOARD)
        rows, events = self._next(metric_id, event_seq)
        for group in _in_order(rows, events):
            if isinstance(group, Event):
                self._event_or_set_aside(files, group)
            else:
                self._rows(files, group)
        files.flush()
        self._marks.advance(
            TENSORBOARD, metric_id=rows[-1].id if rows else None, event_seq=events[-1].seq if events else None
        )
        self._at = now
        return bool(rows or events)

    def _abandon(self) -> None:
        """After a failed write, which TensorBoard's writer cannot continue from: the next try rewrites the files."""
        files, self._files = self._files, None
        if files is not None:
            with contextlib.suppress(OSError):
                files.close()
        self._begin()

    def close(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None
            self._marks.set_fact("tensorboard_session", {"closed": True})

    # ---- reading
    def _open(self) -> EventFiles:
        session = self._marks.fact("tensorboard_session")
        if session is not None and not session["closed"]:
            log.warning("the last session did not close TensorBoard's files; rewriting them from the store")
            self._forget()
        self._marks.set_fact("tensorboard_session", {"closed": False})
        written = self._marks.position(TENSORBOARD)[1]
        for event in self._reader.events(types=(*CONFIG_EVENTS, *TURNS)):
            if event.seq <= written:
                self._set_max_steps(event)
                self._name_terms(event)
                self._line.add(event)
        self._files = EventFiles(self._paths.tensorboard)
        return self._files

    def _forget(self) -> None:
        self._marks.reset(TENSORBOARD)
        for path in self._paths.tensorboard.glob("events.out.tfevents.*"):
            path.unlink()

    def _next(self, metric_id: int, event_seq: int) -> tuple[list[MetricRow], list[Event]]:
        """A batch of rows that ends at a step boundary, and the events up to its end."""
        rows = self._reader.metrics(after_id=metric_id, limit=ROWS_PER_BATCH)
        events = self._reader.events(after_seq=event_seq)
        if len(rows) < ROWS_PER_BATCH:
            return rows, list(events)
        whole = [row for row in rows if _moment(row) != _moment(rows[-1])] or rows
        return whole, list(takewhile(lambda event: event.time <= whole[-1].time, events))

    # ---- writing
    def _rows(self, files: EventFiles, rows: list[MetricRow]) -> None:
        """Write the metrics of one step."""
        step, at = rows[0].step, rows[0].time
        if not self._line.holds(rows[0].branch, step):
            return  # a late row of a branch that is already purged
        values: dict[str, float] = {}
        weights: dict[str, float] = {}
        for row in rows:
            tag = tags.scalar_tag(row.key)
            if tag is not None and self._first(tag, step):
                values[tag] = row.value
            if row.key.startswith("weight/"):
                weights[row.key.removeprefix("weight/")] = row.value
        values |= self._progress({row.key: row.value for row in rows}, step)
        if weights:
            total = sum(weights.values())
            values[tags.WEIGHT_SUM] = total
            whole = total or 1.0
            named = {term: self._percent_tags.get(term, tags.percent_tag(term)) for term in weights}
            values |= {named[term]: 100.0 * value / whole for term, value in weights.items()}
            if all(value == value for value in weights.values()):
                files.histogram(tags.DISTRIBUTION, weights.values(), step, at)
        if values:
            files.scalars(values, step, at)

    def _progress(self, values: dict[str, float], step: int) -> dict[str, float]:
        """The run's progress relative to its max_steps at that time, and its pace."""
        if "loss/total" not in values:
            return {}
        scalars = {tag: values[key] for key, tag in tags.SPEEDS.items() if key in values}
        if self._max_steps:
            scalars[tags.STEP_PERCENT] = 100.0 * step / self._max_steps
            speed = values.get("speed/steps_per_s", 0.0)
            if speed > 0:
                scalars[tags.REMAINING] = max(0, self._max_steps - step) / speed
        return scalars

    def _set_max_steps(self, event: Event) -> None:
        live = event.data.get("config") if event.type == "started" else None
        changes = {c["key"]: c["new"] for c in event.data.get("changes") or [] if isinstance(c, dict) and "key" in c}
        self._max_steps = int((live or changes).get("max_steps") or self._max_steps)

    def _name_terms(self, event: Event) -> None:
        """Take the labels of the loss terms from the run config that the event reports."""
        if event.type == "started":
            self._percent_tags = tags.percent_tags(event.data.get("run_config"))

    def _event_or_set_aside(self, files: EventFiles, event: Event) -> None:
        try:
            self._event(files, event)
        except Exception as error:
            failure = classify(error)
            if not failure.of_the_row:
                raise
            log.exception("event %d (%s) is omitted from TensorBoard", event.seq, event.type)
            self._marks.put_item(TENSORBOARD, "refused", f"event/{event.seq}", {"why": failure.message})

    def _event(self, files: EventFiles, event: Event) -> None:
        data, step, at = event.data, event.step, event.time
        if event.type in TURNS:
            self._line.add(event)
            files.purge_from(turned_to(event) + 1, at)
            self._written = {(tag, written) for tag, written in self._written if written <= turned_to(event)}
        elif event.type == "started":
            self._line.add(event)
        elif not self._line.holds(event.branch, step):
            return
        if event.type in CONFIG_EVENTS:
            self._set_max_steps(event)
        self._name_terms(event)
        if event.type == "started":
            self._started(files, event)
        changes = data.get("changes") or []
        if event.type in CHANGES and changes:
            files.text(
                tags.CONFIG_CHANGES,
                f"Step {step}: {report.markdown(formats.changes(changes))}{_because(event)}",
                step,
                at,
            )
            values = {tags.CONFIG_CHANGE: float(event.revision)}
            values |= self._parameters({change["key"]: change["new"] for change in changes}, step)
            files.scalars(values, step, at)
        if event.type == "validated":
            files.scalars({tags.VALIDATION_RUN: 1.0}, step, at)
            files.text(tags.VALIDATION, f"Step {step}: {report.markdown(report.summary(event))}", step, at)
            for image in data.get("images") or []:
                self._picture(files, image, step, at)
        if event.type in ("finished", "stopped", "failed"):
            files.hparams_end(event.type == "finished", at)
        files.text(
            tags.TIMELINE,
            f"{event.seq}. step {step}: {report.markdown(report.summary(event))}{_because(event)}",
            step,
            at,
        )

    def _started(self, files: EventFiles, event: Event) -> None:
        run_config, live = dict(event.data.get("run_config") or {}), dict(event.data.get("config") or {})
        foreign = [term for term in loss_terms(run_config) if term.plugin]
        if run_config.get("plugins"):
            run_config["plugins"] = format_value("plugins", run_config["plugins"])
        rows = [
            f"| {report.markdown(key)} | {report.markdown(str(value))} |"
            for key, value in {**run_config, **live}.items()
        ]
        rows += [f"| loss/{term.name} | {report.markdown(term.label)}, {term.colour} |" for term in foreign]
        files.text(tags.INITIAL, "\n".join(["| key | value |", "|---|---|", *rows]), event.step, event.time)
        files.hparams({**run_config, **live}, RESULTS, self._reader.run_id, event.time)
        values = self._parameters(live, event.step)
        if values:
            files.scalars(values, event.step, event.time)

    def _parameters(self, values: dict[str, Any], step: int) -> dict[str, float]:
        numbers = {tags.CONFIG_PARAMETERS + key: float(v) for key, v in values.items() if isinstance(v, (int, float))}
        return {tag: value for tag, value in numbers.items() if self._first(tag, step)}

    def _first(self, tag: str, step: int) -> bool:
        """Whether a config point at this step is still to be written (always true for other tags)."""
        if not tag.startswith(tags.CONFIG_PARAMETERS):
            return True
        if (tag, step) in self._written:
            return False
        self._written.add((tag, step))
        return True

    def _picture(self, files: EventFiles, image: dict[str, Any], step: int, at: float) -> None:
        from PIL import Image

        path: Path = self._paths.root / str(image["path"])
        if not path.is_file():
            return
        with Image.open(path) as picture:
            width, height = picture.size
        files.image(f"Images/{image.get('clip', path.stem)}", path.read_bytes(), width, height, step, at)


def rebuild(run_dir: Path) -> Path:
    """Rewrite a run's event files from its store; returns their folder. Not while the run is being uploaded."""
    paths = RunPaths(run_dir.resolve())
    with RunReader(paths.run_db) as reader:
        marks = Marks(paths.delivery_db)
        shutil.rmtree(paths.tensorboard, ignore_errors=True)
        marks.reset(TENSORBOARD)
        board = TensorBoard(paths, reader, marks)
        try:
            while board.work(hurry=True):
                pass
        finally:
            board.close()
            marks.close()
    return paths.tensorboard


def _moment(row: MetricRow) -> tuple[int, int, float]:
    return row.branch, row.step, row.time


def _in_order(rows: list[MetricRow], events: list[Event]) -> Iterator[list[MetricRow] | Event]:
    """Rows grouped by step, with the events between them, by time; ties keep the order of the record."""
    waiting = list(reversed(events))
    start = 0
    while start < len(rows):
        stop = start
        while stop < len(rows) and _moment(rows[stop]) == _moment(rows[start]):
            stop += 1
        while waiting and waiting[-1].time <= rows[start].time:
            yield waiting.pop()
        yield rows[start:stop]
        start = stop
    while waiting:
        yield waiting.pop()


def _because(event: Event) -> str:
    who = f" by {event.author}" if event.author else ""
    return report.markdown(f"{who} ({event.reason})" if event.reason else who)
