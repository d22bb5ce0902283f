"""The preview of an edit draws the run's own schedule: as data, in the panel and in the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from vsrpp_ui.markup import render
from vsrpp_ui.messages import texts
from vsrpp_ui.views import config as panel

from tests.support.synthetic import SyntheticRun
from vsrpp import control, schedule
from vsrpp.tui.drawing import area
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages.preview import preview_lines
from vsrpp.tui.run_view import RunSnapshot

OTHERS = [name for name in schedule.SHAPES if name != "cosine"]


def previews(runs: Path, name: str) -> tuple[SyntheticRun, control.Preview, control.Preview]:
    """A run with this schedule at step 200 of 400; the same edit of its rate there, and in a run with the cosine."""
    run = SyntheticRun(runs, startup={"lr_schedule": name, "warmup_steps": 20}, max_steps=400)
    plain = SyntheticRun(runs, "20260101-120000-other", startup={"warmup_steps": 20}, max_steps=400)
    made = []
    for each in (run, plain):
        each.train(200)
        made.append(control.preview(each.paths, {"max_lr": 5e-4}))
    return run, made[0], made[1]


@pytest.mark.parametrize("name", OTHERS)
def test_the_rate_ahead_is_the_schedules(tmp_path: Path, name: str) -> None:
    run, found, plain = previews(tmp_path, name)
    for side, live in (("old", run.live), ("new", {**run.live, "max_lr": 5e-4})):
        wanted = schedule.curve(200, 400, live, run.run_config, points=60)
        assert [(row["step"], row[side]) for row in found.rate_ahead] == wanted
    assert found.rate_ahead != plain.rate_ahead


@pytest.mark.parametrize("name", OTHERS)
def test_panel_and_terminal_draw_it(tmp_path: Path, name: str) -> None:
    _, found, plain = previews(tmp_path, name)
    english = texts("en")
    drawn, cosine = (render(panel.preview(each, english, "en"), english) for each in (found, plain))
    assert "Learning rate ahead" in drawn and drawn.split("<svg")[1] != cosine.split("<svg")[1]
    snapshot = RunSnapshot(run_id="x", root=tmp_path)
    rows = ["".join(text for text, _ in row) for row in preview_lines(found, None, snapshot, TerminalTexts(), 80)]
    old, new = ([row[side] for row in found.rate_ahead] for side in ("old", "new"))
    for rates, others in ((old, new), (new, old)):
        course = "".join(text for text, _ in area(rates, 60, 1, scaled_with=others)[0][0])
        assert any(course in row for row in rows)


def test_the_rate_of_a_constant_schedule_does_not_follow_max_steps(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, startup={"lr_schedule": "constant"}, max_steps=400)
    run.train(200)
    found = control.preview(run.paths, {"max_steps": 800})
    assert {row["old"] for row in found.rate_ahead} == {row["new"] for row in found.rate_ahead} == {run.live["max_lr"]}
    assert found.warnings == []
