"""`vsrpp panel --links`, `--add-user` and `--hash-auth`: who may use the panel. None of them starts one."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsrpp.cli import messages
from vsrpp.control import Role
from vsrpp.control.panel_links import running_panels
from vsrpp.formats import counted
from vsrpp.output import say
from vsrpp.safe_text import safe


def answer(
    run: str | None, *, auth: Path | None, links: bool, add_user: str | None, role: str | None, hash_auth: Path | None,
    auth_file: Callable[[str], Any],
) -> int:  # fmt: skip
    """Do the one thing that is asked for; `auth_file` gives the control app's module of that name.

    Raises Refused for options that do not go together, and what that thing raises.
    """
    if run is not None or links + (add_user is not None) + (hash_auth is not None) > 1:
        raise messages.PANEL_ONE_OF()
    if add_user is not None:
        if auth is None:
            raise messages.ADD_USER_WITHOUT_FILE()
        return _add_user(auth.expanduser(), add_user, Role.of(role or "") or Role.VIEWER, auth_file("auth_file"))
    if role is not None or auth is not None:
        raise messages.ROLE_WITHOUT_USER()
    if hash_auth is not None:
        return _hash(hash_auth.expanduser(), auth_file("auth_file"))
    return _show_links()


def _show_links() -> int:
    panels = running_panels()
    if not panels:
        raise messages.NO_PANEL_RUNS()
    for panel in panels:
        say(safe(f"Panel of {panel.runs}"))
        roles = tuple(Role) if panel.asks == "token" else ()
        for role in reversed(roles):
            say(f"  {role.word:9} {panel.link(role)}")
        if panel.asks == "login":
            say(f"  {panel.url}   (asks for name and password)")
        elif panel.asks == "nothing":
            say(f"  {panel.url}   (asks for no token)")
    return 0


def _add_user(file: Path, name: str, role: Role, auth_file: Any) -> int:
    auth_file.check_name(name)
    password = _password()
    auth_file.check_password(password)
    changed = auth_file.put_user(file, name, role, password)
    say(
        safe(
            f"{name} is {'now' if changed else 'added as'} {role.word} in {file}. Running panels read it at their next start."
        )
    )
    return 0


def _password() -> str:
    """The password, given twice: at a terminal unseen, else on two lines of standard input (one is enough)."""
    if sys.stdin is not None and sys.stdin.isatty():
        first, second = getpass.getpass("Password: "), getpass.getpass("Again: ")
    else:
        lines = sys.stdin.read().splitlines()[:2] if sys.stdin is not None else []
        first = lines[0] if lines else ""
        second = lines[1] if len(lines) > 1 else first
    if first != second:
        raise messages.PASSWORDS_DIFFER()
    return first


def _hash(file: Path, auth_file: Any) -> int:
    count = auth_file.hash_passwords(file)
    if not count:
        say(safe(f"{file} holds no plain password; nothing was changed."))
        return 0
    say(
        safe(
            f"{file}: {counted(count, 'password')} hashed; whose they are is an owner. The second word of a line is the role."
        )
    )
    return 0
