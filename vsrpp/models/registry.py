"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from vsrpp.models import foreign, messages
from vsrpp.models.basicvsr_net import BasicVsrNet
from vsrpp.models.basicvsrpp_net import BasicVsrPlusPlusNet
from vsrpp.models.network import Network
from vsrpp.models.vsrpp_net import VsrppNet
from vsrpp.plugins import registry

NETWORK_KEYS = {
    "network": "vsrpp", "n_feats": None, "n_blocks": None, "scale": None, "gated_fusion": False, "network_version": 1
}  # fmt: skip
"""The run config keys that determine what a network's weights mean, with the value assumed for older runs without it."""


def _vsrpp(run_config: Mapping[str, Any]) -> Network:
    return VsrppNet(
        scale=run_config["scale"], n_feats=run_config["n_feats"], n_blocks=run_config["n_blocks"],
        gated_fusion=run_config.get("gated_fusion", False), version=run_config.get("network_version", 1),
    )  # fmt: skip


def _basicvsr(run_config: Mapping[str, Any]) -> Network:
    return BasicVsrNet(scale=run_config["scale"], n_feats=run_config["n_feats"], n_blocks=run_config["n_blocks"])


def _basicvsrpp(run_config: Mapping[str, Any]) -> Network:
    return BasicVsrPlusPlusNet(
        scale=run_config["scale"], n_feats=run_config["n_feats"], n_blocks=run_config["n_blocks"]
    )  # fmt: skip


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Network]] = {
    "vsrpp": _vsrpp, "basicvsr": _basicvsr, "basicvsrpp": _basicvsrpp,
}  # fmt: skip
_CLASSES: dict[str, type[Network]] = {"vsrpp": VsrppNet, "basicvsr": BasicVsrNet, "basicvsrpp": BasicVsrPlusPlusNet}
_EXACT: dict[tuple[str, str, str], bool] = {}


def names() -> tuple[str, ...]:
    """The names of the available networks."""
    return tuple(_BUILDERS)


def differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(key, ours, theirs) for every difference that keeps the weights of one run config from fitting the other's network."""
    keys = _keys_of(ours) | _keys_of(theirs)
    pairs = [(key, ours.get(key, default), theirs.get(key, default)) for key, default in keys.items()]
    return [(key, mine, other) for key, mine, other in pairs if mine != other]


def identity(run_config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that determine a run config's network, with their values: what `build` needs to make it again."""
    return {key: run_config.get(key, default) for key, default in _keys_of(run_config).items()}


def exact(run_config: Mapping[str, Any]) -> bool:
    """Whether every operation of a run config's network has a deterministic backward on CUDA.

    For a plug-in's network that does not say so, a trial on the run's device decides, once per process.
    """
    name = run_config["network"]
    if name in _CLASSES:
        return _CLASSES[name].exact
    device = "cuda" if run_config.get("device") == "cuda" else "cpu"
    entry = registry.entry_of(run_config, "network", name)
    key = (entry[0]["sha256"] if entry else "", name, device)
    if key not in _EXACT:
        with torch.random.fork_rng(devices=[]):
            side = int(run_config["crop_size"]) // int(run_config["scale"])
            _EXACT[key] = foreign.is_exact(build(run_config), device, side)
    return _EXACT[key]


def _keys_of(run_config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that determine the shape of the weights, with the values assumed where they are missing."""
    entry = registry.entry_of(run_config, "network", str(run_config.get("network", "vsrpp")))
    if entry is None:
        return NETWORK_KEYS
    declared = {key: about["default"] for key, about in (entry[1].get("parameters") or {}).items()}
    return {"network": "vsrpp", "scale": None, **dict.fromkeys(entry[1].get("takes") or ()), **declared}


def check(run_config: Mapping[str, Any]) -> None:
    """Check a plug-in's network on a small clip, before anything is written. Raises Refused, with file and line."""
    if run_config["network"] not in _BUILDERS:
        with torch.random.fork_rng(devices=[]):
            foreign.fit(build(run_config), run_config, run_config["network"])


def _foreign(run_config: Mapping[str, Any], name: str) -> nn.Module | None:
    """The network of a plug-in; None if no plug-in of the run provides it."""
    trial, entry = registry.Trial.of(run_config, "network", name), registry.entry_of(run_config, "network", name)
    if trial is None or entry is None:
        return None
    taken = {key: run_config[key] for key in entry[1].get("takes") or () if key in run_config}
    settings = registry.parameters(run_config, "network", name, run_config)
    with trial.attempt("it cannot be made"):
        network: Any = trial.thing(**{"scale": run_config["scale"]} | taken | settings)
    if getattr(network, "scale", None) is None and isinstance(network, nn.Module):
        network.scale = run_config["scale"]
    if run_config.get("gradient_checkpointing", False):
        if not hasattr(network, "gradient_checkpointing"):
            raise messages.NO_CHECKPOINTING(name=name)
        network.gradient_checkpointing = True
    return network


def build(run_config: Mapping[str, Any]) -> Any:
    """The network a run config names, on the CPU, with weights drawn from torch's global generator.

    An `nn.Module` with `scale` and `forward`; a `Network` if it is one of ours. Raises Refused for an unknown name, or if
    a plug-in's network cannot be made.
    """
    name = run_config["network"]
    if name not in _BUILDERS:
        network = _foreign(run_config, name)
        if network is not None:
            return network
        raise messages.UNKNOWN_NETWORK(name=name, names=", ".join(_BUILDERS))
    network = _BUILDERS[name](run_config)
    network.gradient_checkpointing = bool(run_config.get("gradient_checkpointing", False))
    return network


def describe(model: nn.Module, *, lr_height: int = 180, lr_width: int = 320) -> dict[str, Any]:
    """Facts for the record, as JSON values: parameters, exact, scale, flops_per_lr_frame and the network's own `facts()`.

    The estimate counts 2 per multiply-add of a convolution, for one frame of the given size (default: REDS at ×4).
    """
    facts = foreign.facts_of(model)
    flops = facts.get("flops_per_lr_pixel")
    return {
        **facts,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "exact": getattr(model, "exact", None),
        "scale": model.scale,
        "lr_frame": [lr_height, lr_width],
        "flops_per_lr_frame": None if flops is None else flops * lr_height * lr_width,
    }
