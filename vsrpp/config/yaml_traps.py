"""Warns of surprises in YAML 1.1: octal and base-60 numbers, `on`/`off`, unexpanded `$HOME`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp.config import schema

if TYPE_CHECKING:
    import yaml

OCTAL = "{file}, line {line}: {key}: {text} is read as octal, {value}; write {value}, or {decimal} if that is meant"
BASE_60 = "{file}, line {line}: {key}: {text} is read as a base-60 number, {value}; write {value}, or quote the text"
SWITCH = '{file}, line {line}: {key}: {text} is read as {value}, not as text; write "{text}" if the word is meant'
VARIABLE = "{file}, line {line}: {key}: {text} is taken literally; variables are not expanded in a config file"

_LEADING_ZERO = re.compile(r"[-+]?0[0-7_]+")
_VARIABLE = re.compile(r"\$(?:\{\w+\}|[A-Za-z_]\w*)")
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def traps(file: Path) -> list[str]:
    """One warning per value of a config file that YAML may read differently than intended. Empty if not YAML."""
    import yaml

    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):  # the code that reads the file reports this
        return []
    if root is None:
        return []
    return [
        sentence.format(file=file.name, line=line, key=key, **words)
        for key, node in _values(root, "", set())
        for line, sentence, words in _trap(key, node)
    ]


def _values(node: yaml.Node, key: str, seen: set[int]) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """All values with their dotted keys; what an alias repeats comes once."""
    import yaml

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            inner = str(name.value) if isinstance(name, yaml.ScalarNode) else "?"
            yield from _values(value, f"{key}.{inner}" if key and key != "live" else inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _values(item, key, seen)
    elif isinstance(node, yaml.ScalarNode):
        yield key, node


def _trap(key: str, node: yaml.ScalarNode) -> Iterator[tuple[int, str, dict[str, Any]]]:
    line, text, kind = node.start_mark.line + 1, str(node.value), node.tag.rpartition(":")[2]
    if _VARIABLE.search(text):
        yield line, VARIABLE, {"text": text}
    if node.style is not None:  # quoted text is never converted
        return
    if kind == "int" and _LEADING_ZERO.fullmatch(text):
        yield line, OCTAL, {"text": text, "value": int(text.replace("_", ""), 8), "decimal": int(text.replace("_", ""))}
    elif kind in ("int", "float") and ":" in text:
        value = sum(float(part) * 60**place for place, part in enumerate(reversed(text.lstrip("+-").split(":"))))
        yield line, BASE_60, {"text": text, "value": f"{'-' if text.startswith('-') else ''}{value:g}"}
    elif kind == "bool" and text.lower() in _SWITCHES and _is_text(key):
        yield line, SWITCH, {"text": text, "value": _SWITCHES[text.lower()]}


def _is_text(key: str) -> bool:
    parameter = schema.parameter(key)
    return parameter is not None and parameter.type in ("string", "choice")
