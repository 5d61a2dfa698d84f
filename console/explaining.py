"""settle explain: why an amount is what it is."""

from __future__ import annotations

from typing import Annotated

import typer

from console.explained import named, told, told_all
from console.reasons import tree_of
from console.session import JSON, opened, out, print_json, refuse
from console.settling import PERIOD, VERSION, period_of
from engine.settlement.statements import view

_EVENTS_SHOWN = 3


def explain(
    contract: Annotated[str, typer.Argument(help="The contract's id.")],
    period: Annotated[str, PERIOD],
    line: Annotated[
        str | None, typer.Argument(help="A line, a party, or what is due; without one, every amount.")
    ] = None,
    events: Annotated[
        int, typer.Option("--events", help="How many event ids to show under each fact.", min=0)
    ] = _EVENTS_SHOWN,
    version: Annotated[int, VERSION] = 1,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The tree behind an amount: steps, clauses, operands, tiers, rounding, remainder, facts and their events.

    Of what a final statement clears: the periods that it comes from, and the events of the deposit.
    """
    chosen = period_of(period)
    with opened() as store, store.reading() as cursor:
        seen = view(cursor, contract, chosen, version)
        if line is not None and line not in (names := named(seen)):
            refuse(f"the statement has no line or party {line!r}; it has {', '.join(names)}")
        reasons = told_all(cursor, seen, events) if line is None else [told(cursor, seen, line, events)]
    if as_json:
        print_json(
            {"contract": contract, "period": str(chosen), "digest": seen.statement["digest"], "reasons": reasons}
        )
        return
    for reason in reasons:
        out.print(tree_of(reason))
