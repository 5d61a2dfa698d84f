"""Rulebooks as settlement needs them: each published version parsed once, and the one that settles a period."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from engine.aggregates import rulebook as rulebooks
from engine.aggregates.contract import Contract
from engine.aggregates.refusal import Refused
from engine.period import Period
from engine.rules.check import check
from engine.rules.model import Rulebook
from engine.store import registry
from engine.store.database import Rows


class NoRulebook(Refused):
    code = "no-rulebook"


class OtherCurrency(Refused):
    code = "currency-mismatch"


def version_of(book: Rulebook) -> rulebooks.Version:
    """What a decision needs of a checked rulebook."""
    return rulebooks.Version(book.version, book.valid_from, book.currency, book.digest, book.whole_grain)


@lru_cache(maxsize=1_000)
def read(text: str) -> Rulebook:
    """The rulebook that a published text states."""
    found = check(text, "rulebook").rulebook
    assert found is not None, text[:80]
    return found


def version_for(published: rulebooks.Rulebook | None, contract: Contract, period: Period) -> rulebooks.Version:
    """The version in force when the period, or the contract in it, begins. Raises NoRulebook, OtherCurrency."""
    day = max(period.first, contract.valid_from)
    version = rulebooks.in_force(published, day) if published else None
    if version is None:
        raise NoRulebook(
            f"contract {contract.contract} settles by rulebook {contract.rulebook}, of which no version is valid on "
            f"{day}; publish one (settle rulebook publish FILE)"
        )
    if version.currency != contract.currency:
        raise OtherCurrency(
            f"contract {contract.contract} is in {contract.currency}, but rulebook {contract.rulebook} settles in "
            f"{version.currency}; publish a rulebook in {contract.currency} under the name that the contract gives"
        )
    return version


class Books:
    """Rulebooks as read from the store, each version parsed once."""

    def __init__(self, cursor: Rows, ids: Iterable[str]) -> None:
        self._cursor = cursor
        self._published = registry.rulebooks(cursor, set(ids))
        self._read: dict[tuple[str, int], Rulebook] = {}

    def for_period(self, contract: Contract, period: Period) -> Rulebook:
        """The version in force when the period, or the contract in it, begins. Raises NoRulebook, OtherCurrency."""
        version = version_for(self._published.get(contract.rulebook), contract, period)
        return self.version(contract.rulebook, version.version)

    def settles(self, rulebook: Rulebook, contract: Contract, period: Period) -> bool:
        """Whether this version settles the contract in the period, and no other, or none."""
        try:
            return self.for_period(contract, period).version == rulebook.version
        except NoRulebook:
            return False

    def version(self, rulebook: str, version: int) -> Rulebook:
        found = self._read.get((rulebook, version))
        if found is None:
            text = registry.rulebook_text(self._cursor, rulebook, version)
            assert text is not None, (rulebook, version)
            self._read[rulebook, version] = found = read(text)
        return found

    def versions(self, rulebook: str) -> list[Rulebook]:
        """All published versions, the first first."""
        published = self._published.get(rulebook)
        return [self.version(rulebook, each.version) for each in published.versions] if published else []

    def carry(self, rulebook: str) -> bool:
        """Whether any version leaves something from period to period."""
        return any(
            contents.carries
            for book in self.versions(rulebook)
            for contents in (book, *(e.contents for e in book.eras))
        )
