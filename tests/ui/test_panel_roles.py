"""Viewer, operator, owner: one table decides, every way to change anything passes it, and the record names who did it."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from vsrpp_ui import app as panel
from vsrpp_ui import steering
from vsrpp_ui.door import Visitor
from vsrpp_ui.pages.monitoring import COMMANDS
from vsrpp_ui.snapshot import RunWatch
from vsrpp_ui.verbs import VERBS

from tests.support import extras
from tests.support.synthetic import SyntheticRun, full_run
from vsrpp import config, control
from vsrpp.control import NEEDS, Role
from vsrpp.control.panel_links import AccountKeys
from vsrpp.errors import Refused
from vsrpp.store import Answer
from vsrpp.store.inbox import COMMAND_KINDS

ROOT = Path(__file__).resolve().parents[2]
HERE = "http://localhost:5050"
KEYS = AccountKeys(b"k" * 32)
VIEWER, OPERATOR, OWNER = (Visitor(role.word, role) for role in Role)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    runs = tmp_path_factory.mktemp("roles") / "runs"
    runs.mkdir()
    made = full_run(runs)
    made.say("training")
    return made


@pytest.fixture(scope="module")
def http(run: SyntheticRun) -> Iterator[TestClient]:
    """Nothing is sent or started: who would have done it is told instead."""
    with (
        pytest.MonkeyPatch.context() as patch,
        TestClient(panel.build(runs=run.paths.root.parent, keys=KEYS), base_url=HERE) as one,
    ):
        patch.setattr(control, "command", lambda *_, **__: Answer(status="done", step=1))
        yield one


# ---- the table
def test_every_action_of_the_panel_has_a_declared_role() -> None:
    asked = {f"command.{kind}" for kind in COMMAND_KINDS if kind != "edit"}
    assert {f"command.{kind}" for kind in COMMANDS} < asked
    asked |= {f"job.{verb}" for verb in (*VERBS, "cancel")} | {"edit.ending"}
    asked |= {f"edit.{parameter.tier}" for parameter in config.live_parameters().values()}
    assert asked == NEEDS.keys()


def test_what_a_role_may_do_includes_what_the_lower_ones_may() -> None:
    may = {role: {action for action, needed in NEEDS.items() if role >= needed} for role in Role}
    assert may[Role.VIEWER] == set()
    assert may[Role.OPERATOR] == {
        "edit.safe", "command.pause", "command.resume", "command.validate", "command.checkpoint",
    }  # fmt: skip
    assert may[Role.OWNER] == set(NEEDS)


def test_an_action_without_a_declared_role_is_nobodys(run: SyntheticRun) -> None:
    with pytest.raises(Refused, match="no role is declared"):
        steering.command(OWNER, run.paths, "explode")


def steering_calls(source: str) -> Iterator[str]:
    """What a file of the panel calls that changes something."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            if called in ("control.command", "control.apply") or re.search(r"\b_?jobs\.(start|cancel)$", called):
                yield called
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.name for alias in node.names if alias.name in ("Inbox", "command", "apply"))


def test_only_one_file_of_the_panel_can_change_anything() -> None:
    found = {file.name: set(steering_calls(file.read_text("utf-8"))) for file in (ROOT / "ui").rglob("*.py")}
    assert {name: calls for name, calls in found.items() if calls} == {
        "steering.py": {"control.command", "control.apply", "jobs.start", "jobs.cancel"}
    }
    assert set(steering_calls("from vsrpp.store import Inbox\npanel.jobs.cancel(x)")) == {"Inbox", "panel.jobs.cancel"}


def test_every_address_that_takes_a_post_is_known(runs: Path) -> None:
    posts = {route.path for route in panel.build(runs=runs).routes if "POST" in (getattr(route, "methods", None) or ())}
    assert posts == {"/login", "/logout", "/panel/live/{page}", "/panel/do"}


# ---- what the server does
def test_a_command_reaches_the_run_only_from_a_role_that_may_give_it(run: SyntheticRun) -> None:
    expected = []
    for kind in [*COMMANDS, "stop", "rollback"]:
        for visitor in (VIEWER, OPERATOR, OWNER):
            if visitor.role >= NEEDS[f"command.{kind}"]:
                steering.command(visitor, run.paths, kind, {"step": 100} if kind == "rollback" else None, wait_s=0)
                expected.append((kind, visitor.name))
            else:
                with pytest.raises(Refused, match=f"{kind} refused: {visitor.name} has the role {visitor.role.word}"):
                    steering.command(visitor, run.paths, kind, wait_s=0)
            assert sent(run) == expected
    assert ("pause", "operator") in expected and ("stop", "operator") not in expected


EDITS: list[tuple[dict[str, Any], Role]] = [
    ({"max_lr": 2e-4}, Role.OPERATOR), ({"l1_weight": 0.5}, Role.OWNER), ({"max_lr": 2e-4, "l1_weight": 0.5}, Role.OWNER),
    ({"no_such_key": 1}, Role.OWNER), ({"max_steps": 5000}, Role.OPERATOR), ({"max_steps": 1}, Role.OWNER),
    ({"max_steps": "1e2"}, Role.OWNER),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "least"), EDITS, ids=str)
