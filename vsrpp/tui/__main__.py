"""`python -m vsrpp.tui RUN [--run-dir DIR] [--lang de]`: the terminal UI in a separate process."""

from __future__ import annotations

import argparse
import sys

from vsrpp import control, paths
from vsrpp.errors import VsrppError
from vsrpp.texts import LANGUAGES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m vsrpp.tui", description=__doc__)
    parser.add_argument("target", metavar="RUN", help="a run ID, a unique prefix of one, `latest`, or a run folder")
    parser.add_argument("--run-dir", metavar="DIR", help="folder that holds the runs (default: ./runs, or VSRPP_RUNS)")
    parser.add_argument("--lang", choices=LANGUAGES, help="default: the locale's, else English")
    options = parser.parse_args()
    try:
        run_paths = control.find_run(options.target, paths.runs_dir(options.run_dir))
        from vsrpp.tui.app import run

        return run(run_paths, lang=options.lang)
    except VsrppError as error:
        print(f"vsrpp: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
