"""The amounts of a statement, each as the tree of what it comes from: lines and shares, what a final one clears, what is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import reduce
from typing import Any

from console.reasons import told_events, told_reason
from console.settling import told_cause
from engine.facts import label
from engine.money import decimal_of_micros, difference, in_units, minor_digits, of_units, plain, total
from engine.outcomes import How, Reason
from engine.rules.shares import SOLE_PARTY, shares
from engine.settlement.evidence import Witness, witnesses
from engine.settlement.statements import View
from engine.settlement.tracing import Change, Cleared, cleared
from engine.store.database import Rows

Json = dict[str, Any]
_BECOMES = {1: "paid out", -1: "claimed back", 0: "lapses"}


def named(seen: View) -> list[str]:
    """What a statement can be asked about, in its order. A name that two of them have is the first one's."""
    said = seen.statement
    outcome = seen.calculated.outcome
    steps = [*(line.name for line in outcome.lines), *(share.party for share in outcome.shares)]
    return list(dict.fromkeys([*steps, *_final_names(said), *_due_names(said)]))


def told(cursor: Rows, seen: View, name: str, events: int) -> Json:
    """The whole tree of what is named so, down to the facts and so many of the events of each."""
    reasons = _reasons(seen)
    if name in reasons:
        lines = {line.name: line.reason for line in seen.calculated.outcome.lines if line.name != name}
        return _told(cursor, seen, [_grown(reasons[name], lines)], events)[0]
    if name in (finals := _final_names(seen.statement)):
        return _told_cleared(cursor, cleared(cursor, seen, finals[name]), events, whole=True)
    return _Due(cursor, seen, events, whole=True).told(name)


def told_all(cursor: Rows, seen: View, events: int) -> list[Json]:
    """Every amount; each stands once, and the others name it."""
    found = _told(cursor, seen, _reasons(seen).values(), events)
    finals = _final_names(seen.statement).values()
    found += [_told_cleared(cursor, cleared(cursor, seen, each), events, whole=False) for each in finals]
    return found + [_Due(cursor, seen, events, whole=False).told(each) for each in _due_names(seen.statement)]


def _reasons(seen: View) -> dict[str, Reason]:
    outcome = seen.calculated.outcome
    lines = {line.name: line.reason for line in outcome.lines}
    return lines | {share.party: share.reason for share in outcome.shares if share.party not in lines}


def _grown(reason: Reason, above: dict[str, Reason]) -> Reason:
    """The reason with each line that it names grown in full where it is named first."""
    if reason.how is How.step and not reason.parts and reason.name in above:
        reason = above.pop(reason.name)
    return reason._replace(parts=tuple(_grown(part, above) for part in reason.parts))


def _told(cursor: Rows, seen: View, reasons: Iterable[Reason], events: int) -> list[Json]:
    chosen = list(reasons)
    found = _witnesses(cursor, seen, chosen, events)
    return [told_reason(reason, found) for reason in chosen]


def _witnesses(cursor: Rows, seen: View, reasons: Iterable[Reason], each: int) -> dict[str, list[Witness]]:
    """By the label of each fact that the reasons name, the first of its events."""
    calculated = seen.calculated
    leaves = {leaf.name for reason in reasons for leaf in _leaves(reason)}
    facts = [fact for fact in calculated.given.facts if label(fact.event, fact.field, fact.dimensions) in leaves]
    to = seen.statement["evidence"]["positions"][1]
    found = witnesses(cursor, calculated.contract.contract, calculated.given.period, facts, to=to, each=each)
    return {label(fact.event, fact.field, fact.dimensions): events for fact, events in found.items()}


def _leaves(reason: Reason) -> Iterator[Reason]:
    if reason.how is How.fact:
        yield reason
    for part in reason.parts:
        yield from _leaves(part)


def _final_names(said: Mapping[str, Any]) -> dict[str, str]:
    """As the statement shows them, what a final one clears, with the names that it keeps."""
    return {f"final: {line['name']}": line["name"] for line in said["final"]["lines"]} if "final" in said else {}


def _told_cleared(cursor: Rows, found: Cleared, events: int, *, whole: bool) -> Json:
    """The parts sum to the amount of the line: each change as it counts for the partner, and what rounding or lapsing adds."""
    line = found.line
    parts = [_told_change(cursor, each, found.sign or 1, events, whole=whole) for each in found.changes]
    parts += _told_deposit(found, events)
    rest = difference(Decimal(line["amount"]), _sum(parts))
    if rest and found.sign:
        parts.append({"name": "rounding", "how": How.rounding, "value": plain(rest), "note": "as the step is rounded"})
    elif rest:
        note = "can only be used in later periods, of which there are none"
        parts.append({"name": "lapses", "how": How.lapsed, "value": plain(rest), "note": note})
    note = "given back" if found.events else _BECOMES[found.sign]
    return {
        "name": f"final: {line['name']}", "how": How.total, "value": line["amount"], "currency": line["currency"],
        "note": f"{line['balance']} {note}", "parts": parts,
    }  # fmt: skip


def _told_change(cursor: Rows, change: Change, sign: int, events: int, *, whole: bool) -> Json:
    said = change.seen.statement
    moved = difference(change.after, change.before)
    version = f", version {said['version']}" if said["version"] > 1 else ""
    return {
        "name": str(change.seen.calculated.given.period),
        "how": How.carried,
        "value": plain(moved if sign > 0 else -moved),
        "note": f"{plain(change.before)} before, {plain(change.after)} after, by its statement{version}, {said['state']}",
        "statement": {name: said[name] for name in ("state", "version", "digest")},
        **({"parts": [told(cursor, change.seen, change.step, events)]} if whole else {}),
    }


