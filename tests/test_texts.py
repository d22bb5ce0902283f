"""Catalogues and code agree: every key has a text, every text is used, and German is complete."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
from babel.messages import pofile
from babel.messages.catalog import Message
from jinja2 import nodes

from vsrpp import config
from vsrpp.cli.panel import ui_package
from vsrpp.control import narrate
from vsrpp.errors import Reason, Remark, VsrppError
from vsrpp.texts import FACES, LANGUAGES, Texts, catalogue_file, language_of_environment
from vsrpp.tui import messages as terminal_messages

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    "panel": [*(ROOT / "ui").rglob("*.py")],
    "terminal": [*(ROOT / "vsrpp/tui").rglob("*.py")],
    "": [*(ROOT / "vsrpp/cli").rglob("*.py"), *(ROOT / "vsrpp/control").rglob("*.py"), ROOT / "vsrpp/texts.py"],
}
TEMPLATES = [path for path in (ROOT / "ui").rglob("*") if path.suffix in (".html", ".jinja", ".j2")]
BUILT = {"panel": ui_package("messages").BUILT_KEYS, "terminal": terminal_messages.BUILT_KEYS, "": narrate.BUILT_KEYS}
TRANSLATES = {"t", "_t", "self", "english", "Phrase", "_filled"}
"""Names of what takes a key as its first argument; `texts` too, as an attribute."""
BY_THE_CLI = {"trouble.{}", "means.{}"}
"""Built by the command line, which has no list of its own: the kinds are the narrator's."""
ROOMS_WHOSE_REASONS_A_FACE_MEETS = ("config", "control", "store", "training")
ROOMS_THAT_FAIL_A_RUN = ("data", "distributed", "media", "plugins")
"""Of these, a face meets what ends a training that runs."""

Entry = tuple[str, str]
"""(context, key)"""


def entries(language: str) -> dict[Entry, Message]:
    with catalogue_file(language).open("rb") as file:
        found = list(pofile.read_po(file))
    kept = {(message.context or "", _key(message)): message for message in found if message.id}
    assert len(kept) == len([message for message in found if message.id]), "a key stands twice"
    return kept


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


ENGLISH, GERMAN = entries("en"), entries("de")


# ---- what the code asks for
def keys_asked_for(face: str) -> Iterator[str]:
    """Every key or pattern (`state.{}`) that an interface's code and templates look up."""
    for path in SOURCES[face]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and _translates(node.func):
                yield from _patterns(node.args[0])
    if face == "panel":
        for path in TEMPLATES:
            tree = jinja2.Environment().parse(path.read_text(encoding="utf-8"))
            for call in tree.find_all(nodes.Call):
                if isinstance(call.node, nodes.Name) and call.node.name == "t":
                    yield from _template_patterns(call.args[0])


