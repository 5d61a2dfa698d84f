"""What agents may sell."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from consumers.fields import Day, QuantityAboveZero, Text
from consumers.wire.base import Data, Told

# A standing is kept for each product in each region.
NAMED_MAX = 200
_Texts = Annotated[tuple[Text, ...], Field(min_length=1, max_length=NAMED_MAX)]


class AuthorisationGrantedData(Told, json_schema_extra={"dependentRequired": {"meter": ["volume_max"]}}):
    """An agent may sell under its contract: these products in these regions (attribute `region` of events; none named: all), on
    the days from `valid_from` up to, and without, `valid_to`, up to a volume of `meter`, or without one of charges less refunds.
    `parent` is the authorisation of the agent above, within which a sub-agent's lies.
    """

    authorisation: Text
    partner: Text
    contract: Text
    author: Text
    valid_from: Day
    valid_to: Day | None = None
    products: _Texts | None = None
    regions: _Texts | None = None
    volume_max: QuantityAboveZero | None = None
    meter: Text | None = None
    parent: Text | None = None

    @model_validator(mode="after")
    def _meter_of_a_volume(self) -> Self:
        if self.meter is not None and self.volume_max is None:
            raise ValueError("a meter says what the volume counts; give volume_max, or leave meter out")
        return self


class AuthorisationRevokedData(Told):
    """An authorisation is taken away: `valid_to` is the first day on which it no longer holds."""

    authorisation: Text
    partner: Text
    author: Text
    valid_to: Day
    reason: Text


TYPES: dict[str, type[Data]] = {
    "authorisation.granted": AuthorisationGrantedData,
    "authorisation.revoked": AuthorisationRevokedData,
}
