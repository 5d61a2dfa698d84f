"""The edge where personal fields are sealed and opened: AES-256-GCM under keys that are kept beside the log, wrapped.

Each contact of a partner has a data key, and its bank accounts have one. Data keys are wrapped by the key of the environment.
What is sealed is bound to the event that carries it, so that nobody can show it as another's. Destroying a contact's key makes
everything that was sealed with it unreadable, wherever it lies.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consumers.personal import DoesNotOpen, NoKey, PersonalEvent, Sealed, keyless
from engine.aggregates.partner import Partner
from engine.aggregates.refusal import Refused
from engine.events import PartnerContactSet, encoded, joined
from engine.settlement.recording import ERASED
from engine.store import contact_keys, registry
from engine.store.database import Rows, Store

KEY_VARIABLE = "SETTLE_SECRET_KEY"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_FILE_BYTES_MAX = 4_096
# Clear texts are filled up to whole blocks, so that their length says little.
_BLOCK = 256
# Instead of a ciphertext, of a message that comes again after its contact was erased.
GONE = "erased"
_CHECK = b"tantieme"


class FieldsErased(Refused):
    code = "fields-erased"


class NoBankAccount(Refused):
    code = "no-bank-account"


def secret_key(text: str | None) -> bytes | None:
    """The 32 bytes that the text states in base64, or the file that it names after @; None without a text. Raises NoKey."""
    said = (text or "").strip()
    if not said:
        return None
    try:
        if said.startswith("@"):
            with Path(said[1:]).open("rb") as file:
                said = file.read(_FILE_BYTES_MAX).decode().strip()
        key = base64.b64decode(said, validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        # Without the cause, which could show what was given.
        raise NoKey(
            f"{KEY_VARIABLE} holds no key; give 32 random bytes in base64, or @ and the path of a file with them"
        ) from None
    return key


class Vault:
    """Seals and opens with the key of the environment. Nothing is remembered: a key that was destroyed is gone at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seal(self, event: PersonalEvent, clear: Mapping[str, str]) -> Sealed:
        """Raises NoKey. Of an erased contact nothing is sealed any more."""
        key = self._data_key(event, make=True)
        if key is None:
            return Sealed(GONE, ERASED)
        said = msgspec.json.encode(dict(sorted(clear.items())))
        filled = said.ljust(-(-len(said) // _BLOCK) * _BLOCK)
        nonce = token_bytes(_NONCE_BYTES)
        text = base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, filled, _bound(event)))
        return Sealed(text.rstrip(b"=").decode(), _content(key, event, said))

    def check(self, event: PersonalEvent, sealed: str) -> bytes:
        """The content of what was sealed. Raises NoKey, DoesNotOpen."""
        key = self._data_key(event, make=False)
        return ERASED if key is None else _content(key, event, _opened(key, event, sealed))

    def open(self, event: PersonalEvent) -> dict[str, str]:
        """The private fields. Raises NoKey, DoesNotOpen, FieldsErased."""
        bare = msgspec.structs.replace(event, sealed="")
        key = self._data_key(bare, make=False)
        if key is None:
            raise FieldsErased(f"the fields of {event.NAME} {event.id} of partner {event.partner} were erased")
        return msgspec.json.decode(_opened(key, bare, event.sealed), type=dict[str, str])

    def _data_key(self, event: PersonalEvent, *, make: bool) -> bytes | None:
        """None where it was destroyed."""
        name = (event.partner, event.contact if isinstance(event, PartnerContactSet) else "")
        master = secret_key(os.environ.get(KEY_VARIABLE))
        if master is None:
            raise keyless(event.NAME)
        with self._store.writing() as cursor:
            _check_master(cursor, master)
            row = contact_keys.found(cursor, *name)
            if row is None:
                if not make:
                    raise DoesNotOpen(f"{event.NAME} {event.id} was not sealed by this store; send its fields in clear")
                contact_keys.keep(cursor, *name, _wrapped(master, *name, token_bytes(_KEY_BYTES)))
                row = contact_keys.found(cursor, *name)  # another process may have been quicker
        assert row is not None, name
        return None if row.wrapped is None else _unwrapped(master, *name, row.wrapped)


def _check_master(cursor: Rows, master: bytes) -> None:
    """Keeps something wrapped by the first key, so that another one is known. Raises NoKey."""
    row = contact_keys.found(cursor, "", "")
    if row is None:
        contact_keys.keep(cursor, "", "", _wrapped(master, "", "", _CHECK))
        row = contact_keys.found(cursor, "", "")
    assert row is not None
    assert row.wrapped is not None
    _unwrapped(master, "", "", row.wrapped)


def _wrapped(master: bytes, partner: str, contact: str, key: bytes) -> bytes:
    nonce = token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(master).encrypt(nonce, key, joined(partner, contact).encode())


def _unwrapped(master: bytes, partner: str, contact: str, wrapped: bytes) -> bytes:
    try:
        return AESGCM(master).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], joined(partner, contact).encode())
    except InvalidTag:
        raise NoKey(
            f"{KEY_VARIABLE} is not the key with which this store seals personal fields; set that one, and send it again"
        ) from None


def _bound(event: PersonalEvent) -> bytes:
    """All that is said openly beside what is sealed, which holds together with it alone."""
    assert event.sealed == "", event
    return b"%b\0%b" % (event.NAME.encode(), encoded(event))


def _opened(key: bytes, event: PersonalEvent, sealed: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(event)).rstrip(b" ")
    except (InvalidTag, ValueError):
        raise DoesNotOpen(
            f"what is sealed in {event.NAME} {event.id} was sealed for another message, or altered; send its fields in clear"
        ) from None


def _content(key: bytes, event: PersonalEvent, said: bytes) -> bytes:
    """Equal for equal messages, and of no use without the key to whoever guesses what they say."""
    own = hmac.digest(key, b"content", "sha256")
    return hmac.digest(own, _bound(event) + b"\0" + said, "sha256")[:16]


@dataclass(frozen=True, repr=False)
class BankAccount:
    """Where a partner is paid: an `iban`, or an `account` at a `bank`. In clear, for the payout file alone."""

    partner: str
    holder: str
    currency: str
    masked: str
    iban: str | None = None
    account: str | None = None
    bank: str | None = None
    bic: str | None = None

    def __repr__(self) -> str:
        return f"BankAccount({self.partner}, {self.masked})"


def bank_account(store: Store, partner: str) -> BankAccount:
    """The partner's approved account, opened. Raises NoBankAccount, NoKey, DoesNotOpen, StoreUnavailable.

    Whether anything may be paid to it is said by engine.aggregates.partner.held, and who is paid by payee.
    """
    with store.reading() as cursor:
        known: Partner | None = registry.partners(cursor, [partner]).get(partner)
    if known is None or known.account is None:
        raise NoBankAccount(
            f"partner {partner} has no approved bank account; settle partner bank proposes one, and settle partner "
            "approve-bank approves it"
        )
    event = known.account
    return BankAccount(partner=partner, currency=event.currency, masked=event.masked, **Vault(store).open(event))


def contact_fields(store: Store, contact: PartnerContactSet) -> dict[str, str]:
    """A contact's name, e-mail and telephone, as far as they are known. Raises NoKey, DoesNotOpen, FieldsErased."""
    return Vault(store).open(contact)
