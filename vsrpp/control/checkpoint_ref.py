"""References to checkpoints: `latest`, `best`, `best:KEY`, a step, or `revision:N`. Parsed and resolved here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from vsrpp import config
from vsrpp.control import messages
from vsrpp.control.best import BestRule

LONGEST_STEP = 18
"""Maximum digits of a step or revision; longer numbers do not fit into SQLite's integers."""
_METRIC = re.compile(r"val/[a-z][a-z0-9_]{0,59}")
"""The form of a metric's name; whether a run has it is known only with its record."""
_NUMBER = re.compile(r"[0-9][0-9_]*(?:\.0*)?(?:[eE]\+?[0-9]{1,2})?")


class CheckpointEntry(Protocol):
    """A checkpoint that can be chosen, local or remote."""

    @property
    def step(self) -> int: ...
    @property
    def branch(self) -> int: ...
    @property
    def revision(self) -> int | None: ...
    @property
    def on_line(self) -> bool:
        """Whether the run's current state descends from it, that is, no rollback abandoned it."""

    def value(self, key: str) -> float | None:
        """Its value of a metric; None without a validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCheckpoint:
    """An entry as plain data."""

    step: int
    branch: int = 0
    revision: int | None = None
    on_line: bool = True
    values: dict[str, float] = field(default_factory=dict)

    def value(self, key: str) -> float | None:
        return self.values.get(key)


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A reference to one checkpoint of a run."""

    kind: Literal["latest", "best", "step", "revision"] = "latest"
    number: int = 0
    """The step, or the revision."""
    key: str | None = None
    """The metric of `best:KEY`; None: the run's own `keep_best_by`."""

    @classmethod
    def parse(cls, text: str | int) -> CheckpointRef:
        """`latest`, `best`, `best:psnr_y`, `best:val/psnr_y`, `4000`, `4e3`, `revision:7`. Raises Refused for anything else."""
        if isinstance(text, int) and not isinstance(text, bool) and 0 <= text < 10**LONGEST_STEP:
            return cls("step", text)
        words = str(text).strip()
        if words in ("", "latest"):
            return cls()
        if words == "best":
            return cls("best")
        kind, _, rest = words.partition(":")
        if kind == "best" and rest:
            return cls("best", key=_metric(rest))
        number = _number(rest if kind == "revision" else words)
        if number is not None:
            return cls("revision" if kind == "revision" else "step", number)
        raise messages.NO_CHECKPOINT_REF(ref=words[:80])

    @classmethod
    def of_payload(cls, payload: dict[str, Any]) -> CheckpointRef:
        """The reference in a `rollback` command's payload: {"step": N, "best" …} or {"revision": R}. Raises Refused."""
        revision = payload.get("revision")
        if revision is not None:
            number = None if isinstance(revision, bool) else _number(str(revision))
            if number is None:
                raise messages.NO_CHECKPOINT_REF(ref=str(revision)[:80])
            return cls("revision", number)
        step = payload.get("step")
        if isinstance(step, bool) or not isinstance(step, (int, str)) or step == "":
            raise messages.NO_CHECKPOINT_REF(ref=str(step)[:80])
        return cls.parse(step)

    def to_payload(self) -> dict[str, Any]:
        """This reference as the payload of a `rollback` command."""
        if self.kind == "revision":
            return {"revision": self.number}
        return {"step": self.number if self.kind == "step" else str(self)}

    def __str__(self) -> str:
        match self.kind:
            case "step":
                return str(self.number)
            case "revision":
                return f"revision:{self.number}"
            case "best" if self.key:
                return f"best:{self.key}"
            case kind:
                return kind

    def choose(self, entries: Sequence[Any], *, run: str, best_by: BestRule) -> Any:
        """The referenced entry among `entries` (`CheckpointEntry`), preferring those on the current line.

        If several abandoned branches have the step, the newest wins. Raises NotFound, naming the nearest step.
        """
        if not entries:
            raise messages.NO_CHECKPOINT(run=run)
        on_line = [entry for entry in entries if entry.on_line]
        preferred = on_line or list(entries)
        match self.kind:
            case "latest":
                return max(preferred, key=_newest)
            case "best":
                return self._best(preferred, run, best_by)
            case "revision":
                of_revision = [entry for entry in preferred if entry.revision == self.number]
                if not of_revision:
                    steps = ", ".join(str(entry.step) for entry in sorted(preferred, key=_newest)[-8:])
                    raise messages.NO_CHECKPOINT_OF_REVISION(run=run, revision=self.number, steps=steps)
                return max(of_revision, key=_newest)
            case "step":
                of_step = [entry for entry in on_line if entry.step == self.number]
                of_step = of_step or [entry for entry in entries if entry.step == self.number]
                if not of_step:
                    nearest = min(preferred, key=lambda entry: abs(entry.step - self.number))
                    raise messages.NO_CHECKPOINT_AT_STEP(run=run, step=self.number, nearest=nearest.step)
                return max(of_step, key=_newest)

    def _best(self, entries: Sequence[Any], run: str, rule: BestRule) -> Any:
        key = self.key or rule.key
        if key not in (*config.best_keys(), *rule.keys, rule.key):
            known = ", ".join(rule.keys or config.best_keys())
            raise messages.NO_BEST_KEY(key=key.removeprefix("val/"), known=known)
        scored = [(value, entry) for entry in entries if (value := entry.value(key)) is not None]
        if not scored:
            raise messages.NO_VALIDATED_CHECKPOINT(run=run, key=key, latest=max(entries, key=_newest).step)
        return max(scored, key=lambda pair: (rule.rank(pair[0], key), pair[1].step, pair[1].branch))[1]


def _newest(entry: CheckpointEntry) -> tuple[int, int]:
    return entry.branch, entry.step


def _metric(name: str) -> str:
    key = name if name.startswith("val/") else f"val/{name}"
    if not _METRIC.fullmatch(key):
        raise messages.NO_BEST_KEY(key=name[:80], known=", ".join(config.best_keys()))
    return key


def _number(text: str) -> int | None:
    """A step or revision in any notation for whole numbers; None for anything else."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        number = config.read_whole(text)
    except ValueError:
        return None
    return number if number < 10**LONGEST_STEP else None
