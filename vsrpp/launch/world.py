"""Finds out from the environment whether torchrun or Slurm started this process as a rank. Does not import torch.

torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Slurm's `srun` sets its own variables, which
`adopt_slurm` translates into torchrun's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass

from vsrpp.errors import ERROR_FILE, VsrppError
from vsrpp.launch import messages

LAUNCHED = "VSRPP_LAUNCHED"
"""Set for ranks started by `vsrpp train --devices`, which must not act on the options that start ranks."""
_OF_A_WORLD = re.compile(
    r"((LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+|SLURM_PROCID"
    r"|VSRPP_(LAUNCHED|RANKS|ELASTIC_FILE))"
)
_SLURM_PORTS = (15_000, 10_000)
"""First port and number of ports for Slurm jobs; below the ephemeral ports of operating systems."""


@dataclass(frozen=True, slots=True)
class World:
    """The place of this process among those that train one run."""

    rank: int
    size: int
    local_rank: int
    by: str
    """`torchrun` or `Slurm`."""


def of_environment(environment: Mapping[str, str] | None = None) -> World | None:
    """The world this process belongs to; None if it is the only one. Raises Refused if the environment is inconsistent."""
    env = os.environ if environment is None else environment
    if "RANK" in env and "WORLD_SIZE" in env:
        rank, size = _number(env, "RANK"), _number(env, "WORLD_SIZE")
        return _checked(World(rank, size, _number(env, "LOCAL_RANK", rank), "torchrun"))
    return _of_slurm(env)


def adopt_slurm(environment: MutableMapping[str, str] | None = None) -> World | None:
    """Set torchrun's variables from Slurm's if `srun` started several tasks. Returns the world, as `of_environment`."""
    env = os.environ if environment is None else environment
    world = of_environment(env)
    if world is None or world.by != "Slurm":
        return world
    nodes = list(hosts(env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST") or ""))
    if not nodes and "MASTER_ADDR" not in env:
        raise messages.NO_SLURM_HOSTS()
    env.update(RANK=str(world.rank), WORLD_SIZE=str(world.size), LOCAL_RANK=str(world.local_rank))
    if not _has_cores_of_its_own(env):
        env.setdefault("LOCAL_WORLD_SIZE", str(_tasks_here(env, world)))  # they share the host's cores
    env.setdefault("MASTER_ADDR", nodes[0] if nodes else "")
    env.setdefault("MASTER_PORT", str(slurm_port(env.get("SLURM_JOB_ID", "0"), env.get("SLURM_STEP_ID", "0"))))
    return world


def environment_alone() -> dict[str, str]:
    """The environment for processes beside a rank, so that they neither act as ranks nor report errors."""
    return {name: value for name, value in os.environ.items() if not _OF_A_WORLD.fullmatch(name) and name != ERROR_FILE}


def _of_slurm(env: Mapping[str, str]) -> World | None:
    """The world of a Slurm job step with several tasks. A batch script has SLURM_PROCID as well, but no step."""
    tasks = env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS")
    if "SLURM_PROCID" not in env or not tasks or not env.get("SLURM_STEP_ID", "").isdigit():
        return None
    size = _number({"SLURM_NTASKS": tasks}, "SLURM_NTASKS")
    if size == 1:
        return None
    rank = _number(env, "SLURM_PROCID")
    return _checked(World(rank, size, _number(env, "SLURM_LOCALID", 0), "Slurm"))


def _checked(world: World) -> World:
    if not 0 <= world.rank < world.size:
        raise messages.RANK_RANGE(rank=world.rank, size=world.size, last=world.size - 1)
    return world


def _number(env: Mapping[str, str], name: str, default: int | None = None) -> int:
    value = env.get(name)
    if value is None and default is not None:
        return default
    try:
        return int(value or "")
    except ValueError:
        raise messages.NOT_AN_INTEGER(name=name, value=value) from None


def slurm_port(job_id: str, step_id: str = "0") -> int:
    """A port that is equal for all tasks of a job step and rarely equal for two jobs on one host."""
    first, many = _SLURM_PORTS
    digits = re.sub(r"\D", "", job_id) or "0"
    return first + (int(digits) * 7 + int(re.sub(r"\D", "", step_id) or "0")) % many


def _tasks_here(env: Mapping[str, str], world: World) -> int:
    """The number of tasks of this step on this host, from a list such as `4(x2),3`."""
    tasks = env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE") or ""
    counts: list[int] = []
    for part in tasks.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if match:
            counts += [int(match[1])] * int(match[2] or 1)
    place = _number(env, "SLURM_NODEID", 0)
    return counts[place] if place < len(counts) else world.local_rank + 1


def _has_cores_of_its_own(env: Mapping[str, str]) -> bool:
    """Whether Slurm has bound this task to the cores it requested."""
    asked = env.get("SLURM_CPUS_PER_TASK", "")
    return asked.isdigit() and len(os.sched_getaffinity(0)) <= int(asked)


def hosts(nodelist: str) -> Iterator[str]:
    """Expand Slurm's host list: `node[01-03,07],login` gives node01, node02, node03, node07, login.

    Raises Refused if it cannot be parsed.
    """
    if re.search(r"[\[\]]", re.sub(r"\[[^\[\]]*\]", "", nodelist)):
        raise _unreadable(nodelist)
    for part in re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", nodelist):
        yield from _expanded(part.strip())


def _unreadable(nodelist: str) -> VsrppError:
    return messages.UNREADABLE_HOSTS(nodelist=nodelist)


def _expanded(part: str) -> Iterator[str]:
    match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]+)\](.*)", part)
    if match is None:
        yield part
        return
    head, ranges, tail = match.groups()
    for span in ranges.split(","):
        first, _, last = span.partition("-")
        last = last or first
        if not (first.isdigit() and last.isdigit()):
            raise _unreadable(part)
        for number in range(int(first), int(last) + 1):
            for rest in _expanded(tail) if tail else ("",):
                yield f"{head}{number:0{len(first)}d}{rest}"
