"""Where two runs diverge, from records alone: no server, no plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.made_runs import RUN_CONFIG, START, MadeRun
from vsrpp.control import compare as comparing
from vsrpp.control.compare import LOSS, PSNR_Y
from vsrpp.errors import NotFound
from vsrpp.store import RunReader


def compared(*runs: MadeRun) -> dict[str, Any]:
    return comparing.compare([comparing.local_record(run.paths) for run in runs])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[MadeRun, MadeRun]:
    """Identical up to step 100; then the second one is edited, validated, and rolled back."""
    first = MadeRun(tmp_path / "first1", "first1").start().train(100).validate(31.0)
    second = MadeRun(tmp_path / "second1", "second1").start().train(100).validate(31.0)
    return first, second


def test_runs_that_did_the_same_do_not_part(pair: tuple[MadeRun, MadeRun]) -> None:
    found = compared(*pair)
    assert found["parted"] == {"run_config": [], "live_config_step": None, "loss_step": None}
    assert (found["run_config"], found["live_config"], found["interventions"]) == ([], [], [])
    assert found["results"][PSNR_Y] == {"steps": [100], "values": [[31.0], [31.0]]}


def test_an_edit_is_where_live_configs_part(pair: tuple[MadeRun, MadeRun]) -> None:
    pair[1].edit("max_lr", 2e-4, "flat").train(50)
    found = compared(*pair)
    assert found["parted"]["live_config_step"] == 100
    assert found["live_config"] == [
        {"key": "max_lr", "changes": [[{"step": 0, "value": 1.5e-4}],
                                      [{"step": 0, "value": 1.5e-4}, {"step": 100, "value": 2e-4}]]}
    ]  # fmt: skip
    (row,) = found["interventions"]
    assert (row["step"], row["runs"][0]) == (100, [])
    (cell,) = row["runs"][1]
    assert (cell["what"], cell["who"], cell["why"]) == ("max_lr 1.50e-04 → 2.00e-04", "anna (cli)", "flat")
    assert cell["effect"]["loss_since"] < cell["effect"]["loss_before"]


def test_the_same_edit_at_another_step_is_a_difference(pair: tuple[MadeRun, MadeRun]) -> None:
    pair[0].edit("grad_clip", 0.5).train(100)
    pair[1].train(100).edit("grad_clip", 0.5)
    found = compared(*pair)
    assert [row["key"] for row in found["live_config"]] == ["grad_clip"]
    assert found["parted"]["live_config_step"] == 100
    assert [row["step"] for row in found["interventions"]] == [100, 200]


def test_the_first_different_loss_is_named(pair: tuple[MadeRun, MadeRun]) -> None:
    pair[0].train(50)
    pair[1].step = 110
    pair[1].writer.record(110, 0, {"loss/total": 7.0}, at=START)
    assert compared(*pair)["parted"]["loss_step"] == 110


def test_what_was_left_behind_is_not_compared(pair: tuple[MadeRun, MadeRun]) -> None:
    second = pair[1]
    seq = second.writer.head()[0]
    second.edit("max_lr", 1e-3).train(50)
    second.branch, second.revision = 1, 2
    change = {"key": "max_lr", "old": 1e-3, "new": 1.5e-4}
    second.event(
        "rolled_back", {"to_step": 100, "from_step": 150, "from_branch": 0, "to_seq": seq, "changes": [change]}
    )
    second.step = 100
    second.train(50)
    pair[0].train(50)
    found = compared(*pair)
    assert found["parted"] == {"run_config": [], "live_config_step": None, "loss_step": None}
    assert [cell["what"] for row in found["interventions"] for cell in row["runs"][1]] == [
        "max_lr 1.50e-04 → 1.00e-03",
        "rolled back from step 150 to 100: max_lr 1.00e-03 → 1.50e-04",
    ]


def test_run_configs_differ_but_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = MadeRun(tmp_path / "first2", "first2").start()
    monkeypatch.setitem(RUN_CONFIG, "n_feats", 8)
    monkeypatch.setitem(RUN_CONFIG, "name", "other")
    second = MadeRun(tmp_path / "second2", "second2").start()
    found = compared(first, second)
    assert found["run_config"] == [{"key": "n_feats", "values": [4, 8]}]
    assert [row["name"] for row in found["runs"]] == ["made", "other"]


def test_results_are_at_most_ten_steps_that_all_have_the_last_among_them(pair: tuple[MadeRun, MadeRun]) -> None:
    pair[0].train(900)
    pair[1].train(500)
    steps = compared(*pair)["results"][LOSS]["steps"]
    assert (len(steps), steps[0], steps[-1]) == (10, 10, 600)


def test_what_is_not_finite_is_null(pair: tuple[MadeRun, MadeRun]) -> None:
    for run in pair:
        run.writer.record(110, 0, {"loss/total": float("inf"), "val/psnr_y": float("nan")}, at=START)
    found = compared(*pair)
    assert found["results"][LOSS]["values"][0][-1] is None
    assert found["runs"][0]["last"] == {"psnr_y": None, "ssim_y": None, "loss": None}
    assert found["runs"][0]["best"] is None, "no checkpoint was saved, so none is the best"


def test_a_record_from_elsewhere_compares_like_the_folder(pair: tuple[MadeRun, MadeRun]) -> None:
    pair[1].edit("max_lr", 2e-4).train(50)
    here = comparing.local_record(pair[1].paths)
    with RunReader(pair[1].paths.run_db) as reader:
        rows = {(row.branch, row.step, row.key): row.value for row in reader.metrics()}
        there = comparing.record_of(reader.run_id, "http://server", list(reader.events()), rows)
    assert (there.curves, there.events) == (here.curves, here.events)
    found = comparing.compare([here, there])
    assert found["parted"] == {"run_config": [], "live_config_step": None, "loss_step": None}
    left, right = (
        [cell["effect"]["loss_before"] for row in found["interventions"] for cell in row["runs"][n]] for n in (0, 1)
    )
    assert left == right


def test_a_run_that_never_began_is_said(tmp_path: Path) -> None:
    run = MadeRun(tmp_path / "empty1", "empty1")
    with pytest.raises(NotFound, match="has not started"):
        comparing.local_record(run.paths)
