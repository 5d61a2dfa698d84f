"""That both evaluators conclude each statement, to the digest, from what it was given; and each score."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.aggregates.contract import Contract
from engine.facts import Fact
from engine.outcomes import Balance, Score
from engine.rules.columns.frames import frames_of
from engine.rules.columns.settle import settle_columns
from engine.rules.evaluate import conclude
from engine.rules.given import Cohort as Givens
from engine.settlement.concluding import Found
from engine.settlement.gathering import Group, passed_on
from engine.settlement.keeping import balances_text, canonical
from engine.settlement.scoring import score_of
from engine.settlement.statements import Lines, count_events, digest, ended_statement, finished, lines_of, statement_of
from replay.audit.basis import Basis, named_facts
from replay.audit.cohorts import Cohort, givens_of
from replay.audit.findings import Check, Finding, fails, holds, taken
from replay.audit.inputs import is_ended
from replay.audit.issued import Score as IssuedScore
from replay.audit.issued import Statement

# So many contracts the evaluators are asked about at once: the reference keeps a tree of reasons for each amount.
CONTRACTS_AT_ONCE = 1_000


def in_parts(cohorts: Iterable[Cohort]) -> list[tuple[int, Cohort]]:
    """The cohorts, cut where contracts stand alone; numbered in order."""
    return list(enumerate(part for cohort in cohorts for part in _parts(cohort)))


def outcomes(basis: Basis, number: int, cohort: Cohort) -> tuple[int, list[Finding]]:
    """The work of one part, pure: what it finds, under its number."""
    return number, list(_outcomes(basis, cohort))


def check_ended(basis: Basis) -> Iterator[Finding]:
    """Of statements of periods in which their contract was not in force: nothing is earned."""
    for each in basis.issued.statements:
        contract = basis.contract(each)
        if contract is not None and is_ended(each, contract):
            yield from _ended(basis, each, contract)


def _parts(cohort: Cohort) -> Iterator[Cohort]:
    if cohort.together:
        yield cohort
        return
    for at in range(0, len(cohort.statements), CONTRACTS_AT_ONCE):
        yield cohort._replace(statements=cohort.statements[at : at + CONTRACTS_AT_ONCE])


def _outcomes(basis: Basis, cohort: Cohort) -> Iterator[Finding]:
    if cohort.left_out:
        sentence = f"{', '.join(cohort.left_out[:5])} should have been settled with it, and no statement says so"
        for each in cohort.statements:
            yield fails(each.contract, each.name, Check.reference, sentence)
        return
    givens, unknown = givens_of(basis, cohort)
    if unknown:
        sentence = f"the balances of {unknown[0]}, which is settled with it, are not among the evidence"
        yield from (taken(each.contract, each.name, Check.reference, sentence) for each in cohort.statements)
        yield from (taken(each.event.partner, each.name, Check.score, sentence) for each in cohort.scores)
        return
    contracts = basis.known[cohort.position].contracts
    left, scores, why = _by_reference(cohort, givens)
    yield from _compared(cohort, contracts, givens, Check.reference, left, why)
    found, why = _by_columns(cohort, givens)
    yield from _compared(cohort, contracts, givens, Check.columns, found, why)
    yield from _scores(basis, cohort, givens, scores)


_NOTHING = (ArithmeticError, ValueError, KeyError, AssertionError, TypeError)


def _by_reference(cohort: Cohort, givens: Givens) -> tuple[dict[str, Lines], dict[str, Score], str]:
    """What statements and scores say; where there are none, why."""
    try:
        said = conclude(cohort.book, givens)
    except _NOTHING as error:
        if cohort.together or len(givens.contracts) == 1:
            return {}, {}, str(error) or type(error).__name__
        alone = [_by_reference(cohort, Givens({name: given})) for name, given in givens.contracts.items()]
        whys = [why for _, _, why in alone if why]
        return {name: lines for one, _, _ in alone for name, lines in one.items()}, {}, whys[0] if whys else ""
    lines = {
        name: lines_of(outcome, (*outcome.carried, *passed_on(cohort.book, cohort.period, givens.contracts[name])))
        for name, outcome in said.contracts.items()
    }
    return lines, said.scores, ""


def _by_columns(cohort: Cohort, givens: Givens) -> tuple[dict[str, Lines], str]:
    try:
        settled = settle_columns(cohort.book, cohort.period, frames_of(givens))
    except Exception as error:  # noqa: BLE001 - Polars has exceptions of many kinds, and each means that there is no outcome
        if cohort.together or len(givens.contracts) == 1:
            return {}, str(error) or type(error).__name__
        alone = [_by_columns(cohort, Givens({name: given})) for name, given in givens.contracts.items()]
        whys = [why for _, why in alone if why]
        return {name: lines for one, _ in alone for name, lines in one.items()}, whys[0] if whys else ""
    own: dict[str, list[Balance]] = {}
    for name, *balance in settled.carried.iter_rows():
        own.setdefault(name, []).append(Balance(*balance))
    left = {
        name: (*own.get(name, ()), *passed_on(cohort.book, cohort.period, given))
        for name, given in givens.contracts.items()
    }
    contents = cohort.book.on(cohort.period.first)
    return Found(contents, settled, {}, settled.carried, {}, {}).lines(left), ""


def _compared(
    cohort: Cohort, contracts: Mapping[str, Contract], givens: Givens, check: Check, found: Mapping[str, Lines], why: str
) -> Iterator[Finding]:  # fmt: skip
    for each in cohort.statements:
        said = found.get(each.contract)
        if said is None:
            yield fails(each.contract, each.name, check, f"it concludes nothing of what was given: {why[:200]}")
            continue
        facts = givens.contracts[each.contract].facts
        try:
            said = finished(said, cohort.book, cohort.period, givens.contracts[each.contract].final)
        except _NOTHING as error:
            yield fails(each.contract, each.name, check, f"what it was given cannot be cleared: {str(error)[:200]}")
            continue
        again = statement_of(
            contracts[each.contract], cohort.book, cohort.period, said, count_events(facts), each.said["adjustments"]
        )
        wrong = _difference(each.said, again)
        if wrong is None and balances_text(said.carried) != each.event.carried:
            wrong = "the balances that it leaves are others"
        yield (
            fails(each.contract, each.name, check, f"it concludes otherwise: {wrong}")
            if wrong
            else holds(each.contract, each.name, check, f"it concludes the statement, digest {again['digest']}")
        )


def _difference(said: Mapping[str, Any], again: Mapping[str, Any]) -> str | None:
    """The first thing that differs, in words; None where nothing does."""
    if said == again:
        return None
    for one, other in zip(said["lines"], again["lines"], strict=False):
        if one != other:
            return f"line {one['name']} is {one['amount']}, and comes to {other['amount']}"
    named = [name for name in again if said.get(name) != again[name] and name != "digest"] or ["digest"]
    one, other = said.get(named[0]), again.get(named[0])
    return f"{named[0]} is {str(one)[:120]}, and comes to {str(other)[:120]}"


def check_digests(basis: Basis) -> Iterator[Finding]:
    """That each stored digest is the digest of the statement's text, and the texts are in their one canonical form."""
    for each in basis.issued.statements:
        told = digest(each.said)
        if each.said["digest"] != told or each.event.digest != told:
            sentence = f"the statement's text has the digest {told}, and {each.event.digest} was issued"
            yield fails(each.contract, each.name, Check.digest, sentence)
        elif canonical(each.said).decode() != each.event.statement:
            yield fails(each.contract, each.name, Check.digest, "its text is not in canonical form")
        elif (each.said["contract"], each.said["period"]) != (each.contract, _days(each)):
            yield fails(each.contract, each.name, Check.digest, "its text is about another contract or period")
        else:
            yield holds(each.contract, each.name, Check.digest, f"digest {told}")


