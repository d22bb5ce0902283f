"""train --devices N --nodes M: the world asked for, checked before anything is started. No torch here."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp.distributed import timeouts
from vsrpp.errors import Refused
from vsrpp.launch.request import TrainRequest
from vsrpp.launch.world import LAUNCHED, World

_COUNT_GPUS = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True, slots=True)
class Plan:
    """A world to be started: `devices` processes on each of `nodes` hosts."""

    devices: int
    nodes: int = 1
    node_rank: int = 0
    rendezvous: tuple[str, int] | None = None
    """Host and port where the hosts meet; that host is number 0 and has rank 0. None on one host."""
    max_restarts: int = 0
    timeout_s: int = int(timeouts.TIMEOUT_S)

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes

    @property
    def ranks(self) -> range:
        """The ranks of this host."""
        return range(self.node_rank * self.devices, (self.node_rank + 1) * self.devices)

    def __str__(self) -> str:
        processes = f"{self.devices} process{'es' if self.devices > 1 else ''}"
        return f"{processes} on each of {self.nodes} hosts" if self.nodes > 1 else f"{processes} on this host"


def plan(request: TrainRequest, world: World | None) -> Plan | None:
    """The world asked for; None where one process will do, or this is one of a world. Raises Refused."""
    options = [
        f"--{name.replace('_', '-')}"
        for name in ("devices", "nodes", "rendezvous", "node_rank", "max_restarts")
        if getattr(request, name) is not None
    ]
    if not options or LAUNCHED in os.environ:
        return None
    if world is not None:
        raise inside_a_world(options, world)
    nodes = 1 if request.nodes is None else request.nodes
    if nodes < 1:
        raise Refused(f"--nodes {nodes} refused: at least one host trains.")
    rendezvous = meeting(request.rendezvous, nodes)
    rank = node_rank(request.node_rank, nodes, rendezvous)
    restarts = 0 if request.max_restarts is None else request.max_restarts
    if restarts < 0:
        raise Refused(f"--max-restarts {restarts} refused: 0 or more; 0 ends the run when a process dies.")
    devices = device_count(request.devices)
    if devices * nodes == 1:
        if restarts:
            raise Refused("--max-restarts is for several processes: one that dies is continued with --resume.")
        return None
    _check_single_process_options(request)
    return Plan(devices, nodes, rank, rendezvous, restarts, int(timeouts.timeout_s()))


def inside_a_world(options: list[str], world: World) -> Refused:
    """The refusal of options that start processes, in a process that was itself started as one of several."""
    return Refused(
        f"{options[0]} starts processes, and this is process {world.rank} of {world.size} that {world.by} started:"
        f" leave {' and '.join(options)} out, and let {world.by} start one process for each GPU."
    )


def check(plan: Plan, run_config: dict[str, Any] | None) -> None:
    """Hold a plan against the run config, as far as it is known here, and this machine. Raises Refused."""
    device = (run_config or {}).get("device", "auto")
    gpus = 0 if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise Refused("device = cuda refused: there is no CUDA device here. Use device=cpu, or device=auto.")
    if gpus and plan.devices > gpus:
        raise Refused(
            f"--devices {plan.devices} refused: {gpus} GPU{'s are' if gpus > 1 else ' is'} visible here,"
            f" one for each process: --devices {gpus} (or device=cpu)"
        )
    batch, world = (run_config or {}).get("batch_size"), plan.world_size
    if batch is not None and batch % world:
        more = -(-batch // world) * world
        raise Refused(
            f"batch_size = {batch} refused: it is the batch of all {world} processes ({plan}), and cannot be"
            f" divided equally among them. Use batch_size={more}" + (f" or {more - world}." if more > world else ".")
        )
    if plan.rendezvous is not None and plan.node_rank == 0:
        _check_port(*plan.rendezvous)


def device_count(devices: str | None) -> int:
    """The number of processes that --devices asks for; 1 where it is not given. Raises Refused."""
    if devices is None:
        return 1
    if devices == "auto":
        return max(1, visible_gpus())
    if not devices.isdigit() or int(devices) < 1:
        raise Refused(
            f"--devices {devices} refused: a number of processes on this host, from 1, or auto for one a GPU."
        )
    return int(devices)


def _check_single_process_options(request: TrainRequest) -> None:
    """What one process can do and several cannot. Raises Refused."""
    if request.check:
        raise Refused("--check tries the run in one process: leave --devices and --nodes out of it.")
    if request.tui:
        raise Refused("--tui needs a run of one process; beside several, in a terminal of its own: vsrpp top latest")


# ---- several hosts
def meeting(address: str | None, nodes: int) -> tuple[str, int] | None:
    """(host, port) of --rendezvous; None on one host. Raises Refused."""
    if nodes == 1:
        if address:
            raise Refused("--rendezvous is where several hosts meet: give --nodes too, or leave it out.")
        return None
    if not address:
        raise Refused(
            f"--nodes {nodes} needs --rendezvous HOST:PORT, the same on every host: the host that has rank 0, and a"
            " free port there."
        )
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Refused(f"--rendezvous {address} refused: it must be HOST:PORT, with a port from 1 to 65535.")
    return host, int(port)


def node_rank(given: int | None, nodes: int, rendezvous: tuple[str, int] | None) -> int:
    """Which of the hosts this one is: the number given; else 0 on the rendezvous host, and 1 on the other of two.

    Raises Refused.
    """
    if rendezvous is None:
        if given:
            raise Refused(f"--node-rank {given} refused: there is one host, number 0. For several: --nodes")
        return 0
    if given is not None:
        if not 0 <= given < nodes:
            raise Refused(f"--node-rank {given} refused: of {nodes} hosts, ranks are 0 to {nodes - 1}.")
        return given
    if is_this_host(rendezvous[0]):
        return 0
    if nodes == 2:
        return 1
    raise Refused(
        f"--node-rank is missing: with {nodes} hosts, each but {rendezvous[0]} (0) must say which it is, 1 to {nodes - 1}."
    )


def is_this_host(name: str) -> bool:
    """Whether a name or address is one of this machine's. Raises Refused if nobody knows the name."""
    if name in {"localhost", "127.0.0.1", "::1", socket.gethostname()}:
        return True
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        raise Refused(f"--rendezvous {name} refused: no host of that name is known here.") from None
    import psutil

    own = {address.address for card in psutil.net_if_addrs().values() for address in card}
    return bool(addresses & own)


def _check_port(host: str, port: int) -> None:
    """The port where the others will call must be free on host 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise Refused(f"--rendezvous {host}:{port} refused: port {port} cannot be had here ({error}).") from None


# ---- GPUs
def visible_gpus() -> int:
    """GPUs that torch sees here, without importing torch into this process."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"} or not Path("/dev/nvidiactl").exists():
        return 0
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        counted = subprocess.run([sys.executable, "-c", _COUNT_GPUS], capture_output=True, text=True, timeout=120)
        return int(counted.stdout)
    return 0
