"""A replacement for `vsrpp train` in tests of the launcher: meets the other ranks over gloo and follows a script.

STAND_IN is JSON: {"0": ["work"], "1": ["work", "kill"], "1@1": […]}: the actions of each rank in order, with
`RANK@ATTEMPT` for a restarted world. A rank without a script works until rank 0 tells it to stop.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

RANK = int(os.environ.get("RANK", "0"))
FOLDER = Path(os.environ.get("STAND_IN_FOLDER", "."))


def main(argv: list[str]) -> int:
    asked: list[int] = []
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"]
    script = json.loads(os.environ.get("STAND_IN", "{}"))
    words = script.get(f"{RANK}@{attempt}", script.get(str(RANK), ["work"]))
    leave_trace(attempt, argv)
    for word in words:
        code = do(word, asked)
        if code is not None:
            return code
    return 0


def leave_trace(attempt: str, argv: list[str]) -> None:
    """Record the rank's environment and arguments."""
    from vsrpp.launch import elastic

    begun = elastic.begun()
    told = {
        "pid": os.getpid(), "argv": argv, "world": os.environ["WORLD_SIZE"], "local": os.environ["LOCAL_RANK"],
        "begun": str(begun) if begun else None,
    }  # fmt: skip
    elastic.remember(FOLDER / "run-1234")
    partial = FOLDER / f"partial-{RANK}"
    partial.write_text(json.dumps(told))
    partial.replace(FOLDER / f"trace-{attempt}-{RANK}.json")


def do(word: str, asked: list[int]) -> int | None:
    verb, _, rest = word.partition(":")
    if verb == "work":
        return work(asked, rounds=int(rest or 1_000_000))
    if verb == "say":
        print(rest, file=sys.stderr, flush=True)
    elif verb == "print":
        print(rest, flush=True)
    elif verb == "end":
        return int(rest)
    elif verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "hang":
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        threading.Event().wait()
    return None


def work(asked: list[int], rounds: int) -> int | None:
    """Rounds in which all ranks meet and rank 0 decides whether to continue, like the trainer's boundary."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        from vsrpp.distributed.process_group import meeting_place

        timeout = timedelta(seconds=float(os.environ.get("VSRPP_RANK_TIMEOUT_S", "60")))
        world_size = int(os.environ["WORLD_SIZE"])
        dist.init_process_group("gloo", store=meeting_place(timeout), rank=RANK, world_size=world_size, timeout=timeout)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda number, _: asked.append(number))
    print(f"rank {RANK} works", flush=True)
    (FOLDER / f"works-{RANK}").touch()
    pause = threading.Event()
    for _ in range(rounds):
        said = torch.tensor([asked[-1] if asked and RANK == 0 else 0])
        try:
            dist.all_reduce(said)
        except RuntimeError as error:
            print(f"vsrpp: the others are gone: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
            os._exit(1)  # gloo's threads may abort a process that exits normally while its peers are gone
        if said.item():
            dist.destroy_process_group()
            if RANK:
                return 0
            print("stopped in good order", flush=True)
            return 0 if said.item() == signal.SIGINT else 75
        pause.wait(0.02)
    return None
