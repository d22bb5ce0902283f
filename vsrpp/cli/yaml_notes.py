"""Warnings on standard error about surprising YAML in a config file."""

from __future__ import annotations

import os
from pathlib import Path

from vsrpp.config.yaml_traps import traps
from vsrpp.output import say, yellow


def tell(file: Path) -> None:
    """Print one line per surprise in a file; only in the first of several processes."""
    if os.environ.get("RANK", "0") == "0":
        for line in traps(file):
            say(yellow(f"⚠️  {line}"), stderr=True)
