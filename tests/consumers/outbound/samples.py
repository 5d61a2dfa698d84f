"""Notes, payouts and journals: one that a person can follow, and any that hypothesis may draw."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import strategies as st

from consumers.outbound.note import (
    Kind,
    NoteLine,
    Reference,
    SettlementNote,
    Tax,
    Terms,
    Withdrawal,
    Withheld,
    note_of,
    totals,
)
from consumers.outbound.parties import Party
from consumers.outbound.payout import CreditTransfer, Payout
from engine.money import minor_digits, of_units

IBAN, BIC = "DE89 3704 0044 0532 0130 00", "COBADEFFXXX"
IBANS = ("DE89370400440532013000", "FR1420041010050500013M02606", "NL91ABNA0417164300", "GB29NWBK60161331926819")

PARTNER = Party("P-1", "Müller & Söhne", "DE", ("Hauptstr. 1", "10115 Berlin"), "DE123456789", IBAN, BIC)
OPERATOR = Party("OP", "Telekom <Nord>", "DE", ("Ring 2", "20095 Hamburg"), "DE987654321", IBANS[0])


def adjustment(period: str, amount: str, currency: str = "EUR") -> dict[str, Any]:
    rows = [{"currency": currency, "was": "0.00", "now": amount, "amount": amount}]
    return {
        "period": period,
        "version": 2,
        "lines": [],
        "payable": rows,
        "parties": [row | {"party": "partner"} for row in rows],
    }


def statement(payable: str = "600.00", *adjustments: dict[str, Any], due: str | None = None) -> dict[str, Any]:
    return {
        "contract": "C-17",
        "partner": "P-1",
        "period": {"from": "2017-03-01", "to": "2017-04-01"},
        "currency": "EUR",
        "rulebook": {"id": "music", "version": 1, "digest": "e" * 64},
        "lines": [
            {"name": "sales", "amount": "1500", "clause": "2.1"},
            {"name": "downloads", "amount": "170", "clause": None, "unit": "quantity"},
            {"name": "payable", "amount": payable, "clause": "2.2"},
        ],
        "payable": payable,
        "parties": [{"party": "partner", "amount": payable}],
        "balances": [],
        "adjustments": list(adjustments),
        "evidence": {"events": 3},
        "due": [
            {
                "currency": "EUR",
                "amount": due or payable,
                "parties": [{"party": "partner", "amount": due or payable}],
            }
        ],
        "digest": "a" * 64,
        "root": "b" * 64,
    }


def terms(**changed: Any) -> Terms:
    given = Terms("SN-2017-03", date(2017, 4, 5), date(2017, 5, 5), PARTNER, OPERATOR, Tax("S", Decimal(19)))
    return given._replace(corrects={"2017-02": Reference("SN-2017-02", date(2017, 3, 5))})._replace(**changed)


def example() -> SettlementNote:
    """600.00 for March, less 4.50 for February: 595.50. VAT of 19% is 113.145, so 113.15. Less 10.00 withheld: 698.65."""
    said = statement("600.00", adjustment("2017-02", "-4.50"), due="595.50")
    return note_of(said, terms(withheld=(Withheld("withholding tax", Decimal("10.00")),)))


def payout(*transfers: CreditTransfer, **changed: Any) -> Payout:
    given = Payout("PAY-2017-03", date(2017, 5, 4), OPERATOR, date(2017, 5, 5), transfers)
    return given._replace(**changed)


def transfer(end_to_end: str = "SN-2017-03", amount: str = "698.65", **changed: Any) -> CreditTransfer:
    given = CreditTransfer(end_to_end, "Müller & Söhne", IBAN, Decimal(amount), "EUR", "Settlement note SN-2017-03")
    return given._replace(**changed)


class Posting(NamedTuple):
    account: str
    amount: Decimal
    currency: str


class Entry(NamedTuple):
    day: date
    position: int
    source: str
    narration: str
    postings: tuple[Posting, ...]


# Any text, with what XML, ledgers and spreadsheets choke on drawn often.
nasty = st.text(
    st.one_of(st.sampled_from("<>&\"'\\:;,=+@\n\r\t\x00\x0b\x1f\x7f\ufffe\ud800]]>{}#*"), st.characters()), max_size=40
)
named = st.builds("{}{}".format, st.sampled_from(["A", "Ж", "北", "<b>", "&amp;"]), nasty)
days = st.dates(date(2000, 1, 1), date(2090, 1, 1))


@st.composite
def notes(draw: st.DrawFn) -> SettlementNote:
    currency = draw(st.sampled_from(["EUR", "USD", "JPY"]))
    digits = minor_digits(currency)
    amounts = st.integers(-(10**11), 10**11).map(lambda units: of_units(units, digits))
    issued = draw(days)
    first = issued - timedelta(days=40)
    reference = st.tuples(named, days).map(lambda given: Reference(*given))
    adjusted = st.tuples(named, amounts, reference).map(
        lambda given: NoteLine(given[0], given[1], Kind.adjusted, first=first, end=issued, corrects=given[2])
    )
    working = st.tuples(named, st.decimals(-9, 9, places=9), st.none() | named, st.none() | named).map(
        lambda given: NoteLine(given[0], given[1], Kind.working, given[2], given[3])
    )
    lines = [
        NoteLine(draw(named), draw(amounts), Kind.earned, draw(st.none() | named)),
        *draw(st.lists(adjusted, max_size=2)),
        *draw(st.lists(working, max_size=2)),
    ]
    tax = draw(
        st.one_of(
            st.decimals("1.00", "99.99", places=2).map(lambda rate: Tax("S", rate)),
            st.sampled_from([Tax("Z"), Tax("AE"), Tax("G"), Tax("O"), Tax("E", reason="Article 132")]),
        )
    )
    withheld = tuple(draw(st.lists(st.builds(Withheld, named, amounts), max_size=2)))
    parties = [
        Party(
            draw(named),
            draw(named),
            "DE",
            tuple(draw(st.lists(nasty, max_size=5))),
            tax_id,
            draw(st.none() | st.sampled_from(IBANS)),
        )
        for tax_id in ("DE123456789", "FR12345678901")
    ]
    return SettlementNote(
        draw(named),
        issued,
        draw(days),
        first,
        issued,
        currency,
        draw(named),
        parties[0],
        parties[1],
        tuple(lines),
        tax,
        withheld,
        totals(currency, lines, tax, withheld).due,
        "a" * 64,
        draw(st.none() | st.just("b" * 64)),
        draw(st.none() | st.builds(Withdrawal, named, days, named)),
    )
