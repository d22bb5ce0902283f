"""The errors a person may meet: a sentence for people, a reason code and fields for programs.

`str(error)` is the one line that is shown: what, why, and what holds or what to do. `reason_code` and `fields` say the
same to a program; no caller may decide by the sentence. Both are safe to show: addresses are redacted, and control
characters visible, whatever a field holds. The sentences of a room stand together in its `messages.py`,
each beside its code:

    NO_RUN = Reason("not_found", "No run {name} in {folder}.", NotFound)
    raise NO_RUN(name=name, folder=folder)
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsrpp.documents import RemarkDocument
from vsrpp.safe_text import safe_data, safe_lines

START_AGAIN = 75
"""Exit status after a signal of `START_AGAIN_SIGNALS`: "start me again with --resume" (sysexits' EX_TEMPFAIL)."""
START_AGAIN_SIGNALS = frozenset({signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
"""The end of a service, a closed terminal, and the warning that Slurm users ask for (`--signal=USR1@60`)."""


class VsrppError(Exception):
    """Anything that goes wrong in a way a person can act on; never shown with a traceback."""

    exit_code = 1
    reason_code = "failed"
    """Dotted, from general to special: `refused.range`. The class gives the general part."""

    def __init__(
        self, message: str = "", *, reason_code: str | None = None, fields: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(safe_lines(message))
        if reason_code is not None:
            self.reason_code = reason_code
        self.fields: dict[str, Any] = safe_data(fields or {})
        """What the sentence was filled in with."""


class Refused(VsrppError):
    """Input that is not accepted; nothing was changed."""

    exit_code = 2
    reason_code = "refused"


class NotFound(VsrppError):
    """No such run, checkpoint or file."""

    exit_code = 3
    reason_code = "not_found"


class NotLive(VsrppError):
    """The run is not training, so nothing can apply the command."""

    exit_code = 4
    reason_code = "not_live"


class TimedOut(VsrppError):
    """No answer within the time one was willing to wait; the command is still pending."""

    exit_code = 5
    reason_code = "timed_out"


class ProofFailed(VsrppError):
    """A chain is broken, a hash does not match, or a replay differs."""

    exit_code = 6
    reason_code = "proof_failed"


KINDS: tuple[type[VsrppError], ...] = (VsrppError, Refused, NotFound, NotLive, TimedOut, ProofFailed)
"""The classes by which a program tells failures apart; each has its own exit code."""


def kind_of_exit(exit_code: int) -> type[VsrppError]:
    """The class of a process's exit code; VsrppError where no class has it."""
    return next((kind for kind in KINDS if kind.exit_code == exit_code), VsrppError)


ERROR_FILE = "VSRPP_ERROR_FILE"
"""Environment variable: a file to which a failing command writes its error as JSON, for the program that started it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One way to fail: the code that programs decide by, the sentence for people. Calling it gives the error to raise."""

    code: str
    """Unique. Begins with the code of its error class."""
    text: str
    """English, a `str.format` template of the fields."""
    error: type[VsrppError] = Refused

    def __call__(self, **fields: Any) -> VsrppError:
        return self.error(self.sentence(**fields), reason_code=self.code, fields=fields)

    def sentence(self, **fields: Any) -> str:
        """The English sentence, for a reason that is not raised but told, such as a value's in a list of problems."""
        return _filled_in(self.text, fields)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something worth knowing that is no failure, such as a warning: the code for programs, the sentence for people."""

    code: str
    """Unique among remarks and reasons."""
    text: str
    """English, a `str.format` template of the fields."""

    def sentence(self, **fields: Any) -> str:
        """The English sentence."""
        return _filled_in(self.text, fields)

    def filled(self, **fields: Any) -> RemarkDocument:
        """As plain data, which faces put into their language."""
        return {"message": self.sentence(**fields), "reason_code": self.code, "fields": safe_data(fields)}


def because(reason_code: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What an event's data says beside its English sentence, so that a face can put that into its language."""
    return {"because": {"reason_code": reason_code, "fields": safe_data(fields)}}


def _filled_in(template: str, fields: Mapping[str, Any]) -> str:
    """A sentence, safe to show. A field stays on its line, so that none can forge another one."""
    return safe_lines(template.format(**safe_data(fields)))


_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch's error on a GPU, its plain RuntimeError on a CPU, or Python's."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)
