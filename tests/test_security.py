"""SECURITY.md: every test that it names as a proof exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[^`]*)`", PAGE)))
ROWS = [
    line for line in PAGE.partition("## Threat model")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")
]


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_exists(named: str) -> None:
    file, _, test = named.partition("::")
    assert (ROOT / file).is_file()
    assert not test or re.search(rf"^(async )?def {re.escape(test)}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_row_of_the_threat_model_names_a_test() -> None:
    _, *threats = ROWS
    assert len(threats) > 10
    for row in threats:
        assert row.count("|") == 5, row
        assert "`tests/" in row.split("|")[4], row
