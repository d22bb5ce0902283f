"""The proof of faults, in its short form; docs/benchmarks.md has the whole table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fault_table import FAULTS, SHORT
from tests.support.killing import prove

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fault_of_each_kind_loses_nothing() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "prove_faults"), "--short", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert {name: row["failures"] for name, row in rows.items() if row["failures"]} == {}
    assert done.returncode == 0
    assert rows.keys() == SHORT


def test_every_fault_has_a_name_of_its_own_and_the_short_form_names_real_ones() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
    assert set(names) >= SHORT


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_of_two_ranks_with_uploads_loses_nothing(tmp_path: Path) -> None:
    proof = prove(tmp_path, kills=1, tracking=True, devices=2, seed=5)
    assert proof.failures == []
    assert (proof.kills, proof.replay_identical) == (1, True)
