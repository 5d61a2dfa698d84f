"""A statement: open until it is closed, and then never changed; restating it issues a further version of it."""

from __future__ import annotations

from typing import assert_never

from engine.events import StatementClosed, StatementEvent, StatementRestated

# The state is the event that issued the latest version; None while the statement is open.
Statement = StatementClosed | StatementRestated


def version_of(statement: Statement | None) -> int:
    """The number of the latest version issued; 0 while the statement is open."""
    match statement:
        case None:
            return 0
        case StatementClosed():
            return 1
        case StatementRestated():
            return statement.version
        case _:
            assert_never(statement)


def decide(statement: Statement | None, command: StatementEvent) -> tuple[StatementEvent, ...]:
    """Closing a closed statement yields nothing: what was issued stands. So does restating it to what it says already."""
    match command:
        case StatementClosed():
            return () if statement is not None else (command,)
        case StatementRestated():
            assert statement is not None, (command.contract, command.period)
            if (statement.digest, statement.carried) == (command.digest, command.carried):
                return ()
            assert command.version == version_of(statement) + 1, (command.contract, command.period, command.version)
            return (command,)
        case _:
            assert_never(command)


def evolve(_: Statement | None, event: StatementEvent) -> Statement:
    match event:
        case StatementClosed() | StatementRestated():
            return event
        case _:
            assert_never(event)
