"""Each link of the proof breaks when what it checks is otherwise: the core alone, on evidence that is changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.events import decoded, encoded
from engine.period import Period
from engine.projections.seals import Entry
from engine.settlement.keeping import canonical
from engine.settlement.statements import digest
from replay.audit.findings import Check
from tests.replay.audited import audited, entries_of, proved

Change = Callable[[dict[str, Any]], None]


class Evidence:
    """What a pack holds, with which a test may do what it likes."""

    def __init__(self, period: str, path: Path) -> None:
        self.period = Period.parse(period)
        self.issued, self.events = entries_of(path)

    def change(self, name: str, at: int, **texts: Callable[[Any], Any]) -> None:
        """The event of that stored name, counted from 0, with fields made anew; those that are JSON texts stay such."""
        for entries in (self.issued, self.events):
            found = [index for index, entry in enumerate(entries) if entry.name == name]
            if found:
                entry = entries[found[at]]
                event = decoded(entry.name, entry.state)
                fields = {field: _made(getattr(event, field), make) for field, make in texts.items()}
                entries[found[at]] = entry._replace(state=encoded(msgspec.structs.replace(event, **fields)))
                return
        raise AssertionError(name)

    def failed(self) -> dict[Check, str]:
        """By check what those say that fail, but for the root, which fails whenever what was issued is changed."""
        found: dict[Check, str] = {}
        for each in proved(self.period, self.issued, self.events).failed:
            found[each.check] = f"{found.get(each.check, '')}{each.sentence}; "
        return {check: sentence for check, sentence in found.items() if check is not Check.root}


def _made(value: Any, make: Callable[[Any], Any]) -> Any:
    if isinstance(value, str) and value[:1] in {"{", "["}:
        return canonical(make(json.loads(value))).decode()
    return make(value)


def put(*path: Any, to: Any) -> Callable[[Any], Any]:
    """The JSON with another value at the path."""

    def changed(value: Any) -> Any:
        inner = value
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to
        return value

    return changed


def redigested(change: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], list[str]]:
    """The change of a statement's text with the digest that it has then, which `told` holds afterwards."""
    told: list[str] = []

    def changed(value: Any) -> Any:
        said = change(value)
        said["digest"] = digest(said)
        told.append(said["digest"])
        return said

    return changed, told


@pytest.fixture
def evidence(postgres: str, tmp_path: Path) -> Callable[[str, str], Evidence]:
    def of(scenario: str, period: str) -> Evidence:
        path = tmp_path / "pack"
        path.write_bytes(audited(postgres)[scenario, period].pack)
        return Evidence(period, path)

    return of


Of = Callable[[str, str], Evidence]
CLOSED, RESTATED, SCORE = "statement.closed", "statement.restated", "assessment.completed"


def test_untouched_it_holds(evidence: Of) -> None:
    assert evidence("guaranteed", "2026-12").failed() == {}


