"""The kinds of fields that messages are made of: each strict, and said in the schema, so that a producer's validation agrees."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints
from pydantic.config import JsonDict

from engine.money import CURRENCIES
from engine.period import YEAR_END, YEAR_MIN, Period

TEXT_LENGTH_MAX = 256
ATTRIBUTES_MAX = 32
RULEBOOK_LENGTH_MAX = 262_144

# No control characters: they have no place in a name, PostgreSQL cannot keep NUL, and terminals obey some of them.
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LENGTH_MAX, pattern=_PRINTABLE)]
# Under `tantieme`, and whatever begins with `tantieme/`, the engine itself records and tells. The models read it; consumers.decode
# refuses it from anybody else.
OWN_SOURCE = "tantieme"
Source = Annotated[Text, Field(json_schema_extra={"not": {"pattern": f"^{OWN_SOURCE}(/|$)"}})]
RulebookText = Annotated[str, StringConstraints(min_length=1, max_length=RULEBOOK_LENGTH_MAX)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
FieldName = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]
_UNSIGNED = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
_SIGNED = r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$"
INTEGER_MAX = 10**12 - 1
Amount = (
    Annotated[str, StringConstraints(pattern=_UNSIGNED, max_length=20)] | Annotated[int, Field(ge=0, le=INTEGER_MAX)]
)
Quantity = (
    Annotated[str, StringConstraints(pattern=_SIGNED, max_length=20)]
    | Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
)


def _above_zero(digits_after: int) -> str:
    """The pattern of a number above 0 with at most so many digits after the point."""
    fractions = "|".join(f"0{{{zeros}}}[1-9][0-9]{{0,{digits_after - 1 - zeros}}}" for zeros in range(digits_after))
    return rf"^([1-9][0-9]{{0,11}}(\.[0-9]{{1,{digits_after}}})?|0\.({fractions}))$"


QuantityAboveZero = (
    Annotated[str, StringConstraints(pattern=_above_zero(6), max_length=20)]
    | Annotated[int, Field(ge=1, le=INTEGER_MAX)]
)
# A figure of a statement: as fine as what rules compute with.
Figure = Annotated[str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?$", max_length=40)]
# Rates of exchange have a finer last digit than amounts.
Rate = (
    Annotated[str, StringConstraints(pattern=_above_zero(12), max_length=25)]
    | Annotated[int, Field(ge=1, le=INTEGER_MAX)]
)

_ZONES = available_timezones() - {"Factory", "localtime", "posixrules"}


def is_own(source: str) -> bool:
    return source == OWN_SOURCE or source.startswith(f"{OWN_SOURCE}/")


def _known_zone(name: str) -> str:
    if name not in _ZONES:
        raise ValueError(f"{name!r} is not a time zone of the IANA database, such as Asia/Shanghai")
    return name


def _known_period(text: str) -> str:
    return str(Period.parse(text))


# What every message of money says in these fields; a further amount of that name would be taken for it.
OWN_AMOUNTS = frozenset({"amount", "quantity"})


def _not_own(amounts: dict[str, str | int]) -> dict[str, str | int]:
    if own := sorted(OWN_AMOUNTS & amounts.keys()):
        raise ValueError(f"a further amount cannot be called {own[0]}; give it another name")
    return amounts


TimeZone = Annotated[Text, AfterValidator(_known_zone)]
Time = Annotated[AwareDatetime, Field(ge=datetime(YEAR_MIN, 1, 1, tzinfo=UTC), lt=datetime(YEAR_END, 1, 1, tzinfo=UTC))]
Day = Annotated[date, Field(ge=date(YEAR_MIN, 1, 1), lt=date(YEAR_END, 1, 1))]
CurrencyCode = Literal[CURRENCIES]  # type: ignore[valid-type] # made from ISO 4217
Attributes = Annotated[dict[FieldName, Text], Field(max_length=ATTRIBUTES_MAX)]
FurtherAmounts = Annotated[
    dict[FieldName, Amount],
    Field(max_length=ATTRIBUTES_MAX, json_schema_extra={"propertyNames": {"not": {"enum": sorted(OWN_AMOUNTS)}}}),
    AfterValidator(_not_own),
]
# A settlement period, such as 2026-10, 2026-W40, 2026-Q4 or 2026.
PeriodName = Annotated[
    str,
    AfterValidator(_known_period),
    Field(json_schema_extra={"pattern": r"^[0-9]{4}(-(0[1-9]|1[0-2])|-W[0-5][0-9]|-Q[1-4])?$"}),
]

# What the schema of a case says of them, and the model checks.
COMPENSATION_IS_WHOLE: JsonDict = {
    "dependentRequired": {"compensation": ["contract", "currency"], "currency": ["compensation"]}
}
