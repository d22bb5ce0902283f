"""train --devices N --nodes M: what is asked for, checked before anything is started. No torch here."""

from __future__ import annotations

import argparse
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
        one = f"{self.devices} process{'es' if self.devices > 1 else ''}"
        return f"{one} on each of {self.nodes} hosts" if self.nodes > 1 else f"{one} on this host"


def plan(options: argparse.Namespace, world: World | None) -> Plan | None:
    """The world asked for; None where one process will do, or this is one of a world. Raises Refused."""
    asked = [
        f"--{name.replace('_', '-')}"
        for name in ("devices", "nodes", "rendezvous", "node_rank", "max_restarts")
        if getattr(options, name) is not None
    ]
    if not asked or LAUNCHED in os.environ:
        return None
    if world is not None:
        raise Refused(
            f"{asked[0]} starts processes, and this is process {world.rank} of {world.size} that {world.by} started:"
            f" leave {' and '.join(asked)} out, and let {world.by} start one process for each GPU."
        )
    nodes = 1 if options.nodes is None else options.nodes
    if nodes < 1:
        raise Refused(f"--nodes {nodes} refused: at least one host trains.")
    hosts_meet_at = meeting(options.rendezvous, nodes)
    rank = node_rank(options.node_rank, nodes, hosts_meet_at)
    restarts = 0 if options.max_restarts is None else options.max_restarts
    if restarts < 0:
        raise Refused(f"--max-restarts {restarts} refused: 0 or more; 0 ends the run when a process dies.")
    devices = _devices(options.devices)
    if devices * nodes == 1:
        if restarts:
            raise Refused("--max-restarts is for several processes: one that dies is continued with --resume.")
        return None
    _check_company(options)
    return Plan(devices, nodes, rank, hosts_meet_at, restarts, int(timeouts.timeout_s()))


def check(wanted: Plan, run_config: dict[str, Any] | None) -> None:
    """Hold a plan against the run config, as far as it is known here, and this machine. Raises Refused."""
    device = (run_config or {}).get("device", "auto")
    gpus = 0 if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise Refused("device = cuda refused: there is no CUDA device here. Use device=cpu, or device=auto.")
    if gpus and wanted.devices > gpus:
        raise Refused(
            f"--devices {wanted.devices} refused: {gpus} GPU{'s are' if gpus > 1 else ' is'} visible here,"
            f" one for each process: --devices {gpus} (or device=cpu)"
        )
    batch, world = (run_config or {}).get("batch_size"), wanted.world_size
    if batch is not None and batch % world:
        more = -(-batch // world) * world
        raise Refused(
            f"batch_size = {batch} refused: it is the batch of all {world} processes ({wanted}), and cannot be"
            f" divided equally among them. Use batch_size={more}" + (f" or {more - world}." if more > world else ".")
        )
    if wanted.rendezvous is not None and wanted.node_rank == 0:
        _check_port(*wanted.rendezvous)


def _devices(said: str | None) -> int:
    if said is None:
        return 1
    if said == "auto":
        return max(1, visible_gpus())
    if not said.isdigit() or int(said) < 1:
        raise Refused(f"--devices {said} refused: a number of processes on this host, from 1, or auto for one a GPU.")
    return int(said)


def _check_company(options: argparse.Namespace) -> None:
    """What one process can do and several cannot."""
    if options.check:
        raise Refused("--check tries the run in one process: leave --devices and --nodes out of it.")
    if options.tui:
        raise Refused("--tui needs a run of one process; beside several, in a terminal of its own: vsrpp top latest")


# ---- several hosts
def meeting(said: str | None, nodes: int) -> tuple[str, int] | None:
    if nodes == 1:
        if said:
            raise Refused("--rendezvous is where several hosts meet: give --nodes too, or leave it out.")
        return None
    if not said:
        raise Refused(
            f"--nodes {nodes} needs --rendezvous HOST:PORT, the same on every host: the host that has rank 0, and a"
            " free port there."
        )
    host, _, port = said.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Refused(f"--rendezvous {said} refused: it must be HOST:PORT, with a port from 1 to 65535.")
    return host, int(port)


def node_rank(said: int | None, nodes: int, meet_at: tuple[str, int] | None) -> int:
    """Which of the hosts this one is: what was said; else 0 on the rendezvous host, and 1 on the other of two."""
    if meet_at is None:
        if said:
            raise Refused(f"--node-rank {said} refused: there is one host, number 0. For several: --nodes")
        return 0
    if said is not None:
        if not 0 <= said < nodes:
            raise Refused(f"--node-rank {said} refused: of {nodes} hosts, ranks are 0 to {nodes - 1}.")
        return said
    if is_this_host(meet_at[0]):
        return 0
    if nodes == 2:
        return 1
    raise Refused(
        f"--node-rank is missing: with {nodes} hosts, each but {meet_at[0]} (0) must say which it is, 1 to {nodes - 1}."
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

    mine = {address.address for card in psutil.net_if_addrs().values() for address in card}
    return bool(addresses & mine)


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
        asked = subprocess.run([sys.executable, "-c", _COUNT_GPUS], capture_output=True, text=True, timeout=120)
        return int(asked.stdout)
    return 0
