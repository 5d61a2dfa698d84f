"""settle journal: what every statement, adjustment and payment means in double entry."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.table import Column, Table

from console.replaying import AS_OF, position_of
from console.session import JSON, opened, out, print_json
from engine.money import plain
from engine.projections.journal import Entry, trial
from engine.store import journal

app = typer.Typer(help="The journal: double entry of all that was settled and paid.", no_args_is_help=True)

AT = typer.Option("--at", metavar="DAY", help="With the end of this day of effect.", formats=["%Y-%m-%d"])
_SHOWN = 50


@app.command()
def balance(
    at: Annotated[datetime | None, AT] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"As known then. {AS_OF}")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    party: Annotated[str | None, typer.Option("--party", help="Only this party's.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The accounts on a day, as known at a time: debits positive. All of them together come to 0."""
    with opened() as store, store.reading() as cursor:
        position = position_of(cursor, as_of, "--as-of")
        found = journal.balances(cursor, at=at and at.date(), position=position, contract=contract, party=party)
    sums = trial(found)
    if as_json:
        print_json(
            {
                "position": position,
                "balances": [each._asdict() | {"amount": plain(each.amount)} for each in found],
                "trial": {currency: plain(amount) for currency, amount in sums.items()},
            }
        )
        return
    table = Table("account", "party", "currency", Column("debit", justify="right"), Column("credit", justify="right"))
    for each in found:
        sides = (plain(each.amount), "") if each.amount > 0 else ("", plain(-each.amount))
        table.add_row(each.account, each.party, each.currency, *sides)
    out.print(table)
    for currency, sum_ in sums.items():
        out.print(f"all accounts in {currency} come to {plain(sum_)}")
    if not found:
        out.print("nothing is in the journal; settle close PERIOD makes statements")


@app.command("list")
def entries(
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="From this day on.")] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Up to and with this day.")
    ] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"As known then. {AS_OF}")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = _SHOWN,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Entries in the order in which they were known."""
    with opened() as store, store.reading() as cursor:
        position = position_of(cursor, as_of, "--as-of")
        found = journal.entries(cursor, first=first and first.date(), end=_after(last), contract=contract, to=position)
        if as_json:
            print_json([_told(each) for each in found])
            return
        table = Table("position", "day", "contract", "what", "account", "party", "amount", "")
        table.columns[6].justify = "right"
        more = False
        for number, each in enumerate(found):
            if limit and number >= limit:
                more = True
                break
            for line, posting in enumerate(each.postings):
                head = ("", "", "", "") if line else (f"{each.position}", f"{each.day}", each.contract, each.reference)
                table.add_row(*head, posting.account, posting.party, plain(posting.amount), posting.currency)
    out.print(table)
    if more:
        out.print(f"{limit} entries shown (--limit 0 shows all)")


def _after(last: datetime | None) -> date | None:
    return None if last is None else last.date() + timedelta(days=1)


def _told(entry: Entry) -> dict[str, Any]:
    postings = [each._asdict() | {"amount": plain(each.amount)} for each in entry.postings]
    return entry._asdict() | {"day": str(entry.day), "postings": postings}


COLUMNS = ("position", "day", "contract", "period", "reference", "account", "party", "amount", "currency")


@contextmanager
def writing_to(path: Path | None) -> Iterator[IO[str]]:
    """The file, or standard output where none is named."""
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_csv(entries: Iterable[Entry], file: IO[str]) -> int:
    """One row a posting, with a header; returns how many entries there are."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    number = 0
    for number, each in enumerate(entries, 1):  # noqa: B007 - the last number is the count
        for posting in each.postings:
            writer.writerow(
                (each.position, each.day, *map(_safe, (each.contract, each.period, each.reference, posting.account, posting.party)),
                 plain(posting.amount), posting.currency)
            )  # fmt: skip
    return number


def _safe(text: str) -> str:
    # A spreadsheet takes a cell that begins so for a formula.
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
