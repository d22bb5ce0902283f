"""The experiments of docs/results.md: their analysis on made-up results, and each script's short form with real runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import scripts
from tests.support.processes import environment


@pytest.fixture(scope="module")
def starts() -> ModuleType:
    return scripts.load("ab_bad_start")


@pytest.fixture(scope="module")
def edits() -> ModuleType:
    return scripts.load("ab_bad_edits")


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    return scripts.load("compare_basicsr")


def a_start(cell: str, arm: str, seed: int, *values: float, lost: int = 0) -> dict[str, Any]:
    """A run of validations every 25 steps, whose probations abandoned `lost` steps before the first."""
    curve = [[25 * n, 25 * n + lost, value] for n, value in enumerate(values, start=1)]
    return {"cell": cell, "arm": arm, "seed": seed, "curve": curve, "charged": curve[-1][1]}


def test_a_restart_repeats_the_reference_and_is_charged_for_what_it_threw_away(starts):
    rows = starts.compared([a_start("right", "leave", 1, 30.0, 31.0, 31.05)])
    restart = next(row for row in rows if (row["cell"], row["arm"]) == ("low", "restart"))
    assert restart["behind"]["mean"] == 0 and restart["charged"] == 75 + 50
    assert restart["to_target"] == [50 + 50], "the second validation is within 0.1 dB of the last"


def test_steps_that_probations_abandoned_are_charged(starts):
    made = [a_start("right", "leave", 1, 30.0, 31.0), a_start("low", "ladder", 1, 30.0, 30.95, lost=7)]
    row = next(row for row in starts.compared(made) if row["arm"] == "ladder")
    assert row["charged"] == 57 and row["to_target"] == [57] and row["never"] == 0


def test_an_arm_that_never_reaches_the_target_is_counted_as_such(starts):
    made = [a_start("right", "leave", 1, 30.0, 31.0), a_start("high", "leave", 1, 29.0, 30.0)]
    row = next(row for row in starts.compared(made) if (row["cell"], row["arm"]) == ("high", "leave"))
    assert row["to_target"] == [] and row["never"] == 1 and "– (0 of 1)" in starts.told([row])


def test_differences_to_the_reference_and_to_leave_are_paired_by_seed(starts):
    made = [
        a_start(cell, arm, seed, 30.0 + seed + more)
        for seed in (1, 2)
        for cell, arm, more in (("right", "leave", 0.0), ("low", "leave", -0.5), ("low", "edit", -0.1))
    ]
    row = next(row for row in starts.compared(made) if row["arm"] == "edit")
    assert row["behind"]["mean"] == pytest.approx(-0.1) and row["over_leave"]["mean"] == pytest.approx(0.4)
    assert row["over_leave"]["low"] == pytest.approx(0.4) and row["over_leave"]["seeds"] == 2


@pytest.mark.parametrize("script", ["ab_bad_start", "ab_bad_edits"])
def test_every_seed_is_finished_before_the_next_one_begins(script):
    order = scripts.load(script).arms(short=False)
    assert [arm.seed for arm in order] == sorted(arm.seed for arm in order)
    assert len({arm.name for arm in order}) == len(order) and {arm.seed for arm in order} == {1, 2, 3, 4, 5}


def an_edited(arm: str, seed: int, final_db: float, *stands: bool, lost: int = 0) -> dict[str, Any]:
    edits = [{"stands": stood} for stood in stands]
    return {
        "arm": arm, "seed": seed, "curve": [[360, 360 + lost, final_db]], "edits": edits, "abandoned": lost,
        "under_harm": 15 * sum(stands),
    }  # fmt: skip


def test_steps_lost_are_those_abandoned_and_those_under_harmful_values(edits):
    made = [
        an_edited("none", 1, 32.0),
        an_edited("by_hand", 1, 31.0, *[True] * 10),
        an_edited("probation", 1, 31.9, *[True] * 2, *[False] * 8, lost=40),
    ]
    comparison = edits.compared(made)
    rows = {row["arm"]: row for row in comparison["rows"]}
    assert rows["by_hand"]["under_harm"] == 150 and rows["by_hand"]["reverted"] == 0
    assert rows["probation"]["reverted"] == 8 and rows["probation"]["abandoned"] + rows["probation"]["under_harm"] == 70
    assert comparison["gain"]["mean"] == pytest.approx(0.9)


def test_the_harmful_edits_fit_the_run_and_can_be_undone(edits):
    sizes = edits.FULL
    assert len(edits.HARMFUL) == sizes.edits == 10 and sizes.at[-1] + sizes.every < sizes.steps
    assert all(edit.keys() <= edits.GOOD.keys() for edit in edits.HARMFUL)


def a_peer(arm: str, seed: int, psnr_y: float, *losses: float) -> dict[str, Any]:
    return {
        "arm": arm, "seed": seed, "psnr_y": psnr_y, "losses": losses, "steps_per_s": 1.0, "cpu_s_per_step": 0.5,
        "peak_bytes": 2**20 * seed,
    }  # fmt: skip


def test_the_difference_of_the_peers_is_the_mean_over_the_seeds_that_both_have(peers):
    made = [
        a_peer("ours", 1, 30.0, 0.5), a_peer("ours", 2, 31.0, 0.5), a_peer("basicsr", 1, 30.1, 0.5),
        a_peer("basicsr", 2, 30.98, 0.55), a_peer("basicsr", 3, 99.0, 0.5),
    ]  # fmt: skip
    row = next(row for row in peers.compared(made) if row["arm"] == "basicsr")
    assert row["mean_difference"] == pytest.approx((-0.1 + 0.02) / 2) and row["loss_apart"] == pytest.approx(0.1)
    assert "-0.1000, +0.0200" in peers.told([row])


def test_both_recipes_have_the_same_sizes(peers, tmp_path):
    sizes = peers.sizes_of(short=False, steps=100)
    ours = peers.recipe(tmp_path, sizes)
    theirs = peers.options(tmp_path, peers.Arm("steps_100", "basicsr", 3), sizes)
    training, samples = theirs["train"], theirs["datasets"]["train"]
    assert theirs["manual_seed"] == 3 and training["total_iter"] == ours["max_steps"]
    assert training["fix_flow"] == ours["flow_freeze_steps"] + 1 == 21 and training["optim_g"]["lr"] == ours["max_lr"]
    assert (samples["num_frame"], samples["gt_size"]) == (ours["num_frames"], ours["crop_size"])


@pytest.mark.slow
def test_a_checkout_is_importable_without_the_modules_that_it_only_imports(tmp_path):
    package = tmp_path / "checkout" / "basicsr"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported everything')")
    (package / "arch.py").write_text("from lmdb import open_nothing\nfrom basicsr.version import __version__\n")
    code = (
        "import sys; sys.modules['lmdb'] = None; import peer_basicsr; from pathlib import Path\n"
        f"replaced = peer_basicsr.importable(Path({str(package.parent)!r}))\n"
        "import basicsr.arch; print('lmdb' in replaced, basicsr.arch.open_nothing)"
    )
    env = environment(tmp_path)
    env["PYTHONPATH"] += f":{scripts.SCRIPTS}"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "None"], done.stderr


def short(script: str, folder: Path, empty_store: Path) -> dict[str, Any]:
    shutil.copy(empty_store, folder / "mlflow.db")
    command = [sys.executable, str(scripts.SCRIPTS / script), str(folder), "--short", "--json"]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=1000)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return result


@pytest.mark.slow
def test_the_short_ladder_climbs_at_the_planned_steps(tmp_path, empty_store):
    result = short("ab_bad_start", tmp_path, empty_store)
    steps = [rung["step"] for rung in result["rungs"]]
    assert steps == [10, 20, 30][: len(steps)] and len(steps) >= 1 + result["rungs"][0]["held"]
    assert result["rungs"][0]["max_lr"] == 3.2e-5 and result["curve"][-1][0] == 40
    assert result["charged"] == result["curve"][-1][1]


@pytest.mark.slow
def test_the_short_run_with_bad_edits_survives_them(tmp_path, empty_store):
    result = short("ab_bad_edits", tmp_path, empty_store)
    assert [edit["step"] for edit in result["edits"]] == [20, 40]
    assert result["curve"][-1][0] == 60 and 20 < result["curve"][-1][2] < 40


@pytest.mark.slow
def test_the_short_recipe_of_basicsr_trains_without_a_checkout(tmp_path, empty_store):
    result = short("compare_basicsr", tmp_path, empty_store)
    assert len(result["losses"]) == 12 and result["most_grad_norm"] < 10
    assert result["steps_per_s"] > 0 and result["peak_bytes"] > 2**26
