"""Who may use the panel when it is open to other machines: a file of names and passwords, and signed sessions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import stat
import time
from pathlib import Path

from vsrpp.smallfiles import read_small

from . import refusals

COOKIE = "vsrpp_panel"
SESSION_S = 7 * 24 * 3600
WRONG_PAUSE_S = 0.5
"""An answer to a wrong password takes this long."""


class Login:
    """The people of an auth file: one `name:password` a line, # begins a comment.

    Sessions are signed with a key that each start of the panel draws anew and that depends on nothing else.
    """

    def __init__(self, file: Path) -> None:
        """Raises NotFound without the file, Refused if it is readable by others or holds nobody."""
        try:
            mode = file.stat().st_mode
            text = read_small(file).decode()
        except OSError as error:
            raise refusals.AUTH_UNREADABLE(file=str(file), why=error.strerror) from error
        except UnicodeDecodeError:
            raise refusals.AUTH_UNREADABLE(file=str(file), why="it is not UTF-8") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise refusals.AUTH_OPEN(file=str(file))
        self._people: dict[str, bytes] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, colon, password = line.partition(":")
            if not colon or not name.strip() or not password:
                raise refusals.AUTH_LINE(file=str(file), number=number)
            self._people[name.strip()] = _digest(password)
        if not self._people:
            raise refusals.AUTH_EMPTY(file=str(file))
        self._key = secrets.token_bytes(32)

    def check(self, name: str, password: str) -> bool:
        """Whether the two belong together; takes the same time for a name that is not there."""
        known = self._people.get(name, b"\0" * 32)
        return hmac.compare_digest(_digest(password), known) and name in self._people

    def session(self, name: str) -> str:
        """The cookie of somebody who has signed in."""
        body = f"{int(time.time()) + SESSION_S}:{name}".encode()
        return f"{base64.urlsafe_b64encode(body).decode()}.{self._sign(body)}"

    def user_of(self, cookie: str) -> str | None:
        """The name in a cookie that holds, else None."""
        encoded, _, signature = cookie.partition(".")
        try:
            body = base64.urlsafe_b64decode(encoded.encode())
            if not hmac.compare_digest(self._sign(body).encode(), signature.encode()):
                return None
            until, _, name = body.decode().partition(":")
            return name if float(until) > time.time() and name in self._people else None
        except ValueError:
            return None

    def _sign(self, body: bytes) -> str:
        return hmac.new(self._key, body, hashlib.sha256).hexdigest()


def _digest(password: str) -> bytes:
    return hashlib.sha256(b"vsrpp-panel\0" + password.encode()).digest()
