"""A sentence that panel and terminal share is written down once; a parameter's German is in its schema."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

from vsrpp import config
from vsrpp.control.messages import WORDS

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("ui/messages.py", "vsrpp/tui/messages.py", "vsrpp/control/messages.py")


def written_in(table: str) -> set[tuple[str, str]]:
    """The pairs of English and German that stand in a file, not those it takes from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / table).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            english, german = node.elts
            if isinstance(english, ast.Constant) and isinstance(german, ast.Constant):
                found.add((english.value, german.value))
    return found


@pytest.mark.parametrize("number", range(3))
def test_no_text_stands_in_two_tables(number: int) -> None:
    one, other = TABLES[number], TABLES[(number + 1) % 3]
    assert len(written_in(one)) > 50
    assert written_in(one) & written_in(other) == set()


@pytest.mark.parametrize("table", TABLES[:2])
def test_no_face_gives_a_shared_key_another_meaning(table: str) -> None:
    tree = ast.parse((ROOT / table).read_text(encoding="utf-8"))
    keys = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert len(keys) > 50 and keys & WORDS.keys() == set()


def test_both_languages_have_the_same_fields() -> None:
    for key, pair in WORDS.items():
        fields = [sorted(name for _, name, _, _ in string.Formatter().parse(text) if name) for text in pair]
        assert all(pair) and fields[0] == fields[1], key


@pytest.mark.parametrize("key", sorted(config.live_parameters()))
def test_every_live_parameter_has_its_german_in_the_schema(key: str) -> None:
    parameter = config.live_parameters()[key]
    assert parameter.title_in("de") != parameter.title == parameter.title_in("en")
    assert parameter.description_in("de") != parameter.description == parameter.description_in("en")
    assert bool(parameter.german.get("unit")) == bool(parameter.unit)


def test_a_parameter_without_german_is_shown_in_english() -> None:
    parameter = config.startup_parameters()["n_feats"]
    assert (parameter.title_in("de"), parameter.unit_in("de")) == (parameter.title, parameter.unit)
