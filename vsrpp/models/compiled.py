"""`torch.compile` of the trunks: the part that runs once a frame, not the loop over time, which would unroll."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from vsrpp.errors import Refused
from vsrpp.models import registry
from vsrpp.models.network import Network

GRAPHS = 32
"""Of the trunks' one code at most: two trunks, a first frame or a later one, the trial of `check_compiler`, other runs of the
process. Beyond torch's own limit of 8 the rest would quietly run uncompiled."""
_SIDE = 8


def compile_trunks(network: Network) -> None:
    """Let the trunks be compiled when they are first called, in place: names and keys stay."""
    import torch._dynamo.config as dynamo  # 2 s, for those who compile alone

    dynamo.recompile_limit = max(dynamo.recompile_limit, GRAPHS)
    for trunk in network.trunks():
        trunk.compile(dynamic=False)


def check_compiler(run_config: Mapping[str, Any], device: torch.device) -> None:
    """Compile and run a shallow network of the kind, forward and backward; draws nothing from torch's generators.

    Raises Refused in one line where that fails: no C++ compiler, no Triton, an operation it does not know.
    """
    with torch.random.fork_rng(devices=[]):
        network = registry.build({**run_config, "n_blocks": 1}).to(device)
        compile_trunks(network)
        try:
            network(torch.zeros(1, 2, 3, _SIDE, _SIDE, device=device)).sum().backward()
        except (RuntimeError, ImportError, OSError) as error:
            raise Refused(
                f"compile = true refused: torch.compile fails here ({_line(error)}). {_remedy(device)}"
            ) from error


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _remedy(device: torch.device) -> str:
    needed = "a C++ compiler (g++ or clang++, or name one in CXX)"
    return f"Install {needed if device.type == 'cpu' else 'Triton and ' + needed}, or leave compile off."
