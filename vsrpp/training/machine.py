"""Settings that depend on the machine: threads, device, and determinism of torch."""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch

from vsrpp import models
from vsrpp.models.compiled import check_compiler
from vsrpp.training import messages


def resolve_machine(run_config: dict[str, Any], local_rank: int = 0) -> torch.device:
    """Fill in the machine-dependent settings (threads, device) and configure torch. Raises Refused.

    `local_rank` counts the run's processes on this host: each gets one GPU and its share of the cores.
    """
    if run_config["torch_threads"] is None:
        run_config["torch_threads"] = max(1, min(len(os.sched_getaffinity(0)) // _processes_here(), 16))
    torch.set_num_threads(int(run_config["torch_threads"]))
    wanted = run_config["device"]
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise messages.NO_CUDA()
    if wanted == "cpu" and run_config["precision"] == "fp16":
        raise messages.FP16_ON_CPU()
    run_config["device"] = wanted
    if run_config["deterministic"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    exact = models.exact(run_config)
    torch.use_deterministic_algorithms(bool(run_config["deterministic"]), warn_only=not exact)
    if not exact:  # shown once at the start, not for every operation
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    device = _own_gpu(local_rank) if wanted == "cuda" and "LOCAL_RANK" in os.environ else torch.device(wanted)
    if run_config.get("compile"):
        check_compiler(run_config, device)
    return device


def _processes_here() -> int:
    """Number of the run's processes on this host, from torchrun's environment."""
    text = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, int(text)) if text.isdecimal() else 1


def _own_gpu(local_rank: int) -> torch.device:
    """The GPU of this rank; the only visible one, if the launcher shows the process just one."""
    count = torch.cuda.device_count()
    if local_rank >= count > 1:
        raise messages.TOO_FEW_GPUS(rank=local_rank, count=count)
    device = torch.device("cuda", local_rank if count > 1 else 0)
    torch.cuda.set_device(device)
    return device
