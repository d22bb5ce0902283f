"""Two processes train one run over gloo, with the result of one process, whatever commands arrive meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import piece, write_video
from tests.support.processes import ROOT, environment
from tests.support.runs import Steered
from tests.support.two_ranks import SCENARIOS, SETS
from vsrpp import control
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

pytestmark = pytest.mark.slow

TIMEOUT_S = 20
LOSS_TOLERANCE = 2e-4
"""Relative. The same samples are averaged in another order: 1e-7 at the first step, and AdamW divides by the root of
tiny second moments, which enlarges it step by step."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of different sizes, so that the two ranks validate unequal shares."""
    folder = tmp_path_factory.mktemp("clips")
    for name, frames, height, width in (("a", 24, 64, 96), ("b", 20, 48, 64), ("c", 30, 80, 64)):
        write_video(folder / f"{name}.mkv", piece(frames, height, width))
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Steered:
    """The run as one process trains it."""
    run = Steered.new(tmp_path_factory.mktemp("one"), clips, {0: lambda run: run.ask("validate")}, **SETS)
    run.train()
    return run


@pytest.fixture(scope="module")
def half_of_one(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Steered:
    run = Steered.new(tmp_path_factory.mktemp("half"), clips, {9: lambda run: run.ask("stop")}, **SETS)
    run.train()
    return run


def together(processes: int, folder: Path, clips: Path, alone: RunPaths, *scenarios: str) -> dict[str, Any]:
    """The results of this many processes in these scenarios of `two_ranks`."""
    env = {
        **environment(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONFAULTHANDLER": "1",
        "VSRPP_RANK_TIMEOUT_S": str(TIMEOUT_S),
    }
    script = Path(__file__).parents[1] / "support" / "two_ranks.py"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), script,
         folder, clips, alone.root, *scenarios],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=540,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return {**found, "threads": json.loads((folder / "threads.json").read_text())}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory, clips: Path, half_of_one: Steered) -> dict[str, Any]:
    scenarios = [scenario.__name__ for scenario in SCENARIOS]
    return together(2, tmp_path_factory.mktemp("two"), clips, half_of_one.paths, *scenarios)


def rows(run: str | Path, key: str) -> dict[int, float]:
    with RunReader(RunPaths(Path(run)).run_db) as reader:
        return {row.step: row.value for row in reader.metrics() if row.key == key}


def events(run: str | Path) -> list[Any]:
    return control.history(RunPaths(Path(run)))


def of_type(run: str | Path, type: str) -> list[Any]:
    return [event for event in events(run) if event.type == type]


def test_two_processes_have_the_losses_of_one(facts: dict[str, Any], one: Steered) -> None:
    ours, theirs = rows(facts["plain"]["run"], "loss/total"), rows(one.paths.root, "loss/total")
    assert list(ours) == list(theirs)
    assert ours == pytest.approx(theirs, rel=LOSS_TOLERANCE)


def test_a_batch_of_one_process_is_shared_out_sample_for_sample(facts: dict[str, Any], one: Steered) -> None:
    """The figures of the first step differ only by rounding; other samples would give different ones."""
    for key in ("loss/l1", "grad_norm"):
        ours, theirs = rows(facts["plain"]["run"], key), rows(one.paths.root, key)
        assert ours[2] == pytest.approx(theirs[2], rel=2e-5), key


def test_the_groups_of_our_own_end_with_their_threads(facts: dict[str, Any]) -> None:
    """A thread that still runs when the interpreter ends may abort the process. The last two are of the group DDP had."""
    before, after = facts["threads"]
    assert before >= 6 and after <= 2


def test_every_rank_ends_with_the_same_weights_moments_and_ema(facts: dict[str, Any]) -> None:
    for name in ("plain", "stopped_and_resumed", "steered", "from_one", "spoiled", "thawing"):
        mine, theirs = facts[name]["weights"]
        assert mine == theirs, name


