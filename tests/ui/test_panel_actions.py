"""The runs page in a real browser: every action asks first, shows its command, and reports its outcome."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.panel_browser import PanelProcess, browser, open_page
from tests.support.processes import TrainingProcess, train_command
from tests.support.synthetic import SyntheticRun, deliver, full_run, job_records
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.paths import RunPaths

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright")
pytestmark = pytest.mark.slow
ENDED_MS = 300_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> RunPaths:
    folder = tmp_path_factory.mktemp("actions")
    with TrainingProcess(folder, train_command(tiny_clip)) as process:
        paths = RunPaths(process.run_dir())
        assert process.wait(300) == 0, process.output
    return paths


@pytest.fixture(scope="module")
def panel(finished: RunPaths) -> Iterator[PanelProcess]:
    with PanelProcess(finished.root.parent.parent) as one:
        yield one


@pytest.fixture
def visit(chromium: Browser, panel: PanelProcess, finished: RunPaths) -> Iterator[Callable[..., Page]]:
    pages: list[tuple[Page, list[str]]] = []

    def go(path: str = f"runs?run={finished.run_id}", **options: Any) -> Page:
        page, _, errors = open_page(chromium, panel.url + path, **options)
        page.wait_for_selector("[data-live=checkpoints] table")
        pages.append((page, errors))
        return page

    yield go
    for page, errors in pages:
        assert errors == []
        page.context.close()


def test_restoring_by_keyboard_asks_shows_the_command_and_says_where(
    visit: Callable[..., Page], finished: RunPaths
) -> None:
    page = visit()
    button = page.locator("[data-act=restore][data-step='10']")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask[open]")
    assert page.evaluate("document.activeElement.id") == "ask-yes"
    line = page.locator("#ask-line").inner_text()
    assert line == f"vsrpp restore {finished.run_id} --step 10 --out {finished.run_id}@10"
    assert f"{finished.run_id}@10" in page.locator("#ask-sure").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("#ask:not([open])", state="attached")
    assert page.evaluate("document.activeElement.dataset.act") == "restore"  # the focus returns to where it was
    assert not (finished.root.parent / ".jobs").exists()
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask[open]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#told .notice.good")
    page.wait_for_selector(".job .badge.done", timeout=ENDED_MS)
    assert f"{finished.run_id}@10" in page.locator(".job .notice.good").inner_text()
    other = visit()  # a second tab, and the first one reloaded
    other.wait_for_selector(".job .badge.done")
    page.reload()
    page.wait_for_selector(".job .badge.done")
    assert page.locator(".job [data-copy]").get_attribute("data-copy") == line
    page.locator("[data-act=restore][data-step='10']").click()
    page.locator("#ask-yes").click()
    page.wait_for_selector(
        "#ask-told .notice.bad:has-text('already exists')"
    )  # reported beside the control that was used
    assert page.locator("#ask").is_visible()


def test_promoting_asks_for_an_alias_and_refuses_a_wrong_one(visit: Callable[..., Page], finished: RunPaths) -> None:
    page = visit()
    page.locator("[data-act=promote][data-step='10']").click()
    assert page.evaluate("document.activeElement.id") == "ask-alias"
    page.locator("#ask-alias").fill("two words")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ask-told .notice.bad")
    page.locator("#ask-alias").fill("shown")
    assert page.locator("#ask-line").inner_text() == f"vsrpp promote {finished.run_id}@10 --alias shown"
    page.keyboard.press("Enter")
    page.wait_for_selector(".job:has-text('Promote') .badge.done", timeout=ENDED_MS)
    assert "models:/vsrpp@shown" in page.locator(".job:has-text('Promote') .notice.good").inner_text()


def test_replaying_says_identical(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator("[data-live=commands] [data-act=replay]").click()
    page.locator("#ask-yes").click()
    page.wait_for_selector(".job:has-text('Replay') .notice:has-text('identical at step 12')", timeout=ENDED_MS)


def test_a_new_run_warns_of_another_and_can_be_stopped(
    visit: Callable[..., Page], panel: PanelProcess, finished: RunPaths, tiny_clip: Path
) -> None:
    runs = finished.root.parent
    before = len(list(runs.glob("*/runtime_config.json")))
    with TrainingProcess(panel.folder, train_command(tiny_clip, max_steps=1_000_000, name="other")) as process:
        wait_until(lambda: len(list(runs.glob("*/runtime_config.json"))) > before, 240, "the other run")
        page = visit()
        page.wait_for_selector("[data-act=from][data-warn]", state="attached")
        page.locator("[data-act=from][data-step='10']").click()
        assert "Training on this machine now: other." in page.locator("#ask-warn").inner_text()
        page.locator("#ask-no").click()
        process.process.send_signal(signal.SIGTERM)
        process.wait(240)
    page.wait_for_selector("[data-act=from][data-step='10']:not([data-warn])", state="attached")
    known = {paths.run_id for paths in control.local_runs(runs)}
    page.locator("[data-act=from][data-step='10']").click()
    assert not page.locator("#ask-warn").is_visible()
    page.locator("#ask-yes").click()
    new = RunPaths(
        wait_until(
            lambda: next((p.parent for p in runs.glob("*/runtime_config.json") if p.parent.name not in known), None),
            240, "a run",
        )
    )  # fmt: skip
    wait_until(lambda: control.status(new)["state"] == "finished", 240, "its end")
    page.wait_for_selector(f"[data-live=all-runs] :text('{new.run_id}')", timeout=ENDED_MS)
    assert control.status(new)["step"] == 12


def test_cancelling_a_job(chromium: Browser, tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, max_steps=300)) as process:
        paths = RunPaths(process.run_dir())
        assert process.wait(300) == 0, process.output
    with PanelProcess(tmp_path) as own:
        page, _, errors = open_page(chromium, f"{own.url}runs?run={paths.run_id}")
        page.locator("[data-live=commands] [data-act=replay]").click()
        page.locator("#ask-yes").click()
        page.get_by_role("button", name="Cancel: vsrpp replay").click()
        page.wait_for_selector(".job .badge.cancelled", timeout=ENDED_MS)
        assert errors == []
        page.context.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[PanelProcess, SyntheticRun, SyntheticRun]]:
    runs = tmp_path / "runs"
    runs.mkdir()
    first, second = full_run(runs, run_id="20260101-120000-a"), full_run(runs, run_id="20260102-120000-b")
    job_records(runs, first.paths.run_id)
    with PanelProcess(tmp_path) as one:
        yield one, first, second


def test_two_ticked_runs_lead_to_mlflows_compare_page(
    chromium: Browser, two: tuple[PanelProcess, SyntheticRun, SyntheticRun]
) -> None:
    panel, first, second = two
    deliver(first, experiment="3")
    deliver(second, experiment="7")
    page, _, errors = open_page(chromium, panel.url + "runs")
    for run in (first, second):
        page.get_by_label(f"Compare: harbour ({run.paths.run_id})").check()
    link = page.wait_for_selector("#compare-mlflow").get_attribute("href")
    assert link == (
        "http://tracking.example:5000/#/compare-runs?runs=%5B%22m-20260102-120000-b%22%2C%22m-20260101-120000-a%22%5D"
        "&experiments=%5B%223%22%2C%227%22%5D"
    )
    own = page.get_by_label(f"Open in MLflow: {first.paths.run_id}").get_attribute("href")
    assert own == "http://tracking.example:5000/#/experiments/3/runs/m-20260101-120000-a"
    page.reload()
    page.wait_for_selector("#compare-mlflow")  # the ticks are kept
    third = SyntheticRun(panel.folder / "runs", run_id="20260103-120000-c")  # rows move, and each keeps its tick
    third.say("training")
    page.wait_for_selector("[data-pick='20260103-120000-c']", timeout=ENDED_MS)
    assert not page.locator("[data-pick='20260103-120000-c']").is_checked()
    page.locator(f"[data-pick='{first.paths.run_id}']").uncheck()
    page.wait_for_selector("[data-live=compare] :text('Tick two')")
    assert errors == []
    page.context.close()


def test_every_action_can_be_reached_by_keyboard_and_has_a_name(
    chromium: Browser, two: tuple[PanelProcess, SyntheticRun, SyntheticRun]
) -> None:
    panel, first, _ = two
    deliver(first)
    page, _, _ = open_page(chromium, f"{panel.url}runs?run={first.paths.run_id}")
    page.wait_for_selector("[data-act=promote]")
    reached = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.act || document.activeElement.dataset.pick"))
    assert {"cancel", "rollback", "restore", "from", "promote", first.paths.run_id} <= reached
    page.locator("[data-act=promote]").first.click()
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, a, dialog')].filter(e => e.checkVisibility() &&"
        " !(e.innerText.trim() || e.ariaLabel || e.labels?.length || e.title)).map(e => e.outerHTML)"
    )
    assert nameless == []
    for _ in range(12):  # a dialog keeps the focus
        page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || !!document.activeElement.closest('#ask')"
        assert page.evaluate(inside)
    page.context.close()


def test_a_phone_never_scrolls_sideways_with_jobs_and_a_question(
    chromium: Browser, two: tuple[PanelProcess, SyntheticRun, SyntheticRun]
) -> None:
    panel, first, _ = two
    deliver(first)
    page, _, _ = open_page(
        chromium, f"{panel.url}runs?run={first.paths.run_id}", viewport={"width": 390, "height": 844}
    )
    page.wait_for_selector(".job")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    promote = page.locator("[data-act=promote]").first
    promote.click()
    box = page.locator("#ask").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    page.context.close()


def test_the_page_is_german_too(chromium: Browser, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    run = full_run(runs)
    deliver(run)
    job_records(runs, run.paths.run_id)
    with PanelProcess(tmp_path, "--lang", "de") as german:
        page, _, _ = open_page(chromium, german.url + "runs")
        page.locator("[data-act=rollback]").first.click()
        assert "Den Lauf auf Schritt" in page.locator("#ask-sure").inner_text()
        page.get_by_role("button", name="Nein").click()
        words = page.locator("main.vp-grid").inner_text()
        for word in ("Von hier gestartet", "läuft", "erledigt", "gescheitert", "abgebrochen", "Wiederherstellen"):
            assert word in words
        page.context.close()
