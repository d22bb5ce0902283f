"""The command line. Every failure is reported on standard error in short lines: what, why, and what to do."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from vsrpp.errors import VsrppError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (see the classes in `vsrpp.errors`)."""
    from vsrpp.cli.parser import wants_json
    from vsrpp.output import one_document, release

    words = sys.argv[1:] if argv is None else list(argv)
    as_json = wants_json(words)
    try:
        with one_document() if as_json else contextlib.nullcontext():
            code, error = _run(words)
            if error is not None:
                _tell(error)
            if as_json:
                release(error)
            return code
    except BrokenPipeError:  # `vsrpp history … | head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> tuple[int, VsrppError | None]:
    """The exit status, and the error if there was one."""
    from vsrpp.cli import messages
    from vsrpp.cli.parser import parse

    try:
        return parse(words)(), None
    except VsrppError as error:
        return error.exit_code, error
    except KeyboardInterrupt:
        interrupted = messages.INTERRUPTED()
        interrupted.exit_code = 130
        return 130, interrupted
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - last resort: users never see a traceback
        from vsrpp.cli.crash import report

        return 1, messages.BUG(report=report(error))


def _tell(error: VsrppError) -> None:
    """Print one line per cause; an indented one continues the previous one."""
    causes = error.fields.get("causes")
    for cause in causes if isinstance(causes, list) and causes else [str(error)]:
        print(cause if cause.startswith(" ") else f"vsrpp: {cause}", file=sys.stderr)
