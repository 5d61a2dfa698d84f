"""Statements: calculated from what is given and a rulebook, as often as asked, and closed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.facts import PARTNER_FIELDS, PRIMARY_FIELD, Fact
from engine.money import WORKING_DIGITS, AmountTooLarge, minor_digits, of_units, plain
from engine.outcomes import Balance, Outcome
from engine.period import Period
from engine.rules.evaluate import Conclusions, conclude
from engine.rules.formulas import RateMissing, Unsettleable
from engine.rules.given import Final, Given
from engine.rules.model import Rulebook
from engine.settlement import finishing, taking_up
from engine.settlement.adjusting import due
from engine.settlement.agents import above
from engine.settlement.books import Books
from engine.settlement.gathering import Group, beside, gathered, passed_on, settled_by
from engine.settlement.keeping import canonical
from engine.settlement.paying import told_payment
from engine.settlement.reopening import reopened_group
from engine.store import facts as fact_store
from engine.store import recorder, registry, seals
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.statements import Issued


class UnknownContract(Refused):
    code = "unknown-contract"


class OtherCalendar(Refused):
    code = "other-calendar"


class NotInForce(Refused):
    code = "not-in-force"


class CannotSettle(Refused):
    code = "cannot-settle"


class RateNotPublished(Refused):
    code = "rate-missing"


class NoSuchVersion(Refused):
    code = "no-such-version"


class Calculated(NamedTuple):
    """A statement with what it was computed from. `statement` is its JSON object, without `state` and `positions`."""

    contract: Contract
    rulebook: Rulebook
    given: Given
    outcome: Outcome
    statement: dict[str, Any]

    @property
    def left(self) -> tuple[Balance, ...]:
        """All that the period leaves, also what a final statement clears of it."""
        return (*self.outcome.carried, *passed_on(self.rulebook, self.given.period, self.given))


class Lines(NamedTuple):
    """What an outcome says, as texts: (name, amount, clause, unit) a line, and (party, amount) a share."""

    lines: tuple[tuple[str, str, str | None, str], ...]
    payable: str
    parties: tuple[tuple[str, str], ...]
    currency: str
    carried: tuple[Balance, ...]
    final: dict[str, Any] | None = None  # engine.settlement.finishing.block


def concluded(group: Group) -> Conclusions:
    """What the group's rulebook concludes of it. Raises CannotSettle, RateNotPublished."""
    try:
        return conclude(group.rulebook, group.cohort)
    except (AmountTooLarge, Unsettleable) as error:
        raise refusal_of(error, group.period) from error


def refusal_of(error: AmountTooLarge | Unsettleable, period: Period) -> Refused:
    """What a person is told of a rule that yields nothing."""
    if isinstance(error, RateMissing):
        return RateNotPublished(f"{period}: {error}")
    return CannotSettle(f"{period}: {error}; correct the rulebook (settle rulebook check) or the events")


def lines_of(outcome: Outcome, left: tuple[Balance, ...]) -> Lines:
    """What an outcome says. `left` is all that the period leaves: what the outcome carries on, and what it passes on."""
    return Lines(
        tuple((line.name, shown(line.amount), line.clause, line.unit) for line in outcome.lines),
        shown(outcome.payable),
        tuple((share.party, shown(share.amount)) for share in outcome.shares),
        outcome.currency,
        left,
    )


def finished(said: Lines, rulebook: Rulebook, period: Period, final: Final | None) -> Lines:
    """What a final statement says: all that it would leave is cleared on it. Any other says what it said."""
    if final is None:
        return said
    contents = rulebook.on(period.first)
    return said._replace(
        carried=(), final=finishing.block(contents, Decimal(said.payable), said.currency, said.carried, final)
    )


def calculated(group: Group, name: str, outcome: Outcome, adjustments: Sequence[Any] = ()) -> Calculated:
    """Pure: the statement of one contract of the group."""
    contract, given = group.contracts[name], group.cohort.contracts[name]
    left = (*outcome.carried, *passed_on(group.rulebook, group.period, given))
    said = finished(lines_of(outcome, left), group.rulebook, group.period, given.final)
    statement = statement_of(contract, group.rulebook, group.period, said, count_events(given.facts), adjustments)
    return Calculated(contract, group.rulebook, given, outcome, statement)