@pytest.mark.parametrize(
    ("scenario", "period", "name", "at", "changes", "expected"),
    [
        ("late", "2026-10", CLOSED, 0, {"given": put("facts", 0, 4, to="999")},
         {Check.facts: "given 2 events and 999000000 micros", Check.reference: "concludes otherwise: line payable is 51.50",
          Check.columns: "and comes to 499.50"}),
        ("late", "2026-10", CLOSED, 0, {"given": put("facts", 0, 2, to={"city": "X"})}, {Check.facts: "city"}),
        ("late", "2026-10", CLOSED, 0, {"given": put("facts", to=[])}, {Check.facts: "given 0 events and 0 micros"}),
        ("late", "2026-10", CLOSED, 0, {"seals": put("events", to="00")}, {Check.seals: "the events of C-1 in 2026-10"}),
        ("late", "2026-10", CLOSED, 0, {"seals": put("partner", to="00")}, {Check.seals: "the events of partner P-1"}),
        ("late", "2026-10", CLOSED, 0, {"seals": lambda _: {}}, {Check.seals: "and should be over"}),
        ("late", "2026-10", CLOSED, 0, {"given": put("begins", to="2026-10-02")}, {Check.carried: "first day 2026-10-02"}),
        ("late", "2026-10", CLOSED, 0, {"given": put("partner", to="P-2")}, {Check.carried: "given partner P-2"}),
        ("late", "2026-10", CLOSED, 0, {"given": put("grade", to="A")}, {Check.grades: "it was given A"}),
        ("late", "2026-10", CLOSED, 0, {"position": lambda _: 1}, {Check.seals: "the terms of C-1 are not among"}),
        ("late", "2026-10", CLOSED, 0, {"position": lambda at: at - 1}, {Check.seals: "and was issued at 6, not 5"}),
        ("late", "2026-10", CLOSED, 0, {"digest": lambda _: "00"}, {Check.digest: "and 00 was issued"}),
        ("late", "2026-10", CLOSED, 0, {"statement": put("payable", to="52.00")},
         {Check.sums: "its shares come to 51.5, and 52.00 is payable", Check.digest: "was issued"}),
        ("late", "2026-10", CLOSED, 0, {"statement": put("lines", 0, "amount", to="51.49")}, {Check.sums: "its line says 51.49"}),
        ("late", "2026-10", CLOSED, 0, {"statement": put("due", 0, "amount", to="51.49")}, {Check.sums: "do not come to what is due"}),
        ("late", "2026-10", CLOSED, 0, {"statement": put("rulebook", "version", to=2)}, {Check.rulebook: "by simple@2, and simple@1"}),
        ("late", "2026-10", CLOSED, 0, {"statement": put("contract", to="C-2")}, {Check.digest: "was issued"}),
        ("late", "2026-10", CLOSED, 0, {"carried": lambda _: [["payable", "held", None, "1"]]},
         {Check.reference: "the balances that it leaves are others"}),
        ("late", "2026-10", CLOSED, 0, {"given": put("facts", 0, 4, to="1e999999999")}, {Check.readable: "cannot be read"}),
        ("late", "2026-10", CLOSED, 0, {"statement": put("payable", to="1e999999999")}, {Check.readable: "cannot be read"}),
        ("late", "2026-11", RESTATED, 0, {"adjustment": put("lines", 0, "amount", to="3.49")},
         {Check.adjustments: "its adjustment is not what it changes against version 1"}),
        ("late", "2026-11", RESTATED, 0, {"adjustment": put("causes", to=[])}, {Check.adjustments: "is not what restating issued"}),
        ("late", "2026-11", RESTATED, 0, {"given": put("facts", 0, 4, to="999")}, {Check.facts: "999000000 micros"}),
        ("late", "2026-11", CLOSED, 1, {"statement": put("adjustments", to=[])}, {Check.sums: "do not come to what is due"}),
        ("late", "2026-11", CLOSED, 1, {"statement": put("adjustments", 0, "version", to=3)}, {Check.adjustments: "is of no restated statement"}),
        ("guaranteed", "2026-12", CLOSED, 2, {"given": put("carried", to=[])}, {Check.carried: "it begins with nothing, and 2026-11 left 14"}),
        ("returned", "2026-11", CLOSED, 1, {"given": put("origins", 0, "given", "facts", to=[])}, {Check.carried: "by something else than"}),
        ("converted", "2026-11", CLOSED, 1, {"given": put("rates", 0, 4, to="8")}, {Check.rates: "are others"}),
        ("left", "2026-11", CLOSED, 1, {"given": put("final", 1, to="300.49")},
         {Check.carried: "it was made as final, left on 2026-11-20, deposit 300.49", Check.reference: "concludes otherwise: final is"}),
        ("left", "2026-11", CLOSED, 1, {"given": put("final", to=None)}, {Check.carried: "it was made as no final one"}),
        ("left", "2026-11", CLOSED, 1, {"given": put("final", 2, to="XXZ")}, {Check.reference: "cannot be cleared"}),
        ("left", "2026-11", CLOSED, 1, {"statement": put("final", "lines", 0, "amount", to="1.00")},
         {Check.sums: "do not come to what is due"}),
        ("left", "2026-11", "service.exited", 0, {"day": lambda _: date(2026, 12, 1)}, {Check.carried: "and by the contract's services"}),
        ("left", "2026-11", "service.launched", 0, {"day": lambda _: date(2026, 11, 11)}, {Check.facts: '1000000000 micros of billing.charged amount {"phase":"live"}'}),
        ("left", "2026-11", "service.applied", 0, {"service": lambda _: "S-9"}, {Check.readable: "whose application does not come before it"}),
        ("converted", "2026-11", "fx.rate_published", 1, {"rate": lambda _: "8"}, {Check.seals: "the exchange rates"}),
        ("converted", "2026-11", "fx.rate_published", 1, {"rate": lambda _: "1e9999999"}, {Check.readable: "its rate is no number"}),
        ("assessed", "2026-11", CLOSED, 3, {"given": put("grade_before", to="B")}, {Check.grades: "the grade of 2026-10 is A"}),
        ("assessed", "2026-10", SCORE, 0, {"score": put("score", "grade", to="C")}, {Check.score: "grade is C"}),
        ("assessed", "2026-10", SCORE, 0, {"score": put("facts", to=[])}, {Check.score: "the facts that it keeps"}),
        ("assessed", "2026-10", SCORE, 0, {"digest": lambda _: "00"}, {Check.score: "its digest is not"}),
        ("assessed", "2026-10", "training.completed", 0, {"course": lambda _: "other"}, {Check.seals: "of partner P-1"}),
        ("pooled", "2026-11", "billing.charged", -1, {"amount": lambda _: 10**9}, {Check.reference: "concludes otherwise", Check.columns: "concludes otherwise"}),
        ("ended", "2026-12", CLOSED, 2, {"statement": put("evidence", "events", to=1)}, {Check.reference: "concludes otherwise: evidence"}),
        ("ended", "2026-12", CLOSED, 2, {"given": put("carried", to=[["s", "k", None, "1"]])}, {Check.facts: "was given facts or balances"}),
        ("late", "2026-10", "rulebook.published", 0, {"text": lambda _: "no rulebook"}, {Check.readable: "cannot be read"}),
    ],
)  # fmt: skip
def test_what_is_otherwise_breaks_its_link(
    evidence: Of, scenario: str, period: str, name: str, at: int, changes: dict[str, Any], expected: dict[Check, str]
) -> None:
    found = evidence(scenario, period)
    found.change(name, at, **changes)
    failed = found.failed()
    for check, words in expected.items():
        assert words in failed.get(check, ""), failed


