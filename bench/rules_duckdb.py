"""(c) The eight steps of eight-steps.yaml in DuckDB's SQL, by hand.

Its decimals multiply without loss, into as many digits as both operands have, and only the tax is cast back to 12: there a
half goes away from zero, where the rulebook's arithmetic goes to the even digit. Its division of decimals would be a binary
float; nothing here divides but whole cents. Amounts keep the few digits that they have as long as they can, because a cast
of a wide decimal to fewer digits is slow: with one after each product, all took twice as long.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

LINES = (
    "given_back", "platform_fee", "net_revenue", "graduated_share", "floored_share", "capped_share", "guaranteed_share",
    "after_advances", "withheld_tax", "payable",
)  # fmt: skip

_LOAD = """
CREATE TABLE contracts AS SELECT contract FROM read_parquet('{folder}/contracts.parquet');
CREATE TABLE facts AS
    SELECT contract, event, field, dimensions, CAST(CAST(value AS DECIMAL(18, 0)) * 0.000001 AS DECIMAL(18, 6)) AS value
    FROM read_parquet('{folder}/facts.parquet');
CREATE TABLE carried AS SELECT * FROM read_parquet('{folder}/carried.parquet');
"""

_SETTLE = """
CREATE OR REPLACE TABLE settled AS
WITH measured AS (
    SELECT contract,
        sum(value) FILTER (event = 'billing.charged' AND field = 'amount' AND {sold}) AS sales,
        sum(value) FILTER (event = 'billing.charged' AND field = 'discount' AND {sold}) AS discounts,
        sum(value) FILTER (event = 'billing.refunded' AND field = 'amount') AS refunds,
        sum(value) FILTER (event = 'advance.paid' AND field = 'amount') AS advances
    FROM facts GROUP BY contract
), brought AS (
    SELECT contract,
        sum(amount) FILTER ({short} AND day = DATE '2026-11-01') AS lot_0,
        sum(amount) FILTER ({short} AND day = DATE '2026-12-01') AS lot_1,
        sum(amount) FILTER ({short} AND day = DATE '2027-01-01') AS lot_2,
        sum(amount) FILTER (step = 'after advances' AND kind = 'unrecouped') AS unrecouped
    FROM carried GROUP BY contract
), known AS (
    SELECT contract, {numbers}
    FROM contracts LEFT JOIN measured USING (contract) LEFT JOIN brought USING (contract)
), rested AS (
    SELECT *, -(discounts + refunds) AS given_back, sales - discounts - refunds AS rest FROM known
), netted AS (
    SELECT *, -(rest * 0.125) AS platform_fee FROM rested
), based AS (
    SELECT *, rest + platform_fee AS net_revenue FROM netted
), shared AS (
    SELECT *, CASE
        WHEN net_revenue <= 1000 THEN net_revenue * 0.500
        WHEN net_revenue <= 10000 THEN 500 + (net_revenue - 1000) * 0.525
        WHEN net_revenue <= 50000 THEN 5225 + (net_revenue - 10000) * 0.550
        WHEN net_revenue <= 250000 THEN 27225 + (net_revenue - 50000) * 0.575
        ELSE 142225 + (net_revenue - 250000) * 0.600 END AS graduated_share
    FROM based
), floored AS (
    SELECT *, greatest(graduated_share, 0) AS floored_share FROM shared
), capped AS (
    SELECT *, least(floored_share, 500000) AS capped_share FROM floored
), earned AS (
    SELECT *, greatest(capped_share - 150, 0) AS excess, greatest(150 - capped_share, 0) AS short FROM capped
), first AS (
    SELECT *, least(lot_0, excess) AS taken_0 FROM earned
), second AS (
    SELECT *, least(lot_1, excess - taken_0) AS taken_1 FROM first
), third AS (
    SELECT *, least(lot_2, excess - taken_0 - taken_1) AS taken_2 FROM second
), guaranteed AS (
    SELECT *, capped_share + short - taken_0 - taken_1 - taken_2 AS guaranteed_share,
        greatest(unrecouped + advances, 0) AS owed
    FROM third
), recouping AS (
    SELECT *, least(owed, greatest(guaranteed_share, 0)) AS recouped FROM guaranteed
), advanced AS (
    SELECT *, guaranteed_share - recouped AS after_advances FROM recouping
), taxed AS (
    SELECT *, CAST(after_advances * 0.0663 AS DECIMAL(38, 12)) AS withheld_tax FROM advanced
), paid AS (
    SELECT *, round(after_advances - withheld_tax, 2) AS payable FROM taxed
), counted AS (
    SELECT *, CAST(abs(payable) * 100 AS BIGINT) AS cents, CAST(sign(payable) AS BIGINT) AS way FROM paid
), floors AS (
    SELECT *, cents * 825 // 1000 AS provider, cents // 8 AS agent, cents * 50 // 1000 AS guild FROM counted
)
SELECT contract, {lines},
    way * (provider + CAST(cents - provider - agent - guild > 0 AS BIGINT)) AS provider,
    way * (agent + CAST(cents - provider - agent - guild > 1 AS BIGINT)) AS agent,
    way * guild AS guild,
    lot_1 - taken_1 AS left_1, lot_2 - taken_2 AS left_2, short, owed - recouped AS left_unrecouped
FROM floors;

CREATE OR REPLACE TABLE left_over AS
SELECT contract, 'guaranteed share' AS step, 'short-workings' AS kind, DATE '2026-12-01' AS day, left_1 AS amount
    FROM settled WHERE left_1 <> 0
UNION ALL
SELECT contract, 'guaranteed share', 'short-workings', DATE '2027-01-01', left_2 FROM settled WHERE left_2 <> 0
UNION ALL
SELECT contract, 'guaranteed share', 'short-workings', DATE '2027-02-01', short FROM settled WHERE short <> 0
UNION ALL
SELECT contract, 'after advances', 'unrecouped', NULL, left_unrecouped FROM settled WHERE left_unrecouped <> 0;
""".format(
    sold="""dimensions IN ('{"channel":"web"}', '{"channel":"app"}')""",
    short="step = 'guaranteed share' AND kind = 'short-workings'",
    numbers=", ".join(
        f"coalesce({name}, 0) AS {name}"
        for name in ("sales", "discounts", "refunds", "advances", "lot_0", "lot_1", "lot_2", "unrecouped")
    ),
    lines=", ".join(f"CAST({name} AS DECIMAL(38, 12)) AS {name}" for name in LINES),
)

_WRITE = """
COPY (SELECT contract, {lines} FROM settled) TO '{folder}/lines.parquet';
COPY (SELECT contract, provider, agent, guild FROM settled) TO '{folder}/shares.parquet';
COPY left_over TO '{folder}/carried.parquet';
"""


def loaded(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that holds the input."""
    connection = duckdb.connect()
    connection.execute(_LOAD.format(folder=folder))
    return connection


def settle(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Leaves the tables settled and left_over."""
    return connection.execute(_SETTLE)


def write(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    lines = ", ".join(f'{name} AS "{name.replace("_", " ")}"' for name in LINES)
    connection.execute(_WRITE.format(folder=folder, lines=lines))
