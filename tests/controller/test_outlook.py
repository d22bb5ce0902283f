"""`train --check` says what the controller could do in a run of this length."""

from __future__ import annotations

import pytest

from vsrpp.controller.outlook import outlook

LIVE = {"max_steps": 300_000, "plateau_patience": 250, "plateau_action": "none", "adaptive": True}
RUN = {"warmup_steps": 1000, "detector": "vsrpp", "controller_version": 2}


@pytest.mark.parametrize(
    ("run", "live", "start", "told"),
    [
        ({}, {}, 0, "possible from step 1351 on; it is found within 15000 steps where the noise allows"),
        ({}, {}, 0, "The rate follows its schedule"),
        ({}, {}, 50_000, "possible from step 50351 on"),
        ({}, {"max_steps": 4500}, 0, "from step 1351 on; noise delays it"),
        ({}, {"max_steps": 1200}, 0, "no plateau is possible: it takes until step 1351"),
        ({}, {"adaptive": False}, 0, "adaptive is off"),
        ({}, {"plateau_action": "reduce_lr"}, 0, "down to 0.25 of the schedule's, until progress returns"),
        ({"controller_version": None}, {"plateau_action": "reduce_lr"}, 0, "down to 0.1 of the schedule's, for good"),
        ({"detector": "brief"}, {"plateau_action": "boost_lr"}, 0, "the detector brief judges"),
    ],
)
def test_it_names_the_earliest_plateau_its_delay_and_what_it_would_do(run, live, start, told):
    assert told in outlook({**RUN, **run}, {**LIVE, **live}, start)
