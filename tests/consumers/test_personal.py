"""Personal fields as an attacker would look for them: everywhere that anything is kept, shown or sent on."""

from __future__ import annotations

import base64
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.commands import Asked, ask
from consumers.decode import decode
from consumers.ingest import ingest
from consumers.personal import DoesNotOpen, NoKey
from consumers.secrets import FieldsErased, NoBankAccount, Vault, bank_account, contact_fields, secret_key
from consumers.suspense import recycle_all
from engine.events import PartnerContactSet
from engine.settlement import closing, recording, sealing
from engine.settlement.recording import Message, Readable, Slice, Unreadable
from engine.store import data_keys, registry, suspense
from engine.store.data_keys import of_contact
from engine.store.database import Store
from engine.store.intake import Counts
from replay.archive import writing
from replay.audit import packing
from replay.rebuild.running import rebuild
from tests.histories import charged, message, registered, signed
from tests.settlement.test_chains import NOW, OCTOBER
from tests.settlement.test_recording import CHANNEL, clock, kept, published, store

__all__ = ["store"]

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()
NAME, EMAIL, PHONE = "Ada Loveless", "ada@loveless.example", "+44 20 7946 0991"
HOLDER, IBAN, BIC = "Loveless Holding", "DE89370400440532013000", "COBADEFFXXX"
C1 = of_contact("P-1", "c1")
SECRETS = (NAME, EMAIL, PHONE, HOLDER, IBAN, BIC)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_SECRET_KEY", KEY)


def contact(id: str = "k1", **said: Any) -> bytes:
    data = {
        "partner": "P-1",
        "contact": "c1",
        "role": "finance",
        "author": "Li",
        "name": NAME,
        "email": EMAIL,
        "phone": PHONE,
    }
    return message("partner.contact_set", id, data | said)


def erased(id: str = "x1", contact: str = "c1") -> bytes:
    return message("partner.contact_erased", id, {"partner": "P-1", "contact": contact, "author": "Li"})


def bank(id: str = "b1", **said: Any) -> bytes:
    data = {"partner": "P-1", "currency": "EUR", "author": "Li", "holder": HOLDER, "iban": IBAN, "bic": BIC}
    return message("partner.bank_account_changed", id, {k: v for k, v in (data | said).items() if v is not None})


def approved(id: str = "a1", by: str = "Wu", **said: Any) -> bytes:
    return message("partner.bank_account_approved", id, {"partner": "P-1", "approver": by} | said)


def take(store: Store, *raws: bytes) -> Counts:
    messages = [Message(CHANNEL, 0, at, None, decode(raw, None, Vault(store))) for at, raw in enumerate(raws)]
    return ingest(store, [Slice(CHANNEL, 0, None, len(raws))], messages, clock).counts


def partner(store: Store, id: str = "P-1") -> Any:
    with store.reading() as cursor:
        return registry.partners(cursor, [id])[id]


def dump(store: Store, but: str = "") -> str:
    """Every row of every table of the whole database, but of one that is named, with its binary columns as they are too."""
    with psycopg.connect(store.conninfo) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_schema LIKE 'settle%' AND table_type = 'BASE TABLE'"
        ).fetchall()
        found = []
        for schema, table in sorted(tables):
            if table == but:
                continue
            for row in connection.execute(f"SELECT * FROM {schema}.{table}"):  # type: ignore[call-overload] # noqa: S608
                found += [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in row]
    return "\n".join(found)


def betrayed(text: str) -> list[str]:
    """Which secrets the text has: as they are, without spaces, in hex or in base64."""
    found = []
    for secret in SECRETS:
        raw = secret.encode()
        forms = {
            secret,
            secret.replace(" ", ""),
            raw.hex(),
            *(base64.b64encode(b"x" * n + raw).decode()[4:-4] for n in range(3)),
        }
        found += [secret for form in forms if form.lower() in text.lower()]
    return found


def everything(store: Store) -> None:
    """Recorded, repeated, in conflict, suspended and rejected."""
    take(store, contact("early"), bank("early bank"))  # the partner is not registered
    take(store, registered(), signed(), published(), charged("1"))
    take(store, contact(), contact(), contact("k1", name="Ada Loveless the second"), bank(), approved())
    take(store, contact("k2", partner="P-9"), bank("b2", partner="P-9"))
    take(store, *BROKEN)


