"""The config form, without its widgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vsrpp_ui import form
from vsrpp_ui.markup import render
from vsrpp_ui.messages import texts
from vsrpp_ui.snapshot import RunWatches
from vsrpp_ui.views import config as view

from tests.support.synthetic import SyntheticRun
from vsrpp import config, control

EN = texts("en")
WEIGHTS = form.weight_keys()


def widget_values(live: dict[str, object]) -> dict[str, object]:
    return {key: form.to_widget(key, live[key]) for key in config.live_parameters()}


def test_the_form_has_every_live_parameter_and_no_other() -> None:
    assert sorted(form.keys()) == sorted(config.live_parameters())


@pytest.mark.parametrize("preset", config.presets())
def test_a_form_nobody_touched_is_no_edit(preset: str) -> None:
    _, live = config.defaults(preset)
    assert form.edited(widget_values(live), live) == {}


@given(st.floats(1e-5, 1e-3), st.integers(50, 1000))
def test_any_value_comes_back_from_its_widget_as_it_was(rate: float, patience: int) -> None:
    live = {"max_lr": rate, "plateau_patience": patience}
    assert form.typed({key: form.to_widget(key, value) for key, value in live.items()}) == live


@pytest.mark.parametrize("raw", ["", "abc", "nan", "1e", "0,5", "=", "max_lr=1", "−1", " 2e-4x", None])
def test_what_cannot_be_read_is_refused_with_a_reason_never_raised(raw: str | None) -> None:
    _, live = config.defaults("demo")
    changes = form.edited({**widget_values(live), "max_lr": raw}, live)
    if raw is None:
        assert changes == {}
    else:
        assert [p.key for p in config.check_changes(live, changes)] == ["max_lr"]


def test_others_changes_come_in_and_own_typing_stays(runs: Path) -> None:
    run = SyntheticRun(runs)
    values = widget_values(run.live) | {"max_lr": "5e-4", "grad_clip": "2"}
    run.edit(author="anna", max_lr=3e-4, plateau_patience=300)
    history = RunWatches(runs).run(run.paths.run_id).snapshot().config
    found = form.merged(values, 0, history, EN)
    assert (found.values["max_lr"], found.values["grad_clip"], found.values["plateau_patience"]) == (5e-4, 2.0, 300)
    assert "anna (panel) set max_lr to 3.00e-04" in found.notes["max_lr"] and "would replace" in found.notes["max_lr"]
    assert "has been updated" in found.notes["plateau_patience"] and set(found.notes) == {"max_lr", "plateau_patience"}


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4), st.sampled_from(WEIGHTS),
    st.sampled_from([frozenset(), frozenset({"perceptual_weight"})]),
)  # fmt: skip
def test_rebalanced_weights_sum_to_one(weights: list[float], moved: str, fixed: frozenset[str]) -> None:
    before = dict(zip(WEIGHTS, weights, strict=True))
    before["perceptual_weight"] = 0.0 if fixed else before["perceptual_weight"]
    after = form.rebalanced(before, moved, fixed=fixed)
    assert after[moved] == before[moved] and sum(after.values()) == pytest.approx(1.0, abs=2e-3)
    assert all(value >= -1e-9 for value in after.values())


def test_the_preview_shows_the_diff_the_warning_and_the_rate_ahead(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.train(20)
    found = control.preview(run.paths, {"max_lr": 1e-5, "min_lr": 1e-7}, base_revision=0)
    drawn = render(view.preview(found, EN, "en"), EN)
    assert "1.00e-03" in drawn and "1.00e-05" in drawn and "Learning rate ahead" in drawn and "<svg" in drawn
    bad = render(view.preview(control.preview(run.paths, {"max_lr": 0.5}, base_revision=0), EN, "en"), EN)
    assert "must be between 1e-05 and 0.001" in bad and "Would be refused" in bad
    assert "Nothing changed yet" in render(view.preview(None, EN, "en"), EN)


def test_startup_values_are_shown_with_why_they_are_fixed(runs: Path) -> None:
    run = SyntheticRun(runs)
    drawn = render(view.startup_table(run.run_config, EN, run.paths.run_id), EN)
    assert "n_feats" in drawn and f"vsrpp train --from {run.paths.run_id}" in drawn
    assert all(key in drawn for key in config.startup_parameters())
