"""The loss terms are spelt in one table, the schema: a face that had a list of its own would not know a plug-in's term."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import jinja2

from vsrpp.config.schema import loss_terms

ROOT = Path(__file__).resolve().parents[2]
READERS = (
    "ui",
    "vsrpp/api.py",
    "vsrpp/cli",
    "vsrpp/control",
    "vsrpp/formats.py",
    "vsrpp/notebook.py",
    "vsrpp/tracking",
    "vsrpp/tui",
)
NAMES = {word for term in loss_terms() for word in (term.name, term.key, f"loss/{term.name}", f"weight/{term.name}")}
COLOURS = {term.colour for term in loss_terms()}
ELSEWHERE = {
    "ui/views/cards.py": {"grad"},  # the card of the gradient norm
    "ui/assets/panel.css": {"#ef4444", "#f97316"},  # the activity scale
    "vsrpp/tui/widgets.py": {"#06b6d4"},  # the course of the rate
}
"""Names and colours of terms that mean something else there."""


def files() -> Iterator[Path]:
    for place in READERS:
        path = ROOT / place
        yield from (
            [path]
            if path.is_file()
            else sorted(p for p in path.rglob("*") if p.suffix in (".py", ".html", ".js", ".css"))
        )


def texts_in(path: Path) -> set[str]:
    """The string constants of a Python file or a template; of a script or a style sheet, its words."""
    source = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".py":
            nodes = ast.walk(ast.parse(source))
            return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        case ".html":
            return {
                value
                for _, kind, value in jinja2.Environment().lex(source)
                if kind == "string"
                for value in [value.strip("'\"")]
            }
    return set(source.replace('"', " ").replace("'", " ").replace(",", " ").replace(";", " ").split())


def test_no_face_and_no_tracking_spells_a_loss_term() -> None:
    spelt = {}
    for path in files():
        name = str(path.relative_to(ROOT))
        spelt[name] = (texts_in(path) & (NAMES | COLOURS)) - ELSEWHERE.get(name, set())
    assert len(spelt) > 100
    assert {name: found for name, found in spelt.items() if found} == {}
