"""A model of cooperation: its published versions. Each holds from its first day until the next one begins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import msgspec

from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, Gate, Look, Requirement
from engine.events import CooperationModelPublished


class CooperationModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The versions as published, by number."""

    model: str
    versions: tuple[CooperationModelPublished, ...]


class ModelVersionNotNext(Refused):
    code = "model-version-not-next"


class ModelBeginsEarlier(Refused):
    code = "model-begins-earlier"


class DaysOutOfOrder(Refused):
    code = "days-out-of-order"


def decide(known: CooperationModel | None, command: CooperationModelPublished, _: Look) -> CooperationModelPublished:
    """Raises ModelVersionNotNext, ModelBeginsEarlier, DaysOutOfOrder."""
    versions = known.versions if known else ()
    if command.version != len(versions) + 1:
        early = command.version > len(versions)
        raise ModelVersionNotNext(
            f"the next version of cooperation model {command.model} is {len(versions) + 1}, not {command.version}; a published "
            "version never changes, so give the changed model that number under a new id, and write this message off"
            + ("; or send what came before it, and this message is recycled by itself" if early else ""),
            waits_for=f"cooperation_model:{command.model}" if early else None,
        )
    if versions and command.valid_from <= versions[-1].valid_from:
        raise ModelBeginsEarlier(
            f"version {command.version} of cooperation model {command.model} would begin on {command.valid_from}, not after "
            f"version {versions[-1].version} on {versions[-1].valid_from}; let it begin later, under a new id, and write this "
            "message off"
        )
    days = command.days
    if days is not None and not days.publish_by <= days.dispute_until <= days.pay_by:
        raise DaysOutOfOrder(
            f"cooperation model {command.model} publishes after {days.publish_by} days, lets dispute until {days.dispute_until} "
            f"and pays by {days.pay_by}; these follow one another: send them so under a new id, and write this message off"
        )
    return command


def evolve(known: CooperationModel | None, event: CooperationModelPublished) -> CooperationModel:
    return CooperationModel(model=event.model, versions=(*(known.versions if known else ()), event))


def on(known: CooperationModel, day: date) -> CooperationModelPublished | None:
    """The version in force on the day; None before the first."""
    begun = [version for version in known.versions if version.valid_from <= day]
    return begun[-1] if begun else None


def requirements(known: CooperationModel) -> Iterator[Requirement]:
    ends = [*(version.valid_from for version in known.versions[1:]), None]
    for version, end in zip(known.versions, ends, strict=True):
        for gate, key in _gates(version):
            yield Requirement("model", known.model, gate, version.valid_from, end, key)


def _gates(version: CooperationModelPublished) -> Iterator[tuple[Gate, str]]:
    for qualification in version.qualifications:
        yield "qualification", qualification
    for course in version.courses:
        yield "certificate", course
    if version.authorisation:
        yield "authorisation", ""
    if version.published_content:
        yield "content", ""


AGGREGATE = Aggregate("cooperation_model", CooperationModel, decide, evolve, requirements=requirements)
