"""What can be exported, and how a file of each form is named and called. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vsrpp.export import messages

INPUT, OUTPUT = "frames", "upscaled"
"""Names of the tensors."""
OPSET = 18
"""Of ONNX files: the first after 16, which brought GridSample, that all players and TensorRT 8.6 and up read."""
FRAMES = 7
"""Frames of a clip unless the request says otherwise."""
MOST_FRAMES = 64
"""The graph holds the network once per frame."""
SUFFIXES = MappingProxyType({"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors", "pt2": ".pt2"})
LIMITS = MappingProxyType({"fp32": 1e-4, "fp16": 2e-2})
"""Largest difference from the fp32 network, of values in [0, 1], with which a file is kept."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What ONNX files need: the extra `export`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """One exported file."""

    form: str
    """A key of SUFFIXES."""
    frames: int = FRAMES
    windowed: bool = False
    """(N, 3·T, h, w) -> (N, 3, H, W), the middle frame, instead of (N, T, 3, h, w) -> (N, T, 3, H, W)."""
    fp16: bool = False
    """Weights and arithmetic; inputs, outputs and optical flow stay fp32."""

    @property
    def limit(self) -> float:
        return LIMITS["fp16" if self.fp16 else "fp32"]

    @property
    def middle(self) -> int:
        """The frame that a windowed file returns."""
        return self.frames // 2

    def tensors(self, scale: int) -> dict[str, Any]:
        """{name: shape} of input and output, with the letters N, h and w for what is free; empty for weights alone."""
        if self.form == "safetensors":
            return {}
        tall, wide = f"{scale}·h", f"{scale}·w"
        if self.windowed:
            return {INPUT: ["N", 3 * self.frames, "h", "w"], OUTPUT: ["N", 3, tall, wide]}
        return {INPUT: ["N", self.frames, 3, "h", "w"], OUTPUT: ["N", self.frames, 3, tall, wide]}


def request_of(
    form: str, out: Path, *, frames: int | None, windowed: bool, fp16: bool, benchmark: bool
) -> ExportRequest:
    """The request that a command's options make. Raises Refused for what has no effect, and if packages are missing."""
    if out.suffix.lower() != SUFFIXES[form]:
        raise messages.SUFFIX(path=out, form=form, suffix=SUFFIXES[form])
    if form == "safetensors":
        given = {"--frames": frames is not None, "--windowed": windowed, "--benchmark": benchmark}
        for option in (option for option, is_given in given.items() if is_given):
            raise messages.WEIGHTS_ONLY(option=option)
    count = FRAMES if frames is None else frames
    if not 1 <= count <= MOST_FRAMES:
        raise messages.FRAMES(frames=count, most=MOST_FRAMES)
    if windowed and count % 2 == 0:
        raise messages.FRAMES_EVEN(frames=count)
    missing = [name for name in PACKAGES if form == "onnx" and find_spec(name) is None]
    if missing:
        raise messages.PACKAGES_MISSING(missing=" ".join(missing))
    return ExportRequest(form=form, frames=count, windowed=windowed, fp16=fp16)
