"""Signatures of packs: Ed25519, with a key that never leaves the environment."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from engine.aggregates.refusal import Refused

KEY_VARIABLE = "SETTLE_AUDIT_KEY"
PUBLIC_VARIABLE = "SETTLE_AUDIT_PUBLIC_KEY"
ALGORITHM = "Ed25519"
_KEY_BYTES = 32
_FILE_BYTES_MAX = 64 * 1024


class UnusableKey(Refused):
    """The text is no key. What it says is never repeated: it may be a secret."""

    code = "unusable-key"


def private_key(text: str) -> Ed25519PrivateKey:
    """The key that the text states: PEM (PKCS8), or its 32 bytes in hex or base64; `@path` names a file. Raises UnusableKey."""
    said = _said(text, KEY_VARIABLE)
    try:
        if "-----BEGIN" in said:
            key = load_pem_private_key(said.encode(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise UnusableKey(f"{KEY_VARIABLE} has a key of another kind; make one of Ed25519")
            return key
        return Ed25519PrivateKey.from_private_bytes(_raw(said))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause, which could show what was given.
        raise UnusableKey(
            f"{KEY_VARIABLE} holds no private key; give an Ed25519 key without a password as PEM (PKCS8), or its 32 bytes in "
            "hex or base64, or @ and the path of such a file"
        ) from None


def public_key(text: str) -> str:
    """The public key that the text states, in hex: PEM, or its 32 bytes in hex or base64; `@path`. Raises UnusableKey."""
    said = _said(text, PUBLIC_VARIABLE)
    try:
        if "-----BEGIN" in said:
            key = load_pem_public_key(said.encode())
            if not isinstance(key, Ed25519PublicKey):
                raise UnusableKey("the public key is of another kind; give one of Ed25519")
            return key.public_bytes_raw().hex()
        return Ed25519PublicKey.from_public_bytes(_raw(said)).public_bytes_raw().hex()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKey(
            "this is no public key; give an Ed25519 key as PEM, or its 32 bytes in hex or base64, or @ and the path of such "
            "a file"
        ) from None


def _said(text: str, variable: str) -> str:
    text = text.strip()
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX).decode().strip()
    except (OSError, UnicodeDecodeError):
        raise UnusableKey(f"{variable} names {path}, which cannot be read as a key; name a file that can") from None


def _raw(said: str) -> bytes:
    """Raises ValueError."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", said):
        return bytes.fromhex(said)
    try:
        raw = base64.b64decode(said, validate=True)
    except binascii.Error:
        raise ValueError from None
    if len(raw) != _KEY_BYTES:
        raise ValueError
    return raw


def signature(key: Ed25519PrivateKey, data: bytes) -> dict[str, str]:
    """What a pack says of its signature, each part in hex."""
    return {
        "algorithm": ALGORITHM,
        "public_key": key.public_key().public_bytes_raw().hex(),
        "signature": key.sign(data).hex(),
    }


def verifies(public: str, signed: str, data: bytes) -> bool:
    """Whether the signature of the data is by the key; both in hex."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signed), data)
    except (InvalidSignature, ValueError):
        return False
    return True
