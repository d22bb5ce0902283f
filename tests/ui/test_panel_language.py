"""The language of a page: its own switch in the address, then --lang, then the browser's, then English."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser
from vsrpp_ui import app as panel
from vsrpp_ui import tracked
from vsrpp_ui.guard import PAGES
from vsrpp_ui.markup import render
from vsrpp_ui.messages import preferred, texts
from vsrpp_ui.views import config as config_view

from tests.support.panel_browser import PanelProcess, browser, open_page
from tests.support.panel_users import auth_file
from tests.support.synthetic import SyntheticRun, full_run
from tests.support.waiting import wait_until
from vsrpp import config, control
from vsrpp.errors import because

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


# What a German page may share with the English one: names, figures, keys and values of the config, commands, records.
SHARED = re.compile(
    r"PSNR-Y.*|SSIM-Y|MLflow|Phase|Revision|Name|Status|Clip|Plateaus?|GiB|(?:⊕ )?Fusion|Alias|Filter|Checkpoints?|Pause|Momentum"
    r"|Grad(?::.*)?|harbour|anna.*|[\d.]+ (?:GiB|MiB)|\d+ min \d\d s|(?:backward|forward|fusion)\.\d|2026\S*.*|\d{4}-\d\d-\d\d .*"
    r"|(?:\d+: )?(?:\w+_(?:weight|lr) \S+ → \S+(?:, )?)+|vsrpp .*|Tracking: sqlite:.*|loss > 2x|VSR.*"
)
OWN_WORDS = ("there", "No space left on device", "SIGTERM", "loss still falling steadily")


def test_no_english_sentence_stands_on_a_german_page(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked, "search", lambda uri: [{"run_id": "there", "name": "harbour", "status": "running"}])
    run = full_run(runs)
    tell_everything(run)
    run.say("training", probation={"until_step": 600, "revert_if": "loss > 2x", "revision": 3})
    same: dict[str, set[str]] = {}
    with TestClient(panel.build(runs=runs), base_url="http://localhost:5050") as http:
        for page in PAGES:
            german, english = (texts_of_page(http, page, lang, run.paths.run_id) for lang in ("de", "en"))
            assert len(german) > 20
            same[page] = {text for text in german & english if re.search("[A-Za-z]{3}", text)}
    values = [str(value) for value in run.run_config.values()]
    lists = {f"{part}," for value in values for part in value.split(",")} | {value.split(",")[-1] for value in values}
    config_words = {*config.parameters(), *values, *lists}
    known = {*config_words, *OWN_WORDS, run.paths.run_id}
    left = {page: {t for t in found if t not in known and not SHARED.fullmatch(t)} for page, found in same.items()}
    assert left == {page: set() for page in PAGES}


def test_a_preview_in_german_warns_and_refuses_in_german(runs: Path) -> None:
    run = full_run(runs, max_steps=4000)
    german = {}
    for name, changes in (("warned", {"max_lr": 1e-5, "min_lr": 9e-6, "max_steps": 900}), ("refused", {"max_lr": 0.5})):
        preview = control.preview(run.paths, changes)
        german[name] = render(config_view.preview(preview, texts("de"), "de"), texts("de"))
    assert "max_lr sinkt auf 1/80 des jetzigen Werts" in german["warned"]
    assert "max_steps bestimmt auch die Länge der Lernratenkurve" in german["warned"]
    assert "muss zwischen 1e-05 und 0.001 liegen" in german["refused"]


def tell_everything(run: SyntheticRun) -> None:
    """Events whose reasons and errors are sentences of the program."""
    held = {"condition": "loss > 2x", "metric": "loss", "before": "1", "now": "3"}
    stopped = {"count": 3, "step": 9, "run": "x", "max_lr": "1e-4"}
    run.event("config_reverted", to_step=280, changes=[], _origin="probation", _reason="it held",
              **because("because.probation_held", held))  # fmt: skip
    run.event("face_failed", face="panel", error="it ended", **because("because.sidecar_ended", {"code": 3}))
    run.event("failed", error="it stopped", **because("failed.non_finite", stopped))
    run.event("checkpoint_failed", at_step=3, error="No space left on device")
    run.event("stopped", why="SIGTERM")
    run.event("phase_changed", **{"from": "warmup", "to": "settling", "condition": "warmed_up", "warmup_steps": 100})


class _Texts(HTMLParser):
    """The texts of a page, and what a screen reader or a tooltip says."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        spoken = ("title", "aria-label", "alt", "aria-valuetext", "data-sure", "data-do", "data-warn", "data-done")
        self.found |= {value.strip() for name, value in attrs if name in spoken and value}

    def handle_data(self, data: str) -> None:
        self.found |= {data.strip()} - {""}


def texts_of_page(http: TestClient, page: str, language: str, run: str) -> set[str]:
    """What the widgets and the live fragments of a page say."""
    reader = _Texts()
    source = http.get(f"/{page}/", params={"lang": language}).text
    parts = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", source)[1])["components"]  # type: ignore[index]
    for props in (part["props"] for part in parts if "unseen" not in (part["props"].get("elem_classes") or [])):
        for name in ("label", "info", "placeholder", "value"):
            if isinstance(props.get(name), str):
                reader.feed(f"<p>{props[name]}</p>")
    fragments = wait_until(lambda: _fragments(http, page, language, run), 30, "the answer of the tracking server")
    for fragment in fragments.values():
        reader.feed(fragment["html"])
    return reader.found


def _fragments(http: TestClient, page: str, language: str, run: str) -> dict[str, dict[str, str]] | None:
    """The live fragments; None while the tracking server has not answered."""
    answer = http.post(f"/panel/live/{page}", params={"lang": language}, json={"run": run}).json()
    found: dict[str, dict[str, str]] = answer["fragments"]
    return None if page == "runs" and "harbour" not in found["tracked"]["html"] else found


def test_the_sign_in_keeps_the_language_of_the_page_behind_it(runs: Path, tmp_path: Path) -> None:
    auth = auth_file(tmp_path / "auth", anna="12345")
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
