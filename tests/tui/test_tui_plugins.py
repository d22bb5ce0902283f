"""What plug-ins declare, in the terminal: labels and colours of loss terms, and their live parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import extras
from tests.support.tui_driving import RUN_ID, Driven, drive
from tests.support.tui_fakes import FakeRun
from vsrpp.tui.drawing import FILLS, fill
from vsrpp.tui.messages import TerminalTexts
from vsrpp.tui.pages import blocks
from vsrpp.tui.run_view import RunSnapshot

NEWEST = {
    "loss/fft": 0.004, "loss/edge": 0.002, "weight/l1": 0.4, "weight/fft": 0.1, "weight/edge": 0.1, "share/fft": 0.04,
}  # fmt: skip


def a_run(tmp_path: Path) -> FakeRun:
    run = FakeRun(tmp_path / "runs" / RUN_ID, startup=extras.STARTUP, **extras.WEIGHTS)
    return run.train(100, **NEWEST).serve()


def test_a_foreign_loss_term_is_shown_by_label_and_colour_and_its_weight_edited_with_ours(tmp_path: Path) -> None:
    run = a_run(tmp_path)

    async def script(ui: Driven) -> None:
        await ui.shows("FFT", "0.00400", "Edges <b>/")
        assert extras.FFT in ui.colours("FFT")
        await ui.press("3")
        await ui.shows("FFT 10 %", "Edges <b>/ 10 %")
        await ui.press("enter")
        await ui.type("edge_floor")
        await ui.shows("Edge floor", "1.00e-03")
        await ui.press("enter")
        await ui.shows("Differences below it do not count.", "1.00e-03")
        await ui.press("escape")
        await ui.type("fft")
        await ui.press("enter")
        await ui.shows("L1 weight", "FFT weight", "Edges <b>/ weight", "Sum 1 ")
        await ui.type("0.2")
        await ui.press("equals_sign")
        await ui.shows("fft_weight 0.1 → 0.2")
        await ui.press("enter", "enter")
        await ui.shows("Applied at step")

    drive(run, script, size=(120, 40))
    run.close()
    changes = run.seen[0].payload["changes"]
    assert changes["fft_weight"] == 0.2 and sum({**run.live, **changes}[f"{t}_weight"] for t in ("l1", "fft")) < 0.6


@pytest.mark.parametrize("terms", [1, 12])
def test_an_overview_keeps_its_room_however_many_terms_there_are(terms: int) -> None:
    many = [extras.loss(f"term{n}", f"Term {n}", extras.FFT) for n in range(terms)]
    startup = {"plugins": [extras.plugin(*many)]}
    weights = {f"weight/term{n}": float(n == terms - 1) for n in range(terms)}
    snapshot = RunSnapshot(run_id="x", root=Path("x"), run_config=startup, metrics={"weight/l1": 0.5, **weights})
    t = TerminalTexts("de", unicode=False)
    rows = blocks.loss_rows(snapshot, t, 20)
    assert len(rows) == 6 and [rows[0].label, rows[1].label] == ["Gesamt", "L1"]
    assert rows[-1].label == f"Term {terms - 1}", "a term in use comes before one without weight"
    assert len(blocks.losses(snapshot, t, 40, rows)) == 6
    assert len(blocks.bars(snapshot, t, 60)) <= 2 + blocks.LEGEND_ROWS


def test_the_fills_of_neighbours_differ_without_colour() -> None:
    assert all(fill(place) != fill(place + 1) for place in range(20)) and fill(len(FILLS)) == fill(0)
