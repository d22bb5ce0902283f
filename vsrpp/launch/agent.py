"""torchrun for one host: starts the ranks, restarts them after a failure, and reports the outcome as JSON.

`python -m vsrpp.launch.agent PLAN.json` runs torch's elastic agent as `torchrun` does. Its reports and tracebacks go to a
log. The launcher reads `failed.json` of each attempt, or `error.txt` if the ranks never started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from vsrpp.errors import START_AGAIN
from vsrpp.launch.rank_process import attempt_folder, end_with_parent_process

REFUSED = frozenset({2, 3, 4, 5, 6})
"""Exit codes of any rank that a restart would only repeat."""
FINAL = REFUSED | {START_AGAIN, 130}
"""Exit codes of rank 0 that rule out a restart: it refused, or was told to end."""
_SAME_MOMENT_S = 2


def main(plan_file: str) -> int:
    """Start the ranks of a plan and wait for them. Returns 0 if all of them exited with 0, else 1."""
    end_with_parent_process()
    signal.signal(signal.SIGUSR1, lambda *_: None)  # Slurm may send it to every process of a job: for rank 0
    folder = Path(plan_file).parent
    plan = json.loads(Path(plan_file).read_text(encoding="utf-8"))
    from torch.distributed.elastic.multiprocessing import SignalException

    try:
        return 1 if _agent(plan, folder).run().is_failed() else 0
    except SignalException:
        return 1
    except Exception as error:
        (folder / "error.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        raise


def _agent(plan: dict[str, Any], folder: Path) -> Any:
    import torch.distributed.elastic.rendezvous.registry as rendezvous
    from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.rendezvous import RendezvousParameters

    class Agent(LocalElasticAgent):
        """Records which rank failed, and does not restart if another start would fail or end the same way."""

        def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
            result = super()._monitor_workers(worker_group)
            if result.is_failed():
                attempt = worker_group.spec.max_restarts - self._remaining_restarts
                again = self._remaining_restarts > 0 and not _final(folder, attempt, result.failures)
                if not again:
                    self._remaining_restarts = 0
                _note(folder, attempt, result.failures, again)
            return result

    several = plan["nodes"] > 1
    address, port = plan["rendezvous"] if several else ("127.0.0.1", 0)
    parameters = RendezvousParameters(
        backend="static" if several else "c10d", endpoint=f"{address}:{port}", run_id=plan["id"],
        min_nodes=plan["nodes"], max_nodes=plan["nodes"], local_addr=None if several else "127.0.0.1",
        **({"rank": plan["node_rank"], "timeout": plan["timeout_s"]} if several else {"is_host": True}),
    )  # fmt: skip
    spec = WorkerSpec(
        role="rank", local_world_size=plan["devices"], entrypoint=sys.executable, args=tuple(plan["command"]),
        rdzv_handler=rendezvous.get_rendezvous_handler(parameters), max_restarts=plan["max_restarts"],
        monitor_interval=0.1, master_addr=address if several else None, master_port=port if several else None,
        local_addr=None if several else "127.0.0.1",
    )  # fmt: skip
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGTERM,SIGINT,SIGHUP"
    return Agent(spec, logs_specs=DefaultLogsSpecs(log_dir=str(folder / "torch")), start_method="spawn")


def _final(folder: Path, attempt: int, failures: dict[int, Any]) -> bool:
    """Whether a restart is pointless: something was refused, or rank 0 had ended deliberately before the failure."""
    if (folder / "stopping").exists():
        return True
    rank, code = first_failure(failures)
    if code in REFUSED or (rank == 0 and code in FINAL):
        return True
    return (attempt_folder(folder, attempt) / "rank_0.ended").exists() and 0 not in failures


def first_failure(failures: dict[int, Any]) -> tuple[int, int]:
    """(rank, exit code) of the rank that caused the failure: a killed rank rather than one that failed as a consequence.

    SIGABRT counts as a consequence: gloo aborts in a process that has lost its peers.
    """
    rank, first = min(failures.items(), key=lambda item: item[1].timestamp)
    at_once = {
        other: failure.exitcode
        for other, failure in failures.items()
        if failure.exitcode < 0
        and failure.exitcode != -signal.SIGTERM
        and failure.timestamp <= first.timestamp + _SAME_MOMENT_S
    }
    struck = [other for other, code in at_once.items() if code != -signal.SIGABRT]
    if struck and (first.exitcode >= 0 or first.exitcode == -signal.SIGABRT):
        rank = struck[0]
    elif at_once and first.exitcode >= 0:
        rank = next(iter(at_once))
    return rank, failures[rank].exitcode


def _note(folder: Path, attempt: int, failures: dict[int, Any], again: bool) -> None:
    rank, code = first_failure(failures)
    attempt_path = attempt_folder(folder, attempt)
    attempt_path.mkdir(parents=True, exist_ok=True)
    failure = {"rank": rank, "code": code, "again": again, "time": time.time()}
    partial = attempt_path / "failed.tmp"
    partial.write_text(json.dumps(failure), encoding="utf-8")
    partial.replace(attempt_path / "failed.json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
