"""settle audit as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.console.test_commands import Settle, filled, settle

__all__ = ["filled", "settle"]

SEED = "07" * 32
# Of the seed above.
PUBLIC = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"


@pytest.fixture
def closed(filled: Settle) -> Settle:
    assert filled("close", "2026-10").status == 0
    return filled


def test_an_audit_lists_what_holds_and_what_fails_by_contract(closed: Settle) -> None:
    ran = closed("audit", "2026-10")
    assert (ran.status, ran.err) == (0, "")
    root = closed("statement", "C-1", "2026-10", "--json").json["root"]
    assert root in ran.out
    assert "everything holds" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    said = closed("audit", "2026-10", "--json").json
    assert (said["ok"], said["failed"], said["contracts"]["C-1"]["failed"]) == (True, [], 0)
    assert said["checked"]["reference evaluator"] == {"checked": 1, "failed": 0}


def test_what_fails_is_named_and_the_exit_status_says_so(closed: Settle, database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE settle.statements SET digest = 'x'")
    ran = closed("audit", "2026-10")
    assert ran.status == 1
    assert "C-1 2026-10: tables: its row in the table of statements says another digest than the log" in ran.out
    assert "1 CHECKS FAIL" in ran.out
    said = closed("audit", "2026-10", "--json")
    assert (said.status, said.json["contracts"]["C-1"]["failed"]) == (1, 1)
    assert said.json["failed"][0]["check"] == "tables"


def test_a_pack_is_written_signed_and_verified(closed: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "october.pack")
    ran = closed("audit", "pack", "2026-10", "-o", path)
    assert "not signed (SETTLE_AUDIT_KEY is not set)" in ran.out
    monkeypatch.setenv("SETTLE_AUDIT_KEY", SEED)
    said = closed("audit", "pack", "2026-10", "-o", path, "--json").json
    assert (said["path"], said["public_key"], said["statements"]) == (path, PUBLIC, 1)
    monkeypatch.delenv("SETTLE_DATABASE_URL")
    ran = closed("audit", "verify", path)
    assert (ran.status, ran.err) == (0, "")
    assert f"signed by {PUBLIC}" in ran.out
    assert said["root"] in ran.out
    assert "  ".join(said["root"][at : at + 8] for at in range(0, 32, 8)) in ran.out
    assert (
        closed("audit", "verify", path, "--root", said["root"], "--key", PUBLIC, "--json").json["signed_by"] == PUBLIC
    )
    monkeypatch.setenv("SETTLE_AUDIT_PUBLIC_KEY", "00" * 32)
    assert closed("audit", "verify", path).status == 1
    monkeypatch.delenv("SETTLE_AUDIT_PUBLIC_KEY")
    other = closed("audit", "verify", path, "--root", "0" * 64)
    assert (other.status, "it proves another settlement than that one" in other.out) == (1, True)


def test_what_is_no_pack_no_key_and_no_root_is_refused_in_a_sentence(
    closed: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p"
    assert closed("audit", "verify", str(path)).err.endswith("name the file of a pack\n")
    path.write_bytes(b"hello")
    ran = closed("audit", "verify", str(path))
    assert (ran.status, "is not as it was packed" in ran.err) == (1, True)
    ran = closed("audit", "verify", str(path), "--json")
    assert (ran.status, ran.json["ok"], ran.json["damaged"]["where"]) == (1, False, "the header at byte 0")
    assert closed("audit", "verify", str(path), "--root", "12").status == 2
    assert closed("audit", "october").status == 2
    assert "settle close 2026-09" in closed("audit", "2026-09").err
    assert "settle close 2026-09" in closed("audit", "pack", "2026-09", "-o", str(path)).err
    monkeypatch.setenv("SETTLE_AUDIT_KEY", "my secret")
    ran = closed("audit", "pack", "2026-10", "-o", str(path))
    assert (ran.status, "holds no private key" in ran.err, "my secret" in ran.err) == (1, True, False)
    assert json.dumps(ran.out) == '""'
