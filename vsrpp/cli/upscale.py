"""upscale: a video file or a folder of frames through a run's network, with progress and the time to go."""

from __future__ import annotations

import argparse
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrpp.cli.commands import runs_folder
from vsrpp.errors import Refused
from vsrpp.output import duration, green, print_json, yellow

if TYPE_CHECKING:
    from vsrpp.inference.upscale import Progress

_TERMINAL_INTERVAL_S, _PLAIN_INTERVAL_S = 0.2, 10.0


def upscale(options: argparse.Namespace) -> int:
    from vsrpp.cli.restore import checkpoint_folder

    fps = _fps(options.fps)
    folder = checkpoint_folder(options.target, runs_folder(options))
    import torch

    from vsrpp.inference.chunks import Bounds
    from vsrpp.inference.evaluate import load_network
    from vsrpp.inference.upscale import Wish
    from vsrpp.inference.upscale import upscale as run

    if options.device == "cuda" and not torch.cuda.is_available():
        raise Refused("--device cuda refused: torch sees no CUDA device here. Leave it out, or use --device cpu.")
    device = torch.device("cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu")
    try:
        bounds = Bounds(
            chunk_frames=options.chunk, overlap=options.overlap, tile=options.tile, tile_overlap=options.tile_overlap
        )
    except ValueError as error:
        raise Refused(f"{error}.") from None
    model, run_config = load_network(folder)
    wish = Wish(
        bounds=bounds, codec=options.codec, crf=options.crf, fps=fps, audio=not options.no_audio,
        overwrite=options.overwrite, precision=run_config["precision"] if device.type == "cuda" else "fp32",
    )  # fmt: skip
    line = _Line()
    try:
        done = run(model, options.input, options.output, wish, device=device, on_progress=line.show)
    finally:
        line.end()
    if options.json:
        print_json({**done, "checkpoint": str(folder.root), "device": device.type})
        return 0
    for note in done["notes"]:
        print(yellow(f"⚠️  {note}"))
    width, height = done["output_size"]
    print(green(f"✅ {done['frames']} frames, {width}×{height}, {done['codec']}, in {duration(done['seconds'])}"))
    print(done["output"])
    return 0


def _fps(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise Refused(f"--fps {text} refused: must be above 0 and at most 1000, such as 25, 29.97 or 30000/1001.")
    return rate.limit_denominator(100_000)


class _Line:
    """One line on standard error: redrawn in a terminal, else a new one every ten seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next_at = time.monotonic() + (0.0 if self._terminal else _PLAIN_INTERVAL_S)

    def show(self, seen: Progress) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + (_TERMINAL_INTERVAL_S if self._terminal else _PLAIN_INTERVAL_S)
        of = f"/{seen.expected}" if seen.expected else ""
        rate = seen.frames / seen.elapsed_s if seen.elapsed_s else 0.0
        text = f"frame {seen.frames}{of}  {rate:.2f} frames/s  {duration(seen.eta_s)} to go"
        sys.stderr.write(f"\r\033[2K{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\033[2K")
            sys.stderr.flush()
