"""A run as a notebook shows it: a small table, escaped by the template."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from vsrpp import formats

if TYPE_CHECKING:
    from jinja2 import Template

    from vsrpp.control import RunView


def card(run: RunView) -> str:
    """The HTML of a run: state, progress, loss, the last validation, the best checkpoint."""
    return _template().render(run=run, rows=_rows(run))


def _rows(run: RunView) -> list[tuple[str, str]]:
    speed = "" if run.steps_per_s is None else f", {formats.number(run.steps_per_s, 2)} steps/s"
    rows = [("State", run.state), ("Step", f"{run.step} of {run.max_steps}{speed}")]
    if run.waiting is not None:
        rows.append(("Waiting", run.waiting["why"]))
    if run.eta_s is not None:
        rows.append(("Time left", formats.duration(run.eta_s)))
    rows.append(("Revision", str(run.revision)))
    total = run.metric("loss/total")
    if total is not None:
        rows.append(("Loss", formats.number(total, 5)))
    if run.validations:
        last = run.validations[-1]
        gain = "" if last.gain is None else f" ({last.gain:+.2f} over bicubic)"
        rows.append(("Last validation", f"PSNR-Y {formats.number(last.psnr_y, 2)} dB{gain} at step {last.step}"))
    if run.best is not None:
        rows.append(("Best checkpoint", f"step {run.best['step']}: {run.best['key']} {run.best['value']:.5g}"))
    rows.append(("Folder", str(run.root)))
    return rows


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("vsrpp"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("run.html")
