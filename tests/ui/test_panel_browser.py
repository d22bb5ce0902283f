"""A real browser on the panel of a real training process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.panel_browser import PanelProcess, browser, open_page
from tests.support.panel_users import auth_file, sign_in
from tests.support.processes import TrainingProcess, train_command
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.paths import RunPaths
from vsrpp.store import RunReader

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright")
pytestmark = pytest.mark.slow
PACE = {
    "max_steps": 1_000_000,
    "log_every": 10,
    "validate_every": 400,
    "checkpoint_every": 400,
    "keep_every": 400,
    "adaptive": "off",
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Iterator[RunPaths]:
    folder = tmp_path_factory.mktemp("panel")
    with TrainingProcess(folder, train_command(tiny_clip, **PACE)) as process:
        paths = RunPaths(process.run_dir())
        wait_until(lambda: control.checkpoint_steps(paths), 300, "the first checkpoint")
        yield paths


@pytest.fixture(scope="module")
def panel(training: RunPaths) -> Iterator[PanelProcess]:
    with PanelProcess(training.root.parent.parent) as one:
        yield one


@pytest.fixture
def visit(chromium: Browser, panel: PanelProcess) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def go(path: str, **options: Any) -> Page:
        page, asked, errors = open_page(chromium, panel.url + path, **options)
        pages.append(page)
        page.asked, page.errors = asked, errors  # type: ignore[attr-defined]
        return page

    yield go
    for page in pages:
        assert page.errors == []  # type: ignore[attr-defined]
        page.context.close()


@pytest.fixture
def still(training: RunPaths) -> Iterator[None]:
    """The run is paused, so that the page does not change during the test."""
    assert control.command(training, "pause", origin="cli").status == "done"
    yield
    assert control.command(training, "resume", origin="cli").status == "done"


def field(page: Page, key: str) -> Any:
    return page.locator(f"#f-{key} input, #f-{key} textarea").first


def ready(page: Page, revision: int | None = None) -> None:
    """Wait until the form is filled in from that revision (by default the one in force)."""
    wanted = f"[data-base='{revision}']" if revision is not None else "[data-base]:not([data-base=''])"
    page.wait_for_selector(wanted, state="attached")
    page.wait_for_selector("#n-max_lr .note")
    page.wait_for_function("document.querySelector('#f-max_lr input').value !== ''")
    page.wait_for_timeout(300)


def events(paths: RunPaths, *types: str) -> list[Any]:
    with RunReader(paths.run_db) as reader:
        return list(reader.events(types=types))


def revision(paths: RunPaths) -> int:
    return int(control.status(paths)["revision"])


def test_the_page_is_live_and_asks_nobody_else(visit: Callable[..., Page], training: RunPaths) -> None:
    page = visit("monitoring")
    page.wait_for_selector("svg.chart path.line")
    step = lambda: page.locator(".figures dd").first.inner_text()  # noqa: E731
    before = step()
    page.wait_for_function(f"document.querySelector('.figures dd').innerText !== {before!r}")
    for name in ("cards", "bars", "peak", "streams", "timeline", "history"):
        assert page.locator(f"[data-live={name}]").inner_text().strip(), name
    for other in ("config", "runs"):
        more = visit(other)
        more.wait_for_timeout(1500)
        assert {url.split("/")[2] for url in more.asked if url.startswith("http")} == {more.url.split("/")[2]}  # type: ignore[attr-defined]
    assert {url.split("/")[2] for url in page.asked if url.startswith("http")} == {page.url.split("/")[2]}  # type: ignore[attr-defined]


def test_the_config_button_opens_the_config_in_a_new_tab(visit: Callable[..., Page]) -> None:
    page = visit("monitoring")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="⚙️ Configuration").click()
    assert "/config" in opened.value.url
    opened.value.close()


def test_an_edit_is_previewed_applied_and_on_record(visit: Callable[..., Page], training: RunPaths) -> None:
    page = visit("config")
    ready(page)
    before = revision(training)
    field(page, "max_lr").fill("5e-4")
    page.wait_for_selector("#preview .diff")
    snapshot = page.locator("#preview").inner_text()
    assert "5.00e-04" in snapshot and "Learning rate ahead" in snapshot and page.locator("#preview svg").count() == 1
    assert revision(training) == before  # a preview sends the run no command
    page.locator("#reason textarea").fill("a test")
    page.get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_selector("#answer .notice.good")
    said = page.locator("#answer").inner_text()
    event = events(training, "config_applied")[-1]
    assert said == f"Applied at step {event.step}, revision {event.revision}."
    assert (event.origin, event.reason, event.revision) == ("panel", "a test", before + 1)
    page.wait_for_selector(f"#revisions tr.current td:text-is('{before + 1}')")


def test_a_refused_edit_says_why_and_what_holds(visit: Callable[..., Page], training: RunPaths) -> None:
    page = visit("config")
    ready(page)
    before = revision(training)
    field(page, "max_lr").fill("0.5")
    page.wait_for_selector("#n-max_lr .note.bad")
    assert "must be between 1e-05 and 0.001" in page.locator("#n-max_lr").inner_text()
    page.get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_selector("#answer .notice.bad")
    said = page.locator("#answer").inner_text()
    assert "must be between 1e-05 and 0.001" in said and f"Still at revision {before}" in said
    assert field(page, "max_lr").input_value() == "0.5" and revision(training) == before
    assert events(training, "config_refused")[-1].origin == "panel"


def test_an_edit_on_probation_is_announced_and_decided(visit: Callable[..., Page], training: RunPaths) -> None:
    assert (
        control.command(training, "pause", origin="cli").status == "done"
    )  # otherwise it may end before the page shows it
    page = visit("config")
    ready(page)
    page.locator("#f-cooldown_duration input").first.fill("61")
    page.get_by_label("Apply on probation").check()
    page.get_by_label("Steps of probation").fill("100")
    page.get_by_label("Revert if").fill("loss > 1000x")
    page.wait_for_selector("#preview .diff")
    page.get_by_role("button", name="Apply", exact=True).click()
    page.wait_for_selector("#answer .notice.good")
    page.wait_for_selector(".badge.probation")
    assert "loss > 1000x" in page.locator("[data-live=header]").inner_text()
    assert control.command(training, "resume", origin="cli").status == "done"
    wait_until(lambda: events(training, "config_confirmed"), 240, "the end of the probation")


def test_weights_move_together(visit: Callable[..., Page]) -> None:
    page = visit("config")
    ready(page)
    weight = page.locator("#f-l1_weight input[type=number]")
    weight.fill("0.7")
    weight.blur()
    page.wait_for_selector("#preview .diff")
    value = lambda key: float(page.locator(f"#f-{key}_weight input[type=number]").input_value())  # noqa: E731
    wait_until(lambda: sum(map(value, ("l1", "ms", "grad"))) == pytest.approx(1.0, abs=0.002), what="the sum of one")
    assert value("l1") == 0.7


def test_two_people_at_once_stay_apart_and_learn_of_each_other(visit: Callable[..., Page], training: RunPaths) -> None:
    anna, ben = visit("config"), visit("config")
    ready(anna)
    ready(ben)
    field(anna, "grad_clip").fill("2.5")
    field(anna, "plateau_patience").fill("333")
    before = revision(training)
    field(ben, "plateau_patience").fill("444")
    field(ben, "cooldown_duration").fill("77")
    ben.get_by_role("button", name="Apply", exact=True).click()
    ben.wait_for_selector("#answer .notice.good")
    ready(anna, before + 1)
    assert (field(anna, "grad_clip").input_value(), field(anna, "plateau_patience").input_value()) == ("2.5", "333")
    assert field(anna, "cooldown_duration").input_value() == "77"
    anna.wait_for_selector("#n-plateau_patience:has-text('would replace')")
    anna.wait_for_selector("#n-cooldown_duration:has-text('The form has been updated')")
    anna.get_by_role("button", name="Apply", exact=True).click()
    anna.wait_for_selector("#answer .notice.good")
    live = control.status(training)["config"]
    assert (live["grad_clip"], live["plateau_patience"], live["cooldown_duration"]) == (2.5, 333, 77)


def test_going_back_to_an_earlier_revision_fills_the_form(visit: Callable[..., Page], training: RunPaths) -> None:
    control.apply(training, {"max_lr": 6e-4}, origin="cli")
    page = visit("config")
    ready(page)
    page.get_by_role("button", name="Load revision 0 into the form").click()
    page.wait_for_selector("#answer .notice:has-text('Values of revision 0')")
    page.wait_for_selector("#preview .diff")
    wait_until(lambda: field(page, "max_lr").input_value() == "0.001", what="the value of revision 0")


def test_pause_and_resume(visit: Callable[..., Page], training: RunPaths) -> None:
    page = visit("monitoring")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector(".badge.paused")
    page.wait_for_selector("#answer:has-text('done at step')")
    page.wait_for_selector("[data-live=header]:has-text('Paused at step')")
    page.locator("#do-pause").wait_for(state="hidden")
    page.get_by_role("button", name="Resume").click()
    page.wait_for_selector(".badge.training")


def test_checkpoint_and_validate_by_hand(visit: Callable[..., Page], training: RunPaths) -> None:
    page = visit("monitoring")
    page.get_by_role("button", name="Checkpoint").click()
    page.wait_for_selector("#answer:has-text('Checkpoint: done')")
    step = int(re.sub(r"\D", "", page.locator("#answer").inner_text().split("done at step")[1]))
    assert any(event.step == step for event in events(training, "checkpoint_saved")), (
        "asked for, or due at that very step"
    )
    page.get_by_role("button", name="Validate").click()
    page.wait_for_selector("#answer:has-text('Validate: done')")
    assert any(event.data.get("by_hand") for event in events(training, "validated"))


def test_validation_pictures_load(visit: Callable[..., Page], still: None) -> None:
    page = visit("monitoring")
    page.wait_for_selector("#compare-main .half")
    wait_until(lambda: page.title() and any("/panel/images/" in url for url in page.asked), what="a picture")  # type: ignore[attr-defined]
    divider = page.locator("#compare-main [data-divider]")
    divider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#compare-main[style*='51%']")


def test_roll_back_from_the_checkpoint_table(visit: Callable[..., Page], training: RunPaths) -> None:
    page = visit("runs")
    step = min(control.checkpoint_steps(training))
    page.locator(f"[data-act=rollback][data-step='{step}']").click()
    assert f"to step {step}" in page.locator("#ask-sure").inner_text().replace("\u202f", "")
    assert page.locator("#ask-line").inner_text() == f"vsrpp rollback {training.run_id} --step {step}"
    page.locator("#ask-yes").click()
    page.wait_for_selector("#told .notice.good")
    event = events(training, "rolled_back")[-1]
    assert (event.data["to_step"], event.origin) == (step, "panel")
    seen = visit("monitoring")
    marks = seen.locator(".mark title", has_text="rolled back")
    marks.first.wait_for(state="attached")
    assert seen.locator("path.faint").count() > 0


def test_zooming_and_reading_off_the_curves(visit: Callable[..., Page], training: RunPaths, still: None) -> None:
    page = visit("monitoring")
    page.wait_for_selector("#compare-main .half")
    page.wait_for_load_state("load")
    page.wait_for_timeout(1000)
    chart = page.locator("svg.chart[data-x0]")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    px0, px1, x1 = (float(chart.get_attribute(f"data-{name}") or 0) for name in ("px0", "px1", "x1"))
    wide = float((chart.get_attribute("viewBox") or "").split()[2])
    present = control.status(training)["step"]  # after a rollback the current line is shorter than the abandoned one
    middle = (px0 + (px1 - px0) * min(1.0, present / x1) / 2) / wide
    page.mouse.move(box["x"] + box["width"] * middle, box["y"] + 100)
    page.wait_for_selector(".tip:not([hidden])")
    assert "Total" in page.locator(".tip").inner_text()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (middle + 0.2), box["y"] + 100, steps=4)
    page.mouse.up()
    page.wait_for_selector("[data-zoom-reset]:not([hidden])")
    page.wait_for_function("Number(document.querySelector('svg.chart[data-x0]').dataset.x0) > 0")
    page.locator("[data-zoom-reset]").click()
    page.wait_for_function("Number(document.querySelector('svg.chart[data-x0]').dataset.x0) === 0")


def test_a_hidden_tab_asks_for_nothing(visit: Callable[..., Page]) -> None:
    page = visit("monitoring")
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    page.wait_for_timeout(1500)
    asked = len([url for url in page.asked if "/panel/live/" in url])  # type: ignore[attr-defined]
    page.wait_for_timeout(3000)
    assert len([url for url in page.asked if "/panel/live/" in url]) == asked  # type: ignore[attr-defined]
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    with page.expect_request(lambda request: "/panel/live/" in request.url):
        pass


@pytest.mark.parametrize("path", ["monitoring", "config", "runs"])
def test_a_phone_never_scrolls_sideways(visit: Callable[..., Page], path: str) -> None:
    page = visit(path, viewport={"width": 390, "height": 844})
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_everything_can_be_reached_by_keyboard_and_has_a_name(visit: Callable[..., Page]) -> None:
    page = visit("monitoring")
    page.wait_for_selector("#compare-main")
    page.locator("#do-stop").wait_for()
    wanted, reached = {"open-config", "do-pause", "do-validate", "do-checkpoint", "do-stop"}, set()
    for _ in range(300):  # redrawing the focused part moves the focus to the start
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if wanted <= reached:
            break
    assert wanted <= reached
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, a')].filter(e => e.checkVisibility() &&"
        " !(e.innerText.trim() || e.ariaLabel || e.labels?.length || e.title)).map(e => e.outerHTML)"
    )
    assert nameless == []


def test_german(chromium: Browser, training: RunPaths) -> None:
    with PanelProcess(training.root.parent.parent, "--lang", "de") as german:
        page, _, errors = open_page(chromium, german.url + "monitoring")
        page.get_by_role("link", name="⚙️ Konfiguration").wait_for()
        page.get_by_role("button", name="Fortsetzen").or_(page.get_by_role("button", name="Pause")).first.wait_for()
        assert page.evaluate("document.documentElement.lang") == "de" and errors == []
        page.context.close()


def test_login_in_the_browser(chromium: Browser, training: RunPaths, tmp_path: Path) -> None:
    auth = auth_file(tmp_path / "auth", anna="open sesame")
    with PanelProcess(training.root.parent.parent, "--auth", str(auth)) as closed:
        page = chromium.new_context().new_page()
        page.set_default_timeout(120_000)
        page.goto(closed.url + "config")
        assert "/login" in page.url
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".notice.bad")
        sign_in(page, "anna", "open sesame")
        ready(page)
        field(page, "grad_clip").fill("3")
        page.wait_for_selector("#preview .diff")
        page.get_by_role("button", name="Apply", exact=True).click()
        page.wait_for_selector("#answer .notice.good")
        assert events(training, "config_applied")[-1].author == "anna"
        page.context.close()


def test_the_panel_may_be_restarted_under_an_open_page(visit: Callable[..., Page], panel: PanelProcess) -> None:
    page = visit("monitoring")
    panel.stop()
    page.wait_for_selector("#offline:not([hidden])")
    assert "Training is not affected" in page.locator("#offline").inner_text()
    panel.start()
    page.wait_for_selector("#offline[hidden]", state="attached")
    page.wait_for_selector(".badge.training")
    page.get_by_role("button", name="Checkpoint").click()
    page.wait_for_selector("#answer:has-text('Checkpoint: done')")


def test_stop_asks_first_and_a_stopped_run_says_so(chromium: Browser, tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, **PACE)) as process, PanelProcess(tmp_path) as own:
        paths = RunPaths(process.run_dir())
        page, _, _ = open_page(chromium, own.url + "monitoring")
        page.wait_for_selector(".badge.training")
        page.get_by_role("button", name="Stop …").click()
        page.get_by_role("button", name="No, keep training").click()
        assert control.is_live(paths)
        page.get_by_role("button", name="Stop …").click()
        page.get_by_role("button", name="Yes, stop the run").click()
        page.wait_for_selector(".badge.stopped")
        assert re.search(r"stopped at step .*--resume", page.locator("[data-live=header]").inner_text())
        page.locator("#commands").wait_for(state="hidden")
        assert process.wait() == 0
        page.context.close()


def test_a_killed_run_is_called_dead(chromium: Browser, tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, **PACE)) as process, PanelProcess(tmp_path) as own:
        process.run_dir()
        page, _, _ = open_page(chromium, own.url + "monitoring")
        page.wait_for_selector(".badge.training")
        process.process.kill()
        process.process.wait()
        page.wait_for_selector(".badge.dead")
        assert "--resume" in page.locator("[data-live=header]").inner_text()
        page.context.close()
