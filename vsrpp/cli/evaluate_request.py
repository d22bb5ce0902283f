"""What `vsrpp evaluate` is asked for, and which combinations of options are refused before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsrpp.cli import early, messages

if TYPE_CHECKING:
    from vsrpp.metrics.gate import GateRule

BICUBIC = "bicubic"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """The options of one `vsrpp evaluate`."""

    source: str | None
    frames: Path | None
    against: str | None
    fail_if: str | None
    by: str | None
    data: str | None
    suite: str | None
    root: Path | None
    table: str | None
    scale: int | None
    degradation: str | None
    start: int
    count: int | None
    profile: Path | None
    lpips_weights: Sequence[str]
    dists_weights: Sequence[str]
    tof: bool
    log: bool
    trust_code: Sequence[str]

    def check(self, runs: Path) -> tuple[list[str], list[GateRule]]:
        """(the suites, the rules of --fail-if). Raises Refused or NotFound; looks at the disk and imports no torch."""
        for one, other in self._without_effect():
            raise messages.EVALUATE_NO_EFFECT(option=one, why=other)
        if self.start < 0 or (self.count is not None and self.count < 1):
            raise messages.EVALUATE_RANGE()
        if self.frames is not None:
            early.check_input(self.frames)
        if self.data is not None:
            early.check_input(self.data)
        if self.root is not None:
            early.check_input(self.root)
        if self.profile is not None:
            early.check_folder_of(self.profile)
        for name in (self.source, self.against):
            if name not in (None, BICUBIC) and not (name == self.against and is_folder_of_frames(name)):
                early.check_checkpoint(str(name), runs)
        return self._suites(), self._rules()

    @staticmethod
    def files(names: Sequence[str]) -> list[Path]:
        return [Path(name).expanduser() for name in names]

    def _without_effect(self) -> list[tuple[str, str]]:
        """(option, why it has no effect or what it needs) of the combinations that are refused."""
        rules = [
            (self.source is None and self.frames is None, "evaluate", "give a run, a checkpoint, bicubic, or --frames DIR"),
            (self.source is not None and self.frames is not None, "--frames", "it stands in place of RUN; give one of them"),
            (self.data is None and self.suite is None, "evaluate", "give --data PATH, or --suite NAMES --root DIR"),
            (self.data is not None and self.suite is not None, "--suite", "--data names what is scored; give one of them"),
            (self.suite is not None and self.root is None, "--suite", "it needs --root DIR, the folder of the suites"),
            (self.root is not None and self.suite is None, "--root", "it is for --suite"),
            (self.table is not None and self.suite is None, "--table", "it is for --suite"),
            (self.fail_if is not None and self.against is None, "--fail-if", "it needs --against, because it is about A − B"),
            (self.by is not None and self.fail_if is None, "--by", "it is for --fail-if"),
            (self.log and self.source in (None, BICUBIC), "--log", "only a checkpoint has a model in MLflow"),
            (self.profile is not None and self.frames is not None, "--profile", "frames of --frames have no small frames"),
            (
                self.degradation is not None and self.frames is not None and self.against is None,
                "--degradation", "frames of --frames have no small frames",
            ),
        ]  # fmt: skip
        if self.suite is not None:
            given = {
                "--scale": self.scale,
                "--count": self.count,
                "--start": self.start or None,
                "--profile": self.profile,
            }
            rules += [(value is not None, option, "a suite has its own protocol") for option, value in given.items()]
        return [(option, why) for refused, option, why in rules if refused]

    def _suites(self) -> list[str]:
        if self.suite is None:
            return []
        from vsrpp.inference.suites import parse_suites

        return parse_suites(self.suite)

    def _rules(self) -> list[GateRule]:
        if self.fail_if is None:
            return []
        from vsrpp.metrics import gate
        from vsrpp.metrics.measures import MEASURES

        given = {
            "--lpips-weights": self.lpips_weights,
            "--dists-weights": self.dists_weights,
            "--tof": self.tof,
            "": True,
        }
        return gate.parse(self.fail_if, [name for name, measure in MEASURES.items() if given[measure.option]])


def is_folder_of_frames(name: str | None) -> bool:
    """Whether --against names frames of another program: a folder that is neither a run's nor a checkpoint's."""
    folder = Path(name or "").expanduser()
    return bool(name) and folder.is_dir() and not any((folder / file).exists() for file in ("manifest.json", "run.db"))
