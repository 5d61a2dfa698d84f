"""A partner's own figures from a CSV file: columns `line` and `amount`. Whoever wrote the file is not trusted."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from pathlib import Path

from consumers.fields import TEXT_LENGTH_MAX
from engine.money import plain

BYTES_MAX = 1 << 20
LINES_MAX = 1_000
HEADER = ["line", "amount"]
_AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?", re.ASCII)
# With these a spreadsheet begins a formula, and would run it where the line is shown in one.
_FORMULA = ("=", "+", "-", "@")


class UnreadableFigures(Exception):
    """A file that holds no figures: one sentence that says where and why."""


def figures_of(path: Path) -> dict[str, str]:
    """By line its amount as decimal text. Raises UnreadableFigures."""
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise UnreadableFigures(f"{path} cannot be read: {error.strerror}; name a CSV file") from error
    if len(raw) > BYTES_MAX:
        raise UnreadableFigures(
            f"{path} is larger than {BYTES_MAX:,} bytes; a statement has no more than {LINES_MAX:,} lines"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFigures(f"{path} is not UTF-8 at byte {error.start}; save it as CSV in UTF-8") from error
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise UnreadableFigures(f"{path} is no CSV: {error}; save it as CSV with the columns line,amount") from error
    if not rows or rows[0] != HEADER:
        raise UnreadableFigures(
            f"{path} begins with {ascii(','.join(rows[0]) if rows else '')[:80]}; it begins with line,amount"
        )
    found: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if row:
            line, amount = _figure(f"{path}, row {number}", row)
            if line in found:
                raise UnreadableFigures(f"{path}, row {number}: line {line} stands twice; give each line once")
            found[line] = amount
    if len(found) > LINES_MAX:
        raise UnreadableFigures(f"{path} has {len(found):,} lines; at most {LINES_MAX:,} are compared")
    return found


def _figure(where: str, row: list[str]) -> tuple[str, str]:
    if len(row) != len(HEADER):
        raise UnreadableFigures(f"{where} has {len(row)} columns; it has two, line and amount")
    line, amount = row[0], row[1].strip(" ")
    if not line or line != line.strip() or len(line) > TEXT_LENGTH_MAX or not line.isprintable():
        raise UnreadableFigures(
            f"{where}: {ascii(line)[:80]} is no name of a line; give it 1 to {TEXT_LENGTH_MAX} printable characters"
        )
    if line.startswith(_FORMULA):
        raise UnreadableFigures(
            f"{where}: {ascii(line)[:80]} would be a formula in a spreadsheet; name the statement's line"
        )
    if _AMOUNT.fullmatch(amount) is None:
        raise UnreadableFigures(
            f"{where}: {ascii(amount)[:40]} is no amount such as 12.50 or -3; no separators of thousands"
        )
    return line, plain(Decimal(amount))
