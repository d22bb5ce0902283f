"""The command export: a trained network as a file for other programs, compared with the network before it is kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vsrpp import control, paths
from vsrpp import manifest as manifests
from vsrpp.cli import early
from vsrpp.cli.json_output import print_json
from vsrpp.errors import NotFound, VsrppError
from vsrpp.export.forms import request_of
from vsrpp.formats import size
from vsrpp.launch.checkpoint_source import checkpoint_folder
from vsrpp.output import green, say, yellow
from vsrpp.paths import CheckpointPaths, RunPaths
from vsrpp.plugins import trust
from vsrpp.safe_text import safe
from vsrpp.tracking import uri_of


def export(
    source: str, output: Path, *, form: str, frames: int | None, windowed: bool, fp16: bool, benchmark: bool,
    trust_code: Sequence[str], overwrite: bool, run_dir: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Export the EMA network of a checkpoint to the file `output`. Raises Refused, NotFound, ProofFailed or VsrppError."""
    runs = paths.runs_dir(run_dir)
    request = request_of(form, output, frames=frames, windowed=windowed, fp16=fp16, benchmark=benchmark)
    early.check_new_file(output, overwrite=overwrite)
    early.check_folder_of(output)
    early.check_checkpoint(source, runs)
    folder = checkpoint_folder(source, runs)
    trust.allow(trust_code)
    from vsrpp.export.job import export as run
    from vsrpp.inference.evaluate import load_network

    network, run_config = load_network(folder)
    about = manifests.read(folder)
    run_id, step = str(about.get("run_id") or ""), int(about["step"])
    report = run(network, run_config, request, output, run_id=run_id, step=step)
    if benchmark:
        from torch import get_num_threads

        from vsrpp.export.benchmark import benchmark as measure

        report["benchmark"] = measure(folder.root, Path(report["path"]), request, get_num_threads())
    report["recorded"] = _record(report, folder, int(about.get("branch") or 0), runs)
    if as_json:
        print_json(report)
    else:
        _print(report)
    return 0


def _record(report: dict[str, Any], folder: CheckpointPaths, branch: int, runs: Path) -> dict[str, Any]:
    """Where the report was written: `report`, its file in the run folder; `mlflow`, or `mlflow_error` saying why not."""
    run_id, uri = report["run_id"], paths.tracking_uri(runs)
    recorded: dict[str, Any] = {"report": None, "mlflow": None, "mlflow_error": None}
    with contextlib.suppress(NotFound, OSError):  # a checkpoint without a run here, a run folder of another account
        run = _run_of(folder, run_id, runs)
        uri = uri_of(run, uri)
        file = run.exports / f"step_{report['step']:07d}_{Path(report['path']).name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        recorded["report"] = str(file)
    if not early.has_server(uri):
        return recorded
    from vsrpp.tracking.exported import log_export

    early.asking(uri)
    try:
        recorded["mlflow"] = log_export(run_id, report["step"], branch, uri, report)
    except VsrppError as error:  # the file is there and compared; a server that is down does not take it back
        recorded["mlflow_error"] = str(error)
    return recorded


def _run_of(folder: CheckpointPaths, run_id: str, runs: Path) -> RunPaths:
    """The run folder that a checkpoint is in, or that is known here. Raises NotFound."""
    around = RunPaths(folder.root.parent.parent)
    return around if around.run_db.is_file() else control.find_run(run_id, runs)


def _print(report: dict[str, Any]) -> None:
    length = (
        f", {'windows' if report['windowed'] else 'clips'} of {report['frames']} frames" if report["frames"] else ""
    )
    precision = "fp16" if report["fp16"] else "fp32"
    say(
        green(
            f"✅ {report['network']} ×{report['scale']} as {report['form']}, {precision}{length}, {size(report['bytes'])}"
        )
    )
    sizes = ", ".join(f"{width}×{height}" for height, width in report["sizes"])
    say(
        f"Largest difference from the network: {report['max_abs_difference']:.1e} (limit {report['limit']:g}), on"
        f" {report['compared_on']} frames of {sizes}"
    )
    for name, shape in report["tensors"].items():
        say(f"{name}: ({', '.join(map(str, shape))}) fp32" + (f", opset {report['opset']}" if report["opset"] else ""))
    measured = report.get("benchmark")
    if measured:
        height, width = measured["size"]
        say(f"Frames of {width}×{height}, {measured['threads']} CPU threads:")
        for name in (report["form"], "pytorch"):
            row = measured[name]
            say(f"  {name:12} {row['frames_per_s']:.2f} frames/s  {size(row['memory_bytes'])}")
    recorded = report["recorded"]
    if recorded["mlflow_error"]:
        say(yellow(f"⚠️  not recorded in MLflow: {recorded['mlflow_error']}"), stderr=True)
    elif recorded["mlflow"]:
        say(f"In MLflow: {recorded['mlflow']['artifact']}")
    say(safe(report["path"]))
