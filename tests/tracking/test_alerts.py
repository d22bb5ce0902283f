"""Alerts reach a real webhook: down, slow, failing, refusing, flooded; and its address stays secret."""

from __future__ import annotations

import json
import socket
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.made_runs import RUN_CONFIG, MadeRun
from tests.support.servers import the_run, wait_until
from vsrpp import config, control
from vsrpp.control import alerts
from vsrpp.errors import Refused
from vsrpp.store import Marks, RunReader
from vsrpp.tracking import Delivery, Report
from vsrpp.tracking import webhook as webhooks
from vsrpp.tracking.alerts import INTERVAL_S, Alerts, AlertWatch, message
from vsrpp.tracking.engine import Engine
from vsrpp.tracking.sync import sync
from vsrpp.tracking.webhook import WebhookError, post

SECRET = "T0123/B456/very-secret"


class Webhook:
    """A real server that gives the statuses in `answers`, then 200; each after `delay_s`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answers: list[int] = []
        self.released = threading.Event()
        self.released.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.released.wait(600)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = hook.answers.pop(0) if hook.answers else 200
                if status == 200:
                    hook.got.append({**body, "_path": self.path})
                    hook.keys.append(self.headers["Idempotency-Key"])
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                hook.got.append({"_path": self.path})
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


def alerting(runs: Path, url: str, on: str = "plateau,non_finite,stopped,finished,failed", **more: Any) -> MadeRun:
    """A run with alerts configured, as `vsrpp train` starts it."""
    run_config = {**RUN_CONFIG, "alerts_url": url, "alerts_on": on, "alerts_format": "json", **more}
    secret = alerts.take_out(run_config)
    run = MadeRun(runs / "alert1", "alert1")
    run.event("started", {"run_config": run_config, "config": run.live, "data_fingerprint": "f" * 64})
    alerts.keep(run.paths, secret)
    return run


class Lane:
    """The alert lane with a fake clock, its marks and its engine."""

    def __init__(self, run: MadeRun) -> None:
        self.now = 1000.0
        self.reader, self.marks = RunReader(run.paths.run_db), Marks(run.paths.delivery_db)
        self.lane = Alerts(run.paths, self.reader, self.marks, clock=lambda: self.now)
        self.engine = Engine([self.lane], self.marks, lambda: self.now, outages=None)

    def turn(self, after_s: float = 0.0) -> bool:
        self.now += after_s
        return self.engine.turn()


def test_an_event_that_was_asked_for_is_posted_and_others_are_not(runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url, on="plateau")
    run.train(20).event("plateau_detected", {}, reason="flat for 250 steps")
    run.event("non_finite", {"loss": None})
    assert Lane(run).turn()
    (got,) = webhook.got
    assert (got["run_id"], got["name"], got["_path"]) == ("alert1", "made", f"/{SECRET}")
    (alert,) = got["alerts"]
    assert (alert["alert"], alert["step"], alert["reason"]) == ("plateau", 20, "flat for 250 steps")
    assert got["text"] == "VSR++ made alert1: step 20: plateau detected (flat for 250 steps)"


def test_a_chats_webhook_gets_text_alone(runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url, alerts_format="slack")
    run.event("plateau_detected", {}, reason="flat")
    Lane(run).turn()
    assert webhook.got == [{"text": "VSR++ made alert1: step 0: plateau detected (flat)", "_path": f"/{SECRET}"}]


def test_a_flood_is_a_few_messages_and_nothing_is_lost(runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url)
    lane = Lane(run)
    for _ in range(100):
        run.event("non_finite", {})
        lane.turn(after_s=0.1)
    assert len(webhook.got) <= 1 + 100 * 0.1 / INTERVAL_S
    lane.turn(after_s=INTERVAL_S)
    assert lane.lane.pending() == 0
    told = sum(len(got["alerts"]) + got["left_out"] for got in webhook.got)
    assert told == 100
    assert "earlier: 79 × non_finite" in webhook.got[-1]["text"] or webhook.got[-1]["left_out"] > 0


def test_an_error_of_the_webhook_is_tried_again_with_the_same_key(runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url)
    run.event("plateau_detected", {})
    lane = Lane(run)
    webhook.answers = [500, 503, 429]
    for _ in range(3):
        assert not lane.turn(after_s=60)
        fact = lane.marks.fact("alerts")
        assert fact["state"] == "lost"
    assert "429" in fact["error"]
    assert lane.turn(after_s=60)
    assert (len(webhook.got), lane.marks.fact("alerts")["state"]) == (1, "ok")
    assert not lane.turn(after_s=60)
    assert webhook.keys == ["alert1/2-2"]


def test_a_refusal_is_set_aside_and_on_record(runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url)
    run.event("plateau_detected", {})
    lane = Lane(run)
    webhook.answers = [404]
    lane.turn()
    assert lane.lane.pending() == 0
    assert lane.marks.items("alerts", "refused")["2-2"] == {"events": 1, "status": 404}
    run.event("plateau_detected", {})
    lane.turn(after_s=60)
    assert len(webhook.got) == 1


def test_a_redirect_is_not_followed(runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url)
    run.event("plateau_detected", {})
    webhook.answers = [302]
    lane = Lane(run)
    lane.turn()
    assert lane.marks.items("alerts", "refused").popitem()[1]["status"] == 302
    assert webhook.got == []


@pytest.mark.parametrize("link_local", [False, True])
def test_a_redirect_is_an_error_wherever_it_may_be_posted_to(webhook: Webhook, link_local: bool) -> None:
    webhook.answers = [302]
    with pytest.raises(WebhookError, match="302"):
        post(webhook.url, {"text": "hello"}, "k", link_local=link_local)
    assert webhook.got == []


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
     "[2002:a9fe:a9fe::1]", "100.100.100.200"],
)  # fmt: skip
def test_a_link_local_webhook_is_refused_unless_allowed(host: str) -> None:
    url = f"http://{host}/latest/{SECRET}"
    with pytest.raises(Refused, match="alerts_link_local = true") as refused:
        alerts.take_out({"alerts_url": url})
    assert SECRET not in str(refused.value)
    assert alerts.take_out({"alerts_url": url, "alerts_link_local": True}) == url


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", ["metadata.example", "2852039166", "0xA9FEA9FE"])
def test_a_name_that_leads_to_a_link_local_address_is_not_posted_to(
    scheme: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 1.0)
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: [found] if host == name else real(host, *a, **k))
    with pytest.raises(OSError, match="alerts_link_local"):
        post(f"{scheme}://{name}/{SECRET}", {}, "k")


def test_a_name_is_reached_at_the_address_that_was_checked(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    port = webhook.server.server_port
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("169.254.169.254", "127.0.0.1")]
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda h, *a, **k: rows if h == "hook.example" else real(h, *a, **k))
    assert post(f"http://hook.example:{port}/x", {"text": "hello"}, "k") == 200
    assert webhook.got[0]["text"] == "hello"


def test_nobody_there_is_a_backlog_that_status_shows(runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # no server is listening
        run = alerting(runs, f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}")
        run.event("plateau_detected", {})
        Lane(run).turn()
    shown = control.status(run.paths)["backlog"]["alerts"]
    assert (shown["waiting"], shown["sent"], shown["state"]) == (1, 0, "lost")
    assert "refused" in shown["error"]
    assert SECRET not in json.dumps(shown)


def test_a_run_without_an_address_posts_nothing_and_shows_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(alerts.ENVIRONMENT, raising=False)
    run = MadeRun(runs / "quiet1", "quiet1").start()
    run.event("plateau_detected", {})
    assert not Lane(run).turn()
    assert control.status(run.paths)["backlog"]["alerts"] is None


def test_a_slow_webhook_holds_up_no_row(uri: str, runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url)
    webhook.released.clear()
    run.event("plateau_detected", {})
    watch = AlertWatch(run.paths)
    watch.start()
    try:
        run.train(50).end()
        wait_until(lambda: Lane(run).lane.pending() == 2, 240, "two events wait")
        began = threading.Event()
        delivering = threading.Thread(target=lambda: (_rows_only(run, uri), began.set()))
        delivering.start()
        delivering.join(120)
        assert began.is_set(), "rows are delivered while the webhook keeps its answer to itself"
        assert webhook.got == []
    finally:
        webhook.released.set()
        watch.end("finished")
        watch.close()
    told = dict.fromkeys(alert["event"] for got in webhook.got for alert in got["alerts"])
    assert list(told) == ["plateau_detected", "finished"]


def _rows_only(run: MadeRun, uri: str) -> None:
    from vsrpp.tracking.connection import Connection, Target
    from vsrpp.tracking.mlflow_rows import MlflowRows

    reader, marks = RunReader(run.paths.run_db), Marks(run.paths.delivery_db)
    rows = MlflowRows(Connection(Target(uri=uri)), run.paths, reader, marks)
    while rows.work(hurry=True):
        pass
    assert rows.pending() == 0
    marks.close()


def test_sync_tells_what_was_not_told_and_that_the_trainer_is_gone(uri: str, runs: Path, webhook: Webhook) -> None:
    run = alerting(runs, webhook.url)
    run.train(20).event("plateau_detected", {})
    run.close()
    assert sync(run.root, uri).delivered
    (got,) = webhook.got
    assert [alert["event"] for alert in got["alerts"]] == ["plateau_detected", "dead"]
    assert sync(run.root, uri).delivered
    assert len(webhook.got) == 1


def test_what_a_webhook_that_is_down_at_the_end_missed_is_said_and_left_to_sync(
    uri: str, runs: Path, webhook: Webhook
) -> None:
    run = alerting(runs, webhook.url)
    webhook.answers = [503] * 1000
    delivery = Delivery.start(uri=uri, tensorboard=False)
    assert delivery.run_id(240), delivery.why
    delivery.follow(run.root)
    run.train(20).end()
    report = delivery.finish(120)
    assert report.delivered
    assert report.why == "1 alert not sent yet (the webhook answered 503); to send: vsrpp sync"
    assert webhook.got == []
    webhook.answers = []
    assert sync(run.root, uri) == Report(delivered=True, rows_left=0, artifacts_left=0)
    assert [alert["event"] for got in webhook.got for alert in got["alerts"]] == ["finished"]


def test_the_address_is_in_no_record_and_in_no_param(uri: str, runs: Path, webhook: Webhook, tmp_path: Path) -> None:
    run = alerting(runs, webhook.url)
    webhook.answers = [500, 404]
    run.train(20).event("plateau_detected", {})
    run.checkpoint(30.0)
    run.end()
    assert sync(run.root, uri).delivered
    shown = f"http://127.0.0.1:{webhook.server.server_port}/…"
    assert the_run(uri, "alert1").data.params["run/alerts_url"] == shown
    kept = alerts.secret_file(run.paths)
    assert kept.read_text() == webhook.url
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for database in (run.paths.run_db, run.paths.delivery_db):
        sqlite3.connect(database).execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and b"very-secret" in path.read_bytes()]
    assert holders == [kept]


def test_a_run_that_begins_from_another_takes_its_address_over(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(alerts.ENVIRONMENT, raising=False)
    run = alerting(runs, f"https://hooks.example.com/{SECRET}")
    child = {"alerts_url": "https://hooks.example.com/…"}
    assert alerts.take_out(dict(child), run.paths) == f"https://hooks.example.com/{SECRET}"
    alone = dict(child)
    assert (alerts.take_out(alone, None), alone["alerts_url"]) == (None, None)
    monkeypatch.setenv(alerts.ENVIRONMENT, "https://other.example.com:8443/x?token=y")
    empty: dict[str, Any] = {"alerts_url": None}
    assert alerts.take_out(empty) == "https://other.example.com:8443/x?token=y"
    assert empty["alerts_url"] == "https://other.example.com:8443/…"


def test_the_block_of_a_config_file_is_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("alerts:\n  on: [plateau, finished]\n  url: https://hooks.example.com/x\n  format: slack\n")
    run_config, _ = config.resolve(None, file, {})
    wanted = {"alerts_on": "plateau,finished", "alerts_url": "https://hooks.example.com/x", "alerts_format": "slack"}
    assert {key: run_config[key] for key in wanted} == wanted
    for text, said in (
        ("alerts: {to: me}", "expected on, url or format under `alerts`"),
        ("alerts: [plateau]", "expected on, url or format under `alerts`"),
        ("alerts: {on: [fire]}", "must be a comma-separated list of: plateau,"),
        ("alerts: {url: me@example.com}", "must be a URL such as"),
    ):
        file.write_text(text)
        with pytest.raises(Refused, match=said):
            config.resolve(None, file, {})


def test_the_message_of_many_events_says_how_many_it_leaves_out() -> None:
    from vsrpp.store import Event

    many = [
        Event(seq=n, time=time.time(), step=n, branch=0, type="non_finite", revision=0, origin=None, author=None,
              reason=None, data={}, hash="")
        for n in range(1, 31)
    ]  # fmt: skip
    told = message(many, "ab12" * 8, {"name": "x"})
    assert (len(told["alerts"]), told["left_out"]) == (20, 10)
    assert "• earlier: 10 × non_finite\n" in told["text"]
