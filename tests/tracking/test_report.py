"""The run's description contains as much as MLflow accepts, newest first."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support import extras
from tests.support.hostile import FORGED, HOSTILE, MARKDOWN, SECRET, STEERING, WEBHOOK
from vsrpp.control.effect import Effects, InterventionEffect
from vsrpp.store import Event
from vsrpp.tracking import report
from vsrpp.tracking.view import RecordSummary


def _event(seq: int, type: str, data: dict[str, object], **who: str) -> Event:
    said = {"origin": None, "author": None, "reason": None, **who}
    return Event(
        seq=seq, time=1.7e9 + seq, step=seq * 10, branch=0, type=type, revision=seq, data=data, hash="", **said
    )


def test_a_thousand_interventions_are_cut_at_8000_characters_newest_first() -> None:
    view = RecordSummary()
    for seq in range(1, 1001):
        changes = [{"key": "max_lr", "old": 1e-4, "new": 2e-4}]
        view.add(_event(seq, "config_applied", {"changes": changes}, author="anna", origin="panel", reason="x" * 40))
    text = report.description(view, "ab12" * 8, 10_000)
    assert 7000 < len(text) <= report.MAX_CHARACTERS
    shown = [int(line.split("|")[1]) for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert shown == list(range(10_000, 10_000 - 10 * len(shown), -10))
    assert f"For {1000 - len(shown)} earlier interventions, see `timeline.md`" in text


def test_a_run_nobody_touched_says_so() -> None:
    view = RecordSummary()
    view.add(_event(1, "started", {"run_config": {}, "config": {}}))
    assert "None so far." in report.description(view, "ab12", 0)


def test_what_plugins_provide_is_told_by_label_metric_and_colour() -> None:
    odd = extras.plugin(extras.loss("odd", "`[x](http://y)` <img>", "#000000"), source="odd.py")
    view = _view(_event(1, "started", {"run_config": {"plugins": [extras.EXTRAS, odd]}}))
    text = report.description(view, "ab12", 0)
    assert f"Plug-ins: `extras.py` {extras.SHA256[:12]}, `odd.py`" in text
    assert f"`FFT` (`loss/fft`, {extras.FFT})" in text
    assert "`[x](http://y) <img>` (`loss/odd`, #000000)" in text, "a label stays text"
    assert "Plug-ins" not in report.description(
        _view(_event(1, "started", {"run_config": {"plugins": "?"}})), "ab12", 0
    )


def test_an_event_with_something_unforeseen_in_it_is_still_a_line(tmp_path: Path) -> None:
    odd = [_event(1, "config_applied", {"changes": [7]}), _event(2, "started", {"parent": "x"})]
    assert report.write_timeline(odd, "ab12", tmp_path) is odd[-1]
    assert (tmp_path / "timeline.md").read_text().count("\n| ") >= 3
    assert len((tmp_path / "timeline.jsonl").read_text().splitlines()) == 2
    assert [report.summary(event) for event in odd] == ["config applied", "started"]


def test_what_people_write_is_no_markdown_and_steers_nothing(tmp_path: Path) -> None:
    said = f"{HOSTILE} {MARKDOWN}"
    events = [
        _event(1, "started", {"run_config": {}, "config": {}}),
        _event(2, "config_applied", {"changes": [{"key": "max_lr", "old": 1, "new": 2}]}, author=MARKDOWN, reason=said),
        _event(3, "plateau_detected", {}, reason=said),
        _event(4, "failed", {"error": f"{said} {WEBHOOK}"}),
    ]
    report.write_timeline(events, "ab12", tmp_path)
    for text in (report.description(_view(*events), "ab12", 9), (tmp_path / "timeline.md").read_text()):
        assert not SECRET.findall(text) and not STEERING.findall(text.replace("\n", ""))
        assert "evil" in text
        for live in ("![", "](", "[l]", "<img", "`code`", "://evil", "www.evil", "&#x202e;"):
            assert live not in text, live
        assert not any(line.startswith(FORGED) for line in text.splitlines())


def _view(*events: Event) -> RecordSummary:
    view = RecordSummary()
    for event in events:
        view.add(event)
    return view


def test_a_long_record_is_described_from_few_of_its_events_just_as_from_all() -> None:
    chance = random.Random(5)
    view, whole = RecordSummary(), RecordSummary(_thin_at=10**9)
    weights = {"config_applied": 5, "validated": 5, "plateau_detected": 1, "paused": 1, "rolled_back": 1, "resumed": 1}
    weights |= {"config_refused": 4, "checkpoint_saved": 2}
    view.add(started := _event(1, "started", {"config": {"log_every": 20}}))
    whole.add(started)
    longest = 0
    for seq in range(2, 8000):
        kind = chance.choices([*weights], [*weights.values()])[0]
        data: dict[str, object] = {}
        if kind == "config_applied":
            key = "log_every" if chance.random() < 0.002 else "max_lr"
            data = {"changes": [{"key": key, "old": 1, "new": chance.randint(1, 50)}]}
        elif kind == "validated" and chance.random() < 0.5:
            data = {"psnr_y": chance.random()}
        elif kind == "rolled_back":
            data = {"to_step": 0}
        event = _event(seq, kind, data, author="anna", origin="cli", reason=str(seq))
        view.add(event)
        whole.add(event)
        longest = max(longest, len(view.events))
        if seq % 997 == 0 or seq == 7999:
            told = [
                report.description(one, "ab12", 8 * seq, Effects(_rows_at_random).of(one.events))
                for one in (view, whole)
            ]
            assert told[0] == told[1]
    assert longest < 2000 < len(whole.events)


def _rows_at_random(branch: int, first: int, last: int) -> list[tuple[int, float]]:
    return [(first, first + last / 7.0), (last, branch + 1.0)]


def test_a_row_says_who_what_why_and_what_followed() -> None:
    changes = [{"key": "max_lr", "old": 1e-4, "new": 2e-4}]
    edit = _event(2, "config_applied", {"changes": changes}, author="anna", origin="panel", reason="flat")
    text = report.description(
        _view(_event(1, "started", {}), edit), "ab12", 50, {2: InterventionEffect(0.02, 0.01, 30.0, 30.5, None)}
    )
    assert (
        "| 20 | max_lr 1.00e-04 → 2.00e-04 | anna (panel) | flat | 0.02 → 0.01 (-50 %) | 30.00 → 30.50 (+0.50) |"
        in text
    )


def test_an_effect_not_seen_yet_is_a_dash() -> None:
    edit = _event(2, "config_applied", {"changes": []}, author="anna", origin="panel")
    text = report.description(_view(edit), "ab12", 50, {2: InterventionEffect(0.02, None, None, None, None)})
    assert "| 0.02 → – | – |" in text


def test_the_commands_fit_where_the_run_stands() -> None:
    saved = _event(2, "checkpoint_saved", {"metrics": {"val/psnr_y": 31.0}})
    live = report.description(_view(saved), "ab12", 50)
    assert "vsrpp restore ab12 --step best --out DIR" in live
    assert "vsrpp rollback ab12 --step best" in live
    assert "`vsrpp.do` = `rollback 20`" in live
    assert "vsrpp train --from ab12@20" in live
    assert "vsrpp replay ab12" in live
    ended = report.description(_view(saved, _event(3, "stopped", {})), "ab12", 50)
    assert "rollback" not in ended
    assert "vsrpp train --resume ab12" in ended
    finished = report.description(_view(saved, _event(3, "finished", {})), "ab12", 50)
    assert "--resume" not in finished


def test_checkpoints_stand_best_first() -> None:
    scores = (30.5, 31.75, None, 29.25, 32.5, 31.0, 30.0)
    saved = [
        _event(seq, "checkpoint_saved", {"metrics": {"val/psnr_y": score} if score else {}})
        for seq, score in enumerate(scores, 1)
    ]
    text = report.description(_view(*saved), "ab12", 80)
    table = text[text.index("### Checkpoints: 7, best first") : text.index("No plateau")]
    assert [line for line in table.splitlines() if line.startswith("| ")] == [
        "| step | PSNR-Y, dB | revision |", "| 50 | 32.500 | 5 |", "| 20 | 31.750 | 2 |", "| 60 | 31.000 | 6 |",
        "| 10 | 30.500 | 1 |", "| 70 | 30.000 | 7 |",
    ]  # fmt: skip
    assert "best first" not in report.description(_view(saved[0]), "ab12", 80)


def test_plateaus_are_counted_and_the_newest_shown() -> None:
    found = [_event(seq, "plateau_detected", {}, reason=f"flat for {seq}") for seq in range(1, 20)]
    text = report.description(_view(*found, _event(20, "safety_reset", {}, reason="800 steps")), "ab12", 50)
    assert "### Plateaus: 19" in text
    assert "- step 200: safety reset (800 steps)" in text
    assert text.count("\n- step") == report.PLATEAUS_SHOWN


def test_plateaus_and_interventions_together_fit_as_well() -> None:
    events = []
    for seq in range(1, 400, 2):
        changes = [{"key": "max_lr", "old": 1e-4, "new": 2e-4}]
        events.append(
            _event(seq, "config_applied", {"changes": changes}, author="ä" * 80, origin="panel", reason="|" * 400)
        )
        events.append(_event(seq + 1, "plateau_detected", {}, reason="long " * 200))
    effects = {event.seq: InterventionEffect(0.01, 0.02, 30.0, 31.0, None) for event in events}
    assert len(report.description(_view(*events), "ab12" * 8, 10_000, effects)) <= report.MAX_CHARACTERS
