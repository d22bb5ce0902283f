#!/usr/bin/env python3
"""Reads the runs of this host with the typed API: the best checkpoint of each, and the newest run's losses as a table.

python examples/read_runs.py [RUN]
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import vsrpp  # noqa: F401
except ModuleNotFoundError:  # run from a checkout without installing
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vsrpp import Run
from vsrpp.errors import VsrppError


def main() -> int:
    try:
        for row in Run.list():
            best = Run(row.run_dir).best() if row.error is None else None
            score = "no validated checkpoint" if best is None else f"{best.key} {best.value:.3f} at step {best.step}"
            print(f"{row.run_id}  {row.state:10} step {row.step}: {score}")
        run = Run(sys.argv[1] if len(sys.argv) > 1 else "latest")
        print(run.frame("loss/total", "val/psnr_y").tail())
    except VsrppError as error:
        print(f"read_runs: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
