"""Everything a step changes: network, EMA, optimizer, controller, random generators, position. Captured and put back exactly."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vsrpp import losses, models
from vsrpp.checkpoints.snapshot import Snapshot
from vsrpp.controller.controller import Controller
from vsrpp.models.compiled import compile_trunks
from vsrpp.training.progress import Convergence

RECENT_STEPS = 20


class TrainingState:
    """The live objects. Everything random about it comes from `seed` alone."""

    def __init__(self, run_config: dict[str, Any], device: torch.device, *, fresh: bool = True) -> None:
        """`fresh`: whether a `pretrained` file is read; not where the state is about to be restored anyway.

        Raises NotFound or Refused for a weight file that is not there or does not fit.
        """
        self.device = device
        seed = int(run_config["seed"])
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        network = models.build(run_config)
        if fresh and run_config.get("pretrained"):
            models.load_pretrained(network, run_config["pretrained"])
        if run_config.get("channels_last"):  # pictures follow the weights they meet
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model: nn.Module = network.to(device)
        self.model_ema: nn.Module = copy.deepcopy(self.model).requires_grad_(False).eval()
        if run_config.get("compile"):
            compile_trunks(network)  # in place: keys stay as they are, and the EMA's copy is not compiled
        self.losses = losses.build(run_config).to(device)
        flow = network.flow_network()
        self._flow: list[nn.Parameter] = list(flow.parameters()) if flow is not None else []
        self._flow_freeze_steps = int(run_config.get("flow_freeze_steps", 0))
        self.optimizer = torch.optim.AdamW(
            self._groups(),
            lr=0.0,
            betas=(0.9, 0.99),
            weight_decay=float(run_config["weight_decay"]),
            fused=True,
        )
        flow_ratio = float(run_config.get("flow_lr_ratio", 1.0))
        self.rate_ratios: list[float] = [1.0, flow_ratio][: len(self.optimizer.param_groups)]
        """Every group's share of the scheduled rate; kept through every live change of it."""
        self.scaler = torch.amp.GradScaler(device.type, enabled=run_config["precision"] == "fp16")
        """Of the loss under fp16; otherwise it lets everything through as it is."""
        self.overflows = 0
        """Steps skipped because the loss was scaled too high."""
        self.controller = Controller(run_config)
        self.ema_decay = float(run_config["ema_decay"])
        self.skipped_in_a_row = 0
        """Steps skipped one after the other because the loss or a gradient was not finite."""
        self.asked_quality: tuple[float, float] | None = None
        """(quality, sharpness) of a validation asked for by hand; the controller sees it with the next step."""
        self.recent: list[dict[str, float]] = []
        """Terms and gradient norm of the last `RECENT_STEPS` steps: what an edit on probation is held against."""
        self.convergence = Convergence()
        self.step = 0

    def _groups(self) -> list[dict[str, Any]]:
        """One group of weights, or two with the flow network last: it learns at a rate of its own."""
        apart = {id(parameter) for parameter in self._flow}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in apart]
        return [{"params": group} for group in (rest, self._flow) if group]

    def set_rate(self, rate: float) -> None:
        """Before a step: the scheduled rate into every group; the flow network rests while it is frozen.

        A frozen weight has no gradient, so it neither counts in the gradient norm nor gathers moments.
        """
        flow_learns = self.step >= self._flow_freeze_steps and self.rate_ratios[-1] > 0
        for parameter in self._flow:
            parameter.requires_grad_(flow_learns)
        for group, ratio in zip(self.optimizer.param_groups, self.rate_ratios, strict=True):
            group["lr"] = rate * ratio

    def _lay_out_moments(self) -> None:
        """A fused AdamW takes for granted that moments lie in memory as their weights do; those of another run may not."""
        for parameter, moments in self.optimizer.state.items():
            for name, tensor in moments.items():
                if tensor.shape == parameter.shape and tensor.stride() != parameter.stride():
                    moments[name] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)

    def update_ema(self) -> None:
        """Move the EMA toward the weights; the decay grows with the step, so that early weights do not linger."""
        decay = min(self.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.model_ema.parameters()), list(self.model.parameters()), 1.0 - decay)

    def capture(self, live: dict[str, Any]) -> Snapshot:
        """Copy everything to the CPU; training waits for this alone when a checkpoint is due."""
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
        }
        return Snapshot(self.step, dict(live), _weights(self.model), _weights(self.model_ema), rest)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a captured state, in place. Raises RuntimeError if the weights do not fit the network."""
        self.model.load_state_dict(snapshot.model)
        self.model_ema.load_state_dict(snapshot.model_ema)
        self.optimizer.load_state_dict(_copied(snapshot.rest["optimizer"]))
        self._lay_out_moments()
        if self.scaler.is_enabled() and snapshot.rest.get("scaler"):  # a run may go on from one in another precision
            self.scaler.load_state_dict(snapshot.rest["scaler"])
        self.overflows = int(snapshot.rest.get("overflows", 0))
        self.controller.load(_copied(snapshot.rest["controller"]))
        self.skipped_in_a_row = int(snapshot.rest["skipped_in_a_row"])
        asked = snapshot.rest["asked_quality"]
        self.asked_quality = tuple(asked) if asked else None
        self.recent = _copied(snapshot.rest["recent"])
        self.convergence.load(snapshot.rest.get("convergence", {}))
        _set_random_state(snapshot.rest["random"], self.device)
        self.step = snapshot.step


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
