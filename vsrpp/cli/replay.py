"""replay: train a run again from its record, and say whether it ends with the same bits."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vsrpp import control, paths
from vsrpp.cli.commands import runs_folder
from vsrpp.cli.console import Console
from vsrpp.errors import NotFound, ProofFailed
from vsrpp.launch.ranks import follow, joined
from vsrpp.output import green, print_json

if TYPE_CHECKING:
    from vsrpp.training.preflight import Meeting


def replay(options: argparse.Namespace) -> int:
    """Exit 0 if identical, 6 if not, naming the first step that differs and the likely cause."""
    with joined() as meeting:
        if meeting is not None and not meeting.group.leads:
            return follow(meeting)
        with meeting or contextlib.nullcontext():
            return _replay(options, meeting)


def _replay(options: argparse.Namespace, meeting: Meeting | None) -> int:
    from vsrpp.training import replay as replaying

    runs = runs_folder(options)
    console = None if options.json else Console()
    with tempfile.TemporaryDirectory(prefix="vsrpp-replay-") as scratch:
        try:
            original = replaying.Original.of(control.find_run(options.target, runs))
        except NotFound:
            from vsrpp.tracking.record import fetch

            uri, start = paths.tracking_uri(runs), Path(scratch) / "start"
            original = replaying.Original(*fetch(options.target, uri, start, replaying.COMPARED))
        if console is not None:
            console.say(f"Replaying {original.run_id} from its record …")
        verdict = replaying.replay(
            original, Path(scratch),
            say=console.say if console else lambda line: print(line, file=sys.stderr),
            on_progress=console.progress if console else lambda _: None, meeting=meeting,
        )  # fmt: skip
    if console is not None:
        console.end_progress()
    if options.json:
        print_json(verdict.to_json())
    elif verdict.identical:
        print(green(f"✅ identical at step {verdict.step}: weights {verdict.sha256}"))
    if verdict.identical:
        return 0
    parted = verdict.first_difference or {"step": verdict.step, "what": "the weights"}
    why = f" Likely cause: {'; '.join(verdict.causes)}." if verdict.causes else ""
    raise ProofFailed(
        f"the replay of {verdict.run_id} parted from its record at step {parted['step']}: {parted['what']}.{why}"
    )
