"""What the runs page may start: fixed commands of `vsrpp`, their words built from checked values, never from a sentence."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from vsrpp import paths

from . import refusals

VERBS = ("restore", "promote", "from", "resume", "replay")
TRAININGS = ("from", "resume")
"""These train for hours: they outlive the panel."""
_NEEDS_STEP = ("restore", "promote")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
LARGEST_STEP = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do with a run, checked: nothing in it can be taken for an option or leave its place."""

    verb: str
    run_id: str
    step: int | None = None
    alias: str | None = None

    def __post_init__(self) -> None:
        """Raises Refused for another verb, and for a step, alias or run ID that is none."""
        if self.verb not in VERBS:
            raise refusals.NOT_A_VERB(verb=self.verb, verbs=", ".join(VERBS))
        if self.run_id.startswith("-"):
            raise refusals.RUN_LIKE_OPTION(run=self.run_id)
        if self.step is not None and not 0 <= self.step <= LARGEST_STEP:
            raise refusals.STEP_RANGE(step=self.step, largest=LARGEST_STEP)
        if self.step is None and self.verb in _NEEDS_STEP:
            raise refusals.NEEDS_STEP(verb=self.verb)
        if self.verb == "promote" and not _ALIAS.fullmatch(self.alias or ""):
            raise refusals.ALIAS_FORM(alias=self.alias or "(none)")

    @property
    def trains(self) -> bool:
        return self.verb in TRAININGS

    def words(self, runs: Path) -> list[str]:
        """What follows `vsrpp`, as it is run and as it is shown to be copied."""
        at = self.run_id if self.step is None else f"{self.run_id}@{self.step}"
        words = {
            "restore": ["restore", self.run_id, "--step", str(self.step), "--out", _short(self.target(runs))],
            "promote": ["promote", at, "--alias", str(self.alias)],
            "from": ["train", "--from", at, "--no-panel"],
            "resume": ["train", "--resume", self.run_id, "--no-panel"],
            "replay": ["replay", self.run_id],
        }[self.verb]
        return words if paths.runs_dir() == runs.resolve() else [*words, "--run-dir", str(runs.resolve())]

    def line(self, runs: Path) -> str:
        """The same as a shell would take it."""
        return shlex.join(["vsrpp", *self.words(runs)])

    def target(self, runs: Path) -> Path:
        """The folder that `restore` fills: named after run@step, beside the folder of runs."""
        return runs.resolve().parent / f"{self.run_id}@{self.step}"


def _short(path: Path) -> str:
    """The path as one would type it here: relative where it lies below the working directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
