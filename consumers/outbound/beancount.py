"""The journal for accountants: Beancount text that `bean-check` accepts, and CSV. Both entry by entry, so memory stays flat."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from consumers.outbound.texts import one_line
from engine.aggregates.refusal import Refused

ROOTS = ("Assets", "Liabilities", "Equity", "Income", "Expenses")
COLUMNS = ("day", "position", "source", "narration", "account", "amount", "currency")

_YEARS = range(1900, 2100)
_OPENED = f"{_YEARS[0]}-01-01"
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9]", re.ASCII)
_START = re.compile(r"[A-Z0-9]", re.ASCII)
_MARK = "X-"
_FORMULA = ("=", "+", "-", "@", "'")


class CannotExport(Refused):
    code = "cannot-export"


class PostingLike(Protocol):
    """An amount on an account: `account` is a root of `ROOTS` and names below it, with `:` between."""

    @property
    def account(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...


class EntryLike(Protocol):
    """What happened on a day, in postings that come to zero in each currency. `source` says what it was made from."""

    @property
    def day(self) -> date: ...
    @property
    def position(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def narration(self) -> str: ...
    @property
    def postings(self) -> Sequence[PostingLike]: ...


def beancount_text(entries: Iterable[EntryLike]) -> Iterator[str]:
    """A ledger, one entry a text; accounts are opened before they are first used. Raises CannotExport."""
    opened: set[str] = set()
    for entry in entries:
        _check(entry)
        accounts = [beancount_account(posting.account) for posting in entry.postings]
        for name in dict.fromkeys(accounts):
            if name not in opened:
                opened.add(name)
                yield f"{_OPENED} open {name}\n"
        yield "\n".join(
            (
                f'{entry.day.isoformat()} * "{_quoted(entry.narration)}"',
                f"  position: {entry.position}",
                f'  source: "{_quoted(entry.source)}"',
                *(
                    f"  {name}  {posting.amount:f} {posting.currency}"
                    for name, posting in zip(accounts, entry.postings, strict=True)
                ),
                "\n",
            )
        )


def journal_csv(entries: Iterable[EntryLike]) -> Iterator[str]:
    """A head and one row a posting. Texts that a spreadsheet would compute begin with an apostrophe. Raises CannotExport."""
    yield _row(COLUMNS)
    for entry in entries:
        _check(entry)
        told = (entry.day.isoformat(), str(entry.position), _inert(entry.source), _inert(entry.narration))
        for posting in entry.postings:
            yield _row((*told, _inert(posting.account), f"{posting.amount:f}", posting.currency))


def beancount_account(account: str) -> str:
    """The account's name in Beancount. Two accounts never become one: `account_of` gives each one back.

    A component keeps letters, digits and hyphens; any other character is `-xHEX-`; one that would begin with neither a capital
    letter nor a digit, or be empty, begins with `X-`.

    >>> beancount_account("Liabilities:Partner:P-1")
    'Liabilities:Partner:P-1'
    >>> beancount_account("Liabilities:partner:tax withheld")
    'Liabilities:X-partner:X-tax-x20-withheld'
    """
    root, *components = account.split(":")
    if root not in ROOTS or not components:
        raise CannotExport(
            f"account {account[:60]!r} stands under no root; write one of {', '.join(ROOTS)}, and a name below it"
        )
    return ":".join((root, *(_component(each) for each in components)))


def account_of(name: str) -> str:
    """The account whose name in Beancount this is.

    >>> account_of("Liabilities:X-partner:X-tax-x20-withheld")
    'Liabilities:partner:tax withheld'
    """
    root, *components = name.split(":")
    plain = [
        re.sub(r"-x([0-9a-f]+)-", lambda found: chr(int(found[1], 16)), each.removeprefix(_MARK)) for each in components
    ]
    return ":".join((root, *plain))


def _component(text: str) -> str:
    coded = "".join(
        char if _PLAIN.match(char) or (char == "-" and text[i + 1 : i + 2] != "x") else f"-x{ord(char):x}-"
        for i, char in enumerate(text)
    )
    return coded if _START.match(coded) and not coded.startswith(_MARK) else _MARK + coded


def _check(entry: EntryLike) -> None:
    if entry.day.year not in _YEARS:
        raise CannotExport(f"entry {entry.position} is of {entry.day}; a ledger takes {_YEARS[0]} to {_YEARS[-1]}")
    sums: dict[str, Fraction] = {}
    for posting in entry.postings:
        if _CURRENCY.fullmatch(posting.currency) is None or not posting.amount.is_finite():
            raise CannotExport(f"entry {entry.position} has an amount that is none, or in no currency of ISO 4217")
        sums[posting.currency] = sums.get(posting.currency, Fraction(0)) + Fraction(posting.amount)
    if uneven := [currency for currency, come_to in sums.items() if come_to]:
        raise CannotExport(
            f"entry {entry.position} does not come to zero in {uneven[0]}; settle audit finds where it was written"
        )


def _quoted(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _inert(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def _row(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
