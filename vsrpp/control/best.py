"""Which checkpoint is the best: by the run's `keep_best_by`, among the checkpoints of the current line.

The only rule, used by retention, rollback, restore, promote, status, panel, terminal, MLflow and the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp import config
from vsrpp.control.lineage import SEGMENT_EVENTS, Lineage, figures, lineage
from vsrpp.documents import BestDocument
from vsrpp.formats import finite
from vsrpp.store import Event, RunReader

PSNR_Y = "val/psnr_y"
_Ranked = tuple[int, int, float | None, float | None]
"""(branch, step, the metric that decides, PSNR-Y) of a checkpoint."""
_NOT_VALIDATED = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestCheckpoint:
    """The checkpoint with the best value of a metric."""

    step: int
    branch: int
    key: str
    """The metric, such as `val/psnr_y`."""
    value: float
    psnr_y: float | None
    """PSNR-Y of the same validation, in dB."""

    def to_json(self) -> BestDocument:
        """The document under `best` in `status --json`."""
        return {"step": self.step, "psnr_y": self.psnr_y, "key": self.key, "value": self.value}


def best_key(run_config: Mapping[str, Any]) -> str:
    """The metric that selects a run's best checkpoint; PSNR-Y for older runs without `keep_best_by`."""
    return str(run_config.get("keep_best_by") or PSNR_Y)


@dataclass(frozen=True, slots=True)
class BestRule:
    """What the best checkpoint of a run is: the highest value of a metric, or the lowest."""

    key: str = PSNR_Y
    """The run's `keep_best_by`."""
    keys: tuple[str, ...] = ()
    """All metrics that can rank its checkpoints, those of its plug-ins included."""
    lower: frozenset[str] = frozenset()
    """Those where lower is better."""

    @classmethod
    def of(cls, run_config: Mapping[str, Any]) -> BestRule:
        return cls(best_key(run_config), config.best_keys(run_config), config.lower_is_better(run_config))

    @classmethod
    def by(cls, key: str, *, lower: bool | None = None) -> BestRule:
        """The rule for one of our metrics, or for a plug-in's whose direction is known."""
        of_ours = config.lower_is_better()
        return cls(key, config.best_keys(), of_ours | {key} if lower else of_ours)

    def rank(self, value: float, key: str | None = None) -> float:
        """A value converted so that higher is better, whichever way the metric points."""
        return -value if (key or self.key) in self.lower else value


def score(metrics: Any, key: str) -> float | None:
    """The finite value of `key` among a checkpoint's metrics; None if that state was not validated."""
    value = metrics.get(key) if isinstance(metrics, Mapping) else None
    return finite(value)


def metrics_of(line: Lineage, branch: int, step: int, saved: Any) -> dict[str, float]:
    """All metrics of one state: those saved with it, and those of a validation of the same state.

    A validation requested right after a checkpoint was written counts for that checkpoint, too.
    """
    return line.validation_at(branch, step) | figures(saved)


def checkpoint_metrics(line: Lineage, saved: Event) -> dict[str, float]:
    """The metrics of a `checkpoint_saved` event."""
    return metrics_of(line, saved.branch, saved.step, saved.data.get("metrics"))


def best_checkpoint(line: Lineage, rule: BestRule, key: str | None = None) -> BestCheckpoint | None:
    """The best checkpoint of the line by `key`, or the rule's own, the newest of equals; None if none was validated."""
    key = key or rule.key
    all_metrics = ((saved.branch, saved.step, checkpoint_metrics(line, saved)) for saved in line.checkpoints)
    return _best(
        ((branch, step, score(metrics, key), score(metrics, PSNR_Y)) for branch, step, metrics in all_metrics),
        rule,
        key,
    )


class ScoredCheckpoints:
    """The figures on record that rank a run's checkpoints by one metric, without the events that have them."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._saved: list[_Ranked] = []
        self._validated: dict[tuple[int, int], tuple[float | None, float | None]] = {}
        self._seq = 0

    def read(self, reader: RunReader) -> None:
        """Add what the record has since the last call."""
        head, keys = reader.head()[0], (self.key, PSNR_Y)
        saved = [("metrics", key) for key in keys]
        for _, step, branch, value, psnr_y in reader.fields(
            "checkpoint_saved", *saved, after_seq=self._seq, to_seq=head
        ):
            self._saved.append((branch, step, _number(value), _number(psnr_y)))
        own = [(key.removeprefix("val/"),) if key.startswith("val/") else ("metrics", key) for key in keys]
        for _, step, branch, *found in reader.fields("validated", *saved, *own, after_seq=self._seq, to_seq=head):
            self._validated[branch, step] = (_number(found[0], found[2]), _number(found[1], found[3]))
        self._seq = head

    def best(self, line: Lineage, rule: BestRule) -> BestCheckpoint | None:
        """As `best_checkpoint`, of a line that needs no more than its segments."""
        rows = []
        for branch, step, value, psnr_y in self._saved:
            if line.holds(branch, step):
                later = self._validated.get((branch, step), _NOT_VALIDATED)
                rows.append((branch, step, _number(value, later[0]), _number(psnr_y, later[1])))
        return _best(rows, rule, self.key)


def best_on_record(reader: RunReader, rule: BestRule, key: str | None = None) -> BestCheckpoint | None:
    """`best_checkpoint` of an open record."""
    scored = ScoredCheckpoints(key or rule.key)
    scored.read(reader)
    return scored.best(lineage(reader.events(types=SEGMENT_EVENTS), keep_events=False), rule)


def _best(rows: Iterable[_Ranked], rule: BestRule, key: str) -> BestCheckpoint | None:
    scored = [
        BestCheckpoint(step=step, branch=branch, key=key, value=value, psnr_y=psnr_y)
        for branch, step, value, psnr_y in rows
        if value is not None
    ]
    return max(scored, key=lambda best: (rule.rank(best.value, key), best.step, best.branch), default=None)


def _number(*values: object) -> float | None:
    """The first number among values that SQLite returned."""
    for value in values:
        if value.__class__ is float or value.__class__ is int:
            return finite(value)
    return None
