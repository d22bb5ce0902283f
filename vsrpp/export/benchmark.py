"""Speed and memory of an exported file and of the network in PyTorch, each in its own process, on the CPU."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.export import messages
from vsrpp.export.forms import ExportRequest
from vsrpp.paths import CheckpointPaths

SIZE = (144, 176)
"""(h, w) of the frames."""
_RUNS = 3
"""Timed runs, after one that is not timed; the fastest counts."""
_STATUS = Path("/proc/self/status")
"""Linux's account of this process. `ru_maxrss` would also count the parent's memory at the start of the child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkJob:
    """What is measured in a child process."""

    checkpoint: Path
    request: ExportRequest
    file: Path | None
    """None: the network in PyTorch."""
    threads: int


def benchmark(checkpoint: Path, file: Path, request: ExportRequest, threads: int) -> dict[str, Any]:
    """Frames per second and memory of the file and of PyTorch, for the report. Raises VsrppError if a process fails.

    frames_per_s: frames that come out, so a windowed file counts one for each window. memory_bytes: the peak beyond what
    the process needed before it had loaded the file, or before the network ran; None where there is no /proc.
    """
    rows = {
        name: _in_child(BenchmarkJob(checkpoint=checkpoint, request=request, file=path, threads=threads), name)
        for name, path in ((request.form, file), ("pytorch", None))
    }
    return {"size": list(SIZE), "threads": threads, **rows}


def _in_child(job: BenchmarkJob, name: str) -> dict[str, float | None]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(job, theirs))
    child.start()
    theirs.close()
    try:
        answer: dict[str, float | None] | str = ours.recv()
    except EOFError:
        answer = "its process died"
    child.join()
    if isinstance(answer, str):
        raise messages.NOT_MEASURED(what=name, cause=answer)
    return answer


def _measure(job: BenchmarkJob, answer: Any) -> None:
    import torch

    try:
        torch.set_num_threads(job.threads)
        answer.send(_measured(job))
    except Exception as error:  # noqa: BLE001 - it belongs to the process that asked
        answer.send(" ".join(str(error).split())[:200] or type(error).__name__)


def _measured(job: BenchmarkJob) -> dict[str, float | None]:
    import torch

    from vsrpp.export.parity import given
    from vsrpp.inference.evaluate import load_network

    network, run_config = load_network(CheckpointPaths(job.checkpoint))
    clip = torch.rand(1, job.request.frames, 3, *SIZE)
    frames, made = clip, job.request.frames
    run: Callable[[Any], Any] = network
    before = _bytes("VmRSS")
    if job.file is not None:
        from vsrpp.export.runners import load

        del network
        run, frames = load(job.file, job.request, run_config), given(clip, job.request)
        made = 1 if job.request.windowed else made
    times = []
    with torch.no_grad():
        for _ in range(_RUNS + 1):
            started = time.perf_counter()
            run(frames)
            times.append(time.perf_counter() - started)
    peak = _bytes("VmHWM")
    used = None if peak is None or before is None else max(0, peak - before)
    return {"frames_per_s": made / min(times[1:]), "memory_bytes": used}


def _bytes(key: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), None)
