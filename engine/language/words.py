"""How a rulebook writes numbers, portions, dates and names: each read exactly, or refused with a remedy."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction

from engine.money import WORKING_DIGITS
from engine.period import YEAR_END, YEAR_MIN

NAME_LENGTH_MAX = 80
_SHOWN_MAX = 60
# A name is a run of words; the words that follow the first may begin with a digit, as in "tier 2 sales".
NAME_PATTERN = r"[^\W\d]\w*(?:\s+\w+)*"
FUNCTIONS = ("min", "max")

_NAME = re.compile(NAME_PATTERN)
_NUMBER = re.compile(r"(-?)([0-9]{1,26}(?:\.[0-9]{1,12})?)(%?)")
_FRACTION = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Unreadable(ValueError):
    """A text in a rulebook that does not say what its place needs: `cause` says why, `remedy` what to write."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause = cause
        self.remedy = remedy


def quoted(value: object) -> str:
    """The value as a message shows it: on one line, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def printable(name: str) -> str:
    """A name that may be anything as a message shows it: whatever does not print is escaped, and it is cut where it is long."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name[:80])
    return escaped[:80]


def number(value: object) -> Decimal:
    """The exact number that `60%`, `0.05` or `10000` states: `number("60%") == Decimal("0.6")`.

    At most 26 digits before and 12 after the point, also after a percentage is divided by 100; raises Unreadable.
    """
    if isinstance(value, Decimal):
        value = format(value, "f") if value.is_finite() else str(value)
    matched = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise Unreadable(
            f"{quoted(value)} is not a number",
            "write digits with at most one point, such as 10000 or 0.05, or a percentage such as 60%",
        )
    sign, digits, percent = matched.groups()
    # The constructor is exact; operators would round to the precision of whatever context the thread has.
    exact = Decimal(f"{digits}E-2") if percent else Decimal(digits)
    text = format(exact, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if len(text.partition(".")[2]) > WORKING_DIGITS:
        raise Unreadable(f"{quoted(value)} has more than {WORKING_DIGITS} digits after the point", "write fewer digits")
    result = Decimal(text.lstrip("0") or "0")
    return result.copy_negate() if sign and result else result


def portion(value: object) -> Fraction | None:
    """The part that `95%`, `1/3` or `0.95` states, above 0 and at most 1; None for `remaining`. Raises Unreadable."""
    if value == "remaining":
        return None
    if isinstance(value, Fraction):
        exact = value
    elif isinstance(value, str) and (matched := _FRACTION.fullmatch(value.replace(" ", ""))) is not None:
        if int(matched[2]) == 0:
            raise Unreadable(f"portion {quoted(value)} divides by zero", "write a fraction such as 1/3")
        exact = Fraction(int(matched[1]), int(matched[2]))
    else:
        try:
            exact = Fraction(number(value))
        except Unreadable:
            raise Unreadable(
                f"{quoted(value)} is not a portion", "write 95%, 0.95, a fraction such as 1/3, or remaining"
            ) from None
    if not 0 < exact <= 1:
        raise Unreadable(
            f"portion {quoted(value)} is not above 0 and at most 1", "write a part of the whole, such as 95%"
        )
    return exact


def part(fraction: Fraction) -> str:
    """A fraction as a contract writes it: `95%` where that is whole, else `1/3`."""
    percent = fraction * 100
    return f"{percent}%" if percent.denominator == 1 else str(fraction)


def day(value: object) -> date:
    """The day that 2017-01-31 names, in a year that periods can be of; raises Unreadable."""
    found = value if isinstance(value, date) else None
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            found = date.fromisoformat(value)
    except ValueError:
        pass
    if found is not None and not YEAR_MIN <= found.year < YEAR_END:
        raise Unreadable(f"{found} is not from {YEAR_MIN} to {YEAR_END - 1}", "name a day within")
    if found is not None:
        return found
    raise Unreadable(f"{quoted(value)} is not a day of the calendar", "write year-month-day, such as 2017-01-31")


def whole(value: object) -> int:
    """The whole number from 1 to 999999999 that a text states; raises Unreadable."""
    if isinstance(value, int) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,8}", value):
        return int(value)
    raise Unreadable(f"{quoted(value)} is not a whole number from 1", "write 1 for the first version, then 2, 3 ...")


def name(value: object) -> str:
    """The name of a measure or step, with single spaces between its words; raises Unreadable."""
    if isinstance(value, str) and _NAME.fullmatch(value) and len(value) <= NAME_LENGTH_MAX:
        words = " ".join(value.split())
        if words in FUNCTIONS:
            raise Unreadable(f"{words!r} is a function of expressions", "give it another name")
        return words
    raise Unreadable(
        f"{quoted(value)} is not a name",
        f"write words of letters, digits and _ with spaces between, at most {NAME_LENGTH_MAX} characters",
    )
