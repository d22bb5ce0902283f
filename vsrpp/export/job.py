"""One export from network to report: written beside its target, compared, and only then put in its place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import nn

from vsrpp.digests import file_sha256
from vsrpp.export import messages
from vsrpp.export.forms import OPSET, PACKAGES, ExportRequest
from vsrpp.export.parity import largest_difference
from vsrpp.export.writers import write
from vsrpp.models import identity

REPORT_KEYS = ("path", "bytes", "network", "scale", "max_abs_difference", "sizes")
"""The keys of a report that scripts may rely on."""


def export(
    network: nn.Module, run_config: Mapping[str, Any], request: ExportRequest, out: Path, *, run_id: str, step: int
) -> dict[str, Any]:
    """Export a network on the CPU, in eval mode, to the file `out`; returns REPORT_KEYS and more about the file.

    A file that cannot be run, or differs by more than the limit, is removed. Raises Refused, ProofFailed or VsrppError.
    """
    facts = {
        "network": identity(run_config), "run_id": run_id, "run_name": run_config.get("name"), "step": step,
        "form": request.form, "fp16": request.fp16, "tensors": request.tensors(int(run_config["scale"])),
    }  # fmt: skip
    out = out.expanduser().absolute()
    building = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    try:
        write(network, request, facts, building)
        compared = largest_difference(network, building, request, run_config)
        size, sha256 = building.stat().st_size, file_sha256(building)
        building.replace(out)
    except OSError as error:
        raise messages.NOT_WRITTEN(path=out, cause=error.strerror or error) from None
    finally:
        building.unlink(missing_ok=True)
    packages = ("torch", *PACKAGES) if request.form == "onnx" else ("torch",)
    return {
        "path": str(out), "bytes": size, "network": run_config["network"], "scale": run_config["scale"], **compared,
        "limit": request.limit, "form": request.form,
        "frames": request.frames if facts["tensors"] else None, "windowed": request.windowed, "fp16": request.fp16,
        "opset": OPSET if request.form == "onnx" else None, "tensors": facts["tensors"], "sha256": sha256,
        "run_id": run_id, "step": step, "versions": {name: metadata.version(name) for name in packages},
    }  # fmt: skip
