"""Real processes over gloo as a person sees them: their output, their end, and no process left over."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.launching import World
from tests.support.waiting import free_port, wait_until

pytestmark = pytest.mark.slow


def the_line(world: World) -> str:
    """The one line that reports the failure."""
    (line,) = [line for line in world.said.splitlines() if line.startswith("vsrpp: ")]
    assert "Traceback" not in world.said + world.printed
    return line


def kept(world: World) -> list[Path]:
    return list((world.folder / "tmp").glob("vsrpp-ranks-*"))


def test_every_rank_gets_the_same_words_and_a_world_that_ends_well_leaves_nothing(tmp_path: Path) -> None:
    with World(tmp_path, {"0": ["work:3", "print:hello"], "1": ["work:3", "say:a warning", "print:unheard"]}) as world:
        assert world.wait() == 0, world.said
        told = [world.trace(rank) for rank in (0, 1)]
        assert [(t["world"], t["local"], t["argv"]) for t in told] == [
            ("2", "0", ["train", "--devices", "2"]),
            ("2", "1", ["train", "--devices", "2"]),
        ]
        assert "hello" in world.printed.splitlines()
        assert "unheard" not in world.printed
        assert world.said.splitlines() == ["[rank 1] a warning"]
        assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGHUP, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 0)]
)
def test_a_signal_reaches_rank_0_which_ends_the_run_for_all_in_good_order(
    number: int, code: int, tmp_path: Path
) -> None:
    with World(tmp_path, {}, max_restarts=3) as world:
        world.works(0)
        world.works(1)
        world.signal(number)
        assert world.wait() == code, world.said
        assert "stopped in good order" in world.printed
        assert world.said == ""
        assert kept(world) == []


def test_a_killed_rank_ends_the_run_in_one_line_that_names_it(tmp_path: Path) -> None:
    with World(tmp_path, {"1": ["work:5", "say:I feel unwell", "kill"]}) as world:
        assert world.wait() == 1
        line = the_line(world)
        assert "rank 1 was killed by SIGKILL" in line
        assert "its last output: I feel unwell" in line
        assert "vsrpp train --resume run-1234 --devices 2" in line
        (folder,) = kept(world)
        assert str(folder) in line
        assert "I feel unwell" in (folder / "attempt_0" / "rank_1.err").read_text()


def test_a_killed_rank_is_started_again_with_all_others_and_finds_the_run_that_was_begun(tmp_path: Path) -> None:
    script = {"1@0": ["work:5", "kill"], "0@1": ["work:5"], "1@1": ["work:5"]}
    with World(tmp_path, script, max_restarts=2) as world:
        assert world.wait() == 0, world.said
        assert world.trace(0, attempt=0)["begun"] is None
        assert world.trace(0, attempt=1)["begun"] == str(tmp_path / "run-1234")
        (line,) = world.said.splitlines()
        assert "rank 1 was killed by SIGKILL" in line
        assert "restarted (1 of 2)" in line


def test_a_rank_that_dies_each_time_ends_the_run_after_as_many_restarts_as_were_allowed(tmp_path: Path) -> None:
    with World(tmp_path, {"1": ["work:2", "kill"]}, max_restarts=1) as world:
        assert world.wait() == 1
        assert world.said.count("restarted") == 1
        assert "rank 1 was killed by SIGKILL" in the_line(world)


@pytest.mark.parametrize("rank", [0, 1])
def test_what_a_rank_refuses_is_said_once_and_not_tried_again(rank: int, tmp_path: Path) -> None:
    script = {str(rank): ["say:vsrpp: no such data.", "end:2"]}
    with World(tmp_path, script, max_restarts=3) as world:
        assert world.wait() == 2, world.said
        assert "no such data" in the_line(world)
        assert ("rank 1" in the_line(world)) is (rank == 1)
        assert "restarted" not in world.said


def test_a_stalled_rank_is_not_waited_for_longer_than_the_timeout(tmp_path: Path) -> None:
    with World(tmp_path, {"1": ["work:3", "hang"]}, say={"VSRPP_RANK_TIMEOUT_S": "5"}) as world:
        assert world.wait() == 1
        assert "the others are gone" in the_line(world)


def test_a_launcher_that_is_killed_takes_its_ranks_along_in_good_order(tmp_path: Path) -> None:
    with World(tmp_path, {}) as world:
        world.works(0)
        world.works(1)
        world.signal(signal.SIGKILL)
        world.wait()
        wait_until(lambda: "stopped in good order" in world.printed)


def test_a_signal_before_the_ranks_are_up_leaves_nothing_behind(tmp_path: Path) -> None:
    with World(tmp_path, {}, max_restarts=3) as world:
        wait_until(lambda: kept(world) and (kept(world)[0] / "plan.json").exists())
        world.signal(signal.SIGTERM)
        assert world.wait() in {75, 128 + signal.SIGTERM}
        assert "Traceback" not in world.said


def test_two_hosts_meet_and_rank_0s_end_is_the_end_of_both(tmp_path: Path) -> None:
    meeting = {"devices": 1, "nodes": 2, "rendezvous": ("127.0.0.1", free_port())}
    with (
        World(tmp_path / "one", {}, **meeting, node_rank=0) as one,
        World(tmp_path / "two", {}, **meeting, node_rank=1) as two,
    ):
        one.works(0)
        two.works(1)
        one.signal()
        assert (one.wait(), two.wait()) == (75, 0), one.said + two.said
        assert "stopped in good order" in one.printed
        assert "works" not in two.printed


def test_a_rank_killed_on_another_host_is_named_there_and_both_hosts_start_again(tmp_path: Path) -> None:
    meeting = {"devices": 1, "nodes": 2, "rendezvous": ("127.0.0.1", free_port()), "max_restarts": 1}
    script = {"1@0": ["work:5", "kill"], "0@1": ["work:5"], "1@1": ["work:5"]}
    with (
        World(tmp_path / "one", script, **meeting, node_rank=0) as one,
        World(tmp_path / "two", script, **meeting, node_rank=1) as two,
    ):
        assert (one.wait(), two.wait()) == (0, 0), one.said + two.said
        assert "rank 1 was killed by SIGKILL" in two.said
        assert "rank 0 exited with code 1" in one.said


def test_a_host_that_never_comes_is_one_line(tmp_path: Path) -> None:
    meeting = {"devices": 1, "nodes": 2, "rendezvous": ("127.0.0.1", free_port()), "node_rank": 1, "timeout_s": 3}
    with World(tmp_path, {}, **meeting) as world:
        assert world.wait() == 1
        assert "the 2 hosts did not meet" in the_line(world)
