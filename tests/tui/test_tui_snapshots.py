"""The screens as text, at three sizes. To update: VSRPP_UPDATE_SNAPSHOTS=1 pytest tests/tui/test_tui_snapshots.py"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.tui_driving import RUN_ID, Driven, drive
from tests.support.tui_fakes import half_way
from vsrpp.control.panel_links import announced

FOLDER = Path(__file__).parent / "snapshots"
SIZES = ((80, 24), (120, 40), (60, 20))
SCREENS: dict[str, tuple[str, ...]] = {
    "overview": (),
    "layers": ("2",),
    "charts": ("3",),
    "validations": ("4",),
    "timeline": ("5",),
    "menu": ("enter", "1", "3"),
    "edit": ("enter", "1", "3", "enter", "3", "e", "minus", "4"),
    "weights": ("enter", "1", "7", "enter", "0", "full_stop", "2", "4"),
    "rollback": ("b",),
    "help": ("question_mark",),
}
MARKS = {
    "overview": "STREAM", "layers": "fusion.2", "charts": "PSNR-Y (dB)", "validations": "SSIM-Y", "timeline": "started",
    "menu": "13. ", "edit": "with the edit", "weights": "ms_weight 0.2 → 0.24", "rollback": "★", "help": "Edits and commands",
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_looks_as_it_did(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    run = half_way(tmp_path / "runs" / RUN_ID)
    shot: list[str] = []

    async def script(ui: Driven) -> None:
        await ui.shows("1230")
        await ui.press(*SCREENS[name])
        mark = MARKS[name] if name != "timeline" or size[1] > 20 else "Timeline"
        await ui.shows(mark if name != "overview" or size[1] > 20 else "Backward")
        await ui.until(lambda: ui.app.snapshot and ui.app.snapshot.checkpoints)
        await ui.steady()
        shot.append(ui.text + "\n")

    drive(run, script, size=size)
    run.close()
    _compare(FOLDER / f"{name}_{size[0]}x{size[1]}.txt", shot[0], size)


def test_the_help_shows_the_link_to_a_panel_of_these_runs(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / RUN_ID)

    async def script(ui: Driven) -> None:
        await ui.shows("1230")
        await ui.press("question_mark")
        await ui.shows("http://localhost:5055/?token=")

    with announced("http://localhost:5055/", tmp_path / "runs", "token"):
        drive(run, script, size=(120, 40))
    run.close()


def test_the_overview_in_german_without_unicode(tmp_path: Path) -> None:
    run = half_way(tmp_path / "runs" / RUN_ID)
    shot: list[str] = []

    async def script(ui: Driven) -> None:
        await ui.shows("STREAM-UEBERSICHT")
        await ui.steady()
        shot.append(ui.text + "\n")

    drive(run, script, lang="de", unicode=False)
    run.close()
    _compare(FOLDER / "overview_de_ascii_80x24.txt", shot[0], (80, 24))


def _compare(path: Path, text: str, size: tuple[int, int]) -> None:
    rows = text.splitlines()
    assert len(rows) <= size[1]
    if os.environ.get("VSRPP_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
