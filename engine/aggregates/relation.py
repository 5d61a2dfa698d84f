"""What the aggregates of the relationship around settlement have in common: qualifications, services, leads and the like.

Each is a kind with a state, a decision and an evolution. What follows from its state for the events of contracts is said in
two words: a *standing* is that something holds on certain days, and a *requirement* that events of certain contracts count only
where it does. So one screening, in columns, serves all kinds (engine.aggregates.standing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec

from engine.aggregates.persons import same_person
from engine.aggregates.refusal import Refused
from engine.events import Event

# The state of another aggregate, by its kind and id; None where there is none. Also of kind `contract`; of `score`, the latest
# version issued, by the id of its assessment; of `statement`, by contract and period, the versions that were issued
# (engine.store.statements.Issued); of `points`, by partner, program and day, what can be spent of the account
# (engine.aggregates.redemption); of `usage`, by contract, a day in the last period of which events are recorded that it settles.
# Of `those(kind)` and the name of a group: the states of all in it, by their ids, as a list that is right until the next decision.
Look = Callable[[str, str], Any]


ANY = "*"


def those(kind: str) -> str:
    """What a Look is asked for to get all relations of the kind in a group."""
    return f"{kind}{ANY}"


Gate = Literal["qualification", "certificate", "service", "authorisation", "content"]


class Standing(NamedTuple):
    """On the days from `first` up to, and without, `end` the gate is open for the subject: of product and region, or of any.

    The subject is a partner for `qualification` (key: its type) and `certificate` (key: the course), a contract for `service` and
    `authorisation`, a piece of content (`engine.events.base.joined` of partner and content) for `content`.
    """

    gate: Gate
    subject: str
    first: date
    end: date | None = None
    key: str = ""
    product: str | None = None
    region: str | None = None


class Requirement(NamedTuple):
    """Events of the contract, or of contracts under the cooperation model, that happen on these days have to pass the gate."""

    scope: Literal["contract", "model"]
    subject: str
    gate: Gate
    first: date
    end: date | None = None
    key: str = ""


def nothing(*_: Any) -> tuple[()]:  # noqa: ANN401 - any state
    return ()


class Aggregate(NamedTuple):
    """One kind. `decide` returns the one event that a command comes to, or refuses; it may look at other aggregates.

    `groups` are the names under which relations of the kind are found together, such as all leads of one customer. `looks_at` says
    of a command, and the state before it, what a Look will be asked for: for speed alone, since a run reads all of that at once.
    """

    kind: str
    state: type[msgspec.Struct]
    decide: Callable[[Any, Any, Look], Event]
    evolve: Callable[[Any, Any], Any]
    standings: Callable[[Any], Iterable[Standing]] = nothing
    requirements: Callable[[Any], Iterable[Requirement]] = nothing
    groups: Callable[[Any], Iterable[str]] = nothing
    looks_at: Callable[[Any, Any], Iterable[tuple[str, str]]] = nothing


class WrongState(Refused):
    """What is asked for does not follow from the state that the thing is in."""

    code = "wrong-state"


class OutOfTurn(WrongState):
    """It does not follow now, and another step can be taken. `early` is what is said of it where that may have happened before it."""

    def __init__(self, sentence: str, early: str) -> None:
        super().__init__(sentence)
        self.early = early


class NotThere(Refused):
    """A step in the life of something that nobody has begun."""

    code = "not-there"


class AlreadyThere(Refused):
    code = "already-there"


class OwnApproval(Refused):
    """Whoever wrote it cannot approve it."""

    code = "own-approval"


def check_other(asked: str, author: str | None, approver: str | None) -> None:
    """`asked` is what was asked for up to, and without, its author's name. Raises OwnApproval."""
    if same_person(approver, author):
        raise OwnApproval(
            f"{asked} {author}, who cannot approve it; have somebody else do so under a new id, and write this message off"
        )


def fits(what: str, state: str, does: str, possible: Mapping[str, tuple[str, ...]]) -> None:
    """`possible` says by step from which states it can be taken. Raises WrongState, which names what can be done next."""
    if state in possible[does]:
        return
    said = f"{what} is {state.replace('_', ' ')}, so {does} does not apply; "
    following = [step for step, states in possible.items() if state in states]
    if not following:
        raise WrongState(f"{said}nothing can follow from there, and write this message off")
    said += f"from there {' or '.join(following)} is possible; do that instead"
    raise OutOfTurn(
        f"{said}, and write this message off",
        f"{said}, and write this message off; or send what came before it, and this message is recycled by itself",
    )
