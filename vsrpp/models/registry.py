"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vsrpp.errors import Refused
from vsrpp.models.network import Network
from vsrpp.models.vsrpp_net import VsrppNet


def _vsrpp(run_config: Mapping[str, Any]) -> Network:
    return VsrppNet(scale=run_config["scale"], n_feats=run_config["n_feats"], n_blocks=run_config["n_blocks"])


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Network]] = {"vsrpp": _vsrpp}


def names() -> tuple[str, ...]:
    """The networks a run config may name."""
    return tuple(_BUILDERS)


def build(run_config: Mapping[str, Any]) -> Network:
    """The network a run config names, on the CPU, its weights drawn from torch's global generator.

    Raises Refused for a name that is not in `names()`.
    """
    name = run_config["network"]
    if name not in _BUILDERS:
        raise Refused(f"network = {name} refused: no such network; there is: {', '.join(_BUILDERS)}.")
    return _BUILDERS[name](run_config)


def describe(model: Network, *, lr_height: int = 180, lr_width: int = 320) -> dict[str, Any]:
    """Facts for the record, all JSON: parameters, exact, scale, flops_per_lr_frame and the network's own `facts()`.

    The estimate counts convolutions, 2 per multiply-add, for a frame of the given size (REDS at ×4 if not given).
    """
    facts = model.facts()
    return {
        **facts,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "exact": model.exact,
        "scale": model.scale,
        "lr_frame": [lr_height, lr_width],
        "flops_per_lr_frame": facts["flops_per_lr_pixel"] * lr_height * lr_width,
    }
