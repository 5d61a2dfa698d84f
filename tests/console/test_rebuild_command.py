"""settle rebuild as an operator meets it."""

from __future__ import annotations

from pathlib import Path

import psycopg

from engine.store import beside
from engine.store.alone import alone
from tests.console.test_commands import Settle, filled, settle

__all__ = ["filled", "settle"]


def change(database: str, statement: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(statement)


def test_a_rebuild_says_what_it_compared_swaps_and_goes_back(filled: Settle) -> None:
    filled("close", "2026-10")
    done = filled("rebuild", "--json")
    assert done.status == 0
    assert (done.json["swapped"], done.json["equal"], done.json["resumed"]) == (True, True, None)
    assert [each["table"] for each in done.json["tables"]] == list(beside.TABLES)
    assert {"table": "facts", "what": "billing.charged amount", "live": "3.33", "rebuilt": "3.33"} in done.json["money"]
    told = filled("rebuild")
    assert "swapped: the rebuilt tables are live" in told.out
    assert max(map(len, told.out.splitlines()[:20])) <= 80
    assert "are live again" in filled("rebuild", "--rollback").out
    assert filled("rebuild", "--rollback", "--json").json["behind"] == 0
    assert filled("verify", "facts", "--json").json["equal"]


def test_differences_are_listed_and_refused_until_they_are_accepted(filled: Settle, database: str) -> None:
    change(database, "UPDATE settle.facts SET value_micros = 4330000")
    refused = filled("rebuild")
    assert refused.status == 1
    assert "facts billing.charged amount: live 4.33, rebuilt 3.33" in refused.out
    assert 'facts C-1 2026-10-01 billing.charged amount {"province":"G D"}: value_micros live 4330000, log 3330000' in (
        refused.out
    )
    assert "settle rebuild --accept-differences" in refused.out
    accepted = filled("rebuild", "--accept-differences")
    assert accepted.status == 0
    assert "where an earlier run had stopped" in accepted.out
    assert filled("verify", "facts", "--json").json["equal"]


def test_refusals_say_what_to_do(settle: Settle, database: str, tmp_path: Path) -> None:
    assert "no tables of before a rebuild" in settle("rebuild", "--rollback").err
    assert settle("rebuild", "--rollback", "--fresh").status == 2
    with alone(database, "rebuild"):
        running = settle("rebuild")
    assert (running.status, "another settle rebuild is at work" in running.err) == (1, True)
