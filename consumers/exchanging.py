"""Another secret key in the place of the one that wraps a store's data keys. What they have sealed stays as it is.

One transaction: whoever dies in it leaves the key of before, and after it the new one alone opens anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from consumers.personal import NoKey
from consumers.secrets import KEY_VARIABLE, NEW_KEY_VARIABLE, secret_key, unwrapped, wrapped, wraps
from engine.aggregates.refusal import Refused
from engine.store import data_keys
from engine.store.data_keys import CHECK, Name
from engine.store.database import Rows, Store

KEYS_A_BATCH = 5_000

# How many data keys have been wrapped anew, of how many.
Progress = Callable[[int, int], None]


class SameKey(Refused):
    code = "same-key"


class NothingSealed(Refused):
    code = "nothing-sealed"


class AlteredKey(Refused):
    code = "altered-key"


class Exchanged(NamedTuple):
    """How many data keys the new key wraps now. `before` where it did so already, and nothing was left to do."""

    keys: int
    before: bool


def exchange(store: Store, progress: Progress) -> Exchanged:
    """Wraps every data key with SETTLE_SECRET_KEY_NEW instead of SETTLE_SECRET_KEY, all or none.

    Raises NoKey where either is missing or the first is not that of the store, SameKey, NothingSealed, AlteredKey,
    StoreUnavailable.
    """
    old, new = _asked(KEY_VARIABLE), _asked(NEW_KEY_VARIABLE)
    if old == new:
        raise SameKey(
            f"{KEY_VARIABLE} and {NEW_KEY_VARIABLE} are the same key; make another one (openssl rand -base64 32) for the latter"
        )
    with store.writing() as cursor:
        data_keys.hold_all(cursor)
        keys = data_keys.count(cursor)
        check = data_keys.known(cursor, (CHECK,)).get(CHECK)
        if check is None:
            raise NothingSealed(
                f"nothing has been sealed in this store yet, so no key is in use; set {KEY_VARIABLE} to the new one"
            )
        if wraps(new, check):
            return Exchanged(keys - 1, before=True)
        if not wraps(old, check):
            raise NoKey(
                f"{KEY_VARIABLE} is not the key with which this store seals personal fields, and nothing was changed; set that "
                f"one, and the one that takes its place as {NEW_KEY_VARIABLE}"
            )
        _wrap_anew(cursor, old, new, lambda done: progress(done, keys))
    return Exchanged(keys - 1, before=False)


def _wrap_anew(cursor: Rows, old: bytes, new: bytes, progress: Callable[[int], None]) -> None:
    done = 0
    for batch in data_keys.batches(cursor, KEYS_A_BATCH):
        data_keys.replace(cursor, [(name, wrapped(new, name, _opened(old, name, kept))) for name, kept in batch])
        done += len(batch)
        progress(done)


def _opened(old: bytes, name: Name, kept: bytes) -> bytes:
    try:
        return unwrapped(old, name, kept)
    except NoKey:
        what = f"contact {name.id}" if name.kind == "contact" else "a bank account"
        raise AlteredKey(
            f"the data key of {what} of partner {name.partner} does not open with {KEY_VARIABLE}, though others do: its row in "
            f"settle.data_keys ({name.kind} {name.id}) was altered. Nothing was changed; put the row back from a backup, or "
            "erase what it sealed, and run it again"
        ) from None


def _asked(variable: str) -> bytes:
    key = secret_key(variable)
    if key is None:
        raise NoKey(
            f"{variable} is not set; give the key of this store as {KEY_VARIABLE}, and the one that takes its place as "
            f"{NEW_KEY_VARIABLE}, each 32 random bytes in base64, or @ and the path of a file with them"
        )
    return key
