"""Batches for the training loop, starting at any step. Batch n of a run does not depend on who loads it or when.

Step n on rank r of R uses samples (n*R + r)*N … +N-1; `unreadable` says what replaces those that cannot be read. Workers
return uint8, which needs a quarter of the shared memory of float32; a background thread converts to float32 while the
network computes.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vsrpp.data import messages
from vsrpp.data.trainset import TrainSet, to_unit
from vsrpp.data.unreadable import BadFrames, Unreadable
from vsrpp.errors import VsrppError

_AHEAD = 2
_POLL_S = 0.1
_CLOSE_S = 30.0

Batch = tuple[Tensor, Tensor]
_Loaded = tuple[Tensor, Tensor, list[Unreadable]]
"""A batch, and the frames that could not be read for it."""


class Batches:
    """An endless iterator of (lr (N, T, 3, h, w), gt (N, T, 3, H, W)) float32 tensors in [0, 1], from start_step on.

    num_workers processes load them; with 0, the background thread does. Never draws from torch's global generator.
    Use it as a context manager or call close() to end the workers and the thread.
    """

    def __init__(
        self,
        train_set: TrainSet,
        batch_size: int,
        start_step: int = 0,
        num_workers: int = 0,
        *,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
        bad: BadFrames | None = None,
    ) -> None:
        """`bad`: the frames on record as unreadable."""
        self.step = start_step
        """The step that the next batch belongs to."""
        self.unreadable: list[Unreadable] = []
        """Frames that could not be read for the newest batch, whose samples were replaced."""
        self._stop = threading.Event()
        self._ready: queue.Queue[_Loaded | Exception] = queue.Queue(_AHEAD)
        self._failed: Exception | None = None
        steps = _Steps(train_set, batch_size, rank, world_size, bad or BadFrames())
        # created here, not in the thread: torch's handler that notices a killed worker needs the main thread
        source = from_workers(steps, start_step, num_workers) if num_workers else _from_here(steps, start_step)
        if num_workers:
            _tell_between_batches()
        self._thread = threading.Thread(target=self._fill, args=(source, pin_memory), name="vsrpp-batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next step's batch. Raises VsrppError if a worker died, and whatever reading the data raised."""
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                item = self._failed or _dead_worker() or self._ready.get(timeout=_POLL_S)
                if isinstance(item, Exception):
                    self._failed = item
                    raise item
                self.step += 1
                lr, gt, self.unreadable = item
                return lr, gt
        raise StopIteration

    def close(self) -> None:
        """End the thread and the workers; the iteration then stops. Safe to call more than once."""
        self._stop.set()
        self._thread.join(_CLOSE_S)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, source: Iterator[_Loaded | VsrppError], pin_memory: bool) -> None:
        try:
            for loaded in source:
                if isinstance(loaded, VsrppError):
                    self._put(loaded)
                    break
                *pixels_u8, met = loaded
                lr, gt = (torch.from_numpy(to_unit(pixels.numpy())) for pixels in pixels_u8)
                self._put((lr.pin_memory(), gt.pin_memory(), met) if pin_memory else (lr, gt, met))
                if self._stop.is_set():
                    break
        except (RuntimeError, EOFError, ConnectionError) as error:  # the last two: it died while sending a batch
            cause = str(error).partition("\n")[0] or "a data worker died while sending a batch"
            failure = messages.LOADING_FAILED(cause=cause)
            failure.__cause__ = error
            self._put(failure)
        except Exception as error:  # noqa: BLE001  raised again in the thread that asks for the next batch
            self._put(error)
        finally:
            shutdown = getattr(source, "_shutdown_workers", None)
            if shutdown:
                shutdown()

    def _put(self, item: _Loaded | Exception) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=_POLL_S)
                return


_deaths: list[RuntimeError] = []
"""What torch's handler raised about a killed worker, until the next batch is asked for."""


def _tell_between_batches() -> None:
    """Let torch's SIGCHLD handler, which raises in the main thread wherever that is, keep its error for the next batch.

    In the middle of an optimizer step it would leave weights that belong to no step.
    """
    _deaths.clear()  # of workers that are no longer needed
    if threading.current_thread() is not threading.main_thread():
        return
    raising = signal.getsignal(signal.SIGCHLD)
    if not callable(raising) or getattr(raising, "keeps_errors", False):
        return

    def keeping(number: int, frame: FrameType | None) -> None:
        try:
            raising(number, frame)
        except RuntimeError as error:
            _deaths.append(error)

    keeping.keeps_errors = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGCHLD, keeping)


def _dead_worker() -> VsrppError | None:
    if not _deaths:
        return None
    error = _deaths[0]
    _deaths.clear()
    failure = messages.LOADING_FAILED(cause=str(error).partition("\n")[0])
    failure.__cause__ = error
    return failure


class _Steps(Dataset[_Loaded | VsrppError]):
    """Batches by step, as uint8; lives in the worker processes."""

    def __init__(self, train_set: TrainSet, batch_size: int, rank: int, world_size: int, bad: BadFrames) -> None:
        self._train_set, self._batch_size, self._rank, self._world_size = train_set, batch_size, rank, world_size
        self._bad = bad

    def __getitem__(self, step: int) -> _Loaded | VsrppError:
        """An error is returned, not raised: torch would replace its text with a traceback and drop its reason code."""
        first = (step * self._world_size + self._rank) * self._batch_size
        try:
            indexes = range(first, first + self._batch_size)
            samples = [self._train_set.readable_u8(index, self._bad) for index in indexes]
        except VsrppError as error:
            return error
        lr, gt = (torch.from_numpy(np.stack(part)) for part in zip(*(pixels for pixels, _ in samples), strict=True))
        return lr, gt, [one for _, met in samples for one in met]


class _From(Sampler[int]):
    """An endless count of steps from `start`."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._start)


def _from_here(steps: _Steps, start_step: int) -> Iterator[_Loaded | VsrppError]:
    return map(steps.__getitem__, itertools.count(start_step))


def from_workers(steps: _Steps, start_step: int, num_workers: int) -> Iterator[_Loaded | VsrppError]:
    """uint8 batches from start_step on, loaded by worker processes; a batch that cannot be read is its error.

    The workers are not forked from this process: a fork would copy the trainer's threads, sockets and SQLite files in an
    undefined state.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])  # torch is imported once, not once per worker
    loader: DataLoader[_Loaded | VsrppError] = DataLoader(
        steps,
        batch_size=None,
        sampler=_From(start_step),
        num_workers=num_workers,
        multiprocessing_context=context,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator().manual_seed(0),  # else torch draws the workers' seed from its global generator
    )
    return iter(loader)


def _ignore_signals(_worker: int) -> None:
    """Ctrl-C, or closing the terminal, reaches all its processes; Slurm signals all of a job. Only the trainer reacts,
    and ends its workers itself, with SIGTERM."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
