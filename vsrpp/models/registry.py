"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vsrpp.models import messages
from vsrpp.models.basicvsr_net import BasicVsrNet
from vsrpp.models.network import Network
from vsrpp.models.vsrpp_net import VsrppNet

NETWORK_KEYS = {"network": "vsrpp", "n_feats": None, "n_blocks": None, "scale": None, "gated_fusion": False}
"""The run config keys that determine the shape of a network's weights, with the value assumed for older runs without it."""


def _vsrpp(run_config: Mapping[str, Any]) -> Network:
    return VsrppNet(
        scale=run_config["scale"], n_feats=run_config["n_feats"], n_blocks=run_config["n_blocks"],
        gated_fusion=run_config.get("gated_fusion", False),
    )  # fmt: skip


def _basicvsr(run_config: Mapping[str, Any]) -> Network:
    return BasicVsrNet(scale=run_config["scale"], n_feats=run_config["n_feats"], n_blocks=run_config["n_blocks"])


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Network]] = {"vsrpp": _vsrpp, "basicvsr": _basicvsr}
_CLASSES: dict[str, type[Network]] = {"vsrpp": VsrppNet, "basicvsr": BasicVsrNet}


def names() -> tuple[str, ...]:
    """The names of the available networks."""
    return tuple(_BUILDERS)


def differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(key, ours, theirs) for every difference that keeps the weights of one run config from fitting the other's network."""
    pairs = [(key, ours.get(key, default), theirs.get(key, default)) for key, default in NETWORK_KEYS.items()]
    return [(key, mine, other) for key, mine, other in pairs if mine != other]


def exact(run_config: Mapping[str, Any]) -> bool:
    """Whether every operation of a run config's network has a deterministic backward on CUDA."""
    return _CLASSES[run_config["network"]].exact


def build(run_config: Mapping[str, Any]) -> Network:
    """The network a run config names, on the CPU, with weights drawn from torch's global generator.

    Raises Refused for a name that is not in `names()`.
    """
    name = run_config["network"]
    if name not in _BUILDERS:
        raise messages.UNKNOWN_NETWORK(name=name, names=", ".join(_BUILDERS))
    network = _BUILDERS[name](run_config)
    network.gradient_checkpointing = bool(run_config.get("gradient_checkpointing", False))
    return network


def describe(model: Network, *, lr_height: int = 180, lr_width: int = 320) -> dict[str, Any]:
    """Facts for the record, as JSON values: parameters, exact, scale, flops_per_lr_frame and the network's own `facts()`.

    The estimate counts 2 per multiply-add of a convolution, for one frame of the given size (default: REDS at ×4).
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
