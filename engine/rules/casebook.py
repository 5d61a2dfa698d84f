"""Worked cases as people write them: what is given of contracts and periods, and what is expected of them.

A case is YAML that a contract manager can read; JSON is YAML too. Its facts are lines such as

    billing.charged amount province=GD: 700000
    usage.recorded quantity meter=sms-mt: {events: 3, value: 10}
    billing.charged: [10, 80, {amount: 10000, tax: 500}]

of which the last tells events one by one, and is folded as a rulebook needs them. All scalars are read as text, and then
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from engine.facts import PARTNER_FIELDS, PRIMARY_FIELD, Dimensions, Fact
from engine.language.words import Unreadable, day, number, quoted
from engine.outcomes import Balance
from engine.rules import case_texts
from engine.rules.fields import choice
from engine.rules.given import Rate
from engine.rules.partner_cases import (
    AccountEntry,
    ScorecardEntry,
    activity_of,
    assessed_of,
    program_of,
    scorecard_of,
)
from engine.rules.problems import Path, field_of, nearest
from engine.rules.source import Data, Source
from engine.rules.told import (
    STATUSES,
    Case,
    ContractTold,
    Entry,
    Expected,
    Happened,
    Later,
    PartnerTold,
    Recorded,
    Stage,
    Status,
)

_Read = TypeVar("_Read")
_Given = TypeVar("_Given")


_ENTRY = ("name", "source", "status", "rulebook", "library", "cases", "refused",
          "program", "activities", "expected", "scorecard")  # fmt: skip
_OF_CONTRACT = ("given", "begins", "grade", "previous_grade", "carried")
_STAGE = ("period", "rulebook", *_OF_CONTRACT, "contracts", "partner", "partners", "rates", "later", "expected",
          "published_wrong", "score", "scores", "points", "refused")  # fmt: skip
_CHAIN = ("periods", "begins", "rates")  # what is said for all periods of a chain


def entries(text: str, file: str, library: Callable[[str], str]) -> Iterator[Entry | AccountEntry | ScorecardEntry]:
    """The entries of a file of cases; `library` gives the text of a ready rulebook. Raises Unreadable."""
    reader = _Reader(text, file)
    for index, each in enumerate(reader.sequence((), reader.data)):
        yield reader.entry((index,), each, library)


def given_of(text: str, file: str = "facts") -> Case:
    """One case, as a file of facts to try a rulebook on states it. Raises Unreadable, which names the place."""
    reader = _Reader(text, file)
    return reader.case((), reader.data)


class _Reader:
    """Reads one text; every refusal names the file, the line, the column and the field."""

    def __init__(self, text: str, file: str) -> None:
        self._source = Source(text, file)
        for problem in self._source.errors:
            raise Unreadable(f"{file}:{problem.line}:{problem.column} {problem.field}: {problem.cause}", problem.remedy)
        self.data: Data = self._source.data

    def _refuse(self, path: Path, cause: str, remedy: str) -> Unreadable:
        place = self._source.keys.get(path) or self._source.place(path)
        return Unreadable(f"{self._source.file}:{place.line}:{place.column} {field_of(path)}: {cause}", remedy)

    def _read(self, path: Path, how: Callable[[str], _Read], data: Data) -> _Read:
        return self.trying(path, how, self.text(path, data))

    def trying(self, path: Path, how: Callable[[_Given], _Read], data: _Given) -> _Read:
        """What `how` makes of the data; what it refuses is refused with the place."""
        try:
            return how(data)
        except Unreadable as error:
            raise self._refuse(path, error.cause, error.remedy) from None

    def text(self, path: Path, data: Data) -> str:
        if isinstance(data, str) and data.strip():
            return data
        raise self._refuse(path, "a text or a number must stand here", "write one")

    def sequence(self, path: Path, data: Data) -> Sequence[Data]:
        if isinstance(data, list):
            return data
        raise self._refuse(path, "a list must stand here", "write [one, two], or lines that begin with -")

    def mapping(self, path: Path, data: Data, known: Sequence[str] = ()) -> dict[str, Data]:
        if not isinstance(data, dict):
            raise self._refuse(path, "a mapping must stand here", "write name: value lines below it")
        for name in data:
            if known and name not in known:
                remedy = nearest(name, known, f"the fields here are {', '.join(known)}")
                raise self._refuse((*path, name), f"unknown field {quoted(name)}", remedy)
        return data

    def entry(self, path: Path, data: Data, library: Callable[[str], str]) -> Entry | AccountEntry | ScorecardEntry:
        fields = self.mapping(path, data, _ENTRY)
        if "program" in fields:
            return self._account(path, fields)
        if "scorecard" in fields:
            return self._scorecard(path, fields)
        if ("rulebook" in fields) == ("library" in fields):
            raise self._refuse(path, "an entry has exactly one of rulebook and library", "write library: app-store")
        cases = self.sequence((*path, "cases"), fields.get("cases", []))
        refused = self.sequence((*path, "refused"), fields.get("refused", []))
        rulebook = fields.get("rulebook")
        return Entry(
            *self._head(path, fields),
            rulebook=self._read((*path, "library"), library, fields["library"])
            if "library" in fields
            else self.text((*path, "rulebook"), rulebook),
            cases=tuple(self.case((*path, "cases", index), each) for index, each in enumerate(cases)),
            refused=tuple(self.text((*path, "refused", index), each) for index, each in enumerate(refused)),
            file=self._source.file,
        )

    def _head(self, path: Path, fields: dict[str, Data]) -> tuple[str, str, Status]:
        name, source = (self.text((*path, each), fields.get(each)) for each in ("name", "source"))
        return name, source, self._status((*path, "status"), fields.get("status"))

    def _account(self, path: Path, fields: dict[str, Data]) -> AccountEntry:
        activities = self.sequence((*path, "activities"), fields.get("activities"))
        expected = self.sequence((*path, "expected"), fields.get("expected"))
        return AccountEntry(
            *self._head(path, fields),
            self.trying((*path, "program"), program_of, fields["program"]),
            tuple(
                self.trying((*path, "activities", i), activity_of, self._texts((*path, "activities", i), each))
                for i, each in enumerate(activities)
            ),
            tuple(self.mapping((*path, "expected", i), each) for i, each in enumerate(expected)),
            self._source.file,
        )

    def _scorecard(self, path: Path, fields: dict[str, Data]) -> ScorecardEntry:
        cases = self.sequence((*path, "cases"), fields.get("cases"))
        return ScorecardEntry(
            *self._head(path, fields),
            self._read((*path, "scorecard"), scorecard_of, fields["scorecard"]),
            tuple(
                self.trying((*path, "cases", i), assessed_of, self.mapping((*path, "cases", i), each))
                for i, each in enumerate(cases)
            ),
            self._source.file,
        )

    def _status(self, path: Path, data: Data) -> Status:
        for status in STATUSES:
            if status == data:
                return status
        raise self._refuse(path, f"{quoted(data)} is no status", f"write {choice(STATUSES)}")

    def case(self, path: Path, data: Data) -> Case:
        if not isinstance(data, dict) or "periods" not in data:
            return Case((self._stage(path, self.mapping(path, data, _STAGE)),))
        fields = self.mapping(path, data, _CHAIN)
        whole = {name: value for name, value in fields.items() if name != "periods"}
        stages = []
        for index, each in enumerate(self.sequence((*path, "periods"), fields["periods"])):
            here = (*path, "periods", index)
            stages.append(self._stage(here, whole | self.mapping(here, each, _STAGE)))
        return Case(tuple(stages))

    def _stage(self, path: Path, fields: dict[str, Data]) -> Stage:
        period = self._read((*path, "period"), case_texts.period, fields["period"]) if "period" in fields else None
        rulebook = self.text((*path, "rulebook"), fields["rulebook"]) if "rulebook" in fields else None
        rates = self.sequence((*path, "rates"), fields.get("rates", []))
        together = "contracts" in fields
        for name in {"given", "carried", "partner"} & set(fields) if together else ():
            raise self._refuse((*path, name), f"{name} of which contract?", "write it within contracts, below its id")
        contracts = self._each(path, "contracts", fields, self._contract) if together else {
            "": self._contract(path, {name: fields[name] for name in _OF_CONTRACT if name in fields})}  # fmt: skip
        partners = self._each(path, "partners", fields, self._partner)
        if "partner" in fields:
            partners = {"": self._partner((*path, "partner"), fields["partner"])}
        return Stage(
            period,
            rulebook,
            contracts,
            partners,
            tuple(self._rate((*path, "rates", index), each) for index, each in enumerate(rates)),
            self._expected(path, fields, together=together),
            self._later((*path, "later"), fields["later"]) if "later" in fields else None,
        )

    def _each(
        self, path: Path, field: str, fields: dict[str, Data], how: Callable[[Path, Data], _Read]
    ) -> dict[str, _Read]:
        section = self.mapping((*path, field), fields.get(field, {}))
        return {name: how((*path, field, name), each) for name, each in section.items()}

    def _contract(self, path: Path, data: Data) -> ContractTold:
        fields = self.mapping(path, data, (*_OF_CONTRACT, "partner"))
        carried = None
        if "carried" in fields:
            amounts = self._amounts((*path, "carried"), fields["carried"])
            carried = tuple(self._balance((*path, "carried", key), key, amount) for key, amount in amounts.items())
        return ContractTold(
            self._recorded((*path, "given"), fields.get("given", {})),
            self._text_or_none(path, "partner", fields) or "",
            self._read((*path, "begins"), day, fields["begins"]) if "begins" in fields else None,
            self._text_or_none(path, "grade", fields),
            self._text_or_none(path, "previous_grade", fields),
            carried,
        )

    def _partner(self, path: Path, data: Data) -> PartnerTold:
        fields = self.mapping(path, data, ("given", "override"))
        recorded = self._recorded((*path, "given"), fields.get("given", {}))
        return PartnerTold(recorded, self._text_or_none(path, "override", fields))

    def _text_or_none(self, path: Path, field: str, fields: dict[str, Data]) -> str | None:
        return self.text((*path, field), fields[field]) if field in fields else None

    def _expected(self, path: Path, fields: dict[str, Data], *, together: bool) -> Expected:
        def by_name(field: str, one: str, how: Callable[[Path, Data], _Read], *, each: bool) -> dict[str, _Read]:
            if each:
                return self._each(path, field, fields, how)
            return {"": how((*path, one), fields[one])} if one in fields else {}

        return Expected(
            by_name("expected", "expected", self._outcome, each=together),
            by_name("published_wrong", "published_wrong", self._amounts, each=together),
            by_name("scores", "score", self._texts, each="scores" in fields),
            by_name("points", "points", self._amounts, each=together),
            self._text_or_none(path, "refused", fields),
        )

    def _amounts(self, path: Path, data: Data) -> dict[str, Decimal]:
        section = self.mapping(path, data)
        return {name: self._read((*path, name), number, value) for name, value in section.items()}

    def _outcome(self, path: Path, data: Data) -> dict[str, Decimal]:
        amounts = self._amounts(path, data)
        for name, amount in amounts.items():
            if name.startswith("carried "):
                self._balance((*path, name), name.removeprefix("carried "), amount)
        return amounts

    def _texts(self, path: Path, data: Data) -> dict[str, str]:
        return {name: self.text((*path, name), value) for name, value in self.mapping(path, data).items()}

    def _later(self, path: Path, data: Data) -> Later:
        fields = self.mapping(path, data, ("given", "correction"))
        recorded = self._recorded((*path, "given"), fields.get("given", {}))
        return Later(recorded, self._amounts((*path, "correction"), fields.get("correction", {})))

    def _rate(self, path: Path, data: Data) -> Rate:
        fields = self.mapping(path, data, Rate._fields)
        texts = {name: self.text((*path, name), fields.get(name)) for name in Rate._fields}
        base, quote = (self._read((*path, name), case_texts.currency, texts[name]) for name in ("base", "quote"))
        on, rate = self._read((*path, "day"), day, texts["day"]), self._read((*path, "rate"), number, texts["rate"])
        return Rate(texts["publisher"], base, quote, on, rate)

    def _balance(self, path: Path, key: str, amount: Decimal) -> Balance:
        try:
            return case_texts.balance_of(key, amount)
        except Unreadable as error:
            raise self._refuse(path, error.cause, error.remedy) from None

    def _recorded(self, path: Path, data: Data) -> Recorded:
        found: list[Fact | Happened] = []
        for key, value in self.mapping(path, data).items():
            here = (*path, key)
            event, field, dimensions = self._read(here, case_texts.key, key)
            if isinstance(value, list):
                if field:
                    raise self._refuse(
                        here, "events have fields of their own", f"write {event}: with the list of events"
                    )
                found += [self._happened((*here, i), event, dimensions, each, i) for i, each in enumerate(value)]
            elif not field:
                raise self._refuse(here, "the field is missing", f"write {event} amount: 100, or a list of events")
            else:
                found.append(self._fact(here, Fact(event, field, dimensions, 1, Decimal(0)), value))
        return tuple(found)

    def _fact(self, path: Path, fact: Fact, data: Data) -> Fact:
        if not isinstance(data, dict):
            return fact._replace(value=self._read(path, number, data))
        fields = self.mapping(path, data, ("events", "value", "at"))
        value = self._read((*path, "value"), number, fields.get("value"))
        events = self._read((*path, "events"), case_texts.count, fields.get("events", "1"))
        at = self._read((*path, "at"), case_texts.instant, fields["at"]) if "at" in fields else 0
        return fact._replace(events=events, value=value, at=at)

    def _happened(self, path: Path, event: str, dimensions: Dimensions, data: Data, index: int) -> Happened:
        primary = PRIMARY_FIELD.get(event) or PARTNER_FIELDS[event][0]
        fields = self._amounts(path, data if isinstance(data, dict) else {primary: data})
        if event in PARTNER_FIELDS:
            fields.setdefault(primary, Decimal(1))
        return Happened(event, dimensions, fields, index + 1)
