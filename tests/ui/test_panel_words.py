"""The pages of a hostile run: no secret of an address, no markup of a person's, nothing that turns text around."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from vsrpp_ui.answers import to_json
from vsrpp_ui.live import FragmentRenderer
from vsrpp_ui.markup import render
from vsrpp_ui.messages import texts
from vsrpp_ui.snapshot import RunWatches
from vsrpp_ui.tracked import TrackedRuns
from vsrpp_ui.views import runs as runs_view
from vsrpp_ui.views.compare import compare, run_link

from tests.support.hostile import HOSTILE, SECRET, STEERING, TRACKING, hostile_run


def assert_safe_page(page: str) -> None:
    shown = html.unescape(re.sub(r"\s+", " ", page))
    assert not SECRET.findall(shown)
    assert not STEERING.findall(page.replace("\n", " ")), "nothing steers"
    assert "<img src=x>" not in page and "<script" not in page


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("page", ["monitoring", "config", "runs"])
def test_no_page_shows_a_secret_or_what_steers(
    runs: Path, page: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{runs}/none.db")
    run = hostile_run(runs)
    watches = RunWatches(runs)
    asked = FragmentRenderer(watches, texts(language), language, TrackedRuns(runs)).answer(page, {"run": run.run_id})
    watches.close()
    pieces = "\n".join(piece["html"] for piece in asked["fragments"].values())
    assert "forged" in pieces, "the hostile text is on the page"
    assert_safe_page(pieces)


def test_the_servers_own_pages_are_linked_without_its_password() -> None:
    t = texts("en")
    known = {"run_id": "m1", "experiment_id": "1", "uri": TRACKING}
    assert run_link(known) == "http://127.0.0.1:9/team/#/experiments/1/runs/m1"
    assert run_link({**known, "uri": "http://bob:S3/cret@h"}) == "", "no link to what cannot be told from a password"
    both = compare([{"run_id": "a", "mlflow": known}, {"run_id": "b", "mlflow": known}], can_compare=True)
    listed = runs_view.tracking(TRACKING, [{"run_id": "a", "name": HOSTILE, "url": run_link(known)}], None)
    for shown in (render(both, t), render(listed, t)):
        assert "http://127.0.0.1:9/team" in shown
        assert_safe_page(shown)
    assert not STEERING.findall(to_json({"message": HOSTILE}).decode())
