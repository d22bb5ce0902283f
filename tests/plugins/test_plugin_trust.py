"""Whose code may run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vsrpp.plugins import trust

ONE, TWO = "1" * 64, "2" * 64


def test_what_is_named_is_remembered_in_a_file_of_this_account_alone() -> None:
    assert not trust.is_trusted(ONE)
    trust.remember(ONE, "a name\nwith lines\x1b[31m")
    trust.remember(ONE, "a name\nwith lines\x1b[31m")
    trust.remember(TWO, "other")
    assert trust.is_trusted(ONE)
    file = trust.trusted_file()
    assert [line.split()[0] for line in file.read_text().splitlines()] == [ONE, TWO]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "\x1b" not in file.read_text()
    assert trust.was_named(TWO, "other")
    assert not trust.was_named(ONE, "other")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_believed(mode: int) -> None:
    trust.remember(ONE, "x")
    trust.trusted_file().chmod(mode)
    assert not trust.is_trusted(ONE)


def test_a_file_of_another_account_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    trust.remember(ONE, "x")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert not trust.is_trusted(ONE)


def test_the_environment_and_the_option_name_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trust.ENVIRONMENT, f"{ONE.upper()}, {TWO}")
    assert trust.is_trusted(ONE)
    assert trust.is_trusted(TWO)
    monkeypatch.setenv(trust.ENVIRONMENT, "")
    trust.allow([f" {ONE} "])
    assert os.environ[trust.ENVIRONMENT] == ONE  # inherited by processes that this one starts
    assert trust.is_trusted(ONE)
    assert not trust.trusted_file().exists()


def test_where_nothing_can_be_remembered_it_is_trusted_this_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a file"))
    trust.remember(ONE, "x")
    assert trust.is_trusted(ONE)
    monkeypatch.setenv(trust.ENVIRONMENT, "")
    assert not trust.is_trusted(ONE)
