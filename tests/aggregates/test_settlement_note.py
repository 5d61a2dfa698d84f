"""A note in several currencies: given its steps, when a payment comes, then it is taken or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from engine.aggregates import note as notes
from engine.aggregates.note import AlreadyPaid, Note, NothingDue, NotPaid, OtherAmount
from engine.aggregates.publication import PartyNotNamed, published
from engine.aggregates.relation import WrongState
from engine.events import StatementInvoiced, StatementPaid, StatementPublished, StatementSettled, Sum

WHEN: dict[str, Any] = {"source": "test", "id": "1", "time": datetime(2026, 12, 1, tzinfo=UTC)}
NOTE: dict[str, Any] = WHEN | {"contract": "C-1", "period": "2026-10", "author": "ann"}
DAY = date(2026, 12, 1)


def invoiced(*due: tuple[str, str]) -> Note:
    return Note(
        contract="C-1", period="2026-10", partner="P-1", time_zone="UTC", state="invoiced", day=DAY, publisher="ann",
        party="partner", due=tuple(Sum(*each) for each in due), published=DAY, digest="d", number="SN-C-1-2026-10",
    )  # fmt: skip


def paid(amount: int, currency: str) -> StatementPaid:
    return StatementPaid(**NOTE, amount=amount, currency=currency, reference="T", day=DAY)


def nothing(kind: str, _: str) -> None:
    assert kind == "partner"


def after(note: Note, *commands: notes.NoteCommand) -> Note:
    for command in commands:
        note = notes.evolve(note, notes.decide(note, command, nothing))
    return note


def test_a_note_is_paid_when_it_is_paid_in_every_currency_in_which_something_is_due() -> None:
    note = after(invoiced(("CNY", "50.00"), ("USD", "-1.25"), ("EUR", "0")), paid(50_000_000, "CNY"))
    assert (note.state, note.unpaid) == ("invoiced", (Sum("USD", "-1.25"),))
    with pytest.raises(AlreadyPaid):
        after(note, paid(50_000_000, "CNY"))
    with pytest.raises(NothingDue):
        after(note, paid(1, "EUR"))
    with pytest.raises(OtherAmount, match=r"1\.25 USD was paid, and -1\.25 USD is due"):
        after(note, paid(1_250_000, "USD"))
    with pytest.raises(WrongState, match=r"statement\.paid is possible"):
        after(note, StatementSettled(**NOTE))
    note = after(note, paid(-1_250_000, "USD"))
    assert note.state == "paid"
    assert after(note, StatementSettled(**NOTE)).state == "settled"


def test_a_note_over_nothing_is_settled_and_one_over_something_is_not() -> None:
    confirmed = msgspec.structs.replace(invoiced(("CNY", "0.00"), ("USD", "0")), state="confirmed", number=None)
    assert after(confirmed, StatementSettled(**NOTE)).state == "settled"
    with pytest.raises(NothingDue):
        after(confirmed, StatementInvoiced(**NOTE, day=DAY))
    with pytest.raises(NotPaid, match=r"0\.01 CNY is due"):
        after(msgspec.structs.replace(confirmed, due=(Sum("CNY", "0.01"),)), StatementSettled(**NOTE))


@pytest.mark.parametrize(
    ("parties", "named", "kind", "party"),
    [
        ([], None, "agent", "partner"),
        (["artist"], None, "agent", "artist"),
        (["broker", "partner"], None, "agent", "partner"),
        (["broker", "supplier"], None, "supplier", "supplier"),
        (["broker", "supplier"], "broker", "supplier", "broker"),
        (["broker", "supplier"], None, "agent", None),
        (["broker", "supplier"], "artist", "supplier", None),
    ],
)
def test_which_party_the_partner_is(parties: list[str], named: str | None, kind: str, party: str | None) -> None:
    due = {"currency": "CNY", "amount": "1.00", "parties": [{"party": each, "amount": "1.00"} for each in parties]}
    said = msgspec.json.encode({"due": [due], "digest": "d"}).decode()

    class Seen(msgspec.Struct):
        partner: str = "P-1"
        time_zone: str = "UTC"
        cooperation_model: str = "sp"
        kind: str = ""
        statement: str = ""

    def look(what: str, _: str) -> Any:
        found = {"contract": Seen(), "partner": Seen(kind=kind), "statement": [Seen(statement=said)]}
        return found.get(what)

    command = StatementPublished(**NOTE, party=named)
    if party is None:
        with pytest.raises(PartyNotNamed, match="is shared by broker, supplier"):
            published("it", command, look)
    else:
        made = published("it", command, look)
        assert (made.party, made.dispute_until) == (party, None)
