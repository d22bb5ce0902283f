"""A run whose texts attack their reader, and addresses with a secret in every part; for every face and record."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.made_runs import RUN_CONFIG, MadeRun
from vsrpp.store import Marks

SECRET = re.compile(r"S3cret\w*", re.IGNORECASE)
"""What no output, file or page may contain."""
TRACKING = "http://S3cretUSER:S3cretPW@127.0.0.1:9/team?token=S3cretQ#S3cretF"
"""A tracking server that nobody runs: connections are refused at once."""
WEBHOOK = "https://S3cretUSER:S3cretPW@hooks.example.com/services/S3cretHOOK?key=S3cretQ"
ADDRESSES = (
    TRACKING, WEBHOOK, "http://S3cretTOKEN@h/", "http://bob:S3/S3cret@h", "http://bob:S3@S3cret@h/x",
    "http://bob:S3 S3cret@h/x", "http://bob:S3'S3cret@h/x", "http:/bob:S3cret@h/", "bob:S3cret@h:5000",
    "postgresql://h/db?user=u&password=S3cret", "postgresql+psycopg2://u:S3cret@h:5432/db?sslmode=require",
    "mysql://u:S3cret@h/db", "s3://S3cret:S3cret@bucket/key", "ftp://h;type=S3cret",
)  # fmt: skip

FORGED = "2026-01-01 09:00:00  forged"
HOSTILE = f"\x1b]0;title\x07\x1b]52;c;AAAA\x07\x1b[2J\x9b2J\r\n{FORGED}\u202e\u2066\u200f[red]x[/red]"
MARKDOWN = "![i](https://evil.example/i.png) [l](https://evil.example) <img src=x> `code` | www.evil.example a&#x202e;b"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def hostile_run(runs: Path, run_id: str = "a0" * 16) -> MadeRun:
    """A finished run with one checkpoint; its authors, reasons, errors, lines, file names and facts are hostile."""
    run = MadeRun(runs / run_id, run_id)
    config = {**RUN_CONFIG, "name": HOSTILE, "data": f"/data/{HOSTILE}"}
    run.start(run_config=config).train(20)
    change = {"key": "max_lr", "old": 1.5e-4, "new": 2e-4}
    run.event("config_applied", {"changes": [change]}, origin="cli", author=HOSTILE, reason=f"{HOSTILE} {MARKDOWN}")
    problem = {"key": HOSTILE, "value": HOSTILE, "message": HOSTILE, "reason_code": HOSTILE, "fields": {"x": HOSTILE}}
    run.event("config_refused", {"line": HOSTILE, "errors": [problem]}, origin="file", author=MARKDOWN)
    run.event("config_refused", {"line": HOSTILE}, origin=HOSTILE, author=HOSTILE, reason=HOSTILE)
    run.event("checkpoint_failed", {"at_step": 20, "error": f"{HOSTILE} {WEBHOOK}"})
    run.event("tracking_lost", {"kind": HOSTILE, "error": f"{HOSTILE} {TRACKING}"})
    run.event("face_failed", {"face": HOSTILE, "error": HOSTILE})
    run.event("stopped", {"why": HOSTILE}, reason=HOSTILE)
    run.validate(31.5)
    run.checkpoint(31.5)
    marks = Marks(run.paths.delivery_db)
    old = {"run_id": "m1", "experiment_id": "1", "uri": TRACKING}  # as an earlier version recorded it
    marks.set_fact("mlflow_run", old)
    marks.close()
    run.event("failed", {"error": f"{HOSTILE} {WEBHOOK}"})
    run.close()
    return run


def assert_safe(text: str, where: str) -> None:
    """No secret, no character that steers, no forged line."""
    assert not SECRET.findall(text), f"{where} shows a secret: {text}"
    assert not STEERING.findall(text), f"{where} steers the terminal: {text!r}"
    assert not any(line.startswith(FORGED) for line in text.splitlines()), f"{where} shows a forged line: {text}"
