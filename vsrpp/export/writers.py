"""Writes a network in each form. What a file needs is in it, and no side file holds weights.

ONNX and torch.export files do not name paths of this machine; TorchScript keeps those of the code for its error messages.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsrpp.errors import VsrppError
from vsrpp.export import messages, safetensors_file
from vsrpp.export.forms import INPUT, OPSET, OUTPUT, ExportRequest
from vsrpp.export.graph import FixedLength, Traceable

_EXAMPLE = (2, 40, 72)
"""N, h, w of the example to trace with: none of them 0 or 1, which torch takes for constants, no side below SPyNet's 32."""
EXTRA_FILE = "vsrpp.json"
"""The facts of the export inside TorchScript and torch.export files."""


def write(network: nn.Module, request: ExportRequest, facts: Mapping[str, Any], path: Path) -> None:
    """Write the file. Raises Refused if the network cannot be traced or does not run in fp16, OSError from the disk."""
    writers: dict[str, Callable[..., None]] = {
        "onnx": _onnx, "torchscript": _torchscript, "pt2": _pt2, "safetensors": _safetensors,
    }  # fmt: skip
    name = str(facts["network"]["network"])
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _quiet():
        traceable = Traceable(network, request).eval()
        if request.fp16:
            try:
                traceable(_example(request, side=8))
            except (RuntimeError, TypeError, ValueError) as error:
                raise messages.NOT_FP16(network=name, cause=_line(error)) from None
        try:
            writers[request.form](traceable, request, facts, path)
        except (VsrppError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - the tracers raise errors of many unrelated classes
            raise messages.NOT_TRACED(network=name, form=request.form, cause=_line(error)) from None


def _onnx(traceable: Traceable, request: ExportRequest, facts: Mapping[str, Any], path: Path) -> None:
    import onnx

    program = torch.onnx.export(
        _exported(traceable, request), dynamo=True, input_names=[INPUT], output_names=[OUTPUT], opset_version=OPSET,
        verbose=False,
    )  # fmt: skip
    assert program is not None
    program.save(path, external_data=False)
    model = onnx.load(path)
    _name_dimensions(model, request, int(facts["network"]["scale"]))
    _forget_origin(model)
    onnx.helper.set_model_props(model, {f"vsrpp.{key}": _text(value) for key, value in facts.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _torchscript(traceable: Traceable, request: ExportRequest, facts: Mapping[str, Any], path: Path) -> None:
    traced = torch.jit.trace(traceable, _example(request), check_trace=False)
    script = torch.jit.script(FixedLength(traced, request))
    script.save(str(path), _extra_files={EXTRA_FILE: json.dumps(facts, sort_keys=True)})


def _pt2(traceable: Traceable, request: ExportRequest, facts: Mapping[str, Any], path: Path) -> None:
    program = _exported(traceable, request)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path, extra_files={EXTRA_FILE: json.dumps(facts, sort_keys=True)})


def _safetensors(traceable: Traceable, _request: ExportRequest, facts: Mapping[str, Any], path: Path) -> None:
    safetensors_file.write(path, traceable.network.state_dict(), safetensors_file.metadata_of(facts))


def _exported(traceable: Traceable, request: ExportRequest) -> torch.export.ExportedProgram:
    free = torch.export.Dim.AUTO
    example = _example(request)
    shape = ({0: free, example.dim() - 2: free, example.dim() - 1: free},)
    return torch.export.export(traceable, (example,), dynamic_shapes=shape, strict=False)


def _example(request: ExportRequest, side: int | None = None) -> Tensor:
    clips, height, width = _EXAMPLE if side is None else (1, side, side)
    leading = (3 * request.frames,) if request.windowed else (request.frames, 3)
    return torch.rand(clips, *leading, height, width)


def _name_dimensions(model: Any, request: ExportRequest, scale: int) -> None:
    del model.graph.value_info[:]  # named after the tracer's symbols
    sizes = (f"{scale}*height", f"{scale}*width")
    for value, (height, width) in ((model.graph.input[0], ("height", "width")), (model.graph.output[0], sizes)):
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param, dims[-2].dim_param, dims[-1].dim_param = "batch", height, width


def _forget_origin(model: Any) -> None:
    """Remove what the tracer notes about the code: stack traces with the paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *model.functions):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracers' warnings: what a traced graph got wrong shows when it is compared with the network."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _line(error: Exception) -> str:
    """The first line that says something; the tracers answer with pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0][:200] if lines else type(error).__name__).rstrip(".")
