"""`torch.compile` for the trunks, which run once per frame; compiling the loop over time would unroll it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vsrpp.models import messages, registry
from vsrpp.models.foreign import trunks_of

GRAPHS = 32
"""Most graphs of the trunks' code: two trunks, first and later frames, the trial of `check_compiler`, other runs in the same
process. Beyond torch's default limit of 8, further graphs would silently run uncompiled."""
_SIDE = 8


def compile_trunks(network: nn.Module) -> None:
    """Compile the trunks in place on their first call; module names and state dict keys stay."""
    import torch._dynamo.config as dynamo  # costs 2 s, so only when compiling

    dynamo.recompile_limit = max(dynamo.recompile_limit, GRAPHS)
    for trunk in trunks_of(network):
        trunk.compile(dynamic=False)


def check_compiler(run_config: Mapping[str, Any], device: torch.device) -> None:
    """Compile a shallow network of the same kind (a plug-in's as it is) and run it forward and backward.

    Torch's generators are not advanced.

    Raises Refused if that fails: no C++ compiler, no Triton, or an unsupported operation.
    """
    with torch.random.fork_rng(devices=[]):
        ours = run_config["network"] in registry.names()
        network = registry.build({**run_config, "n_blocks": 1}).to(device)
        compile_trunks(network)
        side = _SIDE if ours else int(run_config["crop_size"]) // int(run_config["scale"])
        frames = 2 if ours else int(run_config["num_frames"])
        try:
            network(torch.zeros(1, frames, 3, side, side, device=device)).sum().backward()
        except (RuntimeError, ImportError, OSError) as error:
            raise messages.COMPILE_FAILS(cause=_line(error), remedy=_remedy(device)) from error


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _remedy(device: torch.device) -> str:
    needed = "a C++ compiler (g++ or clang++, or set CXX)"
    return f"Install {needed if device.type == 'cpu' else 'Triton and ' + needed}, or leave compile off."
