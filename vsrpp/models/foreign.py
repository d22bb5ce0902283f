"""What the trainer asks of a network, answered for any `nn.Module`: by its own methods where it has them, else by inspection.

A network of a plug-in need not derive from `Network`: `scale` and `forward` are enough.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vsrpp.frame_schedule import most_frames
from vsrpp.models.network import Network
from vsrpp.plugins import registry

MOST_BLOCKS = 64
"""Most blocks whose activity is monitored in a network that does not name them itself."""


def blocks_of(model: nn.Module) -> dict[str, nn.Module]:
    """The blocks to monitor, named `<part>.<number>`.

    Without a method `blocks`: the residual blocks, i.e. the modules of a class of the author's own that occurs most often
    (containers of such modules apart); if no class occurs twice, the parts that have weights.
    """
    own = _own(model, "blocks")
    if own is not None:
        return dict(own())
    found = _repeated(model) or [
        (name, part) for name, part in model.named_children() if any(True for _ in part.parameters())
    ]
    numbers: Counter[str] = Counter()
    blocks = {}
    for name, block in found[:MOST_BLOCKS]:
        part = name.split(".")[0]
        blocks[f"{part}.{numbers[part]}"] = block
        numbers[part] += 1
    return blocks


def flow_network_of(model: nn.Module) -> nn.Module | None:
    """The part that trains at its own rate; None if the network names none."""
    own = _own(model, "flow_network")
    return None if own is None else own()


def trunks_of(model: nn.Module) -> list[nn.Module]:
    """The modules that `torch.compile` is applied to: the whole network if it names none."""
    own = _own(model, "trunks")
    return [model] if own is None else list(own())


def recurrences_of(model: nn.Module) -> dict[str, nn.Module]:
    """The modules that return a hidden state, by direction; {} if the network names none."""
    own = _own(model, "recurrences")
    return {} if own is None else dict(own())


def facts_of(model: nn.Module) -> dict[str, Any]:
    """The network's own facts for the record."""
    own = _own(model, "facts")
    return {} if own is None else dict(own())


def fit(model: Any, run_config: Mapping[str, Any], name: str) -> nn.Module:
    """Check a plug-in's network on a small clip. Raises Refused, with file and line, if it cannot be trained."""
    provided = registry.Trial.of(run_config, "network", name)
    assert provided is not None
    trial = registry.Trial(name, type(model), provided.source)
    if not isinstance(model, nn.Module):
        raise trial.refusal(f"it makes a {type(model).__name__}, not a torch.nn.Module")
    scale = getattr(model, "scale", None)
    if scale is None:
        model.scale = scale = run_config["scale"]
    if scale != run_config["scale"]:
        raise trial.refusal(f"its scale is {scale!r} and the run's is {run_config['scale']}")
    side, frames = int(run_config["crop_size"]) // scale, most_frames(run_config)
    lr = torch.zeros(1, frames, 3, side, side)
    training = model.training
    try:
        called = trial.attempt(f"forward of {tuple(lr.shape)} fails")
        with called, torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = model.eval()(lr)
    finally:
        model.train(training)
    wanted = (1, frames, 3, side * scale, side * scale)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if shape != wanted:
        raise trial.refusal(f"forward of {tuple(lr.shape)} gives {shape}, not {wanted}")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise trial.refusal("it has no weights to train")
    return model


def is_exact(model: nn.Module, device: str, side: int) -> bool:
    """Whether a replay on `device` (`cpu`, `cuda`) is bit-identical: as the network says, else found out by a trial.

    The trial is one forward and backward pass that only allows operations with a deterministic implementation.
    """
    said = getattr(model, "exact", None)
    if isinstance(said, bool):
        return said
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        torch.use_deterministic_algorithms(True)
        with torch.random.fork_rng(devices=[]):
            model.to(device)(torch.rand(1, 2, 3, side, side, device=device)).sum().backward()
    except RuntimeError:
        return False
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    return True


def _own(model: nn.Module, name: str) -> Any | None:
    """The network's own method; None for a submodule of that name, which is common (`blocks`)."""
    method = getattr(model, name, None)
    return method if inspect.ismethod(method) or isinstance(model, Network) else None


def _repeated(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, module) of the class of the author's own that occurs most often, without modules inside each other."""
    own = [
        (name, module)
        for name, module in model.named_modules()
        if name and not type(module).__module__.startswith("torch.") and any(True for _ in module.parameters())
    ]
    counts = Counter(type(module) for _, module in own)
    many = {kind: count for kind, count in counts.items() if count > 1}
    if not many:
        return []
    best = max(many, key=lambda kind: (many[kind], -math.inf if issubclass(kind, Network) else 0))
    return [(name, module) for name, module in own if type(module) is best]
