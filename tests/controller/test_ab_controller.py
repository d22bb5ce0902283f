"""`scripts/ab_controller`: the statistics of paired runs, and one tiny pair of real ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from types import ModuleType

import pytest

from tests.support import scripts

SCRIPT = scripts.SCRIPTS / "ab_controller"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return scripts.load("ab_controller")


def results(differences: dict[str, list[float]], cell: str = "demo") -> list[dict]:
    made = []
    for arm in ("default", "off"):
        for seed in range(len(next(iter(differences.values())))):
            figures = {
                clip: 30 + seed + (values[seed] if arm == "default" else 0) for clip, values in differences.items()
            }
            made.append({"cell": cell, "arm": arm, "seed": seed, "psnr_y": figures})
    return made


def test_differences_are_paired_by_seed_and_pooled_over_cells(script):
    found = script.compared(results({"a": [0.01, 0.03, 0.02], "b": [0.05, 0.01, 0.03]}), "off")
    assert found["cells"]["demo a"]["mean"] == pytest.approx(0.02)
    assert found["pooled"]["mean"] == pytest.approx(0.025) and found["pooled"]["seeds"] == 3
    low, high = found["pooled"]["low"], found["pooled"]["high"]
    assert high - low == pytest.approx(2 * 4.303 * 0.005 / 3**0.5)
    assert found["pooled_holds"] and found["cells_hold"]


def test_bounds_that_are_missed_are_said(script):
    found = script.compared(results({"a": [-0.10, -0.11, -0.09], "b": [0.0, 0.0, 0.0]}), "off")
    assert found["pooled_holds"] is False and found["cells_hold"] is False
    assert "missed" in script.told(found)


def test_an_arm_without_its_pair_is_left_out(script):
    made = results({"a": [0.01, 0.02]})[:-1]
    found = script.compared(made, "off")
    assert found["cells"]["demo a"]["seeds"] == 1 and found["pooled_holds"] is None


def test_every_seed_is_finished_before_the_next_one_begins(script):
    order = list(script.arms(list(script.CELLS), script.SEEDS))
    assert len(order) == 30 and [arm.seed for arm in order] == sorted(arm.seed for arm in order)


@pytest.mark.slow
def test_its_short_form_trains_scores_and_goes_on_where_it_was(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--short", "--json", "--most", "1"]
    first = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert first.returncode == 0, first.stderr
    (row,) = json.loads(first.stdout)["results"]
    assert row["arm"] == "default" and 20 < row["psnr_y"]["bikes.mp4"] < 40
    report = subprocess.run([*command[:-2], "--report"], capture_output=True, text=True, timeout=60)
    assert json.loads(report.stdout)["results"] == [row]
