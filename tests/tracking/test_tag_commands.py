"""Tags of the MLflow UI as commands: submitted once, removed and answered, with a real inbox and tracking store."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import extras
from tests.support.inboxes import taken
from tests.support.made_runs import made_run
from tests.support.processes import TrainingProcess, environment, train_command
from tests.support.servers import Server, client_of, runs_of, the_run
from tests.support.waiting import wait_until
from vsrpp import control
from vsrpp.config.messages import MUCH_HIGHER
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Command, Inbox, Marks, RunReader
from vsrpp.store.pending import PendingCommands
from vsrpp.tracking.connection import Connection, Target
from vsrpp.tracking.mlflow_rows import MlflowRows
from vsrpp.tracking.sync import sync
from vsrpp.tracking.tag_commands import KNOWN, TagCommands, commands_of
from vsrpp.tracking.tag_rights import CREDENTIALS, who_steers


class Desk:
    """A live run whose trainer is this test, and a person at the MLflow UI."""

    def __init__(self, runs: Path, uri: str, **run_config: Any) -> None:
        self.run = made_run(runs, "desk1", ended=False, run_config=run_config)
        self.run.writer.set_state({"state": "training", "process": control.process_identity()})
        self.now = time.time()
        self.connection = Connection(Target(uri=uri))
        self.reader, self.marks = RunReader(self.run.paths.run_db), Marks(self.run.paths.delivery_db)
        self.rows = MlflowRows(self.connection, self.run.paths, self.reader, self.marks)
        self.rows.open()
        self.inbox, self.pending = Inbox(self.run.paths.inbox_db), PendingCommands(self.run.paths.inbox_db)
        self.client, self.id = client_of(uri), self.connection.run_id
        self.tags = self.restarted()

    def restarted(self) -> TagCommands:
        return TagCommands(self.connection, self.rows, self.run.paths, clock=lambda: self.now)

    def close(self) -> None:
        for file in (self.tags, self.reader, self.marks, self.inbox, self.pending, self.run):
            file.close()

    def set(self, **tags: str) -> None:
        for key, text in tags.items():
            self.client.set_tag(self.id, "vsrpp." + key.replace("set_", "set.", 1), text)

    def look(self) -> list[Command]:
        """Poll once; returns the commands that reached the trainer."""
        self.now += 3
        self.tags.work(hurry=False)
        return taken(self.pending)

    def answer(self, command: Command, **answer: object) -> str:
        """Let the trainer answer; returns what the UI then shows."""
        self.inbox.answer(command.uid, Answer(**{"step": 1201, "branch": 0, "revision": 7, **answer}))  # type: ignore[arg-type]
        self.tags.work(hurry=False)
        return self.shown()

    def shown(self) -> str:
        return str(self.here().get("vsrpp.last_command", ""))

    def here(self) -> dict[str, str]:
        return dict(self.client.get_run(self.id).data.tags)


@pytest.fixture
def desk(runs: Path, uri: str) -> Iterator[Desk]:
    made = Desk(runs, uri)
    yield made
    made.close()


def test_a_tag_is_an_edit_taken_away_and_answered(desk: Desk) -> None:
    desk.set(set_max_lr="2e-4")
    (command,) = desk.look()
    assert (command.kind, command.payload) == ("edit", {"changes": {"max_lr": 2e-4}})
    assert (command.origin, command.author) == ("mlflow", None)
    assert "vsrpp.set.max_lr" not in desk.here()
    assert desk.shown() == "", "the trainer has not decided yet"
    assert desk.answer(command, status="applied") == "max_lr=2e-4: applied at step 1201, revision 7"
    desk.set(set_max_lr="2e-4")
    (again,) = desk.look()
    assert again.uid != command.uid, "the same tag set again is asked again"


def test_tags_found_together_are_one_edit_and_then_the_command(desk: Desk) -> None:
    desk.set(set_max_lr="2e-4", set_adaptive="off", do=" Rollback  BEST ")
    edit, rollback = desk.look()
    assert edit.payload == {"changes": {"max_lr": 2e-4, "adaptive": False}}
    assert (rollback.kind, rollback.payload) == ("rollback", {"step": "best"})
    desk.answer(edit, status="applied", remarks=[MUCH_HIGHER.filled(key="max_lr", factor="8")])
    refusal = "no checkpoint has been validated yet."
    assert desk.answer(rollback, status="refused", message=refusal) == (
        "adaptive=off, max_lr=2e-4: applied at step 1201, revision 7 (max_lr becomes 8x the current value);"
        " rollback best refused: no checkpoint has been validated yet."
    )


def test_a_refused_edit_is_answered_with_why(desk: Desk) -> None:
    desk.set(set_max_lr="0.5")
    (command,) = desk.look()
    line = "max_lr = 0.5 refused: must be between 1e-05 and 0.001. Still at revision 6 (max_lr = 0.0002)."
    error = {"key": "max_lr", "value": 0.5, "message": "must be between 1e-05 and 0.001"}
    assert desk.answer(command, status="refused", errors=[error], message=line) == line


def test_what_takes_its_time_is_said_to_wait(desk: Desk) -> None:
    desk.set(do="validate")
    (command,) = desk.look()
    assert desk.shown() == ""
    desk.now += 5
    desk.tags.work(hurry=False)
    assert desk.shown() == "validate: pending"
    assert desk.answer(command, status="done") == "validate: done at step 1201, revision 7"


@pytest.mark.parametrize(
    ("tags", "line"),
    [
        ({"do": "dance"}, f"dance refused: {KNOWN}"),
        ({"do": " \n"}, f"vsrpp.do refused: it is empty; {KNOWN}"),
        ({"do": "rollback"}, "rollback refused: give a step, as in rollback 500 or rollback best"),
        ({"do": "rollback -5"}, "rollback -5 refused: give a step, as in rollback 500 or rollback best"),
        ({"do": "stop now"}, f"stop now refused: {KNOWN}"),
        (
            {"set": "max_lr=2e-4"},
            "vsrpp.set refused: the parameter belongs in the tag's name, as in vsrpp.set.max_lr with the value 2e-4",
        ),
    ],
)
def test_a_wrong_command_is_answered_with_what_there_is(tags: dict[str, str], line: str) -> None:
    (answered,) = commands_of({f"vsrpp.{key}": text for key, text in tags.items()})
    assert answered["line"] == line


def test_a_wrong_command_is_taken_away_and_answered_at_once(desk: Desk) -> None:
    desk.set(do="dance")
    assert desk.look() == []
    assert desk.shown().startswith("dance refused: must be one of ")
    assert "vsrpp.do" not in desk.here()


def test_the_tags_are_looked_at_no_more_often_than_every_2_5_seconds(desk: Desk) -> None:
    desk.look()
    desk.set(do="pause")
    desk.now += 2.4
    desk.tags.work(hurry=False)
    assert taken(desk.pending) == []
    desk.now += 0.2
    desk.tags.work(hurry=False)
    assert [command.kind for command in taken(desk.pending)] == ["pause"]


@pytest.mark.parametrize("moment", ["put", "delete_tag", "set_fact"])
def test_a_crash_anywhere_applies_it_once_and_answers(desk: Desk, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery process dies before it submits the command, before it removes the tag, and before it records that."""

    class Died(BaseException):
        pass

    desk.tags.work(hurry=False)
    write_down = desk.tags.marks.set_fact

    def die(*arguments: Any, **_: object) -> None:
        if moment != "set_fact" or arguments[1]["batches"][-1]["taken"]:
            raise Died
        write_down(*arguments)

    desk.set(set_max_lr="2e-4")
    with monkeypatch.context() as patched:
        where = {"put": Inbox, "delete_tag": desk.connection.client, "set_fact": desk.tags.marks}[moment]
        patched.setattr(where, moment, die)
        with pytest.raises(Died):
            desk.look()
    commands = taken(desk.pending)
    desk.tags.close()
    desk.tags = desk.restarted()
    commands += desk.look() + desk.look()
    assert len(commands) == 1
    assert desk.answer(commands[0], status="applied") == "max_lr=2e-4: applied at step 1201, revision 7"
    assert "vsrpp.set.max_lr" not in desk.here()


