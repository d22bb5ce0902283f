"""Signed cookies of those who were let in, and which of them have ended before their time."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vsrpp.private_files import private_file

SESSION_S = 7 * 24 * 3600
LONG_FILE = 64 * 1024


class Sessions:
    """Nothing is kept per session until it is ended: a cookie holds who it is and until when, and its signature.

    `key` signs; sessions survive a restart that has the same key. `ended` is the file of ended ones, shared by all panels
    of the account; None keeps them for the life of this process.
    """

    def __init__(self, key: bytes, ended: Path | None) -> None:
        self._key = key
        self._file = ended
        self._lock = threading.Lock()
        self._ended: dict[str, float] = {}
        """Nonce -> when its session would have ended."""
        self._read_at: tuple[int, int] | None = None
        self._forget_old()

    def begin(self, who: str, credential: str) -> str:
        """The cookie of somebody let in by `credential`: it ends when that changes."""
        body = f"{int(time.time()) + SESSION_S}:{secrets.token_urlsafe(12)}:{who}".encode()
        return f"{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{self._sign(body, credential)}"

    def who(self, cookie: str, credential_of: Callable[[str], str | None]) -> str | None:
        """Whose cookie it is; None for a forged, expired or ended one, and where `credential_of` has nothing for them."""
        found = self._open(cookie, credential_of)
        return found[2] if found is not None and not self._has_ended(found[1]) else None

    def end(self, cookie: str, credential_of: Callable[[str], str | None]) -> None:
        """From now on the cookie is nobody's, in every panel of the account."""
        found = self._open(cookie, credential_of)
        if found is None:
            return
        until, nonce, _ = found
        with self._lock:
            self._ended[nonce] = until
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                    with open(self._file, "a", encoding="utf-8", opener=private_file) as out:
                        out.write(f"{int(until)} {nonce}\n")

    def _open(self, cookie: str, credential_of: Callable[[str], str | None]) -> tuple[float, str, str] | None:
        encoded, _, signature = cookie.partition(".")
        try:
            body = base64.urlsafe_b64decode(encoded.encode() + b"==")
            until, nonce, who = body.decode().split(":", 2)
            credential = credential_of(who)
            whole = credential is not None and hmac.compare_digest(
                self._sign(body, credential).encode(), signature.encode()
            )
            return (float(until), nonce, who) if whole and float(until) > time.time() else None
        except ValueError:
            return None

    def _sign(self, body: bytes, credential: str) -> str:
        return hmac.new(self._key, body + b"\0" + credential.encode(), hashlib.sha256).hexdigest()

    # ---- ended ones
    def _has_ended(self, nonce: str) -> bool:
        with self._lock:
            self._look()
            return nonce in self._ended

    def _look(self) -> None:
        """Read what other panels have ended since."""
        if self._file is None:
            return
        try:
            status = self._file.stat()
            if self._read_at == (status.st_mtime_ns, status.st_size):
                return
            with open(self._file, encoding="utf-8", errors="replace", opener=private_file) as lines:
                for line in lines:
                    until, _, nonce = line.strip().partition(" ")
                    if until.isdecimal() and nonce:
                        self._ended[nonce] = float(until)
            self._read_at = (status.st_mtime_ns, status.st_size)
        except OSError:
            return

    def _forget_old(self) -> None:
        """Drop what has expired anyway from a file that has become long."""
        self._look()
        now = time.time()
        self._ended = {nonce: until for nonce, until in self._ended.items() if until > now}
        if self._file is None or self._read_at is None or self._read_at[1] < LONG_FILE:
            return
        with contextlib.suppress(OSError):
            draft = self._file.with_suffix(f".{secrets.token_hex(4)}")
            with open(draft, "w", encoding="utf-8", opener=private_file) as out:
                out.writelines(f"{int(until)} {nonce}\n" for nonce, until in self._ended.items())
            draft.replace(self._file)
