"""Files of those who may sign in to a panel, hashed so cheaply that tests need not wait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import wait_until
from vsrpp.cli.panel import ui_package
from vsrpp.control import Role

if TYPE_CHECKING:
    from playwright.sync_api import Page

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


def sign_in(page: Page, name: str, password: str) -> None:
    """Fill in the form of the sign-in page until the pause after a wrong password is over."""

    def signed_in() -> bool:
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_load_state()
        return "/login" not in page.url

    wait_until(signed_in, 60, "the end of the pause")
