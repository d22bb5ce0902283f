"""What plug-ins declare, in the panel: labels and colours of loss terms, live parameters in the form, their source."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from vsrpp_ui import app as panel
from vsrpp_ui import form
from vsrpp_ui.config_pages import digest_of
from vsrpp_ui.markup import render
from vsrpp_ui.messages import texts
from vsrpp_ui.views import config as view

from tests.support import extras
from tests.support.synthetic import SyntheticRun
from vsrpp import config, control
from vsrpp.config.schema import fault_of_plugins

EN, DE = texts("en"), texts("de")
HERE = "http://localhost:5050"


def run_with_plugins(runs: Path, run_id: str = "20260101-120000-extras", **startup: Any) -> SyntheticRun:
    run = SyntheticRun(runs, run_id, startup={**extras.STARTUP, **startup}, **extras.WEIGHTS)
    run.train(40)
    return run


def client(runs: Path) -> TestClient:
    return TestClient(panel.build(runs=runs), base_url=HERE)


def monitoring(http: TestClient, run: SyntheticRun, lang: str = "en") -> dict[str, str]:
    answer = http.post(f"/panel/live/monitoring?lang={lang}", json={"run": run.paths.run_id, "view": {}, "have": {}})
    return {name: found["html"] for name, found in answer.json()["fragments"].items()}


def fields(http: TestClient, run: SyntheticRun, lang: str = "en") -> set[str]:
    """The IDs of the form's fields on the config page of a run."""
    page = http.get(f"/config/?run={run.paths.run_id}&lang={lang}")
    assert page.status_code == 200
    return set(re.findall(r'"elem_id":\s*"f-(\w+)"', page.text))


def test_a_foreign_loss_term_has_its_label_and_colour_in_bars_and_curves(runs: Path) -> None:
    run = run_with_plugins(runs)
    with client(runs) as http:
        shown = monitoring(http, run)
    assert "FFT: 10%" in shown["bars"] and f"background:{extras.FFT};color:#0b0d10" in shown["bars"]
    assert f"background:{extras.EDGE};color:#ffffff" in shown["bars"], "light text on a dark colour"
    assert f"stroke:{extras.FFT}" in shown["losses"] and "Edges &lt;b&gt;/" in shown["losses"]
    assert "<b>/" not in shown["bars"] + shown["losses"]


def test_runs_with_different_plugins_have_forms_of_their_own_at_once(runs: Path) -> None:
    ours, theirs = SyntheticRun(runs, "20260101-100000-ours"), run_with_plugins(runs)
    blur = extras.plugin(extras.loss("blur", "Blur", "#abcdef"))
    third = SyntheticRun(runs, "20260101-110000-third", startup={"plugins": [blur]})
    with client(runs) as http:
        own = fields(http, ours)
        foreign = {"fft_weight", "edge_weight", "edge_floor", "edge_signed"}
        assert own == set(config.live_parameters())
        assert fields(http, theirs, "de") == own | foreign
        assert fields(http, third) == own | {"blur_weight"}
        assert fields(http, ours) == own


def test_an_open_tab_finds_its_page_after_a_restart_of_the_panel(runs: Path) -> None:
    run = run_with_plugins(runs)
    page = f"/de/config-{digest_of(run.run_config)}"
    with client(runs) as http:
        assert http.get(f"{page}/config").json()["components"]
        assert http.get("/de/config-0123456789ab/config").status_code == 404


@pytest.mark.parametrize("record", ["x", [7], [{"kind": "loss"}], [extras.plugin(extras.loss("l1", "L1", "#000000"))]])
def test_a_record_of_plugins_that_is_not_valid_takes_no_page_down(runs: Path, record: Any) -> None:
    run = SyntheticRun(runs)
    run.close()
    broken = SyntheticRun(runs, "20260101-130000-broken")
    broken.run_config["plugins"] = record
    broken.event(
        "started", run_config=broken.run_config, config=broken.live, device="cpu", host="x", versions={}, parent=None
    )
    with client(runs) as http:
        assert fields(http, broken) == set(config.live_parameters())
        shown = monitoring(http, broken)
        assert not [name for name, html in shown.items() if "damaged" in html]
    told = render(view.startup_table(broken.run_config, EN, "x"), EN)
    assert "plug-ins" in told.lower() and fault_of_plugins(broken.run_config)[:30] in told


def test_a_form_with_foreign_fields_that_nobody_touched_is_no_edit(runs: Path) -> None:
    run = run_with_plugins(runs)
    values = {key: form.to_widget(key, run.live[key], run.run_config) for key in form.keys(run.run_config)}
    assert form.edited(values, run.live, run.run_config) == {}
    typed = form.edited(
        {**values, "edge_floor": "2e-4", "edge_signed": False, "fft_weight": 0.2}, run.live, run.run_config
    )
    assert typed == {"edge_floor": 2e-4, "edge_signed": False, "fft_weight": 0.2}


def test_the_weights_of_foreign_terms_stand_with_ours_and_are_balanced_with_them() -> None:
    keys, weights = form.keys(extras.STARTUP), form.weight_keys(extras.STARTUP)
    assert weights[-2:] == ["fft_weight", "edge_weight"]
    at = keys.index(weights[0])
    assert keys[at : at + 6] == weights and keys[at + 6 :] == ["edge_signed"]
    assert form.fixed_weights(extras.STARTUP) == form.fixed_weights({}) and len(form.fixed_weights({})) == 1
    balanced = form.rebalanced(dict(zip(weights, (0.4, 0.2, 0.2, 0.0, 0.1, 0.1), strict=True)), "fft_weight")
    assert sum(balanced.values()) == pytest.approx(1.0)


def test_the_preview_of_an_edit_writes_foreign_values_by_their_scale(runs: Path) -> None:
    run = run_with_plugins(runs)
    found = control.preview(run.paths, {"edge_floor": 2e-3, "fft_weight": 0.12, "l1_weight": 0.38}, base_revision=0)
    drawn = render(view.preview(found, EN, "en", run.run_config), EN)
    assert "1.00e-03" in drawn and "2.00e-03" in drawn and "FFT weight" in drawn and "Edge floor" in drawn


@pytest.mark.parametrize("t", [EN, DE], ids=["en", "de"])
def test_the_startup_table_names_the_plugins_and_what_they_provide(t: Any) -> None:
    drawn = render(view.startup_table(extras.STARTUP, t, "x"), t)
    assert "extras.py" in drawn and "SHA-256 3f5a0c1d2e4b" in drawn and "loss fft" in drawn and "tiny_width" in drawn
    assert json.dumps(extras.STARTUP["plugins"]) not in drawn