def test_an_event_left_out_added_or_moved_breaks_the_seal(evidence: Of) -> None:
    found = evidence("late", "2026-10")
    whole = list(found.events)
    charges = [index for index, entry in enumerate(whole) if entry.name == "billing.charged"]
    del found.events[charges[0]]
    assert "(1 of them)" in found.failed()[Check.seals]
    found.events = [*whole, whole[charges[0]]._replace(position=whole[charges[-1]].position + 1, version=9)]
    found.change(CLOSED, 0, position=lambda at: at + 1)
    assert "(3 of them)" in found.failed()[Check.seals]
    one, other = (whole[index] for index in charges)
    found = evidence("late", "2026-10")
    found.events[charges[0]] = one._replace(state=other.state)
    found.events[charges[1]] = other._replace(state=one.state)
    assert set(found.failed()) == {Check.seals}


def test_a_statement_with_all_its_texts_forged_alike_is_found_by_the_evaluators(evidence: Of) -> None:
    found = evidence("late", "2026-10")

    def more(said: Any) -> Any:
        for row in (said, said["due"][0]):
            row["payable" if "payable" in row else "amount"] = "99.00"
            row["parties"][0]["amount"] = "99.00"
        said["lines"][0]["amount"] = "99.00"
        return said

    change, told = redigested(more)
    found.change(CLOSED, 0, statement=change)
    found.change(CLOSED, 0, digest=lambda _: told[0])
    assert set(found.failed()) == {Check.reference, Check.columns}


def test_a_contract_that_was_settled_with_others_and_is_left_out_is_missed(evidence: Of) -> None:
    found = evidence("pooled", "2026-10")
    found.issued = [entry for entry in found.issued if b'"contract":"C-2"' not in entry.state]
    failed = proved(found.period, found.issued, found.events).failed
    assert {each.contract for each in failed if "C-2 should have been settled with it" in each.sentence} == {
        "C-1",
        "C-3",
    }
    assert any("it issued 3 statements, and there are 2" in each.sentence for each in failed)


def test_the_roots_commit_to_what_was_issued_and_to_one_another(evidence: Of) -> None:
    def roots(found: Evidence) -> list[str]:
        return [
            each.sentence
            for each in proved(found.period, found.issued, found.events).failed
            if each.check is Check.root
        ]

    def without(entries: list[Entry], at: int) -> list[Entry]:
        closing = [entry for entry in entries if entry.name == "period.closed"][at]
        return [entry for entry in entries if entry != closing]

    found = evidence("several", "2026-10")
    assert roots(found) == []
    whole = list(found.issued)
    found.issued = without(whole, 1)
    assert roots(found)[0] == "it does not follow on closing 1 of 2026-10"
    found.issued = without(whole, 2)
    assert "is in no closing yet" in roots(found)[0]
    found.issued = without(without(without(whole, 0), 0), 0)
    assert "has no closing" in roots(found)[0]
    found.issued = list(whole)
    found.change("period.closed", 1, root=lambda _: "00")
    assert "it recorded 00" in roots(found)[0]
    for field, value in {"head": "00", "position": 5, "previous": None, "number": 1}.items():
        found.issued = list(whole)
        found.change("period.closed", 1, **{field: lambda _, value=value: value})
        assert roots(found), field


def test_what_is_missing_behind_a_statement_is_taken_as_given_and_said(evidence: Of) -> None:
    found = evidence("guaranteed", "2026-11")
    found.issued = [entry for entry in found.issued if b'"period":"2026-10"' not in entry.state]
    proof = proved(found.period, found.issued, found.events)
    assert proof.failed == []
    (taken,) = proof.taken
    assert (
        taken.sentence
        == "taken as given: the statement of 2026-10, whose balances it begins with, is not among the evidence"
    )


def test_an_adjustment_counts_once(evidence: Of) -> None:
    found = evidence("late", "2026-11")
    found.change(CLOSED, 1, statement=lambda said: said | {"adjustments": said["adjustments"] * 2})
    assert "was taken up before" in found.failed()[Check.adjustments]
