"""One of several ranks started by `vsrpp`: `python -m vsrpp.launch.rank_process MODULE ARGUMENTS…`, under torchrun.

Only rank 0 prints to the terminal. The output of the other ranks, and every rank's standard error, goes to files in the
launcher's folder; the launcher shows them with the rank before each line.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path

FOLDER = "VSRPP_RANKS"
"""The launcher's folder for one set of ranks."""
STOPPING = "stopping"
"""A file in that folder: ranks that start while it exists exit immediately."""
_PR_SET_PDEATHSIG = 1


def attempt_folder(folder: Path, attempt: int) -> Path:
    """The folder for the files of one attempt: `rank_N.pid`, `rank_N.out`, `rank_N.err`, `rank_N.ended`."""
    return folder / f"attempt_{attempt}"


def end_with_parent_process(number: int = signal.SIGTERM) -> None:
    """Have the kernel send this signal when the parent process dies, however it dies (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def main(module: str, arguments: list[str]) -> int:
    """Run `module.main(arguments)` as this rank; returns its exit status and also writes it to a file."""
    end_with_parent_process()
    folder = Path(os.environ[FOLDER])
    rank = int(os.environ["RANK"])
    attempt = attempt_folder(folder, int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")))
    attempt.mkdir(parents=True, exist_ok=True)
    _redirect(attempt, rank)
    (attempt / f"rank_{rank}.pid").write_text(str(os.getpid()), encoding="utf-8")
    if (folder / STOPPING).exists():
        return 128 + signal.SIGTERM
    try:
        code = int(importlib.import_module(module).main(arguments))
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    sys.stdout.flush()
    (attempt / f"rank_{rank}.ended").write_text(json.dumps(code), encoding="utf-8")
    return code


def _redirect(folder: Path, rank: int) -> None:
    for descriptor, suffix in ((1, "out"), (2, "err")):
        if rank or suffix == "err":
            file = os.open(folder / f"rank_{rank}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, descriptor)
            os.close(file)
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
