"""What is wrong with a rulebook, where, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal, NamedTuple

from engine.language.words import printable

Path = tuple[str | int, ...]
PROBLEMS_MAX = 100


class Problem(NamedTuple):
    """One finding. An error refuses the rulebook, a warning does not. Lines and columns count from 1."""

    severity: Literal["error", "warning"]
    file: str
    line: int
    column: int
    field: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        field = f" {self.field}" if self.field else ""
        warning = "warning: " if self.severity == "warning" else ""
        return f"{where}{field}: {warning}{self.cause}; {self.remedy}"


def field_of(path: Path) -> str:
    """The path as a person writes it: `waterfall[1].tiers.bands[2]`; lists count from 0."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{printable(part)}" if text else printable(part)
    return text


def nearest(word: str, known: Iterable[str], otherwise: str) -> str:
    """A remedy that proposes the known word most like this one, or `otherwise` where none is."""
    matches = get_close_matches(word[:80], list(known), n=1)
    return f"write {matches[0]!r}" if matches else otherwise