def _told_deposit(found: Cleared, events: int) -> Iterator[Json]:
    for name, sign in (("deposit.paid", 1), ("deposit.returned", -1)):
        own = [
            Witness(position, event.source, event.id, event.time, plain(sign * decimal_of_micros(event.amount)))
            for position, event in found.events
            if name == event.NAME
        ]
        if own:
            value = reduce(total, (Decimal(each.value) for each in own))
            shown = told_events(own[:events])
            yield {"name": name, "how": How.fact, "value": plain(value)} | ({"events": shown} if shown else {})


def _sum(parts: Iterable[Json]) -> Decimal:
    return reduce(total, (Decimal(part["value"]) for part in parts), Decimal(0))


def _with_cleared(reason: Reason) -> Reason:
    """Of what a party would get: what it is a share of stands in no line."""
    if reason.how is How.step:
        return reason._replace(note="with what is cleared")
    return reason._replace(parts=tuple(map(_with_cleared, reason.parts)))


def _due_names(said: Mapping[str, Any]) -> dict[str, tuple[Json, str | None]]:
    """What is due, and to whom, where that is not the payable amount alone."""
    if not said["adjustments"] and "final" not in said:
        return {}
    found: dict[str, tuple[Json, str | None]] = {}
    for each in said["due"]:
        name = f"due {each['currency']}"
        found[name] = (each, None)
        found |= {f"{name} to {share['party']}": (each, share["party"]) for share in each["parties"]}
    return found


class _Due:
    """What a statement comes to with what it takes up of earlier periods and, where it is final, with what it clears."""

    def __init__(self, cursor: Rows, seen: View, events: int, *, whole: bool) -> None:
        self._cursor = cursor
        self._seen = seen
        self._said = seen.statement
        self._events = events
        self._whole = whole

    def told(self, name: str) -> Json:
        due, party = _due_names(self._said)[name]
        currency = due["currency"]
        if party is None:
            value, parts = due["amount"], [*self._payable(currency), *self._cleared(currency)]
        else:
            value = next(share["amount"] for share in due["parties"] if share["party"] == party)
            parts = [*self._share(currency, party), *self._share_of_cleared(currency, party)]
        parts += self._adjustments(currency, party)
        assert _sum(parts) == Decimal(value), (name, parts)
        return {"name": name, "how": How.total, "value": value, "parts": parts}

    def _payable(self, currency: str) -> Iterator[Json]:
        if currency == self._said["currency"]:
            calculated = self._seen.calculated
            step = calculated.rulebook.on(calculated.given.period.first).payable_step
            yield self._named(step, "payable", self._said["payable"])

    def _share(self, currency: str, party: str) -> Iterator[Json]:
        for share in self._said["parties"]:
            if (share["party"], self._said["currency"]) == (party, currency):
                yield self._named(party, party, share["amount"])

    def _named(self, name: str, otherwise: str, value: str) -> Json:
        """A line or a share of the period, in full where the whole tree is asked for."""
        reasons = _reasons(self._seen)
        if name not in reasons:
            return {"name": otherwise, "how": How.step, "value": value, "note": "nothing is earned"}
        if self._whole:
            return told(self._cursor, self._seen, name, self._events)
        return {"name": name, "how": How.step, "value": value, "note": "line above"}

    def _cleared(self, currency: str) -> Iterator[Json]:
        for name, kept in _final_names(self._said).items():
            line = next(line for line in self._said["final"]["lines"] if line["name"] == kept)
            if line["currency"] == currency:
                yield self._cleared_line(name, kept, line["amount"])

    def _cleared_line(self, name: str, kept: str, amount: str) -> Json:
        if self._whole:
            found = cleared(self._cursor, self._seen, kept)
            return _told_cleared(self._cursor, found, self._events, whole=True)
        return {"name": name, "how": How.total, "value": amount, "note": "line above"}

    def _share_of_cleared(self, currency: str, party: str) -> Iterator[Json]:
        """The share of an amount that is greater by what is cleared, less that of what is payable; the rest is the partner's."""
        if "final" not in self._said:
            return
        calculated, payable = self._seen.calculated, Decimal(self._said["payable"])
        own = [line for line in self._said["final"]["lines"] if line["currency"] == currency]
        moved = _sum({"value": line["amount"]} for line in own if line["name"] != "deposit")
        if moved and currency == self._said["currency"]:
            contents = calculated.rulebook.on(calculated.given.period.first)
            digits = minor_digits(currency)
            greater = of_units(in_units(total(payable, moved), digits), digits)
            after, before = (
                {each.party: each.reason for each in shares(contents, amount, currency)}[party]
                for amount in (greater, payable)
            )
            value = difference(after.value, before.value)
            note = f"of {plain(moved)} cleared: its share with that, less its share without"
            reason = Reason("share", How.difference, value, note, parts=(_with_cleared(after), before))
            yield told_reason(reason, {})
        if party == SOLE_PARTY:
            for line in own:
                if currency != self._said["currency"] or line["name"] == "deposit":
                    yield self._cleared_line(f"final: {line['name']}", line["name"], line["amount"])

    def _adjustments(self, currency: str, party: str | None) -> Iterator[Json]:
        for made in self._said["adjustments"]:
            rows = made["payable"] if party is None else [row for row in made["parties"] if row["party"] == party]
            for row in rows:
                if row["currency"] == currency:
                    was = f"was {row['was']}, now {row['now']}: " if "was" in row else ""
                    causes = "; ".join(told_cause(cause) for cause in made["causes"])
                    yield {
                        "name": f"adjustment of {made['period']}", "how": How.difference, "value": row["amount"],
                        "note": was + causes,
                    }  # fmt: skip
