"""Every event as text, in both languages, whatever its data contains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsrpp.control.narrate import FILTERS, GROUPS, group_of, matching, narrate, phase, probation_terms, steps
from vsrpp.errors import because
from vsrpp.store import EVENT_TYPES, Event
from vsrpp.texts import Texts, english

german = Texts("de")


def event(type: str, data: Any = None, *, step: int = 200, **said: Any) -> Event:
    who = {"origin": None, "author": None, "reason": None, **said}
    data = {} if data is None else data
    return Event(seq=1, time=1.7e9, step=step, branch=0, type=type, revision=3, data=data, hash="", **who)


MAX_LR = [{"key": "max_lr", "old": 1e-4, "new": 2e-4}]
OFF = [{"key": "adaptive", "old": True, "new": False}]
WARM = {"from": "warmup", "to": "settling", "condition": "warmed_up", "warmup_steps": 100}


@pytest.mark.parametrize(
    ("type", "data", "en", "de"),
    [
        ("config_applied", {"changes": MAX_LR}, "max_lr 1.00e-04 → 2.00e-04", "max_lr 1.00e-04 → 2.00e-04"),
        ("config_applied", {"changes": OFF}, "adaptive on → off", "adaptive an → aus"),
        ("config_applied", {"changes": []}, "config applied", "Änderung angewendet"),
        ("config_refused", {"errors": [{"key": "max_lr", "value": 0.5, "message": "too high"}]},
         "config refused: max_lr = 5.00e-01: too high", "Änderung abgelehnt: max_lr = 5.00e-01: too high"),
        ("config_refused", {"errors": [{"key": "max_lr", "value": 0.5, "message": "must be between 1e-05 and 0.001",
                                       "reason_code": "refused.range", "fields": {"minimum": 1e-05, "maximum": 0.001}}]},
         "config refused: max_lr = 5.00e-01: must be between 1e-05 and 0.001",
         "Änderung abgelehnt: max_lr = 5.00e-01: muss zwischen 1e-05 und 0.001 liegen"),
        ("config_refused", {"line": "edit refused: no."}, "config refused: edit refused: no.",
         "Änderung abgelehnt: edit refused: no."),
        ("rolled_back", {"from_step": 900, "to_step": 600, "changes": MAX_LR},
         "rolled back from step 900 to 600: max_lr 1.00e-04 → 2.00e-04",
         "von Schritt 900 auf 600 zurückgesetzt: max_lr 1.00e-04 → 2.00e-04"),
        ("rolled_back", {"to_step": 600}, "rolled back to step 600", "auf Schritt 600 zurückgesetzt"),
        ("validated", {"psnr_y": 30.36, "bicubic_psnr_y": 30.18, "ssim_y": 0.8391, "by_hand": True},
         "validated: PSNR-Y 30.36 dB (+0.18), SSIM-Y 0.8391, on request",
         "validiert: PSNR-Y 30.36 dB (+0.18), SSIM-Y 0.8391, auf Anforderung"),
        ("validated", {"metrics": {"val/psnr_y": 31.5}}, "validated: PSNR-Y 31.50 dB", "validiert: PSNR-Y 31.50 dB"),
        ("checkpoint_saved", {"reason": "due", "size_bytes": 3_300_000}, "checkpoint saved: on schedule, 3.1 MiB",
         "Checkpoint gespeichert: planmäßig, 3.1 MiB"),
        ("checkpoint_failed", {"at_step": 200, "error": "No space"}, "checkpoint of step 200 failed: No space",
         "Checkpoint von Schritt 200 gescheitert: No space"),
        ("started", {"run_config": {"network": "vsrpp", "scale": 4}, "device": "cpu"}, "started: vsrpp ×4 on cpu",
         "gestartet: vsrpp ×4 auf cpu"),
        ("started", {"parent": {"run_id": "r1", "step": 50}, "fresh_moments": {"checkpoint": "adamw", "run": "radam"}},
         "started: from r1 at step 50, fresh moments of radam (the checkpoint's optimizer is adamw)",
         "gestartet: aus r1 bei Schritt 50, frische Momente von radam (der Optimierer des Checkpoints ist adamw)"),
        ("restored", {"from_step": 50}, "config restored from step 50", "Konfiguration von Schritt 50 wiederhergestellt"),
        ("stopped", {"why": "SIGTERM"}, "stopped: SIGTERM", "gestoppt: SIGTERM"),
        ("stopped", {"why": "stop"}, "stopped", "gestoppt"),
        ("phase_changed", WARM, "phase warmup → settling", "Phase Aufwärmen → Einschwingen"),
        ("tracking_back", {"lost_s": 245.0}, "tracking back: after 4 min 05 s", "Tracking wieder da: nach 4 min 05 s"),
        ("face_failed", {"face": "panel", "error": "it ended with 1"}, "panel failed: it ended with 1",
         "panel gescheitert: it ended with 1"),
        ("non_finite", {"skipped": True}, "loss or gradient not finite: the step was skipped",
         "Verlust oder Gradient nicht endlich: der Schritt wurde übersprungen"),
    ],
)  # fmt: skip
def test_an_event_reads_like_this(type: str, data: dict[str, Any], en: str, de: str) -> None:
    told = narrate(event(type, data))
    assert (told.brief(english), told.brief(german)) == (en, de)


@pytest.mark.parametrize(
    ("type", "data", "recorded", "en", "de"),
    [
        ("plateau_cleared", {"signals": ["loss", "quality"]}, "improvement seen in loss and quality",
         "improvement seen in loss and quality", "Verbesserung bei Verlust und Qualität"),
        ("plateau_detected", {"counter": 251.0, "patience": 250}, "x",
         "no improvement in 251 counted steps (patience 250)",
         "keine Verbesserung in 251 gezählten Schritten (Geduld 250)"),
        ("plateau_detected", {"counter": 251.0}, "flat", "flat", "flat"),
        ("phase_changed", WARM, "warmup → settling: the rate's warm-up of 100 steps is over",
         "the warm-up of 100 steps is over", "die Aufwärmphase von 100 Schritten ist vorbei"),
        ("phase_changed", {"from": "warmup", "to": "settling"}, "warmup → settling: whatever", "whatever", "whatever"),
        ("safety_reset", {"counter": 801.0, "safety_threshold": 800.0}, "y",
         "counter 801 above plateau_safety_threshold 800", "Zähler 801 über plateau_safety_threshold 800"),
        ("config_applied", {"changes": MAX_LR}, "zu langsam", "zu langsam", "zu langsam"),
    ],
)  # fmt: skip
def test_the_runs_own_reasons_are_told_in_both_languages_and_a_persons_as_they_are(
    type: str, data: dict[str, Any], recorded: str, en: str, de: str
) -> None:
    told = narrate(event(type, data, reason=recorded))
    assert (told.why(english), told.why(german)) == (en, de)


def test_a_recorded_sentence_is_translated_where_its_code_is_on_record() -> None:
    held = {"condition": "loss > 2x", "metric": "loss", "before": "0.02", "now": "0.05"}
    reverted = event(
        "config_reverted", because("because.probation_held", held), origin="probation",
        reason="loss > 2x held: loss went from 0.02 to 0.05",
    )  # fmt: skip
    assert narrate(reverted).why(english) == "loss > 2x held: loss went from 0.02 to 0.05"
    assert narrate(reverted).why(german) == "loss > 2x traf zu: loss ging von 0.02 auf 0.05"
    ended = event("face_failed", {"face": "panel", "error": "exited", **because("because.sidecar_ended", {"code": 3})})
    assert narrate(ended).detail(german) == "endete mit Code 3"
    older = event("config_reverted", {}, origin="probation", reason="loss > 2x held")
    assert narrate(older).why(german) == narrate(older).why(english) == "loss > 2x held"


def test_probation_names_its_terms_and_never_none() -> None:
    told = narrate(event("config_applied", {"changes": MAX_LR, "probation": {"steps": 50, "revert_if": None}}))
    assert told.brief(english).endswith("on probation for 50 steps, reverts if a loss or gradient is not finite")
    one = narrate(event("config_applied", {"changes": [], "probation": {"steps": 1, "revert_if": "psnr_y < 30"}}))
    assert "for 1 step, reverts if psnr_y < 30 or" in one.brief(english)
    assert "1 Schritt," in one.brief(german) and "None" not in told.brief(german)
    assert steps(1).text(english) == "1 step" and steps(2).text(german) == "2 Schritte"
    assert probation_terms("").text(english) == "a loss or gradient is not finite"


def test_who_did_it_is_named_with_the_way_it_came() -> None:
    assert narrate(event("paused", origin="panel", author="anna")).by(english) == "anna (panel)"
    assert narrate(event("paused", origin="cli")).by(german) == "Befehlszeile"
    assert narrate(event("paused", origin="smoke signal", author="ben")).by(german) == "ben (smoke signal)"
    assert narrate(event("phase_changed")).by(english) == ""


def test_every_type_has_a_headline_a_group_and_a_sign() -> None:
    for type in EVENT_TYPES:
        told = narrate(event(type))
        assert told.headline.text(english) != told.headline.text(german) or type == "phase_changed", type
        assert told.group in GROUPS and told.sign != "•", type
        assert any(type in types for types in GROUPS.values()), type


def test_faults_win_and_a_filter_keeps_the_order() -> None:
    assert group_of("failed") == "faults" and group_of("never heard of") == "life"
    events = [event("paused"), event("validated"), event("failed")]
    assert matching(events, "life") == [events[0], events[2]] and matching(events, FILTERS[0]) == events


def test_a_phase_of_another_version_is_shown_as_it_is() -> None:
    assert phase("stable").text(german) == "stabil" and phase("dreaming").text(german) == "dreaming"


NAMES = ["changes", "errors", "line", "error", "what", "why", "from", "to", "from_step", "to_step", "condition", "signals",
         "psnr_y", "bicubic_psnr_y", "ssim_y", "metrics", "by_hand", "probation", "run_config", "parent", "device", "reason",
         "size_bytes", "at_step", "lost_s", "face", "counter", "patience", "max_hours", "skipped", "class"]  # fmt: skip
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["{", "{x}", "safety"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["key", "old", "new", "value", "message", "reason_code", "fields",
            "steps", "revert_if", "network", "run_id", "{}"]), inner,
        max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=40)
@pytest.mark.parametrize("type", [*sorted(EVENT_TYPES), "of_tomorrow"])
@given(data=st.dictionaries(st.sampled_from(NAMES), ODD, max_size=6) | ODD, said=ODD)
def test_no_data_whatever_keeps_an_event_from_being_told(type: str, data: Any, said: Any) -> None:
    told = narrate(event(type, data, origin=said, author=said, reason=said))
    for t in (english, german):
        assert told.brief(t)
        assert isinstance(told.why(t), str) and isinstance(told.by(t), str)
