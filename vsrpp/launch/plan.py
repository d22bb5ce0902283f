"""train --devices N --nodes M: the processes to start, checked before any of them starts. Does not import torch."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsrpp import config
from vsrpp.distributed import timeouts
from vsrpp.errors import VsrppError
from vsrpp.launch import messages
from vsrpp.launch.request import TrainRequest
from vsrpp.launch.world import LAUNCHED, World

_COUNT_GPUS = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True, slots=True)
class Plan:
    """The processes to start: `devices` on each of `nodes` hosts."""

    devices: int
    nodes: int = 1
    node_rank: int = 0
    rendezvous: tuple[str, int] | None = None
    """Host and port where the hosts meet; that host is number 0 and runs rank 0. None with one host."""
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
    """The processes a request asks for; None if one process suffices or this process is already a rank. Raises Refused."""
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
        raise messages.NO_HOST(nodes=nodes)
    rendezvous = meeting(request.rendezvous, nodes)
    rank = node_rank(request.node_rank, nodes, rendezvous)
    restarts = 0 if request.max_restarts is None else request.max_restarts
    if restarts < 0:
        raise messages.NEGATIVE_RESTARTS(restarts=restarts)
    devices = device_count(request.devices)
    if devices * nodes == 1:
        if restarts:
            raise messages.RESTARTS_OF_ONE()
        return None
    _check_single_process_options(request)
    return Plan(devices, nodes, rank, rendezvous, restarts, int(timeouts.timeout_s()))


def inside_a_world(options: list[str], world: World) -> VsrppError:
    """The error for options that start processes, given to a process that was itself started as one of several."""
    return messages.STARTED_AS_RANK(
        option=options[0], rank=world.rank, size=world.size, by=world.by, options=" and ".join(options)
    )


def check(plan: Plan, run_config: dict[str, Any] | None) -> None:
    """Check a plan against this machine and the run config, if it is known. Raises Refused."""
    device = (run_config or {}).get("device", "auto")
    gpus = 0 if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise messages.NO_CUDA_DEVICE()
    if gpus and plan.devices > gpus:
        raise messages.MORE_DEVICES_THAN_GPUS(
            devices=plan.devices, gpus=f"{gpus} GPU{'s are' if gpus > 1 else ' is'}", fits=gpus
        )
    batch, world = (run_config or {}).get("batch_size"), plan.world_size
    if batch is not None and batch % world:
        more = -(-batch // world) * world
        fits = f"batch_size={more}" + (f" or {more - world}" if more > world else "")
        raise messages.BATCH_NOT_DIVISIBLE(batch_size=batch, processes=world, plan=plan, fits=fits)
    if plan.rendezvous is not None and plan.node_rank == 0:
        _check_port(*plan.rendezvous)


def device_count(devices: str | None) -> int:
    """The number of processes --devices asks for; 1 if it is not given. Raises Refused."""
    if devices is None:
        return 1
    if devices == "auto":
        return max(1, visible_gpus())
    try:
        count = config.read_whole(devices)
    except ValueError:
        count = 0
    if count < 1:
        raise messages.DEVICES_NOT_A_NUMBER(devices=devices)
    return count


def _check_single_process_options(request: TrainRequest) -> None:
    """Raises Refused for options that work with a single process only."""
    if request.check:
        raise messages.CHECK_WITH_RANKS()
    if request.tui:
        raise messages.TUI_WITH_RANKS()


# ---- several hosts
def meeting(address: str | None, nodes: int) -> tuple[str, int] | None:
    """(host, port) of --rendezvous; None on one host. Raises Refused."""
    if nodes == 1:
        if address:
            raise messages.RENDEZVOUS_OF_ONE()
        return None
    if not address:
        raise messages.RENDEZVOUS_MISSING(nodes=nodes)
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise messages.RENDEZVOUS_MALFORMED(address=address)
    return host, int(port)


def node_rank(given: int | None, nodes: int, rendezvous: tuple[str, int] | None) -> int:
    """The number of this host: as given, else 0 on the rendezvous host and 1 on the other of two. Raises Refused."""
    if rendezvous is None:
        if given:
            raise messages.NODE_RANK_OF_ONE(node_rank=given)
        return 0
    if given is not None:
        if not 0 <= given < nodes:
            raise messages.NODE_RANK_RANGE(node_rank=given, nodes=nodes, last=nodes - 1)
        return given
    if is_this_host(rendezvous[0]):
        return 0
    if nodes == 2:
        return 1
    raise messages.NODE_RANK_MISSING(nodes=nodes, host=rendezvous[0], last=nodes - 1)


def is_this_host(name: str) -> bool:
    """Whether a name or address belongs to this machine. Raises Refused if the name cannot be resolved."""
    if name in {"localhost", "127.0.0.1", "::1", socket.gethostname()}:
        return True
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
    except OSError:
        raise messages.RENDEZVOUS_UNKNOWN(host=name) from None
    import psutil

    own = {address.address for card in psutil.net_if_addrs().values() for address in card}
    return bool(addresses & own)


def _check_port(host: str, port: int) -> None:
    """Raises Refused unless the rendezvous port is free on this host, number 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise messages.PORT_TAKEN(host=host, port=port, cause=error) from None


# ---- GPUs
def visible_gpus() -> int:
    """The number of GPUs torch sees on this host, counted in a subprocess to avoid importing torch here."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"} or not Path("/dev/nvidiactl").exists():
        return 0
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        counted = subprocess.run([sys.executable, "-c", _COUNT_GPUS], capture_output=True, text=True, timeout=120)
        return int(counted.stdout)
    return 0
