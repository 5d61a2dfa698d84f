"""What the models of all messages have in common: strict, without unknown fields, and never changed."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class Told(Data):
    """What comes one by one: it has the same fields under the same names on the wire and in the log."""


class Part(Data):
    """An object within what is told; `STORED` is its class in the log."""

    STORED: ClassVar[type[msgspec.Struct]]

    def stored(self) -> Any:  # noqa: ANN401 - one of STORED
        return self.STORED(**dict(self))
