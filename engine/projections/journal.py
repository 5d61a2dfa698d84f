"""The journal: what every statement, adjustment and payment means in double entry. Each entry sums to zero, by currency.

A debit is positive, a credit negative. An entry has two days: the one on which it takes effect (a statement's is the last of
its period, a restated one's too), and the one on which it was known (its position in the log); so balances can be asked for as
of any day, as known on any other.

Accounts, after the usual chart: `share expense`; `advances` (paid, and not recouped yet), `recoverable VAT` (that of partners' notes)
and `bank` are assets; `accrued shares` (closed, not published), `shares payable` (published, not paid), `held shares`,
`unpaid shares` (matured, below the least payout), `withheld tax` and `deposits` are liabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from engine.money import difference, total

EXPENSE, ACCRUED, PAYABLE = "share expense", "accrued shares", "shares payable"
ADVANCES, VAT, BANK = "advances", "recoverable VAT", "bank"
HELD, UNPAID, TAX, DEPOSITS = "held shares", "unpaid shares", "withheld tax", "deposits"
# The five kinds of accounting, of which every account is one.
ROOTS = {
    EXPENSE: "Expenses",
    ADVANCES: "Assets",
    VAT: "Assets",
    BANK: "Assets",
    ACCRUED: "Liabilities",
    PAYABLE: "Liabilities",
    HELD: "Liabilities",
    UNPAID: "Liabilities",
    TAX: "Liabilities",
    DEPOSITS: "Liabilities",
}

_ZERO = Decimal(0)
Json = Mapping[str, Any]


class Posting(NamedTuple):
    """An amount on an account, in the currency's unit: a debit where positive. `party` is whose, where that matters."""

    account: str
    party: str
    amount: Decimal
    currency: str


class Entry(NamedTuple):
    """What the event at the position means. `day` is that of its effect; `reference` names what it is about."""

    position: int
    day: date
    contract: str
    period: str
    reference: str
    postings: tuple[Posting, ...]


class Terms(NamedTuple):
    """What of a rulebook version the journal must know: the lines that withhold tax, and whether advances are recouped."""

    withheld: frozenset[str] = frozenset()
    recoups: bool = False


def entry(
    position: int, day: date, contract: str, period: str, reference: str, postings: Iterable[Posting]
) -> Entry | None:
    """The entry of the postings that are not 0; None where all are. It balances, or a rule of this module is wrong."""
    kept = tuple(each for each in postings if each.amount)
    for currency in {each.currency for each in kept}:
        assert not _sum(each.amount for each in kept if each.currency == currency), (contract, period, reference, kept)
    return Entry(position, day, contract, period, reference, kept) if kept else None


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    result = _ZERO
    for amount in amounts:
        result = total(result, amount)
    return result


class Version(NamedTuple):
    """One version of a statement: its JSON object, and that of what was given."""

    statement: Json
    given: Json
    terms: Terms


def closed(position: int, last: date, version: Version) -> Entry | None:
    """A closed statement: what was earned is an expense, and accrued to its parties; `last` is the period's last day."""
    return _accrual(position, last, "closed", version, None)


def restated(position: int, last: date, version: Version, before: Version) -> Entry | None:
    """A restated statement: the difference to the version before it."""
    return _accrual(position, last, "restated", version, before)


def _accrual(position: int, last: date, reference: str, version: Version, before: Version | None) -> Entry | None:
    said = version.statement
    changes = [*_postings(version)]
    if before is not None:
        changes += [*(each._replace(amount=-each.amount) for each in _postings(before))]
    period = f"{said['period']['from']}/{said['period']['to']}"
    return entry(position, last, said["contract"], period, reference, _added(changes))


def _added(postings: Iterable[Posting]) -> list[Posting]:
    """Postings on the same account of the same party added up, in the order of the first of each."""
    found: dict[tuple[str, str, str], Decimal] = {}
    for each in postings:
        key = (each.account, each.party, each.currency)
        found[key] = total(found.get(key, _ZERO), each.amount)
    return [Posting(account, party, amount, currency) for (account, party, currency), amount in found.items()]


def _postings(version: Version) -> Iterator[Posting]:
    """What one version means of its own period, without the adjustments that it takes up: those were posted when issued."""
    for account, party, amount, currency in (*_earned(version), *_cleared(version)):
        yield Posting(EXPENSE, "", amount, currency)
        yield Posting(account, party, -amount, currency)


