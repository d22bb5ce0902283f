"""Run a module (TensorBoard) that exits with its parent process: `python -m vsrpp.launch.with_parent MODULE ARGUMENTS …`."""

from __future__ import annotations

import os
import runpy
import sys
import threading


def end_with_parent() -> None:
    """Exit as soon as the parent process dies, however it dies: then our standard input closes."""

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
