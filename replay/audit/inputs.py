"""That each statement was given what the log says: its events, its facts, balances, grades, rates and rulebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import polars as pl

from engine.aggregates import contract as contracts
from engine.aggregates.contract import Contract
from engine.facts import Fact
from engine.money import MICRO_DIGITS, in_units, plain
from engine.outcomes import Balance
from engine.period import Period
from engine.projections.seals import RATES, Seal, Subject
from engine.settlement.keeping import canonical
from replay.audit import world
from replay.audit.basis import Basis, key_of, named_facts
from replay.audit.findings import Check, Finding, fails, holds, taken
from replay.audit.issued import Statement, is_disputed


def subjects_of(contract: Contract, period: Period) -> dict[str, Subject]:
    """Whose events a statement stands on, by the names that its seals have."""
    return {
        "events": Subject("events", contract.contract, period.first),
        "contract": Subject("contract", contract.contract),
        "partner": Subject("partner", contract.partner),
        "rulebook": Subject("rulebook", contract.rulebook),
        "rates": RATES,
        "discrepancies": Subject("discrepancy", contract.contract),
    }


_COVERS = {
    "events": "the events of {contract} in {period}",
    "contract": "the terms of {contract}",
    "partner": "the events of partner {partner}",
    "rulebook": "the versions of rulebook {rulebook}",
    "rates": "the exchange rates",
    "discrepancies": "the discrepancies of {contract}",
}


def check_inputs(basis: Basis) -> Iterator[Finding]:
    wrong, late = _differing_facts(basis), _late_known(basis)
    yield from late.values()
    for each in basis.issued.statements:
        contract = basis.contract(each)
        if contract is None:
            sentence = f"the terms of {each.contract} are not among the events up to position {each.position}"
            yield fails(each.contract, each.name, Check.seals, sentence)
            continue
        yield from _seals(basis, each, contract)
        if is_ended(each, contract):
            yield from _ended(each)
            continue
        yield wrong.get(each.key) or holds(
            each.contract, each.name, Check.facts, f"{len(each.given.facts)} facts are the fold of the events"
        )
        yield _terms(each, contract)
        yield from _final(basis, each, contract)
        yield _carried(basis, each, contract)
        yield from _origins(basis, each)
        yield from _grades(basis, each, contract)
        yield from _rulebook_and_rates(basis, each, contract)


def _late_known(basis: Basis) -> dict[tuple[str, str, int], Finding]:
    """By statement the finding that it was not closed at the end of the log: it could have left out what came last.

    What is closed at once follows in the log directly on the position that it names.
    """
    at_once: dict[int, list[Statement]] = {}
    for each in basis.issued.statements:
        if not each.is_again:
            at_once.setdefault(each.position, []).append(each)
    found = {}
    for position, statements in at_once.items():
        for place, each in enumerate(sorted(statements, key=lambda one: one.entry.position), position + 1):
            if each.entry.position != place:
                sentence = (
                    f"it knew the log up to position {position}, and was issued at {each.entry.position}, not {place}"
                )
                found[each.key] = fails(each.contract, each.name, Check.seals, sentence)
    return found


def is_ended(statement: Statement, contract: Contract) -> bool:
    """Whether the contract was not in force in the period, so that there is nothing to compute."""
    return not contracts.in_force(contract, statement.period.first, statement.period.end)


def _seals(basis: Basis, each: Statement, contract: Contract) -> Iterator[Finding]:
    subjects = subjects_of(contract, each.period)
    if not each.given.rates:
        del subjects["rates"]
    if not is_disputed(each):
        del subjects["discrepancies"]
    if each.seals.keys() != subjects.keys():
        sentence = f"it is sealed over {', '.join(sorted(each.seals))} and should be over {', '.join(sorted(subjects))}"
        yield fails(each.contract, each.name, Check.seals, sentence)
        return
    found = {what: basis.sealed.at(subject, each.position) for what, subject in subjects.items()}
    broken = [what for what, seal in found.items() if seal.digest.hex() != each.seals[what]]
    for what in broken:
        yield fails(each.contract, each.name, Check.seals, _broken(what, each, contract, found[what]))
    if not broken:
        sentence = f"{found['events'].events} events, and those of its terms, partner and rulebook, are as sealed"
        yield holds(each.contract, each.name, Check.seals, sentence)


def _broken(what: str, each: Statement, contract: Contract, seal: Seal) -> str:
    names = {
        "contract": each.contract,
        "period": each.period,
        "partner": contract.partner,
        "rulebook": contract.rulebook,
    }
    covers = _COVERS[what].format_map(names)
    return (
        f"{covers} up to position {each.position} ({seal.events} of them) are not those that it was sealed with: one was "
        "changed, left out, added or moved"
    )


def _differing_facts(basis: Basis) -> dict[tuple[str, str, int], Finding]:
    """By statement the finding about facts that are not the fold of the events."""
    chosen = [
        each
        for each in basis.issued.statements
        if (contract := basis.contract(each)) is not None and not is_ended(each, contract)
    ]
    keys = {key_of(each.contract, each.period, each.position): each for each in chosen}
    unfolded = {each.key: basis.unfolded[key] for key, each in keys.items() if key in basis.unfolded}
    found = {
        each.key: fails(each.contract, each.name, Check.facts, unfolded[each.key])
        for each in chosen
        if each.key in unfolded
    }
    stated = _frame((key, each.given.facts) for key, each in keys.items())
    folded = pl.concat([_normal(basis.facts.filter(pl.col("contract").is_in(list(keys)))), _named(basis, keys)])
    both = stated.join(folded, on=_KEY, how="full", coalesce=True, suffix="_folded").with_columns(
        pl.col(*_NUMBERS, *(f"{name}_folded" for name in _NUMBERS)).fill_null(0)
    )
    wrong = both.filter(pl.any_horizontal([pl.col(name) != pl.col(f"{name}_folded") for name in _NUMBERS]))
    for row in wrong.sort(_KEY).iter_rows(named=True):
        each = keys[row["key"]]
        if each.key not in found:
            found[each.key] = fails(each.contract, each.name, Check.facts, _difference(row))
    return found


def _difference(row: Mapping[str, Any]) -> str:
    what = f"{row['event']} {row['field']} {row['dimensions']}"
    return (
        f"it was given {row['events']} events and {row['value']} micros of {what}, and the events come to "
        f"{row['events_folded']} and {row['value_folded']}"
    )


_KEY = ["key", "event", "field", "dimensions"]
_NUMBERS = ["events", "value", "at"]
_SCHEMA = {
    "key": pl.String, "event": pl.String, "field": pl.String, "dimensions": pl.String, "events": pl.Int64,
    "value": pl.Int128, "at": pl.Int64,
}  # fmt: skip


def _frame(facts: Iterable[tuple[str, Iterable[Fact]]]) -> pl.DataFrame:
    rows = [
        (key, f.event, f.field, canonical(dict(f.dimensions)).decode(), f.events, in_units(f.value, MICRO_DIGITS), f.at)
        for key, own in facts
        for f in own
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _normal(folded: pl.DataFrame) -> pl.DataFrame:
    """The folded facts with their dimensions as `_frame` writes them."""
    texts = folded["dimensions"].unique().to_list()
    normal = {text: canonical(msgspec.json.decode(text)).decode() for text in texts}
    return folded.rename({"contract": "key"}).select(
        "key", "event", "field", pl.col("dimensions").replace_strict(normal, return_dtype=pl.String) if normal else "dimensions",
        "events", "value", "at",
    )  # fmt: skip


def _named(basis: Basis, keys: Mapping[str, Statement]) -> pl.DataFrame:
    """The facts of partners' events that name the statements' contracts."""
    groups: dict[tuple[int, Period], dict[str, str]] = {}
    for key, each in keys.items():
        groups.setdefault((each.position, each.period), {})[each.contract] = key
    found: list[tuple[str, list[Fact]]] = []
    for (position, period), names in groups.items():
        own = named_facts(basis.known[position], names, period, "contract")
        found += [(names[name], facts) for name, facts in own.items()]
    return _frame(found)


def _terms(each: Statement, contract: Contract) -> Finding:
    """What else was given of the contract: its partner, and its first day."""
    if (each.given.partner, each.given.begins) != (contract.partner, contract.valid_from):
        sentence = (
            f"it was given partner {each.given.partner} and first day {each.given.begins}, and the contract has "
            f"{contract.partner} and {contract.valid_from}"
        )
        return fails(each.contract, each.name, Check.carried, sentence)
    return holds(each.contract, each.name, Check.carried, f"partner and first day are those of {each.contract}")


def _final(basis: Basis, each: Statement, contract: Contract) -> Iterator[Finding]:
    """That it clears the contract where its services had all ended, as was known, and nowhere else."""
    final = basis.known[each.position].final(contract, each.period)
    if final != each.given.final:
        told = [
            "no final one" if one is None else f"final, left on {one.day}, deposit {plain(one.deposit)}"
            for one in (each.given.final, final)
        ]
        sentence = f"it was made as {told[0]}, and by the contract's services and deposit it is {told[1]}"
        yield fails(each.contract, each.name, Check.carried, sentence)
    elif final is not None:
        sentence = f"it is final: the last service of {each.contract} ended on {final.day}"
        yield holds(each.contract, each.name, Check.carried, sentence)


def _carried(basis: Basis, each: Statement, contract: Contract) -> Finding:
    left = basis.left(contract, each.period, each.position, each.entry.position)
    previous = each.period.previous()
    if left is None:
        sentence = f"the statement of {previous}, whose balances it begins with, is not among the evidence"
        return taken(each.contract, each.name, Check.carried, sentence)
    if _rows(left) != _rows(each.given.carried):
        sentence = f"it begins with {_told(each.given.carried)}, and {previous} left {_told(left)}"
        return fails(each.contract, each.name, Check.carried, sentence)
    said = f"the balances that {previous} left" if left else "no balances"
    return holds(each.contract, each.name, Check.carried, f"it begins with {said}")


def _rows(balances: Iterable[Balance]) -> list[tuple[object, ...]]:
    return sorted(tuple(map(str, each)) for each in balances)


def _told(balances: Iterable[Balance]) -> str:
    return ", ".join(f"{plain(each.amount)} {each.kind} of {each.step}" for each in balances) or "nothing"


def _origins(basis: Basis, each: Statement) -> Iterator[Finding]:
    for origin in each.origins:
        period = origin.given.period
        issued = basis.latest(each.contract, period, each.entry.position)
        kept = origin.given
        if issued is None:
            sentence = f"the statement of {period}, whose charges are returned, is not among the evidence"
            yield taken(each.contract, each.name, Check.carried, sentence)
        elif (origin.rulebook, origin.version) == issued.rulebook and kept == issued.given:
            sentence = f"charges of {period} are taken back by what that period was given"
            yield holds(each.contract, each.name, Check.carried, sentence)
        elif each.is_again:
            sentence = f"what {period} comes to when it is computed again, which no statement says"
            yield taken(each.contract, each.name, Check.carried, sentence)
        else:
            sentence = f"charges of {period} are taken back by something else than what its statement was given"
            yield fails(each.contract, each.name, Check.carried, sentence)


def _grades(basis: Basis, each: Statement, contract: Contract) -> Iterator[Finding]:
    scorecard, known = contract.rulebook, basis.known[each.position]
    grade = known.overrides.get((scorecard, str(each.period), contract.partner))
    if grade != each.given.grade:
        sentence = (
            f"a person gave grade {grade or 'none'} in {each.period}, and it was given {each.given.grade or 'none'}"
        )
        yield fails(each.contract, each.name, Check.grades, sentence)
    before = basis.grade_before(scorecard, each.period, contract.partner, each.position)
    stated, previous = each.given.grade_before, each.period.previous()
    if before == stated:
        if stated is not None:
            yield holds(each.contract, each.name, Check.grades, f"grade {stated} is that of {previous}")
    elif before is None or each.is_again:
        sentence = f"grade {stated or 'none'} of {previous}, whose score is not among the evidence"
        yield taken(each.contract, each.name, Check.grades, sentence)
    else:
        sentence = f"the grade of {previous} is {before}, and it was given {stated or 'none'}"
        yield fails(each.contract, each.name, Check.grades, sentence)


def _rulebook_and_rates(basis: Basis, each: Statement, contract: Contract) -> Iterator[Finding]:
    name, version = each.rulebook
    known = basis.known[each.position]
    wanted = world.in_force(known, contract, each.period)
    if (name, version) != (contract.rulebook, wanted) or (name, version) not in known.texts:
        sentence = f"it was settled by {name}@{version}, and {contract.rulebook}@{wanted} was in force"
        yield fails(each.contract, each.name, Check.rulebook, sentence)
        return
    yield holds(each.contract, each.name, Check.rulebook, f"{name}@{version} was in force")
    rates = basis.rates(known.book(name, version), each.period, each.position)
    if rates != each.given.rates:
        sentence = f"it was given {len(each.given.rates)} exchange rates, and the {len(rates)} published are others"
        yield fails(each.contract, each.name, Check.rates, sentence)
    elif rates:
        yield holds(each.contract, each.name, Check.rates, f"{len(rates)} exchange rates are as published")


def _ended(each: Statement) -> Iterator[Finding]:
    given = each.given
    if given.facts or given.carried or given.rates or each.carried:
        sentence = f"the contract was not in force in {each.period}, and it was given facts or balances"
        yield fails(each.contract, each.name, Check.facts, sentence)
    else:
        sentence = f"the contract was not in force in {each.period}: there is nothing to compute"
        yield holds(each.contract, each.name, Check.facts, sentence)
