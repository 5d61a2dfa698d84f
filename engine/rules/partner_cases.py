"""Worked cases of partners: points accounts, and scorecards by themselves, without the rulebook that they would stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from engine.language.words import Unreadable, day, number, quoted
from engine.money import AmountTooLarge, plain
from engine.outcomes import Account, EntryKind, How, Reason, Score
from engine.rules.accounts import Activity, account
from engine.rules.assess import Standing, assess
from engine.rules.fields import choice
from engine.rules.formulas import Unsettleable
from engine.rules.program_check import check_program
from engine.rules.programs import Program
from engine.rules.scorecard_check import check_scorecard
from engine.rules.scorecards import Scorecard
from engine.rules.source import Data, Source
from engine.rules.told import Finding, Status

_Checked = TypeVar("_Checked")
_KINDS = (EntryKind.earned, EntryKind.granted, EntryKind.adjusted, EntryKind.burned)


class AccountEntry(NamedTuple):
    """A points program, what happened to one account, and what it is to come to on each of some days."""

    name: str
    source: str
    status: Status
    program: Program
    activities: tuple[Activity, ...]
    expected: tuple[Mapping[str, Data], ...]
    file: str = ""


class Assessed(NamedTuple):
    """Partners with what is known of each, the grades that persons gave, and what is expected of them."""

    standings: Mapping[str, Standing]
    expected: Mapping[str, Mapping[str, Data]]
    refused: str | None = None


class ScorecardEntry(NamedTuple):
    """A scorecard with its cases."""

    name: str
    source: str
    status: Status
    scorecard: Scorecard
    cases: tuple[Assessed, ...]
    file: str = ""


def program_of(data: Data) -> Program:
    """The program of a case. Raises Unreadable with the first thing that is wrong with it."""
    source = Source("{}", "program")
    try:
        program = Program.model_validate(data)
    except ValidationError as error:
        raise Unreadable(f"the program: {_first(error)}", "see docs/rulebooks.md") from None
    check_program(program, (), source)
    return _sound(program, source)


def scorecard_of(text: str) -> Scorecard:
    """The scorecard of a case. Raises Unreadable with the first thing that is wrong with it."""
    source = Source(text, "scorecard")
    try:
        scorecard = Scorecard.model_validate(source.data)
    except ValidationError as error:
        raise Unreadable(f"the scorecard: {_first(error)}", "see docs/rulebooks.md") from None
    check_scorecard(scorecard, (), source)
    return _sound(scorecard, source)


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, details['loc']))}: {details['msg']}"


def _sound(checked: _Checked, source: Source) -> _Checked:
    for problem in source.errors:
        raise Unreadable(f"{problem.field}: {problem.cause}", problem.remedy)
    return checked


def activity_of(fields: Mapping[str, str]) -> Activity:
    """One thing that happened to an account, as a case tells it. Raises Unreadable."""
    kind = next((each for each in _KINDS if each in fields), None)
    if kind is None:
        raise Unreadable("nothing happened here", f"write {choice(_KINDS)}")
    earned = kind is EntryKind.earned
    return Activity(
        day(fields.get("day")),
        kind,
        number(fields.get("units") if earned else fields[kind]),
        fields["earned"] if earned else fields.get("name", ""),
        fields.get("period", ""),
        text=fields.get("reason", ""),
        author=fields.get("author", ""),
        approver=fields.get("approver", ""),
        identity=fields.get("identity", ""),
    )


def assessed_of(fields: Mapping[str, Data]) -> Assessed:
    """One case of a scorecard. Raises Unreadable."""
    known, grades, expected = (_mapping(fields.get(each, {})) for each in ("partners", "given by a person", "expected"))
    standings = {partner: _standing(_mapping(values), grades.get(partner)) for partner, values in known.items()}
    refused = fields.get("refused")
    return Assessed(
        standings,
        {partner: _mapping(wanted) for partner, wanted in expected.items()},
        refused if isinstance(refused, str) else None,
    )


def _standing(values: Mapping[str, Data], override: Data) -> Standing:
    known = {name: Reason(name, How.measure, number(value)) for name, value in values.items()}
    return Standing(known, override if isinstance(override, str) else None)


def _mapping(data: Data) -> dict[str, Data]:
    if not isinstance(data, dict):
        raise Unreadable(f"{quoted(data)} stands where a mapping must stand", "write name: value lines below it")
    return data


def run_account(entry: AccountEntry) -> Iterator[Finding]:
    """What the account is expected to come to on each day, and what it came to."""
    for index, expected in enumerate(entry.expected):
        at = day(expected.get("at"))
        shown = _shown(account(entry.program, entry.activities, at), _mapping(expected.get("lots", {})))
        for name, wanted in expected.items():
            found = shown.get(name)
            yield _finding(entry.name, index + 1, f"{at} {name}", wanted, found)


def _shown(found: Account, wanted_lots: Mapping[str, Data]) -> dict[str, Data]:
    lots: dict[str, Data] = {str(lot.earned): plain(lot.points) for lot in found.lots}
    expires: dict[str, Data] = {str(lot.earned): str(lot.expires) for lot in found.lots if lot.expires}
    following = found.expires_next
    return {
        "at": str(found.at),
        "balance": plain(found.balance),
        "deficit": plain(found.deficit),
        "lots": {**dict.fromkeys(wanted_lots, "0"), **lots},
        "expires": expires,
        "expires_next": {str(following.day): plain(following.points)} if following else {},
        "level": found.level,
        "levels": {str(each.since): each.level for each in found.levels},
        "entries": [plain(each.points) for each in found.entries],
    }


def run_scores(entry: ScorecardEntry) -> Iterator[Finding]:
    """What each partner is expected to score, and what it did."""
    for index, case in enumerate(entry.cases):
        try:
            scores = assess(entry.scorecard, case.standings)
        except (Unsettleable, AmountTooLarge) as error:
            refused = f"refused: {error}"
            ok = case.refused is not None and case.refused in str(error)
            yield Finding(entry.name, index + 1, "assessing", f"refused: {case.refused}", refused, ok)
            continue
        if case.refused is not None:
            yield Finding(entry.name, index + 1, "assessing", f"refused: {case.refused}", "assessed", ok=False)
        for partner, expected in case.expected.items():
            for name, wanted in expected.items():
                found = of_score(scores[partner], name)
                yield _finding(entry.name, index + 1, f"{partner} {name}", wanted, found)


def of_score(score: Score, name: str) -> str:
    """What a score has of this name: `score`, `grade`, `points` ..., or `metric NAME`; `none` where it has nothing."""
    metrics: dict[str, object] = {f"metric {each.name}": each.score for each in score.metrics}
    found = ({"score": score.total} | score._asdict() | metrics).get(name)
    return "none" if found is None else plain(found) if isinstance(found, Decimal) else str(found)


def _finding(entry: str, case: int, what: str, wanted: Data, found: Data) -> Finding:
    expected, came = _text(wanted), _text(found)
    return Finding(entry, case, what, expected, came, expected == came)


def _text(data: Data) -> str:
    """One writing for what is equal: mappings by their keys, numbers plain."""
    match data:
        case dict():
            return "{" + ", ".join(f"{name}: {_text(data[name])}" for name in sorted(data)) + "}"
        case list():
            return "[" + ", ".join(map(_text, data)) + "]"
        case None:
            return "none"
        case _:
            try:
                return plain(number(data))
            except Unreadable:
                return data
