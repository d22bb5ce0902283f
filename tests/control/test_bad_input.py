"""Thousands of invalid inputs: every edit is answered, nothing crashes, and a refused edit changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.edits_of_all_kinds import LIVE, edits, nested
from tests.support.inboxes import taken
from tests.support.processes import TrainingProcess, train_command, vsrpp
from tests.support.runs import TINY
from vsrpp import Run, config, control
from vsrpp.errors import Refused
from vsrpp.paths import RunPaths
from vsrpp.store import Answer, Inbox, RunReader, RunWriter
from vsrpp.store.pending import PendingCommands

QUICK, FULL = 300, 10_000


@pytest.fixture
def cheap_sync() -> Iterator[Path]:
    """A folder where fsync is free: in memory, if the machine has such a file system."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="vsrpp-", dir=memory if os.access(memory, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


class Decider:
    """The trainer's own check with a real store but without training: what `LiveConfig` does at a step boundary."""

    def __init__(self, root: Path) -> None:
        from vsrpp.training.live_config import LiveConfig

        self.run_config, live = config.defaults("base")
        self.paths = RunPaths(root)
        root.mkdir(parents=True, exist_ok=True)
        self.writer = RunWriter(self.paths.run_db, root.name)
        started = self.writer.append(
            "started", step=0, branch=0, revision=0, data={"run_config": self.run_config, "config": live}
        )
        self.say()
        recorder: Any = SimpleNamespace(step=0, emit=self._emit, writer=self.writer)
        self.control = LiveConfig(self.paths, self.run_config, control.ConfigHistory.of([started]), recorder)
        self.control.open_file(fresh=True)
        self.answered = {"applied": 0, "refused": 0}

    def say(self) -> None:
        self.writer.set_state({"state": "training", "step": 0, "process": control.process_identity()})

    def _emit(self, type: str, **words: Any) -> Any:
        return self.writer.append(type, step=0, branch=0, **words)

    def decide_all(self) -> list[Answer]:
        self.control.requests.look()
        waiting = iter(self.control.requests.next, None)
        return [self.control.decide(asked, recorded_uids={}) for asked in waiting]

    def ask(self, edit: Any) -> Answer:
        """Submit one edit as every interface does, and decide it immediately."""
        control.apply(self.paths, edit, origin="api", wait_s=0.0)
        (answer,) = self.decide_all()
        return answer


def check_one(decider: Decider, edit: dict[str, Any]) -> None:
    """One edit through `config`'s check, `control`'s preview and the trainer: they agree, and a refusal changes nothing."""
    before, revision = dict(decider.control.live), decider.control.revision
    head = decider.writer.head()[0]
    problems = config.check_changes(before, edit, decider.run_config)
    line = config.refusal_line(problems, revision, before)
    assert "\n" not in line
    try:
        answer = decider.ask(edit)
    except Refused as refusal:  # never reached the run: no JSON, too large
        assert str(refusal)
        assert decider.writer.head()[0] == head
        decider.answered["refused"] += 1
        return
    decider.answered[answer.status] += 1
    if answer.status == "refused":
        assert problems
        assert answer.errors
        assert decider.control.live == before
        assert decider.control.revision == revision
        assert decider.writer.head()[0] == head + 1
        assert "Still at revision" in answer.message
        assert "\n" not in answer.message
        json.dumps(answer.to_json(), ensure_ascii=False).encode()
    else:
        assert not problems
        assert config.check_live(decider.control.live, decider.run_config) == []
        assert decider.control.revision == revision + bool(answer.changes)


