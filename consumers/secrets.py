"""The edge where personal fields are sealed and opened: AES-256-GCM under keys that are kept beside the log, wrapped.

Each contact of a partner has a data key, and so has each of its bank accounts. Data keys are wrapped by the secret key, which
the environment has. What is sealed is bound to the event that carries it, so that nobody can show it as another's. Destroying a
data key makes everything that was sealed with it unreadable, wherever it lies.
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
from engine.store import data_keys, registry
from engine.store.data_keys import CHECK, Name
from engine.store.database import Store

KEY_VARIABLE = "SETTLE_SECRET_KEY"
# The key that takes its place: settle secret-key exchange. Whoever has both goes on through the exchange.
NEW_KEY_VARIABLE = "SETTLE_SECRET_KEY_NEW"
_KEY_BYTES, _NONCE_BYTES = 32, 12
_FILE_BYTES_MAX = 4_096
# Clear texts are filled up to whole blocks, so that their length says little.
_BLOCK = 256
# Instead of a ciphertext, of a message that comes again after its fields were erased.
GONE = "erased"
_CHECKED = b"tantieme"


class FieldsErased(Refused):
    code = "fields-erased"


class NoBankAccount(Refused):
    code = "no-bank-account"


def secret_key(variable: str = KEY_VARIABLE) -> bytes | None:
    """The 32 bytes that the variable states in base64, or the file that it names after @; None where it is not set. Raises NoKey."""
    said = os.environ.get(variable, "").strip()
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
            f"{variable} holds no key; give 32 random bytes in base64, or @ and the path of a file with them"
        ) from None
    return key


class Vault:
    """Seals and opens with the secret key. Nothing is remembered: a data key that was destroyed is gone at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seal(self, event: PersonalEvent, clear: Mapping[str, str]) -> Sealed:
        """Raises NoKey. Of what was erased nothing is sealed any more."""
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
        name = _name(event)
        secret = secret_key()
        if secret is None:
            raise keyless(event.NAME)
        with self._store.writing() as cursor:
            kept = data_keys.known(cursor, (CHECK, name))
            if make and len(kept) < 2:  # noqa: PLR2004 - both of them
                data_keys.hold(cursor)
                data_keys.keep(cursor, CHECK, wrapped(secret, CHECK, _CHECKED))
                check = data_keys.known(cursor, (CHECK,))[CHECK]
                data_keys.keep(cursor, name, wrapped(_secret(check), name, token_bytes(_KEY_BYTES)))
                kept = data_keys.known(cursor, (CHECK, name))  # another process may have been quicker
        if name not in kept:
            raise DoesNotOpen(f"{event.NAME} {event.id} was not sealed by this store; send its fields in clear")
        key = kept[name]
        return None if key is None else unwrapped(_secret(kept[CHECK]), name, key)


def _name(event: PersonalEvent) -> Name:
    if isinstance(event, PartnerContactSet):
        return data_keys.of_contact(event.partner, event.contact)
    return data_keys.of_bank_account(event.partner, event.source, event.id)


def _secret(check: bytes | None) -> bytes:
    """Of the environment's secret keys the one that wraps the store's data keys. Raises NoKey."""
    assert check is not None
    for variable in (KEY_VARIABLE, NEW_KEY_VARIABLE):
        key = secret_key(variable)
        if key is not None and wraps(key, check):
            return key
    raise NoKey(
        f"{KEY_VARIABLE} is not the key with which this store seals personal fields; set that one, and send it again"
    )


def wraps(secret: bytes, check: bytes) -> bool:
    """Whether it is the secret key under which the store keeps its data keys; `check` is what is kept under CHECK."""
    try:
        return unwrapped(secret, CHECK, check) == _CHECKED
    except NoKey:
        return False


def wrapped(secret: bytes, name: Name, key: bytes) -> bytes:
    nonce = token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(secret).encrypt(nonce, key, joined(*name).encode())


def unwrapped(secret: bytes, name: Name, kept: bytes) -> bytes:
    """Raises NoKey."""
    try:
        return AESGCM(secret).decrypt(kept[:_NONCE_BYTES], kept[_NONCE_BYTES:], joined(*name).encode())
    except InvalidTag:
        raise NoKey(
            f"a data key of partner {name.partner} does not open with the secret key of this store: its row was altered; "
            "put it back from a backup"
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
