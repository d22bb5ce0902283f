"""Programs decide by reason codes: with every sentence replaced, nothing behaves differently."""

from __future__ import annotations

import importlib
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rank_0 import Rank0
from vsrpp import config, control, errors
from vsrpp.cli.panel import ui_package
from vsrpp.control.checkpoint_ref import CheckpointRef
from vsrpp.errors import NotFound, Reason, Refused, Remark, VsrppError

PACKAGE = Path(errors.__file__).parent
CLASSES = [VsrppError, *VsrppError.__subclasses__()]


def reasons() -> Iterator[tuple[str, Reason]]:
    """(where it stands, the reason) of every room's `messages.py`, and the panel's `refusals.py`."""
    yield from ((place, one) for place, one in sentences() if isinstance(one, Reason))


def sentences() -> Iterator[tuple[str, Reason | Remark]]:
    """The reasons, and what is told though nothing failed."""
    rooms = {file.parent.name: f"vsrpp.{file.parent.name}.messages" for file in sorted(PACKAGE.glob("*/messages.py"))}
    modules = {room: importlib.import_module(module) for room, module in rooms.items()} | {"ui": ui_package("refusals")}
    for room, module in modules.items():
        for name, value in vars(module).items():
            if isinstance(value, (Reason, Remark)):
                yield f"{room}.{name}", value


def test_a_code_stands_for_one_reason_and_begins_with_the_code_of_its_error() -> None:
    places: dict[str, str] = {}
    for place, reason in sentences():
        assert reason.code not in places, f"{place} and {places[reason.code]} share {reason.code}"
        places[reason.code] = place
        if isinstance(reason, Reason):
            assert reason.code.partition(".")[0] == reason.error.reason_code, place
    assert len(places) > 60


def test_every_sentence_can_be_filled_in_and_every_reason_is_used() -> None:
    used = _used()
    for place, reason in sentences():
        names = [name for _, name, _, _ in string.Formatter().parse(reason.text) if name is not None]
        assert all(name.isidentifier() for name in names), place
        assert place in used, f"nothing says {place}"


def _used() -> set[str]:
    """ROOM.NAME of every reason that a file names, by what it imports as messages."""
    used = set()
    for file in [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "ui").rglob("*.py")]:
        source = file.read_text(encoding="utf-8")
        if file.is_relative_to(PACKAGE.parent / "ui"):
            used |= {f"ui.{name}" for name in re.findall(r"\brefusals\.([A-Z_0-9]+)", source)}
        for room, names in re.findall(r"^\s*from vsrpp\.(\w+) import (\([^)]*\)|[^\n]*)", source, re.M):
            for alias in re.findall(r"\bmessages(?: as (\w+))?", names):
                used |= {f"{room}.{name}" for name in re.findall(rf"\b{alias or 'messages'}\.([A-Z_0-9]+)", source)}
    return used


@pytest.fixture
def other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence of every reason is replaced."""
    monkeypatch.setattr(Reason, "text", property(lambda self: "~"))
    assert {reason.sentence() for _, reason in reasons()} == {"~"}


@pytest.mark.usefixtures("other_words")
def test_with_all_sentences_replaced_every_answer_has_the_same_code(tmp_path: Path) -> None:
    run = Rank0(tmp_path, max_steps=100)
    try:
        _ask_for_what_cannot_be(run)
    finally:
        run.close()


def _ask_for_what_cannot_be(run: Rank0) -> None:
    run.step()
    asked = {
        "refused.range": run.edit(max_lr=0.5),
        "refused.unknown_near": run.edit(max_lrr=1e-4),
        "refused.startup": run.edit(n_feats=8),
        "refused.sum": run.edit(l1_weight=1.0),
        "not_found.checkpoint.none": run.ask("rollback", step=4),
    }
    run.step()
    for code, uid in asked.items():
        answer = run.answer(uid)
        assert (answer.status, answer.reason_code) == ("refused", code)
        assert all(row["message"] == "~" for row in answer.errors)
        with pytest.raises(NotFound if code.startswith("not_found") else Refused):
            answer.check()
    with pytest.raises(NotFound) as missing:
        control.find_run("nope", run.paths.root.parent)
    assert (missing.value.reason_code, missing.value.exit_code) == ("not_found", 3)
    with pytest.raises(Refused) as wrong:
        CheckpointRef.parse("newest one")
    assert (wrong.value.reason_code, wrong.value.exit_code) == ("refused.checkpoint_ref", 2)
    assert [p.reason_code for p in config.check_live({})][:1] == ["refused.missing"]
