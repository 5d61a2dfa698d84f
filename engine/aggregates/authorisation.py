"""An agency authorisation: what an agent may sell, where, on which days and how much; a sub-agent's lies within that of the
agent above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final, assert_never

import msgspec

from engine.aggregates.refusal import Refused
from engine.aggregates.relation import Aggregate, AlreadyThere, Look, NotThere, Requirement, Standing, fits, those
from engine.aggregates.reported import OtherPartner
from engine.events import AuthorisationGranted, AuthorisationRevoked
from engine.money import decimal_of_micros, plain

AuthorisationCommand = AuthorisationGranted | AuthorisationRevoked
KIND: Final = "authorisation"
PARENT: Final = "parent"
# From this day on events of a contract that has an authorisation need one: from the first day that events may have.
_ALWAYS = date(1970, 1, 1)


class Authorisation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` is granted or revoked; `valid_to` is that of the revocation, where it comes first. `volume_max` is in micros.

    `limited` is whether this or any within which it lies has a volume.
    """

    authorisation: str
    partner: str
    contract: str
    state: str
    valid_from: date
    valid_to: date | None = None
    products: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    volume_max: int | None = None
    meter: str | None = None
    parent: str | None = None
    limited: bool = False
    author: str | None = None
    reason: str | None = None

    @property
    def ever(self) -> bool:
        """Whether it holds on any day."""
        return self.valid_to is None or self.valid_from < self.valid_to


class EndsBeforeItBegins(Refused):
    code = "ends-before-it-begins"


class OtherParent(Refused):
    """A contract has one agent above it, for ever."""

    code = "other-parent"


class BeyondParent(Refused):
    """A sub-agent may sell no more than the agent above it."""

    code = "beyond-parent"


class SubAgentsStand(Refused):
    """What sub-agents' authorisations lie within cannot be taken away from above them."""

    code = "sub-agents-stand"


_STEPS = {"authorisation.granted": (), "authorisation.revoked": ("granted",)}


def of_contract(contract: str) -> str:
    """The group of all authorisations of the contract."""
    return f"of {contract}"


def under(parent: str) -> str:
    """The group of the sub-agents' authorisations within this one."""
    return f"under {parent}"


# The group of those that hold only up to a volume.
LIMITED = "limited"


def decide(known: Authorisation | None, command: AuthorisationCommand, look: Look) -> AuthorisationCommand:
    """Raises NotThere, AlreadyThere, WrongState, OtherPartner, EndsBeforeItBegins, OtherParent, BeyondParent, SubAgentsStand."""
    match command:
        case AuthorisationGranted():
            parent = _check_grant(known, command, look)
            limited = command.volume_max is not None or (parent is not None and parent.limited)
            return msgspec.structs.replace(command, limited=limited)
        case AuthorisationRevoked():
            _check_revocation(known, command, look)
            return command
        case _:
            assert_never(command)


def _check_grant(known: Authorisation | None, command: AuthorisationGranted, look: Look) -> Authorisation | None:
    """Returns that of the agent above."""
    what = f"authorisation {command.authorisation}"
    if known is not None:
        raise AlreadyThere(
            f"{what} was granted to partner {known.partner} already; grant another one under an id of its own, and write this "
            "message off"
        )
    if command.valid_to is not None and command.valid_to <= command.valid_from:
        raise EndsBeforeItBegins(
            f"{what} would end on {command.valid_to}, not after it begins on {command.valid_from}; send it with other days "
            "under a new id, and write this message off"
        )
    parent = _parent(command, look)
    assert command.contract is not None, command
    above = parent.contract if parent else None
    # Of those that there are, any says under whom the contract stands: none was granted that would put it elsewhere.
    for other in look(those(KIND), of_contract(command.contract))[:1]:
        before = look(KIND, other.parent).contract if other.parent else None
        if before != above:
            raise OtherParent(
                f"contract {command.contract} stands under {_agent(before)} by authorisation {other.authorisation}, and {what} "
                f"would put it under {_agent(above)}; sign a contract of its own for that, grant it there under a new id, and "
                "write this message off"
            )
    if parent is not None:
        beyond = next(_beyond(command, parent, look), None)
        if beyond is not None:
            raise BeyondParent(
                f"{what} lies within {parent.authorisation}, and {beyond}; grant no more than that under a new id, and write "
                "this message off"
            )
    return parent


def _agent(contract: str | None) -> str:
    return f"that of contract {contract}" if contract else "nobody"


def _parent(command: AuthorisationGranted, look: Look) -> Authorisation | None:
    if command.parent is None:
        return None
    found: Authorisation | None = look(KIND, command.parent)
    if found is None:
        raise NotThere(
            f"authorisation {command.parent}, within which {command.authorisation} lies, was never granted; send its "
            "authorisation.granted, and this message is recycled by itself",
            waits_for=f"{KIND}:{command.parent}",
        )
    if found.contract == command.contract:
        raise OtherParent(
            f"authorisation {command.authorisation} is of the same contract as {found.authorisation}, within which it would lie; "
            "grant it to the sub-agent's own contract under a new id, and write this message off"
        )
    return found


