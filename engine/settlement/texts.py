"""Statements of many contracts at once, as canonical texts and their digests: what `statement_of` says, written in columns.

For statements that take up no adjustments and are not final. A test holds the two together, digest for digest.
"""

from __future__ import annotations

from hashlib import sha256

import polars as pl

from engine.language.columns import WORKING
from engine.money import minor_digits
from engine.period import Period
from engine.rules.columns.frames import Settled
from engine.rules.model import Contents, Rulebook
from engine.settlement.concluding import shown_lines
from engine.settlement.keeping import canonical

# A row a statement: what it pays as text, its digest, and that of its amounts (engine.settlement.restating.amounts).
DIGESTS = pl.Schema({"contract": pl.String(), "payable": pl.String(), "digest": pl.String(), "says": pl.String()})


def digests(
    rulebook: Rulebook,
    period: Period,
    partners: pl.DataFrame,
    settled: Settled,
    left: pl.DataFrame,
    events: pl.DataFrame,
) -> pl.DataFrame:
    """Columns DIGESTS. `left` is what the period leaves (engine.rules.columns.frames.CARRIED), each contract's in order.

    `partners` has contract and partner; `events` has contract and events, of those contracts that have any.
    """
    contents = rulebook.on(period.first)
    frame = (
        settled.contracts.alias("contract")
        .to_frame()
        .join(partners.select("contract", "partner"), on="contract", how="left", maintain_order="left")
        .join(events.select("contract", "events"), on="contract", how="left", maintain_order="left")
        .join(_balances(left), on="contract", how="left", maintain_order="left")
    )
    frame = frame.with_columns(
        _quoted(frame["contract"]).alias("quoted"), _quoted(frame["partner"]), pl.col("events").fill_null(0)
    )
    lines, bare = _lines(contents, settled)
    parties = _parties(settled)
    payable = _lines_text(contents, settled)[contents.payable_step]
    frame = frame.hstack([payable.alias("payable"), lines.alias("lines"), bare.alias("bare"), parties.alias("parties")])
    quoted_currency = _json(settled.currency)
    balances = pl.col("balances").fill_null("")
    payable_text = pl.concat_str(pl.lit('"'), pl.col("payable"), pl.lit('"'))
    book = {"id": rulebook.rulebook, "version": rulebook.version, "digest": rulebook.digest}
    days = {"from": period.first.isoformat(), "to": period.end.isoformat()}
    text = pl.concat_str(
        pl.lit('{"adjustments":[],"balances":['),
        balances,
        pl.lit('],"contract":'),
        "quoted",
        pl.lit(f',"currency":{quoted_currency},"due":[{{"amount":'),
        payable_text,
        pl.lit(f',"currency":{quoted_currency},"parties":['),
        "parties",
        pl.lit(']}],"evidence":{"events":'),
        pl.col("events").cast(pl.String),
        pl.lit('},"lines":['),
        "lines",
        pl.lit('],"parties":['),
        "parties",
        pl.lit('],"partner":'),
        "partner",
        pl.lit(',"payable":'),
        payable_text,
        pl.lit(f',"period":{_json(days)},"rulebook":{_json(book)}}}'),
    )
    says = pl.concat_str(
        pl.lit('{"balances":['),
        balances,
        pl.lit(f'],"currency":{quoted_currency},"lines":['),
        "bare",
        pl.lit('],"parties":['),
        "parties",
        pl.lit('],"payable":'),
        payable_text,
        pl.lit("}"),
    )
    told = frame.select("contract", "payable", text.alias("text"), says.alias("says"))
    return pl.DataFrame(
        {
            "contract": told["contract"],
            "payable": told["payable"],
            "digest": _hashed(told["text"]),
            "says": _hashed(told["says"]),
        },
        schema=DIGESTS,
    )


def _hashed(texts: pl.Series) -> list[str]:
    return [sha256(each).hexdigest() for each in texts.cast(pl.Binary)]


def _json(value: object) -> str:
    return canonical(value).decode()


