"""Runs an exported file as other programs do: ONNX Runtime, TorchScript, torch.export; weights in a newly built network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vsrpp import models
from vsrpp.export.forms import INPUT, ExportRequest

Run = Callable[[Tensor], Tensor]
"""The input of a file -> its output."""


def load(path: Path, request: ExportRequest, run_config: Mapping[str, Any]) -> Run:
    """A function that runs the file on the CPU."""
    if request.form == "onnx":
        return _onnx(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if request.form == "torchscript":
            script: Run = torch.jit.load(str(path), map_location="cpu")
            return script
    if request.form == "pt2":
        return torch.export.load(path).module()
    return _weights(path, run_config)


def _onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda frames: torch.from_numpy(session.run(None, {INPUT: frames.numpy()})[0])


def _weights(path: Path, run_config: Mapping[str, Any]) -> Run:
    import safetensors.torch

    with torch.random.fork_rng(devices=[]):
        network = models.build(run_config).eval()
    network.load_state_dict(safetensors.torch.load_file(path))
    built: Run = network
    return built
