"""Passwords as they are stored: hashed with scrypt, as `scrypt$n$r$p$salt$hash`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

COST = (2**15, 8, 3)
"""n, r and p of new hashes, from OWASP's list for scrypt: 32 MiB, and 0.4 s on one core of an AMD EPYC."""
LARGEST_BYTES = 256 * 2**20
"""Memory that a hash in a file may require."""
SALT_BYTES, HASH_BYTES = 16, 32
_STORED = re.compile(r"scrypt\$(\d{1,7})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/=]{16,})\$([A-Za-z0-9+/=]{24,})")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """One hashed password."""

    n: int
    r: int
    p: int
    salt: bytes
    hash: bytes

    @classmethod
    def of(cls, password: str, cost: tuple[int, int, int] = COST) -> PasswordHash:
        """Hash a password with a new salt."""
        salt = secrets.token_bytes(SALT_BYTES)
        return cls(*cost, salt, _scrypt(password, *cost, salt, HASH_BYTES))

    @classmethod
    def of_nobody(cls, cost: tuple[int, int, int]) -> PasswordHash:
        """One that no password matches, so that an unknown name takes as long as a known one."""
        return cls(*cost, secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES))

    @classmethod
    def parse(cls, text: str) -> PasswordHash | None:
        """The hash that `str` wrote; None for anything else, and for parameters too costly to compute."""
        found = _STORED.fullmatch(text.strip())
        if found is None:
            return None
        n, r, p = (int(number) for number in found.groups()[:3])
        if n < 2 or n & (n - 1) or not 0 < p <= 16 or r < 1 or 128 * n * r > LARGEST_BYTES:
            return None
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in found.groups()[3:])
        except ValueError:
            return None
        return cls(n, r, p, salt, digest)

    @property
    def cost(self) -> tuple[int, int, int]:
        return self.n, self.r, self.p

    def matches(self, password: str) -> bool:
        """Whether this is its hash; takes as long for any password."""
        return hmac.compare_digest(_scrypt(password, *self.cost, self.salt, len(self.hash)), self.hash)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.hash))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${digest}"


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes, length: int) -> bytes:
    room = 128 * r * (n + p) + 2**20
    return hashlib.scrypt(password.encode(errors="replace"), salt=salt, n=n, r=r, p=p, maxmem=room, dklen=length)
