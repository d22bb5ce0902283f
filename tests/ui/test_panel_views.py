"""The parts of the pages, for every state of a run."""

from __future__ import annotations

import json
import math
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from vsrpp_ui import live as live_module
from vsrpp_ui.live import FragmentRenderer, ViewOptions
from vsrpp_ui.markup import render
from vsrpp_ui.messages import texts
from vsrpp_ui.snapshot import RunWatches
from vsrpp_ui.tracked import TrackedRuns
from vsrpp_ui.views import cards, header, timeline, validation

from tests.support.delivering import lost
from tests.support.synthetic import SyntheticRun, full_run, job_key
from vsrpp.control import RunView
from vsrpp.store import STORE_VERSION

EN = texts("en")


def shown_of(runs: Path, run: SyntheticRun) -> RunView:
    return RunWatches(runs).run(run.paths.run_id).snapshot()


def fragments(runs: Path, page: str, **asked: object) -> dict[str, str]:
    watches = RunWatches(runs)
    answer = FragmentRenderer(watches, EN, "en", TrackedRuns(runs)).answer(page, asked)
    watches.close()
    return {name: piece["html"] for name, piece in answer["fragments"].items()}


def test_the_button_to_the_config_reads_as_asked_for_in_both_languages() -> None:
    assert EN("config_button") == "⚙️ Configuration" and texts("de")("config_button") == "⚙️ Konfiguration"


@pytest.mark.parametrize("page", ["monitoring", "config", "runs"])
def test_without_runs_every_page_teaches_what_to_type(runs: Path, page: str) -> None:
    found = fragments(runs, page)
    assert set(found) == {"header"} and "vsrpp train --preset demo --data sample" in found["header"]


@pytest.mark.parametrize("page", ["monitoring", "config", "runs"])
def test_a_run_that_has_only_begun_has_no_figures_and_no_errors(runs: Path, page: str) -> None:
    SyntheticRun(runs).close()
    found = fragments(runs, page)
    assert "Error" not in "".join(found.values())
    if page == "monitoring":
        assert "No losses yet" in found["losses"] and "No validation yet" in found["history"]
        assert "60%" in found["bars"]  # the configured weights, before the first row


def test_a_full_run_shows_each_thing_the_matrix_asks_for(runs: Path) -> None:
    full_run(runs)
    found = fragments(runs, "monitoring")
    assert "harbour" in found["header"] and "7.2 GiB" in found["header"] and "/config?run=" in found["header"]
    assert 'target="_blank"' in found["header"]
    for mark in ("edit", "plateau", "checkpoint", "rollback"):
        assert f'class="mark {mark}"' in found["losses"]
    assert "faint" in found["losses"]
    assert "L1: 50%" in found["bars"] and 'role="meter"' in found["peak"]
    assert "6 layers" in found["streams"] and "backward.5" in found["streams"] and "spark" in found["streams"]
    for card in (
        "quality",
        "gain",
        "psnr",
        "ssim",
        "best",
        "plateau",
        "grad",
        "momentum",
        "convergence",
        "score",
        "time",
    ):
        assert f'data-card="{card}"' in found["cards"]
    assert "28.74" in found["history"] and "images/step_" in found["pictures"]
    assert "max_lr 1.00e-03 → 8.00e-04" in found["timeline"] and "loss still falling steadily" in found["timeline"]


@pytest.mark.parametrize(
    ("state", "alive", "quiet_s", "css", "sentence"),
    [
        ("training", True, 0, "training", ""),
        ("training", True, 600, "silent", "No sign of life"),
        ("paused", True, 600, "paused", "Paused at step 50"),
        ("training", False, 600, "dead", "without reporting an error"),
        ("finished", False, 600, "finished", "has finished"),
        ("stopped", False, 5, "stopped", "--resume"),
        ("failed", False, 5, "failed", "out of disk"),
    ],
)
def test_the_header_says_plainly_how_it_stands(
    runs: Path, state: str, alive: bool, quiet_s: float, css: str, sentence: str
) -> None:
    run = SyntheticRun(runs)
    run.train(50)
    if state in ("finished", "stopped", "failed"):
        run.event(state, error="out of disk")
    run.say(state, alive=alive, at=time.time() - quiet_s)
    found = render(header.header(shown_of(runs, run), EN), EN)
    assert f'class="badge {css}"' in found and sentence in found


