"""The command replay: retrains from the record and verifies that the result is bit-identical."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vsrpp import paths
from vsrpp.cli import early
from vsrpp.cli.console import Console
from vsrpp.cli.json_output import print_json
from vsrpp.cli.train import MODULE
from vsrpp.launch import replay_job
from vsrpp.launch.request import RankCommand, ReplayRequest
from vsrpp.output import green, say, say_over

if TYPE_CHECKING:
    from vsrpp.launch.console import ReplayVerdict, TrainingProgress


def replay(
    run: str, *, devices: str | None, data: str | None, trust_code: Sequence[str], allow_changed_code: bool,
    run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Exit 0 if identical. Otherwise raises ProofFailed (exit 6), naming the first differing step and likely causes."""

    def command_for(run: str) -> RankCommand:
        folder = ["--run-dir", str(run_dir)] if run_dir else []
        folder += ["--data", data] if data else []
        changed = ["--allow-changed-code"] if allow_changed_code else []
        return RankCommand(
            module=MODULE, arguments=("replay", run, *folder, *changed, *(["--json"] if as_json else []))
        )

    early.find_or_ask(run, paths.runs_dir(run_dir))
    if data is not None:
        early.check_input(data)
    request = ReplayRequest(
        run=run, command_for=command_for, devices=devices, data=data, run_dir=run_dir, trust_code=tuple(trust_code),
        allow_changed_code=allow_changed_code,
    )  # fmt: skip
    return replay_job.replay(request, _ForScripts() if as_json else _ForPeople())


class _ForPeople:
    """Shows progress and result on standard output."""

    def __init__(self) -> None:
        self._console = Console()
        self.say = self._console.say
        self.rank_line = self._console.rank_line

    def warn(self, line: str) -> None:
        say(line, stderr=True)

    def progress(self, progress: TrainingProgress) -> None:
        self._console.progress(progress)

    def verdict(self, verdict: ReplayVerdict) -> None:
        self._console.end_progress()
        if verdict.identical:
            say(green(f"✅ identical at step {verdict.step}: weights {verdict.sha256}"))


class _ForScripts:
    """Prints one JSON document on standard output, and everything else on standard error."""

    def warn(self, line: str) -> None:
        say(line, stderr=True)

    say = warn

    def rank_line(self, line: str) -> None:
        say_over(line, stderr=True)

    def progress(self, progress: TrainingProgress) -> None:
        """Not shown to scripts."""

    def verdict(self, verdict: ReplayVerdict) -> None:
        print_json(verdict.to_json())
