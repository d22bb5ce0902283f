"""The file of those who may sign in: written by `--add-user`, converted by `--hash-auth`, refused in any other form."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from vsrpp_ui import auth_file, passwords

from tests.support.panel_users import CHEAP
from vsrpp.cli import main
from vsrpp.control import Role
from vsrpp.errors import NotFound, Refused


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    of = passwords.PasswordHash.of
    monkeypatch.setattr(passwords.PasswordHash, "of", lambda password: of(password, CHEAP))


def private(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


def add(file: Path, name: str, typed: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return main(["panel", "--auth", str(file), "--add-user", name, *more])


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("anna:x\n", 0o644, "chmod 600"),
        ("anna:open sesame\n", 0o600, "line 1: expected name:role:scrypt.*--hash-auth"),
        ("# x\nanna:$apr1$salt$hash\n", 0o600, "line 2: .*--hash-auth"),
        ("anna:$2y$05$abcdefghijklmnopqrstuv\n", 0o600, "--hash-auth"),
        ("anna:boss:scrypt$16$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", 0o600, "line 1"),
        ("\n#x\n", 0o600, "no login"),
    ],
)
def test_an_unfit_file_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    file = private(tmp_path / "auth", text)
    file.chmod(mode)
    with pytest.raises(Refused, match=says):
        auth_file.read_users(file)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(NotFound):
            auth_file.read_users(missing)


def test_a_user_is_added_with_a_role_and_changed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "auth"
    assert add(file, "anna", "correct horse\ncorrect horse\n", monkeypatch) == 0
    assert file.stat().st_mode & 0o777 == 0o600 and "correct horse" not in file.read_text()
    file.write_text("# the group\n" + file.read_text())
    assert add(file, "ben b.", "battery staple\n", monkeypatch, "--role", "operator") == 0
    users = auth_file.read_users(file)
    assert {name: user.role for name, user in users.items()} == {"anna": Role.VIEWER, "ben b.": Role.OPERATOR}
    assert users["anna"].password.matches("correct horse") and not users["anna"].password.matches("battery staple")
    assert add(file, "anna", "another one\n", monkeypatch, "--role", "owner") == 0
    users = auth_file.read_users(file)
    assert users["anna"].role == Role.OWNER and users["anna"].password.matches("another one")
    assert file.read_text().startswith("# the group\n") and len(file.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("anna", "one password\nanother one\n", "differ"), ("anna", "short\n", "8 to 1024"), ("anna", "", "8 to 1024"),
        ("a:b", "long enough\n", "without a colon"), ("", "long enough\n", "without a colon"),
        ("#a", "long enough\n", "begin with #"), ("a\x1b[2J", "long enough\n", "printable"),
    ],
)  # fmt: skip
def test_what_is_no_user_is_refused_and_leaves_no_file(
    tmp_path: Path,
    name: str,
    typed: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert add(tmp_path / "auth", name, typed, monkeypatch) == 2
    assert says in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_plain_file_is_converted_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = private(tmp_path / "auth", "# people\nanna:open sesame: please\n\nben:12345\n")
    assert main(["panel", "--hash-auth", str(file)]) == 0
    assert "2 passwords hashed" in capsys.readouterr().out
    users = auth_file.read_users(file)
    assert users["anna"].password.matches("open sesame: please") and users["ben"].password.matches("12345")
    assert {user.role for user in users.values()} == {Role.OWNER} and file.stat().st_mode & 0o777 == 0o600
    once = file.read_text()
    assert "sesame" not in once and once.startswith("# people\n")
    assert main(["panel", "--hash-auth", str(file)]) == 0 and file.read_text() == once


@pytest.mark.parametrize("text", ["ben:plain\nanna:$apr1$salt$hash\n", "anna:{SHA}x\n", "anna\n", "# nobody\n"])
def test_what_cannot_be_converted_is_named_and_nothing_is_changed(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = private(tmp_path / "auth", text)
    assert main(["panel", "--hash-auth", str(file)]) == 2
    said = capsys.readouterr().err
    assert ("--add-user" in said) == (text != "anna\n") and file.read_text() == text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--add-user a", "needs the file"), ("--role viewer", "--role is for --add-user"),
        ("--links --hash-auth x", "one of them"),
        ("latest --links", "no RUN"), ("--links --auth x", "no effect"), ("--auth x --add-user a --links", "one of them"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["panel", *line.split()]) == 2
    assert says in capsys.readouterr().err
