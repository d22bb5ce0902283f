"""`vsrpp train` refuses a plug-in in one line, before there is a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plugins import EXTRAS, configs, write
from tests.support.processes import train_command, vsrpp
from vsrpp.errors import Refused

REFUSED = [
    ("\n1/0\n", ":2: extras.py cannot be imported: ZeroDivisionError: division by zero."),
    (EXTRAS.replace("scale**2", "scale"), ":19: extras.py:TinyNet does not fit: "),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "line"), REFUSED, ids=["import", "shape"])
def test_a_plugin_that_does_not_fit_is_one_line_and_no_run(
    text: str, line: str, tmp_path: Path, tiny_clip: Path
) -> None:
    write(tmp_path, text)
    done = vsrpp(tmp_path, *train_command(tiny_clip), "--set", "network=extras.py:TinyNet")
    said = [one for one in done.stderr.splitlines() if one]
    assert (done.returncode, len(said)) == (2, 1), done.stderr
    assert line in said[0]
    assert not list((tmp_path / "runs").glob("*/*"))


def test_a_value_outside_a_plugins_range_is_refused(here: Path, tiny_clip: Path) -> None:
    write(here)
    with pytest.raises(Refused, match=r"tiny_width = 100 refused: must be between 4 and 64"):
        configs(tiny_clip, network="extras.py:TinyNet", tiny_width=100)
    run_config, live = configs(tiny_clip, network="extras.py:TinyNet", tiny_width=64, fft_power=2)
    assert (run_config["tiny_width"], live["fft_power"], live["fft_weight"]) == (64, 2.0, 0.0)