# Each misses what makes it a message in another way, and says something personal.
BROKEN = [
    contact("e1", email="ada@loveless.example and more"),
    contact("e2", phone=f"call {NAME}"),
    contact("e3", contact=EMAIL),
    contact("e4", **{EMAIL: 1}),
    contact("e5", role=""),
    contact("e6", author=["Ada Loveless"]),
    contact("e7", sealed="abc"),
    bank("e8", iban="DE88370400440532013000", account=IBAN),
    bank("e9", iban=f"{IBAN} "),
    bank("e10", holder=None),
    bank("e11", currency="XXZ"),
    message("partner.registered", "e12", {"partner": "P-2", "name": "x", "kind": "agent", "email": EMAIL}),
    message("partner.contact_sett", "e13", {"name": NAME}),
    message("partner.changed", "e14", {"partner": "P-1", "author": "Li", "iban": IBAN}),
    contact("e15")[:-2],
    contact("e16").replace(b"partner.contact_set", b"partner.c\\u006fntact_set")[:-3],
    contact("e17").replace(b'"type": "partner.contact_set", ', b""),
    contact("e18") + b" " * 1_048_576,
    b"[" + contact("e19") + b"]",
    contact(EMAIL, contact=""),
    message("contract.signed", "e22", {"contract": "C-9", "time_zone": EMAIL, "phone": PHONE}),
    message("usage.recorded", "e21", {"contract": "C-1", "phone": PHONE, "name": NAME}),
]  # fmt: skip


def test_a_broken_iban_is_told_without_showing_it() -> None:
    found = decode(bank(iban="DE88370400440532013000"))
    assert isinstance(found, Unreadable)
    assert "remainder of 1 by 97" in found.cause
    assert "DE88" not in found.cause


def test_what_cannot_be_read_is_not_kept_or_quoted(store: Store) -> None:
    found = [decode(raw, None, Vault(store)) for raw in BROKEN]
    assert all(isinstance(each, Unreadable) for each in found)
    said = [f"{each.cause} {each.raw.decode()}" for each in found if isinstance(each, Unreadable)]
    assert [betrayed(text) for text in said] == [[]] * len(BROKEN)
    assert all(len(text) < 700 for text in said)


def test_nothing_that_is_kept_shows_a_personal_field(store: Store, tmp_path: Path) -> None:
    everything(store)
    assert {code for _, code in kept(store)} == {"unknown-partner", "identity-conflict", "unreadable"}
    closing.close(store, OCTOBER, NOW)
    writing.seal(store, tmp_path / "archive")
    packing.pack(store, OCTOBER, tmp_path / "october.pack")
    rebuild(store)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 2
    texts = [dump(store), *(path.read_bytes().decode("utf-8", "replace") for path in files)]
    assert [betrayed(text) for text in texts] == [[]] * len(texts)
    # The pack and the segments are compressed: what is in them is looked at as it is read.
    segments = [str(pl.read_parquet(path).to_dicts()) for path in files if path.suffix == ".parquet"]
    with zipfile.ZipFile(tmp_path / "october.pack") as pack:
        members = [pack.read(name).decode() for name in pack.namelist()]
    assert [betrayed(text) for text in (*segments, *members)] == [[]] * (len(segments) + len(members))
    assert any("partner.contact_set" in text for text in segments)
    assert any("partner.contact_set" in text for text in members)
    # The probe works: what was sealed is there, and opens.
    assert "partner.contact_set" in texts[0]
    assert contact_fields(store, partner(store).contacts["c1"]) == {"name": NAME, "email": EMAIL, "phone": PHONE}
    account = bank_account(store, "P-1")
    assert (account.holder, account.iban, account.bic, account.masked) == (HOLDER, IBAN, BIC, "****3000")
    assert betrayed(repr(account) + str(account) + f"{account}") == []


def test_a_repeat_is_a_duplicate_though_it_is_sealed_anew_and_a_conflict_is_seen(store: Store) -> None:
    first, second = (decode(contact(), None, Vault(store)) for _ in range(2))
    assert isinstance(first, Readable)
    assert isinstance(second, Readable)
    assert first.state != second.state
    assert (first.identity, first.content) == (second.identity, second.content)
    take(store, registered(), contact())
    assert take(store, contact()).duplicate == 1
    assert take(store, contact(name="Ada")).suspended == 1
    assert take(store, contact(role="legal")).suspended == 1
    assert take(store, contact(role="legal")).duplicate == 1


def test_erasing_leaves_every_digest_as_it_was_and_nothing_to_read(store: Store, tmp_path: Path) -> None:
    everything(store)
    event = partner(store).contacts["c1"]
    take(store, charged("2"))
    sealing.catch_up(store)
    closing.close(store, OCTOBER, NOW)
    writing.seal(store, tmp_path)
    log = "SELECT notification_id, state FROM settle.log WHERE notification_id <= %s ORDER BY 1"
    with store.reading() as cursor:
        before = cursor.execute(log, (10,)).fetchall()
    copy = event  # as an auditor's pack has it
    take(store, erased())
    assert partner(store).contacts == {"c1": None}
    with pytest.raises(FieldsErased):
        contact_fields(store, copy)
    with store.reading() as cursor:
        assert cursor.execute(log, (10,)).fetchall() == before
        assert data_keys.known(cursor, [C1]) == {C1: None}
    assert rebuild(store).equal
    writing.seal(store, tmp_path)
    # Nor does the database have the key in any form, with which the environment's key would open the copy.
    with pytest.raises(FieldsErased):
        Vault(store).open(event)


