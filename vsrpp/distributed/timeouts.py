"""How long the processes of one run wait for each other. No torch here: the launcher asks, too."""

from __future__ import annotations

import math
import os

from vsrpp.errors import Refused

VARIABLE = "VSRPP_RANK_TIMEOUT_S"
TIMEOUT_S = 600.0
"""How long a rank waits for the others, unless the environment says otherwise."""


def timeout_s() -> float:
    """What the environment says, in seconds. Raises Refused."""
    text = os.environ.get(VARIABLE, "") or str(TIMEOUT_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= 86_400:
        raise Refused(f"{VARIABLE} = {text} refused: give seconds, from 1 to 86400.")
    return seconds
