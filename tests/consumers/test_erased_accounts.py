"""A bank account that is erased: by its key, wherever it lies, and never one to which something is to be paid."""

from __future__ import annotations

import base64
import re
import zipfile
from pathlib import Path

import msgspec
import polars as pl
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consumers import secrets
from consumers.secrets import FieldsErased, NoBankAccount, Vault, bank_account, unwrapped
from consumers.suspense import recycle_all, write_off
from engine.aggregates.note import AGGREGATE, Note, Payment
from engine.events import PartnerBankAccountErased, Sum
from engine.money import MICROS
from engine.settlement import closing, recording, sealing
from engine.store import data_keys, suspense
from engine.store.database import Store
from engine.store.intake import Counts
from replay.archive import writing
from replay.audit import packing
from replay.audit.auditing import audit
from replay.facts import verify
from replay.rebuild.running import rebuild
from tests.consumers.test_personal import (
    BIC,
    HOLDER,
    IBAN,
    approved,
    bank,
    betrayed,
    contact,
    dump,
    everything,
    key,
    partner,
    take,
)
from tests.histories import charged, message, registered
from tests.settlement.test_chains import NOW, OCTOBER
from tests.settlement.test_notes import CONFIRMED, INVOICED, PAID, PUBLISHED, closed
from tests.settlement.test_recording import clock, kept, store

__all__ = ["key", "store"]

NEXT = "GB82WEST12345698765432"


def erased(id: str = "z1", change: int = 1, of: str = "P-1") -> bytes:
    said = {"partner": of, "change": change, "author": "Li", "reason": "asked for on 2026-11-01, nothing is owed"}
    return message("partner.bank_account_erased", id, said)


def keys(store: Store) -> dict[data_keys.Name, bytes]:
    """What whoever has the database and the secret key has: every data key."""
    with store.reading() as cursor:
        rows = cursor.execute(
            "SELECT partner, kind, id, wrapped FROM settle.data_keys WHERE wrapped IS NOT NULL AND kind <> 'check'"
        )
        return {(name := data_keys.Name(*row[:3])): unwrapped(b"k" * 32, name, row[3]) for row in rows}


def opened(ciphers: list[str], found: dict[data_keys.Name, bytes], bound: list[bytes]) -> list[bytes]:
    """What an attacker gets out of all that looks like a ciphertext, with every key, as of every event."""
    said = []
    for text in set(ciphers):
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        for secret in found.values():
            for beside in bound:
                try:
                    said.append(AESGCM(secret).decrypt(raw[:12], raw[12:], beside))
                except InvalidTag:
                    continue
    return said


def ciphers(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9_-]{300,}", text)


def test_after_it_no_key_opens_anything_of_it_wherever_it_lies(store: Store, tmp_path: Path) -> None:
    everything(store)
    event = partner(store).account
    take(store, bank("b1", iban=NEXT))  # a conflict, kept under the same key
    closing.close(store, OCTOBER, NOW)
    writing.seal(store, tmp_path / "archive")
    packing.pack(store, OCTOBER, tmp_path / "october.pack")
    copied = keys(store)
    texts = [dump(store)]
    texts += [str(pl.read_parquet(path).to_dicts()) for path in (tmp_path / "archive").rglob("*.parquet")]
    with zipfile.ZipFile(tmp_path / "october.pack") as pack:
        texts += [pack.read(name).decode() for name in pack.namelist()]
    everywhere = [cipher for text in texts for cipher in ciphers(text)]
    bound = [secrets._bound(msgspec.structs.replace(event, sealed="", masked=m)) for m in ("****3000", "****5432")]
    # The probe works: before, it opens both.
    assert {IBAN in text.decode() for text in opened(everywhere, copied, bound)} == {True, False}
    assert take(store, erased(change=2)) == Counts(recorded=1)  # the first was proposed before the partner was known
    assert opened(everywhere + ciphers(dump(store)), keys(store), bound) == []
    assert betrayed(dump(store)) == []
    # Its own key is gone, and that of nobody else.
    name = data_keys.of_bank_account("P-1", event.source, event.id)
    assert copied.keys() - keys(store).keys() == {name}
    with store.reading() as cursor:
        assert data_keys.known(cursor, [name]) == {name: None}
    with pytest.raises(FieldsErased):
        Vault(store).open(event)
    with pytest.raises(NoBankAccount):
        bank_account(store, "P-1")


