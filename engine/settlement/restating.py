"""Issuing the next version of closed statements: what they come to now, and what that changes against the version before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from engine import events
from engine.aggregates.contract import Contract
from engine.events import StatementRestated
from engine.period import Period
from engine.settlement import sealing
from engine.settlement.adjusting import adjustment, due
from engine.settlement.issuing import issued_of, keep_restated
from engine.settlement.keeping import canonical
from engine.settlement.statements import digest
from engine.store import intake, log, recorder
from engine.store.database import Rows
from engine.store.statements import Issued

SOURCE = "tantieme/restate"
Json = dict[str, Any]


class Restated(NamedTuple):
    """What a closed statement comes to now; `before` is its latest version. `given` and `carried` are JSON texts.

    `events` are those of the contract alone. `causes` say why it differs.
    """

    contract: Contract
    before: Issued
    statement: Json
    given: str
    carried: str
    events: int
    causes: tuple[Json, ...]

    @property
    def version(self) -> int:
        return self.before.version + 1

    @property
    def adjustment(self) -> Json:
        return adjustment(own(self.before), self.statement, self.version, self.before.period, self.causes)


def own(issued: Issued) -> Json:
    """What a version says of its own period: without the adjustments of earlier ones that it took up."""
    return own_of(msgspec.json.decode(issued.statement))


def own_of(statement: Json) -> Json:
    """The same, of a statement's JSON object."""
    if not statement["adjustments"]:
        return statement
    said = statement | {"adjustments": []}
    said["due"] = due(said)
    return said | {"digest": digest(said)}


def differs(issued: Issued, statement: Json, carried: str) -> bool:
    """Whether the statement says other amounts, or leaves other balances to the next period, than the version did."""
    return (amounts(own(issued)), issued.carried) != (amounts(statement), carried)


def amounts(statement: Json) -> Json:
    """All that a statement says in amounts, whatever rulebook version and events they come from."""
    lines = [{name: line[name] for name in line if name != "clause"} for line in statement["lines"]]
    said = ("payable", "currency", "parties", "balances", *(["final"] if "final" in statement else []))
    return {"lines": lines} | {name: statement[name] for name in said}


class Approval(NamedTuple):
    """Who asked for adjustments that wait for a person, and who approved them."""

    author: str
    approver: str


def issue(cursor: Rows, restated: Sequence[Restated], now: datetime, approval: Approval | None = None) -> None:
    """Appends the versions to the log and keeps them. The caller holds the writers' lock."""
    if not restated:
        return
    position = recorder.last_position(cursor)
    sealing.catch_up_to(cursor, position)
    seals: dict[tuple[str, str], str] = {}
    for period in {each.before.period for each in restated}:
        own_ = [each for each in restated if each.before.period == period]
        with_rates = {each.contract.contract for each in own_ if msgspec.json.decode(each.given)["rates"]}
        found = sealing.seals_of(cursor, Period.parse(period), [each.contract for each in own_], with_rates)
        seals |= {(name, period): text for name, text in found.items()}
    rows, issued = [], []
    for number, each in enumerate(restated, position + 1):
        contract, period = each.contract.contract, each.before.period
        event = StatementRestated(
            source=SOURCE,
            id=f"{contract}/{period}/{each.version}",
            time=now,
            contract=contract,
            period=period,
            version=each.version,
            position=position,
            digest=each.statement["digest"],
            statement=canonical(each.statement).decode(),
            given=each.given,
            carried=each.carried,
            seals=seals[contract, period],
            adjustment=canonical(each.adjustment).decode(),
            author=approval.author if approval else None,
            approver=approval.approver if approval else None,
        )
        stream = log.stream_id("statement", f"{contract}\0{period}")
        rows.append((stream, each.version, event.NAME, events.encoded(event)))
        issued.append(issued_of(event, number, each.before.rulebook, each.events))
    first = recorder.append(cursor, rows)
    assert first == position + 1, (first, position)
    intake.note_batch(cursor, first, first + len(rows) - 1, now)
    keep_restated(cursor, issued)
