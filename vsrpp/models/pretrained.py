"""Loads weight files, ours or other projects', into a network by key: all of them, or, if asked to, those that fit.

Reads `.safetensors` and whatever `torch.load(weights_only=True)` accepts (`.pth`, `.pt`, `.ckpt`): a plain state dict, or
one nested under `params_ema`, `params` (BasicSR), `state_dict` (mmedit, mmagic), `model`, `net_g` or `generator`. The same
names are removed from the front of keys, as is `module.`, unless the network's own keys begin so. mmedit's names for
the layers of BasicVSR and BasicVSR++ are translated to BasicSR's, which are ours. A file that contains only SPyNet is
loaded into the network's flow part.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.models import messages
from vsrpp.models.foreign import facts_of, flow_network_of
from vsrpp.models.other_networks import recognise
from vsrpp.models.registry import names

_CONTAINERS = ("params_ema", "params", "state_dict", "model", "net_g", "generator")
"""The first one found is entered: averaged weights are preferred."""
_PREFIXES = (*(f"{name}." for name in _CONTAINERS), "module.")
_DEEPEST = 4
"""Levels of containers that are entered; a pickled dict may contain itself."""
_RENAMED = (
    (re.compile(r"^(backward|forward)_resblocks\."), r"\1_trunk."),
    (re.compile(r"^upsample(\d)\.upsample_conv\."), r"upconv\1."),
)
_MM_FLOW = re.compile(r"^((?:spynet\.)?basic_module\.\d+\.basic_module\.)(\d+)\.conv\.")
_FIRST_TRUNKS = ("backward_trunk", "backbone.backward_1")
_FIRST_BLOCKS = re.compile(r"(?:backward_trunk|backbone\.backward_1)\.main\.2\.(\d+)\.")
_NOT_WEIGHTS = {"step_counter"}
_CONSTANTS = {"mean", "std"}
"""Buffers of SPyNet with published values; a file may omit them."""
_NAMED = 3
"""Most keys listed in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of a weight file. Each tensor of the network is in `loaded` or `fresh`, SPyNet's constants in neither."""

    line: str
    """For people: what was loaded, with counts and a few names."""
    loaded: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    """Tensors that keep their random weights."""
    unused: tuple[str, ...] = ()
    """Tensors of the file that fit nothing in the network."""

    def to_json(self) -> dict[str, list[str]]:
        """For the record."""
        return {"loaded": list(self.loaded), "fresh": list(self.fresh), "unused": list(self.unused)}


def load_pretrained(model: nn.Module, path: str | Path, *, partial: bool = False) -> Loaded:
    """Load the weights of a file into `model`. partial: load those that fit by name and shape, and leave the rest as it is.

    Raises NotFound if there is no such file. Raises Refused, leaving the model unchanged, if it is not a weight file or
    its keys or shapes do not match the network's; with `partial`, if none of them do. The refusal names the network that a
    file is of, if VSR++ knows it but does not have it.
    """
    path = Path(path)
    weights, dropped = _read(path, model.state_dict().keys())
    name = f"network {facts_of(model).get('network') or type(model).__name__}"
    flow = flow_network_of(model)
    if flow is not None and all(key.split(".")[0] in {"basic_module", *_CONSTANTS} for key in weights):
        if not partial:
            _fill(flow, weights, path, "flow network")
            return Loaded(line=f"flow network from {path.name} ({len(weights)} tensors)", loaded=tuple(weights))
        place = next(place for place, part in model.named_modules() if part is flow)
        weights = {f"{place}.{key}": value for key, value in weights.items()}
    if partial:
        return _fill_partly(model, weights, dropped, path, name)
    _fill(model, weights, path, name)
    return Loaded(line=f"all weights from {path.name} ({len(weights)} tensors)", loaded=tuple(weights))


