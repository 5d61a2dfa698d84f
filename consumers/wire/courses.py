"""The catalogue of courses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from consumers.fields import Text
from consumers.wire.base import Data, Told


class CourseOfferedData(Told):
    """Partners' people can be trained by the course. A certificate of it is valid for `months_valid` months, or for ever."""

    course: Text
    name: Text
    author: Text
    months_valid: Annotated[int, Field(ge=1, le=1_200)] | None = None


class CourseWithdrawnData(Told):
    """Nobody can be enrolled any more. Certificates stay valid, and who has begun may complete it."""

    course: Text
    author: Text
    reason: Text | None = None


TYPES: dict[str, type[Data]] = {"course.offered": CourseOfferedData, "course.withdrawn": CourseWithdrawnData}
