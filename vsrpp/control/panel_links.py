"""The links by which an account opens its panels: its one secret, the tokens made from it, and where panels run.

Both are kept in the account's state folder and readable by nobody else. Deleting the secret ends every link and session.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from vsrpp import paths
from vsrpp.control import messages
from vsrpp.control.roles import Role
from vsrpp.control.runs import process_alive, process_identity
from vsrpp.errors import Refused
from vsrpp.private_files import private_file
from vsrpp.safe_text import public

TOKEN = "token"
"""The query parameter that carries a token."""
Asks = Literal["token", "login", "nothing"]
_SECRET_BYTES = 32
_LONGEST_RECORD = 16 * 1024


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """What the account's tokens and sessions are made from. Never shown, recorded or sent."""

    secret: bytes
    kept: bool = True
    """Whether the next start finds it again."""

    def token(self, role: Role) -> str:
        """The token of a role: the same for as long as the secret exists."""
        return base64.urlsafe_b64encode(self.derived(f"token {role.word}")).decode().rstrip("=")

    def role_of(self, token: str) -> Role | None:
        """The role that a token gives; None for a wrong one. Takes the same time for every answer."""
        given, found = token.encode(errors="replace"), None
        for role in Role:
            if hmac.compare_digest(given, self.token(role).encode()):
                found = role
        return found

    def derived(self, purpose: str) -> bytes:
        """A key for one purpose, from which neither the secret nor another key can be told."""
        return hmac.new(self.secret, f"vsrpp panel {purpose}".encode(), hashlib.sha256).digest()

    @classmethod
    def of_account(cls) -> AccountKeys:
        """The account's own, made at the first call; for this process alone where the state folder cannot be written.

        Raises Refused for a secret that others can read or that is damaged.
        """
        file = secret_file()
        try:
            return cls(_read(file))
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise messages.PANEL_SECRET_UNREADABLE(file=str(file), why=error.strerror) from error
        try:
            _create(file)
            return cls(_read(file))
        except OSError:
            return cls(secrets.token_bytes(_SECRET_BYTES), kept=False)


def secret_file() -> Path:
    return paths.state_dir() / "panel_secret"


def signed_out_file() -> Path:
    """Sessions that were ended before their time."""
    return paths.state_dir() / "panel_signed_out"


def account() -> str | None:
    """The login name of this account; None if it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


def _read(file: Path) -> bytes:
    """Raises OSError, or Refused."""
    with open(file, "rb", opener=private_file) as source:
        status = os.fstat(source.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise messages.PANEL_SECRET_OPEN(file=str(file))
        text = source.read(1024)
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        secret = b""
    if len(secret) < _SECRET_BYTES:
        raise messages.PANEL_SECRET_DAMAGED(file=str(file))
    return secret


def _create(file: Path) -> None:
    """Put a new secret there, whole at once; the one of a process that was quicker stays."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}-{secrets.token_hex(6)}")
    try:
        with open(draft, "xb", opener=private_file) as out:
            out.write(base64.b64encode(secrets.token_bytes(_SECRET_BYTES)))
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)


# ---- where panels run
@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPanel:
    """A panel of this account."""

    url: str
    """Its address, without a token."""
    runs: str
    """The folder of runs it shows."""
    asks: Asks
    """What it asks visitors for."""
    process: dict[str, Any]
    """`process_identity` of it."""

    def link(self, role: Role = Role.OWNER) -> str:
        """The address that lets its visitor in with this role; without a token where none is asked for.

        `redact_text` leaves it whole: whoever prints it means to show it.
        """
        if self.asks != "token":
            return self.url
        return public(f"{self.url}?{TOKEN}={AccountKeys.of_account().token(role)}")


@contextlib.contextmanager
def announced(url: str, runs: Path, asks: Asks) -> Iterator[None]:
    """Within this, the account's other processes find this panel. Without a writable state folder, they do not."""
    folder = paths.state_dir() / "panels"
    record = RunningPanel(url=url, runs=str(runs.resolve()), asks=asks, process=process_identity())
    file = folder / f"{os.getpid()}.json"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in folder.glob("*.json"):
            found = _record(old)
            if found is None or (found.process.get("host") == record.process["host"] and not _lives(found)):
                old.unlink(missing_ok=True)
        draft = file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with open(draft, "w", encoding="utf-8", opener=private_file) as out:
            json.dump(asdict(record), out)
        draft.replace(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def running_panels(runs: Path | None = None) -> list[RunningPanel]:
    """This account's panels on this host, those for one folder of runs only if it is given."""
    records = [_record(file) for file in sorted((paths.state_dir() / "panels").glob("*.json"))]
    wanted = None if runs is None else str(runs.resolve())
    return [one for one in records if one is not None and wanted in (None, one.runs) and _lives(one)]


def owners_link(runs: Path) -> str | None:
    """The link to a panel that shows this folder of runs, for the account that owns it; None if none runs.

    Without the token if the account's secret is unfit, which the panel itself reports.
    """
    found = running_panels(runs)
    if not found:
        return None
    try:
        return found[0].link()
    except Refused:
        return found[0].url


def _lives(panel: RunningPanel) -> bool:
    return process_alive(panel.process)


def _record(file: Path) -> RunningPanel | None:
    """None for what is no record of ours."""
    try:
        with open(file, "rb", opener=private_file) as source:
            if os.fstat(source.fileno()).st_uid != os.geteuid():
                return None
            fields = json.loads(source.read(_LONGEST_RECORD))
        whole = isinstance(fields, Mapping) and isinstance(fields.get("process"), dict)
        return RunningPanel(**fields) if whole else None
    except (OSError, ValueError, TypeError):
        return None
