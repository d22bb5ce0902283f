"""Steering and reading runs from Python: `from vsrpp import Run`.

    run = Run("latest")
    run.set({"max_lr": 2e-4}, reason="flat since step 4000")
    run.frame("loss/total", "val/psnr_y").plot()

For notebooks and for scripts that steer (`examples/halve_rate_when_worse.py`). Calls go through `vsrpp.control`, as in
every other interface, with the origin `api`. Importing this imports neither torch nor MLflow.

The run's decision is returned as an `Answer`, even a refusal, so that a notebook shows it and a script can inspect
`answer.errors`; `answer.check()` raises a refusal or a timeout as an exception. A request that cannot reach the run
raises: NotFound (no such run), NotLive (it is not training), Refused (not an edit).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vsrpp import control, paths
from vsrpp.control import (
    ENDED_STATES,
    BestCheckpoint,
    CheckpointRef,
    LocalCheckpoint,
    Preview,
    RunRow,
    RunView,
    ValidationRecord,
    messages,
)
from vsrpp.control import messages as control_messages
from vsrpp.documents import ConfigValue, EventType
from vsrpp.store import EVENT_TYPES, Answer, Event, MetricRow, RunReader

if TYPE_CHECKING:
    import pandas as pd

WAIT_S = 60.0
"""Seconds to wait for the run's answer."""
_LOOK_S = 0.05
_Runs = list[RunRow]
_Events = list[Event]
_Rows = list[MetricRow]
_Checkpoints = list[LocalCheckpoint]
_Keys = list[str]
_Validations = list[ValidationRecord]


