"""Steps that come by the thousand in one batch: what one costs does not grow with how many there are."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
import pytest

from engine.settlement import closing
from engine.store.database import Store
from tests.histories import charged, message, registered, signed
from tests.replay.test_restate import _emptied as emptied
from tests.settlement.test_chains import NOW, OCTOBER
from tests.settlement.test_qualifications import model
from tests.settlement.test_recording import published, store, take

__all__ = ["store"]

FEW, MANY = 50, 200


class Case(NamedTuple):
    """What is there before, and the steps whose cost is measured; of both so many. `closed` is whether October is, in between."""

    before: Callable[[int], Sequence[bytes]]
    steps: Callable[[int], Sequence[bytes]]
    after_closing: Callable[[int], Sequence[bytes]] | None = None


def each(kind: str, time: str = "2026-10-03T08:15:00Z", /, **fields: Any) -> Callable[[int], list[bytes]]:
    """One message of the kind for each number, which stands in the fields where they say {}."""

    def raws(number: int) -> list[bytes]:
        said = [{name: _numbered(value, at) for name, value in fields.items()} for at in range(number)]
        who = {} if kind.startswith("statement.") else {"partner": "P-1"}
        return [message(kind, f"{kind}-{time}-{at}", who | data, time) for at, data in enumerate(said)]

    return raws


def _numbered(value: Any, at: int) -> Any:
    return value.format(at) if isinstance(value, str) else value


def together(*parts: Callable[[int], Sequence[bytes]]) -> Callable[[int], list[bytes]]:
    return lambda number: [raw for part in parts for raw in part(number)]


def ready(_: int) -> list[bytes]:
    return [registered(), model(), signed(cooperation_model="sp")]


def contracts(number: int) -> list[bytes]:
    return [registered(), model(qualifications=[]), published(), *(signed(f"D-{at}", valid_from="2026-10-01", cooperation_model="sp") for at in range(number))]  # fmt: skip


def usage(number: int) -> list[bytes]:
    return [charged(f"use-{at}", f"D-{at}") for at in range(number)]


def conflicts(number: int) -> list[bytes]:
    return [charged(f"use-{at}", f"D-{at}", amount="7.00") for at in range(number)]


LICENCE = {"type": "licence", "issuer": "MIIT", "valid_from": "2026-01-01"}
LATER = "2026-10-04T08:15:00Z"
LEAD = {"lead": "L-{}", "product": "fibre", "value": "10", "currency": "CNY", "expires": "2027-01-01"}
SERVICE = {"service": "S-{}", "contract": "D-{}", "author": "Li"}
NOTE = {"contract": "D-{}", "period": "2026-10", "author": "ann"}
submitted = each("qualification.submitted", qualification="L-{}", **LICENCE)
approved = each("qualification.approved", qualification="L-{}", author="Wu")
applied = each("service.applied", name="Ringtones", **SERVICE)
noted = each("statement.published", "2026-11-05T12:00:00Z", **NOTE)
confirmed = each("statement.confirmed", "2026-11-06T12:00:00Z", **NOTE | {"author": "bo"})


def one_approved(_: int) -> list[bytes]:
    return [*ready(1), *submitted(1), *approved(1)]


def renewals(number: int) -> list[bytes]:
    """Of one qualification, each for another month."""
    days = [
        (f"{2030 + at // 12}-{at % 12 + 1:02}-01", f"{2030 + at // 12}-{at % 12 + 1:02}-20") for at in range(number)
    ]
    data = {"partner": "P-1", "qualification": "L-0", "author": "Wu"}
    return [
        message("qualification.renewed", f"renew-{first}", data | {"valid_from": first, "valid_to": end})
        for first, end in days
    ]


CASES = {
    "qualifications are submitted": Case(ready, submitted),
    "qualifications are approved": Case(together(ready, submitted), approved),
    "one qualification is renewed again and again": Case(one_approved, renewals),
    "content of as many contracts is published": Case(
        contracts, each("content.published", content="song-{}", contract="D-{}", author="Li")
    ),
    "people enrol in as many courses": Case(
        ready, each("training.enrolled", course="course-{}", participant="Ann")
    ),
    "cases about as many contracts are closed": Case(
        contracts, each("case.closed", case="K-{}", kind="complaint", contract="D-{}", upheld=True, author="Wu")
    ),
    "leads of as many customers are registered": Case(
        ready, each("lead.registered", **LEAD, customer="Acme {}", contract="C-1")
    ),
    "leads of one customer are registered": Case(ready, each("lead.registered", **LEAD, customer="Acme", contract="C-1")),
    "leads are accepted": Case(
        together(ready, each("lead.registered", **LEAD, customer="Acme {}", contract="C-1")),
        each("lead.accepted", LATER, lead="L-{}", author="Li"),
    ),
    "authorisations of as many contracts are granted": Case(
        contracts, each("authorisation.granted", authorisation="A-{}", contract="D-{}", author="Li", valid_from="2026-01-01")
    ),
    "authorisations of one contract are granted": Case(
        ready, each("authorisation.granted", authorisation="A-{}", contract="C-1", author="Li", valid_from="2026-01-01")
    ),
    "services of as many contracts are applied for": Case(contracts, applied),
    "services of one contract are applied for": Case(ready, each("service.applied", name="Ringtones", **SERVICE | {"contract": "C-1"})),
    "services are approved": Case(
        together(contracts, applied), each("service.reviewed", **SERVICE | {"approved": True, "author": "Wu"})
    ),
    "applications for services are rejected": Case(
        together(contracts, applied), each("service.reviewed", **SERVICE | {"approved": False, "author": "Wu", "reason": "no"})
    ),
    "deposits are paid": Case(contracts, each("deposit.paid", contract="D-{}", amount="5.00", currency="CNY")),
    "statements are published": Case(together(contracts, usage), noted, after_closing=lambda _: []),
    "statements are invoiced": Case(
        together(contracts, usage),
        each("statement.invoiced", "2026-11-07T12:00:00Z", day="2026-11-07", **NOTE),
        after_closing=together(noted, confirmed),
    ),
    "identities come again with other content": Case(together(contracts, usage), conflicts),
}  # fmt: skip


class Cost(NamedTuple):
    """How often the database was asked, and how many functions were called."""

    queries: int
    calls: int


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    asked: list[str] = []
    execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def one(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        asked.append(str(query))
        return execute(self, query, *args, **options)

    def several(self: Any, query: Any, params: Any, **options: Any) -> Any:
        rows = list(params)
        asked.extend([str(query)] * len(rows))
        return executemany(self, query, rows, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", one)
        patched.setattr(psycopg.Cursor, "executemany", several)
        yield asked


def cost(store: Store, case: Case, number: int, monkeypatch: pytest.MonkeyPatch) -> Cost:
    take(store, *case.before(number))
    if case.after_closing is not None:
        assert not closing.close(store, OCTOBER, NOW).refused
        if further := case.after_closing(number):
            take(store, *further)
    steps = case.steps(number)
    profile = cProfile.Profile()
    with counting(monkeypatch) as asked:
        profile.enable()
        counts = take(store, *steps)
        profile.disable()
    assert counts.recorded + counts.suspended == len(steps) == number
    return Cost(len(asked), pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_step_costs_no_more_among_many_than_among_few(
    store: Store, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost(store, case, 2, monkeypatch)  # what is made and remembered when it is first needed
    emptied(store)
    few = cost(store, case, FEW, monkeypatch)
    emptied(store)
    many = cost(store, case, MANY, monkeypatch)
    assert many.queries <= few.queries + 2, "the database is asked for each step"
    assert many.calls <= few.calls * MANY / FEW, "each step goes through those before it"
