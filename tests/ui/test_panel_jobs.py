"""Jobs of the runs page: what may be started, by whom, how it ends, and what outlives the panel."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient
from vsrpp_ui import app as panel
from vsrpp_ui import jobs as jobs_module
from vsrpp_ui.answers import http_status
from vsrpp_ui.jobs import KEPT, MOST_AT_ONCE, Jobs
from vsrpp_ui.markup import render
from vsrpp_ui.messages import texts
from vsrpp_ui.verbs import Action
from vsrpp_ui.views import jobs as view

from tests.support.panel_browser import PanelProcess
from tests.support.panel_users import auth_file
from tests.support.processes import TrainingProcess, train_command
from tests.support.synthetic import SyntheticRun, full_run, job_key, job_records
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.errors import NotFound, NotLive, Refused, TimedOut, VsrppError
from vsrpp.paths import RunPaths
from vsrpp.store import Answer

HERE = "http://localhost:5050"
EN = texts("en")


def post(url: str, order: object, **headers: str) -> dict[str, Any]:
    request = urllib.request.Request(
        url + "panel/do", json.dumps(order).encode(), {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as refused:  # the body gives the reason
        return dict(json.load(refused))


def newest(folder: Path) -> Any:
    return Jobs(folder / "runs").all()[0]


def ended(folder: Path) -> Any:
    seen = newest(folder)
    return seen if seen.state not in ("running", "ending") and seen.job.ended else None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> RunPaths:
    """A finished run whose checkpoints are all in MLflow."""
    folder = tmp_path_factory.mktemp("jobs")
    with TrainingProcess(folder, train_command(tiny_clip)) as process:
        paths = RunPaths(process.run_dir())
        assert process.wait(300) == 0, process.output
    return paths


@pytest.fixture(scope="module")
def live_panel(finished: RunPaths) -> Iterator[PanelProcess]:
    with PanelProcess(finished.root.parent.parent) as one:
        yield one


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, SyntheticRun]]:
    """A panel on one run, without any jobs."""
    runs = tmp_path_factory.mktemp("idle") / "runs"
    runs.mkdir()
    with TestClient(panel.build(runs=runs), base_url=HERE) as http:
        yield http, full_run(runs)


# ---- what may be started
@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"verb": "rm"}, "starts only"), ({"verb": "train; rm -rf /"}, "starts only"), ({}, "starts only"),
        ({"verb": "restore"}, "needs a step"), ({"verb": "restore", "step": -1}, "between 0"),
        ({"verb": "restore", "step": 10**12}, "between 0"), ({"verb": "restore", "step": "1; ls"}, "whole number"),
        ({"verb": "restore", "step": True}, "whole number"), ({"verb": "promote", "step": 100}, "alias"),
        ({"verb": "promote", "step": 100, "alias": "--name"}, "alias"),
        ({"verb": "promote", "step": 100, "alias": "a b"}, "alias"),
        ({"verb": "promote", "step": 100, "alias": "a" * 65}, "alias"),
        ({"verb": "replay", "run": "../x"}, "no run"), ({"verb": "replay", "run": "nobody"}, "no run"),
        ({"verb": "cancel", "job": "../../etc/passwd"}, "no job"), ({"verb": "cancel", "job": "0" * 14}, "no job"),
        ({"verb": "rollback"}, "needs a step"),
    ],
)  # fmt: skip
def test_what_is_no_action_is_refused_and_starts_nothing(
    idle: tuple[TestClient, SyntheticRun], order: dict[str, Any], says: str
) -> None:
    http, run = idle
    response = http.post("/panel/do", json={"run": run.paths.run_id, **order})
    answer = response.json()
    assert answer["ok"] is False and says in answer["notice"].lower()
    code, status = ("not_found", 404) if says in ("no run", "no job") else ("refused", 400)
    assert (answer["reason_code"].partition(".")[0], response.status_code) == (code, status)
    assert not (run.paths.root.parent / ".jobs").exists()


@pytest.mark.parametrize(
    ("answer", "status", "code", "ok"),
    [
        (Answer(status="done", step=100), 200, "", True),
        (Answer(status="pending", message="…", reason_code="timed_out"), 202, "timed_out", True),
        (Answer(status="refused", message="…", reason_code="refused.rollback", fields={"step": 7}), 400,
         "refused.rollback", False),
        (Answer(status="refused", message="…", reason_code="not_found.checkpoint"), 404, "not_found.checkpoint", False),
    ],
)  # fmt: skip
def test_what_became_of_a_command_is_told_by_status_code_and_fields_never_by_the_sentence(
    idle: tuple[TestClient, SyntheticRun],
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    status: int,
    code: str,
    ok: bool,
) -> None:
    http, run = idle
    monkeypatch.setattr(control, "command", lambda *_, **__: answer)
    found = http.post("/panel/do", json={"run": run.paths.run_id, "verb": "rollback", "step": 7})
    assert (found.status_code, found.json()["reason_code"], found.json()["ok"]) == (status, code, ok)
    assert found.json()["fields"] == answer.fields


@pytest.mark.parametrize(
    ("error", "status"), [(VsrppError, 500), (Refused, 400), (NotFound, 404), (NotLive, 409), (TimedOut, 504)]
)
def test_the_http_status_of_a_failure_follows_from_its_class(error: type[VsrppError], status: int) -> None:
    assert http_status(error("any sentence")) == status


def test_a_run_named_like_an_option_is_refused() -> None:
    with pytest.raises(Refused, match="option"):
        Action(verb="replay", run_id="--help")


def test_only_a_signed_in_person_on_our_own_pages_may_act(runs: Path, tmp_path: Path) -> None:
    run_id = full_run(runs).paths.run_id
    auth = auth_file(tmp_path / "auth", anna="open sesame")
    order = {"verb": "restore", "run": run_id, "step": 100}
    with TestClient(panel.build(runs=runs, auth=auth), base_url=HERE, follow_redirects=False) as http:
        assert http.post("/panel/do", json=order).status_code == 401
        http.post("/login", data={"user": "anna", "password": "open sesame"})
        assert http.post("/panel/do", json=order, headers={"origin": "https://evil.example"}).status_code == 403
        assert http.post("/panel/do", content=json.dumps(order)).status_code == 415
        assert http.post("/panel/do", json=[1]).status_code == 400
        assert not (runs / ".jobs").exists()
        assert http.post("/panel/do", json=order).json()["ok"]
        assert newest(runs.parent).job.author == "anna"
        wait_until(lambda: ended(runs.parent), 240, "the end of the job")


def test_the_command_shown_is_the_one_that_runs(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    monkeypatch.delenv("VSRPP_RUNS", raising=False)
    lines = {
        Action(verb="restore", run_id="r", step=5): "vsrpp restore r --step 5 --out r@5",
        Action(verb="promote", run_id="r", step=5, alias="best"): "vsrpp promote r@5 --alias best",
        Action(verb="from", run_id="r", step=5): "vsrpp train --from r@5 --no-panel",
        Action(verb="from", run_id="r"): "vsrpp train --from r --no-panel",
        Action(verb="resume", run_id="r"): "vsrpp train --resume r --no-panel",
        Action(verb="replay", run_id="r"): "vsrpp replay r",
    }
    for action, line in lines.items():
        assert action.line(runs) == line
    elsewhere = Action(verb="replay", run_id="r").line(runs / "other runs")
    assert elsewhere == f"vsrpp replay r --run-dir '{runs}/other runs'"


def test_a_child_inherits_neither_another_runs_mlflow_run_nor_a_place_in_a_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in ("MLFLOW_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(key, "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    found = jobs_module.child_environment()
    assert found["MLFLOW_TRACKING_URI"] == "http://tracking.example"
    assert not {"MLFLOW_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID"} & set(found)


# ---- the list
def test_the_list_is_bounded_and_old_logs_go_with_it(runs: Path) -> None:
    run_id = full_run(runs).paths.run_id
    job_records(runs, run_id)
    home = runs / ".jobs"
    old = json.loads((home / f"{job_key(1)}.json").read_text())
    for number in range(2 * KEPT):
        key = job_key(1000 + number)
        (home / f"{key}.json").write_text(json.dumps({**old, "id": key}))
        (home / f"{key}.log").write_text("said\n")
    jobs = Jobs(runs)
    jobs.start(Action(verb="restore", run_id=run_id, step=100), None)
    assert len(jobs.all()) <= KEPT + MOST_AT_ONCE and len(list(home.glob("*.log"))) == len(jobs.all())
    wait_until(lambda: ended(runs.parent), 240, "the end of the job")


def test_every_state_is_shown_with_its_command_and_what_came_of_it(runs: Path) -> None:
    job_records(runs, "demo")
    seen = Jobs(runs).all()
    assert sorted(one.state for one in seen) == ["cancelled", "done", "failed", "running"]
    drawn = render(view.jobs(seen), EN)
    for words in (
        "vsrpp replay demo",
        "✅ Config restored from step 200",
        "/data/demo@200",
        "cannot be reached.",
        "Cancel",
    ):
        assert words in drawn
    assert drawn.count("data-act=") == 1  # only a running job can be cancelled
    assert view.jobs([]) is None


def test_what_a_command_prints_brings_no_markup_and_no_control_characters(runs: Path) -> None:
    job_records(runs, "demo")
    log = runs / ".jobs" / f"{job_key(0)}.log"
    log.write_text("<img src=x>\x1b[31m red\x1b[0m\nstep 1\rstep 2\rstep 3\n" + "x" * 5000 + "\n")
    seen = next(one for one in Jobs(runs).all() if one.state == "running")
    assert seen.tail[:2] == ("<img src=x> red", "step 3") and len(seen.tail[2]) == 300
    assert "<img" not in render(view.jobs([seen]), EN)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}', "null"])
def test_a_damaged_record_is_passed_over(runs: Path, text: str) -> None:
    job_records(runs, "demo")
    (runs / ".jobs" / f"{job_key(0)}.json").write_text(text)
    assert len(Jobs(runs).all()) == 3


def test_the_same_thing_twice_and_too_much_at_once_are_refused(runs: Path) -> None:
    job_records(runs, "demo")
    record = runs / ".jobs" / f"{job_key(0)}.json"
    job = json.loads(record.read_text())
    record.write_text(json.dumps({**job, "line": Action(verb="replay", run_id="demo").line(runs)}))
    with pytest.raises(Refused, match="already running"):
        Jobs(runs).start(Action(verb="replay", run_id="demo"), None)
    for number in range(1, MOST_AT_ONCE):
        key = job_key(-number)
        record.with_stem(key).write_text(json.dumps({**job, "id": key}))
    with pytest.raises(Refused, match="wait for one to end"):
        Jobs(runs).start(Action(verb="replay", run_id="other"), None)
    ended_one = job_key(1)
    with pytest.raises(Refused, match="has ended"):
        Jobs(runs).cancel(ended_one, None)
    with pytest.raises(NotFound):
        Jobs(runs).cancel("0" * 13, None)


# ---- real commands
@pytest.mark.slow
def test_restore_fills_a_folder_beside_the_runs_and_says_where(finished: RunPaths, live_panel: PanelProcess) -> None:
    folder, run_id = live_panel.folder, finished.run_id
    order = {"verb": "restore", "run": run_id, "step": 10}
    assert post(live_panel.url, order)["ok"]
    seen = wait_until(lambda: ended(folder), 240, "the restore")
    target = folder / f"{run_id}@10"
    assert (seen.state, seen.job.status, seen.job.target) == ("done", 0, str(target)), seen
    assert (target / "model.safetensors").is_file() and str(target) in render(view.jobs([seen]), EN)
    again = post(live_panel.url, order)
    assert not again["ok"] and "already exists" in again["notice"]


@pytest.mark.slow
def test_a_job_that_fails_says_why_in_one_line(finished: RunPaths, live_panel: PanelProcess) -> None:
    assert post(live_panel.url, {"verb": "restore", "run": finished.run_id, "step": 7})["ok"]
    seen = wait_until(lambda: ended(live_panel.folder), 240, "the restore")
    assert seen.state == "failed" and seen.job.status == 3
    assert "step 7" in seen.says and "\n" not in seen.says and not seen.says.startswith("vsrpp:")


@pytest.mark.slow
def test_promote_points_the_alias(finished: RunPaths, live_panel: PanelProcess) -> None:
    assert post(live_panel.url, {"verb": "promote", "run": finished.run_id, "step": 10, "alias": "shown"})["ok"]
    seen = wait_until(lambda: ended(live_panel.folder), 240, "the promotion")
    assert seen.state == "done" and "models:/vsrpp@shown is step 10" in seen.says, seen


@pytest.mark.slow
def test_replay_says_identical(finished: RunPaths, live_panel: PanelProcess) -> None:
    assert post(live_panel.url, {"verb": "replay", "run": finished.run_id})["ok"]
    seen = wait_until(lambda: ended(live_panel.folder), 240, "the replay")
    assert seen.state == "done" and re.match(r"✅ identical at step 12: weights [0-9a-f]{64}", seen.says), seen


@pytest.mark.slow
def test_a_training_outlives_its_panel_and_the_next_panel_can_end_it(tmp_path: Path, tiny_clip: Path) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, max_steps=1_000_000)) as process:
        paths = RunPaths(process.run_dir())
        wait_until(lambda: control.checkpoint_steps(paths), 240, "a checkpoint")
        process.process.send_signal(signal.SIGTERM)
        process.wait(240)
    with PanelProcess(tmp_path) as first:
        assert post(first.url, {"verb": "from", "run": paths.run_id})["ok"]
        written = lambda: (tmp_path / "runs").glob("*/runtime_config.json")  # noqa: E731
        new = RunPaths(
            wait_until(lambda: next((p.parent for p in written() if p.parent != paths.root), None), 240, "a run")
        )
        wait_until(lambda: control.is_live(new), 240, "the training")
        first.process.kill()
        first.process.wait()
    pid = newest(tmp_path).job.process["pid"]
    try:
        step = control.status(new)["step"]
        wait_until(lambda: control.status(new)["step"] > step, 240, "a step without any panel")
        with PanelProcess(tmp_path) as second:
            key = newest(tmp_path).job.id
            assert newest(tmp_path).state == "running"
            assert post(second.url, {"verb": "cancel", "job": key})["ok"]
            wait_until(lambda: newest(tmp_path).state == "cancelled", 240, "its end")
        assert control.status(new)["state"] == "stopped"
        assert control.checkpoint_steps(new)[-1] == control.status(new)["step"]
        assert (
            control.status(new)["config"]["max_steps"] == 1_000_000
        )  # exactly this run, started from the other's checkpoint
    finally:
        if psutil.pid_exists(pid):
            os.killpg(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_replay_ends_with_its_panel_and_can_be_cancelled(finished: RunPaths) -> None:
    folder, order = finished.root.parent.parent, {"verb": "replay", "run": finished.run_id}
    with PanelProcess(folder) as one:
        assert post(one.url, order)["ok"]
        assert post(one.url, {"verb": "cancel", "job": newest(folder).job.id})["ok"]
        seen = wait_until(lambda: ended(folder), 240, "the end of the replay")
        assert seen.state == "cancelled"
        post(one.url, order)
        identity = newest(folder).job.process
        assert control.process_alive(identity)
        one.process.kill()
        wait_until(lambda: not control.process_alive(identity), 240, "the end of the replay")
        wait_until(lambda: newest(folder).state == "failed", 10, "the word that it is gone")


def test_a_panel_that_cannot_write_beside_the_runs_says_so(runs: Path) -> None:
    run = SyntheticRun(runs)
    (runs / ".jobs").write_text("in the way")
    with TestClient(panel.build(runs=runs), base_url=HERE) as http:
        answer = http.post("/panel/do", json={"verb": "replay", "run": run.paths.run_id}).json()
        assert not answer["ok"] and "could not be started" in answer["notice"]
        assert answer["reason_code"] == "failed.panel.job"
        assert http.post("/panel/live/runs", json={}).status_code == 200
