"""Qualifications, models, authorisations, courses and leads on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.test_commands import Settle, settle
from tests.histories import charged, registered, signed

__all__ = ["settle"]

MODEL = """\
model: sp
version: {version}
kind: revenue_share
valid_from: {valid_from}
partner_kinds: [agent]
qualifications: [licence]
deposit: 1000.50
currency: CNY
days: {{publish_by: 5, dispute_until: 15, pay_by: 30}}
service_times:
  - {{kind: complaint, minutes: 480, severity: high}}
working_time: {{begins: 540, ends: 1080, weekdays: [1, 2, 3, 4, 5], holidays: [2026-10-01]}}
"""


@pytest.fixture
def partners(settle: Settle, tmp_path: Path) -> Settle:
    path = tmp_path / "partners.jsonl"
    path.write_bytes(
        b"\n".join([registered(), registered("P-2"), signed(cooperation_model="sp"), signed("C-2", partner="P-2")])
    )
    assert settle("ingest", str(path)).status == 0
    return settle


def took(settle: Settle, *command: str) -> None:
    ran = settle(*command)
    assert (ran.status, ran.err) == (0, "")


def refused(settle: Settle, *command: str) -> str:
    ran = settle(*command)
    assert ran.status == 1
    assert ran.out == ""
    return " ".join(ran.err.split())


def waiting(settle: Settle) -> int:
    return len(settle("suspense", "list", "--json").json)


def test_a_model_is_published_from_a_file_and_shown_by_day(partners: Settle, tmp_path: Path) -> None:
    path = tmp_path / "sp.yaml"
    for version, first in ((1, "2026-01-01"), (2, "2026-11-01")):
        path.write_text(MODEL.format(version=version, valid_from=first))
        took(partners, "model", "publish", str(path), "--by", "Li")
    assert partners("model", "show", "sp", "--at", "2026-10-31", "--json").json["version"] == 1
    second = partners("model", "show", "sp", "--at", "2026-11-01", "--json").json
    assert (second["version"], second["deposit"], second["days"]["pay_by"]) == (2, "1000.5", 30)
    assert "the first begins on 2026-01-01" in refused(partners, "model", "show", "sp", "--at", "2025-12-31")
    assert len(partners("model", "show", "sp", "--json").json["versions"]) == 2
    assert [(each["model"], each["latest"]) for each in partners("model", "list", "--json").json] == [("sp", 2)]


NO_MODELS = [
    ("model: &a sp\nkind: *a\n", "anchors and aliases"),
    ("model: !!python/object sp\n", "tags such as"),
    ("model: sp\nmodel: other\n", "model"),
    ("- sp\n", "no YAML object; give it the fields"),
    ("", "is empty; name the cooperation model file"),
    ("model: [" * 20 + "\n", "nested deeper"),
    ("model: sp\nversion: one\nkind: revenue_share\nvalid_from: 2026-01-01\n", "version"),
]


def test_a_model_file_that_is_no_model_is_refused(settle: Settle, tmp_path: Path) -> None:
    path = tmp_path / "sp.yaml"
    for text, says in NO_MODELS:
        path.write_text(text)
        assert says in refused(settle, "model", "publish", str(path), "--by", "Li")
    assert "cannot be read" in refused(settle, "model", "publish", str(tmp_path / "none.yaml"), "--by", "Li")


def test_a_qualification_lapses_by_its_day_and_is_named_before(partners: Settle) -> None:
    for number, end in (("L-1", "2026-11-01"), ("L-2", "2026-12-24"), ("L-3", None), ("L-4", "2026-11-02")):
        days = ["--from", "2026-01-01", *(["--to", end] if end else [])]
        took(partners, "qualification", "submit", "P-1", number, "--type", "licence", "--issuer", "MIIT", *days)
        if number != "L-4":
            took(partners, "qualification", "approve", "P-1", number, "--by", "Wu")
    at = ("--at", "2026-10-31", "--json")
    assert [each["state"] for each in partners("qualification", "list", *at).json] == ["approved"] * 3 + ["submitted"]
    lapsed = partners("qualification", "show", "P-1", "L-1", "--at", "2026-11-01", "--json").json
    assert lapsed["state"] == "lapsed"
    within = partners("qualification", "expiring", "--within", "1", *at).json
    assert [(each["qualification"], each["lapses"], each["days"]) for each in within] == [("L-1", "2026-11-01", 1)]
    assert len(partners("qualification", "expiring", "--within", "54", *at).json) == 2
    assert len(partners("qualification", "expiring", "--within", "53", *at).json) == 1
    assert (
        "from 2026-01-01 up to 2026-11-01" in partners("qualification", "show", "P-1", "L-1", "--at", "2026-10-31").out
    )
    took(partners, "qualification", "renew", "P-1", "L-1", "--by", "Wu", "--from", "2026-11-01", "--to", "2027-11-01")
    assert partners("qualification", "expiring", "--within", "30", *at).json == []
    took(partners, "qualification", "revoke", "P-1", "L-1", "--by", "Wu", "--reason", "fraud", "--to", "2026-11-05")
    took(partners, "qualification", "reject", "P-1", "L-4", "--by", "Wu", "--reason", "copy")
    assert [each["state"] for each in partners("qualification", "list", "--partner", "P-1", *at).json] == [
        "revoked", "approved", "approved", "rejected",
    ]  # fmt: skip
    assert "is revoked, so qualification.approved does not apply" in refused(
        partners, "qualification", "approve", "P-1", "L-1", "--by", "Wu"
    )
    said = refused(partners, "qualification", "show", "P-1", "L-9")
    assert "there is no qualification P-1 L-9; settle qualification list shows those that are" in said
    assert "settle model list shows those that are" in refused(partners, "model", "show", "none")
    assert "settle deposit pay records what is paid" in refused(partners, "deposit", "show", "C-1")


def test_an_authorisation_is_granted_fills_up_and_is_revoked_with_its_sub_agents(
    partners: Settle, tmp_path: Path
) -> None:
    days = ("--by", "Li", "--from", "2026-01-01")
    volume = ("--volume", "2.50", "--region", "GD", "--region", "GX")
    took(partners, "authorisation", "grant", "A-1", "--contract", "C-1", *days, *volume)
    took(partners, "authorisation", "grant", "A-2", "--contract", "C-2", *days, "--region", "GX", "--parent", "A-1")
    events = tmp_path / "events.jsonl"
    where = {"attributes": {"region": "GX"}}
    events.write_bytes(b"\n".join([charged("1", "C-2", **where), charged("2", "C-2", **where), charged("3", "C-2")]))
    took(partners, "ingest", str(events))
    assert waiting(partners) == 2
    (first, second) = partners("authorisation", "list", "--json").json
    assert (first["volume_max"], first["sold"], "sold" in second) == ("2.5", "2", False)
    shown = partners("authorisation", "show", "A-1", "--json").json
    assert (shown["within"], shown["sub_agents"], shown["regions"]) == ([], ["A-2"], ["GD", "GX"])
    assert partners("authorisation", "show", "A-2", "--json").json["within"] == ["A-1"]
    # A further one has room for what was too much, which is tried again by itself.
    took(partners, "authorisation", "grant", "A-3", "--contract", "C-2", *days, "--parent", "A-1", "--region", "GX")
    assert waiting(partners) == 2, "it counts for the agent above, too"
    end = ("--by", "Li", "--to", "2026-10-01", "--reason", "fraud")
    assert "sub-agents sell within it: A-2, A-3" in refused(partners, "authorisation", "revoke", "A-1", *end)
    ran = partners("authorisation", "revoke", "A-1", *end, "--chain")
    assert ran.out.splitlines() == ["recorded authorisation.revoked"] * 3
    assert {each["state"] for each in partners("authorisation", "list", "--json").json} == {"revoked"}
    assert "contract C-9 is not signed" in refused(
        partners, "authorisation", "grant", "A-9", "--contract", "C-9", *days
    )


def test_a_course_is_offered_completed_and_shown_by_day(partners: Settle) -> None:
    took(partners, "course", "offer", "basics", "--name", "Basics", "--months", "12", "--by", "Li")
    for who in ("Ann", "Bo"):
        took(partners, "course", "enrol", "basics", "P-1", "--participant", who, "--time", "2026-09-01T00:00:00Z")
    took(partners, "course", "complete", "basics", "P-1", "--participant", "Ann", "--time", "2026-10-01T08:00:00+08:00")
    trained = partners("course", "show", "basics", "--at", "2027-09-30", "--json").json["trained"]
    assert [(each["participant"], each["state"]) for each in trained] == [("Ann", "certified"), ("Bo", "enrolled")]
    listed = partners("course", "list", "--partner", "P-1", "--at", "2027-10-01", "--json").json
    assert [each["state"] for each in listed] == ["lapsed", "enrolled"]
    took(partners, "course", "withdraw", "basics", "--by", "Li", "--reason", "replaced")
    assert "is withdrawn" in refused(partners, "course", "enrol", "basics", "P-2")
    assert [(each["course"], each["state"]) for each in partners("course", "list", "--json").json] == [
        ("basics", "withdrawn")
    ]
    assert "is not a time such as" in partners("course", "enrol", "x", "P-1", "--time", "soon").err


def test_of_two_who_register_a_lead_the_first_is_accepted_and_the_conflict_shown(partners: Settle) -> None:
    said = ("--customer", "Acme", "--product", "fibre", "--value", "10000", "--expires", "2026-12-01")
    at = ("--time", "2026-10-03T08:15:00Z")
    took(partners, "lead", "register", "L-1", "--contract", "C-1", *said, *at)
    took(partners, "lead", "register", "L-2", "--contract", "C-2", *said, *at, "--by", "Wu")
    assert "lead L-1 of partner P-1" in refused(partners, "lead", "accept", "L-2", "--by", "Li", *at)
    took(partners, "lead", "accept", "L-1", "--by", "Li", *at)
    on = ("--at", "2026-11-30", "--json")
    assert partners("lead", "show", "L-2", *on).json["conflicts"] == ["L-1 of P-1, accepted"]
    assert [each["conflicts"] for each in partners("lead", "list", *on).json] == [
        ["L-2 of P-2, registered"], ["L-1 of P-1, accepted"],
    ]  # fmt: skip
    took(partners, "lead", "reject", "L-2", "--by", "Li", "--reason", "second", *at)
    took(partners, "lead", "win", "L-1", "--amount", "9000.50", "--reference", "O-1", *at)
    won = partners("lead", "show", "L-1", *on).json
    assert (won["state"], won["value"], won["won"], won["conflicts"]) == ("won", "10000", "9000.5", [])
    took(partners, "lead", "register", "L-3", "--contract", "C-2", *said[:2], "--product", "tv", *said[4:], *at)
    assert partners("lead", "show", "L-3", "--at", "2026-12-01", "--json").json["state"] == "expired"
    took(partners, "lead", "lose", "L-3", "--reason", "price", *at)
    assert "is lost, so lead.accepted does not apply; nothing can follow from there" in refused(
        partners, "lead", "accept", "L-3", "--by", "Li", *at
    )
    assert "contract C-9 is not signed" in refused(partners, "lead", "register", "L-4", "--contract", "C-9", *said)
