"""A note in several currencies: given its steps, when a payment comes, then it is taken or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aggregates import note as notes
from engine.aggregates.invoicing import AlreadyPaid, NothingDue, NotPaid, OtherAmount
from engine.aggregates.note import Note
from engine.aggregates.partner import Partner
from engine.aggregates.publication import PartyNotNamed, published
from engine.aggregates.relation import WrongState
from engine.aggregates.taxing import taxes_on, to_pay
from engine.events import StatementInvoiced, StatementPaid, StatementPublished, StatementSettled, Sum, Tax
from engine.money import CURRENCIES, minor_digits

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


class Issued(msgspec.Struct):
    statement: str = '{"due": [], "adjustments": [], "currency": "CNY"}'


def nothing(kind: str, _: str) -> Any:
    """No partner is known, and the statement says nothing of a deposit."""
    assert kind in {"partner", "statement"}
    return [Issued()] if kind == "statement" else None


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
    with pytest.raises(OtherAmount, match=r"1\.25 USD was paid, and -1\.25 USD is to pay"):
        after(note, paid(1_250_000, "USD"))
    with pytest.raises(WrongState, match=r"statement\.paid or statement\.payment_returned is possible"):
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


def confirmed(*due: tuple[str, str]) -> Note:
    return msgspec.structs.replace(invoiced(*due), state="confirmed", number=None)


def taxed(tax: Tax | None) -> Any:
    """A partner with that VAT."""
    known = Partner(partner="P-1", name="One", kind="agent", registered=("test", "r"), tax=tax)
    return lambda kind, id_: known if kind == "partner" else nothing(kind, id_)


S19, S6 = Tax("S", "19"), Tax("S", "6")


def test_the_vat_is_recorded_with_the_invoice_and_paid_with_what_is_due() -> None:
    # 19% of 1,000.00 are 190.00; of -0.50 they are -0.095, so -0.10; of 5 yen 0.95, so 1; of 0.02 euros 0.0038, so nothing.
    note = confirmed(("CNY", "1000.00"), ("USD", "-0.50"), ("JPY", "5"), ("EUR", "0.02"), ("GBP", "0"))
    event = notes.decide(note, StatementInvoiced(**NOTE, day=DAY, tax=S19), nothing)
    assert isinstance(event, StatementInvoiced)
    assert event.taxes == (Sum("CNY", "190.00"), Sum("USD", "-0.10"), Sum("JPY", "1"))
    note = notes.evolve(note, event)
    assert (note.tax, note.due) == (S19, event.due)
    assert note.unpaid == (Sum("CNY", "1190.00"), Sum("USD", "-0.60"), Sum("JPY", "6"), Sum("EUR", "0.02"))
    with pytest.raises(OtherAmount, match=r"1000 CNY was paid, and 1190 CNY is to pay for .*, 190 of it VAT"):
        after(note, paid(1_000_000_000, "CNY"))
    note = after(note, paid(1_190_000_000, "CNY"), paid(-600_000, "USD"), paid(6_000_000, "JPY"))
    assert note.state == "invoiced"
    with pytest.raises(AlreadyPaid):
        after(note, paid(190_000_000, "CNY"))
    assert after(note, paid(20_000, "EUR")).state == "paid"


# What is due, what of it is a deposit, and what is to pay with 19% on the rest.
@pytest.mark.parametrize(
    ("due", "deposit", "taxes", "asked"),
    [
        ("130.00", "30.00", ["19.00"], "149.00"),
        ("30.00", "30.00", [], "30.00"),
        ("30.00", "100.00", ["-13.30"], "16.70"),  # penalties of 70.00 are taken out of it
        ("-20.00", "-20.00", [], "-20.00"),  # too much was returned before
    ],
)
def test_a_deposit_that_is_returned_is_paid_without_vat(due: str, deposit: str, taxes: list[str], asked: str) -> None:
    sums, returned = [Sum("CNY", due), Sum("USD", "1.00")], [Sum("CNY", deposit)]
    found = taxes_on(sums, returned, S19)
    assert found == (*(Sum("CNY", each) for each in taxes), Sum("USD", "0.19"))
    assert to_pay(sums, found) == (Sum("CNY", asked), Sum("USD", "1.19"))


@pytest.mark.parametrize(
    ("said", "of_partner", "tax", "to_pay"),
    [
        (None, None, None, "100.00"),
        (None, S19, S19, "119.00"),
        (S6, S19, S6, "106.00"),
        (Tax("AE"), S19, Tax("AE"), "100.00"),
        (None, Tax("E", reason="Article 132"), Tax("E", reason="Article 132"), "100.00"),
        (Tax("O"), None, Tax("O"), "100.00"),
    ],
)
def test_an_invoice_has_the_vat_that_it_states_or_else_its_partners(
    said: Tax | None, of_partner: Tax | None, tax: Tax | None, to_pay: str
) -> None:
    note = confirmed(("CNY", "100.00"))
    event = notes.decide(note, StatementInvoiced(**NOTE, day=DAY, tax=said), taxed(of_partner))
    assert isinstance(event, StatementInvoiced)
    assert event.tax == tax
    assert notes.evolve(note, event).to_pay == (Sum("CNY", to_pay),)


@given(st.sampled_from(CURRENCIES), st.integers(-(10**27), 10**27), st.decimals("0.01", "99.99", places=2).map(str))
def test_vat_is_exact_to_half_a_minor_unit_whatever_is_due(currency: str, units: int, rate: str) -> None:
    digits = minor_digits(currency)
    amount = Decimal(f"{units}E-{digits}")
    if abs(amount) >= 10**26:
        return
    due, tax = [Sum(currency, f"{amount:f}")], Tax("S", rate)
    exact = Fraction(units) * Fraction(rate) / 100
    (found,) = taxes_on(due, [], tax) or (Sum(currency, "0"),)
    rounded = Fraction(found.amount) * 10**digits
    assert rounded.denominator == 1
    assert abs(rounded - exact) <= Fraction(1, 2)
    assert rounded != exact - Fraction(1, 2) if units > 0 else rounded != exact + Fraction(1, 2), (
        "half goes away from 0"
    )
    (asked,) = to_pay(due, taxes_on(due, [], tax))
    assert Fraction(asked.amount) == Fraction(amount) + Fraction(found.amount)
    turned = [Sum(currency, f"{-amount:f}")]
    assert Fraction(to_pay(turned, taxes_on(turned, [], tax))[0].amount) == -Fraction(asked.amount)


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
