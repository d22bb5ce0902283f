"""Classifies errors of a sink: a dead server, a full disk and a rejected row need different responses."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vsrpp.documents import RemarkDocument
from vsrpp.safe_text import safe

KINDS = ("unreachable", "timeout", "server_error", "auth", "disk_full", "gone", "refused", "broken")
"""unreachable: no connection. timeout: no answer in time. server_error: 5xx, busy. auth: 401, 403, not allowed.
disk_full: here or there. gone: the MLflow run was deleted. refused: 4xx, row never accepted. broken: our own bug."""
FOR_THE_ROW_ALONE = frozenset({"refused", "broken"})
"""Retrying cannot help, so the row is set aside. Every other kind is a failure of the whole sink and is retried."""


@dataclass(frozen=True, slots=True)
class Failure:
    kind: str
    message: str
    """One line, at most 300 characters."""
    remark: RemarkDocument | None = None
    """The message as data, where it is ours and not a server's."""

    @property
    def of_the_row(self) -> bool:
        return self.kind in FOR_THE_ROW_ALONE


NOT_LET_IN = ("accessdenied", "expiredtoken", "invalidaccesskeyid", "signaturedoesnotmatch", "invalidtoken")
"""Error codes of S3 stores for denied access."""
FAULTS_OF_A_DATABASE = frozenset({"RetryError", "OperationalError", "InternalError", "InterfaceError"})
_DATABASE = re.compile(r"psycopg2?\.(operationalerror|interfaceerror|errors\.(read|admin|crash|deadlock|serial|idle))")
"""Errors of the server's database (restarting, read-only), which servers report with status 400 like a bad row."""
_ADDRESS = re.compile(r"host='([^']+)', port=(\d+)")
_POOL = re.compile(r"^HTTPS?Connection(Pool)?\([^)]*\): ")


class SinkMissing(Exception):
    """The MLflow run that the rows belong to does not exist or was deleted."""

    def __init__(self, remark: RemarkDocument) -> None:
        super().__init__(remark["message"])
        self.remark = remark


def classify(error: BaseException) -> Failure:
    """The kind of failure for an exception from MLflow, its stores or the disk."""
    return Failure(_kind(error), _one_line(error), error.remark if isinstance(error, SinkMissing) else None)


def _one_line(error: BaseException) -> str:
    """The cause alone: requests and urllib3 put it after 300 characters of address."""
    text = " ".join(safe(str(error).replace("\n", " ")).split()) or type(error).__name__
    address, _, cause = _ADDRESS.search(text), *text.partition("(Caused by ")[1:]
    if address and cause:
        reason = _POOL.sub("", cause.partition("(")[2].strip("\"')"))
        text = f"{address[1]}:{address[2]}: {reason}"
    return text[:300]


def _chain(error: BaseException) -> Iterator[BaseException]:
    visited: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in visited:
        visited.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _kind(error: BaseException) -> str:
    if isinstance(error, SinkMissing):
        return "gone"
    text = " ".join(str(link) for link in _chain(error)).lower()
    if any(phrase in text for phrase in NOT_LET_IN):
        return "auth"
    names = {base.__name__ for link in _chain(error) for base in type(link).__mro__}
    codes = {link.errno for link in _chain(error) if isinstance(link, OSError)}
    if codes & {errno.ENOSPC, errno.EDQUOT} or "disk is full" in text or "no space left" in text:
        return "disk_full"
    if "connection refused" in text or "failed to resolve" in text or "could not connect" in text:
        return "unreachable"
    if (
        "timed out" in text
        or "queuepool limit" in text
        or names & {"Timeout", "TimeoutError"}
        or "database is locked" in text
    ):
        return "timeout"
    if "too many 5" in text or "too many 429" in text or names & FAULTS_OF_A_DATABASE or _DATABASE.search(text):
        return "server_error"
    if names & {"ConnectionError", "NewConnectionError", "EndpointConnectionError", "gaierror"}:
        return "unreachable"
    if names & {"PermissionError", "NoCredentialsError"}:
        return "auth"
    by_status = _by_status(error)
    if by_status is not None:
        return by_status
    return "server_error" if isinstance(error, OSError) or names & {"ClientError", "BotoCoreError"} else "broken"


def _by_status(error: BaseException) -> str | None:
    """The kind for an HTTP status (MLflow's own error codes are mapped to one); None without a status."""
    code = str(getattr(error, "error_code", ""))
    status_of = getattr(error, "get_http_status_code", None)
    if status_of is not None:
        status = int(status_of())
    else:
        response = getattr(error, "response", None)
        http_status = getattr(response, "status_code", None)
        if http_status is None:
            return None
        status = int(http_status)
    if status in (401, 403):
        return "auth"
    if "must be in the 'active' state" in str(error) or (code == "RESOURCE_DOES_NOT_EXIST" and "Run" in str(error)):
        return "gone"
    if status in (408, 429) or status >= 500 or code == "ENDPOINT_NOT_FOUND":
        return "server_error"  # ENDPOINT_NOT_FOUND: the address answers, but not as an MLflow server
    return "refused"
