"""Which checkpoint is the best: by the run's `keep_best_by`, among the checkpoints of the current line.

The only rule, used by retention, rollback, restore, promote, status, panel, terminal, MLflow and the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp import config
from vsrpp.control.lineage import Lineage, figures
from vsrpp.documents import BestDocument
from vsrpp.formats import finite
from vsrpp.store import Event

PSNR_Y = "val/psnr_y"


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
    scored, key = [], key or rule.key
    for saved in line.checkpoints:
        metrics = checkpoint_metrics(line, saved)
        value = score(metrics, key)
        if value is not None:
            scored.append(
                BestCheckpoint(
                    step=saved.step, branch=saved.branch, key=key, value=value, psnr_y=score(metrics, PSNR_Y)
                )
            )
    return max(scored, key=lambda best: (rule.rank(best.value, key), best.step, best.branch), default=None)