def _days(each: Statement) -> dict[str, str]:
    return {"from": each.period.first.isoformat(), "to": each.period.end.isoformat()}


def _ended(basis: Basis, each: Statement, contract: Contract) -> Iterator[Finding]:
    then = basis.known[each.position]
    if each.rulebook not in then.texts:
        sentence = f"{each.rulebook[0]}@{each.rulebook[1]} was not published up to position {each.position}"
        yield fails(each.contract, each.name, Check.rulebook, sentence)
        return
    again = ended_statement(contract, then.book(*each.rulebook), each.period, each.said["adjustments"])
    wrong = _difference(each.said, again)
    if wrong:
        yield fails(each.contract, each.name, Check.reference, f"it concludes otherwise: {wrong}")
    else:
        yield holds(each.contract, each.name, Check.reference, f"nothing was earned, digest {again['digest']}")


def _scores(basis: Basis, cohort: Cohort, givens: Givens, found: Mapping[str, Score]) -> Iterator[Finding]:
    if not cohort.scores:
        return
    then = basis.known[cohort.position]
    group = Group(cohort.book, cohort.period, {}, givens)
    partners = [each.event.partner for each in cohort.scores]
    own = named_facts(then, partners, cohort.period, "partner")
    for each in cohort.scores:
        yield _score(each, group, own.get(each.event.partner, []), found.get(each.event.partner))


def _score(each: IssuedScore, group: Group, own: Iterable[Fact], score: Score | None) -> Finding:
    partner = each.event.partner
    if score is None:
        return fails(partner, each.name, Check.score, "its scorecard concludes no score of what was given")
    again = score_of(group, partner, score)
    if canonical(again) != canonical(each.said):
        wrong = [name for name in again if again[name] != each.said.get(name)] or ["it"]
        sentence = f"{wrong[0]} is {each.said.get(wrong[0])}, and comes to {again.get(wrong[0])}"
        return fails(partner, each.name, Check.score, sentence[:300])
    if hashlib.sha256(canonical(again)).hexdigest() != each.event.digest:
        return fails(partner, each.name, Check.score, f"its digest is not {each.event.digest}")
    if Counter(own) != Counter(each.facts):
        return fails(
            partner, each.name, Check.score, "the facts that it keeps are not the fold of the partner's events"
        )
    return holds(
        partner, each.name, Check.score, f"grade {score.grade}, from {len(each.facts)} facts of its own events"
    )
