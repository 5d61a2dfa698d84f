"""A rulebook: its published versions, by number.

On a day the version counts that begins last before it; of versions that begin on the same day, the one published last: it
replaces the others.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple, assert_never

from engine.aggregates.persons import same_person
from engine.aggregates.refusal import Refused
from engine.events import RulebookEvent, RulebookPublished
from engine.facts import Grain


class Version(NamedTuple):
    """One published version. It is valid from `valid_from` until the day of the version that begins next."""

    version: int
    valid_from: date
    currency: str
    digest: str
    grain: Grain


class Rulebook(NamedTuple):
    """The versions by number, ascending."""

    rulebook: str
    versions: tuple[Version, ...]

    @property
    def grain(self) -> Grain:
        """All that any version needs; facts of its contracts are kept at it."""
        return Grain.union(version.grain for version in self.versions)


class VersionNotNext(Refused):
    code = "version-not-next"


class CurrencyChanged(Refused):
    code = "rulebook-currency-changed"


class NotTheRulebookNamed(Refused):
    code = "rulebook-name-mismatch"


class InvalidRulebook(Refused):
    code = "rulebook-invalid"


class NotApproved(Refused):
    """A version that changes closed periods takes two persons."""

    code = "rulebook-not-approved"


class MeasureFails(Refused):
    """A measure of the version yields nothing for an event that is recorded under it."""

    code = "measure-fails"


def decide(
    rulebook: Rulebook | None, command: RulebookPublished, version: Version, closed_to: date | None
) -> tuple[RulebookEvent, ...]:
    """`version` is what the checker read from the command's text; statements are closed up to `closed_to`.

    Raises the refusals above.
    """
    published = rulebook.versions if rulebook else ()
    name = command.rulebook
    if command.version != version.version:
        raise NotTheRulebookNamed(
            f"the message says version {command.version}, its text {version.version}; make them agree"
        )
    if command.version != len(published) + 1:
        raise VersionNotNext(
            f"the next version of {name} is {len(published) + 1}, not {command.version}; a published version never "
            "changes, so give a changed text the next number"
        )
    if published and version.currency != published[-1].currency:
        raise CurrencyChanged(
            f"{name} settles in {published[-1].currency}; a rulebook in {version.currency} needs a name of its own"
        )
    named = None not in {command.author, command.approver}
    approved = named and not same_person(command.author, command.approver)
    if closed_to is not None and version.valid_from < closed_to and not approved:
        raise NotApproved(
            f"statements under {name} are closed up to {closed_to}, and version {command.version} would be valid from "
            f"{version.valid_from}: that takes an author and an approver other than the author; name both under a new id, or "
            f"let it begin on {closed_to} or later"
        )
    return (command,)


def evolve(rulebook: Rulebook | None, event: RulebookEvent, version: Version) -> Rulebook:
    match event:
        case RulebookPublished():
            published = rulebook.versions if rulebook else ()
            return Rulebook(event.rulebook, (*published, version))
        case _:
            assert_never(event)


def in_force(rulebook: Rulebook, day: date) -> Version | None:
    """The version that counts on the day; None before the first."""
    begun = [version for version in rulebook.versions if version.valid_from <= day]
    return max(begun, key=lambda version: (version.valid_from, version.version), default=None)
