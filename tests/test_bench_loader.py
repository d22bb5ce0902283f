"""The benchmark of the loaders measures originals and decoded data on the same frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import environment

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "bench_loader"


@pytest.mark.slow
def test_the_short_form_measures_originals_and_decoded_data(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--short", "--json", tmp_path / "figures.json"],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {row["source"]: row for row in json.loads((tmp_path / "figures.json").read_text())["rows"]}
    assert all(row["samples_per_s"] > 0 for row in rows.values())
    originals, packed = rows["PNG folders, `reading=originals`"], rows["packed copy"]
    assert packed["cpu_s_per_sample"] < originals["cpu_s_per_sample"]
    assert f"| packed copy | {packed['samples_per_s']:.1f} |" in done.stdout
