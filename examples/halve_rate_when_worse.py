#!/usr/bin/env python3
"""Steers a run from outside: halves the learning rate, on probation, when a validation is worse than the best so far.

    python examples/halve_rate_when_worse.py latest --worse-by 0.05 --probation 200

Watches until the run ends. Each halving is a normal edit: validated, recorded with its reason, and reverted by the run if
the loss doubles during the probation. Ctrl-C ends the script at any time; the run continues.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import vsrpp  # noqa: F401
except ModuleNotFoundError:  # run from a checkout without installing
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vsrpp import Run
from vsrpp.errors import VsrppError
from vsrpp.store import Answer


def steer(run: Run, *, worse_by: float, probation: int, revert_if: str) -> Iterator[Answer]:
    """Follow the validations of `run`; yields the answer to each requested halving.

    worse_by: dB of PSNR-Y below the best validation since the last change. Raises VsrppError if the run ends between a
    validation and the edit.
    """
    best, changed_at = float("-inf"), -1
    for event in run.follow("validated", "rolled_back", "config_reverted"):
        if event.type != "validated":
            best, changed_at = float("-inf"), -1  # the results since then no longer belong to the run
            continue
        if event.step <= changed_at:
            continue  # a result from before the last change
        psnr_y = float(event.data["psnr_y"])
        if psnr_y >= best - worse_by:
            best = max(best, psnr_y)
            continue
        rate, revision = run.config()["max_lr"], event.revision
        answer = run.set(
            max_lr=rate / 2, probation=probation, revert_if=revert_if, base_revision=revision,
            reason=f"validation worse: {psnr_y:.2f} dB at step {event.step}, best {best:.2f} dB",
        )  # fmt: skip
        yield answer
        best, changed_at = psnr_y, answer.step or event.step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default="latest", help="run ID, prefix, `latest`, or a run folder")
    parser.add_argument(
        "--worse-by", type=float, default=0.05, metavar="DB", help="margin that counts as worse (default: 0.05 dB)"
    )
    parser.add_argument("--probation", type=int, default=200, metavar="STEPS", help="steps on probation (default: 200)")
    parser.add_argument("--revert-if", default="loss > 2x", metavar="COND", help="when to revert (default: loss > 2x)")
    options = parser.parse_args()
    try:
        run = Run(options.run)
        print(f"watching {run.run_id}")
        answers = steer(run, worse_by=options.worse_by, probation=options.probation, revert_if=options.revert_if)
        for answer in answers:
            what = ", ".join(f"{c['key']} {c['old']} → {c['new']}" for c in answer.changes) or answer.message
            print(f"{answer.status} at step {answer.step}: {what}", flush=True)
    except KeyboardInterrupt:
        pass
    except VsrppError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
