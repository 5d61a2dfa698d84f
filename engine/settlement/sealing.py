"""The chain and the seals brought up to the log, off the way in; and the root over what a closing issued.

Events are sealed after they were recorded, by whoever needs the seals next: a closing, an archive, an audit. Each event is
read once for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256

import polars as pl

from engine import events
from engine.aggregates.contract import Contract
from engine.events import PeriodClosed, StreamedEvent, decoded
from engine.period import Period, located
from engine.projections.columns import micros_since_1970
from engine.projections.seals import RATES, Chain, Entry, Seal, Subject, subject_of, tree
from engine.settlement.keeping import canonical
from engine.store import intake, log, recorder, registry, seals
from engine.store.database import Rows, Store
from engine.store.seals import Closing

SOURCE = "tantieme/close"


def catch_up(store: Store, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Seals the log up to its end as it is now, a page a transaction; returns that position."""
    with store.reading() as cursor:
        end = recorder.last_position(cursor)
    position = 0
    while position < end:
        with store.writing() as cursor:
            position = _extend(cursor, end)
        progress(position, end)
    return end


def catch_up_to(cursor: Rows, end: int) -> None:
    """Seals the log up to the position, in this transaction."""
    while _extend(cursor, end) < end:
        pass


def _extend(cursor: Rows, end: int) -> int:
    """Seals one page more; returns up to where the log is sealed."""
    chain = seals.chain(cursor)
    entries = log.entries(cursor, after=chain.position, to=end)
    if not entries:
        return max(chain.position, end)
    extend(cursor, chain, entries)
    return entries[-1].position


def extend(cursor: Rows, chain: Chain, entries: Sequence[Entry]) -> set[Subject]:
    """Seals the entries, which follow the chain as it is kept; returns whose seals grew."""
    leaves = [entry.leaf for entry in entries]
    seals.save_chain(cursor, chain.extended(leaves))
    by_subject: dict[Subject, list[bytes]] = {}
    for leaf, subject in zip(leaves, _subjects(cursor, entries), strict=True):
        if subject is not None:
            by_subject.setdefault(subject, []).append(leaf)
    before = seals.seals(cursor, by_subject)
    extended = {}
    for subject, own in by_subject.items():
        seal = before.get(subject, Seal())
        for leaf in own:
            seal = seal.extended(leaf)
        extended[subject] = seal
    seals.save_seals(cursor, extended)
    return set(extended)


def _subjects(cursor: Rows, entries: Sequence[Entry]) -> list[Subject | None]:
    read = [decoded(entry.name, entry.state) for entry in entries]
    streamed = [event for event in read if isinstance(event, StreamedEvent)]
    periods = iter(_periods(cursor, streamed)) if streamed else iter(())
    return [subject_of(event, next(periods) if isinstance(event, StreamedEvent) else None) for event in read]


def _periods(cursor: Rows, streamed: Sequence[StreamedEvent]) -> list[date]:
    """The first day of each event's period."""
    frame = pl.DataFrame(
        {"contract": [e.contract for e in streamed], "time": [micros_since_1970(e.time) for e in streamed]},
        schema={"contract": pl.String, "time": pl.Datetime("us", "UTC")},
    )
    terms = registry.terms(cursor, set(frame["contract"])).select("contract", "calendar", "time_zone")
    periods: list[date] = located(frame.join(terms, on="contract", how="left", maintain_order="left"))[
        "period"
    ].to_list()
    return periods


def seals_of(
    cursor: Rows,
    period: Period,
    contracts: Sequence[Contract],
    with_rates: Collection[str],
    disputed: Collection[str] = (),
) -> dict[str, str]:
    """By contract the seals that a statement of the period stands on, as JSON. The log is sealed up to now.

    Each is the hex of its digest, empty where there are no events: of the contract's events, its terms, its partner, its
    rulebook, for those `with_rates` the exchange rates, and for `disputed` ones, whose statements take up what resolved a
    discrepancy, the contract's discrepancies.
    """
    named = {
        each.contract: _subjects_of(each, period, each.contract in with_rates, each.contract in disputed)
        for each in contracts
    }
    found = seals.seals(cursor, {subject for own in named.values() for subject in own.values()})
    return {
        name: canonical({what: found.get(subject, Seal()).digest.hex() for what, subject in own.items()}).decode()
        for name, own in named.items()
    }


def _subjects_of(contract: Contract, period: Period, with_rates: bool, disputed: bool) -> Mapping[str, Subject]:  # noqa: FBT001
    found = {
        "events": Subject("events", contract.contract, period.first),
        "contract": Subject("contract", contract.contract),
        "partner": Subject("partner", contract.partner),
        "rulebook": Subject("rulebook", contract.rulebook),
    }
    found |= {"rates": RATES} if with_rates else {}
    return found | ({"discrepancies": Subject("discrepancy", contract.contract)} if disputed else {})


def complete(store: Store, period: Period, now: datetime) -> Closing | None:
    """Ends a closing: gives everything that was issued with the period since the last one a root. None where there is nothing.

    Killed before it, the closing is completed by the next one; the statements have no root until then.
    """
    name = str(period)
    catch_up(store)
    with store.writing() as cursor:
        recorder.lock(cursor)
        statements, others = seals.unsealed(cursor, name)
        if not statements and not others:
            return None
        position = recorder.last_position(cursor)
        catch_up_to(cursor, position)
        leaves = [entry.leaf for entry in log.entries_at(cursor, [*statements, *others])]
        before = seals.closings(cursor, name)
        previous = before[-1].root if before else None
        head = seals.chain(cursor).now
        number = len(before) + 1
        root = root_of(name, number, previous, position, head, leaves)
        event = PeriodClosed(
            source=SOURCE, id=f"{name}/{number}", time=now, period=name, number=number, position=position, head=head,
            statements=len(statements), root=root, previous=previous,
        )  # fmt: skip
        row = (log.stream_id("period", name), number, event.NAME, events.encoded(event))
        first = recorder.append(cursor, [row])
        intake.note_batch(cursor, first, first, now)
        return keep_closing(cursor, event)


def keep_closing(cursor: Rows, event: PeriodClosed) -> Closing:
    """Keeps the closing, and marks all that was issued with its period since the one before as part of it."""
    closing = Closing(event.period, event.number, event.position, event.statements, event.head, event.root)
    statements, others = seals.unsealed(cursor, event.period)
    seals.save_closing(cursor, closing)
    seals.mark(cursor, [*statements, *others], event.number)
    return closing


def root_of(period: str, number: int, previous: str | None, position: int, head: str, leaves: Sequence[bytes]) -> str:
    """What a closing commits to: all that it issued (leaves in the order of the log), the closing before it, and the log."""
    said = {
        "period": period,
        "number": number,
        "previous": previous or "",
        "position": position,
        "head": head,
        "issued": tree(leaves).hex(),
    }
    return sha256(canonical(said)).hexdigest()
