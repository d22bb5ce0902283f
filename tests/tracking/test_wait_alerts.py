"""Alerts of a run that waits: posted without run.db, and without the run folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vsrpp.tracking.wait_alerts import WaitAlerts

BECAUSE: Any = {"message": "the record cannot be written", "reason_code": "because.record_unwritten", "fields": {}}


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hook)
    server.bodies = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/secret", server.bodies  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("form", ["json", "slack"])
def test_begin_and_end_of_a_wait_are_posted_in_order(hook: tuple[str, list[Any]], form: str) -> None:
    url, bodies = hook
    config = {
        "name": "demo",
        "alerts_url": "http://127.0.0.1/…",
        "alerts_on": "checkpoint_failed",
        "alerts_format": form,
    }
    alerts = WaitAlerts(url, "0123456789abcdef", config)
    alerts.tell("waiting", 7, BECAUSE, "waiting at step 7")
    alerts.tell("waited", 7, BECAUSE, "the run goes on")
    alerts.close()
    assert [body["text"] for body in bodies] == [
        "VSR++ demo 01234567: waiting at step 7", "VSR++ demo 01234567: the run goes on",
    ]  # fmt: skip
    if form == "json":
        assert [body["alerts"][0]["event"] for body in bodies] == ["waiting", "waited"]
        assert bodies[0]["alerts"][0]["reason_code"] == "because.record_unwritten"


@pytest.mark.parametrize(("url", "alerts_on"), [(None, "checkpoint_failed"), ("http://127.0.0.1:1/", "finished")])
def test_nothing_is_posted_without_an_address_or_a_wish(url: str | None, alerts_on: str) -> None:
    alerts = WaitAlerts(url, "run", {"alerts_on": alerts_on})
    alerts.tell("waiting", 7, BECAUSE, "waiting at step 7")
    assert not any(thread.name == "wait-alerts" for thread in threading.enumerate())
    alerts.close()