@pytest.mark.parametrize(("state", "go_on"), [("finished", " --set max_steps=N"), ("stopped", ""), (None, "")])
def test_a_tag_on_a_run_that_is_over_is_answered_by_sync(runs: Path, uri: str, state: str | None, go_on: str) -> None:
    run = made_run(runs, "over1", ended=False)
    if state:
        run.end(state)
    assert sync(run.paths.root, uri).delivered
    there = the_run(uri, "over1").info.run_id
    client_of(uri).set_tag(there, "vsrpp.set.max_lr", "2e-4")
    client_of(uri).set_tag(there, "vsrpp.do", "pause")
    assert sync(run.paths.root, uri).delivered
    tags = client_of(uri).get_run(there).data.tags
    why = f"the run is {state or 'dead'}. Continue with: vsrpp train --resume over1{go_on}"
    assert tags["vsrpp.last_command"] == f"max_lr=2e-4: not applied, {why}; pause: not applied, {why}"
    assert not {"vsrpp.set.max_lr", "vsrpp.do"} & tags.keys()
    pending = PendingCommands(run.paths.inbox_db)
    assert taken(pending) == []
    pending.close()


# ---- who may
def test_an_author_is_recorded_as_a_claim_and_for_one_command(desk: Desk) -> None:
    desk.set(by=" ann\n")
    assert desk.look() == []
    assert "vsrpp.by" in desk.here(), "it waits for the command that it belongs to"
    desk.set(do="pause")
    (command,) = desk.look()
    assert command.author == "ann (claimed, MLflow tag)"
    assert "vsrpp.by" not in desk.here()
    desk.set(do="resume")
    assert [command.author for command in desk.look()] == [None]