def test_what_comes_again_after_the_erasure_adds_nothing_and_brings_nothing_back(store: Store) -> None:
    take(store, registered(), contact(), erased())
    assert take(store, contact()) == Counts(duplicate=1)
    assert take(store, contact("k9")).suspended == 1
    assert kept(store) == [("suspended", "contact-erased")]
    assert recycle_all(store, clock) == (1, 0)
    assert betrayed(dump(store)) == []
    with store.reading() as cursor:
        assert data_keys.known(cursor, [C1]) == {C1: None}
    assert take(store, erased("x2")).suspended == 1
    assert kept(store)[1:] == [("suspended", "already-there")]


def test_an_erasure_that_comes_first_holds(store: Store) -> None:
    take(store, registered(), erased())
    take(store, contact())
    assert kept(store) == [("suspended", "contact-erased")]


def test_an_erasure_between_sealing_and_recording_wins(store: Store) -> None:
    take(store, registered(), contact())
    sealed = Message(CHANNEL, 0, 0, None, decode(contact("k2"), None, Vault(store)))
    take(store, erased())
    ingest(store, [Slice(CHANNEL, 0, None, 1)], [sealed], clock)
    assert kept(store) == [("suspended", "contact-erased")]
    assert isinstance(sealed.found, Readable)
    with pytest.raises(FieldsErased):
        Vault(store).open(sealed.found.event)  # type: ignore[arg-type]


def test_the_event_and_the_end_of_the_key_are_one_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take(store, registered(), contact())
    with monkeypatch.context() as patch:
        patch.setattr(data_keys, "destroy", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(store, erased())
    with monkeypatch.context() as patch:
        patch.setattr(recording.intake, "advance", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take(store, erased())
    assert contact_fields(store, partner(store).contacts["c1"])["email"] == EMAIL
    take(store, erased())
    assert partner(store).contacts == {"c1": None}


def test_two_that_seal_a_contact_for_the_first_time_at_once_use_one_key(store: Store) -> None:
    take(store, registered())
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: decode(contact(), None, Vault(store)), range(12)))
    assert len({each.content for each in found if isinstance(each, Readable)}) == 1
    assert len({each.state for each in found if isinstance(each, Readable)}) == 12


def test_an_erasure_that_is_refused_destroys_nothing(store: Store) -> None:
    take(store, registered(), contact("k2", partner="P-2"))
    take(store, message("partner.contact_erased", "x", {"partner": "P-2", "contact": "c1", "author": "Li"}))
    with store.reading() as cursor:
        (wrapped,) = data_keys.known(cursor, [of_contact("P-2", "c1")]).values()
    assert wrapped is not None
    take(store, registered("P-2"))  # both are recycled, in their order
    assert kept(store) == []
    assert partner(store, "P-2").contacts == {"c1": None}


def test_suspended_messages_are_recycled_without_a_key(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take(store, contact(), bank())
    monkeypatch.delenv("SETTLE_SECRET_KEY")
    take(store, registered())
    assert kept(store) == []
    monkeypatch.setenv("SETTLE_SECRET_KEY", KEY)
    assert contact_fields(store, partner(store).contacts["c1"])["email"] == EMAIL


@pytest.mark.parametrize("other", [None, "", "short", OTHER, "@/nowhere"])
def test_without_the_right_key_it_is_rejected_says_what_to_set_and_can_be_sent_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, other: str | None
) -> None:
    take(store, registered(), contact("first"))
    if other is None:
        monkeypatch.delenv("SETTLE_SECRET_KEY")
    else:
        monkeypatch.setenv("SETTLE_SECRET_KEY", other)
    assert take(store, contact(), bank()).rejected == 2
    with store.reading() as cursor:
        entries = suspense.entries(cursor, states=("rejected",))
    assert all("SETTLE_SECRET_KEY" in entry.sentence for entry in entries)
    assert json.loads(entries[0].raw)["id"] == "k1"
    assert betrayed(dump(store)) == []
    monkeypatch.setenv("SETTLE_SECRET_KEY", KEY)
    assert take(store, contact(), bank()).recorded == 2