def _quoted(texts: pl.Series) -> pl.Series:
    """As JSON strings."""
    if texts.str.contains(_ESCAPED).any():
        return texts.map_elements(_json, return_dtype=pl.String)
    return pl.select(pl.concat_str(pl.lit('"'), texts, pl.lit('"')).alias(texts.name)).to_series()


# What JSON escapes; a text without it only needs its quotes.
_ESCAPED = r'["\\\\\x00-\x1f\x7f]'


def _plain(amounts: pl.Expr) -> pl.Expr:
    """As engine.money.plain: no zeros behind, no point without digits."""
    return amounts.cast(WORKING).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")


def _lines_text(contents: Contents, settled: Settled) -> pl.DataFrame:
    """The amounts of all lines as a statement shows them; a rounded one with all digits of its currency."""
    return settled.lines.select(
        pl.col(line.name).cast(pl.Decimal(38, contents.digits_of(line.name))).cast(pl.String)
        if line.is_rounded
        else _plain(pl.col(line.name))
        for line in shown_lines(contents)
    )


def _lines(contents: Contents, settled: Settled) -> tuple[pl.Series, pl.Series]:
    """The JSON of the lines, and of the lines without their clauses."""
    texts = _lines_text(contents, settled)
    whole: list[pl.Expr] = []
    bare: list[pl.Expr] = []
    for line in shown_lines(contents):
        unit = contents.units[line.name]
        said = "" if unit == settled.currency else f',"unit":{_json(unit)}'
        opened = pl.lit('{"amount":"' if not whole else ',{"amount":"')
        clause = "null" if line.clause is None else _json(line.clause)
        whole += [opened, pl.col(line.name), pl.lit(f'","clause":{clause},"name":{_json(line.name)}{said}}}')]
        bare += [opened, pl.col(line.name), pl.lit(f'","name":{_json(line.name)}{said}}}')]
    both = texts.select(pl.concat_str(whole).alias("whole"), pl.concat_str(bare).alias("bare"))
    return both["whole"], both["bare"]


def _parties(settled: Settled) -> pl.Series:
    digits = minor_digits(settled.currency)
    parts: list[pl.Expr] = []
    for party in settled.shares.columns:
        opened = pl.lit('{"amount":"' if not parts else ',{"amount":"')
        parts += [opened, _of_units(pl.col(party), digits), pl.lit(f'","party":{_json(party)}}}')]
    return settled.shares.select(pl.concat_str(parts).alias("parties"))["parties"]


def _of_units(units: pl.Expr, digits: int) -> pl.Expr:
    """Whole minor units as an amount, as engine.money.of_units writes it."""
    if digits == 0:
        return units.cast(pl.String)
    text = units.abs().cast(pl.String).str.pad_start(digits + 1, "0")
    sign = pl.when(units < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, text.str.head(-digits), pl.lit("."), text.str.tail(digits))


def _balances(left: pl.DataFrame) -> pl.DataFrame:
    """By contract the JSON of its balances, in order."""
    day = pl.when(pl.col("day").is_not_null()).then(
        pl.concat_str(pl.lit(',"day":"'), pl.col("day").cast(pl.String), pl.lit('"'))
    )
    kinds = {kind: _json(kind) for kind in left["kind"].unique()}
    steps = {step: _json(step) for step in left["step"].unique()}
    text = pl.concat_str(
        pl.lit('{"amount":"'),
        _plain(pl.col("amount")),
        pl.lit('"'),
        day.otherwise(pl.lit("")),
        pl.lit(',"kind":'),
        pl.col("kind").replace_strict(kinds, return_dtype=pl.String) if kinds else pl.lit(""),
        pl.lit(',"step":'),
        pl.col("step").replace_strict(steps, return_dtype=pl.String) if steps else pl.lit(""),
        pl.lit("}"),
    )
    return (
        left.select("contract", text.alias("balances"))
        .group_by("contract", maintain_order=True)
        .agg(pl.col("balances").str.join(","))
    )
