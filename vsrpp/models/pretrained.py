"""Weight files of other projects, and ours, into a network: by key, all of them or none.

Read are `.safetensors`, and what `torch.load(weights_only=True)` takes (`.pth`, `.pt`, `.ckpt`): a plain state dict, or
one under `params_ema`, `params` (BasicSR) or `state_dict` (mmedit, mmagic). Prefixes `module.` and `generator.` go; the
names that mmedit has for the layers of BasicVSR become BasicSR's, which are ours. A file that holds SPyNet alone goes
into a network's flow part.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsrpp.errors import NotFound, Refused
from vsrpp.models.network import Network

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
"""Buffers of SPyNet with published values; a file may leave them out."""
_NAMED = 3
"""Keys spelled out in a message."""


def load_pretrained(model: Network, path: str | Path) -> str:
    """Put the weights of a file into `model`; returns what was loaded, in words.

    Raises NotFound for no such file; Refused, and the model is as it was, if the file is no weight file or its keys or
    shapes are not the network's.
    """
    path = Path(path)
    weights = read_weights(path)
    flow = model.flow_network()
    if flow is not None and all(key.split(".")[0] in {"basic_module", *_CONSTANTS} for key in weights):
        _fill(flow, weights, path, "flow network")
        return f"flow network from {path.name} ({len(weights)} tensors)"
    _fill(model, weights, path, f"network {model.facts()['network']}")
    return f"all weights from {path.name} ({len(weights)} tensors)"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a weight file under its key in our networks. Raises NotFound or Refused."""
    if not path.is_file():
        raise NotFound(f"no weight file at {path}.")
    loaded = _load(path)
    for name in _CONTAINERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
            break
    weights = {key: value for key, value in loaded.items() if isinstance(value, Tensor)} if _is_mapping(loaded) else {}
    if not weights:
        raise Refused(f"{path} refused: it holds no weights (looked for a state dict, or one under {_listed()}).")
    if all(key.startswith(_MODULE) for key in weights):
        weights = {key.removeprefix(_MODULE): value for key, value in weights.items()}
    if any(key.startswith(_GENERATOR) for key in weights):  # what is beside it is the other project's training
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
        raise Refused(
            f"{path} refused: it is no weight file, or holds more than tensors and plain values, and loading that could"
            " run its code. Save its state dict alone."
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise Refused(f"{path} refused: it cannot be read as a weight file ({_line(error)}).") from None


def _is_mapping(loaded: Any) -> bool:
    return isinstance(loaded, Mapping) and all(isinstance(key, str) for key in loaded)


def _our_key(key: str) -> str:
    for pattern, ours in _RENAMED:
        key = pattern.sub(ours, key)
    # mmedit counts convolutions with their activation inside, BasicSR counts activations too
    return _MM_FLOW.sub(lambda match: f"{match[1]}{2 * int(match[2])}.", key)


def _fill(part: torch.nn.Module, weights: dict[str, Tensor], path: Path, what: str) -> None:
    expected = part.state_dict()
    constant = {key for key in expected if key.rsplit(".", 1)[-1] in _CONSTANTS}
    missing = sorted(expected.keys() - weights.keys() - constant)
    surplus = sorted(weights.keys() - expected.keys())
    shapes = [
        f"{key} is {list(weights[key].shape)} there and {list(expected[key].shape)} here"
        for key in sorted(expected.keys() & weights.keys())
        if expected[key].shape != weights[key].shape
    ]
    faults = [
        f"{len(keys)} {name} ({_some(keys)})"
        for name, keys in (("keys missing", missing), ("keys too many", surplus), ("of another shape", shapes))
        if keys
    ]
    if faults:
        raise Refused(f"{path} does not fit the {what}: {'; '.join(faults)}.{_hint(weights, expected)}")
    part.load_state_dict({**{key: expected[key] for key in constant}, **weights})


def _hint(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The sizes of the file's network, where they are the reason."""
    sizes_there, sizes_here = _sizes(weights), _sizes(expected)
    if sizes_there is None or sizes_here is None or sizes_there == sizes_here:
        return ""
    return f" It has n_feats={sizes_there[0]} n_blocks={sizes_there[1]}; here they are {sizes_here[0]} and {sizes_here[1]}."


def _sizes(weights: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """(n_feats, n_blocks) of a BasicVSR's weights; None if they are none."""
    head = weights.get("backward_trunk.main.0.weight")
    numbers = [re.match(r"backward_trunk\.main\.2\.(\d+)\.", key) for key in weights]
    blocks = [int(match[1]) for match in numbers if match]
    return None if head is None or not blocks else (int(head.shape[0]), max(blocks) + 1)


def _some(keys: list[str]) -> str:
    more = len(keys) - _NAMED
    return ", ".join(keys[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _listed() -> str:
    return " or ".join(_CONTAINERS)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
