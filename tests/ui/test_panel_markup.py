"""All markup is in templates, which are complete, escape their values and leave no stray spaces."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from vsrpp_ui import markup
from vsrpp_ui.markup import Piece, piece, render
from vsrpp_ui.messages import Texts, texts

UI = Path(__file__).resolve().parents[2] / "ui"
SOURCES = sorted(UI.rglob("*.py"))
TEMPLATES = sorted((UI / "templates").rglob("*.html"))
TAG = re.compile(r"(?<!\?P)<[/!]?[a-zA-Z]|&[a-z]+;|&#")
EN = texts("en")


def named(path: Path) -> str:
    return str(path.relative_to(UI))


def strings_with_markup(source: str) -> list[str]:
    """The literals of a file that contain a tag or an entity, including those in f-strings but not docstrings."""
    tree = ast.parse(source)
    docs = {
        id(node.value)
        for body in (getattr(node, "body", None) for node in ast.walk(tree))
        if isinstance(body, list)
        for node in body
        if isinstance(node, ast.Expr)
    }
    literals = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in docs]
    return [n.value for n in literals if isinstance(n.value, str) and TAG.search(n.value)]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_python_file_holds_markup(path: Path) -> None:
    assert strings_with_markup(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source", ['x = f"<b>{x}</b>"', "x = '</p>'", 'f("a" "<svg ")', "x = '&nbsp;'", 'x = "<!doctype html>"']
)
def test_markup_in_a_literal_is_found(source: str) -> None:
    assert strings_with_markup(source)


@pytest.mark.parametrize(
    "source", ['"""About <b>."""', "x = a < b", 'x = "loss > 2x < 3"', 'x = re.compile("(?P<page>a)")']
)
def test_what_is_no_markup_is_left_alone(source: str) -> None:
    assert strings_with_markup(source) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_a_template_switches_no_escaping_off(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe|autoescape|Markup", source)


def test_every_value_is_escaped_in_text_and_in_attributes() -> None:
    evil = "<b>\"'&{{ 1 }}"
    html = render(piece("told", kind=evil, text=evil, role="status"), EN)
    assert "<b>" not in html and html.count("&lt;b&gt;&#34;&#39;&amp;{{ 1 }}") == 2


def test_a_field_that_was_not_given_is_an_error_not_an_empty_place() -> None:
    with pytest.raises(UndefinedError):
        render(piece("told", kind="good", role="status"), EN)


def test_nothing_is_rendered_as_nothing() -> None:
    assert render(None, EN) == ""


@pytest.mark.parametrize(
    ("template", "html"),
    [
        ("<p>\n  <b>1</b>\n  <i>2</i>\n</p>\n", "<p><b>1</b><i>2</i></p>"),
        ("<p>\n  {{ x }}\n  {{ x }} {{ x }}\n</p>", "<p>ab aba b</p>".replace("ab aba b", "X YX Y X Y")),
        ('<p id="a"\n   class="b">two\n  words</p>', '<p id="a" class="b">two words</p>'),
        ("{% if x %}\n  <b> kept </b>\n{% endif %}\n", "<b> kept </b>"),
        ("{# said #}\n{% for one in x %}\n  {{ one }}\n{% endfor %}", "X Y"),
    ],
)
def test_an_indented_template_leaves_no_spaces_between_elements(
    template: str, html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markup, "TEMPLATES", tmp_path)
    (tmp_path / "one.html").write_text(template)
    assert render(Piece("one", {"x": "X Y"}), Texts("en", face="panel")) == html


def test_a_line_break_in_a_value_is_kept() -> None:
    assert "a\n  b" in render(piece("told", kind="good", text="a\n  b", role="status"), EN)
