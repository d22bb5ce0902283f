"""The command line. Every failure is one line on standard error that says what, why and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from vsrpp.errors import VsrppError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (design: "Command line")."""
    from vsrpp.cli.parser import parse

    command = parse(sys.argv[1:] if argv is None else list(argv))
    try:
        return command()
    except VsrppError as error:
        print(f"vsrpp: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("vsrpp: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `vsrpp history … | head`: whoever read it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person never meets a traceback
        from vsrpp.cli.crash import report

        print(f"vsrpp: {report(error)}", file=sys.stderr)
        return 1
