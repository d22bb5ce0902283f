"""The output of train --check for people: what the run would need, and what would fail later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vsrpp.formats import duration, flops, size
from vsrpp.output import bold, green, red, yellow
from vsrpp.safe_text import safe

if TYPE_CHECKING:
    from vsrpp.launch.console import DryRun


def lines(report: DryRun, run_config: Mapping[str, Any]) -> list[str]:
    """The report as lines of text."""
    text_lines = [f"{name:15}{text}" for name, text in _rows(report, run_config).items()]
    text_lines += [yellow(f"⚠️  {line}") for line in report.warnings]
    text_lines += [red(f"❌ {line}") for line in report.problems]
    return text_lines if report.problems else [*text_lines, green("✅ It would run. Nothing was started.")]


def _rows(report: DryRun, run_config: Mapping[str, Any]) -> dict[str, str]:
    from vsrpp.data import sample_line

    rows = {}
    if report.windows:
        rows["data"] = f"{report.windows} training windows, {report.val_frames} validation frames"
        if line := sample_line(report.val_sample):
            rows["validation"] = safe(line.removeprefix("validation "))
    if report.cost is not None:
        rows["network"] = (
            f"{run_config['network']} ×{run_config['scale']}, {report.cost.parameters:,} parameters; a step takes"
            f" {flops(report.cost.flops)} and, estimated, {size(report.cost.memory_bytes)}"
        )
    if report.controller:
        rows["controller"] = report.controller
    return {**rows, **_measured_rows(report)} if report.measured is not None else rows


def _measured_rows(report: DryRun) -> dict[str, str]:
    measured, forecast = report.measured, report.forecast
    assert measured is not None and forecast is not None
    of = "the device" if report.device == "cuda" else "this process"
    store = f", and {size(report.store_bytes)} for the tracking store" if report.store_bytes else ""
    least, most = forecast.checkpoints
    checkpoints = f"{least} to {most} checkpoints" if least < most else f"{most} checkpoints"
    return {
        "memory": f"{size(report.peak_bytes)} at the peak of {of}, of {size(report.memory_bytes)}",
        "a step": f"{measured.step_s:.3g} s, {measured.data_wait_s:.2g} s of it waiting for data; loss {_losses(report.losses)}",
        "a validation": f"{measured.validation_s:.3g} s",
        "a checkpoint": f"{size(measured.checkpoint_bytes)}; training waits {measured.checkpoint_wait_s:.2g} s for it",
        "the whole run": bold(_hours(forecast.hours))
        + f": {forecast.steps} steps {_hours(forecast.step_hours)}, {forecast.validations} validations"
        + f" {_hours(forecast.validation_hours)}, {checkpoints} {_hours(forecast.checkpoint_hours)}",
        "disk": f"{size(forecast.disk_bytes)} at most ({forecast.kept_checkpoints} checkpoints, pictures, record)"
        f"{store}; {size(report.free_bytes)} free",
        "upload": f"{size(forecast.upload_bytes)} at most, over the run",
    }


def _hours(hours: float) -> str:
    return duration(3600 * hours)


def _losses(losses: list[float]) -> str:
    return " → ".join(f"{loss:.4g}" for loss in losses)