def test_plateau_probation_and_a_late_tracking_server_are_badges(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.train(20)
    run.event("plateau_detected", counter=250)
    run.say("training", probation={"until_step": 70, "revert_if": "loss > 2x", "revision": 1})
    lost(run.paths, "unreachable", "tracking.example:5000: Connection refused")
    shown = shown_of(runs, run)
    assert [kind for kind, _ in header.badges(shown, EN)] == ["training", "probation", "plateau", "behind"]
    said = header.notices(shown, EN)
    assert {one.kind for one in said} == {"warn"}
    assert "On probation until step 70" in said[0].text and "nothing is lost" in said[1].text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 0.0])
def test_no_figure_breaks_a_card_or_a_header(runs: Path, value: float) -> None:
    run = SyntheticRun(runs)
    keys = ["loss/total", "loss/l1", "grad_norm", "val/psnr_y", "val/bicubic_psnr_y", "val/quality",
            "optimizer/momentum", "plateau/counter", "activity/backward.0", "system/gpu_memory_mib", "lr"]  # fmt: skip
    run.writer.record(10, 0, dict.fromkeys(keys, value))
    run.event("validated", psnr_y=value, ssim_y=value, images=[{"path": "x"}, {}])
    run.say("training")
    found = fragments(runs, "monitoring")
    assert "Error" not in "".join(found.values())


EVIL = (
    "<img src=x onerror=alert(1)>\"'",
    "<script>alert(1)</script>",
    "'\" onmouseover='alert(1)",
    "{{ 7 * 7 }}{% include 'parts.html' %}${alert(1)}",
)


@pytest.mark.parametrize("evil", EVIL)
def test_names_reasons_and_clips_cannot_bring_markup(runs: Path, evil: str) -> None:
    run = SyntheticRun(runs, name=evil)
    run.edit(author=evil, reason=evil, max_lr=5e-4)
    run.train(20)
    run.event("face_failed", face=evil, error=evil)
    run.event("validated", psnr_y=28.0, images=[{**run.picture(), "clip": evil}])
    run.checkpoint(28.0)
    SyntheticRun(runs, "20251230-090000-other", name=evil).end("failed", error=evil)
    (runs / ".jobs").mkdir()
    record = {"id": job_key(0), "verb": "replay", "run_id": evil, "step": None, "line": evil, "target": evil, "author": evil,
              "started": 1.0, "process": {}, "ended": 2.0, "status": 0}  # fmt: skip
    (runs / ".jobs" / f"{job_key(0)}.json").write_text(json.dumps(record))
    (runs / ".jobs" / f"{job_key(0)}.log").write_text(evil)
    for page in ("monitoring", "config", "runs"):
        for name, html in fragments(runs, page, run=run.paths.run_id).items():
            found = Marks()
            found.feed(html)
            assert not found.tags & {"img", "script"} - ({"img"} if name == "pictures" else set()), name
            assert not [attribute for attribute in found.attributes if attribute.startswith("on")], name
            assert name != "header" or evil in found.text


