"""Given what happened, when a command arrives, then these events follow, or this refusal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from engine.aggregates import contract, partner, rulebook, statement
from engine.aggregates.contract import Contract, Surroundings
from engine.aggregates.refusal import Refused
from engine.aggregates.rulebook import Rulebook, Version
from engine.events import (
    ContractEvent,
    ContractSigned,
    ContractTerminated,
    PartnerRegistered,
    RulebookPublished,
    StatementClosed,
    StatementRestated,
)
from engine.facts import Grain

WHEN: dict[str, Any] = {"source": "test", "time": datetime(2026, 1, 1, tzinfo=UTC)}


def registration(id: str = "1") -> PartnerRegistered:
    return PartnerRegistered(**WHEN, id=id, partner="P-1", name="One", kind="agent")


def nobody(kind: str, id: str) -> None:
    """Nothing else is there."""


KNOWN = partner.evolve(None, registration())
READY = Surroundings(partner=KNOWN, rulebook_currency=None)


def signature(**terms: Any) -> ContractSigned:
    return msgspec.structs.replace(
        ContractSigned(
            **WHEN, id="1", contract="C-1", partner="P-1", cooperation_model="revenue share", rulebook="simple",
            currency="CNY", valid_from=date(2026, 1, 1),
        ),
        **terms,
    )  # fmt: skip


def termination(day: str = "2026-07-01") -> ContractTerminated:
    return ContractTerminated(**WHEN, id="2", contract="C-1", valid_to=date.fromisoformat(day))


def given_contract(*history: ContractEvent) -> Contract | None:
    state = None
    for event in history:
        state = contract.evolve(state, event)
    return state


def test_given_nothing_when_a_partner_is_registered_then_it_is() -> None:
    assert partner.decide(None, registration(), nobody) == registration()
    assert (KNOWN.partner, KNOWN.name, KNOWN.kind, KNOWN.payout_held) == ("P-1", "One", "agent", None)


def test_given_a_partner_when_it_is_registered_again_then_refused() -> None:
    with pytest.raises(partner.AlreadyRegistered, match="already registered, by event 1 of test"):
        partner.decide(KNOWN, registration("2"), nobody)


def test_given_a_known_partner_when_a_contract_is_signed_then_its_terms_stand() -> None:
    assert contract.decide(None, signature(), READY) == (signature(),)
    state = given_contract(signature())
    assert state is not None
    assert (state.valid_from, state.valid_to, state.terminated) == (date(2026, 1, 1), None, False)


@pytest.mark.parametrize(
    ("history", "command", "surroundings", "refusal", "waits_for"),
    [
        ([], signature(), READY._replace(partner=None), contract.UnknownPartner, "partner:P-1"),
        ([signature()], signature(), READY, contract.AlreadySigned, None),
        ([], signature(valid_to=date(2026, 1, 1)), READY, contract.EndsBeforeItBegins, None),
        ([], signature(), READY._replace(rulebook_currency="USD"), contract.OtherCurrency, None),
        ([], termination(), READY, contract.UnknownContract, "contract:C-1"),
        ([signature(), termination()], termination(), READY, contract.AlreadyTerminated, None),
        ([signature()], termination("2025-12-31"), READY, contract.EndsBeforeItBegins, None),
    ],
)
def test_contract_refusals(
    history: list[ContractEvent],
    command: ContractEvent,
    surroundings: Surroundings,
    refusal: type[Refused],
    waits_for: str | None,
) -> None:
    with pytest.raises(refusal) as refused:
        contract.decide(given_contract(*history), command, surroundings)
    assert refused.value.waits_for == waits_for
    assert ";" in str(refused.value), "a refusal says what, why, and what to do"


@pytest.mark.parametrize(
    ("signed_to", "terminated_to", "ends"),
    [
        (None, "2026-07-01", "2026-07-01"),
        ("2026-05-01", "2026-07-01", "2026-05-01"),
        ("2026-09-01", "2026-07-01", "2026-07-01"),
    ],
)
def test_a_termination_never_makes_a_contract_longer(signed_to: str | None, terminated_to: str, ends: str) -> None:
    to = None if signed_to is None else date.fromisoformat(signed_to)
    state = given_contract(signature(valid_to=to), termination(terminated_to))
    assert state is not None
    assert state.valid_to == date.fromisoformat(ends)


def published(version: int) -> RulebookPublished:
    return RulebookPublished(**WHEN, id=str(version), rulebook="simple", version=version, text="...")


def version(number: int, valid_from: str, currency: str = "CNY", grain: Grain = Grain()) -> Version:  # noqa: B008
    return Version(number, date.fromisoformat(valid_from), currency, f"digest {number}", grain)


FIRST = Rulebook(
    "simple", (version(1, "2026-01-01", grain=Grain(("province",), (("billing.charged", "max amount"),))),)
)


def test_versions_follow_one_another_and_the_grain_holds_what_any_needs() -> None:
    second = version(2, "2026-07-01", grain=Grain(("product",), currencies=("USD",)))
    assert rulebook.decide(FIRST, published(2), second, None) == (published(2),)
    book = rulebook.evolve(FIRST, published(2), second)
    assert book.grain == Grain(("product", "province"), (("billing.charged", "max amount"),), ("USD",))
    days = ["2025-12-31", "2026-01-01", "2026-06-30", "2026-07-01"]
    found = [rulebook.in_force(book, date.fromisoformat(day)) for day in days]
    assert [v and v.version for v in found] == [None, 1, 1, 2]


@pytest.mark.parametrize(
    ("number", "read", "closed_to", "refusal"),
    [
        (2, version(3, "2026-07-01"), None, rulebook.NotTheRulebookNamed),
        (1, version(1, "2026-07-01"), None, rulebook.VersionNotNext),
        (3, version(3, "2026-07-01"), None, rulebook.VersionNotNext),
        (2, version(2, "2026-07-01", "USD"), None, rulebook.CurrencyChanged),
        (2, version(2, "2026-03-01"), "2026-04-01", rulebook.NotApproved),
    ],
)
def test_rulebook_refusals(number: int, read: Version, closed_to: str | None, refusal: type[Refused]) -> None:
    day = None if closed_to is None else date.fromisoformat(closed_to)
    with pytest.raises(refusal):
        rulebook.decide(FIRST, published(number), read, day)


def closing(digest: str) -> StatementClosed:
    return StatementClosed(
        **WHEN,
        id="C-1/2026-01",
        contract="C-1",
        period="2026-01",
        position=7,
        digest=digest,
        statement="{}",
        given="{}",
        carried="[]",
        seals="{}",
    )


def restating(version: int, digest: str, carried: str = "[]") -> StatementRestated:
    fields = {name: getattr(closing(digest), name) for name in closing(digest).__struct_fields__}
    return StatementRestated(**fields | {"version": version, "carried": carried}, adjustment="{}")


def test_restating_issues_a_further_version_where_something_is_said_otherwise() -> None:
    closed = statement.evolve(None, closing("a"))
    assert statement.decide(closed, restating(2, "a")) == ()
    assert statement.decide(closed, restating(2, "b")) == (restating(2, "b"),)
    assert statement.decide(closed, restating(2, "a", carried="[1]")) == (restating(2, "a", carried="[1]"),)
    again = statement.evolve(closed, restating(2, "b"))
    assert statement.decide(again, restating(3, "b")) == ()
    assert [statement.version_of(each) for each in (None, closed, again)] == [0, 1, 2]


def test_given_a_closed_statement_when_it_is_closed_again_then_nothing_changes() -> None:
    assert statement.decide(None, closing("a")) == (closing("a"),)
    assert statement.decide(statement.evolve(None, closing("a")), closing("b")) == ()
