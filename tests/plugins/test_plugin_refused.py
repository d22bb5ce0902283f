"""`vsrpp train` refuses a plug-in in one line, before there is a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plugins import EXTRAS, configs, steered, write
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


DOES_NOT_FIT = {
    "degradation": [
        ("return frames / 2", 4, "it returned float64 (2, 48, 48, 3) instead of uint8 (2, 24, 24, 3)"),
        ("return frames[9]", 6, "it fails (IndexError: index 9 is out of bounds for axis 0 with size 2)"),
        (
            "return make(frames, np.random.default_rng())",
            4,
            "the same draw gives other frames; take chance only from rng",
        ),
    ],
    "detector": [
        ("return None", 11, "it fails (AttributeError: 'NoneType' object has no attribute 'improved')"),
        ("raise KeyError(loss)", 13, "it fails (KeyError: 1.0)"),
    ],
}
KINDS = """\
import numpy as np
from vsrpp.plugins import Detector, Observation, degradation, detector
def make(frames, chance): return frames[:, ::2, ::2] ^ chance.integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
@degradation()
def thing(frames, rng, *, scale):
    {degradation}


class Base(Detector):
    _forget = _numbers = _own_state = _load_own = lambda *_: {{}}
@detector()
class Thing(Base):
    def _observe(self, loss): {detector}
"""


@pytest.mark.parametrize(
    ("kind", "body", "line", "why"), [(kind, *case) for kind, cases in DOES_NOT_FIT.items() for case in cases]
)
def test_a_degradation_or_detector_is_tried_before_there_is_a_run(
    kind: str, body: str, line: int, why: str, here: Path, tiny_clip: Path
) -> None:
    file = write(here, KINDS.format(**{"degradation": "pass", "detector": "pass", kind: body}))
    name = f"extras.py:{'thing' if kind == 'degradation' else 'Thing'}"
    with pytest.raises(Refused) as refused:
        steered(here, tiny_clip, **{kind: name})
    assert str(refused.value) == f"{file}:{line}: {name} does not fit: {why}."
    assert not (here / "runs").exists()
