"""The errors a person may meet. `str(error)` is the one line that is shown: what, why, and what holds or what to do."""

from __future__ import annotations

START_AGAIN = 75
"""Exit status after SIGTERM: "start me again with --resume" (sysexits' EX_TEMPFAIL)."""


class VsrppError(Exception):
    """Anything that goes wrong in a way a person can act on; never shown with a traceback."""

    exit_code = 1


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch's error on a GPU, its plain RuntimeError on a CPU, or Python's."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


class Refused(VsrppError):
    """Input that is not accepted; nothing was changed."""

    exit_code = 2


class NotFound(VsrppError):
    """No such run, checkpoint or file."""

    exit_code = 3


class NotLive(VsrppError):
    """The run is not training, so there is nobody to take the command."""

    exit_code = 4


class TimedOut(VsrppError):
    """No answer within the time one was willing to wait; the command is still pending."""

    exit_code = 5


class ProofFailed(VsrppError):
    """A chain is broken, a hash does not match, or a replay differs."""

    exit_code = 6
