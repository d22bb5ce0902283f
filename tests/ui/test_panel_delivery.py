"""The monitoring page shows the state of uploads to MLflow: the kind of failure, its age, the current upload."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from vsrpp_ui.live import FragmentRenderer
from vsrpp_ui.markup import render
from vsrpp_ui.messages import Texts, texts
from vsrpp_ui.snapshot import RunWatches
from vsrpp_ui.tracked import TrackedRuns
from vsrpp_ui.views import cards, header
from vsrpp_ui.views.delivery import delivery

from tests.support.delivering import delivered, lost, set_aside, uploading
from tests.support.synthetic import SyntheticRun, full_run
from vsrpp.control import RunView
from vsrpp.tracking.failures import KINDS as FAILURES

EN, DE = texts("en"), texts("de")


def shown_of(runs: Path, run: SyntheticRun) -> RunView:
    return RunWatches(runs).run(run.paths.run_id).snapshot()


def notices(snapshot: RunView, t: Texts) -> str:
    return " ".join(one.text for one in header.notices(snapshot, t))


@pytest.mark.parametrize("kind", FAILURES)
def test_every_kind_of_trouble_has_its_card_and_its_sentence_in_both_languages(runs: Path, kind: str) -> None:
    run = SyntheticRun(runs)
    run.train(20)
    lost(run.paths, kind, "what <the> server said", for_s=245.0)
    snapshot = shown_of(runs, run)
    for t in (EN, DE):
        card = delivery(snapshot, t)
        assert (card.value, card.tone) == (t(f"trouble.{kind}"), "bad")
        said = notices(snapshot, t)
        assert "4 min" in said and "what <the> server said" in said
        assert t(f"means.{kind}", run=run.paths.run_id).split(". ")[0].split(";")[0] in said
        assert "what &lt;the&gt; server said" in render(header.header(snapshot, t), t)
    assert ("behind", EN("state.behind")) in header.badges(snapshot, EN)
    assert 'class="card bad" data-card="delivery"' in render(cards.cards(snapshot, EN), EN)


def test_an_upload_has_a_bar_its_bytes_and_its_pace(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.train(20)
    delivered(run.paths)
    uploading(run.paths, "checkpoint 20", 1_258_291, 5_033_164)
    card = delivery(shown_of(runs, run), EN)
    assert (card.value, card.meter) == ("25 %", pytest.approx(0.25, abs=1e-3))
    assert 'style="width:25.0%"' in render(cards.cards(shown_of(runs, run), EN), EN)
    assert re.search(r"checkpoint 20: 1.2 MiB of 4.8 MiB, \d+.* KiB/s", card.below)
    assert card.tone != "bad" and header.notices(shown_of(runs, run), EN) == []


def test_an_uploads_progress_is_read_anew_every_second(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsrpp.control.run_view_reader.UPLOAD_EVERY_S", 0.0)
    run = SyntheticRun(runs)
    uploading(run.paths, "checkpoint 20", 1_000_000, 4_000_000)
    watch = RunWatches(runs).run(run.paths.run_id)
    assert watch.snapshot().backlog["uploading"]["done_bytes"] == 1_000_000
    uploading(run.paths, "checkpoint 20", 3_000_000, 4_000_000)
    assert watch.snapshot(fresh=True).backlog["uploading"]["done_bytes"] == 3_000_000


def test_what_is_all_there_is_called_so_and_what_was_set_aside_is_counted(runs: Path) -> None:
    run = full_run(runs)
    delivered(run.paths)
    card = delivery(shown_of(runs, run), EN)
    assert (card.value, card.tone) == ("up to date", "good")
    set_aside(run.paths, "param/run/data", "it was changed")
    assert "1 set aside: it was changed" in delivery(shown_of(runs, run), EN).below


def test_an_end_that_mlflow_was_not_told_is_said_with_the_command_that_tells_it(runs: Path) -> None:
    run = SyntheticRun(runs)
    run.train(20)
    run.writer.append("finished", step=20, branch=0, revision=0, at=time.time() - 300)
    run.say("finished")
    delivered(run.paths)
    assert "vsrpp sync" not in notices(shown_of(runs, run), EN)
    _forget_the_end(run)
    snapshot = shown_of(runs, run)
    assert f"Report the end: vsrpp sync {run.paths.run_id}" in notices(snapshot, EN)
    assert f"Das Ende melden: vsrpp sync {run.paths.run_id}" in notices(snapshot, DE)
    assert "end not reported yet" in delivery(snapshot, EN).below


def test_the_card_is_on_the_monitoring_page(runs: Path) -> None:
    full_run(runs)
    watches = RunWatches(runs)
    found = FragmentRenderer(watches, EN, "en", TrackedRuns(runs)).answer("monitoring", {})["fragments"]["cards"][
        "html"
    ]
    watches.close()
    assert 'data-card="delivery"' in found


def _forget_the_end(run: SyntheticRun) -> None:
    from vsrpp.control.backlog import END_TOLD
    from vsrpp.store import Marks

    marks = Marks(run.paths.delivery_db)
    marks.set_fact(END_TOLD, None)
    marks.close()