def test_no_digest_changes_and_everything_is_proved_as_before(store: Store, tmp_path: Path) -> None:
    everything(store)
    take(store, charged("2"))
    sealing.catch_up(store)
    closing.close(store, OCTOBER, NOW)
    writing.seal(store, tmp_path / "archive")
    log = "SELECT notification_id, state FROM settle.log WHERE notification_id <= %s ORDER BY 1"
    seals = "SELECT * FROM statements ORDER BY 1, 2, 3"
    with store.reading() as cursor:
        last = cursor.execute("SELECT max(notification_id) FROM settle.log").fetchone() or (0,)
        before = (cursor.execute(log, last).fetchall(), cursor.execute(seals).fetchall())
    take(store, erased(change=2))
    with store.reading() as cursor:
        assert (cursor.execute(log, last).fetchall(), cursor.execute(seals).fetchall()) == before
    assert verify(store).differences == ()
    assert audit(store, OCTOBER).ok
    assert rebuild(store).equal
    assert (partner(store).account, [each is None for each in partner(store).proposals]) == (None, [False, True])
    writing.seal(store, tmp_path / "archive")


def test_the_event_says_which_was_erased_by_whom_and_why(store: Store) -> None:
    take(store, registered(), bank(), approved(), erased())
    with store.reading() as cursor:
        row = cursor.execute("SELECT state FROM settle.log ORDER BY notification_id DESC LIMIT 1").fetchone()
    assert row is not None
    event = msgspec.json.decode(row[0], type=PartnerBankAccountErased)
    assert (event.change, event.author, event.proposed_by) == (1, "Li", ("test/eu", "b1"))
    assert event.reason.startswith("asked for")


def test_one_account_is_erased_and_the_others_open(store: Store) -> None:
    take(store, registered(), contact(), bank(), approved(), bank("b2", iban=NEXT), approved("a2"), erased())
    assert bank_account(store, "P-1").iban == NEXT
    shown = partner(store)
    assert [each and each.masked for each in shown.proposals] == [None, "****5432"]
    assert shown.payout_held is None
    # The same again under a new id is another account, and opens.
    take(store, erased("z2", 2), bank("b3"), approved("a3", change=3))
    assert (bank_account(store, "P-1").holder, bank_account(store, "P-1").bic) == (HOLDER, BIC)
    assert kept(store) == []


def test_one_that_waits_for_approval_is_never_approved_then(store: Store) -> None:
    take(store, registered(), bank(), approved(), bank("b2", iban=NEXT), erased(change=2), approved("a2", change=2))
    assert kept(store) == [("suspended", "not-there")]
    assert (partner(store).payout_held, bank_account(store, "P-1").iban) == (None, IBAN)


def test_what_comes_again_after_it_adds_nothing_and_brings_nothing_back(store: Store) -> None:
    take(store, registered(), bank(), erased())
    assert take(store, bank(), bank(iban=NEXT)) == Counts(duplicate=2)
    assert not [name for name in keys(store) if name.kind == "bank_account"]
    assert take(store, erased("z2")).suspended == 1
    assert kept(store) == [("suspended", "already-there")]


def test_one_that_comes_first_waits_for_its_account(store: Store) -> None:
    take(store, registered(), erased())
    assert kept(store) == [("suspended", "not-there")]
    take(store, bank())
    assert kept(store) == []
    assert partner(store).proposals == (None,)


