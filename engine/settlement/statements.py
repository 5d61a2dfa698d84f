"""Statements: calculated from facts and a rulebook, as often as asked, and closed once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from engine.aggregates import contract as contracts
from engine.aggregates import rulebook as rulebooks
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.facts import PRIMARY_FIELD, Fact
from engine.money import WORKING_DIGITS, AmountTooLarge, plain
from engine.outcomes import Outcome
from engine.period import Period
from engine.rules.check import check
from engine.rules.evaluate import Unsettleable, settle
from engine.rules.model import Rulebook
from engine.store import facts as fact_store
from engine.store import recorder, registry
from engine.store import statements as statement_store
from engine.store.database import Rows
from engine.store.statements import Issued


class UnknownContract(Refused):
    code = "unknown-contract"


class OtherCalendar(Refused):
    code = "other-calendar"


class NotInForce(Refused):
    code = "not-in-force"


class NoRulebook(Refused):
    code = "no-rulebook"


class OtherCurrency(Refused):
    code = "currency-mismatch"


class CannotSettle(Refused):
    code = "cannot-settle"


class Calculated(NamedTuple):
    """A statement with what it was computed from. `statement` is its JSON object, without `state` and `positions`."""

    contract: Contract
    period: Period
    rulebook: Rulebook
    facts: tuple[Fact, ...]
    outcome: Outcome
    statement: dict[str, Any]


class Books:
    """Rulebooks as read from the store, each version parsed once."""

    def __init__(self, cursor: Rows, ids: Iterable[str]) -> None:
        self._cursor = cursor
        self._published = registry.rulebooks(cursor, set(ids))
        self._read: dict[tuple[str, int], Rulebook] = {}

    def for_period(self, contract: Contract, period: Period) -> Rulebook:
        """The version in force when the period, or the contract in it, begins. Raises NoRulebook, OtherCurrency."""
        day = max(period.first, contract.valid_from)
        published = self._published.get(contract.rulebook)
        version = rulebooks.in_force(published, day) if published else None
        if version is None:
            raise NoRulebook(
                f"contract {contract.contract} settles by rulebook {contract.rulebook}, of which no version is valid on "
                f"{day}; publish one (settle rulebook publish FILE)"
            )
        if version.currency != contract.currency:
            raise OtherCurrency(
                f"contract {contract.contract} is in {contract.currency}, but rulebook {contract.rulebook} settles in "
                f"{version.currency}; publish a rulebook in {contract.currency} under the name that the contract gives"
            )
        return self.version(contract.rulebook, version.version)

    def version(self, rulebook: str, version: int) -> Rulebook:
        read = self._read.get((rulebook, version))
        if read is None:
            text = registry.rulebook_text(self._cursor, rulebook, version)
            assert text is not None, (rulebook, version)
            read = check(text, rulebook).rulebook
            assert read is not None, (rulebook, version)
            self._read[rulebook, version] = read
        return read


def calculate(contract: Contract, period: Period, rulebook: Rulebook, facts: Sequence[Fact]) -> Calculated:
    """Pure: the statement that the facts and the rulebook yield. Raises CannotSettle."""
    try:
        outcome = settle(rulebook, facts)
    except (AmountTooLarge, Unsettleable) as error:
        raise CannotSettle(
            f"contract {contract.contract}, {period}: {error}; correct the rulebook (settle rulebook check) or the events"
        ) from error
    statement = {
        "contract": contract.contract,
        "partner": contract.partner,
        "period": {"from": period.first.isoformat(), "to": period.end.isoformat()},
        "currency": contract.currency,
        "rulebook": {"id": rulebook.rulebook, "version": rulebook.version, "digest": rulebook.digest},
        "lines": [{"name": line.name, "amount": shown(line.amount), "clause": line.clause} for line in outcome.lines],
        "payable": shown(outcome.payable),
        "parties": [{"party": share.party, "amount": shown(share.amount)} for share in outcome.shares],
        "evidence": {"events": count_events(facts)},
    }
    return Calculated(contract, period, rulebook, tuple(facts), outcome, statement | {"digest": digest(statement)})


def shown(amount: Decimal) -> str:
    """A rounded amount with all its currency's digits, an unrounded one with as many as it needs."""
    return plain(amount) if amount.as_tuple().exponent == -WORKING_DIGITS else format(amount, "f")


def count_events(facts: Iterable[Fact]) -> int:
    """Every event has one fact of its type's primary field, so this counts each once."""
    return sum(fact.events for fact in facts if PRIMARY_FIELD[fact.event] == fact.field)


def digest(statement: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON text, over what the statement says: not over its state, nor where it lies in the log."""
    said = {key: value for key, value in statement.items() if key not in {"digest", "state", "late"}}
    said["evidence"] = {"events": statement["evidence"]["events"]}
    return hashlib.sha256(canonical(said)).hexdigest()


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    return msgspec.json.Encoder(order="sorted").encode(value)


def facts_text(facts: Iterable[Fact]) -> str:
    """Facts as kept with a closed statement: JSON rows of event, field, dimensions, events, value."""
    return canonical([[f.event, f.field, dict(f.dimensions), f.events, plain(f.value)] for f in facts]).decode()


def facts_of(text: str) -> tuple[Fact, ...]:
    return tuple(
        Fact(event, field, tuple(sorted(dimensions.items())), events, Decimal(value))
        for event, field, dimensions, events, value in msgspec.json.decode(text)
    )


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
        raise NotInForce(
            f"contract {contract.contract} is in force from {contract.valid_from} up to "
            f"{contract.valid_to or 'further notice'}, not in {period}"
        )
    return period


def open_statement(cursor: Rows, contract: Contract, period: Period) -> Calculated:
    """The statement as of now, from the live facts. Raises the refusals above."""
    checked(contract, period)
    rulebook = Books(cursor, [contract.rulebook]).for_period(contract, period)
    facts = fact_store.of_period(cursor, [contract.contract], period.first).get(contract.contract, [])
    return calculate(contract, period, rulebook, facts)


def reopened(cursor: Rows, contract: Contract, issued: Issued) -> Calculated:
    """A closed statement computed again from the facts that it was closed with, for its reasons.

    That it comes out the same is asserted: what explains an issued amount must be what yielded it.
    """
    statement = msgspec.json.decode(issued.statement)
    rulebook = Books(cursor, [contract.rulebook]).version(statement["rulebook"]["id"], statement["rulebook"]["version"])
    calculated = calculate(contract, Period.parse(issued.period), rulebook, facts_of(issued.facts))
    assert calculated.statement["digest"] == issued.digest, (issued.contract, issued.period)
    return calculated


class View(NamedTuple):
    """A statement for a reader: its JSON object with state, positions and late events, and its explanation."""

    statement: dict[str, Any]
    calculated: Calculated


def view(cursor: Rows, contract_id: str, period: Period) -> View:
    """The closed statement where there is one, else the open one as of now. Raises the refusals above."""
    contract = found(cursor, contract_id)
    issued = statement_store.issued(cursor, contract_id, str(period))
    if issued is None:
        calculated = open_statement(cursor, contract, period)
        state, position, late = "open", recorder.last_position(cursor), 0
    else:
        calculated = reopened(cursor, contract, issued)
        state, position = "closed", issued.position
        live = fact_store.of_period(cursor, [contract_id], period.first).get(contract_id, [])
        late = count_events(live) - issued.events
    evidence = calculated.statement["evidence"] | {"positions": [min(1, position), position]}
    return View(calculated.statement | {"state": state, "evidence": evidence, "late": late}, calculated)
