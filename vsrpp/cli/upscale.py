"""The command upscale: videos or folders of frames through a run's network, with progress and remaining time."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp import paths
from vsrpp.cli import early, messages
from vsrpp.cli.json_output import error_document, print_json
from vsrpp.errors import START_AGAIN, START_AGAIN_SIGNALS, VsrppError
from vsrpp.formats import duration, size
from vsrpp.inference.window import validated_window, window
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.media.timing import frame_rate
from vsrpp.output import LiveLine, green, has_live_line, say, yellow
from vsrpp.plugins import trust
from vsrpp.safe_text import safe

if TYPE_CHECKING:
    import torch

    from vsrpp.inference.batch import Task
    from vsrpp.inference.chunks import StreamBounds
    from vsrpp.inference.progress import UpscaleProgress
    from vsrpp.inference.requirements import Requirements
    from vsrpp.inference.upscale import UpscaleEars

LONGER = (
    "A window of {window} frames is longer than the run was validated at: validated at {validated} frames. "
    "A recurrence may be worse over longer clips; lower --chunk or --overlap."
)
_TERMINAL_INTERVAL_S, _PLAIN_INTERVAL_S = 0.2, 10.0


def upscale(
    source: str, inputs: Sequence[Path], output: str, *, codec: str | None, crf: int | None, pix_fmt: str | None,
    fps: str | None, chunk: int, overlap: int, tile: int, tile_overlap: int, device: str, audio: bool,
    deinterlace: bool, trust_code: Sequence[str], resume: bool, strict: bool, keep_going: bool, overwrite: bool,
    run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Upscale the inputs into `output`; returns 1 if one of several fails, or an input is cut off and not `keep_going`.

    Errors leave an existing output unchanged. Raises Refused, NotFound, ProofFailed, VsrppError.
    """
    if strict and keep_going:
        raise messages.STRICT_KEEPS_GOING()
    from vsrpp.inference.batch import Task, tasks_of

    with signals_interrupt():
        rate = _frame_rate(fps)
        runs = paths.runs_dir(run_dir)
        for path in inputs:
            early.check_input(path)
        tasks = tasks_of([str(path) for path in inputs], output, as_videos=rate is not None)
        if tasks is None:
            early.check_new_file(Path(output), overwrite=overwrite)
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
            bounds=bounds, codec=codec, crf=crf, pix_fmt=pix_fmt, fps=rate, audio=audio,
            deinterlace=deinterlace, overwrite=overwrite, resume=resume, strict=strict,
            precision=run_config["precision"] if torch_device.type == "cuda" else "fp32",
        )  # fmt: skip
        reads, validated = window(chunk, overlap), validated_window(run_config)
        if reads > validated:
            say(yellow(f"⚠️  {LONGER.format(window=reads, validated=validated)}"), stderr=True)
        facts = {
            "checkpoint": str(folder.root), "device": torch_device.type, "window": reads, "validated_window": validated
        }  # fmt: skip

        def one(task: Task) -> dict[str, Any]:
            report = _heard(lambda ears: run(model, task.source, task.target, options, device=torch_device, ears=ears))
            return {"status": "done", **report, **facts}

        single = Task(str(inputs[0]), output)
        documents = [one(single)] if tasks is None else _several(one, tasks, leave_out_existing=resume)
    if as_json:
        print_json(documents if tasks is not None else documents[0])
    else:
        for document in documents:
            _print(document)
        if tasks is not None:
            _print_summary(documents)
        say(f"Window: {reads} frames, {chunk} of them kept; validated at {validated} frames.")
    failed = any(document["status"] == "error" for document in documents)
    cut_off = any(document.get("missing_frames") for document in documents)
    return int(failed or (cut_off and not keep_going))


def _heard(run: Callable[[UpscaleEars], dict[str, Any]]) -> dict[str, Any]:
    """Run one upscaling, and show on standard error how it goes."""
    from vsrpp.inference.upscale import UpscaleEars

    line = _ProgressLine()
    try:
        return run(UpscaleEars(on_start=_say_start, on_progress=line.show, on_kept=lambda kept: _say_kept(line, kept)))
    finally:
        line.end()