def test_a_shared_validation_gives_exactly_the_figures_of_one_process(facts: dict[str, Any], one: Steered) -> None:
    """At step 0 the weights are bit-identical, and the three clips have three sizes."""
    ours, theirs = of_type(facts["plain"]["run"], "validated")[0], of_type(one.paths.root, "validated")[0]
    assert ours.step == theirs.step == 0
    assert ours.data["clips"] == theirs.data["clips"]
    assert len(ours.data["clips"]) >= 1
    assert ours.data["psnr_y"] == theirs.data["psnr_y"]
    for image in ours.data["images"]:
        assert (Path(facts["plain"]["run"]) / image["path"]).read_bytes() == (
            one.paths.root / image["path"]
        ).read_bytes()


def test_activity_and_waiting_are_of_the_whole(facts: dict[str, Any], one: Steered) -> None:
    run = facts["plain"]["run"]
    with RunReader(RunPaths(Path(run)).run_db) as reader:
        keys = {row.key for row in reader.metrics() if row.key.startswith("activity/")}
    assert keys
    for key in keys:
        assert rows(run, key)[2] == pytest.approx(rows(one.paths.root, key)[2], rel=0.05), key
    worst, mean = rows(run, "speed/data_wait_worst_s"), rows(run, "speed/data_wait_s")
    assert worst and all(worst[step] >= mean[step] for step in worst)


def test_a_plugin_trains_resumes_and_replays_on_two_ranks_without_its_file(facts: dict[str, Any]) -> None:
    found = facts["plugged"]
    assert (found["stopped_at"], found["ended"], found["step"]) == (20, "finished", 36)
    assert found["weights"][0] == found["weights"][1]
    assert found["identical"], found["difference"]
    edits = [{change["key"] for change in event.data["changes"]} for event in of_type(found["run"], "config_applied")]
    assert edits[0] == {"fft_power"} and "fft_weight" in edits[1] and len(edits) == 2


def test_an_edit_acts_where_rank_0_talks_next(facts: dict[str, Any]) -> None:
    first = of_type(facts["steered"]["run"], "config_applied")[0]
    assert first.step == 8, "asked at step 5, and they talk at multiples of 4"


def test_a_pause_outlives_the_time_out_and_work_goes_on_in_it(facts: dict[str, Any]) -> None:
    run = facts["steered"]["run"]
    paused, resumed = of_type(run, "paused")[0], of_type(run, "resumed")[0]
    assert paused.step == resumed.step == 12
    assert resumed.time - paused.time > 1.5 * TIMEOUT_S
    meanwhile = {event.type for event in events(run) if paused.seq < event.seq < resumed.seq}
    assert {"config_applied", "validated", "checkpoint_saved"} <= meanwhile
    assert facts["steered"]["ended"] == "stopped"


def test_a_reverted_probation_takes_every_rank_back(facts: dict[str, Any]) -> None:
    run = facts["steered"]["run"]
    reverted = of_type(run, "config_reverted")[0]
    assert reverted.data["to_step"] == 20 < reverted.data["from_step"] == 21, "judged after each step"


def test_a_rollback_takes_every_rank_back(facts: dict[str, Any]) -> None:
    turn = of_type(facts["steered"]["run"], "rolled_back")[0]
    assert turn.data["to_step"] == 12
    assert facts["steered"]["step"] == 42, "the step of a validation, where they talk"


def test_a_replay_by_as_many_processes_is_identical(facts: dict[str, Any]) -> None:
    assert facts["steered"]["identical"], facts["steered"]["difference"]


def test_a_resume_by_as_many_processes_is_exact(facts: dict[str, Any]) -> None:
    assert facts["stopped_and_resumed"]["stopped_at"] == 12
    whole = of_type(facts["plain"]["run"], "checkpoint_saved")[-1]
    again = of_type(facts["stopped_and_resumed"]["run"], "checkpoint_saved")[-1]
    assert whole.step == again.step == 24
    assert rows(facts["stopped_and_resumed"]["run"], "loss/total") == rows(facts["plain"]["run"], "loss/total")
    assert again.data["files"]["model.safetensors"] == whole.data["files"]["model.safetensors"]
    assert not facts["stopped_and_resumed"]["said"]


