"""From what was issued, and what was told of payments, to the journal: as it happens, and when the log is read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from engine.events import (
    AdvancePaid,
    DepositPaid,
    DepositReturned,
    DiscrepancyResolved,
    Event,
    StatementInvoiced,
    StatementInvoiceWithdrawn,
    StatementPaid,
    StatementPaymentReturned,
    StatementPublished,
)
from engine.money import decimal_of_micros
from engine.period import Period, day_in
from engine.projections import journal
from engine.projections.journal import Entry, Json, Terms, Transfer, Version
from engine.rules.model import Rulebook
from engine.rules.steps import Advance, Tax
from engine.settlement.books import Books
from engine.store import journal as store
from engine.store import registry
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.statements import Issued


def keep(cursor: Rows, issued: Sequence[Issued]) -> None:
    """Keeps the entries of versions of statements that were issued. The caller holds the writers' lock."""
    store.save(cursor, entries_of(cursor, issued))


def entries_of(cursor: Rows, issued: Sequence[Issued]) -> list[Entry]:
    """What versions of statements mean, in their order."""
    terms = _terms_of(Books(cursor, {each.rulebook for each in issued}))
    entries: list[Entry | None] = []
    for each in issued:
        version = _version(each, terms)
        last = each.end - timedelta(days=1)
        if each.version == 1:
            entries.append(journal.closed(each.own_position, last, version))
        else:
            earlier = statement_store.issued(cursor, each.contract, each.period, each.version - 1)
            assert earlier is not None, (each.contract, each.period, each.version)
            entries.append(journal.restated(each.own_position, last, version, _version(earlier, terms)))
    return [each for each in entries if each is not None]


def keep_told(cursor: Rows, told: Sequence[tuple[int, Event]]) -> None:
    """Keeps the entries of (position, event) that tell of notes and payments. The caller holds the writers' lock."""
    published = [event for _, event in told if isinstance(event, StatementPublished)]
    statements = statement_store.InOrder(cursor, [(event.contract, event.period) for event in published])

    def closed(contract: str, period: str) -> Json:
        found: Json = msgspec.json.decode(statements.of(contract, period)[0].statement)
        return found

    store.save(cursor, entries_told(told, closed))


def keep_advances(cursor: Rows, paid: Sequence[tuple[int, AdvancePaid]]) -> None:
    """Keeps the entries of advances at (position, event). The caller holds the writers' lock."""
    store.save(cursor, entries_paid(cursor, paid))


def entries_paid(cursor: Rows, paid: Sequence[tuple[int, AdvancePaid]]) -> list[Entry]:
    """What advances at (position, event) mean, in their order."""
    known = registry.contracts(cursor, {event.contract for _, event in paid}) if paid else {}
    entries: list[Entry | None] = []
    for position, event in paid:
        assert event.amount is not None, event
        assert event.currency is not None, event
        contract = known[event.contract]
        advances, bank = (journal.ADVANCES, contract.partner), (journal.BANK, "")
        transfer = Transfer(advances, bank, decimal_of_micros(event.amount), event.currency)
        day = day_in(contract.time_zone, event.time)
        entries.append(journal.entry(position, day, event.contract, "", event.NAME, transfer.postings))
    return [each for each in entries if each is not None]


def entries_told(told: Iterable[tuple[int, Event]], closed: Callable[[str, str], Json]) -> list[Entry]:
    """What (position, event) mean that tell of notes and payments, in their order; `closed` is the statement of contract and
    period as it was closed.
    """
    return [entry for at, event in told if (entry := _told(at, event, closed)) is not None]


