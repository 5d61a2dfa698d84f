"""The settlement note: what a statement comes to, as the document that the operator issues in its partner's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from consumers.outbound.parties import Party
from engine.aggregates.publication import DEPOSITOR, deposit_in
from engine.aggregates.refusal import Refused
from engine.money import Rounding, minor_digits, of_units, plain, round_to, tax_on, total
from engine.period import Period


class CannotInvoice(Refused):
    code = "cannot-invoice"


class Kind(StrEnum):
    """What a line is to the note's sum."""

    earned = "earned"  # what the period came to: part of the sum
    adjusted = "adjusted"  # an adjustment of an earlier period: part of the sum
    cleared = "cleared"  # what periods carried up to the end of the contract: part of the sum
    working = "working"  # a step on which an earned line rests: shown, and no part of the sum


class Reference(NamedTuple):
    """An earlier note."""

    number: str
    issued: date


class Withdrawal(NamedTuple):
    """The earlier note that a note withdraws, and why."""

    number: str
    issued: date
    reason: str


class NoteLine(NamedTuple):
    """`unit` is told of a working line whose amount is not in the note's currency. A working amount may be unrounded.

    An adjusted line tells its period, and the note that it corrects.
    """

    name: str
    amount: Decimal
    kind: Kind
    clause: str | None = None
    unit: str | None = None
    first: date | None = None
    end: date | None = None
    corrects: Reference | None = None


class Tax(NamedTuple):
    """One rate for the whole note, in percent. `category` is a VAT category of EN 16931 (UNTDID 5305): S, Z, E, AE, G, O."""

    category: str
    rate: Decimal = Decimal(0)
    reason: str = ""


class Withheld(NamedTuple):
    """An amount of the note that is not paid out with it: withheld tax, or paid before. Below 0 it is paid with the note and is
    no part of its sum: a deposit that is returned.
    """

    name: str
    amount: Decimal


class SettlementNote(NamedTuple):
    """Amounts are in `currency`, with its minor digits. The period is half-open. `payable`: with tax, less what is withheld.

    A negative sum is what the partner owes; it becomes a credit note with positive amounts. A note that `withdraws` another has
    that one's amounts.
    """

    number: str
    issued: date
    due: date
    first: date
    end: date
    currency: str
    contract: str
    partner: Party
    operator: Party
    lines: tuple[NoteLine, ...]
    tax: Tax
    withheld: tuple[Withheld, ...]
    payable: Decimal
    digest: str
    root: str | None
    withdraws: Withdrawal | None = None


class Terms(NamedTuple):
    """What a note needs beyond its statement. `corrects` has, by period, the note of each that the statement adjusts.

    `parties` are the shares that the note is for, where the rulebook splits the payable among several.
    """

    number: str
    issued: date
    due: date
    partner: Party
    operator: Party
    tax: Tax
    parties: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    corrects: Mapping[str, Reference] = MappingProxyType({})
    currency: str | None = None
    withdraws: Withdrawal | None = None


class Totals(NamedTuple):
    """The sums of EN 16931, by its own equations: BT-106 and BT-109, BT-110, BT-112, BT-113, BT-115."""

    without_tax: Decimal
    tax: Decimal
    with_tax: Decimal
    withheld: Decimal
    due: Decimal


def totals(currency: str, lines: Iterable[NoteLine], tax: Tax, withheld: Iterable[Withheld]) -> Totals:
    """BR-CO-10, 13: the sum of the lines. BR-CO-17: its tax, rounded. BR-CO-15: both. BR-CO-16: less what was paid."""
    digits = minor_digits(currency)
    without = _sum((line.amount for line in lines if line.kind is not Kind.working), digits)
    due_tax = tax_on(without, tax.rate, currency)
    kept = _sum((each.amount for each in withheld), digits)
    with_tax = _sum((without, due_tax), digits)
    return Totals(without, due_tax, with_tax, kept, _sum((with_tax, -kept), digits))


def note_of(statement: Mapping[str, Any], terms: Terms) -> SettlementNote:
    """The note on a closed statement (its JSON object, as `statement_of` and `view` give it). Raises CannotInvoice.

    Its sum is what the statement says is due in the currency: its own payable and each adjustment that it takes up.
    """
    currency = terms.currency or str(statement["currency"])
    if statement.get("state") == "open":
        raise CannotInvoice(
            f"the statement of {statement['contract']} is open, and its amounts may still change; settle close comes first"
        )
    row = next((each for each in statement["due"] if each["currency"] == currency), None)
    if row is None:
        said = ", ".join(each["currency"] for each in statement["due"])
        raise CannotInvoice(f"the statement of {statement['contract']} has nothing due in {currency}, but in {said}")
    chosen = _chosen(row["parties"], terms.parties)
    first, end = (date.fromisoformat(statement["period"][side]) for side in ("from", "to"))
    own = NoteLine(
        f"Settlement {_days(first, end)}", _own(statement, currency, chosen), Kind.earned, _clause(statement)
    )
    cleared, adjusted = _cleared(statement, currency, chosen), _adjusted(statement, currency, chosen, terms.corrects)
    lines = (own, *cleared, *adjusted, *_working(statement, currency))
    deposit = _deposit(statement, currency, chosen)
    assert totals(currency, lines, Tax("Z"), deposit).due == _amount(_part(row, chosen), currency), statement["digest"]
    withheld = (*terms.withheld, *deposit)
    come_to = totals(currency, lines, terms.tax, withheld)
    return SettlementNote(
        terms.number,
        terms.issued,
        terms.due,
        first,
        end,
        currency,
        str(statement["contract"]),
        terms.partner,
        terms.operator,
        lines,
        terms.tax,
        withheld,
        come_to.due,
        str(statement["digest"]),
        statement.get("root"),
        terms.withdraws,
    )


