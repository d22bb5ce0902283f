"""Everything a step changes, captured and restored exactly: network, EMA, optimizer, controller, RNGs, position."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsrpp import losses, models
from vsrpp.checkpoints import messages
from vsrpp.checkpoints.documents import one_line
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.controller.controller import Controller
from vsrpp.models.compiled import compile_trunks
from vsrpp.paths import CheckpointPaths
from vsrpp.training.optimizers import build_optimizer, load_moments
from vsrpp.training.progress import Convergence

RECENT_STEPS = 20


class TrainingState:
    """The live objects. All randomness derives from `seed`."""

    def __init__(self, run_config: dict[str, Any], device: torch.device, *, fresh: bool = True) -> None:
        """`fresh`: whether to load the `pretrained` file; off if a captured state is restored next.

        Raises NotFound or Refused for a weight file that is missing or does not fit.
        """
        self.device = device
        seed = int(run_config["seed"])
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        network = models.build(run_config)
        if fresh and run_config.get("pretrained"):
            models.load_pretrained(
                network, run_config["pretrained"], partial=bool(run_config.get("pretrained_partial"))
            )
        if run_config.get("channels_last"):  # inputs follow the layout of the weights
            network.to(memory_format=torch.channels_last)
        self.model: nn.Module = network.to(device)
        self.model_ema: nn.Module = copy.deepcopy(self.model).requires_grad_(False).eval()
        if run_config.get("compile"):
            compile_trunks(network)  # in place: keys are unchanged, and the EMA's copy is not compiled
        self.losses = losses.build(run_config).to(device)
        flow = models.flow_network_of(network)
        self._flow: list[nn.Parameter] = list(flow.parameters()) if flow is not None else []
        self._flow_freeze_steps = int(run_config.get("flow_freeze_steps", 0))
        self._run_config = run_config
        self.optimizer = build_optimizer(run_config, self._groups())
        flow_ratio = float(run_config.get("flow_lr_ratio", 1.0))
        self.rate_ratios: list[float] = [1.0, flow_ratio][: len(self.optimizer.param_groups)]
        """Each group's ratio to the scheduled rate; unaffected by live changes of the rate."""
        self.scaler = torch.amp.GradScaler(device.type, enabled=run_config["precision"] == "fp16")
        """Scales the loss under fp16; a no-op otherwise."""
        self.overflows = 0
        """Steps skipped because the loss was scaled too high."""
        self.controller = Controller(run_config)
        self.ema_decay = float(run_config["ema_decay"])
        self.skipped_in_a_row = 0
        """Consecutive steps skipped because the loss or a gradient was not finite."""
        self.asked_quality: tuple[float, float] | None = None
        """(quality, sharpness) of a requested validation; the controller sees it at the next step."""
        self.recent: list[dict[str, float]] = []
        """Loss terms and gradient norm of the last `RECENT_STEPS` steps: the baseline for an edit on probation."""
        self.convergence = Convergence()
        self.unfinished: dict[str, Any] | None = None
        """The result of the newest step while its validation, which the controller must see, is still to be made."""
        self.step = 0

    def _groups(self) -> list[dict[str, Any]]:
        """One group of weights, or two with the flow network last, which learns at its own rate."""
        apart = {id(parameter) for parameter in self._flow}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in apart]
        return [{"params": group} for group in (rest, self._flow) if group]

    def set_rate(self, rate: float) -> None:
        """Before a step: set the scheduled rate in every group, and freeze or unfreeze the flow network.

        A frozen weight has no gradient, so it neither counts in the gradient norm nor accumulates moments.
        """
        flow_learns = self.step >= self._flow_freeze_steps and self.rate_ratios[-1] > 0
        for parameter in self._flow:
            parameter.requires_grad_(flow_learns)
        for group, ratio in zip(self.optimizer.param_groups, self.rate_ratios, strict=True):
            group["lr"] = rate * ratio

    def update_ema(self) -> None:
        """Move the EMA toward the weights; the decay grows with the step, so that early weights fade quickly."""
        decay = min(self.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.model_ema.parameters()), list(self.model.parameters()), 1.0 - decay)

    def capture(self, live: dict[str, Any]) -> Snapshot:
        """Copy everything to the CPU; this is the only part of a checkpoint that training waits for."""
        rest = {
            "optimizer": _copied(self.optimizer.state_dict()),
            "scaler": self.scaler.state_dict(),
            "overflows": self.overflows,
            "controller": _copied(self.controller.state()),
            "skipped_in_a_row": self.skipped_in_a_row,
            "asked_quality": self.asked_quality,
            "recent": _copied(self.recent),
            "convergence": self.convergence.to_state(),
            "random": _random_state(self.device),
            **({"unfinished": _copied(self.unfinished)} if self.unfinished else {}),
        }
        return Snapshot(self.step, dict(live), _weights(self.model), _weights(self.model_ema), rest)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore a captured state in place. Raises RuntimeError if the weights do not fit the network."""
        self.model.load_state_dict(snapshot.model)
        self.model_ema.load_state_dict(snapshot.model_ema)
        load_moments(self.optimizer, _copied(snapshot.rest["optimizer"]), self._run_config)
        if self.scaler.is_enabled() and snapshot.rest.get("scaler"):  # the other run may use another precision
            self.scaler.load_state_dict(snapshot.rest["scaler"])
        self.overflows = int(snapshot.rest.get("overflows", 0))
        self.controller.load(_copied(snapshot.rest["controller"]))
        self.skipped_in_a_row = int(snapshot.rest["skipped_in_a_row"])
        requested = snapshot.rest["asked_quality"]
        self.asked_quality = tuple(requested) if requested else None
        self.recent = _copied(snapshot.rest["recent"])
        self.convergence.load(snapshot.rest.get("convergence", {}))
        _set_random_state(snapshot.rest["random"], self.device)
        self.unfinished = _copied(snapshot.rest.get("unfinished"))
        self.step = snapshot.step


def check_restores(snapshot: Snapshot, run_config: dict[str, Any], folder: CheckpointPaths) -> None:
    """Restore a state once, on the CPU, into objects that are thrown away; random generators stay as they are.

    So whatever is wrong with it is found before anything is written or replaced. Raises Refused.
    """
    cpu = torch.device("cpu")
    before = _random_state(cpu)
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=devices):
            TrainingState({**run_config, "compile": False}, cpu, fresh=False).restore(snapshot)
    except Exception as error:
        raise messages.NOT_RESTORED(folder=folder.root, cause=one_line(error)) from error
    finally:
        _set_random_state(before, cpu)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in module.state_dict().items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(item) for item in value)
    return value


def _random_state(device: torch.device) -> dict[str, Any]:
    kind, keys, position, has_gauss, cached = np.random.get_state()
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [
            str(kind),
            torch.from_numpy(np.array(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": [version, list(words), gauss],
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["torch"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
