"""`python -m vsrpp.tracking deliver` (started by the trainer, not manually) and `… sync RUN_DIR [--uri URI]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vsrpp import paths
from vsrpp.errors import VsrppError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vsrpp.tracking", description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True)
    jobs.add_parser("deliver", help="follow a live run; talks to its trainer over standard input and output")
    sync = jobs.add_parser("sync", help="upload the pending records of a run folder, then exit")
    sync.add_argument("run_dir", type=Path)
    sync.add_argument(
        "--uri", help="default: the URI the run was started with, MLFLOW_TRACKING_URI, else mlflow.db beside the runs"
    )
    options = parser.parse_args(argv)
    if options.job == "deliver":
        from vsrpp.tracking import deliver

        return deliver.main()
    from vsrpp.tracking.sync import sync as run_sync

    try:
        report = run_sync(options.run_dir, options.uri or _uri(options.run_dir.resolve()))
    except VsrppError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    why = f" ({report.why})" if report.why else ""
    print(f"{report.rows_left} rows and {report.artifacts_left} artifacts left{why}")
    return 0 if report.delivered else 1


def _uri(run_dir: Path) -> str:
    from vsrpp.tracking import uri_of

    return uri_of(paths.RunPaths(run_dir), paths.tracking_uri(run_dir.parent))


if __name__ == "__main__":
    raise SystemExit(main())
