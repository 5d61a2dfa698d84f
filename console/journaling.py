"""settle journal: what every statement, adjustment and payment means in double entry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.table import Column, Table

from console.relating import day
from console.replaying import AS_OF, position_of
from console.session import JSON, opened, out, print_json, refuse, written
from consumers.outbound.beancount import beancount_text, journal_csv
from engine.money import plain
from engine.projections.journal import ROOTS, Entry, Posting, trial
from engine.store import journal

app = typer.Typer(help="The journal: double entry of all that was settled and paid.", no_args_is_help=True)

AT = typer.Option("--at", metavar="DAY", parser=day, help="With the end of this day of effect.")
FIRST = typer.Option("--from", metavar="DAY", parser=day, help="From this day of effect on.")
LAST = typer.Option("--to", metavar="DAY", parser=day, help="Up to and with this day of effect.")
_SHOWN = 50


@app.command()
def balance(
    at: Annotated[date | None, AT] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"As known then. {AS_OF}")] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    party: Annotated[str | None, typer.Option("--party", help="Only this party's.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The accounts on a day, as known at a time: debits positive. All of them together come to 0."""
    with opened() as store, store.reading() as cursor:
        position = position_of(cursor, as_of, "--as-of")
        found = journal.balances(cursor, at=at, position=position, contract=contract, party=party)
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
        chosen = any(each is not None for each in (at, as_of, contract, party))
        out.print(
            "nothing in the journal is so"
            if chosen
            else "nothing is in the journal; settle close PERIOD makes statements"
        )


@app.command("list")
def entries(
    first: Annotated[date | None, FIRST] = None,
    last: Annotated[date | None, LAST] = None,
    contract: Annotated[str | None, typer.Option("--contract", help="Only this contract's.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"As known then. {AS_OF}")] = None,
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = _SHOWN,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Entries in the order in which they were known."""
    with opened() as store, store.reading() as cursor:
        position = position_of(cursor, as_of, "--as-of")
        found = journal.entries(cursor, first=first, end=_after(last), contract=contract, to=position)
        if as_json:
            print_json([_told(each) for each in found])
            return
        table = Table("position", "day", "contract", "what", "account", "party", "amount", "")
        table.columns[6].justify = "right"
        more, number = False, 0
        for number, each in enumerate(found, 1):
            if limit and number > limit:
                more = True
                break
            for line, posting in enumerate(each.postings):
                head = ("", "", "", "") if line else (f"{each.position}", f"{each.day}", each.contract, each.reference)
                table.add_row(*head, posting.account, posting.party, plain(posting.amount), posting.currency)
    out.print(table)
    out.print(f"{limit} entries shown (--limit 0 shows all)" if more else f"{number:,} found")


def _after(last: date | None) -> date | None:
    return None if last is None else last + timedelta(days=1)


def _told(entry: Entry) -> dict[str, Any]:
    postings = [each._asdict() | {"amount": plain(each.amount)} for each in entry.postings]
    return entry._asdict() | {"day": str(entry.day), "postings": postings}


class _Posting(NamedTuple):
    """For consumers.outbound.beancount."""

    account: str
    amount: Decimal
    currency: str


class _Entry(NamedTuple):
    day: date
    position: int
    source: str
    narration: str
    postings: tuple[_Posting, ...]


def _exported(entry: Entry) -> _Entry:
    postings = tuple(_Posting(_account(each), Decimal(plain(each.amount)), each.currency) for each in entry.postings)
    what = f"{entry.reference} {entry.period}" if entry.period else entry.reference
    return _Entry(entry.day, entry.position, entry.contract, what, postings)


def _account(posting: Posting) -> str:
    """Root, account and party, with colons between; one in a party's id is none of those."""
    parts = [ROOTS[posting.account], posting.account, *([posting.party] if posting.party else [])]
    return ":".join(part.replace(":", "\N{MODIFIER LETTER COLON}") for part in parts)


FILE = typer.Option(
    "-o", "--output", metavar="FILE", help="Where to write it (default: standard output).", dir_okay=False
)


@app.command()
def export(
    file: Annotated[Path | None, FILE] = None,
    first: Annotated[date | None, FIRST] = None,
    last: Annotated[date | None, LAST] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"As known then. {AS_OF}")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The journal as CSV: one row a posting."""
    _export(journal_csv, file, first, last, as_of, as_json=as_json)


def export_beancount(
    file: Annotated[Path | None, FILE] = None,
    first: Annotated[date | None, FIRST] = None,
    last: Annotated[date | None, LAST] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help=f"As known then. {AS_OF}")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """The journal as a ledger that bean-check accepts."""
    _export(beancount_text, file, first, last, as_of, as_json=as_json)


def _export(
    write: Callable[[Iterator[_Entry]], Iterator[str]],
    file: Path | None,
    first: date | None,
    last: date | None,
    as_of: str | None,
    *,
    as_json: bool,
) -> None:
    """Entry by entry, to the file or to standard output. A file that was begun and not finished is not left behind."""
    if as_json and file is None:
        refuse("--json tells what was written to a file; name one with -o")
    number = 0

    def counted(entries: Iterator[Entry]) -> Iterator[_Entry]:
        nonlocal number
        for number, entry in enumerate(entries, 1):  # noqa: B007 - counted
            yield _exported(entry)

    with opened() as store, store.reading() as cursor:
        position = position_of(cursor, as_of, "--as-of")
        found = journal.entries(cursor, first=first, end=_after(last), to=position)
        if file is None:
            sys.stdout.writelines(write(counted(found)))
            return
        with written(file) as target:
            target.writelines(line.encode() for line in write(counted(found)))
    if as_json:
        print_json({"entries": number, "path": str(file)})
    else:
        out.print(f"{number:,} entries written to {file}", soft_wrap=True)
