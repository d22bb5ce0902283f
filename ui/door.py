"""Who may enter, and with which role: by the account's token, by name and password, or anyone if neither is required.

A file of users replaces the token. Whoever is let in is a `Visitor`, which everything that steers a run requires.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request, Response

from vsrpp import control
from vsrpp.control import Role
from vsrpp.control.panel_links import AccountKeys, Asks, signed_out_file

from .auth_file import PanelUser, read_users
from .passwords import PasswordHash
from .sessions import SESSION_S, Sessions

COOKIE = "vsrpp_panel"
_BEARER = "bearer "
_PORT = re.compile(r":(\d{1,5})$")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who was let in."""

    name: str | None
    """Whom the record names as author; None: the account of the panel, as `control` knows it."""
    role: Role
    can_leave: bool = False
    """Whether there is a session to end."""


class Door:
    """Requires what `asks` says. `keys` are the account's; without them and without users, it requires nothing."""

    def __init__(self, users: Path | None, keys: AccountKeys | None) -> None:
        """Raises what `read_users` does."""
        self._users = read_users(users) if users is not None else {}
        self._keys = keys
        self.asks: Asks = "login" if users is not None else "token" if keys is not None else "nothing"
        kept = keys is not None and keys.kept
        key = keys.derived(f"session {self.asks}") if keys is not None else secrets.token_bytes(32)
        self._sessions = Sessions(key, signed_out_file() if kept else None)
        self._nobody = (
            PasswordHash.of_nobody(max(user.password.cost for user in self._users.values())) if users else None
        )

    def visitor(self, request: Request) -> Visitor | None:
        """Who sends a request, by its cookie or its `Authorization: Bearer TOKEN`; None for a stranger."""
        if self.asks == "nothing":
            return Visitor(None, Role.OWNER)
        authorization = request.headers.get("authorization", "")
        if self.asks == "token" and authorization[: len(_BEARER)].lower() == _BEARER:
            role = self.role_of(authorization[len(_BEARER) :].strip())
            return None if role is None else _by_token(role)
        who = self._sessions.who(request.cookies.get(cookie_name(request), ""), self._credential)
        if who is None:
            return None
        if self.asks == "login":
            return Visitor(who, self._users[who].role, can_leave=True)
        role = Role.of(who)
        return None if role is None else _by_token(role, can_leave=True)

    def role_of(self, token: str) -> Role | None:
        """What a token gives; None for a wrong one, and where none is asked for."""
        return self._keys.role_of(token) if self._keys is not None and self.asks == "token" else None

    def check(self, name: str, password: str) -> bool:
        """Whether the two belong together; takes as long for an unknown name."""
        user = self._users.get(name)
        expected = user.password if user is not None else self._nobody
        return expected is not None and expected.matches(password) and user is not None

    def knows(self, name: str) -> bool:
        return name in self._users

    def let_in(self, request: Request, answer: Response, who: str) -> None:
        """Add the cookie of a new session: of a user by name, or of a token by its role's word."""
        credential = self._credential(who)
        assert credential is not None, "only who was checked is let in"
        # Lax: a link in a mail or a chat finds the session; what changes anything is a POST, which the guard looks at.
        answer.set_cookie(
            cookie_name(request), self._sessions.begin(who, credential), SESSION_S, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip

    def let_out(self, request: Request, answer: Response) -> None:
        """End the session of a request."""
        self._sessions.end(request.cookies.get(cookie_name(request), ""), self._credential)
        answer.delete_cookie(cookie_name(request), httponly=True, samesite="lax")

    def _credential(self, who: str) -> str | None:
        """What a session depends on: it ends when password, role or token change."""
        if self.asks == "login":
            user: PanelUser | None = self._users.get(who)
            return None if user is None else str(user)
        role = Role.of(who)
        return None if role is None or self._keys is None else self._keys.token(role)


def cookie_name(request: Request) -> str:
    """Cookies do not know ports: each panel behind this name has its own."""
    port = _PORT.search(request.headers.get("host", ""))
    return f"{COOKIE}_{port[1] if port else 80}"


def _by_token(role: Role, *, can_leave: bool = False) -> Visitor:
    name = control.account() or "owner"
    return Visitor(name if role is Role.OWNER else f"{name} ({role.word})", role, can_leave)
