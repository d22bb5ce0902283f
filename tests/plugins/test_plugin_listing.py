"""`vsrpp plugins`: what a run can use by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.plugins import loss, write
from tests.support.processes import environment
from vsrpp.cli import main
from vsrpp.config import declared, schema
from vsrpp.plugins import source, trust


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    assert main(["plugins", "--json", *words]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(
        list(row) == ["name", "kind", "source", "sha256", "parameters", "description", "error"] for row in rows
    )  # fmt: skip
    assert sorted((row["kind"] for row in rows), key=declared.KINDS.index) == [row["kind"] for row in rows]
    return {(row["kind"], row["name"]): row for row in rows}


def test_ours_are_listed(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    rows = listed(capsys)
    assert {row["source"] for row in rows.values()} == {"vsrpp"}
    parameters = schema.parameters()
    assert {name for kind, name in rows if kind == "network"} == set(parameters["network"].choices)
    assert {f"val/{name}" for kind, name in rows if kind == "metric"} == set(parameters["keep_best_by"].choices)
    assert {name for kind, name in rows if kind == "loss"} == {term.name for term in schema.loss_terms()}
    (weight,) = rows["loss", "l1"]["parameters"]
    assert (weight["key"], weight["minimum"], weight["maximum"], weight["tier"]) == ("l1_weight", 0, 1, "careful")


def test_a_named_file_is_listed_with_its_parameters_and_sha256(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    file = write(here)
    rows = listed(capsys, "--plugin", "extras.py")
    network, term = rows["network", "extras.py:TinyNet"], rows["loss", "fft"]
    found = source.of_file(file)
    assert (network["source"], network["sha256"]) == (term["source"], term["sha256"]) == (str(file), found.sha256)
    assert network["parameters"] == [{
        "key": "tiny_width", "type": "integer", "default": 16, "minimum": 4, "maximum": 64, "choices": [],
        "unit": "channels", "tier": "startup", "description": "Features.",
    }]  # fmt: skip
    assert [(one["key"], one["default"], one["tier"]) for one in term["parameters"]] == [
        ("fft_weight", 0.0, "careful"), ("fft_power", 1.0, "safe")
    ]  # fmt: skip
    assert trust.is_trusted(found.sha256)


def test_a_distribution_is_listed_and_its_fault_is_a_row(
    capsys: pytest.CaptureFixture[str], here: Path, distribution: Path
) -> None:
    rows = listed(capsys)
    found = source.of_module("far_nets")
    assert found is not None
    assert rows["network", "tiny"]["source"] == rows["loss", "fft"]["source"] == "far-nets 1.5"
    assert rows["network", "tiny"]["sha256"] == found.sha256
    assert not trust.is_trusted(found.sha256)  # nobody has named it
    broken, wrong = rows["network", "broken"], rows["detector", "wrong"]
    assert (broken["source"], broken["sha256"], broken["parameters"]) == ("far-nets 1.5", None, [])
    assert broken["error"] == (
        f"{distribution / 'far_broken.py'}:1: far_broken cannot be imported: ModuleNotFoundError: No module named"
        " 'no_such_thing'."
    )
    assert wrong["error"].startswith(f"{distribution / 'far_nets.py'}:6: TinyNet is declared as network")


def test_a_named_file_that_cannot_be_imported_is_refused(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    file = write(here, "import torch\n\n1/0\n", "bad.py")
    assert main(["plugins", "--plugin", "bad.py"]) == 2
    said = capsys.readouterr()
    assert said.err == f"vsrpp: {file}:3: bad.py cannot be imported: ZeroDivisionError: division by zero.\n"
    assert main(["plugins", "--plugin", "nothing.py", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["reason_code"] == "not_found.plugin"


def test_the_table_fits_a_narrow_terminal_and_needs_no_torch(here: Path) -> None:
    write(here, loss("narrow"), "a_plugin_with_a_rather_long_name_in_front_of_what_it_provides.py")
    code = (
        "import sys\nfrom vsrpp import output\nfrom vsrpp.cli import main\n"
        "output.terminal_width = lambda: 80\n"
        f"code = main(['plugins', '--plugin', '{next(here.iterdir()).name}'])\nprint('torch' in sys.modules, code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=environment(here), capture_output=True, text=True, check=True
    )
    *table, end = done.stdout.splitlines()
    assert end == "False 0"
    assert max(map(len, table)) <= 80
    assert "narrow_weight" in done.stdout.replace("\n", "")
