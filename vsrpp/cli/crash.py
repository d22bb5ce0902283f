"""Reports for unexpected errors."""

from __future__ import annotations

import sys
import time
import traceback

from vsrpp import __version__, paths


def report(error: BaseException) -> str:
    """Write the traceback to a file; returns one line that names the file."""
    folder = paths.cache_dir() / "crashes"
    what = f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else '(no message)'}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / time.strftime("%Y%m%d-%H%M%S.txt")
        lines = traceback.format_exception(error)
        path.write_text(
            f"vsrpp {__version__} {' '.join(sys.argv)}\n\n{''.join(lines)}", encoding="utf-8", errors="backslashreplace"
        )
    except OSError:
        return f"{what}. This is a bug in VSR++."
    return f"{what}. This is a bug in VSR++; the details are in {path}"