def test_an_edit_is_sent_only_for_a_role_that_covers_all_its_keys(
    run: SyntheticRun, changes: dict[str, Any], least: Role
) -> None:
    before, snapshot = sent(run), RunWatch(run.paths).snapshot()
    assert snapshot.step > 100
    for visitor in (VIEWER, OPERATOR, OWNER):
        if visitor.role >= least:
            steering.check_edit(visitor, changes, snapshot)
        else:
            with pytest.raises(Refused, match=visitor.role.word) as refused:
                steering.edit(visitor, run.paths, changes, snapshot)
            assert "\n" not in str(refused.value)
    assert sent(run) == before


def test_a_key_of_a_plug_in_counts_by_its_own_tier() -> None:
    ours = config.live_parameters()
    foreign = {key: one.tier for key, one in config.live_parameters(extras.TIDY).items() if key not in ours}
    assert foreign
    for key, tier in foreign.items():
        assert control.needed_for_edit([key], extras.TIDY) == NEEDS[f"edit.{tier}"]


def sent(run: SyntheticRun) -> list[tuple[str, str]]:
    """(kind, author) of what is in the run's inbox."""
    if not run.paths.inbox_db.exists():
        return []
    with closing(sqlite3.connect(run.paths.inbox_db)) as db:
        return db.execute("SELECT kind, author FROM commands ORDER BY id").fetchall()


# ---- over HTTP
def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.token(role)}"}


def test_viewers_and_operators_can_start_nothing(http: TestClient, run: SyntheticRun) -> None:
    for verb in ("rollback", *VERBS, "cancel"):
        order = {"verb": verb, "run": run.paths.run_id, "step": 100, "alias": "a", "job": "0" * 14}
        for role in (Role.VIEWER, Role.OPERATOR):
            answer = http.post("/panel/do", json=order, headers=bearer(role))
            assert (answer.status_code, answer.json()["reason_code"]) == (403, "refused.panel.role"), verb
            assert answer.json()["fields"]["needed"] == "owner" and f"role {role.word} here" in answer.json()["notice"]
    assert not (run.paths.root.parent / ".jobs").exists()
    assert "abgelehnt" in http.post("/panel/do?lang=de", json=order, headers=bearer(Role.VIEWER)).json()["notice"]


def events_of(http: TestClient, page: str, run_id: str) -> list[dict[str, Any]]:
    """What Gradio can be asked to call on a page."""
    source = http.get(f"/{page}/", params={"lang": "en", "run": run_id}, headers=bearer(Role.VIEWER)).text
    found = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", source)[1])  # type: ignore[index]
    events: list[dict[str, Any]] = found["dependencies"]
    return events


def test_no_event_of_a_page_lets_a_viewer_change_anything(
    http: TestClient, run: SyntheticRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    monkeypatch.setattr(control, "command", lambda *_, **__: reached.append("command"))
    monkeypatch.setattr(control, "apply", lambda *_, **__: reached.append("apply"))
    called = 0
    for page in ("monitoring", "config", "runs"):
        for event in events_of(http, page, run.paths.run_id):
            data = [run.paths.run_id, 3, *[1e-4] * (len(event["inputs"]) - 2)][: len(event["inputs"])]
            body = {"data": data, "fn_index": event["id"], "session_hash": "x"}
            http.post(f"/en/{page}/gradio_api/run/predict", json=body, headers=bearer(Role.VIEWER))
            called += 1
    assert reached == [] and called > 10


def test_a_button_says_why_it_is_barred_and_an_operators_works(http: TestClient, run: SyntheticRun) -> None:
    events = [
        event for event in events_of(http, "monitoring", run.paths.run_id) if event["inputs"] and event["outputs"]
    ]
    pause = {"data": [run.paths.run_id], "fn_index": events[0]["id"], "session_hash": "x"}
    for role, words in (
        (Role.VIEWER, "pause refused"),
        (Role.OPERATOR, "done at step 1"),
        (Role.OWNER, "done at step 1"),
    ):
        answer = http.post("/en/monitoring/gradio_api/run/predict", json=pause, headers=bearer(role))
        assert words in answer.json()["data"][0], role


def test_a_page_names_the_role_of_each_of_its_buttons(http: TestClient, run: SyntheticRun) -> None:
    source = http.get("/monitoring/", headers=bearer(Role.VIEWER)).text
    assert source.count("needs-operator") >= len(COMMANDS) and "needs-owner" in source
    asked = {"run": run.paths.run_id}
    drawn = http.post("/panel/live/runs", json=asked, headers=bearer(Role.VIEWER)).json()["fragments"]
    buttons = re.findall(r"<button[^>]*data-act[^>]*>", drawn["checkpoints"]["html"] + drawn["commands"]["html"])
    assert buttons and all("needs-owner" in button for button in buttons)
