"""A backup is whole, consistent while the run trains, and enough to resume from."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.reasons import raises
from tests.support.runs import Steered
from vsrpp import control
from vsrpp.cli import main
from vsrpp.control import messages
from vsrpp.paths import RunPaths
from vsrpp.store import Inbox, Marks, RunReader, StoreDamaged


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, tiny_clip: Path) -> Path:
    run = Steered.new(tmp_path_factory.mktemp("ended"), tiny_clip, max_steps=20)
    assert run.train() == "finished"
    Marks(run.paths.delivery_db).close()
    return Path(run.paths.root)


@pytest.fixture
def run(ended: Path, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(ended, tmp_path / "runs" / ended.name)))


def extracted(file: Path, into: Path) -> RunPaths:
    with tarfile.open(file) as archive:
        archive.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return RunPaths(folder)


def test_a_run_continues_from_a_backup_made_while_it_trained_as_if_nothing_had_happened(
    tmp_path: Path, tiny_clip: Path
) -> None:
    whole = Steered.new(tmp_path / "a", tiny_clip, max_steps=30)
    whole.train()
    made: list[Any] = []

    def copy(run: Steered) -> None:
        made.append(control.backup(run.paths, tmp_path / "live.tar"))
        made.append(control.backup(run.paths, tmp_path / "live.db"))

    run = Steered.new(tmp_path / "b", tiny_clip, {15: copy}, max_steps=30)
    run.die_at(25)
    folder, record = made
    assert (folder.checkpoints, folder.left_out, folder.run_id) == ([10], [], run.paths.run_id)
    assert folder.events == record.events > 0
    with RunReader(tmp_path / "live.db") as alone:
        assert alone.verify().ok and alone.head()[0] == record.events
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "live.db", "live.tar"]
    shutil.rmtree(tmp_path / "b")
    restored = extracted(tmp_path / "live.tar", tmp_path / "restored")
    assert control.verify(restored).ok
    assert not list(restored.root.glob("*-wal"))
    again = Steered.resumed(restored)
    assert again.context.state.step == 10
    assert again.train() == "finished"
    assert again.weights() == whole.weights()


def test_a_backup_has_what_a_resume_needs_and_no_secret(run: RunPaths, tmp_path: Path) -> None:
    (run.root / ".alerts_url").write_text("https://hooks.example/secret")
    (run.root / "plugins.json").write_text("{}")
    Inbox(run.inbox_db).put("pause", {}, origin="cli", uid="one")
    assert main(["backup", str(run.root), str(tmp_path / "x.tar")]) == 0
    restored = extracted(tmp_path / "x.tar", tmp_path / "restored")
    names = {path.relative_to(restored.root).parts[0] for path in restored.root.rglob("*")}
    assert names == {
        "run.db", "inbox.db", "delivery.db", "run_config.yaml", "runtime_config.json", "plugins.json", "checkpoints",
        "images", "validations",
    }  # fmt: skip
    assert control.checkpoint_steps(restored) == [10, 20]
    assert control.history(restored) == control.history(run)
    assert control.status(restored)["step"] == 20
    assert main(["history", str(restored.root), "--verify"]) == 0


def test_a_damaged_checkpoint_or_inbox_is_left_out_and_that_is_said(
    run: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.checkpoint(20).model.write_bytes(b"other")
    run.inbox_db.write_bytes(b"noise" * 100)
    assert main(["backup", str(run.root), str(tmp_path / "x.tar")]) == 0
    said = capsys.readouterr().out
    assert "checkpoints/step_0000020" in said and "inbox.db" in said
    assert control.checkpoint_steps(extracted(tmp_path / "x.tar", tmp_path / "restored")) == [10]


def test_nothing_is_overwritten_and_another_name_is_refused(run: RunPaths, tmp_path: Path) -> None:
    there = tmp_path / "there.tar"
    there.write_text("precious")
    with raises(messages.BACKUP_EXISTS, file=str(there)):
        control.backup(run, there)
    assert there.read_text() == "precious"
    for name in ("x.zip", "x.tar.gz", "x"):
        with raises(messages.BACKUP_SUFFIX, file=str(tmp_path / name)):
            control.backup(run, tmp_path / name)
    with raises(messages.BACKUP_UNWRITTEN):
        control.backup(run, tmp_path / "no" / "folder" / "x.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "there.tar"]


@pytest.mark.parametrize("name", ["x.tar", "x.db"])
def test_a_file_that_appears_while_the_backup_is_made_is_not_replaced(
    run: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, sync = tmp_path / name, os.fsync

    def meanwhile(handle: int) -> None:
        file.write_text("precious")
        sync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with raises(messages.BACKUP_EXISTS, file=str(file)):
        control.backup(run, file)
    assert file.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", name]


def test_a_damaged_record_makes_no_backup(run: RunPaths, tmp_path: Path) -> None:
    run.run_db.write_bytes(b"noise" * 100)
    for name in ("x.tar", "x.db"):
        with pytest.raises(StoreDamaged):
            control.backup(run, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
