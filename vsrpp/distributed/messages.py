"""Why the processes of a run cannot work together: one sentence each, beside the code that programs decide by."""

from __future__ import annotations

from vsrpp.errors import Reason, VsrppError

RANK_RANGE = Reason(
    "refused.distributed.rank_range", "RANK = {rank} of WORLD_SIZE = {world_size} refused: ranks are 0 to {last}."
)
NOT_AN_INTEGER = Reason(
    "refused.distributed.not_an_integer", "{name} = {value!r} refused: this environment variable must be an integer."
)
TIMEOUT_RANGE = Reason(
    "refused.distributed.timeout_range", "{name} = {value} refused: must be between 1 and 86400 seconds."
)
BATCH_NOT_DIVISIBLE = Reason(
    "refused.distributed.batch_not_divisible",
    "batch_size = {batch_size} refused: it is the total batch of {world_size} processes and must be divisible by "
    "{world_size}; use {fits}.",
)
NOT_MET = Reason(
    "failed.distributed.not_met",
    "rank {rank} of {world_size} could not connect to the others at {address} within {timeout_s:g} s: {cause}",
    VsrppError,
)
PEER_FAULT = Reason("failed.distributed.peer_fault", "{diagnosis}", VsrppError)
PEER_LOST = Reason("failed.distributed.peer_lost", "{cause}", VsrppError)
RANK_0_FAILED = Reason("failed.distributed.rank_0_failed", "", VsrppError)
