"""The file of those who may sign in: one `name:role:scrypt$…` a line, # begins a comment. Read, written, converted."""

from __future__ import annotations

import contextlib
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vsrpp.control import Role
from vsrpp.formats import size
from vsrpp.private_files import private_file

from . import refusals
from .passwords import PasswordHash

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024
LONGEST_NAME = 64
LARGEST_FILE = 2**20
_OTHER_HASHES = ("$apr1$", "$2a$", "$2b$", "$2y$", "$1$", "$5$", "$6$", "$y$", "{SHA}", "{SSHA}", "$argon2")


@dataclass(frozen=True, slots=True)
class PanelUser:
    """Somebody who may sign in."""

    name: str
    role: Role
    password: PasswordHash

    def __str__(self) -> str:
        return f"{self.name}:{self.role.word}:{self.password}"


def read_users(file: Path) -> dict[str, PanelUser]:
    """Name -> user. Raises NotFound without the file; Refused if others can read it, for a line of another kind, or if
    it holds nobody."""
    users: dict[str, PanelUser] = {}
    for number, line in _entries(_text(file)):
        user = _user(line)
        if user is None:
            raise refusals.AUTH_LINE(file=str(file), number=number)
        users[user.name] = user
    if not users:
        raise refusals.AUTH_EMPTY(file=str(file))
    return users


def check_name(name: str) -> None:
    """Raises Refused for what cannot be a name in the file."""
    fine = name.isprintable() and name == name.strip() and 0 < len(name) <= LONGEST_NAME
    if not fine or ":" in name or name.startswith("#"):
        raise refusals.USER_NAME(name=repr(name[:80]), longest=LONGEST_NAME)


def check_password(password: str) -> None:
    """Raises Refused for one that is too short, or longer than a sign-in takes."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise refusals.PASSWORD_LENGTH(shortest=SHORTEST_PASSWORD, longest=LONGEST_PASSWORD)


def put_user(file: Path, name: str, role: Role, password: str) -> bool:
    """Add somebody, or change role and password of who is there; returns whether that was the case.

    A missing file is created, readable by the account alone. Raises Refused; VsrppError if it cannot be written.
    """
    check_name(name)
    check_password(password)
    text = _text(file) if file.exists() else ""
    lines, new = text.splitlines(), str(PanelUser(name, role, PasswordHash.of(password)))
    places = [number - 1 for number, line in _entries(text) if line.partition(":")[0].strip() == name]
    for place in places:
        lines[place] = new
    _write(file, lines if places else [*lines, new])
    return bool(places)


def hash_passwords(file: Path) -> int:
    """Hash every plain `name:password` of a file in place; whoever it names becomes an owner. Returns how many there were.

    Comments and hashed lines stay. Raises as `read_users` does, and Refused for hashes of another kind (htpasswd).
    """
    text = _text(file)
    lines, count = text.splitlines(), 0
    for number, line in _entries(text):
        if _user(line) is not None:
            continue
        name, colon, password = line.partition(":")
        name = name.strip()
        if not colon or not name or not password:
            raise refusals.AUTH_PLAIN_LINE(file=str(file), number=number)
        if password.startswith(_OTHER_HASHES) or "scrypt$" in password:
            raise refusals.AUTH_OTHER_HASH(file=str(file), number=number)
        check_name(name)
        lines[number - 1] = str(PanelUser(name, Role.OWNER, PasswordHash.of(password)))
        count += 1
    if not any(True for _ in _entries(text)):
        raise refusals.AUTH_EMPTY(file=str(file))
    if count:
        _write(file, lines)
    return count


def _entries(text: str) -> Iterable[tuple[int, str]]:
    """(number from 1 up, line) of what is neither blank nor a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _user(line: str) -> PanelUser | None:
    name, _, rest = line.partition(":")
    word, _, stored = rest.partition(":")
    role, password = Role.of(word.strip()), PasswordHash.parse(stored)
    return PanelUser(name.strip(), role, password) if name.strip() and role and password else None


def _text(file: Path) -> str:
    """Raises NotFound for what cannot be read, Refused for what others can read or no person wrote."""
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            raise refusals.AUTH_UNREADABLE(file=str(file), why="not a file")
        with file.open("rb") as source:
            raw = source.read(LARGEST_FILE + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise refusals.AUTH_UNREADABLE(file=str(file), why=error.strerror) from error
    except UnicodeDecodeError as error:
        raise refusals.AUTH_UNREADABLE(file=str(file), why="not UTF-8 text") from error
    if len(raw) > LARGEST_FILE:
        raise refusals.AUTH_UNREADABLE(file=str(file), why=f"larger than {size(LARGEST_FILE)}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise refusals.AUTH_OPEN(file=str(file))
    return text


def _write(file: Path, lines: Iterable[str]) -> None:
    """Replace the file at once, readable by the account alone."""
    draft = file.with_name(f".{file.name}-{secrets.token_hex(6)}")
    try:
        with open(draft, "x", encoding="utf-8", opener=private_file) as out:
            out.writelines(f"{line}\n" for line in lines)
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise refusals.AUTH_UNWRITABLE(file=str(file), why=error.strerror) from error