@pytest.mark.parametrize("count", [QUICK, pytest.param(FULL, marks=[pytest.mark.slow, pytest.mark.timeout(2400)])])
def test_every_generated_edit_is_answered_and_none_crashes(cheap_sync: Path, count: int) -> None:
    decider = Decider(cheap_sync / "run")
    tried = 0

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(edits)
    def try_one(edit: dict[str, Any]) -> None:
        nonlocal tried
        tried += 1
        check_one(decider, edit)

    try_one()
    decider.control.close()
    print(f"{tried} edits: {decider.answered}")
    assert tried >= count
    assert sum(decider.answered.values()) == tried
    assert min(decider.answered.values()) > 0
    with contextlib.closing(PendingCommands(decider.paths.inbox_db)) as pending:
        assert taken(pending) == [], "every command was answered"
    with RunReader(decider.paths.run_db) as reader:
        assert reader.verify().ok
        assert control.current_config(reader).live == decider.control.live
    on_disk = json.loads(decider.paths.runtime_config.read_text())
    assert (on_disk.pop("revision"), on_disk) == (decider.control.revision, decider.control.live)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({}, "an object of keys and values"),
        ({"changes": None}, "an object of keys and values"),
        ({"changes": []}, "an object of keys and values"),
        ({"changes": {}}, "an object of keys and values"),
        ({"changes": "max_lr=1e-4"}, "an object of keys and values"),
        ({"changes": {"max_lr": "\ud83d"}}, "must be a finite number"),
        ({"changes": {"\ud83d": 1}}, "unknown"),
        ({"changes": {"k" * 50_000: 1}}, "unknown"),
        ({"changes": {f"key{n}": n for n in range(5000)}}, "an edit of 5000 keys; the limit is 200"),
        ({"changes": {"max_lr": "x" * 60_000}}, "must be a finite number"),
        ({"changes": {"max_lr": 1e-4}, "probation": {"steps": 1, "revert_if": "\ud83d"}}, "expected a form like"),
        ({"changes": {"max_lr": 1e-4}, "probation": [nested(60)]}, "whole number of steps"),
        ({"changes": {"max_lr": 1e-4}, "probation": {"steps": 1, "revert_if": nested(60)}}, "expected a form like"),
    ],
)
def test_an_edit_put_past_every_face_is_refused_in_one_line(
    tmp_path: Path, payload: dict[str, Any], words: str
) -> None:
    decider = Decider(tmp_path / "run")
    inbox = Inbox(decider.paths.inbox_db)
    uid = inbox.put("edit", payload, origin="api", author="\udcff", reason="\udcff")
    (answer,) = decider.decide_all()
    assert answer.status == "refused"
    assert words in answer.message
    assert len(answer.message) < 1000
    decider.control.close()
    stored = inbox.answer_of(uid)
    assert stored is not None
    assert stored.status == "refused"
    inbox.close()
    with RunReader(decider.paths.run_db) as reader:
        assert reader.verify().ok
        (event,) = list(reader.events(types=("config_refused",)))
    assert event.author == "?"
    assert len(json.dumps(event.to_json())) < 10_000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"changes": {"max_lr": ' + "1" * 5000 + "}}", '"text"', "[1]", "{"])
def test_a_payload_no_process_can_read_is_refused_and_the_next_edit_is_taken(tmp_path: Path, text: str) -> None:
    decider = Decider(tmp_path / "run")
    inbox = Inbox(decider.paths.inbox_db)
    inbox.put("edit", {"changes": {"max_lr": 0.5}}, origin="cli")
    with contextlib.closing(sqlite3.connect(decider.paths.inbox_db)) as db, db:
        db.execute("UPDATE commands SET payload = ?", (text,))
    inbox.put("edit", {"changes": {"grad_clip": 0.5}}, origin="cli")
    inbox.close()
    assert [answer.status for answer in decider.decide_all()] == ["refused", "applied"]
    decider.control.close()


# ---- the file
def refused_files() -> dict[str, Callable[[Path], Any]]:
    """Replacements of runtime_config.json that must be refused."""

    def text(content: str | bytes) -> Callable[[Path], Any]:
        return lambda path: path.write_bytes(
            content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        )

    def values(**changes: Any) -> Callable[[Path], Any]:
        return text(json.dumps({"revision": 0, **changes}))

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(100 * 2**20)

    def linked(to: str | Callable[[Path], Any]) -> Callable[[Path], Any]:
        def make(path: Path) -> None:
            target = Path(to) if isinstance(to, str) else path.with_name("elsewhere.json")
            if not isinstance(to, str):
                to(target)
            path.symlink_to(target)

        return make

    whole = json.dumps({"revision": 0, "max_lr": 1e-4})
    return {
        "out of range": values(max_lr=0.5), "nan": text('{"revision": 0, "max_lr": NaN}'),
        "infinity": text('{"revision": 0, "max_lr": -Infinity}'), "huge": text('{"revision": 0, "max_lr": 1e999}'),
        "tiny": values(max_lr=5e-324), "a number as text": values(max_lr="1e-4"), "true for a number": values(grad_clip=True),
        "null": values(max_lr=None), "a list": values(max_lr=[1e-4]), "an object": values(max_lr={"value": 1e-4}),
        "a fraction of steps": values(log_every=2.5), "a near miss": values(max_rl=1e-4), "upper case": values(MAX_LR=1e-4),
        "a startup key": values(n_feats=8), "an unknown key": values(favourite="blue"), "an empty key": values(**{"": 1}),
        "a weight alone": values(l1_weight=0.9), "a sum a little off": values(l1_weight=0.6502, ms_weight=0.2, grad_weight=0.2),
        "min above max": values(min_lr=1e-4, max_lr=5e-5), "one good one bad": values(grad_clip=0.5, max_lr=7),
        "a choice there is not": values(plateau_action="explode"), "half a pair": text('{"revision": 0, "max_lr": "\\ud83d"}'),
        "half a pair as a key": text('{"revision": 0, "\\ud83d": 1}'), "a revision to come": values(revision=99, max_lr=1e-4),
        "a revision as text": values(revision="0", max_lr=1e-4), "a revision below": values(revision=-1, max_lr=1e-4),
        "thousands of keys": values(**{f"key{n}": n for n in range(5000)}), "a long key": values(**{"k" * 200_000: 1}),
        "a long text": values(plateau_action="x" * 500_000), "a hundred lists": values(max_lr=nested(100)),
        "nine hundred lists": text('{"max_lr": ' + "[" * 900 + "]" * 900 + "}"),
        "lists without end": text('{"max_lr": ' + "[" * 100_000), "a long number": text('{"max_lr": ' + "1" * 5000 + "}"),
        "twice the same key": text('{"revision": 0, "max_lr": 1e-4, "max_lr": 2e-4}'),
        "empty": text(""), "blank": text(" \n\n"), "torn": text(whole[:-5]), "torn in a text": text('{"revision": 0, "max'),
        "a comma too many": text('{"revision": 0, "max_lr": 1e-4,}'), "YAML": text("max_lr: 1e-4\n"),
        "a list of configs": text("[{}]"), "a bare number": text("1e-4"), "null bytes": text(b"\0" * 500),
        "UTF-16": text(whole.encode("utf-16")), "UTF-32": text(whole.encode("utf-32")),
        "Latin-1": text('{"é": 1}'.encode("latin-1")),
        "two documents": text(whole + whole), "a sparse file of 100 MB": sparse, "a folder": lambda path: path.mkdir(),
        "a named pipe": os.mkfifo, "a link to a device": linked("/dev/zero"), "a link to a folder": linked("/"),
        "a link to a bad file": linked(values(max_lr=0.4)), "a link to nowhere": linked("/nowhere/at/all"),
        "a link to itself": lambda path: path.symlink_to(path), "gone": lambda path: None,
    }  # fmt: skip


def clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", refused_files())
def test_a_file_that_cannot_be_taken_is_refused_and_mended_by_the_next_edit(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrpp.training.config_file.TORN_GRACE_S", 0.0)
    decider = Decider(tmp_path / "run")
    path = decider.paths.runtime_config
    assert decider.decide_all() == []
    clear(path)
    refused_files()[name](path)
    (answer,) = decider.decide_all()
    assert answer.status == "refused"
    assert len(answer.message) < 2000
    assert "\n" not in answer.message
    assert decider.decide_all() == []  # reported once
    assert decider.ask({"grad_clip": 0.5}).status == "applied"
    assert json.loads(path.read_text())["grad_clip"] == 0.5
    assert decider.decide_all() == []
    decider.control.close()
    with RunReader(decider.paths.run_db) as reader:
        assert reader.verify().ok


def some_edits(count: int) -> list[dict[str, Any]]:
    """The same edits in every run."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=count, database=None, suppress_health_check=list(HealthCheck))
    @given(edits)
    def keep(edit: dict[str, Any]) -> None:
        found.append(edit)

    keep()
    return found


# ---- every interface, on one real training in a separate process
CLI_WRONG = [
    *(f"{key}=nan" for key in LIVE[:6]), *(f"{key}=-1" for key in LIVE[:10]), "max_lr=inf", "max_lr=1e999", "max_lr=5e-324",
    "max_lr=0x10", "max_lr=", "max_lr=2e-4x", "max_lr=1,5e-4", "max_lr=true", "max_lr=[1]", 'max_lr={"a": 1}', "max_lr=null",
    "max_lr=" + "9" * 5000, "max_lr=\udcff\udcfe", "\udcff=1", "max_rl=1e-4", "MAX_LR=1e-4", "config/max_lr=1e-4", "n_feats=8",
    "seed=1", "scale=4", "network=vsrpp", "revision=3", "l1_weight=0.9", "l1_weight=0.6502", "perceptual_weight=0.1",
    "adaptive=maybe", "plateau_action=explode", "log_every=2.5", "log_every=1e18", "max_steps=0", "grad_clip", "=1", "", "=",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_bad_input_by_every_way_in_leaves_a_real_trainings_weights_untouched(tmp_path: Path, tiny_clip: Path) -> None:
    bad, sets = (
        tmp_path,
        {"max_steps": 1_000_000, "log_every": 50, "validate_every": 100_000, "checkpoint_every": 100_000},
    )
    answers = {"file": 0, "cli": 0, "api": 0}
    with TrainingProcess(bad, train_command(tiny_clip, **sets)) as process:
        run = Run(process.run_dir())
        assert run.pause().status == "done", process.output

        for name, place in refused_files().items():
            head = run.history()[-1].seq
            clear(run.paths.runtime_config)
            place(run.paths.runtime_config)
            event = run.wait_for("config_refused", after_seq=head, timeout_s=240)
            assert event is not None, name
            assert event.origin == "file", name
            answers["file"] += 1

        for wrong in CLI_WRONG:
            done = vsrpp(bad, "set", run.run_id, os.fsencode(wrong), "--reason", "bad input", "--json")  # type: ignore[arg-type]
            assert done.returncode == 2, (wrong[:60], done.stdout, done.stderr)
            lines = done.stderr.strip().splitlines()
            assert lines and all(line.startswith("vsrpp: ") for line in lines), done.stderr
            assert not (bad / "cache" / "crashes").exists(), done.stderr
            answers["cli"] += 1

        for edit in some_edits(100):
            if not run.preview(edit).errors:
                continue  # a valid one would change the weights
            with contextlib.suppress(Refused):  # never reached the run
                assert run.set(edit).status == "refused", edit
            answers["api"] += 1

        assert run.config()["max_lr"] == TINY["max_lr"]
        assert run.status().revision == 0
        end = run.status().step + 100
        assert run.set(max_steps=end).status == "applied"
        assert run.resume().status == "done", process.output
        assert process.wait() == 0, process.output
    print(f"bad input by every way in: {answers}")
    assert min(answers.values()) >= 45, answers
    calm = vsrpp(bad, "replay", run.run_id, "--json", timeout_s=900)  # retrained with the only edit that was applied
    assert json.loads(calm.stdout)["identical"], calm.stderr
    assert (run.status().revision, run.status().step) == (1, end)
    assert control.verify(run.paths).ok
