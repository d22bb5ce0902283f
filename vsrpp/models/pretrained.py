"""Loads weight files, ours or other projects', into a network: by key, and completely or not at all.

Reads `.safetensors` and whatever `torch.load(weights_only=True)` accepts (`.pth`, `.pt`, `.ckpt`): a plain state dict, or
one under `params_ema`, `params` (BasicSR) or `state_dict` (mmedit, mmagic). The prefixes `module.` and `generator.` are
removed; mmedit's names for BasicVSR's layers are translated to BasicSR's, which are ours. A file that contains only SPyNet
is loaded into the network's flow part.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.models import messages
from vsrpp.models.foreign import facts_of, flow_network_of

_CONTAINERS = ("params_ema", "params", "state_dict")
_MODULE = "module."
_GENERATOR = "generator."
_RENAMED = (
    (re.compile(r"^(backward|forward)_resblocks\."), r"\1_trunk."),
    (re.compile(r"^upsample(\d)\.upsample_conv\."), r"upconv\1."),
)
_MM_FLOW = re.compile(r"^((?:spynet\.)?basic_module\.\d+\.basic_module\.)(\d+)\.conv\.")
_NOT_WEIGHTS = {"step_counter"}
_CONSTANTS = {"mean", "std"}
"""Buffers of SPyNet with published values; a file may omit them."""
_NAMED = 3
"""Most keys listed in a message."""


def load_pretrained(model: nn.Module, path: str | Path) -> str:
    """Load the weights of a file into `model`; returns a description of what was loaded.

    Raises NotFound if there is no such file. Raises Refused, leaving the model unchanged, if it is not a weight file or
    its keys or shapes do not match the network's.
    """
    path = Path(path)
    weights = read_weights(path)
    flow = flow_network_of(model)
    if flow is not None and all(key.split(".")[0] in {"basic_module", *_CONSTANTS} for key in weights):
        _fill(flow, weights, path, "flow network")
        return f"flow network from {path.name} ({len(weights)} tensors)"
    _fill(model, weights, path, f"network {facts_of(model).get('network') or type(model).__name__}")
    return f"all weights from {path.name} ({len(weights)} tensors)"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a weight file, under its key in our networks. Raises NotFound or Refused."""
    if not path.is_file():
        raise messages.NO_WEIGHT_FILE(path=path)
    loaded = _load(path)
    for name in _CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            break
    weights = {key: value for key, value in loaded.items() if isinstance(value, Tensor)} if _is_mapping(loaded) else {}
    if not weights:
        raise messages.NO_WEIGHTS(path=path, containers=" or ".join(_CONTAINERS))
    if all(key.startswith(_MODULE) for key in weights):
        weights = {key.removeprefix(_MODULE): value for key, value in weights.items()}
    if any(key.startswith(_GENERATOR) for key in weights):  # the other keys belong to the other project's training
        weights = {key.removeprefix(_GENERATOR): v for key, v in weights.items() if key.startswith(_GENERATOR)}
    return {_our_key(key): value for key, value in weights.items() if key not in _NOT_WEIGHTS}


def _load(path: Path) -> Any:
    import safetensors
    import safetensors.torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise messages.UNSAFE_FILE(path=path) from None
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise messages.UNREADABLE_FILE(path=path, cause=_line(error)) from None


def _is_mapping(loaded: Any) -> bool:
    return isinstance(loaded, Mapping) and all(isinstance(key, str) for key in loaded)


def _our_key(key: str) -> str:
    for pattern, ours in _RENAMED:
        key = pattern.sub(ours, key)
    # mmedit numbers convolutions including their activation, BasicSR numbers activations separately
    return _MM_FLOW.sub(lambda match: f"{match[1]}{2 * int(match[2])}.", key)


def _fill(part: torch.nn.Module, weights: dict[str, Tensor], path: Path, part_name: str) -> None:
    expected = part.state_dict()
    constant = {key for key in expected if key.rsplit(".", 1)[-1] in _CONSTANTS}
    missing = sorted(expected.keys() - weights.keys() - constant)
    surplus = sorted(weights.keys() - expected.keys())
    shapes = [
        f"{key} is {list(weights[key].shape)} in the file and {list(expected[key].shape)} in the network"
        for key in sorted(expected.keys() & weights.keys())
        if expected[key].shape != weights[key].shape
    ]
    faults = [
        f"{len(keys)} key{'s' * (len(keys) > 1)} {name} ({_some(keys)})"
        for name, keys in (("missing", missing), ("unexpected", surplus), ("of another shape", shapes))
        if keys
    ]
    if faults:
        raise messages.WEIGHTS_DO_NOT_FIT(
            path=path, part=part_name, faults="; ".join(faults), hint=_hint(weights, expected)
        )
    part.load_state_dict({**{key: expected[key] for key in constant}, **weights})


def _hint(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The sizes of the file's network, if they differ from ours."""
    sizes_there, sizes_here = _sizes(weights), _sizes(expected)
    if sizes_there is None or sizes_here is None or sizes_there == sizes_here:
        return ""
    return (
        f" The file has n_feats={sizes_there[0]} n_blocks={sizes_there[1]}; "
        f"the network has n_feats={sizes_here[0]} n_blocks={sizes_here[1]}."
    )


def _sizes(weights: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(n_feats, n_blocks) of BasicVSR weights; None for other weights."""
    head = weights.get("backward_trunk.main.0.weight")
    numbers = [re.match(r"backward_trunk\.main\.2\.(\d+)\.", key) for key in weights]
    blocks = [int(match[1]) for match in numbers if match]
    return None if head is None or not blocks else (int(head.shape[0]), max(blocks) + 1)


def _some(keys: list[str]) -> str:
    more = len(keys) - _NAMED
    return ", ".join(keys[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
