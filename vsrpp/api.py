"""Steering from Python: `from vsrpp import Run`; `Run("latest").set(max_lr=2e-4, reason="flat since step 4000")`.

For notebooks and for scripts that steer (`examples/halve_rate_when_worse.py`). It asks what every face asks, through
`vsrpp.control`, under the origin `api`; opening a run loads neither torch nor MLflow.

What the run decides comes back as an `Answer`, refusals included, so that a notebook shows them and a script can look
at `answer.errors`; `answer.check()` turns a refusal, or an answer that did not come in time, into an exception. What
cannot reach the run at all raises: NotFound (no such run), NotLive (nobody is training it), Refused (no edit at all).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from vsrpp import control, paths
from vsrpp.control import FINAL_STATES, CheckpointRef, Preview, messages
from vsrpp.store import EVENT_TYPES, Answer, Event, MetricRow, RunReader

WAIT_S = 60.0
_LOOK_S = 0.05
_ENDED = FINAL_STATES | {"dead"}


class Run:
    """A run of this host, live or finished. Holds no file open between calls."""

    def __init__(self, run: str | os.PathLike[str] = "latest", *, runs: str | os.PathLike[str] | None = None) -> None:
        """`run` is a run ID, a unique prefix of one, `latest`, or a run folder; `runs` the folder of runs.

        Raises NotFound, and Refused for a prefix of several runs.
        """
        self.paths = control.find_run(os.fspath(run), paths.runs_dir(runs))
        """Every file of the run folder."""

    def __repr__(self) -> str:
        return f"Run({str(self.paths.root)!r})"

    @property
    def run_id(self) -> str:
        return self.paths.run_id

    # ---- looking
    def status(self) -> dict[str, Any]:
        """Where the run stands: the keys of `vsrpp status --json`."""
        return control.status(self.paths)

    def config(self) -> dict[str, Any]:
        """The live config in force, {key: value}. Tiers, ranges and who changed what: `control.config_view`."""
        with RunReader(self.paths.run_db) as reader:
            return dict(control.current_config(reader).live)

    def history(self, *types: str) -> list[Event]:
        """Every event, or those of the given types, oldest first."""
        _known(types)
        return [event for event in control.history(self.paths) if not types or event.type in types]

    def metrics(self, key: str, *, left_behind: bool = False) -> list[MetricRow]:
        """The rows of one metric (`loss/total`, `val/psnr_y` …) along the line to the present state, by step.

        With `left_behind`, also those of branches that a rollback or a reverted probation abandoned.
        """
        with RunReader(self.paths.run_db) as reader:
            line = control.lineage(reader.events())
            rows = reader.series(key)
        return [row for row in rows if left_behind or line.holds(row.branch, row.step)]

    def preview(
        self, changes: Mapping[str, Any] | None = None, /, *, base_revision: int | None = None, **keys: Any
    ) -> Preview:
        """What an edit would do, and what is wrong with it (`errors`), without asking the run anything."""
        return control.preview(self.paths, _edit(changes, keys), base_revision=base_revision)

    # ---- steering
    def set(
        self, changes: Mapping[str, Any] | None = None, /, *, reason: str | None = None, author: str | None = None,
        base_revision: int | None = None, probation: int | None = None, revert_if: str | None = None,
        wait_s: float = WAIT_S, **keys: Any,
    ) -> Answer:  # fmt: skip
        """Change the live config: `run.set(max_lr=2e-4, reason="…")`. All of it is applied, or none.

        `base_revision`: refuse keys that somebody changed after that revision. `probation`: so many steps in which the
        run goes back by itself, to the very state before, if `revert_if` ("loss > 2x", "psnr_y < -0.5") holds.
        The answer's status is `applied`, `refused`, or `pending` if none came within `wait_s`.
        Raises NotLive, and Refused for what is no edit at all (nothing to set, larger than 64 KiB, not JSON).
        """
        if revert_if is not None and probation is None:
            raise messages.PROBATION_ONLY_FROM()
        terms = None if probation is None else {"steps": _plain(probation), "revert_if": revert_if}
        return control.apply(
            self.paths, _edit(changes, keys), origin="api", author=author, reason=reason, base_revision=base_revision,
            probation=terms, wait_s=wait_s,
        )  # fmt: skip

    def pause(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Hold the run at its next step boundary. Answers `done` once it holds. Raises NotLive."""
        return self._ask("pause", None, reason, author, wait_s)

    def resume(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Let a paused run go on. Raises NotLive: a run that ended is continued by `vsrpp train --resume`."""
        return self._ask("resume", None, reason, author, wait_s)

    def validate(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Validate at the next step; the answer comes when it is done. Raises NotLive."""
        return self._ask("validate", None, reason, author, wait_s)

    def checkpoint(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """Write a checkpoint of the next step; the answer comes when it is whole on disk. Raises NotLive."""
        return self._ask("checkpoint", None, reason, author, wait_s)

    def stop(self, *, reason: str | None = None, author: str | None = None, wait_s: float = WAIT_S) -> Answer:
        """End the run at the next step, with a checkpoint. Raises NotLive."""
        return self._ask("stop", None, reason, author, wait_s)

    def rollback(
        self, step: int | str | None = None, *, revision: int | None = None, reason: str | None = None,
        author: str | None = None, wait_s: float = WAIT_S,
    ) -> Answer:  # fmt: skip
        """Take the run back to the checkpoint of a step, to `"best"`, or to the newest made under a revision.

        Weights, optimizer, controller, data position and config return; the answer names the new branch and revision.
        Refused if there is no such checkpoint, naming the nearest. Raises NotLive, and Refused unless exactly one of
        `step` and `revision` is given.
        """
        if (step is None) == (revision is None):
            raise messages.ONE_OF_STEP_AND_REVISION()
        ref = CheckpointRef.of_payload({"revision": _plain(revision)} if step is None else {"step": _plain(step)})
        return self._ask("rollback", ref.to_payload(), reason, author, wait_s)

    # ---- waiting
    def follow(self, *types: str, after_seq: int | None = None, timeout_s: float | None = None) -> Iterator[Event]:
        """Events as they come (of the given types, or all), until the run has ended: for scripts that steer.

        Starts after event `after_seq`, or with the next new one. Raises TimedOut when `timeout_s` pass without one.
        """
        _known(types)
        with RunReader(self.paths.run_db) as reader:
            last_seq = reader.head()[0] if after_seq is None else after_seq
            quiet_since = time.monotonic()
            while True:
                ended = control.run_state(reader) in _ENDED  # asked first: what came before the end is still given
                for event in list(reader.events(after_seq=last_seq, types=types or None)):
                    last_seq = event.seq
                    yield event
                    quiet_since = time.monotonic()
                if ended:
                    return
                if timeout_s is not None and time.monotonic() - quiet_since >= timeout_s:
                    raise messages.NO_EVENT_IN_TIME(types=" or ".join(types) or "event", timeout_s=f"{timeout_s:g}")
                time.sleep(_LOOK_S)

    def wait_for(self, what: int | str, *, timeout_s: float = 600.0, after_seq: int = 0) -> Event | None:
        """Wait until the run has reached a step, or until an event of that type is on record; returns that event.

        An event that is there already counts; to wait for the next one, give the `seq` of the last as `after_seq`.
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
                if state in _ENDED:
                    raise messages.NEVER_REACHED(run=self.run_id, state=state, step=step, target=what)
                if time.monotonic() >= deadline:
                    raise messages.NOT_AT_STEP(run=self.run_id, step=step, target=what, timeout_s=f"{timeout_s:g}")
                time.sleep(_LOOK_S)

    def _ask(
        self, kind: str, payload: dict[str, Any] | None, reason: str | None, author: str | None, wait_s: float
    ) -> Answer:
        return control.command(self.paths, kind, payload, origin="api", author=author, reason=reason, wait_s=wait_s)


def _edit(changes: Mapping[str, Any] | None, keys: dict[str, Any]) -> dict[str, Any]:
    """One edit from `{"max_lr": 2e-4}` and `max_lr=2e-4`. Raises Refused for a key in both, or what is no mapping."""
    if changes is not None and not isinstance(changes, Mapping):
        raise messages.EDIT_NOT_OBJECT()
    twice = sorted(str(key) for key in (changes or {}) if key in keys)
    if twice:
        raise messages.KEY_TWICE(key=twice[0])
    return {key: _plain(value) for key, value in {**(changes or {}), **keys}.items()}


def _plain(value: Any) -> Any:
    """A NumPy or torch scalar as the Python number it holds; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _known(types: tuple[str, ...]) -> None:
    wrong = next((name for name in types if name not in EVENT_TYPES), None)
    if wrong is not None:
        raise messages.NO_EVENT_TYPE(type=wrong, types=", ".join(sorted(EVENT_TYPES)))
