"""Weights as a safetensors file with a ModelSpec header, whose bytes depend on the weights and the header alone.

The library writes several metadata keys in random order, so the file is written here.
Sources: the safetensors format (8 bytes of length, a JSON header, the tensors) and ModelSpec 1.0.1 of Stability AI.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SPEC = "1.0.1"
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_ALIGNMENT = 8


def write(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata, both sorted by key. `modelspec.hash_sha256` is added. Raises OSError."""
    tensors = {key: weights[key].detach().cpu().contiguous() for key in sorted(weights)}
    blobs = [tensor.flatten().view(torch.uint8).numpy().tobytes() for tensor in tensors.values()]
    digest = hashlib.sha256(b"".join(blobs)).hexdigest()
    header: dict[str, Any] = {"__metadata__": {**metadata, "modelspec.hash_sha256": f"0x{digest}"}}
    offset = 0
    for (key, tensor), blob in zip(tensors.items(), blobs, strict=True):
        place = [offset, offset + len(blob)]
        header[key] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        offset += len(blob)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blobs)


def metadata_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """The header of an export: ModelSpec's required keys, and under `vsrpp.` what builds the network and where it is from.

    facts: `network` (the keys that determine it), `run_id`, `run_name`, `step`, `weights`.
    """
    network = facts["network"]
    version = network.get("network_version", 1)
    name = f"{network['network']}-v{version}" if network["network"] == "vsrpp" else str(network["network"])
    title = f"{network['network']} ×{network['scale']}, {facts['run_name'] or facts['run_id']}, step {facts['step']}"
    return {
        "modelspec.sai_model_spec": SPEC,
        "modelspec.architecture": f"{name}-x{network['scale']}",
        "modelspec.implementation": "vsrpp",
        "modelspec.title": title,
        "vsrpp.network": json.dumps(network, sort_keys=True),
        "vsrpp.run_id": str(facts["run_id"]),
        "vsrpp.step": str(facts["step"]),
    }
