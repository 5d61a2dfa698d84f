"""Partners, contracts and rulebooks as their streams leave them: what decisions need at hand, and lists show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec
import polars as pl

from engine import events
from engine.aggregates import service
from engine.aggregates.contract import Contract
from engine.aggregates.partner import Partner
from engine.aggregates.rulebook import Rulebook, Version
from engine.facts import Grain
from engine.period import Calendar
from engine.projections.facts import phases_text
from engine.store import lines, relations
from engine.store.database import Rows

PARTNER = "partner"  # the kind of their relations
# Contracts in columns: those of Contract. `products` is a JSON array, null where all are meant.
SIGNED = pl.Schema(
    dict.fromkeys(Contract._fields, pl.String())
    | {"valid_from": pl.Date(), "valid_to": pl.Date(), "terminated": pl.Boolean(), "left_on": pl.Date()}
)
TERMS = pl.Schema(
    [
        ("contract", pl.String),
        ("contract_currency", pl.String),
        ("valid_from", pl.Date),
        ("valid_to", pl.Date),
        ("calendar", pl.String),
        ("time_zone", pl.String),
        ("products", pl.List(pl.String)),
        ("grain", pl.String),  # its text
        ("currencies", pl.List(pl.String)),
        ("since", pl.Int64),
        ("phases", pl.String),  # their text, where the grain asks for them
    ]
)

_CONTRACT = (
    "contract, partner, cooperation_model, rulebook, currency, valid_from, valid_to, calendar, time_zone, products, "
    "terminated, late_events, left_on"
)


def partners(cursor: Rows, ids: Iterable[str]) -> dict[str, Partner]:
    found = relations.known(cursor, [(PARTNER, id_) for id_ in ids])
    return {id_: relation.state for (_, id_), relation in found.items()}


def all_partners(cursor: Rows) -> list[Partner]:
    return [relation.state for relation in relations.listed(cursor, PARTNER)]


def contracts(cursor: Rows, ids: Iterable[str]) -> dict[str, Contract]:
    rows = cursor.execute(
        f"SELECT {_CONTRACT} FROM contracts WHERE contract = ANY(%s)",  # noqa: S608 - a constant
        (list(ids),),
    )
    return {row[0]: _contract(row) for row in rows}


def all_contracts(
    cursor: Rows, *, calendar: Calendar | None = None, partner: str | None = None, rulebook: str | None = None
) -> list[Contract]:
    rows = cursor.execute(
        f"SELECT {_CONTRACT} FROM contracts WHERE (%s::text IS NULL OR calendar = %s) "  # noqa: S608
        "AND (%s::text IS NULL OR partner = %s) AND (%s::text IS NULL OR rulebook = %s) ORDER BY contract",
        (calendar, calendar, partner, partner, rulebook, rulebook),
    )
    return [_contract(row) for row in rows]


def signed(cursor: Rows) -> pl.DataFrame:
    """All contracts by name, columns SIGNED. They come as one text, a line each, as facts do (engine.store.facts)."""
    row = cursor.execute(_SIGNED, binary=True).fetchone()
    assert row is not None
    if row[0] is None:
        return SIGNED.to_frame()
    # From days since 1970.
    return lines.read(row[0], _LINE).select(pl.col(name).cast(kind) for name, kind in SIGNED.items()).sort("contract")


_LINE = pl.Schema(
    {name: pl.Int32() if kind == pl.Date else kind for name, kind in SIGNED.items() if name != "products"}
    | {"products": pl.String()}
)
_SIGNED = (
    "SELECT convert_to(string_agg(CASE WHEN products IS NULL THEN line ELSE line || to_json(products)::text END, E'\\n'), 'UTF8') "
    "FROM contracts"
)


def contract_of(row: tuple[Any, ...]) -> Contract:
    """The contract of a row of SIGNED."""
    products = None if row[9] is None else tuple(msgspec.json.decode(row[9], type=list[str]))
    return Contract._make((*row[:7], _CALENDARS[row[7]], row[8], products, row[10], _POLICIES[row[11]], row[12]))


# Looked up, since an enumeration's own call costs more than all the rest of a contract.
_CALENDARS = {str(each): each for each in Calendar}
_POLICIES = {str(each): each for each in events.LatePolicy}


def _contract(row: tuple[Any, ...]) -> Contract:
    products = None if row[9] is None else tuple(row[9])
    return Contract._make((*row[:7], _CALENDARS[row[7]], row[8], products, row[10], _POLICIES[row[11]], row[12]))


def save_contracts(cursor: Rows, changed: Iterable[Contract]) -> None:
    cursor.executemany(
        f"INSERT INTO contracts ({_CONTRACT}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
        "ON CONFLICT (contract) DO UPDATE SET valid_to = excluded.valid_to, terminated = excluded.terminated, "
        "left_on = excluded.left_on",
        [(*c[:7], str(c.calendar), c.time_zone, None if c.products is None else list(c.products), c.terminated,
          str(c.late_events), c.left_on)
         for c in changed],
    )  # fmt: skip


def terms(cursor: Rows, ids: Iterable[str]) -> pl.DataFrame:
    """The terms of those of the contracts that are signed, columns TERMS, since -1: from before any batch."""
    found = cursor.execute(
        "SELECT contract, currency, valid_from, valid_to, calendar, time_zone, products, rulebook "
        "FROM contracts WHERE contract = ANY(%s)",
        (list(ids),),
    ).fetchall()
    # One grain a rulebook, not one a contract.
    books = rulebooks(cursor, {row[7] for row in found})
    grains = pl.DataFrame(
        [(name, book.grain.text, list(book.grain.currencies)) for name, book in books.items()],
        schema={"rulebook": pl.String, "grain": pl.String, "currencies": pl.List(pl.String)},
        orient="row",
    )
    without_grain = {
        name: kind for name, kind in TERMS.items() if name not in {"grain", "currencies", "since", "phases"}
    }
    with_phases = {row[0] for row in found if (book := books.get(row[7])) and "phase" in book.grain.dimensions}
    texts_ = phases(cursor, with_phases)
    return (
        pl.DataFrame(found, schema=without_grain | {"rulebook": pl.String}, orient="row")
        .join(grains, on="rulebook", how="left", maintain_order="left")
        .with_columns(
            pl.col("grain").fill_null(Grain().text),
            pl.col("currencies").fill_null([]),
            pl.lit(-1, dtype=pl.Int64).alias("since"),
            pl.Series("phases", [texts_.get(row[0]) for row in found], dtype=pl.String),
        )
        .select(TERMS.names())
    )


def phases(cursor: Rows, contracts: Iterable[str]) -> dict[str, str]:
    """By contract the text of the phases in which its services are (engine.projections.facts); none where it has none."""
    wanted = list(contracts)
    if not wanted:
        return {}
    own: dict[str, list[service.Service]] = {}
    for each in relations.listed(cursor, "service", contracts=wanted):
        own.setdefault(each.state.contract, []).append(each.state)
    found = {name: phases_text(service.phases(services)) for name, services in own.items()}
    return {name: text for name, text in found.items() if text is not None}


def terms_of(contract: Contract, grain: Grain, since: int, phases: str | None = None) -> tuple[Any, ...]:
    """One row of TERMS, for a contract that changed within a batch."""
    products = None if contract.products is None else list(contract.products)
    return (
        contract.contract,
        contract.currency,
        contract.valid_from,
        contract.valid_to,
        str(contract.calendar),
        contract.time_zone,
        products,
        grain.text,
        list(grain.currencies),
        since,
        phases,
    )


class Published(NamedTuple):
    """A rulebook version with its text."""

    rulebook: str
    version: Version
    text: str
    position: int
    author: str | None = None
    approver: str | None = None


def rulebooks(cursor: Rows, ids: Iterable[str] | None = None) -> dict[str, Rulebook]:
    names = None if ids is None else list(ids)
    rows = cursor.execute(
        "SELECT rulebook, version, valid_from, currency, digest, grain FROM rulebook_versions "
        "WHERE (%s::text[] IS NULL OR rulebook = ANY(%s)) ORDER BY rulebook, version",
        (names, names),
    )
    found: dict[str, list[Version]] = {}
    for name, version, valid_from, currency, digest, grain in rows:
        found.setdefault(name, []).append(Version(version, valid_from, currency, digest, Grain.of(grain)))
    return {name: Rulebook(name, tuple(versions)) for name, versions in found.items()}


def texts(cursor: Rows) -> dict[tuple[str, int], str]:
    """The text of every published version, by rulebook and version."""
    rows = cursor.execute("SELECT rulebook, version, text FROM rulebook_versions")
    return {(name, version): text for name, version, text in rows}


def rulebook_text(cursor: Rows, rulebook: str, version: int) -> str | None:
    row = cursor.execute(
        "SELECT text FROM rulebook_versions WHERE rulebook = %s AND version = %s", (rulebook, version)
    ).fetchone()
    return None if row is None else str(row[0])


def published_by(cursor: Rows, rulebook: str, version: int) -> dict[str, str]:
    """Author and approver of the version, where they were named."""
    row = cursor.execute(
        "SELECT author, approver FROM rulebook_versions WHERE rulebook = %s AND version = %s", (rulebook, version)
    ).fetchone()
    assert row is not None, (rulebook, version)
    return {name: said for name, said in zip(("author", "approver"), row, strict=True) if said is not None}


def grains_at(cursor: Rows, position: int) -> list[Grain]:
    """The grains of all rulebook versions that were published up to the position."""
    rows = cursor.execute("SELECT grain FROM rulebook_versions WHERE position <= %s", (position,))
    return [Grain.of(text) for (text,) in rows]


def save_version(cursor: Rows, published: Published) -> None:
    version = published.version
    cursor.execute(
        "INSERT INTO rulebook_versions VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            published.rulebook,
            version.version,
            version.valid_from,
            version.currency,
            version.digest,
            version.grain.text,
            published.text,
            published.position,
            published.author,
            published.approver,
        ),
    )


def closed_to(cursor: Rows, rulebook: str) -> date | None:
    """The day up to which any statement under the rulebook is closed."""
    row = cursor.execute('SELECT max("end") FROM statements WHERE rulebook = %s', (rulebook,)).fetchone()
    assert row is not None
    found: date | None = row[0]
    return found


def count(cursor: Rows, what: Literal["partners", "contracts"]) -> int:
    table = {"partners": "relations WHERE kind = 'partner'", "contracts": "contracts"}[what]
    row = cursor.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - one of the two above
    assert row is not None
    return int(row[0])
