"""Batches for the training loop, from any step: batch n of a run is the same whoever makes it and whenever.

Step n of rank r of R uses samples (n*R + r)*N … +N-1. Workers pass uint8 (a quarter of the shared memory floats take);
a background thread makes floats of it while the network computes.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vsrpp.data.trainset import TrainSet, to_unit
from vsrpp.errors import VsrppError

_AHEAD = 2
_POLL_S = 0.1
_CLOSE_S = 30.0

Batch = tuple[Tensor, Tensor]


class Batches:
    """An endless iterator of (lr (N, T, 3, h, w), gt (N, T, 3, H, W)) float32 tensors in [0, 1], from start_step on.

    num_workers processes make them, or with 0 the background thread alone. Never draws from torch's global generator.
    Use it as a context manager or call close(): workers and thread end with it.
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
    ) -> None:
        self.step = start_step
        """The step whose batch comes next."""
        self._stop = threading.Event()
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(_AHEAD)
        self._failed: Exception | None = None
        steps = _Steps(train_set, batch_size, rank, world_size)
        # made here, not in the thread: torch's handler that notices a killed worker needs the main thread
        source = from_workers(steps, start_step, num_workers) if num_workers else _from_here(steps, start_step)
        self._thread = threading.Thread(target=self._fill, args=(source, pin_memory), name="vsrpp-batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next step's batch. Raises VsrppError when a worker has died, and what reading the data raised."""
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                item = self._failed or self._ready.get(timeout=_POLL_S)
                if isinstance(item, Exception):
                    self._failed = item
                    raise item
                self.step += 1
                return item
        raise StopIteration

    def close(self) -> None:
        """End the thread and the workers; further batches end the iteration. May be called again."""
        self._stop.set()
        self._thread.join(_CLOSE_S)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, source: Iterator[Batch], pin_memory: bool) -> None:
        try:
            for pair in source:
                lr, gt = (torch.from_numpy(to_unit(pixels.numpy())) for pixels in pair)
                self._put((lr.pin_memory(), gt.pin_memory()) if pin_memory else (lr, gt))
                if self._stop.is_set():
                    break
        except (RuntimeError, EOFError, ConnectionError) as error:  # the last two: it died while handing a batch over
            why = str(error).partition("\n")[0] or "a data worker ended while it handed over a batch"
            failure = VsrppError(f"loading data failed: {why}; fewer workers need less memory: --set num_workers=0")
            failure.__cause__ = error
            self._put(failure)
        except VsrppError as error:
            self._put(_in_one_line(error))
        except Exception as error:  # noqa: BLE001  handed to whoever asks for the next batch
            self._put(error)
        finally:
            shutdown = getattr(source, "_shutdown_workers", None)
            if shutdown:
                shutdown()

    def _put(self, item: Batch | Exception) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=_POLL_S)
                return


def _in_one_line(error: VsrppError) -> VsrppError:
    """The error as a worker raised it: torch hands it over with the worker's traceback as its text."""
    *before, last = str(error).strip().splitlines() or [""]
    return type(error)(last.partition(": ")[2]) if before else error


class _Steps(Dataset[Batch]):
    """Batches by step, as uint8; what a worker process holds."""

    def __init__(self, train_set: TrainSet, batch_size: int, rank: int, world_size: int) -> None:
        self._train_set, self._batch_size, self._rank, self._world_size = train_set, batch_size, rank, world_size

    def __getitem__(self, step: int) -> Batch:
        first = (step * self._world_size + self._rank) * self._batch_size
        pairs = [self._train_set.sample_u8(index) for index in range(first, first + self._batch_size)]
        return torch.from_numpy(np.stack([lr for lr, _ in pairs])), torch.from_numpy(np.stack([gt for _, gt in pairs]))


class _From(Sampler[int]):
    """Steps from one on, without end."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._start)


def _from_here(steps: _Steps, start_step: int) -> Iterator[Batch]:
    return map(steps.__getitem__, itertools.count(start_step))


def from_workers(steps: _Steps, start_step: int, num_workers: int) -> Iterator[Batch]:
    """uint8 batches from start_step on, made by worker processes.

    Not forked from here: the trainer has threads, sockets and SQLite files that a fork would copy half-way.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])  # torch is imported once, not once per worker
    loader: DataLoader[Batch] = DataLoader(
        steps,
        batch_size=None,
        sampler=_From(start_step),
        num_workers=num_workers,
        multiprocessing_context=context,
        worker_init_fn=_ignore_interrupt,
        generator=torch.Generator().manual_seed(0),  # else torch's global generator gives the workers' seed
    )
    return iter(loader)


def _ignore_interrupt(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the trainer decides what it means and ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
