"""The command line as its users meet it: what it prints, what it refuses, how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from console import main as command_line
from engine.store.embedded import is_running
from tests.histories import charged, registered, signed

RULEBOOK = """\
rulebook: simple
version: 1
valid_from: 2026-01-01
currency: CNY
dimensions: [province]
measures:
  sales: {event: billing.charged, sum: amount}
waterfall:
  - {name: net, amount: sales * 60%, clause: "2.1"}
  - {name: payable, amount: "max(net, 1)", round: half_up, clause: "2.2"}
split:
  of: payable
  among: [{party: partner, portion: 95%}, {party: broker, portion: remaining}]
"""
FILE = b"\n".join(
    [registered(), signed(), charged("1", amount="3.33", attributes={"province": "G D"}), charged("2", "C-9"), b"{"]
)


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Settle = Callable[..., Ran]


@pytest.fixture
def settle(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Settle:
    """Runs a command in this process, on a database of the test's own."""
    monkeypatch.setenv("SETTLE_DATABASE_URL", database)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["settle", *arguments])
        with pytest.raises(SystemExit) as exited:
            command_line.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ran(int(exited.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def filled(settle: Settle, tmp_path: Path) -> Settle:
    (tmp_path / "simple.yaml").write_text(RULEBOOK)
    (tmp_path / "events.jsonl").write_bytes(FILE)
    assert settle("rulebook", "publish", str(tmp_path / "simple.yaml")).status == 0
    assert settle("ingest", str(tmp_path / "events.jsonl")).status == 0
    return settle


def test_ingest_counts_every_message(settle: Settle, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(FILE)
    assert settle("ingest", str(path), "--json").json == {"recorded": 3, "duplicate": 0, "suspended": 1, "rejected": 1}
    assert settle("ingest", str(path), "--json").json == {"recorded": 0, "duplicate": 4, "suspended": 0, "rejected": 1}
    assert "settle suspense list" in settle("ingest", str(path)).out


def test_a_statement_has_the_shape_that_is_promised(filled: Settle) -> None:
    said = filled("statement", "C-1", "2026-10", "--json").json
    assert {k: v for k, v in said.items() if k not in {"rulebook", "digest", "evidence"}} == {
        "contract": "C-1", "partner": "P-1", "period": {"from": "2026-10-01", "to": "2026-11-01"}, "currency": "CNY",
        "state": "open", "version": 0, "payable": "2.00", "late": 0, "balances": [], "adjustments": [], "note": None,
        "lines": [{"name": "net", "amount": "1.998", "clause": "2.1"}, {"name": "payable", "amount": "2.00", "clause": "2.2"}],
        "parties": [{"party": "partner", "amount": "1.90"}, {"party": "broker", "amount": "0.10"}],
        "due": [{"currency": "CNY", "amount": "2.00",
                 "parties": [{"party": "partner", "amount": "1.90"}, {"party": "broker", "amount": "0.10"}]}],
    }  # fmt: skip
    assert said["rulebook"]["id"] == "simple"
    assert said["rulebook"]["version"] == 1
    assert len(said["rulebook"]["digest"]) == len(said["digest"]) == 64
    assert said["evidence"]["events"] == 1


def test_close_statement_explain_status_and_verify_agree(filled: Settle) -> None:
    closed = filled("close", "2026-10", "--json")
    assert (closed.status, closed.json["closed"], closed.json["already"]) == (0, 1, 0)
    assert filled("close", "2026-10", "--json").json["already"] == 1
    assert filled("statement", "C-1", "2026-10", "--json").json["state"] == "closed"
    tree = filled("explain", "C-1", "2026-10", "net", "--json").json
    sales = tree["reasons"][0]["parts"][0]["parts"][0]
    assert (sales["name"], sales["value"]) == ("sales", "3.33")
    assert [event["id"] for event in sales["parts"][0]["events"]] == ["1"]
    status = filled("status", "--json").json
    assert status["balanced"]
    assert status["consumed"] == 6  # the file's five messages and the rulebook
    assert status["periods"] == [{"period": "2026-10", "closed": 1, "open": 0, "late": 0}]
    assert filled("verify", "facts", "--json").json["equal"]


def test_verify_finds_a_fact_that_was_tampered_with(filled: Settle, database: str) -> None:
    import psycopg

    with psycopg.connect(database) as connection:
        connection.execute("UPDATE settle.facts SET value_micros = value_micros + 1")
    ran = filled("verify", "facts", "--json")
    assert ran.status == 1
    assert [(d["value_live"], d["value_log"]) for d in ran.json["differences"]] == [(3330001, 3330000)]
    assert filled("verify", "facts").status == 1


def test_verify_finds_a_copy_of_facts_that_was_tampered_with(filled: Settle, database: str) -> None:
    import psycopg

    assert filled("close", "2026-10").status == 0
    assert filled("verify", "facts", "--json").json["copies"] == 1
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE settle.fact_copies SET facts = overlay(facts placing 'x' from 200)")
    ran = filled("verify", "facts", "--json")
    assert (ran.status, ran.json["equal"], ran.json["differences"]) == (1, False, [])
    assert ran.json["wrong_copies"] == ["2026-10-01"]
    told = filled("verify", "facts")
    assert told.status == 1
    assert "the copies of the facts of 1 periods are not what the facts are" in " ".join(told.out.split())
    assert filled("rebuild").status == 0
    assert filled("close", "2026-10").status == 0
    assert filled("verify", "facts", "--json").json == ran.json | {
        "equal": True, "wrong_copies": [], "positions": ran.json["positions"],
    }  # fmt: skip


def test_suspense_is_listed_shown_recycled_and_written_off(filled: Settle) -> None:
    listed = filled("suspense", "list", "--json").json
    assert [(m["state"], m["code"]) for m in listed] == [("suspended", "unknown-contract"), ("rejected", "unreadable")]
    shown = filled("suspense", "show", str(listed[0]["id"]), "--json").json
    assert json.loads(shown["raw"])["data"]["contract"] == "C-9"
    assert filled("suspense", "recycle", "--json").json == {"tried": 1, "recorded": 0}
    assert filled("suspense", "write-off", str(listed[0]["id"]), "--reason", "test data", "--by", "ann").status == 0
    again = filled("suspense", "write-off", str(listed[0]["id"]), "--reason", "test data")
    assert (again.status, "is written off; only suspended" in again.err) == (1, True)
    gone = filled("suspense", "list", "--state", "written_off", "--json").json
    assert [(m["decided_by"], m["reason"]) for m in gone] == [("ann", "test data")]
    assert filled("suspense", "show", "999").status == 1


def test_partners_contracts_and_rulebooks_are_listed_and_shown(filled: Settle) -> None:
    assert [p["partner"] for p in filled("partner", "list", "--json").json] == ["P-1"]
    assert filled("partner", "show", "P-1", "--json").json["contracts"] == ["C-1"]
    assert [c["contract"] for c in filled("contract", "list", "--json").json] == ["C-1"]
    assert filled("contract", "show", "C-1", "--json").json["closed"] == []
    assert filled("rulebook", "show", "simple@1").out.strip() == RULEBOOK.strip()
    assert [b["rulebook"] for b in filled("rulebook", "list", "--json").json] == ["simple"]
    for unknown in (
        ("partner", "show", "X"),
        ("contract", "show", "X"),
        ("rulebook", "show", "X"),
        ("rulebook", "show", "simple@x"),
    ):
        assert filled(*unknown).status == 1


def test_a_late_event_shows_on_the_contract(filled: Settle, tmp_path: Path) -> None:
    filled("close", "2026-10")
    (tmp_path / "late.jsonl").write_bytes(charged("late"))
    filled("ingest", str(tmp_path / "late.jsonl"))
    assert [c["late"] for c in filled("contract", "show", "C-1", "--json").json["closed"]] == [1]
    assert "1 events came later" in filled("statement", "C-1", "2026-10").out


def test_publishing_twice_changes_nothing_and_other_content_is_refused(filled: Settle, tmp_path: Path) -> None:
    assert filled("rulebook", "publish", str(tmp_path / "simple.yaml"), "--json").json["already"]
    (tmp_path / "simple.yaml").write_text(RULEBOOK.replace("60%", "61%"))
    ran = filled("rulebook", "publish", str(tmp_path / "simple.yaml"))
    assert (ran.status, "give this one the number 2" in " ".join(ran.err.split())) == (1, True)


def test_the_checker_names_file_line_and_remedy(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(RULEBOOK.replace("sales * 60%", "slaes * 60%"))
    ran = settle("rulebook", "check", str(tmp_path / "wrong.yaml"))
    assert ran.status == 1
    assert f"{tmp_path / 'wrong.yaml'}:9:" in ran.out
    assert "sales" in ran.out
    assert settle("rulebook", "check", str(tmp_path / "wrong.yaml"), "--json").json["problems"][-1]["line"] == 9


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "Usage"),
        (("nothing",), 2, "No such command"),
        (("close", "2026-13"), 2, "is not a period"),
        (("close", "2199-12"), 1, "2199-12 ends with the day before 2200-01-01"),
        (("statement", "C-1"), 2, "Missing argument"),
        (("statement", "C-1", "2026-10"), 1, "contract C-1 is not signed"),
        (("ingest", "."), 1, ". cannot be read: Is a directory"),
        (("ingest", "nothing.jsonl"), 1, "No such file"),
        (("rulebook", "check", "."), 1, "cannot be read: Is a directory"),
        (("suspense", "list", "--state", "lost"), 2, "is none of suspended"),
    ],
)
def test_wrong_usage_is_2_and_a_refusal_1(settle: Settle, arguments: tuple[str, ...], status: int, said: str) -> None:
    ran = settle(*arguments)
    assert ran.status == status
    assert said in " ".join((ran.out + ran.err).split())


def test_a_database_that_does_not_answer_is_one_sentence(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETTLE_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/x")
    ran = settle("status")
    assert ran.status == 1
    assert "secret" not in ran.err


def environment(data: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SETTLE_")}
    return kept | {"SETTLE_DATA": str(data)}


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console.main", *arguments],
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_embedded_store_keeps_what_a_killed_ingest_had_committed(tmp_path: Path) -> None:
    """Kill the owner in the middle: its server stops, and the same file read again completes the account."""
    tmp_path.chmod(0o711)
    lines = [registered(), signed(), *(charged(f"{i}") for i in range(60_000))]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    data = tmp_path / "data"
    first = subprocess.Popen(
        [sys.executable, "-m", "console.main", "ingest", str(tmp_path / "events.jsonl")], env=environment(data),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    recorded = 0
    while recorded == 0 and first.poll() is None:
        if (data / "ready").exists():
            recorded = json.loads(run(data, "status", "--json").stdout)["total"]["recorded"]
    first.send_signal(signal.SIGKILL)
    first.wait()
    counts = json.loads(run(data, "ingest", str(tmp_path / "events.jsonl"), "--json").stdout)
    assert counts["duplicate"] >= recorded
    assert counts["recorded"] + counts["duplicate"] == 60_002
    status = json.loads(run(data, "status", "--json").stdout)
    assert status["balanced"]
    assert status["log"]["position"] == 60_002
    assert json.loads(run(data, "verify", "facts", "--json").stdout)["equal"]
    while is_running(data):
        pass


def test_output_fits_80_columns_where_nobody_watches(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    for arguments in (["--help"], ["suspense", "--help"], ["close", "--help"], ["status"]):
        ran = run(tmp_path / "data", *arguments)
        assert ran.returncode == 0
        assert max(map(len, ran.stdout.splitlines())) <= 80, ran.stdout
