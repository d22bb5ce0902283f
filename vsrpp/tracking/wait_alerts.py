"""Alerts of a run that waits because it cannot write: posted by the trainer itself, from a thread.

The alerts lane of the delivery process reads events, and the beginning of such a wait is not one: run.db cannot be written.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

from vsrpp.control import alerts
from vsrpp.documents import RemarkDocument
from vsrpp.tracking.alerts import WebhookError, post

log = logging.getLogger("vsrpp.delivery")
RETRY_S = 10.0
CLOSE_S = 5.0


class WaitAlerts:
    """Does nothing without a webhook address, or if `alerts_on` does not name checkpoint_failed."""

    def __init__(self, url: str | None, run_id: str, run_config: Mapping[str, Any]) -> None:
        """`url` is read at the start, because the folder that contains it may be the one that was moved."""
        self._url = url if url and alerts.tells_of_waits(run_config) else None
        self._run_id = run_id
        self._name = run_config.get("name")
        self._slack = run_config.get("alerts_format") == "slack"
        self._bodies: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, event: str, step: int, because: RemarkDocument, line: str) -> None:
        """Post one line; `event` is `waiting`, `waited` (the wait is over), or `not_saved` (the run ended in it)."""
        if self._url is None:
            return
        title = f"VSR++ {self._name or ''} {self._run_id[:8]}".replace("  ", " ")
        body: dict[str, Any] = {"text": f"{title}: {line}"}
        if not self._slack:
            alert = {
                "alert": "checkpoint_failed", "event": event, "step": step, "reason": because["message"],
                "reason_code": because["reason_code"], "text": line,
            }  # fmt: skip
            body |= {"run_id": self._run_id, "name": self._name, "alerts": [alert], "left_out": 0}
        self._bodies.put((event, body))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="wait-alerts", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait a few seconds for what is still to be posted."""
        if self._thread is not None:
            self._closing.set()
            self._bodies.put(None)
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        number = 0
        while (item := self._bodies.get()) is not None:
            event, body = item
            number += 1
            while not self._posted(body, f"{self._run_id}/{event}-{number}"):
                if self._closing.wait(RETRY_S):
                    return

    def _posted(self, body: dict[str, Any], key: str) -> bool:
        """Whether it is done with: accepted, or rejected for good."""
        assert self._url is not None
        try:
            post(self._url, body, key)
        except WebhookError as error:
            return not (error.status in (408, 425, 429) or error.status >= 500)
        except OSError:
            return False
        return True
