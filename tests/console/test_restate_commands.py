"""Publishing backwards, restating and archiving as their users meet them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.test_commands import FILE, RULEBOOK, Settle, settle
from tests.histories import charged, message, registered, signed

__all__ = ["settle"]


@pytest.fixture
def closed(settle: Settle, tmp_path: Path) -> Settle:
    (tmp_path / "r.yaml").write_text(RULEBOOK)
    (tmp_path / "events.jsonl").write_bytes(FILE)
    settle("rulebook", "publish", str(tmp_path / "r.yaml"))
    settle("ingest", str(tmp_path / "events.jsonl"))
    assert settle("close", "2026-10").status == 0
    return settle


def send(settle: Settle, tmp_path: Path, *raws: bytes) -> None:
    (tmp_path / "more.jsonl").write_bytes(b"\n".join(raws))
    assert settle("ingest", str(tmp_path / "more.jsonl")).status == 0


def test_a_closing_prints_its_root_and_the_statement_carries_it(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RULEBOOK)
    (tmp_path / "events.jsonl").write_bytes(FILE)
    settle("rulebook", "publish", str(tmp_path / "r.yaml"))
    settle("ingest", str(tmp_path / "events.jsonl"))
    root = settle("close", "2026-10", "--json").json["root"]
    assert settle("statement", "C-1", "2026-10", "--json").json["root"] == root
    assert f"root   {root}" in settle("statement", "C-1", "2026-10").out


def test_publishing_backwards_shows_what_it_moves_and_takes_two_persons(closed: Settle, tmp_path: Path) -> None:
    text = RULEBOOK.replace("version: 1", "version: 2").replace("60%", "80%")
    (tmp_path / "r2.yaml").write_text(text)
    alone = closed("rulebook", "publish", str(tmp_path / "r2.yaml"), "--by", "ann")
    assert alone.status == 1
    assert "+0.66 CNY of it in closed periods" in alone.out
    assert "takes an approver other than its author" in " ".join(alone.err.split())
    for spelling in ("ann", "Ann ", "a\u200bnn"):
        same = closed("rulebook", "publish", str(tmp_path / "r2.yaml"), "--by", "ann", "--approved-by", spelling)
        assert same.status == 1
        assert "takes an approver other than its author" in " ".join(same.err.split())
    done = closed("rulebook", "publish", str(tmp_path / "r2.yaml"), "--by", "ann", "--approved-by", "bob", "--json")
    assert done.json["compared"]["totals"]["CNY"]["moved"] == "0.66"
    assert closed("rulebook", "publish", str(tmp_path / "r2.yaml")).out.startswith("simple@2 is published already")
    restated = closed("restate", "--json").json
    assert restated["totals"] == {"CNY": "0.66"}
    (row,) = restated["restated"]
    assert (row["contract"], row["causes"][0]["cause"], row["causes"][0]["approver"]) == ("C-1", "rulebook", "bob")
    assert closed("restate", "--json").json["restated"] == []
    assert closed("contract", "show", "C-1", "--json").json["restated"][0]["adjusted in"] == "the next statement"
    assert "2026-10 adjusted, was 2.00" in closed("statement", "C-1", "2026-11").out
    assert closed("statement", "C-1", "2026-10", "--version", "2", "--json").json["payable"] == "2.66"
    assert closed("statement", "C-1", "2026-10", "--version", "3").status == 1


def test_restating_says_what_it_would_do_and_does_it(closed: Settle, tmp_path: Path) -> None:
    send(closed, tmp_path, charged("late", amount="10"))
    before = closed("restate", "--dry-run")
    assert "1 of 1 closed statements would come out otherwise" in before.out
    assert "1 late events (late)" in " ".join(before.out.split())
    done = closed("restate")
    assert "adjustments of +6.00 CNY, due with each contract's next statement" in done.out
    assert closed("restate").out.startswith("0 of 1 closed statements came out otherwise")
    assert closed("replay").status == 0


POOL = """\
rulebook: simple
version: 1
valid_from: 2026-01-01
currency: CNY
measures:
  sales: {event: billing.charged, sum: amount}
  complaints: {event: case.closed, count: events}
waterfall:
  - {name: payable, pool: {of: sales, by: complaints}, round: half_up}
"""


def test_a_restated_part_of_a_pool_is_shown_explained_and_followed(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "pool.yaml").write_text(POOL)
    assert settle("rulebook", "publish", str(tmp_path / "pool.yaml")).status == 0
    case = {"case": "K", "partner": "P-1", "kind": "complaint", "contract": "C-1", "author": "Wu"}
    send(settle, tmp_path, registered(), signed("C-1"), signed("C-2"), charged("1", "C-2", "100"))
    send(settle, tmp_path, message("case.opened", "k1", case), message("case.closed", "k2", case | {"upheld": True}))
    assert settle("close", "2026-10").status == 0
    send(settle, tmp_path, charged("late", "C-2", "20"))
    restated = " ".join(settle("restate").out.split())
    assert "C-1 2026-10 20.00 CNY contracts settled together" in restated
    assert "C-2 2026-10 no amount 1 late events (late)" in restated
    assert settle("statement", "C-1", "2026-10", "--version", "2", "--json").json["payable"] == "120.00"
    (why,) = settle("explain", "C-1", "2026-10", "payable", "--version", "2", "--json").json["reasons"]
    assert (why["name"], why["value"]) == ("payable", "120.00")
    (seen,) = settle("case", "follow", "K", "--json").json["statements"]
    assert (seen["version"], seen["lines"][0]["moved"]) == (2, "120.00")


def test_sealing_says_what_it_sealed_and_where(closed: Settle, tmp_path: Path) -> None:
    told = closed("archive", "--to", str(tmp_path / "a"), "--buckets", "2", "--json").json
    assert (told["sealed"], told["seals"], told["remade"]) == (True, 1, 0)
    again = closed("archive", "--to", str(tmp_path / "a"))
    assert "nothing to seal" in again.out
    assert closed("archive", "--to", "s3://bucket/archive").status == 1
    assert closed("replay", "--archive", str(tmp_path / "a"), "--json").json == closed("replay", "--json").json
    (tmp_path / "a" / "manifest.jsonl").write_bytes(b'{"seal":"{}","sha256":""}\n')
    broken = closed("replay", "--archive", str(tmp_path / "a"))
    assert broken.status == 1
    assert "manifest.jsonl, line 1" in " ".join(broken.err.split())