Credit = tuple[str, str, Decimal, str]  # account, party, amount and currency; the expense is the other side


def _earned(version: Version) -> Iterator[Credit]:
    said = version.statement
    currency, partner = said["currency"], said["partner"]
    for share in said["parties"] or [{"party": partner, "amount": said["payable"]}]:
        yield ACCRUED, _party(said, share), Decimal(share["amount"]), currency
    for line in said["lines"]:
        if line["name"] in version.terms.withheld:
            yield TAX, "", Decimal(line["amount"]), line.get("unit", currency)
    units: dict[str, str] = {line["name"]: line["unit"] for line in said["lines"] if line.get("unit", "").isupper()}
    for account, kind in ((HELD, "held"), (UNPAID, "unpaid")):
        for step, amount in _moved(version, kind).items():
            yield account, partner, amount, units.get(step) or currency
    if version.terms.recoups:
        recouped = difference(_advances(version.given), _sum(_moved(version, "unrecouped").values()))
        yield ADVANCES, partner, recouped, currency


def _cleared(version: Version) -> Iterator[Credit]:
    """Of a final statement: what periods carried is owed now, or claimed; the deposit is owed, and is no expense."""
    said = version.statement
    if "final" not in said:
        return
    for share in said["final"]["parties"]:
        yield ACCRUED, _party(said, share), Decimal(share["amount"]), share["currency"]
    for line in said["final"]["lines"]:
        if line["name"] == "deposit":
            yield DEPOSITS, said["partner"], -Decimal(line["amount"]), line["currency"]


def _party(said: Json, share: Json) -> str:
    """Whose a share is: the partner's own id where the rulebook calls it just that."""
    party: str = share["party"]
    return said["partner"] if party == "partner" else party


def _moved(version: Version, kind: str) -> dict[str, Decimal]:
    """By step, how much the period changed the balances of the kind."""
    found: dict[str, Decimal] = {}
    for each in version.statement["balances"]:
        if each["kind"] == kind:
            found[each["step"]] = total(found.get(each["step"], _ZERO), Decimal(each["amount"]))
    for step, brought, _, amount in version.given["carried"]:
        if brought == kind:
            found[step] = difference(found.get(step, _ZERO), Decimal(amount))
    return found


def _advances(given: Json) -> Decimal:
    return _sum(Decimal(row[4]) for row in given["facts"] if row[0] == "advance.paid" and row[1] == "amount")


def published(position: int, day: date, statement: Json, agents: Mapping[str, str], agent: str | None) -> Entry | None:
    """A published statement: what is due with it, adjustments of earlier periods and all, is payable from now on.

    `agents` are the partners who have notes of their own, by their parties, and `agent` the party whose note this is: it is for
    that one's share alone; None: for all others.
    """
    postings = []
    for due in statement["due"]:
        parties = due["parties"] or [{"party": statement["partner"], "amount": due["amount"]}]
        for each in parties:
            if agent == (each["party"] if each["party"] in agents else None):
                amount, party = Decimal(each["amount"]), _party(statement, each)
                postings += [
                    Posting(ACCRUED, party, amount, due["currency"]),
                    Posting(PAYABLE, agents.get(each["party"], party), -amount, due["currency"]),
                ]
    period = f"{statement['period']['from']}/{statement['period']['to']}"
    return entry(position, day, statement["contract"], period, "published", postings)


class Transfer(NamedTuple):
    """One amount from one account to another, each with its party."""

    debit: tuple[str, str]
    credit: tuple[str, str]
    amount: Decimal
    currency: str

    @property
    def postings(self) -> tuple[Posting, Posting]:
        return (
            Posting(*self.debit, self.amount, self.currency),
            Posting(*self.credit, -self.amount, self.currency),
        )


def trial(balances: Sequence[tuple[str, str, str, Decimal]]) -> dict[str, Decimal]:
    """The sum of all balances (account, party, currency, amount) by currency: each is 0 in a journal that balances."""
    found: dict[str, Decimal] = {}
    for _, _, currency, amount in balances:
        found[currency] = total(found.get(currency, _ZERO), amount)
    return found
