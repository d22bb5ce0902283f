"""Whose code may run: what this account has named itself, kept by SHA-256, and what `--trust-code` names."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

ENVIRONMENT = "VSRPP_TRUST_CODE"
"""SHA-256s of plug-ins to trust, separated by spaces or commas; processes that a command starts inherit it."""


def trusted_file() -> Path:
    """One line per plug-in that this account has named: SHA-256 and name."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "vsrpp" / "trusted"


def remember(sha256: str, name: str) -> None:
    """Trust a plug-in that a person has named. Where the file cannot be written it is trusted this time only."""
    if was_named(sha256, name):
        return
    file, label = trusted_file(), _label(name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as out:
            out.write(f"{sha256} {label}\n")
    except OSError:
        allow([sha256])


def allow(sha256s: Collection[str]) -> None:
    """Trust these in this process and in those that it starts."""
    known = _from_environment() | {one.strip().lower() for one in sha256s}
    os.environ[ENVIRONMENT] = " ".join(sorted(known))


def is_trusted(sha256: str) -> bool:
    return sha256 in _from_environment() or any(one == sha256 for one, _ in _named())


def was_named(sha256: str, name: str) -> bool:
    """Whether this account has named this plug-in by this very name or path."""
    return (sha256, _label(name)) in _named()


def is_own(file: Path) -> bool:
    """Whether a file belongs to this account."""
    try:
        return file.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _from_environment() -> set[str]:
    return set(os.environ.get(ENVIRONMENT, "").replace(",", " ").lower().split())


def _label(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable()).strip()


def _named() -> set[tuple[str, str]]:
    """(SHA-256, name) of what this account has named.

    A file that belongs to another account, or that others can write, is not believed.
    """
    file = trusted_file()
    try:
        if not is_own(file) or file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return set()
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return {(sha256, name.strip()) for sha256, _, name in (line.partition(" ") for line in lines)}
    except OSError:
        return set()
