"""Replay: folded and settled again, as known at one time under the rules of another, and compared with what was issued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.settlement.restating import amounts, own
from engine.settlement.statements import statement_of
from engine.store import recorder
from engine.store import statements as statement_store
from engine.store.database import Rows
from replay import history
from replay.archive.reading import Archive
from replay.known import Known, together
from replay.recompute import Settlement, count, recomputed

Progress = Callable[[int, int], None]


class UnknownContract(Refused):
    code = "unknown-contract"


class Difference(NamedTuple):
    """A statement that came out otherwise than it was issued. An amount is None where that side has no statement."""

    contract: str
    period: str
    version: int | None
    issued: str | None
    replayed: str | None
    currency: str

    @property
    def moved(self) -> Decimal:
        return abs(Decimal(self.replayed or 0) - Decimal(self.issued or 0))


class Replayed(NamedTuple):
    """One period as it was settled again. `payable` is by currency; `digest` covers every statement's contract and digest.

    Of those that were issued, `equal` have the digest that was issued, `same` the same amounts by another rulebook version or
    from more events, and `differences` other amounts. `open` are statements that nobody has issued.
    """

    period: str
    first: date
    statements: int
    payable: dict[str, Decimal]
    digest: str
    equal: int
    same: int
    open: int
    differences: tuple[Difference, ...]
    refused: dict[str, str]


class Replay(NamedTuple):
    """`position` and `rules_position` say what was known. `digest` is that of all periods together."""

    position: int
    rules_position: int
    events: int
    periods: tuple[Replayed, ...]
    digest: str


def replay(
    cursor: Rows,
    *,
    first: Period | None = None,
    last: Period | None = None,
    names: Sequence[str] = (),
    position: int | None = None,
    rules_position: int | None = None,
    archive: Archive | None = None,
    progress: Progress = lambda *_: None,
) -> Replay:
    """The periods from `first` up to and with `last` (by default all that have closed statements), settled again.

    Contracts that are settled together with a named one are settled, but only the named ones are told. Raises UnknownContract.
    """
    end_of_log = recorder.last_position(cursor)
    position = end_of_log if position is None else min(position, end_of_log)
    rules_position = position if rules_position is None else min(rules_position, end_of_log)
    everything = history.known_at(cursor, position, rules_position, archive)
    chosen = _chosen(everything, names)
    end = last.end if last is not None else max(statement_store.closed(cursor).values(), default=date.min)
    facts = history.folded(cursor, everything, position, chosen, archive, progress)
    by_period: dict[tuple[date, str], list[Settlement]] = {}
    for each in recomputed(everything, facts, end, chosen):
        if first is None or each.period.first >= first.first:
            by_period.setdefault((each.period.first, str(each.period)), []).append(each)
    wanted = set(names) or None
    periods = tuple(_compared(cursor, key, by_period[key], wanted, position) for key in sorted(by_period))
    return Replay(
        position,
        rules_position,
        count(facts),
        periods,
        _hash(f"{each.period} {each.digest}" for each in periods),
    )


def _chosen(everything: Known, names: Sequence[str]) -> list[str] | None:
    if not names:
        return None
    for name in names:
        if name not in everything.contracts:
            raise UnknownContract(
                f"contract {name} is not signed at that position; settle contract list shows those that are"
            )
    across = together(everything, names)
    return sorted({*names, *(name for name, each in everything.contracts.items() if each.rulebook in across)})


def _compared(
    cursor: Rows, key: tuple[date, str], settled: Sequence[Settlement], wanted: set[str] | None, position: int
) -> Replayed:
    first, period = key
    payable: dict[str, Decimal] = {}
    digests: dict[str, str] = {}
    differences: list[Difference] = []
    equal = same = 0
    refused: dict[str, str] = {}
    for each in settled:
        events = each.events()
        issued = statement_store.as_of(cursor, sorted(each.contracts), period, position)
        refused |= {name: str(why) for name, why in each.found.refused.items() if wanted is None or name in wanted}
        for name, said in each.lines().items():
            if wanted is not None and name not in wanted:
                continue
            statement = statement_of(each.contracts[name], each.rulebook, each.period, said, events[name])
            digests[name] = statement["digest"]
            payable[said.currency] = payable.get(said.currency, Decimal(0)) + Decimal(said.payable)
            before = issued.get(name)
            if before is None:
                continue
            said_before = own(before)
            if said_before["digest"] == statement["digest"]:
                equal += 1
            elif amounts(said_before) == amounts(statement):
                same += 1
            else:
                amount = msgspec.json.decode(before.statement)["payable"]
                differences.append(Difference(name, period, before.version, amount, said.payable, said.currency))
    digest = _hash(f"{name} {period} {digests[name]}" for name in sorted(digests))
    differences.sort(key=lambda d: (-d.moved, d.contract))
    open_ = len(digests) - equal - same - len(differences)
    return Replayed(period, first, len(digests), payable, digest, equal, same, open_, tuple(differences), refused)


def _hash(lines: Any) -> str:  # noqa: ANN401 - texts
    return sha256("\n".join(lines).encode()).hexdigest()