def test_safe_tags_act_as_an_operator(runs: Path, uri: str) -> None:
    with contextlib.closing(Desk(runs, uri, mlflow_tags="safe")) as desk:
        desk.set(do="stop", set_l1_weight="0.5", set_max_lr="2e-4")
        assert desk.look() == []
        beyond = "refused: the role operator may not do this; it takes the role owner."
        by = "Tags act as operator on this run (mlflow_tags = safe)."
        assert desk.shown() == f"l1_weight {beyond} {by}; stop {beyond} {by}"
        assert "vsrpp.do" not in desk.here()
        desk.set(do="checkpoint", set_max_lr="2e-4")
        assert [command.kind for command in desk.look()] == ["edit", "checkpoint"]


def test_tags_that_are_off_are_left_alone_and_that_is_said_once(
    runs: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(Desk(runs, uri, mlflow_tags="off")) as desk:
        desk.set(do="stop", set_max_lr="2e-4")
        assert desk.look() == []
        assert desk.shown() == "tags do not steer this run (mlflow_tags = off)"
        assert desk.here().keys() >= {"vsrpp.do", "vsrpp.set.max_lr"}
        monkeypatch.delattr(desk.connection, "client")
        assert desk.look() == [], "the server is not asked again"
        desk.tags.end("finished")
        assert desk.look() == []


@pytest.mark.parametrize(
    ("uri", "setting", "line"),
    [
        (
            "http://h:5000",
            "all",
            "Everyone who reaches http://h:5000, which is used without a login, can steer this run by",
        ),
        ("https://ann:pw@h", "all", "Everyone whom https://h lets write to it can steer this run by"),
        ("sqlite:////tmp/m.db", "all", "Everyone who may write /tmp/m.db can steer this run by"),
        ("sqlite:////tmp/m.db", "safe", "Everyone who may write /tmp/m.db can edit its safe tier, pause, resume,"),
        ("http://h:5000", "off", "Tags in MLflow do not steer this run (mlflow_tags = off)."),
    ],
)
def test_the_start_says_who_can_steer(uri: str, setting: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    said = who_steers({"mlflow_tags": setting}, uri)
    assert said.startswith(line)
    assert said.endswith(f"(mlflow_tags = {setting}).")
    assert "pw" not in said


def test_a_token_is_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    assert who_steers({}, "http://h:5000").startswith("Everyone whom http://h:5000 lets write to it can steer this run")


# ---- real trainers
def steer_by_tags(run: RunPaths, uri: str) -> None:
    wait_until(lambda: runs_of(uri, run.run_id), 240, "the run on the server")
    client, there = client_of(uri), the_run(uri, run.run_id).info.run_id

    def answered(key: str, text: str, expected: str) -> None:
        client.set_tag(there, key, text)
        wait_until(lambda: expected in client.get_run(there).data.tags.get("vsrpp.last_command", ""), 240, expected)

    answered("vsrpp.set.max_lr", "5e-4", "max_lr=5e-4: applied at step ")
    answered("vsrpp.set.max_lr", "0.5", "max_lr = 0.5 refused: must be between 1e-05 and 0.001. Still at revision 1")
    answered("vsrpp.do", "checkpoint", "checkpoint: done at step ")
    answered("vsrpp.do", "rollback 1", "has no checkpoint at step 1; the nearest is step ")
    answered("vsrpp.do", "rollback best", "rollback best")
    answered("vsrpp.do", "stop", "stop: done at step ")
    tags = client.get_run(there).data.tags
    assert not [key for key in tags if key.startswith("vsrpp.set.") or key == "vsrpp.do"]
    applied = [event for event in control.history(run) if event.type == "config_applied"]
    assert [(event.origin, event.data["changes"][0]["new"]) for event in applied] == [("mlflow", 5e-4)]


ENDLESS = {"max_steps": 1_000_000, "validate_every": 50, "checkpoint_every": 50}


@pytest.mark.slow
def test_a_live_run_is_steered_from_an_embedded_store(tmp_path: Path, tiny_clip: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with TrainingProcess(tmp_path, train_command(tiny_clip, **ENDLESS)) as training:
        run = RunPaths(training.run_dir())
        wait_until(lambda: control.checkpoint_steps(run), 240, "training")
        steer_by_tags(run, environment(tmp_path)["MLFLOW_TRACKING_URI"])
        assert training.wait() == 0, training.output


@pytest.mark.slow
def test_a_live_run_is_steered_from_a_server(tmp_path: Path, tiny_clip: Path, shared_server: Server) -> None:
    with TrainingProcess(tmp_path, train_command(tiny_clip, **ENDLESS), uri=shared_server.uri) as training:
        run = RunPaths(training.run_dir())
        wait_until(lambda: control.checkpoint_steps(run), 240, "training")
        steer_by_tags(run, shared_server.uri)
        assert training.wait() == 0, training.output


def test_a_tag_is_typed_by_the_schema_of_the_run() -> None:
    tags = {"vsrpp.set.edge_signed": "off", "vsrpp.set.fft_weight": "0.2"}
    (found,) = commands_of(tags, extras.STARTUP)
    assert found["payload"] == {"changes": {"edge_signed": False, "fft_weight": 0.2}}
