"""Translates an option file of BasicSR or mmagic into a config of VSR++, and says of every option what became of it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from vsrpp.config import messages, schema
from vsrpp.config.check import check_start
from vsrpp.config.import_rules import RULES, Reading, Row
from vsrpp.config.option_files import BASICSR, kind_of, read_yaml
from vsrpp.config.option_roles import HELPERS, NO_HELPERS, REASONS
from vsrpp.config.python_options import read_python
from vsrpp.config.sources import read_text
from vsrpp.config.text import refusal, show
from vsrpp.errors import VsrppError

PRESET = "base"
"""Supplies what the option file does not say."""
Fate = Literal["maps", "differs", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An option file as a config."""

    kind: str
    """`BasicSR` or `mmagic`."""
    file: Path
    bases: list[str]
    config: dict[str, Any]
    rows: list[Row]
    """Every option of the file, by what became of it."""
    not_read: list[str] = field(default_factory=list)
    """Statements of a Python config that are not plain data."""

    def of(self, fate: Fate) -> list[Row]:
        return [row for row in self.rows if row.fate == fate]

    def text(self) -> str:
        """The YAML file, with a comment on each line: where the value is from, and what differs."""
        comments = {key: row.comment() for row in self.rows for key in row.ours}
        lines = [
            f"# Written by vsrpp import-config from the {self.kind} option file {' '.join(self.file.name.split())}.",
            "# What is not set here has the default of preset base (docs/parameters.md).",
            "",
        ]
        width = max(len(_yaml_line(key, value)) for key, value in self.config.items())
        for key, value in self.config.items():
            comment = comments.get(key, "")
            line = _yaml_line(key, value)
            lines.append(f"{line:{min(width, 44)}}  # {comment}" if comment else line)
        return "\n".join(lines) + "\n"


def import_options(file: Path, gpus: int | None = None) -> Imported:
    """Read and translate an option file. gpus: how many it was meant for, if the file does not say.

    Raises NotFound or Refused for a file that cannot be read, is not an option file, or has no option that maps.
    """
    text = read_text(file)
    kind = kind_of(text, file.name)
    if kind is None:
        raise _no_option_file(text, file)
    bases: list[str] = []
    not_read: list[str] = []
    try:
        if kind == BASICSR:
            block = read_yaml(text, file.name)
        else:
            options = read_python(file, read_text)
            block, bases, not_read = options.values, options.bases, options.not_read
    except (ValueError, RecursionError, MemoryError) as error:
        raise messages.FILE_SYNTAX(file=str(file), why=str(error) or "too deeply nested", place="") from None
    reading = Reading(kind=kind, block=block, file=file, gpus=gpus)
    for rule in RULES:
        rule(reading)
    if not any(row.ours for row in reading.rows):
        raise messages.NO_OPTION_FILE(file=str(file))
    rows = _accepted(reading.rows)
    rows += [
        _left(dotted, value, place)
        for dotted, value, place in block.leaves()
        if not reading.took(dotted) and not _helper(dotted)
    ]
    config = {"preset": PRESET} | {key: value for row in rows for key, value in row.ours.items()}
    return Imported(kind=kind, file=file, bases=bases, config=config, rows=rows, not_read=not_read)


def _no_option_file(text: str, file: Path) -> VsrppError:
    """The refusal of a text that is neither project's, with the error in it if its suffix says what it should be."""
    try:
        if file.suffix in {".yml", ".yaml"}:
            read_yaml(text, file.name)
        elif file.suffix == ".py":
            ast.parse(text)
    except (ValueError, SyntaxError, RecursionError) as error:
        return messages.FILE_SYNTAX(file=str(file), why=str(error) or "too deeply nested", place="")
    return messages.NO_OPTION_FILE(file=str(file))


def _accepted(rows: list[Row]) -> list[Row]:
    """The rows, those whose values a run would refuse without a counterpart, with the refusal as the reason."""
    for _ in range(len(rows)):
        run_config, live = schema.defaults(PRESET)
        given = {key: value for row in rows for key, value in row.ours.items()}
        run_config |= {key: value for key, value in given.items() if key in run_config}
        live |= {key: value for key, value in given.items() if key in live}
        problems = check_start(run_config, live, list(given))
        bad = {problem.key.split(".")[0].split("[")[0]: problem for problem in problems}
        refused = [row for row in rows if row.ours.keys() & bad.keys()]
        if not refused:
            return rows
        rows = [
            row.refused(refusal([bad[next(iter(row.ours.keys() & bad.keys()))]])) if row in refused else row
            for row in rows
        ]
    return rows


def _left(dotted: str, value: Any, place: str) -> Row:
    why = next((why for pattern, why in REASONS if fnmatchcase(dotted, pattern)), "unknown to this import")
    return Row(theirs=dotted, value=value, place=place, note=why)


def _helper(dotted: str) -> bool:
    """Whether it is a variable whose value was read where it is used."""
    name = dotted.split(".")[0]
    return name not in NO_HELPERS and any(fnmatchcase(name, pattern) for pattern in HELPERS)


def _yaml_line(key: str, value: Any) -> str:
    return f"{key}: {_yaml(value)}"


def _yaml(value: Any) -> str:
    """A value as YAML: JSON is YAML."""
    if isinstance(value, str) and value.lower() not in _WORDS and _BARE.fullmatch(value):
        return value
    if isinstance(value, (str, list, Mapping)):
        text = json.dumps(value, ensure_ascii=False)
        return text if text.isprintable() else json.dumps(value)
    return show(value)


_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})