def test_what_was_sealed_for_one_event_does_not_open_in_another(store: Store) -> None:
    take(store, registered(), registered("P-2"), contact("k2", contact="c2"), contact(), bank(), approved())
    events = partner(store)
    sealed = events.contacts["c1"].sealed
    hidden = {"name": None, "email": None, "phone": None}
    for stolen in (
        contact("k3", **hidden, sealed=sealed),  # another identity
        contact("k1", **hidden, sealed=sealed, role="boss"),
        contact("k1", **hidden, sealed=sealed, contact="c2"),
        contact("k1", **hidden, sealed=sealed, partner="P-2"),
        contact("k1", **hidden, sealed=sealed[:-4] + "AAAA"),
        bank("b1", holder=None, iban=None, bic=None, sealed=events.account.sealed, masked="****9999"),
    ):
        raw = json.dumps({k: v for k, v in json.loads(stolen).items() if k != "data"} | {
            "data": {k: v for k, v in json.loads(stolen)["data"].items() if v is not None}}).encode()  # fmt: skip
        found = decode(raw, None, Vault(store))
        assert isinstance(found, Unreadable)
        assert "sealed" in found.cause
    other = msgspec.structs.replace(events.contacts["c1"], contact="c2")
    with pytest.raises(DoesNotOpen):
        contact_fields(store, other)


def test_wrapped_keys_cannot_change_places(store: Store) -> None:
    take(store, registered(), contact(), contact("k2", contact="c2"))
    with store.writing() as cursor:
        cursor.execute(
            "UPDATE settle.data_keys SET wrapped = (SELECT wrapped FROM settle.data_keys WHERE id = 'c2') WHERE id = 'c1'"
        )
    with pytest.raises(NoKey):
        contact_fields(store, partner(store).contacts["c1"])


def test_binary_mode_keeps_no_headers_beside_what_is_sealed_or_withheld(store: Store) -> None:
    headers = {"ce_specversion": b"1.0", "ce_id": b"k1", "ce_source": b"test/eu", "ce_time": b"2026-10-03T08:15:00Z"}
    headers["ce_type"] = b"partner.contact_set"
    data = json.loads(contact())["data"]
    found = decode(json.dumps(data).encode(), headers, Vault(store))
    again = decode(contact(), None, Vault(store))
    assert isinstance(found, Readable)
    assert isinstance(again, Readable)
    assert found.content == again.content
    for body in (json.dumps(data | {"email": "x"}).encode(), json.dumps(data).encode()[:-2]):
        refused = decode(body, headers, Vault(store))
        assert isinstance(refused, Unreadable)
        assert json.loads(refused.raw)["id"] == "k1"
        assert betrayed(refused.cause + refused.raw.decode()) == []


def test_a_command_shows_no_personal_field_of_what_it_was_asked(store: Store) -> None:
    take(store, registered())
    said = {"partner": "P-1", "contact": "c1", "role": "finance", "author": "Li", "email": EMAIL}
    ask(store, [Asked("partner.contact_set", said)], clock)
    with pytest.raises(Exception, match="phone: has a form"):
        ask(store, [Asked("partner.contact_set", said | {"phone": NAME})], clock)
    assert betrayed(dump(store)) == []
    with pytest.raises(NoBankAccount):
        bank_account(store, "P-1")


def test_a_key_is_32_bytes_in_base64_or_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY + "\n", encoding="utf-8")
    for right in (KEY, f"@{tmp_path / 'key'}"):
        monkeypatch.setenv("ANY", right)
        assert secret_key("ANY") == b"k" * 32
    for wrong in ("k" * 32, base64.b64encode(b"k" * 31).decode(), f"@{tmp_path}"):
        monkeypatch.setenv("ANY", wrong)
        with pytest.raises(NoKey, match="ANY holds no key") as refused:
            secret_key("ANY")
        assert wrong not in str(refused.value)
    monkeypatch.setenv("ANY", " ")
    assert secret_key("ANY") is secret_key("NEVER_SET") is None


@given(
    st.dictionaries(st.sampled_from(["name", "email", "phone"]), st.text(max_size=300), min_size=1),
    st.binary(min_size=32, max_size=32),
)
def test_whatever_is_sealed_opens_as_it_was_and_its_length_says_little(clear: dict[str, str], key: bytes) -> None:
    clear = {name: text.encode("utf-8", "ignore").decode() for name, text in clear.items()}
    event = PartnerContactSet(source="s", id="1", time=NOW, partner="P", contact="c", role="r", author="a", sealed="")

    class Fixed(Vault):
        """One data key, so that hypothesis needs no database; all else is the real one."""

        def _data_key(self, event: Any, *, make: bool) -> bytes | None:  # noqa: ARG002
            return key

    vault = Fixed(None)  # type: ignore[arg-type]
    sealed, content = vault.seal(event, clear)
    assert vault.check(event, sealed) == content
    assert vault.open(msgspec.structs.replace(event, sealed=sealed)) == clear
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert (len(raw) - 12 - 16) % 256 == 0
