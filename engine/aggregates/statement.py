"""A statement: open until it is closed, and then never changed."""

from __future__ import annotations

from typing import assert_never

from engine.events import StatementClosed, StatementEvent

# The state is the closing itself; None while the statement is open.
Statement = StatementClosed


def decide(statement: Statement | None, command: StatementClosed) -> tuple[StatementEvent, ...]:
    """Closing a closed statement yields nothing: what was issued stands."""
    return () if statement is not None else (command,)


def evolve(_: Statement | None, event: StatementEvent) -> Statement:
    match event:
        case StatementClosed():
            return event
        case _:
            assert_never(event)