class Marks(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_only_what_changed_travels(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsrpp_ui.snapshot.CURVES_BUDGET_S", 60.0)  # the first request returns the whole curve
    monkeypatch.setattr("vsrpp_ui.snapshot.FRESH_S", 0.0)  # and every request reads the store
    run = full_run(runs)
    watches = RunWatches(runs)
    live = FragmentRenderer(watches, EN, "en", TrackedRuns(runs))
    first = live.answer("monitoring", {})
    have = {name: piece["tag"] for name, piece in first["fragments"].items()}
    assert live.answer("monitoring", {"have": have})["fragments"] == {}
    run.event("paused")
    run.say("paused")
    changed = set(live.answer("monitoring", {"have": have})["fragments"])
    assert changed == {"header", "timeline", "cards"}  # the cards: one more event is pending
    watches.close()


@pytest.mark.parametrize(
    "raw",
    [{}, {"w": "x", "smooth": "nan", "from": "a"}, {"w": 1e99, "smooth": 9, "from": -5, "to": -9},
     {"clip": 3, "pstep": []}, {"w": None, "log": "yes", "filter": None, "sort": {}, "left": 5}],
)  # fmt: skip
def test_a_view_from_the_browser_is_forced_into_its_range(raw: dict[str, object], runs: Path) -> None:
    view = ViewOptions.of(raw)
    assert 280 <= view.width <= 2000 and 0 <= view.smooth <= 0.99 and view.from_step >= 0
    full_run(runs)
    assert "Error" not in "".join(fragments(runs, "monitoring", view=raw).values())


def test_the_timeline_filters_by_kind(runs: Path) -> None:
    run = full_run(runs)
    shown = shown_of(runs, run)
    edits = render(timeline.timeline(shown, "edits", EN), EN)
    assert "config refused" in edits and "checkpoint saved" not in edits
    assert "No such events" in render(timeline.timeline(shown, "faults", EN), EN)


def test_the_recorded_numbers_are_shown_with_their_parts_and_the_cost_only_with_a_price(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.train(50)
    drawn = render(cards.cards(shown_of(runs, run), EN), EN)
    for text in (
        "62<small> / 100",
        "gain 36, sharpness 8",
        "falling",
        "-21.4 ± 1.6 %",
        "310 ms",
        "compute 280 ms",
        "GPU 93 %",
    ):
        assert text in drawn, text
    assert "Cost" not in drawn
    run.say("training", max_hours=8.0, cost_per_hour=3.0, spent_s=3600.0, eta_s=7200.0)
    drawn = render(cards.cards(shown_of(runs, run), EN), EN)
    assert "Cost so far" in drawn and "3.00" in drawn and "1 of 8 hours, 6.00 to come" in drawn


def test_the_viewer_compares_two_steps_and_shows_a_profile_where_there_is_one(runs: Path) -> None:
    run = full_run(runs)
    found = validation.pictures(shown_of(runs, run).events)
    drawn = render(validation.viewer(found, EN, lambda path: f"/p/{path}", step=100, against=300), EN)
    assert "Output 100" in drawn and "Output 300" in drawn and "data-divider" in drawn and "Temporal" not in drawn
    one = validation.ValidationPicture(
        step=1, branch=0, clip="c", frame=0, path="a.png", width=10, height=10, profile="b.png"
    )
    assert "Temporal profile" in render(validation.viewer([one], EN, lambda path: path), EN)


def test_a_damaged_piece_says_so_and_leaves_the_others(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full_run(runs)
    monkeypatch.setattr(live_module.cards, "cards", lambda *_: 1 / int("x"))
    found = fragments(runs, "monitoring")
    assert "ValueError" in found["cards"] and "harbour" in found["header"]


def test_cards_show_not_a_number_as_a_fault(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.writer.record(10, 0, {"grad_norm": math.nan})
    run.say("training")
    assert 'class="card bad" data-card="grad"' in render(cards.cards(shown_of(runs, run), EN), EN)


def test_a_run_whose_store_is_being_created_takes_no_page_away(runs: Path) -> None:
    full_run(runs)
    (runs / "20270101-000000-born").mkdir()
    (runs / "20270101-000000-born" / "run.db").write_bytes(b"")
    assert "harbour" in fragments(runs, "runs")["header"]


@pytest.mark.parametrize("page", ["monitoring", "config", "runs"])
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_run_with_a_damaged_record_shows_one_line_and_the_healthy_runs(runs: Path, page: str, language: str) -> None:
    run = full_run(runs)
    run.writer.close()
    damaged = run.paths.root.with_name("damaged1")
    damaged.mkdir()
    (damaged / "run.db").write_bytes(b"noise" * 1000)
    watches, t = RunWatches(runs), texts(language)
    renderer = FragmentRenderer(watches, t, language, TrackedRuns(runs))
    answer = renderer.answer(page, {"run": "damaged1"})
    found = {name: piece["html"] for name, piece in answer["fragments"].items()}
    assert answer["state"] == "unreadable"
    assert f"vsrpp rebuild {damaged}" in found["header"]
    assert ("beschädigt" if language == "de" else "is damaged") in found["header"]
    if page == "runs":
        assert "harbour" in found["all-runs"] and f"vsrpp rebuild {damaged}" in found["all-runs"]
    shutil.copytree(run.paths.root, damaged, dirs_exist_ok=True)
    assert renderer.answer(page, {"run": "damaged1"})["state"] != "unreadable", "mended, and read at the next look"
    watches.close()


def test_a_record_of_a_newer_version_is_told(runs: Path) -> None:
    run = full_run(runs)
    run.writer.set_meta("store_version", STORE_VERSION + 1)
    assert "newer VSR++" in render(header.header(shown_of(runs, run), EN), EN)
    assert "neueren VSR++" in render(header.header(shown_of(runs, run), texts("de")), texts("de"))
    assert "newer VSR++" in fragments(runs, "runs")["all-runs"]