def _beyond(command: AuthorisationGranted, parent: Authorisation, look: Look) -> Iterator[str]:
    """In which ways more is granted than the agent above may sell."""
    for what, asked, allowed in (
        ("product", command.products, parent.products),
        ("region", command.regions, parent.regions),
    ):
        if allowed is not None and (asked is None or set(asked) - set(allowed)):
            yield f"names {what} {', '.join(sorted(set(asked) - set(allowed))) if asked else 'none, so all'} beyond {', '.join(allowed)}"
    if command.valid_from < parent.valid_from or (
        parent.valid_to is not None and (command.valid_to is None or command.valid_to > parent.valid_to)
    ):
        days = f"from {parent.valid_from} up to {parent.valid_to or 'further notice'}"
        yield f"its days reach beyond those {days}"
    limited = next((each for each in (parent, *ancestors(parent, look)) if each.volume_max is not None), None)
    if limited is None or limited.volume_max is None:
        return
    if command.volume_max is not None and command.meter != limited.meter:
        yield f"its volume counts {counted(command.meter)}, where {limited.authorisation} counts {counted(limited.meter)}"
    elif command.volume_max is not None and command.volume_max > limited.volume_max:
        yield f"its volume is above the {volume(limited.volume_max)} of {limited.authorisation}"
    own, others = (look("contract", each).currency for each in (command.contract or "", limited.contract))
    if limited.meter is None and own != others:
        yield f"{limited.authorisation} counts amounts in {others}, where the contract settles in {own}"


def ancestors(known: Authorisation, look: Look) -> Iterator[Authorisation]:
    """The authorisations within which it lies, upwards."""
    while known.parent is not None:
        known = look(KIND, known.parent)
        yield known


def agents(known: Authorisation, look: Look) -> dict[str, str]:
    """The partners above the agent's, by the names of their parties in a split: `parent`, `parent 2` and so on upwards."""
    chain = (each.partner for each in ancestors(known, look))
    return {PARENT if at == 1 else f"{PARENT} {at}": partner for at, partner in enumerate(chain, 1)}


def counted(meter: str | None) -> str:
    return "amounts charged" if meter is None else f"quantities of {meter}"


def volume(micros: int) -> str:
    return plain(decimal_of_micros(micros))


def _check_revocation(known: Authorisation | None, command: AuthorisationRevoked, look: Look) -> None:
    what = f"authorisation {command.authorisation}"
    if known is None:
        raise NotThere(
            f"{what} was never granted; send its authorisation.granted, and this message is recycled by itself",
            waits_for=f"{KIND}:{command.named}",
        )
    if known.partner != command.partner:
        raise OtherPartner(
            f"{what} is of partner {known.partner}, not of {command.partner}; send it with the right one under a new id, and "
            "write this message off"
        )
    fits(what, known.state, command.NAME, _STEPS)
    standing: Sequence[Any] = look(those(KIND), under(command.authorisation))
    longer = [
        each.authorisation
        for each in standing
        if each.ever and (each.valid_to is None or each.valid_to > command.valid_to)
    ]
    if longer:
        raise SubAgentsStand(
            f"{what} cannot end on {command.valid_to} while sub-agents sell within it: {', '.join(longer[:5])}"
            + (f" and {len(longer) - 5} more" if len(longer) > 5 else "")  # noqa: PLR2004
            + "; revoke those first, as of the same day or an earlier one, and then this under a new id, and write this "
            "message off"
        )


def evolve(known: Authorisation | None, event: AuthorisationCommand) -> Authorisation:
    match event:
        case AuthorisationGranted():
            assert event.contract is not None, event
            return Authorisation(
                authorisation=event.authorisation,
                partner=event.partner,
                contract=event.contract,
                state="granted",
                valid_from=event.valid_from,
                valid_to=event.valid_to,
                products=event.products,
                regions=event.regions,
                volume_max=event.volume_max,
                meter=event.meter,
                parent=event.parent,
                limited=event.limited,
                author=event.author,
            )
        case AuthorisationRevoked():
            assert known is not None, event
            end = event.valid_to if known.valid_to is None else min(event.valid_to, known.valid_to)
            return msgspec.structs.replace(
                known, state="revoked", valid_to=end, author=event.author, reason=event.reason
            )
        case _:
            assert_never(event)


def standings(known: Authorisation) -> Iterator[Standing]:
    """One for each product and region; up to which volume is judged by engine.aggregates.allotment."""
    if known.ever:
        for product in known.products or (None,):
            for region in known.regions or (None,):
                yield Standing(
                    "authorisation", known.contract, known.valid_from, known.valid_to, product=product, region=region
                )


def requirements(known: Authorisation) -> Iterator[Requirement]:
    yield Requirement("contract", known.contract, "authorisation", _ALWAYS)


def groups(known: Authorisation) -> Iterator[str]:
    yield of_contract(known.contract)
    if known.parent is not None:
        yield under(known.parent)
    if known.limited:
        yield LIMITED


def looks_at(_: Authorisation | None, command: AuthorisationCommand) -> Iterator[tuple[str, str]]:
    if isinstance(command, AuthorisationRevoked):
        yield those(KIND), under(command.authorisation)
        return
    yield those(KIND), of_contract(command.contract or "")
    if command.parent is not None:
        yield KIND, command.parent


AGGREGATE = Aggregate(KIND, Authorisation, decide, evolve, standings, requirements, groups, looks_at)
