"""docs/tmforum.md says where every field goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from consumers.outbound.en16931 import document_of, terms_of
from consumers.outbound.note import NoteLine, SettlementNote, Tax, Withheld, note_of
from consumers.outbound.parties import Party
from consumers.outbound.payout import CreditTransfer, Payout
from tests.consumers.outbound.samples import example, statement, terms

PAGE = (Path(__file__).parents[3] / "docs" / "tmforum.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"^#{2,3} ", PAGE.split(f"# {title}\n")[1], flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("title", "fields"),
    [
        ("Settlement note", SettlementNote._fields),
        ("Line", NoteLine._fields),
        ("Tax and what is withheld", (*Tax._fields, *Withheld._fields)),
        ("Party", Party._fields),
        ("Payout", (*Payout._fields, *CreditTransfer._fields)),
        ("Statement", tuple(statement())),
    ],
)
def test_every_field_has_its_place_on_the_page(title: str, fields: tuple[str, ...]) -> None:
    assert [field for field in fields if f"`{field}`" not in section(title)] == []


def business_terms(said: object) -> Iterator[str]:
    match said:
        case dict():
            for key, value in said.items():
                if isinstance(key, str) and key.startswith(("BT-", "BG-")):
                    yield "-".join(key.split("-")[:2])
                yield from business_terms(value)
        case list():
            for each in said:
                yield from business_terms(each)


@pytest.mark.parametrize(
    "note",
    [example(), note_of(statement("-1.00"), terms(tax=Tax("AE"), withheld=(Withheld("advance", Decimal(1)),)))],
)
def test_every_business_term_that_is_written_is_on_the_page(note: SettlementNote) -> None:
    written = set(business_terms(terms_of(document_of(note))))
    assert len(written) > 30
    assert {term for term in written if re.search(rf"\b{term}\b", PAGE) is None} == set()
