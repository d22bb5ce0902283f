"""The run's description holds what MLflow takes, newest first."""

from __future__ import annotations

from vsrpp.store import Event
from vsrpp.tracking import report
from vsrpp.tracking.view import RunView


def _event(seq: int, type: str, data: dict[str, object], **who: str) -> Event:
    said = {"origin": None, "author": None, "reason": None, **who}
    return Event(
        seq=seq, time=1.7e9 + seq, step=seq * 10, branch=0, type=type, revision=seq, data=data, hash="", **said
    )


def test_a_thousand_interventions_are_cut_at_8000_characters_newest_first() -> None:
    view = RunView()
    for seq in range(1, 1001):
        changes = [{"key": "max_lr", "old": 1e-4, "new": 2e-4}]
        view.add(_event(seq, "config_applied", {"changes": changes}, author="anna", origin="panel", reason="x" * 40))
    text = report.description(view, "ab12" * 8, 10_000)
    assert 7000 < len(text) <= report.MAX_CHARACTERS
    shown = [int(line.split("|")[1]) for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert shown == list(range(10_000, 10_000 - 10 * len(shown), -10))
    assert f"{1000 - len(shown)} earlier ones are in `timeline.md`" in text


def test_a_run_nobody_touched_says_so() -> None:
    view = RunView()
    view.add(_event(1, "started", {"run_config": {}, "config": {}}))
    assert "None so far." in report.description(view, "ab12", 0)


def test_an_event_with_something_unforeseen_in_it_is_still_a_line() -> None:
    odd = [_event(1, "config_applied", {"changes": [7]}), _event(2, "started", {"parent": "x"})]
    assert report.timeline_md(odd, "ab12").count("\n| ") >= 3
    assert [report.summary(event) for event in odd] == ["config applied", "started"]