def test_a_run_of_one_process_goes_on_with_two(facts: dict[str, Any], one: Steered) -> None:
    assert facts["from_one"]["ended"] == "finished"
    (line,) = [said for said in facts["from_one"]["said"] if "processes" in said]
    assert "one process and continues with 2 processes" in line and "not replay bit for bit" in line
    assert of_type(facts["from_one"]["run"], "restored")[-1].data["ranks"] == 2
    ours, theirs = rows(facts["from_one"]["run"], "loss/total"), rows(one.paths.root, "loss/total")
    assert ours[24] == pytest.approx(theirs[24], rel=LOSS_TOLERANCE)


def test_a_run_of_two_processes_goes_on_with_one(facts: dict[str, Any], one: Steered) -> None:
    from vsrpp.training.resume import prepare_resume

    said: list[str] = []
    run = Steered(prepare_resume(RunPaths(Path(facts["on_one_rank"]["run"])), say=said.append))
    assert run.train() == "finished"
    assert [line for line in said if "2 processes and continues with one process" in line]
    ours, theirs = rows(run.paths.root, "loss/total"), rows(one.paths.root, "loss/total")
    assert ours[24] == pytest.approx(theirs[24], rel=LOSS_TOLERANCE)


def test_the_record_says_how_many_trained_it(facts: dict[str, Any], one: Steered) -> None:
    assert of_type(facts["plain"]["run"], "started")[0].data["ranks"] == 2
    assert of_type(one.paths.root, "started")[0].data["ranks"] == 1


def test_a_step_that_is_no_number_on_one_rank_is_skipped_on_all(facts: dict[str, Any]) -> None:
    (skipped,) = of_type(facts["spoiled"]["run"], "non_finite")
    assert skipped.step == 6
    assert facts["spoiled"]["ended"] == "finished"


def test_losses_that_stay_no_number_on_one_rank_take_all_back_at_half_the_rate(facts: dict[str, Any]) -> None:
    run = facts["gone_back"]
    (back,) = of_type(run["run"], "rolled_back")
    assert (back.origin, back.data["from_step"], back.data["to_step"]) == ("non_finite", 15, 10)
    assert (run["ended"], run["step"]) == ("finished", 20)
    assert run["max_lr"] == pytest.approx(0.5 * of_type(run["run"], "started")[0].data["config"]["max_lr"])
    assert len(set(run["weights"])) == 1


def test_what_one_rank_cannot_read_is_replaced_on_all_from_the_next_meeting_on(facts: dict[str, Any]) -> None:
    bad = of_type(facts["on_two_disks"]["run"], "bad_sample")
    assert bad
    assert {event.data["rank"] for event in bad} == {1}
    assert {event.step for event in bad} <= {7, 10, 12, 14}
    for event in bad:
        assert event.data["from_index"] in {14, 24, 28}
        assert all(index % 2 == 1 and index < event.data["from_index"] for index in event.data["indexes"])
    assert facts["on_two_disks"]["difference"] is None
    assert facts["on_two_disks"]["identical"]
    assert len(set(facts["on_two_disks"]["weights"])) == 1


def test_a_flow_network_that_thaws_learns_on_every_rank(facts: dict[str, Any]) -> None:
    norms = rows(facts["thawing"]["run"], "grad_norm")
    assert sorted(norms) == [1, 2, 3, 4, 5, 6]
    assert facts["thawing"]["ended"] == "finished"


def test_three_processes_resume_exactly_though_sums_of_three_depend_on_their_order(
    tmp_path: Path, clips: Path, half_of_one: Steered
) -> None:
    found = together(3, tmp_path, clips, half_of_one.paths, "plain", "stopped_and_resumed")
    whole, again = found["plain"], found["stopped_and_resumed"]
    assert len(set(whole["weights"])) == len(set(again["weights"])) == 1
    files = [of_type(run["run"], "checkpoint_saved")[-1].data["files"]["model.safetensors"] for run in (whole, again)]
    assert files[0] == files[1]


def test_a_group_of_one_has_the_bits_of_a_process_by_itself(
    tmp_path: Path, clips: Path, half_of_one: Steered, one: Steered
) -> None:
    """torchrun with one process: gradients pass through DDP; nothing else differs."""
    found = together(1, tmp_path, clips, half_of_one.paths, "plain")["plain"]
    assert found["weights"] == [one.weights()]