def _several(
    one: Callable[[Task], dict[str, Any]], tasks: Sequence[Task], *, leave_out_existing: bool
) -> list[dict[str, Any]]:
    """One document for each clip; one that fails does not stop the others."""
    documents: list[dict[str, Any]] = []
    for number, task in enumerate(tasks, start=1):
        say(f"[{number}/{len(tasks)}] {safe(task.source)}", stderr=True)
        named = {"input": task.source, "output": str(Path(task.target).absolute())}
        if leave_out_existing and Path(task.target).exists():
            documents.append({"status": "skipped", **named})
            continue
        try:
            documents.append(one(task))
        except VsrppError as error:
            say(f"vsrpp: {error}", stderr=True)
            documents.append({**error_document(error), **named})
    return documents


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Within this, signals that ask for a restart interrupt as Ctrl-C does; then the exit status is START_AGAIN."""
    received: list[str] = []

    def interrupt(number: int, _frame: Any) -> None:
        received.append(signal.Signals(number).name)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in START_AGAIN_SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if not received:
            raise
        error = messages.STOPPED_BY_SIGNAL(signal=received[0])
        error.exit_code = START_AGAIN
        raise error from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _frame_rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        return frame_rate(text)
    except ValueError:
        raise messages.FRAME_RATE(fps=text) from None


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


def _say_start(needs: Requirements, done: int) -> None:
    if done:
        say(f"Resuming after {done} frames.", stderr=True)
    say(f"Memory: about {size(needs.memory)} of {size(needs.room)}.", stderr=True)
    if needs.tight:
        fits = needs.fits
        would = f"--tile {fits.tile} --chunk {fits.chunk_frames} would fit." if fits else "Nothing smaller would fit."
        say(yellow(f"⚠️  That may be more than there is. {would}"), stderr=True)


def _say_kept(line: _ProgressLine, frames: int) -> None:
    line.end()
    say(f"{frames} finished frames are kept; --resume goes on from there.", stderr=True)


def _print(document: dict[str, Any]) -> None:
    if document["status"] == "error":
        return  # said on standard error
    if document["status"] == "skipped":
        say(f"already there: {safe(document['output'])}")
        return
    for note in document["notes"]:
        say(yellow(f"⚠️  {note}"))
    width, height = document["output_size"]
    frames = f"{document['frames']} frame{'' if document['frames'] == 1 else 's'}"
    say(green(f"✅ {frames}, {width}×{height}, {document['codec']}, in {duration(document['seconds'])}"))
    say(safe(document["output"]))


def _print_summary(documents: Sequence[dict[str, Any]]) -> None:
    count = Counter(document["status"] for document in documents)
    words = {"done": "upscaled", "skipped": "already there", "error": "failed"}
    said = ", ".join(f"{count[status]} {word}" for status, word in words.items() if count[status])
    say(f"{len(documents)} clips: {said}")
    for document in documents:
        if document["status"] == "error":
            say(f"failed: {safe(document['input'])}")


class _ProgressLine:
    """A progress line on standard error: redrawn in a terminal, otherwise a new line every ten seconds."""

    def __init__(self) -> None:
        self._line = LiveLine(stderr=True) if has_live_line(stderr=True) else None
        self._next_at = 0.0

    def show(self, progress: UpscaleProgress) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + (_TERMINAL_INTERVAL_S if self._line else _PLAIN_INTERVAL_S)
        text = progress_text(progress)
        if self._line is None:
            say(text, stderr=True)
        else:
            self._line.draw(text, progress.share)

    def end(self) -> None:
        if self._line is not None:
            self._line.clear()


def progress_text(progress: UpscaleProgress) -> str:
    """One line: frames, share of the work, speed, remaining time."""
    frames = f"{progress.frames}/{progress.expected}" if progress.expected else str(progress.frames)
    if not progress.work:
        return f"{frames} frames, computing the first chunk"
    if progress.share is None:
        return f"{frames} frames  {progress.work} frames through the network so far"
    return f"{frames} frames  {progress.share:.1%} of the work  {duration(progress.eta_s)} to go"
