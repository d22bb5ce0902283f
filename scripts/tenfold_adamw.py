"""A plug-in: AdamW at ten times the run's rate, so that the allowed rates reach ten times above and below a good one.

The live config allows max_lr from 1e-5 to 1e-3, and for the demo network the upper end is a good rate. With this optimizer
1e-4 is, and an edit can go wrong in both directions: what `ab_bad_start` and `ab_bad_edits` need.
"""

from __future__ import annotations

from typing import Any

import torch

from vsrpp.plugins import optimizer

FACTOR = 10.0


@optimizer()
def tenfold_adamw(groups: list[dict[str, Any]], *, weight_decay: float) -> torch.optim.Optimizer:
    made = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99), weight_decay=weight_decay)
    made.register_step_pre_hook(_multiply)
    return made


def _multiply(made: torch.optim.Optimizer, *_: Any) -> None:
    for group in made.param_groups:  # the run sets the rate before each step
        group["lr"] = FACTOR * group["lr"]
