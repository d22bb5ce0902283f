"""Addresses are shown without their secrets, and no text steers a terminal, whatever it contains."""

from __future__ import annotations

import json
import logging
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile import ADDRESSES, HOSTILE, SECRET, STEERING
from vsrpp import safe_text
from vsrpp.errors import Reason, VsrppError
from vsrpp.safe_text import escape_json, printable, redact, redact_text, safe


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """A process that has seen no address yet."""
    safe_text.forget()


@pytest.mark.parametrize(
    ("address", "of_a_place", "of_unknown_kind"),
    [
        ("http://bob:pw@h:5000/a/b?x=1#f", "http://h:5000/a/b", "http://h:5000/…"),
        (
            "https://hooks.example.com/services/T/B",
            "https://hooks.example.com/services/T/B",
            "https://hooks.example.com/…",
        ),
        ("http://token@h/", "http://h/", "http://h"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x", "http://[::1]:5000/…"),
        ("http://bob:p/w@h", "http://…", "http://…"),
        ("http://b:p@s/s@h/x", "http://…", "http://…"),
        ("http:/bob:pw@h/", "http://h/", "http://h"),
        ("bob:pw@h:5000", "…", "…"),
        ("postgresql+psycopg2://u:pw@h:5432/db?password=x", *["postgresql+psycopg2://h:5432/db"] * 2),
        ("postgresql://h/db?user=u&password=p@x", *["postgresql://…"] * 2),
        ("sqlite:////data/a@b/mlflow.db?x=1", *["sqlite:////data/a@b/mlflow.db"] * 2),
        ("s3://bucket/key", *["s3://bucket/key"] * 2),
        ("mlflow-artifacts:/1/2", *["mlflow-artifacts:/1/2"] * 2),
        ("models:/vsrpp@best", *["models:/vsrpp@best"] * 2),
        ("databricks", *["databricks"] * 2),
        ("/data/mlruns", *["/data/mlruns"] * 2),
    ],
)
def test_what_is_shown_of_an_address(address: str, of_a_place: str, of_unknown_kind: str) -> None:
    assert (redact(address, path=True), redact(address)) == (of_a_place, of_unknown_kind)
    assert redact(of_unknown_kind) == of_unknown_kind


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("sentence", ["{}", "No model on the server {}.", "'{}' failed (see {})", "a\n--to={}, b"])
def test_an_address_in_a_sentence_is_redacted_without_having_been_seen(address: str, sentence: str) -> None:
    assert not SECRET.findall(redact_text(sentence.replace("{}", address)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run latest@40 on http://h:5000 for ann@example.com", "run latest@40 on http://h:5000 for ann@example.com"),
        ("No models:/x@y on http://bob:pw@h.", "No models:/x@y on http://h."),
        ("(see http://h/x)", "(see http://h/…)"),
        ("sqlite:////tmp/mlflow.db is locked", "sqlite:////tmp/mlflow.db is locked"),
        ("Max retries exceeded with url: /api?token=1 (Caused", "Max retries exceeded with url: /api (Caused"),
        ("step 7: max_lr 1e-4 at 12:30, ratio 4:3", "step 7: max_lr 1e-4 at 12:30, ratio 4:3"),
        ("/data/a:b@c/clips", "/data/a:b@c/clips"),
    ],
)
def test_the_rest_of_a_sentence_stays(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_an_address_that_was_seen_is_found_whatever_it_contains_and_its_public_form_stays() -> None:
    odd = "http://bob:12 34 S3cret@h/x?password=S3 S3cret"
    safe_text.remember("--deliver-to=http://u:S3cret@h:5000/mlflow")
    assert redact("http://u:S3cret@h:5000/mlflow", path=True) == "http://h:5000/mlflow"
    safe_text.remember(f"--deliver-to={odd}")
    assert redact_text(f"{odd} and http://h:5000/mlflow") == "http://h/… and http://h:5000/mlflow"


@settings(max_examples=150, deadline=None)
@given(password=st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12))
def test_no_password_is_shown_whatever_it_contains(password: str) -> None:
    secret = f"S3cret{password}S3cret"
    for written in (secret, urllib.parse.quote(secret, safe="")):
        for address in (f"http://bob:{written}@host.example:5000/x", f"postgresql://bob:{written}@host.example/db"):
            assert not SECRET.findall(redact(address)) and not SECRET.findall(redact(address, path=True))
            assert not SECRET.findall(redact_text(f"cannot reach {address}: refused"))


@given(st.text(max_size=60))
def test_printable_text_is_one_line_that_steers_nothing(text: str) -> None:
    shown = printable(text)
    assert not STEERING.findall(shown) and len(shown.splitlines()) <= 1 and "\n" not in shown
    assert printable(shown) == shown


def test_json_keeps_its_data_and_escapes_what_steers() -> None:
    data = {"who": HOSTILE, "tag": "\U000e0041"}
    written = escape_json(json.dumps(data, ensure_ascii=False, indent=2))
    assert json.loads(written) == data
    assert not STEERING.findall(written) and "\U000e0041" not in written


def test_an_error_is_safe_in_its_sentence_and_its_fields() -> None:
    address = "http://bob:S3cret@h/x"
    reason = Reason("failed.made_up", "{file} at {where}: {why}", VsrppError)
    error = reason(file=Path("a\x1b[2J"), where=address, why=[HOSTILE, OSError(address)])
    for text in (str(error), *map(str, error.fields.values())):
        assert not SECRET.findall(text) and not STEERING.findall(text)
    assert str(error).startswith("a\\x1b[2J at http://h/…: ")
    assert str(VsrppError(f"first\nsecond {address}")) == "first\nsecond http://h/…"


def test_what_a_library_logs_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    try:
        safe_text.redact_log_records()
        try:
            raise OSError("no http://bob:S3cret@h")
        except OSError:
            logging.getLogger("some.library").exception("asking %s", "http://bob:S3cret@h")
    finally:
        logging.setLogRecordFactory(before)
    assert "asking http://h" in caplog.text and not SECRET.findall(caplog.text)
    assert safe("plain") == "plain"
