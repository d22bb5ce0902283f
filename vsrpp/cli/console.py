"""The output of `vsrpp train`: a coloured progress line in a terminal, otherwise plain lines for log collectors."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vsrpp import control
from vsrpp.cli.dry_run import lines
from vsrpp.cli.json_output import print_json
from vsrpp.control.narrate import narrate
from vsrpp.formats import counted, duration, flops, millions, size, value
from vsrpp.output import LiveLine, bold, dim, green, has_live_line, red, say, say_over, yellow
from vsrpp.paths import RunPaths
from vsrpp.plugins import registry
from vsrpp.safe_text import safe
from vsrpp.store import Event, environment_fault
from vsrpp.texts import english

if TYPE_CHECKING:
    from vsrpp.launch.console import DryRun, RunFacts, TrainingProgress

PLAIN_INTERVAL_S = 10.0
"""Seconds between two progress lines without a terminal."""


class Console:
    """Prints events as they happen, with one progress line below them."""

    def __init__(self) -> None:
        self._live_line = LiveLine() if has_live_line() else None
        self.silent: Callable[[], bool] = lambda: False
        """Whether another program uses the terminal now."""
        self._progress: TrainingProgress | None = None
        """The current progress, to redraw the progress line below new output."""
        self._next_at = 0.0

    def say(self, line: str) -> None:
        if self.silent():
            return
        self.end_progress()
        self._print(lambda: say(line))
        self._draw()

    def rank_line(self, line: str) -> None:
        with contextlib.suppress(OSError):
            say_over(line, stderr=True)

    def _print(self, action: Callable[[], None]) -> None:
        """Print, ignoring a full disk, and after a closed pipe nothing more: neither may end the run."""
        try:
            action()
        except OSError as error:
            if environment_fault(error) is None:
                self.silent = lambda: True

    def begin(self, run: RunFacts) -> None:
        facts = run.run_config
        self.say(f"{bold('Run')} {run.paths.run_id}  {dim(str(run.paths.root))}")
        threads = counted(facts["torch_threads"], "thread")
        sizes = f", {facts['n_feats']} features, {counted(facts['n_blocks'], 'block')} per direction"
        foreign = registry.entry_of(facts, "network", facts["network"]) is not None
        self.say(
            f"{safe(facts['network'])} ×{facts['scale']}{'' if foreign else sizes} on {facts['device']}"
            f" ({threads}), {facts['precision']}; {run.windows} training windows, {run.val_frames} validation frames"
        )
        if run.val_sample is not None:
            self.say(safe(run.val_sample))
        for line in run.data_notes:
            self.say(yellow(f"⚠️  {safe(line)}"))
        self.say(
            f"{millions(run.parameters)} parameters; a step takes {flops(run.step_flops)}"
            f" and about {size(run.step_memory_bytes)} of memory"
        )
        if not run.exact and facts["device"] == "cuda":
            self.say(
                yellow(
                    f"⚠️  network {facts['network']} has operations without a deterministic backward on CUDA:"
                    " this run cannot be replayed bit for bit."
                )
            )
        elif not facts["deterministic"]:
            self.say(yellow("⚠️  deterministic is off: this run cannot be replayed bit for bit."))
        self.say(dim(_waits(facts.get("storage_wait_s"))))
        self.say(dim(f"Edit it live: {run.paths.runtime_config}  or: vsrpp set latest max_lr=2e-4"))

    def progress(self, progress: TrainingProgress) -> None:
        now = time.monotonic()
        if self.silent():
            return
        if now < self._next_at:
            return
        if self._live_line is not None:
            self._next_at = now + 0.1
            self._progress = progress
            self._draw()
        else:
            self._next_at = now + PLAIN_INTERVAL_S
            self._print(lambda: say(_plain_line(progress)))

    def end_progress(self) -> None:
        if self._live_line is not None and not self.silent():
            self._print(self._live_line.clear)

    def event(self, event: Event) -> None:
        for line in event_lines(event):
            self.say(line)

    def summary(self, run: RunPaths) -> None:
        self._progress = None
        status = control.status(run)
        self.say(
            f"{bold(status['state'])} at step {status['step']} of {status['max_steps']}, revision {status['revision']}"
        )
        if status["psnr_y"] is not None:
            gain = status["psnr_y"] - status["bicubic_psnr_y"]
            best = status["best"]
            self.say(
                f"PSNR-Y {status['psnr_y']:.2f} dB, {gain:+.2f} dB over bicubic"
                + (f"; best at step {best['step']}" if best else "")
            )
        if status["state"] == "stopped":
            hours = status["hours"] or {}
            more = f" --max-hours {2 * hours['max']:g}" if hours.get("left") == 0 else ""
            why = f"Stopped because {status['ended_because']}. " if more else ""
            self.say(f"{why}Continue it: vsrpp train --resume {status['run_id']}{more}")

    def dry_run(self, report: DryRun, run_config: Mapping[str, Any], *, as_json: bool) -> None:
        if as_json:
            print_json(report.to_json())
        else:
            say("\n".join(lines(report, run_config)))

    def _draw(self) -> None:
        line, progress = self._live_line, self._progress
        if line is not None and progress is not None:
            share = progress.step / progress.max_steps if progress.max_steps else 1.0
            self._print(lambda: line.draw(_plain_line(progress), share))


_SHOWN_ANYWAY = frozenset({"started", "stopped", "finished", "failed", "out_of_memory"})
"""Events already covered by the lines before and after training."""
_OWN_STEP = frozenset({"restored", "rolled_back", "config_reverted", "checkpoint_failed"})
"""Events whose text names the step."""
_PAINTS = {"good": green, "warn": yellow, "bad": red, "": dim}


def event_lines(event: Event) -> list[str]:
    """The output lines for an event during training; none if the progress line covers it."""
    if event.type in _SHOWN_ANYWAY:
        return []
    listed = event.data.get("changes")
    changes = (
        [config_update(change) for change in listed if isinstance(change, dict)] if isinstance(listed, list) else []
    )
    if event.type == "config_applied":
        return changes
    narration = narrate(event)
    turned = event.type in ("rolled_back", "config_reverted")
    what = narration.headline.text(english) if turned else narration.brief(english)
    place = "" if event.type in _OWN_STEP else f"Step {event.step}: "
    why = f" ({narration.why(english)})" if narration.reason else ""
    line = f"{narration.sign} {place}{what if place else what[:1].upper() + what[1:]}{why}"
    return [_PAINTS.get(narration.tone, str)(line), *changes]


def config_update(change: dict[str, Any]) -> str:
    """`⚙️  Config Update: max_lr 1.50e-04 → 2.00e-04`."""
    key = str(change.get("key"))
    return f"⚙️  Config Update: {key} {value(key, change.get('old'))} → {green(value(key, change.get('new')))}"


def _waits(storage_wait_s: float | None) -> str:
    """What the run does on a full disk."""
    span = "for as long as it takes" if storage_wait_s is None else f"for at most {duration(storage_wait_s)}"
    return f"If the disk is full or cannot be written, the run waits {span} (storage_wait_s)"


def _plain_line(progress: TrainingProgress) -> str:
    parts = [
        f"step {progress.step}/{progress.max_steps}",
        progress.state if progress.state != "training" else progress.phase,
    ]
    if progress.waiting:
        return "  ".join([*parts, safe(progress.waiting)])
    if math.isfinite(progress.loss):
        parts.append(f"loss {progress.loss:.5f}  lr {progress.lr:.2e}")
    if progress.steps_per_s:
        parts.append(f"{progress.steps_per_s:.2f} steps/s  {duration(progress.eta_s)} to go")
    if progress.psnr_y is not None and progress.bicubic_psnr_y is not None:
        parts.append(f"PSNR-Y {progress.psnr_y:.2f} ({progress.psnr_y - progress.bicubic_psnr_y:+.2f})")
    return "  ".join(parts)
