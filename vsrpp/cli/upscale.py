"""The command upscale: a video file or a folder of frames through a run's network, with progress and remaining time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import paths
from vsrpp.cli import early, messages
from vsrpp.cli.json_output import print_json
from vsrpp.formats import duration
from vsrpp.inference.window import validated_window, window
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.output import LiveLine, green, has_live_line, say, yellow
from vsrpp.plugins import trust
from vsrpp.safe_text import safe

if TYPE_CHECKING:
    import torch

    from vsrpp.inference.chunks import StreamBounds
    from vsrpp.inference.upscale import UpscaleProgress

LONGER = (
    "A window of {window} frames is longer than the run was validated at: validated at {validated} frames. "
    "A recurrence may be worse over longer clips; lower --chunk or --overlap."
)
_TERMINAL_INTERVAL_S, _PLAIN_INTERVAL_S = 0.2, 10.0


def upscale(
    source: str, input: Path, output: Path, *, codec: str | None, crf: int | None, fps: str | None, chunk: int,
    overlap: int, tile: int, tile_overlap: int, device: str, audio: bool, deinterlace: bool, trust_code: Sequence[str],
    overwrite: bool, run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Upscale `input` into `output`, which errors leave unchanged. Raises Refused, NotFound, ProofFailed, VsrppError."""
    rate = _frame_rate(fps)
    runs = paths.runs_dir(run_dir)
    early.check_input(input)
    early.check_new_file(output, overwrite=overwrite)
    early.check_checkpoint(source, runs)
    folder = checkpoint_folder(source, runs)
    trust.allow(trust_code)
    from vsrpp.inference.evaluate import load_network
    from vsrpp.inference.upscale import UpscaleOptions
    from vsrpp.inference.upscale import upscale as run

    torch_device = _device(device)
    bounds = _bounds(chunk, overlap, tile, tile_overlap)
    model, run_config = load_network(folder)
    options = UpscaleOptions(
        bounds=bounds, codec=codec, crf=crf, fps=rate, audio=audio, deinterlace=deinterlace, overwrite=overwrite,
        precision=run_config["precision"] if torch_device.type == "cuda" else "fp32",
    )  # fmt: skip
    reads, validated = window(chunk, overlap), validated_window(run_config)
    if reads > validated:
        say(yellow(f"⚠️  {LONGER.format(window=reads, validated=validated)}"), stderr=True)
    line = _ProgressLine()
    try:
        report = run(model, str(input), str(output), options, device=torch_device, on_progress=line.show)
    finally:
        line.end()
    if as_json:
        windows = {"window": reads, "validated_window": validated}
        print_json({**report, "checkpoint": str(folder.root), "device": torch_device.type, **windows})
    else:
        _print(report)
        say(f"Window: {reads} frames, {chunk} of them kept; validated at {validated} frames.")
    return 0


def _frame_rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise messages.FRAME_RATE(fps=text)
    return rate.limit_denominator(100_000)


def _device(name: str) -> torch.device:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise messages.NO_CUDA()
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _bounds(chunk: int, overlap: int, tile: int, tile_overlap: int) -> StreamBounds:
    from vsrpp.inference.chunks import StreamBounds

    try:
        return StreamBounds(chunk_frames=chunk, overlap=overlap, tile=tile, tile_overlap=tile_overlap)
    except ValueError as error:
        raise messages.BOUNDS(why=error) from None


def _print(report: dict[str, Any]) -> None:
    for note in report["notes"]:
        say(yellow(f"⚠️  {note}"))
    width, height = report["output_size"]
    say(green(f"✅ {report['frames']} frames, {width}×{height}, {report['codec']}, in {duration(report['seconds'])}"))
    say(safe(report["output"]))


class _ProgressLine:
    """A progress line on standard error: redrawn in a terminal, otherwise a new line every ten seconds."""

    def __init__(self) -> None:
        self._line = LiveLine(stderr=True) if has_live_line(stderr=True) else None
        self._next_at = time.monotonic() + (0.0 if self._line else _PLAIN_INTERVAL_S)

    def show(self, progress: UpscaleProgress) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + (_TERMINAL_INTERVAL_S if self._line else _PLAIN_INTERVAL_S)
        of = f"/{progress.expected}" if progress.expected else ""
        rate = progress.frames / progress.elapsed_s if progress.elapsed_s else 0.0
        text = f"frame {progress.frames}{of}  {rate:.2f} frames/s  {duration(progress.eta_s)} to go"
        if self._line is None:
            say(text, stderr=True)
        else:
            self._line.draw(text, progress.frames / progress.expected if progress.expected else None)

    def end(self) -> None:
        if self._line is not None:
            self._line.clear()
