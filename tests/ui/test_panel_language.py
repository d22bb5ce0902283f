"""The language of a page: its own switch in the address, then --lang, then the browser's, then English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser
from vsrpp_ui import app as panel
from vsrpp_ui.messages import preferred

from tests.support.panel_browser import PanelProcess, browser, open_page
from tests.support.synthetic import full_run

GERMAN_BROWSER = {"accept-language": "fr;q=0.9,de-CH,en;q=0.5"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.mark.parametrize(
    ("asked", "configured", "accepted", "language"),
    [
        ("de", "en", "en", "de"), (None, "de", "en", "de"), (None, None, "de-CH,de;q=0.9,en;q=0.8", "de"),
        (None, None, "fr,en;q=0.4,de;q=0.6", "de"), (None, None, "fr", "en"), (None, None, "", "en"), ("fr", None, "", "en"),
        (None, None, "de;q=0,en;q=0.1", "en"), (None, None, ";q=;;,de;q=x", "en"),
    ],
)  # fmt: skip
def test_the_address_comes_before_the_option_and_the_browser(
    asked: str | None, configured: str | None, accepted: str, language: str
) -> None:
    assert preferred(asked, configured, accepted) == language


def test_one_panel_answers_every_request_in_its_language(runs: Path) -> None:
    run = full_run(runs)
    with TestClient(panel.build(runs=runs), base_url="http://localhost:5050", follow_redirects=False) as http:
        for page, label in (("monitoring", "Überwachung"), ("config", "Konfiguration"), ("runs", "Läufe")):
            german, english = (http.get(f"/{page}/", params={"lang": lang}).text for lang in ("de", "en"))
            assert f"VSR++ · {label}" in german and f"VSR++ · {label}" not in english
            assert re.search(r'documentElement\.lang=\\?"de', german)
            assert re.search(r'documentElement\.lang=\\?"en', english)
            assert f"VSR++ · {label}" in http.get(f"/{page}/", headers=GERMAN_BROWSER).text
        asked = {"run": run.paths.run_id}
        assert (
            "trainiert" in http.post("/panel/live/monitoring?lang=de", json=asked).json()["fragments"]["header"]["html"]
        )
        assert (
            "training" in http.post("/panel/live/monitoring?lang=en", json=asked).json()["fragments"]["header"]["html"]
        )
        answer = http.post("/panel/do?lang=de", json={"verb": "rollback", "run": "nonsense", "step": 1})
        assert (answer.status_code, answer.json()["reason_code"]) == (404, "not_found.panel.run")


def test_the_sign_in_keeps_the_language_of_the_page_behind_it(runs: Path, tmp_path: Path) -> None:
    auth = tmp_path / "auth"
    auth.write_text("anna:12345\n")
    auth.chmod(0o600)
    app = panel.build(runs=runs, auth=auth)
    with TestClient(app, base_url="http://localhost:5050", follow_redirects=False) as http:
        there = http.get("/config/?lang=de").headers["location"]
        assert "Passwort" in http.get(there).text and "Password" in http.get("/login").text
        said = {"user": "anna", "password": "12345", "next": "/config"}
        assert http.post("/login?lang=de", data=said).headers["location"] == "/config?lang=de"


def test_the_switch_changes_the_language_and_links_keep_it(chromium: Browser, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    full_run(runs)
    with PanelProcess(tmp_path) as served:
        page, _, errors = open_page(chromium, served.url + "monitoring")
        page.get_by_role("link", name="Deutsch").click()
        page.get_by_role("link", name="⚙️ Konfiguration").wait_for()
        assert "lang=de" in page.url and page.evaluate("document.documentElement.lang") == "de"
        page.get_by_role("link", name="Läufe", exact=True).click()
        page.get_by_role("heading", name="Läufe auf diesem Rechner").wait_for()
        page.get_by_role("link", name="English").click()
        page.get_by_role("heading", name="Runs on this host").wait_for()
        assert "lang=en" in page.url and errors == []
        page.context.close()
