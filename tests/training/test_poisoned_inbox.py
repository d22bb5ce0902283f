"""Whatever a row of the inbox holds, it is answered, and neither the run nor its resume fails of it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import odd_rows
from tests.support.rank_0 import Rank0
from tests.support.runs import Steered
from vsrpp.store import RunReader
from vsrpp.store.pending import PendingCommands
from vsrpp.training import messages, rollback


def boundaries(run: Rank0, rows: list[int]) -> dict[int, dict[str, Any]]:
    """Step until all rows are answered; returns the answers."""
    for _ in range(400):
        assert run.step() is None
        run.state.step = 1  # never at the end of the run
        given = odd_rows.answers(run.paths.inbox_db)
        if all(given[row] for row in rows):
            return {row: json.loads(given[row] or "") for row in rows}
    raise AssertionError("not every command was answered")


def test_a_value_that_fits_no_column_is_refused_with_a_code_and_the_next_edit_is_applied(tmp_path: Path) -> None:
    run = Rank0(tmp_path)
    odd = {
        odd_rows.put(run.paths.inbox_db, **{column: value}): (column, value) for column, value in odd_rows.odd_columns()
    }
    next_edit = run.edit(max_lr=3e-4)
    seen = boundaries(run, list(odd))
    for row, (column, value) in odd.items():
        what = f"{column} = {value!r:.60}"
        assert seen[row]["status"] == "refused", what
        assert seen[row]["reason_code"].startswith("refused."), what
        assert seen[row]["message"] and "\n" not in seen[row]["message"], what
    assert run.answer(next_edit).status == "applied"
    run.close()
    with RunReader(run.paths.run_db) as reader:
        assert reader.verify().ok


def test_a_field_of_any_type_in_any_payload_is_answered(tmp_path: Path) -> None:
    run = Rank0(tmp_path, max_steps=10_000)
    odd = {
        odd_rows.put(run.paths.inbox_db, kind=kind, payload=text): (kind, text)
        for kind, text in odd_rows.odd_payloads()
    }
    seen = boundaries(run, list(odd))
    for row, (kind, text) in odd.items():
        answer, what = seen[row], f"{kind} {text:.80}"
        assert answer["status"] in ("applied", "done", "refused"), what
        if answer["status"] == "refused":
            assert answer["reason_code"].partition(".")[0] in ("refused", "not_found"), what
    refused = [odd[row][0] for row, answer in seen.items() if answer["status"] == "refused"]
    assert {"edit", "rollback"} <= set(refused)
    run.close()
    with RunReader(run.paths.run_db) as reader:
        assert reader.verify().ok


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300)
cells = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=64), texts
)


def test_no_row_raises_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "inbox.db"
    pending = PendingCommands(path)
    read: list[int] = []

    @settings(max_examples=200)
    @given(row=st.fixed_dictionaries({}, optional=dict.fromkeys(odd_rows.ODD, cells)))
    def try_one(row: dict[str, Any]) -> None:
        try:
            id_ = odd_rows.put(path, **row)
        except sqlite3.IntegrityError:  # a uid twice, or NULL where the table takes none
            return
        pending.look()
        command = pending.next()
        assert command is not None and command.id == id_
        read.append(id_)

    try_one()
    pending.close()
    assert len(read) > 20


def test_what_a_check_stumbles_over_is_refused_and_what_the_store_raises_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Rank0(tmp_path)

    def stumble(*_: object) -> None:
        raise KeyError("profile")

    monkeypatch.setattr(rollback, "rollback_target", stumble)
    asked = run.ask("rollback", step=1)
    assert run.step() is None
    answer = run.answer(asked)
    assert (answer.status, answer.reason_code) == ("refused", messages.UNUSABLE_COMMAND.code)
    assert "KeyError" in answer.message

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rollback, "rollback_target", no_room)
    run.ask("rollback", step=1)
    with pytest.raises(OSError, match="No space"):
        run.step()
    run.close()


def test_a_command_sent_to_a_resumed_run_acts_whatever_clock_its_sender_has(tmp_path: Path, tiny_clip: Path) -> None:
    first = Steered.new(tmp_path, tiny_clip)
    first.die_at(6)
    left = odd_rows.put(first.paths.inbox_db, kind="stop", payload="{}", time=4e9)
    behind: list[int] = []

    def stop_from_another_host(run: Steered) -> None:
        behind.append(odd_rows.put(run.paths.inbox_db, kind="stop", payload="{}", time=1.0))

    resumed = Steered.resumed(first.paths, {10: stop_from_another_host})
    assert resumed.train() == "stopped"
    answers = odd_rows.answers(first.paths.inbox_db)
    assert json.loads(answers[left] or "")["reason_code"] == messages.ENDED_BEFORE.code
    assert json.loads(answers[behind[0]] or "")["status"] == "done"


def test_a_run_and_its_resume_refuse_poisoned_rows_and_end_as_if_there_were_none(
    tmp_path: Path, tiny_clip: Path
) -> None:
    plain = Steered.new(tmp_path / "plain", tiny_clip)
    assert plain.train() == "finished"
    rows: list[int] = []

    def poison(run: Steered, *, again: bool = False) -> None:
        odd = [{column: value} for column, value in odd_rows.odd_columns() if not (again and column == "uid")]
        rows.extend(odd_rows.put(run.paths.inbox_db, **columns) for columns in odd)

    first = Steered.new(tmp_path / "runs", tiny_clip, {3: poison})
    first.die_at(8)
    poison(first, again=True)
    resumed = Steered.resumed(first.paths)
    assert resumed.train() == "finished"
    assert resumed.weights() == plain.weights()
    given = odd_rows.answers(first.paths.inbox_db)
    assert all('"status":"refused"' in (given[row] or "") for row in rows)
    with RunReader(first.paths.run_db) as reader:
        assert reader.verify().ok


def test_a_resume_sets_damaged_databases_aside_on_record_and_goes_on(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path, tiny_clip, max_steps=16)
    run.die_at(12)
    lost = (run.paths.inbox_db, run.paths.delivery_db)
    for path in lost:
        path.write_bytes(b"noise" * 1000)
    again = Steered.resumed(run.paths)
    assert again.train() == "finished"
    (restored,) = [event for event in again.events if event.type == "restored"]
    assert restored.data["set_aside"] == ["inbox.db.damaged", "delivery.db.damaged"]
    assert [path.with_name(f"{path.name}.damaged").read_bytes()[:5] for path in lost] == [b"noise"] * 2
