"""Ed25519 signatures over a run's events and manifests, for `signing_key` and `history --verify --key`.

A chain alone can be computed anew by whoever can write the run folder; a signature cannot. `cryptography` is imported when
a key is read, so that it costs nothing at the start of other commands.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrpp.store import messages

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY = "signing_key"
ENVIRONMENT = "VSRPP_SIGNING_KEY"
SIGNATURE = "signature"
"""The key of a manifest that holds its signature, in hex."""
_LARGEST_KEY_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one run. The key itself never leaves this object."""

    _key: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        """The public key in hex, as the record names it."""
        return self._key.public_key().public_bytes_raw().hex()

    def of_event(self, run_id: str, seq: int, hash: str) -> bytes:
        return self._key.sign(_event(run_id, seq, hash))

    def signed(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """A checkpoint's manifest with its signature."""
        return {**manifest, SIGNATURE: self._key.sign(_manifest(manifest)).hex()}


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks signatures with a public key that a person trusts."""

    _key: Ed25519PublicKey

    @property
    def public_key(self) -> str:
        """In hex."""
        return self._key.public_bytes_raw().hex()

    def holds_event(self, signature: bytes, run_id: str, seq: int, hash: str) -> bool:
        return self._holds(signature, _event(run_id, seq, hash))

    def holds_manifest(self, manifest: Mapping[str, Any]) -> bool:
        """False without a signature."""
        try:
            return self._holds(bytes.fromhex(manifest.get(SIGNATURE, "")), _manifest(manifest))
        except (ValueError, TypeError):
            return False

    def _holds(self, signature: bytes, signed: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True


def short(public_key: str) -> str:
    """A public key as people compare it."""
    return f"{public_key[:16]}…"


def take_up(run_config: dict[str, Any]) -> None:
    """Before a new run: without a key in its config, use VSRPP_SIGNING_KEY. Raises what `read_signer` raises."""
    path = run_config.get(KEY) or os.environ.get(ENVIRONMENT) or None
    run_config[KEY] = None if path is None else str(Path(path).expanduser().resolve())
    if path is not None:
        read_signer(Path(run_config[KEY]))


def signer_again(run_id: str, run_config: Mapping[str, Any], public_key: str | None) -> Signer | None:
    """The signer that continues a run; None for one that is not signed (`public_key` is None).

    The key is read from the recorded path or, if no file is there, from VSRPP_SIGNING_KEY. Raises Refused for another key.
    """
    if public_key is None:
        return None
    path = Path(str(run_config.get(KEY) or ""))
    if not path.is_file():
        given = os.environ.get(ENVIRONMENT)
        if not given:
            raise messages.SIGNED_RUN(run=run_id, key=short(public_key), path=path)
        path = Path(given).expanduser()
    signer = read_signer(path)
    if signer.public_key != public_key:
        raise messages.OTHER_KEY(run=run_id, key=short(public_key), path=path, other=short(signer.public_key))
    return signer


def read_signer(path: Path) -> Signer:
    """The private key in a PEM file. Raises NotFound; Refused if others may read it, or if it is no usable key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = _read(path, private=True)
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError:
        raise messages.KEY_ENCRYPTED(path=path) from None
    except (ValueError, UnsupportedAlgorithm):
        raise messages.NO_PRIVATE_KEY(path=path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise messages.NO_PRIVATE_KEY(path=path)
    return Signer(key)


def read_verifier(path: Path) -> Verifier:
    """The public key in a PEM file. Raises NotFound; Refused if it is not one."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path, private=False))
    except (ValueError, UnsupportedAlgorithm):
        raise messages.NO_PUBLIC_KEY(path=path) from None
    if not isinstance(key, Ed25519PublicKey):
        raise messages.NO_PUBLIC_KEY(path=path)
    return Verifier(key)


def _read(path: Path, *, private: bool) -> bytes:
    try:
        handle = os.open(path.expanduser(), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise messages.NO_KEY_FILE(path=path) from None
    except OSError as error:
        raise messages.KEY_UNREADABLE(path=path, why=error.strerror) from None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise messages.KEY_UNREADABLE(path=path, why="it is not a file")
        if private and about.st_mode & 0o077:
            raise messages.KEY_OPEN(path=path, mode=f"{stat.S_IMODE(about.st_mode):03o}")
        return file.read(_LARGEST_KEY_FILE)


def _event(run_id: str, seq: int, hash: str) -> bytes:
    return f"vsrpp event\n{run_id}\n{seq}\n{hash}".encode()


def _manifest(manifest: Mapping[str, Any]) -> bytes:
    """What is signed of a manifest: everything but the signature. It names its run and the hash of every file."""
    content = {key: value for key, value in manifest.items() if key != SIGNATURE}
    return f"vsrpp manifest\n{json.dumps(content, sort_keys=True, separators=(',', ':'))}".encode()
