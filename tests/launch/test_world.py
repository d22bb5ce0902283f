"""How a process learns its rank: from torchrun's environment, from Slurm's, or not at all."""

from __future__ import annotations

import os

import pytest

from vsrpp.errors import Refused
from vsrpp.launch import world

STEP = {
    "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1",
    "SLURM_NTASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_JOB_NODELIST": "gpu[07-08]",
}  # fmt: skip


@pytest.mark.parametrize(
    ("nodelist", "hosts"),
    [
        ("node1", ["node1"]),
        ("node[01-04,07]", ["node01", "node02", "node03", "node04", "node07"]),
        ("a[9-11],login,b[1]", ["a9", "a10", "a11", "login", "b1"]),
        ("rack[1-2]-node[3,5].local", ["rack1-node3.local", "rack1-node5.local", "rack2-node3.local", "rack2-node5.local"]),
        ("", []),
    ],
)  # fmt: skip
def test_slurms_short_form_of_hosts_is_read(nodelist: str, hosts: list[str]) -> None:
    assert list(world.hosts(nodelist)) == hosts


@pytest.mark.parametrize("nodelist", ["node[01-", "node[a-b]", "node]1["])
def test_a_list_of_hosts_that_cannot_be_read_is_refused_and_says_what_to_set(nodelist: str) -> None:
    with pytest.raises(Refused, match="MASTER_ADDR"):
        list(world.hosts(nodelist))


def test_a_task_of_a_slurm_step_is_told_in_torchruns_words() -> None:
    env = dict(STEP)
    assert world.adopt_slurm(env) == world.World(5, 8, 1, "Slurm")
    told = {key: env[key] for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")}
    assert told == {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "gpu07"}
    other = {**STEP, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    world.adopt_slurm(other)
    assert other["MASTER_PORT"] == env["MASTER_PORT"], "all tasks choose the same port"
    assert 1024 < int(env["MASTER_PORT"]) < 32768
    assert world.slurm_port("4712") != world.slurm_port("4711")


def test_what_the_user_set_for_a_slurm_step_stays() -> None:
    env = {**STEP, "MASTER_ADDR": "head", "MASTER_PORT": "9999"}
    world.adopt_slurm(env)
    assert (env["MASTER_ADDR"], env["MASTER_PORT"]) == ("head", "9999")


@pytest.mark.parametrize(
    "env",
    [
        {},
        {key: value for key, value in STEP.items() if key != "SLURM_STEP_ID"},  # the batch script itself
        {**STEP, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        {**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},  # srun -n 1 in a job of eight tasks
    ],
)
def test_one_process_alone_is_no_world(env: dict[str, str]) -> None:
    before = dict(env)
    assert world.adopt_slurm(env) is None
    assert env == before


def test_torchruns_words_come_before_slurms() -> None:
    env = {**STEP, "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    assert world.adopt_slurm(env) == world.World(1, 2, 1, "torchrun")


@pytest.mark.parametrize(
    "env", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x", "WORLD_SIZE": "2"}, {**STEP, "SLURM_PROCID": "8"}]
)
def test_a_world_that_makes_no_sense_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(Refused):
        world.of_environment(env)


def test_tasks_that_slurm_bound_to_cores_of_their_own_do_not_share_them_again() -> None:
    cores = len(os.sched_getaffinity(0))
    shared, bound = {**STEP, "SLURM_CPUS_PER_TASK": str(cores - 1)}, {**STEP, "SLURM_CPUS_PER_TASK": str(cores)}
    for env in (shared, bound):
        world.adopt_slurm(env)
    assert ("LOCAL_WORLD_SIZE" in shared, "LOCAL_WORLD_SIZE" in bound) == (True, False)


def test_what_a_rank_starts_beside_the_training_takes_itself_for_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "x", "VSRPP_ELASTIC_FILE": "/x"}
    for name, value in {**STEP, **ranks, "RANK": "0", "WORLD_SIZE": "2", "VSRPP_RUNS": "/runs"}.items():
        monkeypatch.setenv(name, value)
    started = world.environment_alone()
    assert world.adopt_slurm(dict(started)) is None
    assert not {*ranks, "RANK", "WORLD_SIZE"} & started.keys()
    assert started["VSRPP_RUNS"] == "/runs"
