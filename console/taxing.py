"""How commands state the VAT of settlement notes."""

from __future__ import annotations

from typing import Annotated

import typer

Category = Annotated[
    str | None,
    typer.Option(
        "--tax-category",
        help="VAT of the settlement notes: S (at a rate), Z (zero-rated), E (exempt), AE (reverse charge), G (export), O (not subject).",
    ),
]
Rate = Annotated[str | None, typer.Option("--tax-rate", help="In percent, with category S.")]
Reason = Annotated[str | None, typer.Option("--tax-reason", help="Why no VAT is added; category E needs it.")]


def tax_of(category: str | None, rate: str | None, reason: str | None) -> dict[str, str] | None:
    """As on the wire; None where none is stated. Raises typer.BadParameter."""
    if category is None:
        if rate is not None or reason is not None:
            raise typer.BadParameter("a rate or a reason of VAT goes with its category; give --tax-category")
        return None
    said = {"category": category, "rate": rate, "reason": reason}
    return {name: value for name, value in said.items() if value is not None}
