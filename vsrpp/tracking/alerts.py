"""The alerts lane: posts selected events to a webhook, from a separate thread.

A slow or unreachable webhook delays neither training nor uploads. All pending events go out as one message, at most
one every ten seconds, so that a burst of events becomes a few long messages and none is lost. Delivery is
at-least-once: a message whose response was lost is sent again with the same `Idempotency-Key`.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from vsrpp.control import alerts, run_config_of
from vsrpp.control.narrate import narrate
from vsrpp.paths import RunPaths
from vsrpp.store import Event, Marks, RunReader
from vsrpp.texts import english
from vsrpp.tracking.engine import Engine
from vsrpp.tracking.webhook import TIMEOUT_S, WebhookError, post

log = logging.getLogger("vsrpp.delivery")
INTERVAL_S = 10.0
"""Minimum time between two accepted messages."""
LISTED = 20
"""Events listed in one message; older ones are only counted."""
LOOK_S = 0.5
PATIENCE_AT_END_S = 5.0
END_S = 15.0
"""How long the end of a run may wait for the last message; `vsrpp sync` sends what is still pending then."""


class Alerts:
    """Sends one message at a time; does nothing if the run has no webhook address."""

    name = alerts.SINK

    def __init__(
        self, paths: RunPaths, reader: RunReader, marks: Marks, clock: Callable[[], float] = time.time
    ) -> None:
        self._paths, self._reader, self._marks, self._clock = paths, reader, marks, clock
        self._next_at = 0.0
        self._dead = False
        self._settings: dict[str, Any] | None = None

    def pending(self) -> int:
        return len(self._waiting()) + self._death_untold()

    def work(self, hurry: bool) -> bool:
        now = self._clock()
        if now < self._next_at and not hurry:
            return False
        events = self._waiting()
        if not events and not self._death_untold():
            return False
        url = alerts.read(self._paths)
        if url is None:
            raise FileNotFoundError(f"this host does not have the webhook's address: set {alerts.ENVIRONMENT}")
        body = message(
            events, self._reader.run_id, self._config(), dead=bool(self._death_untold()), host=socket.gethostname()
        )
        key = f"{events[0].seq}-{events[-1].seq}" if events else "dead"
        try:
            allowed = bool(self._config().get("alerts_link_local"))
            status = post(url, body, f"{self._reader.run_id}/{key}", link_local=allowed)
        except WebhookError as error:
            if error.status in (408, 425, 429) or error.status >= 500:
                raise
            log.warning("alerts %s rejected by the webhook (%d); not retried", key, error.status)
            self._marks.put_item(self.name, "refused", key, {"events": len(events), "status": error.status})
        else:
            self._marks.put_item(self.name, "sent", key, {"events": len(events), "status": status})
        if self._death_untold():
            self._marks.set_fact("alerts_dead", {"seq": self._reader.head()[0]})
        if events:
            self._marks.advance(self.name, event_seq=events[-1].seq)
        self._next_at = now + INTERVAL_S
        return True

    def end(self, state: str) -> None:
        """No more events will come. A trainer that died without a final event is reported as `failed`."""
        self._dead = state == "dead"

    def _waiting(self) -> list[Event]:
        types = alerts.event_types(self._config())
        return list(self._reader.events(after_seq=self._marks.position(self.name)[1], types=types)) if types else []

    def _death_untold(self) -> int:
        config = self._config()
        enabled = self._dead and config.get("alerts_url") and "failed" in alerts.names(config)
        sent_seq = (self._marks.fact("alerts_dead") or {}).get("seq")
        return int(bool(enabled) and sent_seq != self._reader.head()[0])

    def _config(self) -> dict[str, Any]:
        if not self._settings:
            self._settings = run_config_of(self._reader)
        return self._settings


def message(
    events: list[Event], run_id: str, run_config: dict[str, Any], *, dead: bool = False, host: str = ""
) -> dict[str, Any]:
    """The body to post: `text` for people (all that a chat webhook accepts); as `json`, also the events as data."""
    title = f"VSR++ {run_config.get('name') or ''} {run_id[:8]}".replace("  ", " ")
    lines = [_line(event) for event in events[-LISTED:]]
    if dead:
        lines.append(f"the training process died without reporting an error; resume: vsrpp train --resume {run_id}")
    if len(events) > LISTED:
        kinds = Counter(alerts.alert_of(event.type) for event in events[:-LISTED])
        lines.insert(0, "earlier: " + ", ".join(f"{count} × {kind}" for kind, count in kinds.items()))
    text = f"{title}: {lines[0]}" if len(lines) == 1 else "\n".join([f"{title}:", *(f"• {line}" for line in lines)])
    if run_config.get("alerts_format") == "slack":
        return {"text": text}
    items = [
        {
            "alert": alerts.alert_of(event.type), "event": event.type, "seq": event.seq, "step": event.step,
            "branch": event.branch, "time": event.time, "reason": event.reason, "text": narrate(event).brief(english),
        }
        for event in events[-LISTED:]
    ]  # fmt: skip
    items += [{"alert": "failed", "event": "dead", "text": lines[-1]}] if dead else []
    return {
        "run_id": run_id, "name": run_config.get("name"), "host": host, "text": text, "alerts": items,
        "left_out": max(0, len(events) - LISTED),
    }  # fmt: skip


def _line(event: Event) -> str:
    narration = narrate(event)
    why = f" ({narration.why(english)})" if narration.reason else ""
    return f"step {event.step}: {narration.brief(english)}{why}"[:300]


class AlertWatch:
    """Runs the lane in a thread of the delivery process, with its own handles on the store."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths, self._stopping = paths, threading.Event()
        self._state: str | None = None
        self._started = False
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Start the thread; a second call has no effect."""
        if not self._started:
            self._started = True
            self._thread.start()

    def end(self, state: str) -> None:
        """No more events will come: send the pending ones without waiting for the interval."""
        self.start()
        self._state = state
        self._stopping.set()

    def wait(self, deadline: float) -> None:
        """After `end`: wait until everything is sent or given up, or until `deadline` (seconds since 1970)."""
        if self._state is not None:
            self._thread.join(max(0.0, min(END_S + TIMEOUT_S, deadline - time.time())))

    def close(self) -> None:
        """Stop the thread, waiting a limited time for its last message."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(END_S + TIMEOUT_S)

    def _run(self) -> None:
        with RunReader(self._paths.run_db) as reader:
            marks = Marks(self._paths.delivery_db)
            lane = Alerts(self._paths, reader, marks)
            engine = Engine([lane], marks, outages=None)
            try:
                while not self._stopping.wait(LOOK_S):
                    engine.turn()
                if self._state is not None:
                    lane.end(self._state)
                    engine.drain(deadline=time.time() + END_S, patience_s=PATIENCE_AT_END_S)
            finally:
                marks.close()