def _told(position: int, event: Event, closed: Callable[[str, str], Json]) -> Entry | None:
    match event:
        case StatementPublished():
            day = day_in(event.time_zone or "UTC", event.time)
            agents = {each.party: each.partner for each in event.agents}
            if event.agent is not None and event.partner is not None:
                agents = {event.agent: event.partner}
            return journal.published(position, day, closed(event.contract, event.period), agents, event.agent)
        case StatementInvoiced() | StatementInvoiceWithdrawn():
            return _vat(position, event)
        case StatementPaid() | StatementPaymentReturned():
            return _payment(position, event)
        case DiscrepancyResolved(amount=int() as amount, currency=str() as currency) if amount:
            party = (journal.ACCRUED, _party(event.party, event.partner))
            transfer = Transfer((journal.EXPENSE, ""), party, decimal_of_micros(amount), currency)
            last = Period.parse(event.period).end - timedelta(days=1)
            reference = f"discrepancy on {event.line}"
            return journal.entry(position, last, event.contract, event.period, reference, transfer.postings)
        case DepositPaid() | DepositReturned():
            bank, deposit = (journal.BANK, ""), (journal.DEPOSITS, event.partner)
            paid = isinstance(event, DepositPaid)
            transfer = Transfer(
                bank if paid else deposit, deposit if paid else bank, decimal_of_micros(event.amount), event.currency
            )
            return journal.entry(position, event.time.date(), event.contract or "", "", event.NAME, transfer.postings)
        case _:
            return None


def _vat(position: int, event: StatementInvoiced | StatementInvoiceWithdrawn) -> Entry | None:
    """That of an invoice; of one that is withdrawn the other way round, and not before the day on which it was there."""
    account, party = (journal.VAT, ""), (journal.PAYABLE, _payee(event))
    day, reference = event.day, f"VAT of {event.number}"
    if isinstance(event, StatementInvoiceWithdrawn):
        account, party = party, account
        day, reference = max(event.day, event.invoiced or event.day), f"{reference}, withdrawn"
    taxes = [Transfer(account, party, Decimal(each.amount), each.currency) for each in event.taxes]
    postings = [posting for tax in taxes for posting in tax.postings]
    return journal.entry(position, day, event.contract, event.period, reference, postings)


def _payment(position: int, event: StatementPaid | StatementPaymentReturned) -> Entry | None:
    """One that was made; of one that was returned the other way round, and not before the day on which it was made."""
    assert event.amount is not None, event
    debit, credit = (journal.PAYABLE, _payee(event)), (journal.BANK, "")
    day, reference = event.day, f"paid {event.reference}"
    if isinstance(event, StatementPaymentReturned):
        debit, credit = credit, debit
        day, reference = max(event.day, event.paid or event.day), f"{reference}, returned"
    transfer = Transfer(debit, credit, decimal_of_micros(event.amount), event.currency)
    return journal.entry(position, day, event.contract, event.period, reference, transfer.postings)


def _payee(event: StatementInvoiced | StatementInvoiceWithdrawn | StatementPaid | StatementPaymentReturned) -> str:
    return event.partner or "" if event.agent else _party(event.party, event.partner)


def _party(party: str | None, partner: str | None) -> str:
    """Whose a share is, as in engine.projections.journal."""
    return partner or "" if party in {None, "partner"} else party or ""


def _version(issued: Issued, terms: Callable[[str, int, date], Terms]) -> Version:
    said = msgspec.json.decode(issued.statement)
    book = said["rulebook"]
    found = terms(book["id"], book["version"], issued.first) if said["lines"] else Terms()
    return Version(said, msgspec.json.decode(issued.given), found)


def _terms_of(books: Books) -> Callable[[str, int, date], Terms]:
    known: dict[tuple[str, int, date], Terms] = {}

    def terms(name: str, version: int, day: date) -> Terms:
        key = (name, version, day)
        if key not in known:
            known[key] = terms_of(books.version(name, version), day)
        return known[key]

    return terms


def terms_of(rulebook: Rulebook, day: date) -> Terms:
    """What the journal must know of the rulebook as it stands on the day."""
    steps = rulebook.on(day).waterfall
    withheld = {step.name for step in steps if isinstance(step.rule, Tax) and step.rule.method == "withhold"}
    return Terms(frozenset(withheld), any(isinstance(step.rule, Advance) for step in steps))
