"""The publication of an issued statement: which of its parties the partner is, what it gets, and by which days."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from engine.aggregates import authorisation, cooperation_model
from engine.aggregates.contract import Contract, UnknownContract
from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Look, NotThere, those
from engine.aggregates.taxing import shown
from engine.events import Agent, StatementDays, StatementPublished, Sum, joined
from engine.money import total
from engine.period import Period, day_in


class StatementNotClosed(Refused):
    code = "statement-not-closed"


class PartyNotNamed(Refused):
    code = "party-not-named"


class NoSuchAgent(Refused):
    """Nobody of that name stands above the contract's partner with a share of the statement."""

    code = "no-such-agent"


class BeforeLastStep(Refused):
    code = "before-last-step"


def published(what: str, command: StatementPublished, look: Look) -> StatementPublished:
    """Raises the refusals above and UnknownContract."""
    contract: Contract | None = look("contract", command.contract)
    if contract is None:
        raise UnknownContract(
            f"contract {command.contract} of this {command.NAME} is not signed; send its contract.signed, and this message is "
            "recycled by itself",
            waits_for=f"contract:{command.contract}",
        )
    issued = look("statement", joined(command.contract, command.period))
    if not issued:
        raise StatementNotClosed(
            f"{what} is not closed; close it first (settle close {command.period}), and this message is recycled by itself",
            waits_for=f"statement:{joined(command.contract, command.period)}",
        )
    said: Mapping[str, Any] = msgspec.json.decode(issued[0].statement)
    end = Period.parse(command.period).end
    day = day_in(contract.time_zone, command.time)
    if day < end:
        raise BeforeLastStep(
            f"{what} ends with the day before {end}, and would be published on {day}; give it that day or a later one under a "
            "new id, and write this message off"
        )
    agents: tuple[Agent, ...] = ()
    if command.agent is None:
        agents = _agents(command.contract, said, look)
        known = look("partner", contract.partner)
        partner = contract.partner
        party = _party(what, command.party, said, {each.party for each in agents}, known.kind if known else None)
    else:
        party, partner = command.agent, _partner_of(command.agent, command, look)
    days = _days(contract, end - timedelta(days=1), look)
    until = pay_by = None
    if days is not None:
        # A partner has its days however late the statement was published.
        last = max(end - timedelta(days=1), day - timedelta(days=days.publish_by))
        until, pay_by = last + timedelta(days=days.dispute_until), last + timedelta(days=days.pay_by)
    return msgspec.structs.replace(
        command, party=party, due=due_to(said, party), dispute_until=until, pay_by=pay_by, digest=said["digest"],
        partner=partner, time_zone=contract.time_zone, agents=agents,
    )  # fmt: skip


def _agents(contract: str, said: Mapping[str, Any], look: Look) -> tuple[Agent, ...]:
    """The agents above the contract's partner who are parties of the statement, from the nearest upwards."""
    parties = _parties(said)
    if not any(each.startswith(authorisation.PARENT) for each in parties):
        return ()
    own = look(those(authorisation.KIND), authorisation.of_contract(contract))
    chain = authorisation.agents(own[0], look) if own else {}
    return tuple(Agent(party, partner) for party, partner in chain.items() if party in parties)


def _partner_of(agent: str, command: StatementPublished, look: Look) -> str:
    """Which partner the agent is, by the note of the contract's partner."""
    what = f"the statement of {command.contract} for {command.period}"
    id_ = joined(command.contract, command.period)
    note = look("note", id_)
    if note is None:
        raise NotThere(
            f"{what} is not published to its partner; send that statement.published, and this message is recycled by itself",
            waits_for=f"note:{id_}",
        )
    found: dict[str, str] = {each.party: each.partner for each in note.agents}
    if agent not in found:
        raise NoSuchAgent(
            f"{what} has no share of an agent {agent!r} above its partner, but of {', '.join(found) or 'none'}; name one of "
            "those under a new id, and write this message off"
        )
    return found[agent]


def _parties(said: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(share["party"] for sum_ in said["due"] for share in sum_["parties"]))


def _days(contract: Contract, on: date, look: Look) -> StatementDays | None:
    model = look("cooperation_model", contract.cooperation_model)
    version = cooperation_model.on(model, on) if model else None
    return version.days if version else None


def _party(what: str, named: str | None, said: Mapping[str, Any], agents: Collection[str], kind: str | None) -> str:
    """Which of the statement's parties the partner is: none of the agents above it."""
    parties = [each for each in _parties(said) if each not in agents]
    if named is not None and (named in parties or not parties):
        return named
    if named is None:
        for name in ("partner", kind):
            if name is not None and name in parties:
                return name
        if len(parties) <= 1:  # none in a period in which nothing was earned
            return str(parties[0]) if parties else "partner"
    raise PartyNotNamed(
        f"{what} is shared by {', '.join(parties)}, and the partner is {named or 'none of them by name'}; say which (--party, or "
        "the field party under a new id), and write this message off"
    )


# Whose a deposit is, by the name that it has on every statement (engine.settlement.finishing).
DEPOSITOR = "partner"


def deposit_to(said: Mapping[str, Any], party: str) -> tuple[Sum, ...]:
    """What of that is a deposit which the party gets back, by currency: of a final statement, and of what adjusts one."""
    found = []
    for sum_ in said["due"] if party == DEPOSITOR else ():
        amount = Decimal(0)
        for made in (said, *said["adjustments"]):
            amount = total(amount, deposit_in(made, sum_["currency"], said["currency"]))
        if amount:
            found.append(Sum(sum_["currency"], shown(amount, sum_["currency"])))
    return tuple(found)


def deposit_in(made: Mapping[str, Any], currency: str, own: str) -> Decimal:
    """What a statement, or an adjustment on a statement in the currency `own`, returns of a deposit in the currency."""
    if "final" in made:
        rows = [(each["amount"], each["currency"]) for each in made["final"]["lines"] if each["name"] == "deposit"]
    else:
        rows = [(each["amount"], each.get("unit", own)) for each in made["lines"] if each["name"] == "final: deposit"]
    amount = Decimal(0)
    for text, unit in rows:
        amount = total(amount, Decimal(text)) if unit == currency else amount
    return amount


def due_to(said: Mapping[str, Any], party: str) -> tuple[Sum, ...]:
    """What a statement's JSON object says that the party gets, by currency."""
    return tuple(
        Sum(sum_["currency"], next((each["amount"] for each in sum_["parties"] if each["party"] == party), "0"))
        for sum_ in said["due"]
    )
