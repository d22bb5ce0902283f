"""The account's secret, its tokens, and the panels that it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.made_runs import made_run
from vsrpp import control, paths
from vsrpp.cli import main
from vsrpp.control import Role
from vsrpp.control.panel_links import AccountKeys, announced, running_panels, secret_file
from vsrpp.errors import Refused


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_the_secret_is_made_once_and_readable_by_nobody_else() -> None:
    first = AccountKeys.of_account()
    assert first.kept and AccountKeys.of_account() == first
    assert secret_file().stat().st_mode & 0o777 == 0o600 and secret_file().parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in secret_file().parent.iterdir()] == ["panel_secret"]
    secret_file().unlink()
    assert AccountKeys.of_account() != first


def test_each_role_has_a_token_of_its_own() -> None:
    keys = AccountKeys.of_account()
    tokens = {role: keys.token(role) for role in Role}
    assert len(set(tokens.values())) == 3 and all(len(token) >= 43 for token in tokens.values())
    assert {role: keys.role_of(token) for role, token in tokens.items()} == {role: role for role in Role}
    for wrong in ("", "é", "\ud800", tokens[Role.OWNER][:-1], tokens[Role.OWNER].lower()):
        assert keys.role_of(wrong) is None


@pytest.mark.parametrize(
    ("damage", "says"), [("open", "other accounts"), ("short", "no key"), ("link", "cannot be read")]
)
def test_a_secret_that_others_could_know_is_refused(damage: str, says: str, tmp_path: Path) -> None:
    AccountKeys.of_account()
    if damage == "open":
        secret_file().chmod(0o640)
    elif damage == "short":
        secret_file().write_text("c2hvcnQ=")
    else:
        (tmp_path / "other").write_text(secret_file().read_text())
        secret_file().unlink()
        secret_file().symlink_to(tmp_path / "other")
    with pytest.raises(Refused, match=says):
        AccountKeys.of_account()


def test_without_a_writable_state_folder_the_key_lives_as_long_as_the_process(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    keys = AccountKeys.of_account()
    assert not keys.kept and AccountKeys.of_account() != keys
    with announced("http://localhost:5050/", tmp_path, "token"):
        assert running_panels() == []


def test_status_prints_the_link_of_a_panel_that_shows_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path / "runs", "ab12" * 8)
    command = ["status", "latest", "--run-dir", str(tmp_path / "runs")]
    with announced("http://localhost:5051/", tmp_path / "runs", "token"):
        (record,) = (paths.state_dir() / "panels").iterdir()
        assert record.stat().st_mode & 0o777 == 0o600 and "token=" not in record.read_text()
        link = f"http://localhost:5051/?token={AccountKeys.of_account().token(Role.OWNER)}"
        assert control.owners_link(tmp_path / "runs") == link and control.owners_link(tmp_path) is None
        assert main(command) == 0 and link in capsys.readouterr().out
        assert main([*command, "--json"]) == 0 and "token" not in capsys.readouterr().out
        assert main(["panel", "--links"]) == 0 and capsys.readouterr().out.count("token=") == 3
        secret_file().write_text("damaged")
        assert control.owners_link(tmp_path / "runs") == "http://localhost:5051/"
    assert running_panels() == [] and main(command) == 0 and "panel" not in capsys.readouterr().out
    assert main(["panel", "--links"]) == 3


def test_records_of_dead_panels_and_of_no_panel_are_passed_over(tmp_path: Path) -> None:
    folder = paths.state_dir() / "panels"
    with announced("http://localhost:5051/", tmp_path, "nothing"):
        (own,) = folder.iterdir()
        record = json.loads(own.read_text())
        assert [panel.link() for panel in running_panels()] == ["http://localhost:5051/"]
        dead = {**record, "process": {**record["process"], "pid": 2**22 - 1, "ticks": 1}}
        for number, text in enumerate((json.dumps(dead), "{", "[]", "{}", '{"process": {}}', "\x00")):
            (folder / f"x{number}.json").write_text(text)
        assert len(running_panels()) == 1
        with announced("http://localhost:5052/", tmp_path, "login"):
            assert [file.name for file in folder.iterdir()] == [own.name]  # and the others are swept away
