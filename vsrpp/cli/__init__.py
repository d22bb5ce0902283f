"""The command line. Every failure is reported on standard error in short lines: what, why, and what to do."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vsrpp.errors import ERROR_FILE, VsrppError

CLOSED_PIPE = 128 + 13
"""Exit status if the reader of standard output closed the pipe: as a shell reports a program that SIGPIPE ended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (see the classes in `vsrpp.errors`).

    If standard output cannot be written, a command that would have succeeded exits with 1 and a line on standard error,
    or, if the reader has closed the pipe, silently with 141.
    """
    from vsrpp.cli import messages
    from vsrpp.output import OutputClosed, OutputLost, standard_streams

    with standard_streams() as streams:
        try:
            code = _answer(sys.argv[1:] if argv is None else list(argv))
        except OutputLost:
            code = 0
        except SystemExit as leaving:  # --help and --version
            code = int(leaving.code or 0)
        lost = streams.lost()
        if lost is None:
            return code
        if not isinstance(lost, OutputClosed):
            _tell(messages.OUTPUT_LOST(why=lost.strerror))
        return code or (0 if streams.may_be_lost else CLOSED_PIPE if isinstance(lost, OutputClosed) else 1)


def _answer(words: list[str]) -> int:
    """Run one command, and print its document for `--json`; returns the exit status."""
    from vsrpp.cli.json_output import one_document, release
    from vsrpp.cli.parser import wants_json

    as_json = wants_json(words)
    with one_document() if as_json else contextlib.nullcontext():
        code, error = _run(words)
        if error is not None:
            _tell(error)
            _write_error_file(error)
        if as_json:
            release(error)
        return code


def _run(words: list[str]) -> tuple[int, VsrppError | None]:
    """The exit status, and the error if there was one."""
    from vsrpp.cli import messages
    from vsrpp.cli.parser import parse
    from vsrpp.output import OutputLost
    from vsrpp.safe_text import remember

    for word in words:
        remember(word)
    try:
        return parse(words)(), None
    except VsrppError as error:
        return error.exit_code, error
    except KeyboardInterrupt:
        interrupted = messages.INTERRUPTED()
        interrupted.exit_code = 130
        return 130, interrupted
    except OutputLost:
        raise
    except Exception as error:  # noqa: BLE001 - last resort: users never see a traceback
        from vsrpp.cli.crash import report

        return 1, messages.BUG(report=report(error))


def _write_error_file(error: VsrppError) -> None:
    """Write the error for the program that started this one, if it asked for that; of several ranks, only rank 0."""
    file = os.environ.get(ERROR_FILE)
    if file and os.environ.get("RANK", "0") == "0":
        from vsrpp.cli.json_output import error_document

        with contextlib.suppress(OSError):
            Path(file).write_text(json.dumps(error_document(error)), encoding="utf-8")


def _tell(error: VsrppError) -> None:
    """Print one line per cause; an indented one continues the previous one."""
    causes = error.fields.get("causes")
    for cause in causes if isinstance(causes, list) and causes else [str(error)]:
        print(cause if cause.startswith(" ") else f"vsrpp: {cause}", file=sys.stderr)