class Run:
    """A run on this host, live or ended. Keeps no file open between calls."""

    def __init__(self, run: str | os.PathLike[str] = "latest", *, runs: str | os.PathLike[str] | None = None) -> None:
        """`run` is a run ID, a unique prefix of one, `latest`, or a run folder; `runs` is the folder of runs.

        Raises NotFound, and Refused for an ambiguous prefix.
        """
        self.paths = control.find_run(os.fspath(run), paths.runs_dir(runs))
        """Paths of all files in the run folder."""

    @staticmethod
    def list(runs: str | os.PathLike[str] | None = None) -> _Runs:
        """The runs of this host, live ones first, then newest first. `Run(row.run_dir)` opens one."""
        return control.runs(paths.runs_dir(runs))

    def __repr__(self) -> str:
        return f"Run({str(self.paths.root)!r})"

    def _repr_html_(self) -> str:
        """The notebook display: state, progress, best checkpoint and the last validation."""
        from vsrpp.notebook import card

        return card(self.status())

    @property
    def run_id(self) -> str:
        return self.paths.run_id

    # ---- reading
    def status(self) -> RunView:
        """The current state: `.state`, `.step`, `.best`, `.losses()`; `.to_json()` is `vsrpp status --json`."""
        return control.view_run(self.paths)

    def config(self) -> dict[str, ConfigValue]:
        """The live config in force. Tiers, ranges and who changed each value: `control.config_view`."""
        with RunReader(self.paths.run_db) as reader:
            return dict(control.current_config(reader).live)

    def history(self, *types: EventType) -> _Events:
        """All events, or those of the given types, oldest first."""
        _known(types)
        with RunReader(self.paths.run_db) as reader:
            return list(reader.events(types=types or None))

    def keys(self) -> _Keys:
        """The names of all recorded metrics."""
        with RunReader(self.paths.run_db) as reader:
            return reader.metric_keys()

    def metrics(self, key: str, *, left_behind: bool = False) -> _Rows:
        """The rows of one metric (`loss/total`, `val/psnr_y` …) on the line to the current state, by step.

        With `left_behind`, also those of branches abandoned by a rollback or a reverted probation.
        """
        with RunReader(self.paths.run_db) as reader:
            line = control.lineage(reader.events(types=control.SEGMENT_EVENTS), keep_events=False)
            rows = reader.series(key)
        if left_behind:
            return rows
        return [row for _, row in line.along((row.branch, row.step, row) for row in rows)]

    def frame(self, *keys: str) -> pd.DataFrame:
        """Metrics as a pandas frame: one row per step of the current line, one column per key (all keys by default).

        NaN at steps where a metric has no row.
        """
        import pandas as pd

        columns = {
            key: pd.Series({row.step: row.value for row in self.metrics(key)}, dtype="float64")
            for key in keys or self.keys()
        }
        frame = pd.DataFrame(columns)
        frame.index.name = "step"
        return frame.sort_index()

    def validations(self, *, left_behind: bool = False) -> _Validations:
        """The validations on the line to the current state, by step, with the figures of each clip and each frame.

        With `left_behind`, also those of branches abandoned by a rollback or a reverted probation.
        """
        return control.validations(self.paths, left_behind=left_behind)

    def checkpoints(self) -> _Checkpoints:
        """The complete checkpoints on disk that lead to the current state, by step."""
        with RunReader(self.paths.run_db) as reader:
            line = control.line_of(reader)
        return [saved for saved in control.local_checkpoints(self.paths, line) if saved.on_line]

    def best(self, key: str | None = None) -> BestCheckpoint | None:
        """The best checkpoint by the run's `keep_best_by` or another validation metric; None if none was validated.

        Raises Refused for a metric without a known direction.
        """
        with RunReader(self.paths.run_db) as reader:
            if key is None:
                return control.best_of(reader)
            rule, wanted = (
                control.BestRule.of(control.run_config_of(reader)),
                CheckpointRef.parse(f"best:{key}").key or key,
            )
            if wanted not in rule.keys:
                raise control_messages.NO_BEST_KEY(key=key[:80], known=", ".join(rule.keys))
            return control.best_on_record(reader, rule, wanted)

    def preview(
        self, changes: Mapping[str, ConfigValue] | None = None, /, *, base_revision: int | None = None,
        confirmed: bool = False, **keys: ConfigValue,
    ) -> Preview:  # fmt: skip
        """The changes an edit would make, and its problems (`errors`), without sending it to the run."""
        return control.preview(self.paths, _edit(changes, keys), base_revision=base_revision, confirmed=confirmed)

    # ---- steering
    def set(
        self, changes: Mapping[str, ConfigValue] | None = None, /, *, reason: str | None = None,
        author: str | None = None, base_revision: int | None = None, probation: int | None = None,
        revert_if: str | None = None, confirmed: bool = False, wait_s: float = WAIT_S, **keys: ConfigValue,
    ) -> Answer:  # fmt: skip
        """Change the live config: `run.set({"max_lr": 2e-4}, reason="…")`. The edit is applied as a whole or not at all.

        `base_revision`: refuse keys that were changed after that revision. `probation`: number of steps within
        which the run returns to the exact state before the edit if `revert_if` ("loss > 2x", "psnr_y < -0.5") holds.
        An edit that ends the run now (`max_steps` at or below its step) is refused unless `confirmed`; see `stop`.
        Parameters may also be keywords (`max_lr=2e-4`); use the mapping for one that clashes with an option.
        The answer's status is `applied`, `refused`, or `pending` if none came within `wait_s` seconds.
        Raises NotLive, and Refused for a request that is not an edit (nothing to set, larger than 64 KiB, not JSON).
        """
        if revert_if is not None and probation is None:
            raise messages.PROBATION_ONLY_FROM()
        terms = None if probation is None else {"steps": _plain(probation), "revert_if": revert_if}
        return control.apply(
            self.paths, _edit(changes, keys), origin="api", author=author, reason=reason, base_revision=base_revision,
            probation=terms, confirmed=confirmed, wait_s=wait_s,
        )  # fmt: skip

    def pause(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Pause at the next step. The answer is `done` once the run is paused. Raises NotLive."""
        return self._ask("pause", None, reason, author, wait_s)

    def resume(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Resume a paused run. Raises NotLive; to continue a run that has ended, use `vsrpp train --resume`."""
        return self._ask("resume", None, reason, author, wait_s)

    def validate(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Validate at the next step; returns when the validation is done. Raises NotLive."""
        return self._ask("validate", None, reason, author, wait_s)

    def checkpoint(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Save a checkpoint at the next step; returns when it is complete on disk. Raises NotLive."""
        return self._ask("checkpoint", None, reason, author, wait_s)

    def stop(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Stop the run at the next step, with a checkpoint. Raises NotLive."""
        return self._ask("stop", None, reason, author, wait_s)

    def rollback(
        self, step: int | str | None = None, *, revision: int | None = None, reason: str | None = None,
        author: str | None = None, confirmed: bool = False, wait_s: float = WAIT_S,
    ) -> Answer:  # fmt: skip
        """Roll the run back to the checkpoint of a step, to `"best"` or `"best:KEY"`, or to the newest of a revision.

        Restores weights, optimizer, controller, data position and config; the answer has the new branch and revision.
        The answer is a refusal if there is no such checkpoint, naming the nearest, and unless `confirmed` if the run
        would end there. Raises NotLive, and Refused unless exactly one of `step` and `revision` is given.
        """
        if (step is None) == (revision is None):
            raise messages.ONE_OF_STEP_AND_REVISION()
        ref = CheckpointRef.of_payload({"revision": _plain(revision)} if step is None else {"step": _plain(step)})
        return self._ask("rollback", ref.to_payload(), reason, author, wait_s, confirmed=confirmed)

    # ---- waiting
    def follow(
        self, *types: EventType, after_seq: int | None = None, timeout_s: float | None = None
    ) -> Iterator[Event]:
        """Yield events (of the given types, or all) as they are recorded, until the run has ended.

        Starts after event `after_seq`, or with the next new one. Raises TimedOut after `timeout_s` seconds without one.
        """
        _known(types)
        with RunReader(self.paths.run_db) as reader:
            last_seq = reader.head()[0] if after_seq is None else after_seq
            quiet_since = time.monotonic()
            while True:
                ended = (
                    control.run_state(reader) in ENDED_STATES
                )  # read first, so that earlier events are still yielded
                for event in list(reader.events(after_seq=last_seq, types=types or None)):
                    last_seq = event.seq
                    yield event
                    quiet_since = time.monotonic()
                if ended:
                    return
                if timeout_s is not None and time.monotonic() - quiet_since >= timeout_s:
                    raise messages.NO_EVENT_IN_TIME(types=" or ".join(types) or "event", timeout_s=f"{timeout_s:g}")
                time.sleep(_LOOK_S)

    def wait_for(self, what: int | EventType, *, timeout_s: float = 600.0, after_seq: int = 0) -> Event | None:
        """Wait until the run has reached a step, or until an event of a type is on record; returns that event.

        An event already on record counts; to wait for the next one, pass the `seq` of the last as `after_seq`.
        Raises TimedOut, and NotLive if the run ended without it.
        """
        if isinstance(what, str):
            for event in self.follow(what, after_seq=after_seq, timeout_s=timeout_s):
                return event
            raise messages.ENDED_WITHOUT(run=self.run_id, type=what)
        deadline = time.monotonic() + timeout_s
        with RunReader(self.paths.run_db) as reader:
            while True:
                state = control.run_state(reader)
                step = int(reader.state().get("step", 0))
                if step >= what:
                    return None
                if state in ENDED_STATES:
                    raise messages.NEVER_REACHED(run=self.run_id, state=state, step=step, target=what)
                if time.monotonic() >= deadline:
                    raise messages.NOT_AT_STEP(run=self.run_id, step=step, target=what, timeout_s=f"{timeout_s:g}")
                time.sleep(_LOOK_S)

    def _ask(
        self, kind: str, payload: dict[str, Any] | None, reason: str | None, author: str | None, wait_s: float, *,
        confirmed: bool = False,
    ) -> Answer:  # fmt: skip
        return control.command(
            self.paths, kind, payload, origin="api", author=author, reason=reason, confirmed=confirmed, wait_s=wait_s
        )


def train(
    config: Mapping[str, Any] | str | os.PathLike[str] | None = None, *, data: str | os.PathLike[str] | None = None,
    source: str | None = None, resume: str | None = None, runs: str | os.PathLike[str] | None = None,
    panel: bool = False, tensorboard: bool = False, wait: bool = False,
) -> Run:  # fmt: skip
    """Start training in a separate process and return its run: `train({"preset": "demo", "data": "sample"})`.

    `config`: keys of either config, or a YAML file or recipe; `data` overrides its data; `source` is RUN, RUN@STEP, a
    checkpoint folder or models:/… to start from; `resume` a run to continue, with `data` if its data has moved. Returns
    once the run has started; with `wait`, once it has ended. Training continues after the notebook is closed;
    `run.stop()` ends it. Its output is in `train.log` in the run folder. Raises Refused or NotFound, like `vsrpp train`.
    """
    from vsrpp.launch.from_python import start_training

    started = start_training(
        config, data=data, source=source, resume=resume, runs=runs, panel=panel, tensorboard=tensorboard, wait=wait
    )
    return Run(started.root)


def _edit(changes: Mapping[str, ConfigValue] | None, keys: Mapping[str, ConfigValue]) -> dict[str, Any]:
    """Merge `{"max_lr": 2e-4}` and `max_lr=2e-4` into one edit. Raises Refused for a key in both, or a non-mapping."""
    if changes is not None and not isinstance(changes, Mapping):
        raise messages.EDIT_NOT_OBJECT()
    twice = sorted(str(key) for key in (changes or {}) if key in keys)
    if twice:
        raise messages.KEY_TWICE(key=twice[0])
    return {key: _plain(value) for key, value in {**(changes or {}), **keys}.items()}


def _plain(value: Any) -> Any:
    """A NumPy or torch scalar as a Python number; anything else unchanged."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _known(types: tuple[EventType, ...]) -> None:
    wrong = next((name for name in types if name not in EVENT_TYPES), None)
    if wrong is not None:
        raise messages.NO_EVENT_TYPE(type=wrong, types=", ".join(sorted(EVENT_TYPES)))
