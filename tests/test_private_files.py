"""Folders and files that other accounts shall not read, and locks that follow no link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runs import Steered
from vsrpp.control import alerts
from vsrpp.errors import Refused
from vsrpp.private_files import make_folder, open_lock, private_file, replace_private
from vsrpp.tracking.lock import FILE_NAME, DeliveryLock


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_folder_is_its_owners_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    make_folder(tmp_path / "runs" / "mine")
    make_folder(tmp_path / "runs" / "ours", shared=True)
    assert mode(tmp_path / "runs" / "mine") == 0o700
    assert mode(tmp_path / "runs" / "ours") == 0o777 & ~umask
    make_folder(tmp_path / "runs" / "ours")
    assert mode(tmp_path / "runs" / "ours") == 0o777 & ~umask, "an existing folder keeps its mode"


def test_training_makes_the_folder_so(tmp_path: Path, tiny_clip: Path) -> None:
    before = os.umask(0o022)
    try:
        runs = {shared: Steered.new(tmp_path / "runs", tiny_clip, shared_runs=shared) for shared in (False, True)}
    finally:
        os.umask(before)
    assert {shared: mode(run.paths.root) for shared, run in runs.items()} == {False: 0o700, True: 0o755}
    for run in runs.values():
        run.abandon()


def test_a_lock_that_is_a_link_is_refused_and_its_target_kept(tmp_path: Path, tiny_clip: Path) -> None:
    run = Steered.new(tmp_path / "runs", tiny_clip)
    run.abandon()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".lock", FILE_NAME, ".alerts_url"):
        (run.paths.root / name).unlink(missing_ok=True)
        (run.paths.root / name).symlink_to(victim)
    with pytest.raises(Refused, match="It must be a plain file"):
        Steered.resumed(run.paths)
    with pytest.raises(Refused, match="It must be a plain file"):
        DeliveryLock(run.paths.root)
    assert alerts.read(run.paths) is None, "nor is a link read as the webhook's address"
    alerts.keep(run.paths, "https://hooks.example.com/x")
    assert alerts.read(run.paths) == "https://hooks.example.com/x" and mode(alerts.secret_file(run.paths)) == 0o600
    assert victim.read_text() == "precious"


def test_a_lock_keeps_its_content_and_a_private_file_its_mode(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1234")
    open_lock(tmp_path / "lock").close()
    assert (tmp_path / "lock").read_text() == "1234"
    with open(tmp_path / "file", "w", encoding="utf-8", opener=private_file):
        assert mode(tmp_path / "file") == 0o600


def test_a_private_file_is_replaced_at_once_and_a_failure_leaves_what_was_there(tmp_path: Path, umask: int) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "file").symlink_to(victim)
    replace_private(tmp_path / "file", "grün\n")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "grün\n" and mode(tmp_path / "file") == 0o600
    assert victim.read_text() == "precious"
    (tmp_path / "folder" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError):
        replace_private(tmp_path / "folder", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "victim"], "no draft is left"
