"""Tiny runs in this process, steered at given steps, and readers of their record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vsrpp import config
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

TINY = {
    "n_feats": 4, "n_blocks": 1, "num_frames": 2, "crop_size": 32, "batch_size": 1, "scale": 2, "warmup_steps": 4,
    "torch_threads": 1, "val_fraction": 0.2,
    "max_steps": 12, "log_every": 2, "validate_every": 10, "checkpoint_every": 10, "max_lr": 1e-3,
}  # fmt: skip
"""A run that takes a second or two."""


def configs(data: Path, **sets: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run config and the live config of a tiny run on `data`."""
    return config.resolve("demo", None, {**TINY, "data": str(data), **sets})


def open_in_process(runs: Path, data: Path, **sets: Any) -> tuple[Any, Any]:
    """(prepared, run) of a tiny run in this process, not started yet."""
    from vsrpp.training.open_run import open_run
    from vsrpp.training.start import prepare_new

    run_config, live = configs(data, **sets)
    prepared = prepare_new(run_config, live, runs=runs, run_id=lambda: None, say=lambda _: None)
    return prepared, open_run(prepared)


def train(context: Any) -> str:
    """Train an opened run to its end; returns how it ended."""
    from vsrpp.training import loop

    return loop.train(context)


class Killed(BaseException):
    """Ends a run in this process at the point where kill -9 would."""


class Steered:
    """A tiny run in this process, steered at given steps: `at[5] = lambda run: run.edit(max_lr=2e-4)`.

    A command sent at step N arrives at the trainer's boundary of step N, because progress is reported before it.
    """

    def __init__(self, prepared: Any, at: dict[int, Callable[[Steered], Any]] | None = None) -> None:
        from vsrpp.store import Inbox
        from vsrpp.training.open_run import open_run

        self.at = dict(at or {})
        self.events: list[Any] = []
        self.uids: list[str] = []
        self.paths = prepared.paths
        self.inbox = Inbox(prepared.paths.inbox_db)
        self.context = open_run(prepared, on_event=self.events.append, on_progress=self._progress)

    @classmethod
    def new(cls, runs: Path, data: Path, at: dict[int, Callable[[Steered], Any]] | None = None, **sets: Any) -> Steered:
        from vsrpp.training.start import prepare_new

        run_config, live = configs(data, **sets)
        return cls(prepare_new(run_config, live, runs=runs, run_id=lambda: None, say=lambda _: None), at)

    @classmethod
    def resumed(cls, paths: Any, at: dict[int, Callable[[Steered], Any]] | None = None, **edit: Any) -> Steered:
        """`edit`: what `--resume --set` changes."""
        from vsrpp.training.resume import prepare_resume

        return cls(prepare_resume(paths, say=lambda _: None, edit=edit), at)

    def train(self) -> str:
        try:
            return train(self.context)
        finally:
            self.inbox.close()

    def one_step(self) -> None:
        """Make one step without a boundary before it."""
        from vsrpp.training.loop import one_step

        one_step(self.context)

    def abandon(self) -> None:
        """Release a run that is not trained to its end."""
        self.context.ending.close()
        self.inbox.close()

    def die_at(self, step: int) -> None:
        """Train up to `step` and end as if killed with kill -9: nothing further is written."""

        self.at[step] = Steered.kill
        self.train_until_killed()

    def train_until_killed(self) -> None:
        try:
            self.train()
        except Killed:
            return
        raise AssertionError("the run ended before it was killed")

    def kill(self) -> None:
        raise Killed

    def edit(self, *, origin: str = "cli", base_revision: int | None = None, **changes: Any) -> str:
        self.uids.append(
            self.inbox.put("edit", {"changes": changes}, origin=origin, author="anna", base_revision=base_revision)
        )
        return self.uids[-1]

    def ask(self, kind: str, **payload: Any) -> str:
        self.uids.append(self.inbox.put(kind, payload, origin="cli", author="anna"))
        return self.uids[-1]

    def answer(self, number: int = -1) -> Any:
        from vsrpp.store import Inbox

        inbox = Inbox(self.paths.inbox_db)
        try:
            return inbox.answer_of(self.uids[number])
        finally:
            inbox.close()

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def weights(self) -> str:
        return weights_of(self.context)

    def _progress(self, seen: Any) -> None:
        act = self.at.get(seen.step)
        if act is not None and seen.state == "training" and self.context.state.step == seen.step:
            del self.at[seen.step]
            act(self)


class AlteredBatches:
    """The batches of a run, changed by `alter(step, lr_frames, truth)`."""

    def __init__(self, context: Any, alter: Callable[[int, Any, Any], tuple[Any, Any]]) -> None:
        self._feed, self._state, self._alter = context.batches, context.state, alter
        context.batches = self

    def next(self) -> tuple[Any, Any]:
        return self._alter(self._state.step + 1, *self._feed.next())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)


def spoil(context: Any, when: Callable[[int], bool]) -> None:
    """Make the ground truth of each step NaN for which `when(step)` is true."""
    AlteredBatches(context, lambda step, lr, truth: (lr, truth * (float("nan") if when(step) else 1.0)))


def once(steps: Iterable[int]) -> Callable[[int], bool]:
    """A function that returns True for each of these steps, the first time it is called with it."""
    left = set(steps)

    def due(step: int) -> bool:
        if step not in left:
            return False
        left.remove(step)
        return True

    return due


def weights_of(context: Any) -> str:
    """SHA-256 of the weights, their EMA and the optimizer's state."""
    snapshot = context.state.capture(context.live)
    digest = hashlib.sha256()
    tensors = {**snapshot.model, **{f"ema.{k}": v for k, v in snapshot.model_ema.items()}}
    for number, state in snapshot.rest["optimizer"]["state"].items():
        tensors |= {f"{number}.{k}": v for k, v in state.items()}
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def series(paths: RunPaths, key: str) -> dict[tuple[int, int], float]:
    """The values of a metric by (branch, step)."""
    with RunReader(paths.run_db) as reader:
        return {(row.branch, row.step): row.value for row in reader.series(key)}