def _translates(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in TRANSLATES or function.attr == "texts"
    return isinstance(function, ast.Name) and function.id in TRANSLATES


def _patterns(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(key)):
            yield key
        case ast.IfExp():
            yield from (*_patterns(node.body), *_patterns(node.orelse))
        case ast.JoinedStr():
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        case ast.BinOp(left=left, right=right):
            for first in _patterns(left):
                yield from (first + second for second in _patterns(right))
        case _:
            yield "{}"


def _template_patterns(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const):
        yield str(node.value)
    elif isinstance(node, nodes.CondExpr):
        yield from (*_template_patterns(node.expr1), *(_template_patterns(node.expr2) if node.expr2 else ()))
    elif isinstance(node, (nodes.Concat, nodes.Add)):
        parts = node.nodes if isinstance(node, nodes.Concat) else [node.left, node.right]
        yield "".join(next(iter(_template_patterns(part))) for part in parts)
    else:
        yield "{}"


def asked(face: str) -> set[str]:
    """The keys of an interface, with patterns expanded by the parts declared for them."""
    found = {key for key in keys_asked_for(face) if "{}" not in key}
    return found | {pattern.format(*part.split(".")) if pattern.count("{}") > 1 else pattern.format(part)
                    for pattern, parts in BUILT[face].items() for part in parts}  # fmt: skip


def entry_of(face: str, key: str) -> Entry | None:
    """The entry for an interface's key."""
    return next((entry for entry in ((face, key), ("", key)) if entry in ENGLISH), None)


@pytest.mark.parametrize("face", SOURCES)
def test_no_key_of_the_code_is_missing_in_a_catalogue(face: str) -> None:
    assert len(asked(face)) > 50
    assert [key for key in sorted(asked(face)) if entry_of(face, key) is None] == []


@pytest.mark.parametrize("face", SOURCES)
def test_every_key_built_from_parts_is_declared_beside_its_code(face: str) -> None:
    built = {key for key in keys_asked_for(face) if "{}" in key}
    if face:
        assert built == set(BUILT[face])
    else:
        assert built - set(BUILT[face]) - BY_THE_CLI == {
            "{}",
            "{}.{}",
        }  # the narrator's own: a phrase's key, one of KNOWN


def test_no_text_of_the_catalogues_is_unused() -> None:
    used = {entry_of(face, key) for face in SOURCES for key in asked(face)}
    assert sorted(ENGLISH.keys() - used) == []


# ---- both languages
def test_both_languages_have_the_same_keys() -> None:
    assert {entry for entry in GERMAN if not entry[0].startswith("reason")} == set(ENGLISH)


def texts_of(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_fields_and_plurals() -> None:
    wrong = []
    for entry in sorted(ENGLISH):
        english, german = texts_of(ENGLISH[entry]), texts_of(GERMAN[entry])
        same = len(english) == len(german) and len({frozenset(fields_of(text)) for text in (*english, *german)}) == 1
        counted = len(english) == 1 or "n" in fields_of(english[0])  # the field n chooses the form
        if not (same and counted and all(english) and all(german)):
            wrong.append(entry)
    assert wrong == []


@pytest.mark.parametrize("face", FACES)
def test_a_face_repeats_no_shared_text(face: str) -> None:
    own = {key for context, key in ENGLISH if context == face}
    repeated = [
        key for key in own if ("", key) in ENGLISH and texts_of(ENGLISH[face, key]) == texts_of(ENGLISH["", key])
    ]
    assert repeated == []


# ---- refusals
def reasons() -> list[Reason | Remark]:
    """Every refusal, failure and remark that a face may show."""
    rooms = [importlib.import_module(f"vsrpp.{room}.messages") for room in ROOMS_WHOSE_REASONS_A_FACE_MEETS]
    found = [one for room in (*rooms, ui_package("refusals")) for one in vars(room).values() if isinstance(one, Reason)]
    for room in ROOMS_THAT_FAIL_A_RUN:
        failures = vars(importlib.import_module(f"vsrpp.{room}.messages")).values()
        found += [one for one in failures if isinstance(one, Reason) and one.error is VsrppError and one.text]
    return [*found, *remarks()]


def remarks() -> list[Remark]:
    """The remarks of all rooms: warnings, whys, what a run itself did and why."""
    rooms = [file.parent.name for file in sorted((ROOT / "vsrpp").glob("*/messages.py"))]
    things = [thing for room in rooms for thing in vars(importlib.import_module(f"vsrpp.{room}.messages")).values()]
    return [thing for thing in things if isinstance(thing, Remark)]


def test_every_reason_and_every_remark_has_its_german_with_the_same_fields() -> None:
    assert len(remarks()) > 20
    german = {key: texts_of(message)[0] for (context, key), message in GERMAN.items() if context == "reason"}
    assert [reason.code for reason in reasons() if not german.get(reason.code)] == []
    assert [one.code for one in reasons() if fields_of(german[one.code]) != fields_of(one.text)] == []


def test_no_german_is_kept_for_a_reason_that_is_gone() -> None:
    assert {key for context, key in GERMAN if context == "reason"} == {reason.code for reason in reasons()}


@pytest.mark.parametrize(
    ("code", "fields", "german"),
    [
        ("refused.range", {"minimum": 1e-05, "maximum": 0.001}, "muss zwischen 1e-05 und 0.001 liegen"),
        ("refused.type", {"expected": "a whole number or null"}, "muss eine ganze Zahl oder null sein"),
        ("refused.choice", {"choices": "none, reduce_lr or boost_lr"}, "muss none, reduce_lr oder boost_lr sein"),
        ("refused.range", {"minimum": 1e-05}, "must be so"),
        ("refused.of_another_version", {}, "must be so"),
        ("", {}, "must be so"),
    ],
)
def test_a_reason_is_told_in_german_or_as_it_was_recorded(code: str, fields: dict[str, Any], german: str) -> None:
    assert Texts("de").reason(code, fields, "must be so") == german
    assert Texts("en").reason(code, fields, "must be so") == "must be so"


# ---- reading them
def test_a_face_has_its_own_text_before_the_shared_one() -> None:
    assert Texts("en", face="panel")("steps_per_s") == "steps/s"
    assert Texts("en", face="terminal")("steps_per_s", n=2) == "2 steps/s"
    assert Texts("de", face="panel")("pause") == Texts("de")("pause") == "Pause"
    with pytest.raises(KeyError, match="no text nonsense"):
        Texts("en")("nonsense")


@pytest.mark.parametrize(("n", "shown"), [(1, "1 Schicht"), (4, "4 Schichten"), (0, "0 Schichten"), ("1", "1 Schicht")])
def test_a_count_chooses_singular_or_plural(n: Any, shown: str) -> None:
    assert Texts("de", face="panel")("layers", n=n) == shown


def test_an_unknown_language_has_no_texts() -> None:
    with pytest.raises(ValueError, match="language fr is not one of en, de"):
        Texts("fr")


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"), ({"LANG": "de_DE.UTF-8"}, "de"), ({"LANG": "de"}, "de"), ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LC_MESSAGES": "en_GB", "LANG": "de_DE"}, "en"), ({"LC_ALL": "de_AT.UTF-8", "LC_MESSAGES": "C"}, "de"),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "en"), ({"LC_ALL": "", "LANG": "de_DE@euro"}, "de"),
    ],
)  # fmt: skip
def test_the_locale_chooses_the_language(environ: dict[str, str], language: str) -> None:
    assert language_of_environment(environ) == language
    assert language in LANGUAGES


# ---- the parameters, whose texts are in the schemas
def test_every_parameter_has_its_german_in_the_schema() -> None:
    for key, parameter in config.parameters().items():
        told = {"title", "description", *(["unit"] if parameter.unit else [])}
        assert set(parameter.german) == told and all(parameter.german.values()), key
        assert parameter.title_in("en") == parameter.title and parameter.title_in("de") == parameter.german["title"]
        assert parameter.description_in("de") == parameter.german["description"] != parameter.description
        assert parameter.group_in("de") == parameter.german_group, key


def test_what_a_parameter_has_no_german_for_is_shown_in_english() -> None:
    parameter = dataclasses.replace(config.startup_parameters()["n_feats"], german={}, german_group="")
    assert (parameter.description_in("de"), parameter.group_in("de")) == (parameter.description, parameter.group)