def test_the_event_and_the_end_of_the_key_are_one_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take(store, registered(), bank(), approved())
    for patched, name in ((data_keys, "destroy"), (recording.intake, "advance")):
        with monkeypatch.context() as patch:
            patch.setattr(patched, name, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                take(store, erased())
    assert bank_account(store, "P-1").iban == IBAN
    take(store, erased())
    assert partner(store).account is None


def codes(store: Store, *raws: bytes) -> list[str]:
    take(store, *raws)
    return [code for _, code in kept(store)]


def test_the_account_in_use_stays_while_anything_is_to_be_paid_to_it(store: Store) -> None:
    closed(store)
    take(store, bank(), approved())
    # Nothing is owed to P-1 by a note until its statement is published; from then until it is paid there is.
    for number, raw in enumerate((PUBLISHED, CONFIRMED, INVOICED)):
        assert codes(store, raw, erased(f"z{number}")) == ["account-in-use"] * (number + 1)
    assert bank_account(store, "P-1").iban == IBAN
    # Whoever asked that it be forgotten need not ask again: once it is paid, the first of them is taken, and the others find it erased.
    assert codes(store, PAID) == ["already-there"] * 2
    assert partner(store).account is None
    assert keys(store) == {}


def test_an_account_that_another_has_replaced_can_be_erased_at_any_time(store: Store) -> None:
    closed(store)
    take(store, bank(), approved(), PUBLISHED, bank("b2", iban=NEXT))
    assert codes(store, erased()) == ["account-in-use"], "the other one is not approved yet"
    take(store, approved("a2"))
    assert recycle_all(store, clock) == (1, 1)
    assert codes(store, erased("z2", 2)) == ["account-in-use"]


def test_who_is_paid_for_a_merged_partner_keeps_its_account_for_that(store: Store) -> None:
    closed(store)
    take(store, registered("P-2"), registered("P-3"), bank(), approved())
    merge = {"author": "Li", "approver": "Wu", "reason": "bought"}
    take(store, message("partner.merged", "m1", {"partner": "P-1", "into": "P-2"} | merge))
    take(store, message("partner.merged", "m2", {"partner": "P-2", "into": "P-3"} | merge), PUBLISHED)
    take(store, bank("b3", partner="P-3"), approved("a3", partner="P-3"))
    assert codes(store, erased("z3", of="P-3")) == ["account-in-use"]
    # The merged one is paid elsewhere, so nothing goes to its own account.
    assert codes(store, erased("z1")) == ["account-in-use"]
    assert partner(store).account is None


def test_a_statement_that_nobody_has_published_holds_no_account(store: Store) -> None:
    closed(store)
    take(store, bank(), approved(), erased(), PUBLISHED)
    assert kept(store) == []
    assert partner(store).account is None


@pytest.mark.parametrize(
    ("due", "paid", "awaited"),
    [
        ([("CNY", "50")], [], True),
        ([("CNY", "50")], [("CNY", 50)], False),
        ([("CNY", "50")], [("CNY", 20)], True),
        ([("CNY", "50")], [("CNY", 20), ("CNY", 30)], False),
        ([("CNY", "50"), ("EUR", "1")], [("CNY", 50)], True),
        ([("CNY", "-50")], [], False),
        ([("CNY", "0")], [], False),
        ([], [], False),
    ],
)
def test_a_note_awaits_an_account_while_it_is_to_pay(
    due: list[tuple[str, str]], paid: list[tuple[str, int]], awaited: bool
) -> None:
    note = Note(
        contract="C-1", period="2026-10", partner="P-1", time_zone="UTC", state="invoiced", day=NOW.date(), publisher="ann",
        party="partner", due=tuple(Sum(currency, amount) for currency, amount in due), published=NOW.date(), digest="",
        payments=tuple(Payment(currency, amount * MICROS, "B", NOW.date()) for currency, amount in paid),
    )  # fmt: skip
    assert tuple(AGGREGATE.groups(note)) == (("P-1",) if awaited else ())


def written_off(store: Store) -> None:
    """The first that is suspended."""
    with store.reading() as cursor:
        first = suspense.entries(cursor)[0]
    assert write_off(store, first.id, NOW, "Li", "of nobody")
    assert not write_off(store, first.id, NOW, "Li", "of nobody")


def test_one_that_was_never_recorded_is_erased_when_it_is_written_off(store: Store) -> None:
    take(
        store,
        bank(),
        bank(iban=NEXT),
        registered("P-2"),
        bank("b2", partner="P-2"),
        bank("b2", partner="P-2", iban=NEXT),
    )
    assert [code for _, code in kept(store)] == ["unknown-partner", "identity-conflict", "identity-conflict"]
    assert len(keys(store)) == 2
    # The second of P-1 would need the same key, were it to be looked at.
    written_off(store)
    assert len(keys(store)) == 2
    written_off(store)
    assert [name.partner for name in keys(store)] == ["P-2"]
    # That of a recorded account stays, though a conflict with it is written off.
    written_off(store)
    assert len(keys(store)) == 1
    assert take(store, bank()) == Counts(duplicate=1)
    assert [name.partner for name in keys(store)] == ["P-2"]
    take(store, registered())
    assert (kept(store), partner(store).proposals) == ([], ())
