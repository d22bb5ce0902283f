"""Files of those who may sign in to a panel, hashed so cheaply that tests need not wait."""

from __future__ import annotations

from pathlib import Path

from vsrpp.cli.panel import ui_package
from vsrpp.control import Role

CHEAP = (2**4, 8, 1)


def auth_file(file: Path, **people: str) -> Path:
    """`auth_file(file, anna="open sesame", ben="12345:viewer")`: name -> password, `:role` behind it for other than owners."""
    hashed = ui_package("passwords").PasswordHash
    lines = []
    for name, said in people.items():
        password, _, role = said.rpartition(":") if Role.of(said.rpartition(":")[2]) else (said, "", "owner")
        lines.append(f"{name}:{role}:{hashed.of(password, CHEAP)}\n")
    file.write_text("# people\n" + "".join(lines))
    file.chmod(0o600)
    return file
