"""WCAG's contrast of all visible text, computed in a real browser: light and dark, every page, every state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.panel_browser import PanelProcess, browser, open_page
from tests.support.panel_users import auth_file, sign_in
from tests.support.synthetic import SyntheticRun, deliver, full_run, job_records

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright")
pytestmark = pytest.mark.slow
JUDGE = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
THEMES = ("light", "dark")
Step = Callable[["Page"], None]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


def failures(page: Page) -> list[Any]:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.wait_for_timeout(300)
    judged = page.evaluate(JUDGE)
    assert judged["count"] > 5, "nothing was looked at"
    return list(judged["found"])


# ---- the states
def running(runs: Path) -> SyntheticRun:
    """Everything at once: a plateau, a probation, pending uploads, an abandoned branch, jobs, other runs."""
    stopped = full_run(runs, run_id="20251230-090000-base")
    stopped.end("stopped")
    deliver(stopped)
    run = full_run(runs)
    run.event("checkpoint_failed", error="the disk is full")
    run.event("plateau_detected", reason="no sign of improvement", counter=250, threshold=0.002)
    activity = {f"activity/backward.{n}": value for n, value in enumerate((0.2, 0.7, 1.2, 1.7, 2.4))}
    run.writer.record(run.step, run.branch, activity)
    deliver(run)
    job_records(runs, run.paths.run_id)
    run.say("training", probation={"until_step": 450, "revert_if": "loss > 2x", "revision": 3})
    return run


def state(name: str) -> Callable[[Path], SyntheticRun]:
    def make(runs: Path) -> SyntheticRun:
        run = full_run(runs)
        if name in ("finished", "stopped", "failed"):
            run.end(name, error="the loss is not finite")
        else:
            run.say("paused" if name == "paused" else "training", alive=name != "dead",
                    at=time.time() - 300 if name == "silent" else None)  # fmt: skip
        return run

    return make


# ---- actions on a page before it is measured
def edited(page: Page) -> None:
    page.wait_for_function("document.querySelector('#f-max_lr input')?.value")
    page.wait_for_timeout(400)
    page.locator("#f-grad_clip input").first.fill("2")
    page.wait_for_selector("#preview .diff")


def refused(page: Page) -> None:
    edited(page)
    page.locator("#f-max_lr input").first.fill("0.5")
    page.wait_for_selector("#n-max_lr .note.bad")
    page.get_by_label("Apply on probation").check()


def asking_to_stop(page: Page) -> None:
    page.get_by_role("button", name="Stop …").click()


def hovering(page: Page) -> None:
    page.wait_for_selector("svg.chart[data-x0]")
    page.locator("svg.chart[data-x0]").hover()
    page.wait_for_selector(".tip:not([hidden])")


def promoting(page: Page) -> None:
    for box in page.locator("[data-pick]").all():
        box.check()
    page.wait_for_selector("#compare-mlflow")
    page.locator("[data-act=promote]").first.click()
    page.locator("#ask-alias").fill("no alias")
    page.locator("#ask-yes").click()
    page.wait_for_selector("#ask-told .notice.bad")


def starting_another(page: Page) -> None:
    page.locator("[data-act=from]").first.click()
    page.wait_for_selector("#ask-warn:not([hidden])")


STATES: dict[str, tuple[Callable[[Path], SyntheticRun] | None, list[tuple[str, Step | None]]]] = {
    "running": (running, [
        ("monitoring", None), ("monitoring", asking_to_stop), ("monitoring", hovering), ("config", edited),
        ("config", refused), ("runs", None), ("runs", promoting), ("runs", starting_another),
    ]),
    "empty": (None, [("monitoring", None), ("runs", None), ("config", None)]),
    "begun": (lambda runs: SyntheticRun(runs), [("monitoring", None), ("runs", None)]),
    "paused": (state("paused"), [("monitoring", None)]),
    "dead": (state("dead"), [("monitoring", None), ("config", None), ("runs", None)]),
    "silent": (state("silent"), [("monitoring", None)]),
    "failed": (state("failed"), [("monitoring", None)]),
    "finished": (state("finished"), [("monitoring", None), ("runs", None)]),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_all_text_has_wcags_contrast_in_light_and_dark(chromium: Browser, tmp_path: Path, name: str) -> None:
    make, looks = STATES[name]
    (tmp_path / "runs").mkdir()
    run = make(tmp_path / "runs") if make else None
    found: dict[str, list[Any]] = {}
    with PanelProcess(tmp_path) as panel:
        for path, step in looks:
            for theme in THEMES:
                query = f"?run={run.paths.run_id}" if run else ""
                page, _, _ = open_page(
                    chromium, f"{panel.url}{path}{query}", color_scheme=theme, reduced_motion="reduce"
                )
                assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
                page.wait_for_timeout(1200)
                if step:
                    step(page)
                found[f"{path}, {step.__name__ if step else 'as it is'}, {theme}"] = failures(page)
                page.context.close()
    assert {where: bad for where, bad in found.items() if bad} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_the_sign_in_page_and_a_page_whose_panel_is_gone_have_it_too(
    chromium: Browser, tmp_path: Path, theme: str
) -> None:
    (tmp_path / "runs").mkdir()
    full_run(tmp_path / "runs")
    auth = auth_file(tmp_path / "auth", anna="open sesame")
    with PanelProcess(tmp_path, "--auth", str(auth)) as panel:
        page = chromium.new_context(color_scheme=theme, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
        page.goto(panel.url)
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".notice.bad")
        assert failures(page) == []
        sign_in(page, "anna", "open sesame")
        page.wait_for_selector("svg.chart")
        panel.stop()
        page.wait_for_selector("#offline:not([hidden])", timeout=60_000)
        assert failures(page) == []
        page.context.close()


def test_the_measure_knows_bad_contrast_when_it_sees_it(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content(
        '<body style="background:#fff"><p style="color:#767676">just enough</p><p style="color:#787878">a little less</p>'
        '<p style="color:#949494;font-size:24px">large enough</p><div style="opacity:.5"><p style="color:#444">faded</p></div>'
        '<p style="background:#000c;color:#fff">on a veil</p><p style="background:linear-gradient(#fff,#000);color:#fff">over'
        ' a gradient</p><input style="color:#aaa;background:#fff" value="typed"><svg><text y="9" fill="#ccc">drawn</text></svg>'
        '<p style="background:#000;width:3px;position:relative"><span style="position:absolute;left:9px">beside it</span></p>'
        "</body>"
    )
    assert [one["text"] for one in failures(page)] == ["a little less", "faded", "over a gradient", "drawn", "typed"]
    page.close()