def _read(path: Path, expected: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a weight file under their keys in our networks, and the names of those beside the network.

    Raises NotFound or Refused.
    """
    if not path.is_file():
        raise messages.NO_WEIGHT_FILE(path=path)
    loaded = _load(path)
    for _ in range(_DEEPEST):
        if _is_mapping(loaded):
            loaded = next((loaded[name] for name in _CONTAINERS if _is_mapping(loaded.get(name))), loaded)
    weights = {key: value for key, value in loaded.items() if isinstance(value, Tensor)} if _is_mapping(loaded) else {}
    if not weights:
        raise messages.NO_WEIGHTS(path=path, containers=" or ".join(_CONTAINERS))
    dropped: list[str] = []
    while prefix := _prefix_of(weights, expected):  # keys without it belong to the other project's training
        dropped += [key for key in weights if not key.startswith(prefix)]
        weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    ours = {key if key in expected else _our_key(key): value for key, value in weights.items()}
    return {key: value for key, value in ours.items() if key not in _NOT_WEIGHTS}, dropped


def _prefix_of(keys: Collection[str], expected: Collection[str]) -> str | None:
    for prefix in _PREFIXES:
        foreign = not any(key.startswith(prefix) for key in expected)
        if foreign and any(key.startswith(prefix) for key in keys):
            return prefix
    return None


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
    constant = {key for key in expected if _is_constant(key)}
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
        some_fit = any(not _is_constant(key) for key in _same_shape(weights, expected))
        way_out = messages.LOAD_WHAT_FITS if some_fit else ""
        _check_other(weights, expected, path, way_out)
        hint = _hint(weights, expected) + way_out
        raise messages.WEIGHTS_DO_NOT_FIT(path=path, part=part_name, faults="; ".join(faults), hint=hint)
    part.load_state_dict({**{key: expected[key] for key in constant}, **weights})


def _fill_partly(
    model: torch.nn.Module, weights: dict[str, Tensor], dropped: list[str], path: Path, name: str
) -> Loaded:
    expected = model.state_dict()
    same_shape = _same_shape(weights, expected)
    fitting = [key for key in same_shape if not _is_constant(key)]
    if not fitting:
        _check_other(weights, expected, path, "")
        raise messages.NOTHING_FITS(path=path, count=len(weights), part=name, hint=_hint(weights, expected))
    fresh = [key for key in expected if key not in fitting and not _is_constant(key)]
    unused = [*(key for key in weights if key not in fitting and not _is_constant(key)), *dropped]
    model.load_state_dict({**expected, **{key: weights[key] for key in same_shape}})
    weighed = {key: tensor.numel() for key, tensor in expected.items() if not _is_constant(key)}
    share = sum(weighed[key] for key in fitting) / sum(weighed.values())
    parts = [f"{len(fitting)} of the network's {len(weighed)} tensors ({share:.0%} of its weights) from {path.name}"]
    parts += [f"{len(fresh)} stay fresh ({_some(fresh)})"] if fresh else []
    parts += [f"{len(unused)} in the file are not used ({_some(unused)})"] if unused else []
    return Loaded(line="; ".join(parts), loaded=tuple(fitting), fresh=tuple(fresh), unused=tuple(unused))


def _check_other(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path, hint: str) -> None:
    """Raises Refused for the weights of a network that VSR++ does not have, naming it."""
    other = recognise(weights.keys(), expected.keys())
    if other is not None:
        raise messages.OTHER_NETWORK(path=path, other=other, networks=" and ".join(names()), hint=hint)


def _same_shape(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """The keys of the file that the network has, too, with the same shape."""
    return [key for key in weights if key in expected and expected[key].shape == weights[key].shape]


def _is_constant(key: str) -> bool:
    """Whether a tensor has a published value, which says nothing about the fit of a file."""
    return key.rsplit(".", 1)[-1] in _CONSTANTS


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
    """(n_feats, n_blocks) of BasicVSR's or BasicVSR++'s weights; None for other weights."""
    heads = [weights[f"{trunk}.main.0.weight"] for trunk in _FIRST_TRUNKS if f"{trunk}.main.0.weight" in weights]
    numbers = [_FIRST_BLOCKS.match(key) for key in weights]
    blocks = [int(match[1]) for match in numbers if match]
    return (int(heads[0].shape[0]), max(blocks) + 1) if heads and blocks else None


def _some(keys: list[str]) -> str:
    more = len(keys) - _NAMED
    return ", ".join(keys[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
