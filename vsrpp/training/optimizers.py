"""The optimizers by their name in `optimizer`: torch's own, with the arguments that VSR++ fixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from vsrpp.plugins import registry

DEFAULT = "adamw"
"""The optimizer of records without `optimizer`."""
BETAS = (0.9, 0.99)
"""The betas of records without `beta1` and `beta2`."""

OptimizerClass = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: dict[str, OptimizerClass] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
}
"""Called with the parameter groups, `lr`, `betas` and `weight_decay`.

Weight decay is decoupled from the gradient in `adamw` (arXiv:1711.05101); in the others, with torch's defaults, it is
an L2 penalty in the gradient. `nadam` is Dozat's Adam with Nesterov momentum, `radam` the rectified Adam of
arXiv:1908.03265.
"""


def optimizer_name(run_config: Mapping[str, Any]) -> str:
    """The optimizer of a run, also of a record from before there was a choice."""
    return str(run_config.get("optimizer") or DEFAULT)


def build_optimizer(run_config: Mapping[str, Any], groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The run's optimizer for these parameter groups, at rate 0 until the schedule sets one. Raises KeyError.

    That of a plug-in is called with the groups, `weight_decay` and its own parameters.
    """
    name = optimizer_name(run_config)
    foreign = None if name in OPTIMIZERS else registry.provided(run_config, "optimizer", name)
    if foreign is None:
        return OPTIMIZERS[name](groups, lr=0.0, **_settings(run_config))
    settings = registry.parameters(run_config, "optimizer", name, run_config)
    optimizer: torch.optim.Optimizer = foreign(groups, weight_decay=float(run_config["weight_decay"]), **settings)
    return optimizer


def check(run_config: Mapping[str, Any]) -> None:
    """Try a plug-in's optimizer on one weight. Raises Refused, with file and line, if it does not fit."""
    name = optimizer_name(run_config)
    trial = None if name in OPTIMIZERS else registry.Trial.of(run_config, "optimizer", name)
    if trial is None:
        return
    weight = torch.nn.Parameter(torch.ones(4))
    with trial.attempt():
        optimizer: Any = build_optimizer(run_config, [{"params": [weight]}])
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        weight.grad = torch.ones(4)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise trial.refusal(f"it makes a {type(optimizer).__name__}, not a torch.optim.Optimizer")
    if bool((weight == 1).all()):
        raise trial.refusal("a step leaves the weight as it was")


def load_moments(optimizer: torch.optim.Optimizer, state: dict[str, Any], run_config: Mapping[str, Any]) -> None:
    """Load an optimizer's captured state, in place. An empty one gives fresh moments.

    Betas and weight decay are those of the run config, not of the state, which may be another run's (`--from`); in a
    record without `optimizer`, those of the state.
    """
    if not state:
        optimizer.state.clear()
        return
    optimizer.load_state_dict(state)
    for parameter, moments in optimizer.state.items():
        for name, tensor in moments.items():
            # Fused optimizers need the weight's memory layout, which another run's moments may not have.
            if tensor.shape == parameter.shape and tensor.stride() != parameter.stride():
                moments[name] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            elif name == "mu_product":  # NAdam reads it as a number; loading moves it to the weight's device
                moments[name] = tensor.cpu()
    if optimizer_name(run_config) not in OPTIMIZERS:
        for group in optimizer.param_groups:
            group.update({"weight_decay": float(run_config["weight_decay"])} if "weight_decay" in group else {})
    elif "optimizer" in run_config:
        for group in optimizer.param_groups:
            group |= {key: value for key, value in _settings(run_config).items() if key in group}


def _settings(run_config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "betas": (float(run_config.get("beta1", BETAS[0])), float(run_config.get("beta2", BETAS[1]))),
        "weight_decay": float(run_config["weight_decay"]),
    }
