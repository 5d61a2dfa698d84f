"""settle demo: the main job on real input, from events to explained statements."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from console import grocery
from console.intake import bar
from console.reasons import told_reason, tree_of
from console.session import DATA_DEFAULT, JSON, clock, data_folder, opened, out, print_json, refuse
from consumers.decode import decode
from consumers.ingest import Pipeline
from engine.period import Calendar, Period
from engine.settlement import closing
from engine.settlement.recording import Message, Slice
from engine.settlement.statements import shown, view
from engine.store import intake, registry, statements
from engine.store.database import Store
from engine.store.intake import Counts

_CHANNEL = "file:completejourney"
_LARGEST = 8
_EXPLAINED = "supplier share"


def months_option(at_least: int) -> Any:  # noqa: ANN401 - typer's own
    return typer.Option("--months", help="How many months of the year.", min=at_least, max=12)


def demo(
    context: typer.Context,
    months: Annotated[int, months_option(1)] = 3,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Settle real grocery suppliers: a year's first months, from events to statements with reasons."""
    if context.invoked_subcommand is not None:
        return
    with opened() as store:
        charges, counts = filled(store, months)
        periods = [Period.parse(f"{grocery.YEAR}-{month:02}") for month in range(1, months + 1)]
        closed = sum(_close(store, period) for period in periods)
        told = _told(store, charges, counts, periods) | {"closed": closed}
        if as_json:
            print_json(told)
        else:
            _print(store, told, periods)


def filled(store: Store, months: int) -> tuple[grocery.Charges, Counts]:
    """Takes the year's first months in. Refuses a store that holds anything else."""
    try:
        charges = grocery.Charges(months)
    except grocery.DataMissing as missing:
        refuse(str(missing))
    _refuse_a_store_in_use(store)
    return charges, _take_in(store, charges)


def _refuse_a_store_in_use(store: Store) -> None:
    with store.reading() as cursor:
        others = [c.contract for c in registry.all_contracts(cursor) if c.rulebook != grocery.RULEBOOK]
    if others:
        refuse(
            f"this store holds other contracts ({others[0]} ...); the demo writes only into a store of its own: name "
            "another folder with settle --data DIR demo"
        )


def _take_in(store: Store, charges: grocery.Charges) -> Counts:
    rulebook = (files("engine.rules") / "library" / "grocery-supplier.yaml").read_text(encoding="utf-8")
    first = [*grocery.registrations(), grocery.publication(rulebook)]
    counts = Counts()
    with (
        bar("events", len(first) + charges.number) as (progress, task),
        Pipeline(store, clock) as pipeline,
    ):
        with store.writing() as cursor:
            intake.ensure(cursor, _CHANNEL, [(0, 0)])
        number = 0
        for part in (first, *charges.parts()):
            messages = [Message(_CHANNEL, 0, number + i, None, decode(raw)) for i, raw in enumerate(part)]
            number += len(part)
            counts = counts.plus(pipeline.submit([Slice(_CHANNEL, 0, None, len(part))], messages))
            progress.update(task, completed=number, messages=number)
        return counts.plus(pipeline.finish())


def _close(store: Store, period: Period) -> int:
    with bar(f"close {period}", None) as (progress, task):
        closed = closing.close(
            store, period, clock(), progress=lambda n, of: progress.update(task, completed=n, total=of, messages=n)
        )
    if closed.refused:
        refuse(f"{len(closed.refused)} statements of {period} could not be closed, the first: {closed.refused[0][2]}")
    return closed.closed


def _told(store: Store, charges: grocery.Charges, counts: Counts, periods: list[Period]) -> dict[str, Any]:
    with store.reading() as cursor:
        issued = [
            (str(period), msgspec.json.decode(text))
            for period in periods
            for text in statements.texts(cursor, str(period))
        ]
    totals: dict[str, dict[str, int]] = {}
    partners: dict[str, dict[str, int]] = {}
    for month, statement in issued:
        lines = {line["name"]: line["amount"] for line in statement["lines"]}
        sums = {
            "events": statement["evidence"]["events"],
            "net sales": _cents(lines["net sales"]),
            "payable": _cents(statement["payable"]),
        } | {share["party"]: _cents(share["amount"]) for share in statement["parties"]}
        for into, key in ((totals, month), (partners, statement["contract"])):
            row = into.setdefault(key, {})
            for name, number in sums.items():
                row[name] = row.get(name, 0) + number
    largest = sorted(partners, key=lambda contract: (-partners[contract]["payable"], contract))[:_LARGEST]
    return {
        "charges": charges.number,
        "without_manufacturer": charges.unassigned,
        "of_value_zero": charges.zero,
        "counts": counts._asdict(),
        "statements": len(issued),
        "totals": {key: _shown(row) for key, row in sorted(totals.items())},
        "largest": {contract: _shown(partners[contract]) for contract in largest},
    }


def _cents(text: str) -> int:
    whole, _, fraction = text.partition(".")
    assert len(fraction) <= 2, text  # noqa: PLR2004
    return int(whole + fraction.ljust(2, "0"))


def _shown(row: dict[str, int]) -> dict[str, Any]:
    return {name: n if name == "events" else f"{'-' if n < 0 else ''}{abs(n) // 100:,}.{abs(n) % 100:02}"
            for name, n in row.items()}  # fmt: skip


def _print(store: Store, told: dict[str, Any], periods: list[Period]) -> None:
    counts = told["counts"]
    out.print(
        f"{told['charges']:,} grocery transactions of {grocery.YEAR}: {counts['recorded']:,} messages recorded, "
        f"{counts['duplicate']:,} duplicate, {counts['suspended']:,} suspended, {counts['rejected']:,} rejected."
    )
    out.print(
        f"{told['without_manufacturer']:,} without a manufacturer wait in suspense for contract {grocery.UNASSIGNED}; "
        f"{told['of_value_zero']:,} of value zero are recorded as 0.00."
    )
    out.print(f"{told['statements']:,} statements are closed. In USD:\n")
    _table("month", told["totals"])
    _table("contract", told["largest"])
    contract, period = next(iter(told["largest"])), str(periods[-1])
    with store.reading() as cursor:
        seen = view(cursor, contract, Period.containing(periods[-1].first, Calendar.monthly))
        share = next(line for line in seen.calculated.outcome.lines if line.name == _EXPLAINED)
        out.print(f"Why the {_EXPLAINED} of {contract} in {period} is {shown(share.amount)}:\n")
        out.print(tree_of(told_reason(share.reason, {})))
    settle = "settle" if shutil.which("settle") else os.path.relpath(sys.argv[0])
    if data_folder() != Path(DATA_DEFAULT):
        settle += f" --data {data_folder()}"
    out.print("\nTry next:")
    out.print(f"  {settle} statement {contract} {period}")
    out.print(f"  {settle} explain {contract} {period} payable")
    out.print(f"  {settle} status")


def _table(first: str, rows: dict[str, dict[str, Any]]) -> None:
    names = list(next(iter(rows.values())))
    table = Table(first, box=None)
    for name in names:
        table.add_column(name, justify="right")
    for key, row in rows.items():
        table.add_row(key, *(f"{row.get(name, 0):,}" if name == "events" else row.get(name, "0.00") for name in names))
    out.print(table)
    out.print()
