"""Ed25519 keys in files, as openssl makes them."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

UNENCRYPTED = NoEncryption()


def write_key(path: Path, *, passphrase: str = "", mode: int = 0o600) -> Path:
    """A new private key; returns the file of its public key."""
    key = Ed25519PrivateKey.generate()
    how: KeySerializationEncryption = BestAvailableEncryption(passphrase.encode()) if passphrase else UNENCRYPTED
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    path.chmod(mode)
    public = path.with_name(f"public_{path.name}")
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public
