"""What the controller could do in a run of this length, for `vsrpp train --check`: arithmetic on the configs alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsrpp.controller import plateau
from vsrpp.controller.controller import SETTLING_STEPS
from vsrpp.controller.effects import LEAST_FACTOR, LEAST_RECOVERABLE
from vsrpp.controller.plateau_long import LARGEST_EXPONENT, SHORT_RUN, LongRunDetector, allowed_delay
from vsrpp.formats import counted


def outlook(run_config: Mapping[str, Any], live: Mapping[str, Any], start: int = 0) -> str:
    """What a plateau needs and what it would do, in one or two sentences. `start`: the step the run starts from."""
    last, patience = int(live["max_steps"]), int(live["plateau_patience"])
    if not live["adaptive"]:
        return "adaptive is off: plateaus are reported, and change nothing."
    first = max(start, int(run_config.get("warmup_steps") or 0)) + SETTLING_STEPS + patience + 1
    if first > last:
        return f"no plateau is possible: it takes until step {first} at least, and the run ends at {last}."
    return f"a plateau is possible from step {first} on; {_finding(run_config, last)}. {_action(run_config, live)}"


def _finding(run_config: Mapping[str, Any], last: int) -> str:
    kind = str(run_config.get("detector") or LongRunDetector.kind)
    if kind != LongRunDetector.kind or plateau.version(run_config) < 2:
        return f"the detector {kind} judges {counted(last, 'step')} by the latest ones alone"
    if last <= SHORT_RUN:
        return "noise delays it"
    return (
        f"it is found within {counted(round(allowed_delay(last)), 'step')} where the noise allows, and not while the loss"
        f" falls faster than step^-{LARGEST_EXPONENT:g}"
    )


def _action(run_config: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    action, recovers = live["plateau_action"], plateau.version(run_config) >= 2
    if action == "reduce_lr":
        least = LEAST_RECOVERABLE if recovers else LEAST_FACTOR
        then = "until progress returns" if recovers else "for good"
        rate = f"Each one halves the rate's height above min_lr, down to {least:g} of the schedule's, {then}"
    elif action == "boost_lr":
        rate = "Each one raises the rate until it ends"
    else:
        rate = "The rate follows its schedule"
    return f"{rate}; loss weight moves to edges while sharpness is below the threshold."
