"""The timeout for processes of a run that wait for each other. Does not import torch, since the launcher needs it, too."""

from __future__ import annotations

import math
import os

from vsrpp.distributed import messages

VARIABLE = "VSRPP_RANK_TIMEOUT_S"
TIMEOUT_S = 600.0
"""Default time that a rank waits for the others."""


def timeout_s() -> float:
    """The timeout in seconds, from VSRPP_RANK_TIMEOUT_S or the default. Raises Refused."""
    text = os.environ.get(VARIABLE, "") or str(TIMEOUT_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= 86_400:
        raise messages.TIMEOUT_RANGE(name=VARIABLE, value=text)
    return seconds
