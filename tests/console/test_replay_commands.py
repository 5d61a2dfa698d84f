"""settle replay and settle compare as an operator meets them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.console.test_commands import FILE, RULEBOOK, Settle, settle
from tests.console.test_restate_commands import send
from tests.histories import charged, signed

__all__ = ["settle"]

OCTOBER = ("--from", "2026-10", "--to", "2026-10")
NOVEMBER = ("--from", "2026-11", "--to", "2026-11")
NOW = "2099-01-01T00:00:00+08:00"


@pytest.fixture
def late(settle: Settle, tmp_path: Path) -> Settle:
    """October closed, an event of it that came later, one of November, and a contract that nothing settles."""
    (tmp_path / "r.yaml").write_text(RULEBOOK)
    (tmp_path / "events.jsonl").write_bytes(FILE)
    settle("rulebook", "publish", str(tmp_path / "r.yaml"))
    settle("ingest", str(tmp_path / "events.jsonl"))
    assert settle("close", "2026-10").status == 0
    november = charged("nov", amount="5", time="2026-11-03T00:00:00Z")
    lacking = signed("C-2", rulebook="none", valid_from="2026-11-01")
    send(settle, tmp_path, charged("late", amount="10"), november, lacking)
    return settle


def words(text: str) -> str:
    return " ".join(text.split())


def version(tmp_path: Path, **changes: str) -> str:
    """The file of a rulebook version: RULEBOOK with texts replaced, {"60%": "80%"}; named as its second version."""
    text = RULEBOOK.replace("version: 1", "version: 2")
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "candidate.yaml"
    path.write_text(text)
    return str(path)


def test_a_replay_says_what_came_out_otherwise_and_what_cannot_be_settled(late: Settle) -> None:
    said = late("replay", *OCTOBER)
    assert said.status == 1
    assert "2026-10 1 8.00 CNY 0 1 0" in words(said.out)
    assert "C-1 2026-10: issued 2.00, now 8.00 CNY" in said.out
    assert "settle restate makes adjustments of what differs now" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    november = late("replay", *NOVEMBER)
    assert november.status == 1
    assert "2026-11 1 3.00 CNY 0 0 1" in words(november.out)
    assert (
        "C-2 2026-11 cannot be settled: contract C-2 settles by rulebook none, of which no version is valid on 2026-11-01; "
        "publish one (settle rulebook publish FILE)" in november.out
    )


def test_a_replay_as_json_has_every_period_difference_and_refusal(late: Settle) -> None:
    told = late("replay", "--to", "2026-11", "--json").json
    assert [each["period"] for each in told["periods"]] == [f"2026-{month:02}" for month in range(1, 12)]
    october, november = told["periods"][-2:]
    assert october["differences"] == [
        {"contract": "C-1", "period": "2026-10", "version": 1, "issued": "2.00", "replayed": "8.00", "currency": "CNY"}
    ]
    assert (november["open"], november["payable"], november["differences"]) == (1, {"CNY": "3"}, [])
    assert list(november["refused"]) == ["C-2"]
    assert f"digest {told['digest']}" in late("replay", "--to", "2026-11").out
    assert late("replay", *OCTOBER, "--json").json["periods"] == [october]


def test_a_replay_of_one_contract_tells_that_one_alone(late: Settle) -> None:
    told = late("replay", *NOVEMBER, "--contract", "C-2", "--json").json
    assert [(each["statements"], list(each["refused"])) for each in told["periods"]] == [(0, ["C-2"])]
    one = late("replay", *NOVEMBER, "--contract", "C-1")
    assert (one.status, "cannot be settled" in one.out) == (0, False)
    unknown = late("replay", "--contract", "C-7")
    assert (unknown.status, "contract C-7 is not signed at that position" in unknown.err) == (1, True)


def test_a_replay_as_known_at_a_position_or_a_time(late: Settle) -> None:
    whole = late("replay", *OCTOBER, "--json").json
    before = late("replay", *OCTOBER, "--as-of", "4", "--json")
    assert (before.status, before.json["position"], before.json["periods"][0]["payable"]) == (0, 4, {"CNY": "2"})
    assert before.json["periods"][0]["open"] == 1
    for now in ("1000", NOW, "2099-01-01"):
        assert late("replay", *OCTOBER, "--as-of", now, "--json").json == whole
    nothing = late("replay", "--as-of", "2020-01-01", "--json")
    assert (nothing.status, nothing.json["position"], nothing.json["periods"]) == (0, 0, [])


def test_a_replay_under_the_rules_known_then(late: Settle, tmp_path: Path) -> None:
    position = str(late("replay", *OCTOBER, "--json").json["position"])
    file = version(tmp_path, **{"60%": "80%"})
    assert late("rulebook", "publish", file, "--by", "ann", "--approved-by", "bob").status == 0
    assert late("replay", *OCTOBER, "--json").json["periods"][0]["payable"] == {"CNY": "10.66"}
    then = late("replay", *OCTOBER, "--rules-as-of", position, "--json").json
    assert (then["periods"][0]["payable"], str(then["rules_position"])) == ({"CNY": "8"}, position)
    assert then["position"] > then["rules_position"]
    assert f"under the rules known at {position}" in words(late("replay", "--rules-as-of", position).out)
    none = late("replay", *OCTOBER, "--rules-as-of", "0", "--json").json["periods"][0]
    assert (none["statements"], none["differences"][0]["replayed"], list(none["refused"])) == (0, None, ["C-1"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--as-of", "soon"], "'soon' is neither a position, nor a day, nor a time"),
        (["--as-of", "²"], "is neither a position, nor a day, nor a time"),
        (["--rules-as-of", "2026-13-01"], "is neither a position"),
        (["--as-of", "2026-10-01T00:00:00"], "has no time zone; write 2026-10-01T00:00:00Z"),
        (["--from", "October"], "'October' is not a period"),
        (["--from", "2026-12", "--to", "2026-10"], "2026-10 ends before 2026-12 begins"),
        (["--engine", "spark"], "spark is no engine; local or dask"),
        (["--scheduler", "tcp://127.0.0.1:9"], "a scheduler is Dask's; add --engine dask"),
    ],
)
def test_what_a_replay_does_not_understand_is_wrong_usage(settle: Settle, given: list[str], says: str) -> None:
    wrong = settle("replay", *given)
    assert (wrong.status, wrong.out) == (2, "")
    assert says in words(wrong.err)


def test_an_archive_that_is_not_there_is_refused(late: Settle, tmp_path: Path) -> None:
    for command in (["replay"], ["compare", version(tmp_path)], ["audit", "2026-10"]):
        missing = late(*command, "--archive", str(tmp_path / "nowhere"))
        assert (missing.status, "there is no archive at" in missing.err) == (1, True)
    assert "a cluster reads the archive, and there is none" in words(late("replay", "--engine", "dask").err)


def test_a_comparison_says_who_moves_and_by_how_much(late: Settle, tmp_path: Path) -> None:
    before = late("status", "--json").json
    said = late("compare", version(tmp_path, **{"60%": "80%"}))
    assert (said.status, late("status", "--json").json) == (0, before)
    assert "from facts, since they are kept by all that the version measures" in said.out
    assert "2 of 11 statements of its 1 contracts, from 2026-01-01 on; the other 9 are the same" in words(said.out)
    assert "1 contracts of other rulebooks stay as they are" in said.out
    assert "CNY 20.00 23.66 +3.66" in words(said.out)
    assert "+2.66 CNY of it in closed periods" in said.out
    assert "C-1 2026-10 net 7.998 10.664" in words(said.out)
    assert max(map(len, said.out.splitlines())) <= 80


def test_a_comparison_as_json_and_csv_has_every_amount(late: Settle, tmp_path: Path) -> None:
    file = version(tmp_path, **{"60%": "80%"})
    told = late("compare", file, *NOVEMBER, "--csv", str(tmp_path / "moved.csv"), "--json").json
    assert (told["from"], told["first"], told["statements"], told["changed_statements"]) == (
        "facts",
        "2026-11-01",
        1,
        1,
    )
    assert told["totals"] == {"CNY": {"before": "3", "after": "4", "moved": "1"}}
    assert (told["closed"], told["refused"]) == ({}, [])
    with (tmp_path / "moved.csv").open() as read:
        rows = list(csv.DictReader(read))
    assert [(row["name"], row["before"], row["after"]) for row in rows] == [
        (each["name"], each["before"], each["after"]) for each in told["changes"]
    ]
    assert (
        late("compare", file, "--csv", str(tmp_path / "none" / "moved.csv"))
        .err.strip()
        .endswith("cannot be written: No such file or directory; name a file in a folder that is there")
    )


def test_a_comparison_that_asks_for_more_reads_the_events_also_from_the_archive(late: Settle, tmp_path: Path) -> None:
    file = version(tmp_path, **{"[province]": "[province, city]", "60%": "80%"})
    said = late("compare", file, "--json").json
    assert (said["from"], said["why"]) == ("events", "from events, since the facts are not kept by dimension city")
    late("archive", "--to", str(tmp_path / "a"), "--buckets", "2")
    assert late("compare", file, "--archive", str(tmp_path / "a"), "--json").json == said
    assert late("compare", file, "--archive", str(tmp_path / "a"), "--engine", "dask", "--json").json == said


def test_a_comparison_tells_what_the_version_does_not_settle(late: Settle, tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"
    file.write_text(RULEBOOK.replace("rulebook: simple", "rulebook: none").replace("CNY", "USD"))
    (refused,) = late("compare", str(file), *NOVEMBER, "--json").json["refused"]
    assert (refused["contract"], refused["period"]) == ("C-2", "2026-11")
    assert "contract C-2 is in CNY, but rulebook none settles in USD" in refused["why"]
    assert "C-2 2026-11 could not be settled: contract C-2 is in CNY" in words(
        late("compare", str(file), *NOVEMBER).out
    )


def test_only_a_version_that_could_be_published_is_compared(late: Settle, tmp_path: Path) -> None:
    other = late("compare", version(tmp_path, **{"version: 2": "version: 3"}))
    assert (other.status, "the next version of simple is 2, not 3" in other.err) == (1, True)
    dollars = late("compare", version(tmp_path, CNY="USD"))
    assert (dollars.status, "simple settles in CNY; a rulebook in USD needs a name of its own" in dollars.err) == (
        1,
        True,
    )
    backwards = late("compare", version(tmp_path), "--from", "2026-12", "--to", "2026-10")
    assert (backwards.status, "2026-10 ends before 2026-12 begins" in words(backwards.err)) == (2, True)
    assert late("compare", str(tmp_path / "none.yaml")).status == 1


def test_an_audit_on_a_cluster_says_the_same(late: Settle) -> None:
    assert late("audit", "2026-10", "--engine", "dask", "--json").json == late("audit", "2026-10", "--json").json
    assert late("audit", "2026-10", "--engine", "spark").status == 2
