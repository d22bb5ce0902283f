"""Reports for unexpected errors."""

from __future__ import annotations

import sys
import textwrap
import time
import traceback

from vsrpp import __version__, paths
from vsrpp.config import public_value
from vsrpp.private_files import private_file
from vsrpp.safe_text import safe, safe_lines


def report(error: BaseException) -> str:
    """Write the traceback to a file; returns one line that names the file."""
    folder = paths.cache_dir() / "crashes"
    what = f"unexpected {type(error).__name__}: {safe(str(error).split(chr(10))[0]) or '(no message)'}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / time.strftime("%Y%m%d-%H%M%S.txt")
        command = " ".join(["vsrpp", __version__, *(safe(_argument(word)) for word in sys.argv)])
        lines = textwrap.indent(safe_lines("".join(traceback.format_exception(error))), "  ")
        text = f"{command}\n\n{lines}"
        with open(path, "w", encoding="utf-8", errors="backslashreplace", opener=private_file) as file:
            file.write(text)
    except OSError:
        return f"{what}. This is a bug in VSR++."
    return f"{what}. This is a bug in VSR++; the details are in {path}"


def _argument(word: str) -> str:
    """A word of the command line, without the secrets that an assignment or an option may hold."""
    key, equals, value = word.partition("=")
    return f"{key}={public_value(key, value)}" if equals else word
