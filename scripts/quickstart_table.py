"""The end of scripts/quickstart: a short table from `vsrpp status RUN --json`, and commands to try next."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from rich.console import Console
from rich.table import Table


def quality_table(status: dict[str, Any]) -> Table:
    """PSNR-Y and SSIM-Y of the last validation, on held-out frames. Raises SystemExit if there is none."""
    if status.get("psnr_y") is None:
        raise SystemExit(
            f"quickstart: the run ended at step {status['step']}, before its first validation: no results to show."
        )
    table = Table(title=f"Held-out frames, after {status['step']} steps", title_justify="left")
    table.add_column("")
    table.add_column("PSNR-Y (dB)", justify="right")
    table.add_column("SSIM-Y", justify="right")
    gains = (status["psnr_y"] - status["bicubic_psnr_y"], status["ssim_y"] - status["bicubic_ssim_y"])
    table.add_row("bicubic", f"{status['bicubic_psnr_y']:.2f}", f"{status['bicubic_ssim_y']:.4f}")
    table.add_row("network", f"{status['psnr_y']:.2f}", f"{status['ssim_y']:.4f}")
    table.add_row("gain", f"{gains[0]:+.2f}", f"{gains[1]:+.4f}")
    return table


def next_commands(run_id: str) -> list[tuple[str, str]]:
    run = run_id[:8]
    store = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    return [
        ("results in the MLflow UI", f"mlflow ui --backend-store-uri {store}"),
        ("the control panel", f"vsrpp panel {run}"),
        ("a checkpoint by run ID", f"vsrpp restore {run} --step best --out restored"),
        (
            "steer a run while it trains",
            "vsrpp train --max-steps 5000   and, beside it:   vsrpp set latest max_lr=2e-4",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elapsed-s", type=int, help="seconds since the start, including set-up")
    elapsed_s = parser.parse_args().elapsed_s
    status = json.load(sys.stdin)
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(quality_table(status))
    console.print(f"Run ID  {status['run_id']}" + (f"   ({elapsed_s} s, including set-up)" if elapsed_s else ""))
    console.print("\nNext, after [bold]source .venv/bin/activate[/bold]:")
    for what, command in next_commands(status["run_id"]):
        console.print(f"  {what:<28} [bold]{command}[/bold]")


if __name__ == "__main__":
    main()