def statement_of(
    contract: Contract, rulebook: Rulebook, period: Period, said: Lines, events: int, adjustments: Sequence[Any] = ()
) -> dict[str, Any]:
    """The statement as a JSON object with its digest. A line's unit is told where it is not the statement's currency.

    `adjustments` are those of earlier periods that it takes up; `due` is what it comes to with them, and with what a final
    statement clears.
    """
    statement = {
        "contract": contract.contract,
        "partner": contract.partner,
        "period": {"from": period.first.isoformat(), "to": period.end.isoformat()},
        "currency": said.currency,
        "rulebook": {"id": rulebook.rulebook, "version": rulebook.version, "digest": rulebook.digest},
        "lines": [
            {"name": line, "amount": amount, "clause": clause} | ({} if unit == said.currency else {"unit": unit})
            for line, amount, clause, unit in said.lines
        ],
        "payable": said.payable,
        "parties": [{"party": party, "amount": amount} for party, amount in said.parties],
        "balances": [_balance(balance) for balance in said.carried],
        "adjustments": list(adjustments),
        "evidence": {"events": events},
    }
    if said.final is not None:
        statement["final"] = said.final
    statement |= {"due": due(statement)}
    return statement | {"digest": digest(statement)}


def _balance(balance: Balance) -> dict[str, Any]:
    day = {} if balance.day is None else {"day": balance.day.isoformat()}
    return {"step": balance.step, "kind": balance.kind, **day, "amount": plain(balance.amount)}


def shown(amount: Decimal) -> str:
    """A rounded amount with all its currency's digits, an unrounded one with as many as it needs."""
    return plain(amount) if amount.as_tuple().exponent == -WORKING_DIGITS else format(amount, "f")


def count_events(facts: Iterable[Fact]) -> int:
    """Every event has one fact of its type's first field, so this counts each once."""
    return sum(fact.events for fact in facts if fact.field == _primary(fact.event))


def count_streamed(facts: Iterable[Fact]) -> int:
    """The events of the contract alone: without those about its partner."""
    return count_events(fact for fact in facts if fact.event in PRIMARY_FIELD)


def _primary(event: str) -> str:
    return PRIMARY_FIELD.get(event) or PARTNER_FIELDS[event][0]


