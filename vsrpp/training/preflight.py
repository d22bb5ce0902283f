"""Before step 1 the ranks compare versions, config, data and devices, and stop with one line if they differ.

Rank 0 prepares the run and starts the comparison just before anything is written; the others attend it. If any rank
reports a problem, none of them trains.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from vsrpp import __version__, config, paths
from vsrpp.data import Data, open_data
from vsrpp.distributed.process_group import ProcessGroup, shared_out
from vsrpp.errors import Refused, VsrppError
from vsrpp.plugins import record as plugin_record
from vsrpp.training import messages
from vsrpp.training.machine import resolve_machine
from vsrpp.training.state import TrainingState

Asked = Mapping[str, Any] | None
"""Both configs as resolved from the command line; None if rank 0 has them from a record or a checkpoint."""


class RefusedByRank0(VsrppError):
    """This rank ends because of an error that rank 0 has already shown; there is no line to show."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class PreparedRank:
    """What a rank above 0 trains with; the config comes from rank 0."""

    run_config: dict[str, Any]
    data: Data
    device: torch.device
    group: ProcessGroup
    state: TrainingState


@dataclass(slots=True)
class Preflight:
    """Rank 0's side: a context manager around everything before training."""

    group: ProcessGroup = field(default_factory=ProcessGroup.single)
    asked: Asked = None
    _held: bool = False

    def hold(self, run_config: dict[str, Any], data: Data, device: torch.device) -> None:
        """Compare this rank's facts with those of all others. Raises Refused, with the same exit code on all ranks."""
        shared_out(int(run_config["batch_size"]), self.group.world_size)
        if not self.group.many:
            return
        asked = None if self.asked is None else _shown(self.asked)
        own = {"asked": asked, "fingerprint": data.fingerprint, **_facts(device)}
        plan = (run_config, asked is not None, plugin_record.sources(run_config), data.survey.record())
        self.group.broadcast(("plan", *plan))
        everyones = self.group.gather(own)
        self._held = True
        difference = next(
            (line for rank in range(1, len(everyones)) if (line := first_difference(rank, own, everyones[rank]))), None
        )
        difference = difference or shared_gpu(everyones)
        self.group.broadcast(("agreed",) if difference is None else ("refused", Refused.exit_code))
        if difference is not None:
            raise messages.PREFLIGHT(why=difference)
        self.group.begin()

    def __enter__(self) -> Preflight:
        return self

    def __exit__(self, _type: Any, error: BaseException | None, _trace: Any) -> None:
        """An error on rank 0 before training ends the other ranks, too; so does `--check`, which trains nothing."""
        if not self.group.many or self._held:
            return
        fault = self.group.peer_fault(error) if error is not None else None
        if fault is not None:
            raise fault from error
        code = error.exit_code if isinstance(error, VsrppError) else int(error is not None)
        self.group.broadcast(("refused", code))


def attend(group: ProcessGroup, asked: Callable[[], Asked]) -> PreparedRank:
    """On a rank above 0: prepare as rank 0 did, and obey its verdict.

    `asked` resolves this rank's own command line; its error is reported to rank 0. Raises RefusedByRank0 if nothing
    will be trained.
    """
    word: Any = group.broadcast(None)
    if word[0] != "plan":
        raise RefusedByRank0(word[1])
    _, run_config, comparing, sources, left_out = word
    share, report = _looked(group, run_config, asked if comparing else lambda: None, sources, left_out)
    group.gather(report)
    verdict: Any = group.broadcast(None)
    if verdict[0] != "agreed" or share is None:
        raise RefusedByRank0(verdict[1])
    group.begin()
    return share


def _looked(
    group: ProcessGroup, run_config: dict[str, Any], asked: Callable[[], Asked], sources: plugin_record.Sources,
    left_out: Mapping[str, Any],
) -> tuple[PreparedRank | None, dict[str, Any]]:  # fmt: skip
    """This rank's preparation and facts, or its error."""
    try:
        own = asked()
        plugin_record.adopt(run_config, sources)
        device = resolve_machine(run_config, group.local_rank)
        data = open_data(run_config, cache_dir=paths.cache_dir(), started=left_out)
        state = TrainingState(run_config, device, fresh=False)
    except (VsrppError, OSError, RuntimeError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, {"host": socket.gethostname(), "error": line}
    facts = {"asked": None if own is None else _shown(own), "fingerprint": data.fingerprint, **_facts(device)}
    return PreparedRank(run_config, data, device, group, state), facts


def _facts(device: torch.device) -> dict[str, Any]:
    cuda = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "host": socket.gethostname(), "gpu": str(cuda.uuid) if cuda else None,
        "vsrpp": __version__, "torch": str(torch.__version__), "python": platform.python_version(),
        "device": cuda.name if cuda else "cpu",
    }  # fmt: skip


def _shown(asked: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in asked.items() if key not in config.PRIVATE}
    if shown.get("plugins"):
        shown["plugins"] = config.format_value("plugins", shown["plugins"])
    return shown


def first_difference(rank: int, own: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """One line on the first difference between `rank` and rank 0; None if there is none."""
    who = f"rank {rank} ({theirs['host']})"
    if "error" in theirs:
        return f"{who} cannot train: {theirs['error']}"
    for name in ("vsrpp", "torch", "python", "device"):
        if own[name] != theirs[name]:
            return f"{who} has {name} {theirs[name]}, but rank 0 has {own[name]}: all ranks must have the same."
    if own["asked"] is not None and theirs["asked"] is not None:
        for key, value in own["asked"].items():
            other = theirs["asked"].get(key)
            if other != value:
                return f"{who} was started with {key} = {other!r}, but rank 0 with {value!r}: use the same options."
    if own["fingerprint"] != theirs["fingerprint"]:
        return f"{who} has different data than rank 0 at the same path: all ranks must read the same files."
    return None


def shared_gpu(everyones: list[dict[str, Any]]) -> str | None:
    seen: dict[tuple[str, str], int] = {}
    for rank, facts in enumerate(everyones):
        if facts["gpu"] is None:
            continue
        first = seen.setdefault((facts["host"], facts["gpu"]), rank)
        if first != rank:
            return f"rank {rank} ({facts['host']}) would train on the GPU of rank {first}: start one process per GPU."
    return None
