"""Messages as they arrive: CloudEvents 1.0 envelopes and the data of every event type, strict.

Unknown fields are refused by name; numbers are decimal strings (or JSON integers), never binary floats; times carry a zone.
JSON Schemas and the AsyncAPI document in `docs/wire/` are written from these models (`make docs`).
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter

from consumers.fields import Source, Text, Time
from consumers.wire import (
    agency,
    assessed,
    billing,
    courses,
    leads,
    noted,
    partners,
    provisioned,
    qualified,
    reported,
    serviced,
    signed,
)
from consumers.wire.base import Data

_Type = TypeVar("_Type", bound=str)
_Told = TypeVar("_Told", bound=Data)


class Message(Data, Generic[_Type, _Told]):
    """CloudEvents 1.0. `source` and `id` identify an event for ever; `time` is when it happened."""

    specversion: Literal["1.0"]
    id: Text
    source: Source
    type: _Type
    time: Time
    datacontenttype: Literal["application/json"] | None = None
    dataschema: Text | None = None
    subject: Text | None = None
    data: _Told


# The data of every type; those that come in volume first.
TYPES: dict[str, type[Data]] = billing.TYPES | partners.TYPES | signed.TYPES | reported.TYPES | qualified.TYPES
TYPES |= serviced.TYPES | provisioned.TYPES | assessed.TYPES
TYPES |= agency.TYPES | courses.TYPES | leads.TYPES | noted.TYPES

MESSAGES: tuple[Any, ...] = tuple(
    Message[Literal[name], data]  # type: ignore[valid-type] # made from the table above
    for name, data in TYPES.items()
)
# The discriminator makes an unknown type one sentence, not one for each.
READER: TypeAdapter[Message[str, Data]] = TypeAdapter(
    Annotated[reduce(or_, MESSAGES), Field(discriminator="type")],  # type: ignore[arg-type] # likewise
    config=ConfigDict(defer_build=True),
)