def digest(statement: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON text, over what the statement says: not over its state, nor where it lies in the log."""
    beside = {"digest", "state", "late", "version", "closing", "root", "agents", "note", "payee", "payout_held"}
    said = {key: value for key, value in statement.items() if key not in beside}
    said["evidence"] = {"events": statement["evidence"]["events"]}
    return hashlib.sha256(canonical(said)).hexdigest()


def found(cursor: Rows, contract: str) -> Contract:
    """Raises UnknownContract."""
    known = registry.contracts(cursor, [contract]).get(contract)
    if known is None:
        raise UnknownContract(f"contract {contract} is not signed; settle contract list shows those that are")
    return known


def checked(contract: Contract, period: Period) -> Period:
    """The period, where the contract settles by such ones and is in force in it. Raises OtherCalendar, NotInForce."""
    if period.calendar is not contract.calendar:
        example = Period.containing(period.first, contract.calendar)
        raise OtherCalendar(
            f"contract {contract.contract} settles {contract.calendar}, and {period} is not such a period; ask for one "
            f"like {example}"
        )
    if not contracts.in_force(contract, period.first, period.end):
        if contract.left_on is not None and contract.valid_to is not None and contract.valid_to <= period.first:
            last = Period.containing(contract.valid_to - timedelta(days=1), contract.calendar)
            raise NotInForce(
                f"the last service of contract {contract.contract} was left on {contract.left_on}, and its statement of {last} "
                f"is final; nothing is due for {period}, and what comes late for earlier periods is adjusted: settle restate"
            )
        raise NotInForce(
            f"contract {contract.contract} is in force from {contract.valid_from} up to "
            f"{contract.valid_to or 'further notice'}, not in {period}"
        )
    return period


def open_statement(cursor: Rows, contract: Contract, period: Period) -> Calculated:
    """The statement as of now, from the live facts. Raises the refusals above."""
    adjustments = taking_up.waiting(cursor, period, [contract.contract]).get(contract.contract, [])
    checked(contract, period)
    books = Books(cursor, [contract.rulebook])
    rulebook = books.for_period(contract, period)
    try:
        group = gathered(cursor, books, rulebook, period, beside(cursor, books, contract, period))
    except (AmountTooLarge, Unsettleable) as error:  # of an earlier period, whose balances this one takes
        raise refusal_of(error, period) from error
    return calculated(group, contract.contract, concluded(group).contracts[contract.contract], adjustments)


def reopened(cursor: Rows, contract: Contract, issued: Issued) -> Calculated:
    """A closed statement computed again from what it was closed with, for its reasons.

    That it comes out the same is asserted: what explains an issued amount must be what yielded it.
    """
    said = msgspec.json.decode(issued.statement)
    if not said["lines"]:
        return _ended(cursor, contract, issued, said)
    group = reopened_group(cursor, Books(cursor, [issued.rulebook]), issued)
    again = calculated(group, contract.contract, concluded(group).contracts[contract.contract], said["adjustments"])
    assert again.statement["digest"] == issued.digest, (issued.contract, issued.period)
    return again


def _ended(cursor: Rows, contract: Contract, issued: Issued, said: dict[str, Any]) -> Calculated:
    """A statement of a period in which the contract was not in force: there is nothing to compute."""
    rulebook = settled_by(Books(cursor, [issued.rulebook]), issued)
    period = Period.parse(issued.period)
    again = ended_statement(contract, rulebook, period, said["adjustments"])
    assert again["digest"] == issued.digest, (issued.contract, issued.period)
    outcome = Outcome((), Decimal(said["payable"]), (), said["currency"])
    return Calculated(contract, rulebook, Given(period, partner=contract.partner), outcome, again)


def ended_statement(
    contract: Contract, rulebook: Rulebook, period: Period, adjustments: Sequence[Any] = ()
) -> dict[str, Any]:
    """The statement of a period in which the contract is not in force: nothing is earned, and adjustments are taken up."""
    currency = rulebook.on(period.first).payable_currency
    nothing = Lines((), format(of_units(0, minor_digits(currency)), "f"), (), currency, ())
    return statement_of(contract, rulebook, period, nothing, 0, adjustments)


class View(NamedTuple):
    """A statement for a reader: its JSON object with state, positions and late events, and its explanation.

    `agents` says who the agents above are among its parties (engine.settlement.agents), where there are any.
    """

    statement: dict[str, Any]
    calculated: Calculated


def view(cursor: Rows, contract_id: str, period: Period, version: int = 1) -> View:
    """The closed statement where there is one, else the open one as of now. Raises the refusals above.

    Later versions of a closed statement are those that restating issued; raises NoSuchVersion.
    """
    contract = found(cursor, contract_id)
    issued = statement_store.issued(cursor, contract_id, str(period), version)
    agents = above(cursor, contract_id)
    beside_it = ({"agents": agents} if agents else {}) | told_payment(cursor, contract.partner)
    if issued is not None:
        told = _issued_view(cursor, contract, issued)
        return told._replace(statement=told.statement | beside_it)
    if version > 1:
        raise NoSuchVersion(
            f"the statement of {contract_id} for {period} has no version {version}; settle contract show {contract_id} "
            "lists those that were issued"
        )
    computed = open_statement(cursor, contract, period)
    position = recorder.last_position(cursor)
    evidence = computed.statement["evidence"] | {"positions": [min(1, position), position]}
    said = {"state": "open", "evidence": evidence, "late": 0, "version": 0} | beside_it
    return View(computed.statement | said, computed)


def _issued_view(cursor: Rows, contract: Contract, issued: Issued) -> View:
    computed = reopened(cursor, contract, issued)
    latest = statement_store.latest(cursor, [contract.contract], issued.period)[contract.contract]
    live = fact_store.of_period(cursor, [contract.contract], issued.first).get(contract.contract, [])
    evidence = computed.statement["evidence"] | {"positions": [min(1, issued.position), issued.position]}
    closing = next(
        (each for each in seals.closings(cursor, issued.taken_by or issued.period) if each.number == issued.closing),
        None,
    )
    said = {
        "state": "closed" if issued.version == 1 else "restated",
        "version": issued.version,
        "evidence": evidence,
        "late": count_streamed(live) - latest.events,
        "root": closing and closing.root,
    }
    return View(computed.statement | said, computed)
