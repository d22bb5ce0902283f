"""The kinds of a sink's failures are distinguished, on real answers of a real socket."""

from __future__ import annotations

import errno
import http.server
import threading
from collections.abc import Iterator

import pytest

from vsrpp.tracking import environment
from vsrpp.tracking.failures import KINDS, classify


class Answering(http.server.BaseHTTPRequestHandler):
    code: int | str = 500
    test_is_over = threading.Event()

    def do_GET(self) -> None:
        if self.code == "slow":
            self.test_is_over.wait(600)
            return
        if self.code == "cut":
            self.connection.close()
            return
        self.send_response(int(self.code))
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Answering.test_is_over.set()
    server.shutdown()


def _failure(uri: str, monkeypatch: pytest.MonkeyPatch, timeout_s: int = 120) -> tuple[str, str]:
    environment.prepare(uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout_s))
    from mlflow import MlflowClient

    try:
        MlflowClient(tracking_uri=uri).get_run("a" * 32)
    except Exception as error:  # noqa: BLE001 whatever it is, it must be told apart
        failure = classify(error)
        return failure.kind, failure.message
    raise AssertionError("no failure")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (500, "server_error"), (503, "server_error"), (429, "server_error"), (404, "server_error"), (400, "refused"),
        (401, "auth"), (403, "auth"), ("slow", "timeout"), ("cut", "unreachable"),
    ],
)  # fmt: skip
def test_answers_of_a_server(address: str, code: int | str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Answering.code = code
    assert _failure(address, monkeypatch, 1 if code == "slow" else 120)[0] == kind


def test_nobody_there_is_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, message = _failure("http://127.0.0.1:9", monkeypatch)
    assert kind == "unreachable"
    assert message == "127.0.0.1:9: Failed to establish a new connection: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "auth"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "disk_full"),
        (RuntimeError("(sqlite3.OperationalError) database is locked"), "timeout"),
        (TimeoutError("timed out"), "timeout"),
        (KeyError("path"), "broken"),
    ],
)
def test_errors_of_this_machine(error: Exception, kind: str) -> None:
    assert classify(error).kind == kind
    assert kind in KINDS
