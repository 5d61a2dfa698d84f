"""The VAT of settlement notes, as partners and invoices state it: a category of EN 16931 (UNTDID 5305) and its rate."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from consumers.fields import Text
from consumers.wire.base import Part
from engine import events
from engine.money import plain

TaxCategory = Literal["S", "Z", "E", "AE", "G", "O"]
# As fine as EN 16931 writes it. A rate of all that is supplied, or of more, is none.
Percent = (
    Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]?)(\.[0-9]{1,2})?$")] | Annotated[int, Field(ge=0, le=99)]
)

_NO_RATE: JsonDict = {"properties": {"rate": {"enum": ["0", "0.0", "0.00", 0]}}}
_IS: dict[str, JsonDict] = {code: {"properties": {"category": {"const": code}}} for code in ("S", "E")}
_GOES_TOGETHER: JsonDict = {
    "allOf": [
        {"if": _IS["S"], "then": {"required": ["rate"], "not": _NO_RATE}, "else": _NO_RATE},
        {"if": _IS["E"], "then": {"required": ["reason"], "properties": {"reason": {"type": "string"}}}},
    ]
}


class TaxPart(Part):
    """VAT: `rate` in percent goes with category S alone; an exemption (E) has its `reason`, such as the article of law."""

    model_config = ConfigDict(json_schema_extra=_GOES_TOGETHER)
    STORED: ClassVar[type[msgspec.Struct]] = events.Tax
    category: TaxCategory
    rate: Percent = "0"
    reason: Text | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.category == "S") is not (Decimal(self.rate) > 0):
            raise ValueError("VAT of category S has a rate above 0, and every other has none")
        if self.category == "E" and self.reason is None:
            raise ValueError("an exemption from VAT (category E) has its reason; name the article of law")
        return self

    def stored(self) -> Any:  # noqa: ANN401 - as in Part
        return events.Tax(self.category, plain(Decimal(self.rate)), self.reason)