def _chosen(shares: Iterable[Mapping[str, str]], wanted: tuple[str, ...]) -> frozenset[str] | None:
    """The parties whose shares the note is for; None where the payable is not split."""
    there = [share["party"] for share in shares]
    if missing := [party for party in wanted if party not in there]:
        raise CannotInvoice(
            f"the statement has no share of {missing[0]!r}; its parties are {', '.join(there) or 'none'}"
        )
    if not wanted and len(there) > 1:
        raise CannotInvoice(f"the statement is shared by {', '.join(there)}; name those that the note is for")
    return frozenset(wanted or there) if there else None


def _part(row: Mapping[str, Any], chosen: frozenset[str] | None) -> list[str]:
    """The amounts of a row with `amount` and `parties` that are the chosen parties'."""
    if chosen is None:
        return [row["amount"]]
    return [share["amount"] for share in row["parties"] if share["party"] in chosen]


def _own(statement: Mapping[str, Any], currency: str, chosen: frozenset[str] | None) -> Decimal:
    if currency != statement["currency"]:
        return _amount([], currency)
    return _amount(_part({"amount": statement["payable"], "parties": statement["parties"]}, chosen), currency)


def _cleared(statement: Mapping[str, Any], currency: str, chosen: frozenset[str] | None) -> Iterable[NoteLine]:
    """What a final statement clears, without the deposit."""
    if "final" not in statement:
        return
    final = statement["final"]
    amounts = [row["amount"] for row in _own_rows(final["parties"], chosen) if row["currency"] == currency]
    amount = _amount([*amounts, plain(-_returned(statement, statement, currency, chosen))], currency)
    if amount:
        yield NoteLine(f"Cleared with the end of the contract, left on {final['left']}", amount, Kind.cleared)


def _deposit(statement: Mapping[str, Any], currency: str, chosen: frozenset[str] | None) -> tuple[Withheld, ...]:
    """The deposit that is returned: due, and no supply."""
    parts = (plain(_returned(made, statement, currency, chosen)) for made in (statement, *statement["adjustments"]))
    amount = _amount(parts, currency)
    return (Withheld("deposit", -amount),) if amount else ()


def _returned(
    made: Mapping[str, Any], statement: Mapping[str, Any], currency: str, chosen: frozenset[str] | None
) -> Decimal:
    if chosen is not None and DEPOSITOR not in chosen:
        return Decimal(0)
    return deposit_in(made, currency, statement["currency"])


def _own_rows(rows: Iterable[Mapping[str, str]], chosen: frozenset[str] | None) -> list[Mapping[str, str]]:
    return [row for row in rows if chosen is None or row["party"] in chosen]


def _adjusted(
    statement: Mapping[str, Any], currency: str, chosen: frozenset[str] | None, corrects: Mapping[str, Reference]
) -> Iterable[NoteLine]:
    for each in statement["adjustments"]:
        rows = each["payable"] if chosen is None else _own_rows(each["parties"], chosen)
        amounts = [row["amount"] for row in rows if row["currency"] == currency]
        if not amounts:
            continue
        if each["period"] not in corrects:
            raise CannotInvoice(
                f"the statement adjusts {each['period']}; name the note of that period that this corrects"
            )
        period = Period.parse(each["period"])
        which = f"line {each['discrepancy']}" if "discrepancy" in each else f"version {each['version']}"
        name = f"Adjustment of {each['period']}, {which}"
        deposit = plain(-_returned(each, statement, currency, chosen))
        yield NoteLine(
            name,
            _amount([*amounts, deposit], currency),
            Kind.adjusted,
            first=period.first,
            end=period.end,
            corrects=corrects[each["period"]],
        )


def _working(statement: Mapping[str, Any], currency: str) -> Iterable[NoteLine]:
    for line in statement["lines"]:
        unit = line.get("unit", statement["currency"])
        amount = Decimal(line["amount"])
        yield NoteLine(line["name"], amount, Kind.working, line["clause"], None if unit == currency else unit)


def _clause(statement: Mapping[str, Any]) -> str | None:
    """That of the step that a rulebook calls payable."""
    return next((line["clause"] for line in statement["lines"] if line["name"] == "payable"), None)


def _days(first: date, end: date) -> str:
    return f"{first} to {date.fromordinal(end.toordinal() - 1)}"


def _amount(texts: Iterable[str], currency: str) -> Decimal:
    return _sum((Decimal(text) for text in texts), minor_digits(currency))


def _sum(amounts: Iterable[Decimal], digits: int) -> Decimal:
    come_to = of_units(0, digits)
    for amount in amounts:
        come_to = total(come_to, in_minor_units(amount, digits))
    return in_minor_units(come_to, digits)


def in_minor_units(amount: Decimal, digits: int) -> Decimal:
    """The amount with exactly so many digits after the point. Raises CannotInvoice where it has finer ones: nothing is
    rounded here unseen.
    """
    exact = round_to(amount, digits, Rounding.down)
    if exact != amount:
        raise CannotInvoice(f"{amount:f} has more than {digits} digits after the point; round it in its rulebook")
    return exact
