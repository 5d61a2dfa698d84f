"""Audits in a real store: what was issued is proved, and whatever was tampered with is found and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.settlement import closing
from engine.store.database import Store
from replay.archive.reading import Archive
from replay.archive.writing import seal
from replay.audit import auditing
from replay.audit.auditing import NothingIssued, audit
from replay.audit.findings import Check
from replay.restate import restate
from tests.replay import audited as histories
from tests.replay.audited import SCENARIOS, Audited, audited, new_store
from tests.replay.test_restate import NOW, close, simple
from tests.settlement import test_notes as notes
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]


@pytest.fixture(scope="module")
def found(postgres: str) -> dict[tuple[str, str], Audited]:
    return audited(postgres)


@pytest.mark.parametrize("scenario", [each.__name__ for each in SCENARIOS])
def test_what_was_issued_is_proved(found: dict[tuple[str, str], Audited], scenario: str) -> None:
    for (name, _), (proof, _) in found.items():
        if name == scenario:
            assert proof.failed == []
            assert proof.statements
            checked = proof.checked()
            assert all(checked[check][0] >= proof.statements for check in (Check.seals, Check.facts, Check.digest))
            assert all(check in checked for check in (Check.root, Check.chain, Check.tables, Check.intake))


def test_what_the_evidence_does_not_reach_is_said(found: dict[tuple[str, str], Audited]) -> None:
    assert found["late", "2026-10"].proof.taken == []
    said = {name: [each.sentence for each in audited.proof.taken] for name, audited in found.items()}
    assert "10 events that no seal covers" in said["assessed", "2026-10"][0]
    assert ["2 earlier statements and scores" in each for each in said["guaranteed", "2026-12"]] == [True]


def test_balances_grades_rates_scores_and_adjustments_are_checked_where_there_are_any(
    found: dict[tuple[str, str], Audited],
) -> None:
    for scenario, period, check, number in [
        ("assessed", "2026-10", Check.score, 3), ("assessed", "2026-11", Check.grades, 2),
        ("converted", "2026-11", Check.rates, 1), ("guaranteed", "2026-12", Check.adjustments, 4),
        ("several", "2026-10", Check.root, 3), ("pooled", "2026-11", Check.columns, 8),
    ]:  # fmt: skip
        assert found[scenario, period].proof.checked()[check][0] == number, (scenario, check)


@pytest.fixture(scope="module")
def kept(postgres: str) -> Iterator[Store]:
    """A store that tests may tamper with: it is as it was again after each."""
    with new_store(postgres) as opened:
        histories.guaranteed(opened)
        with opened.writing() as cursor:
            cursor.execute("CREATE SCHEMA kept")
            for table in TABLES:
                cursor.execute(f"CREATE TABLE kept.{table} AS TABLE settle.{table}")
        yield opened


TABLES = ("log", "batches", "statements", "closings", "chain", "intake", "identities", "journal")


@pytest.fixture
def tamper(kept: Store) -> Iterator[Callable[[str], Store]]:
    def tampered(sql: str) -> Store:
        with kept.writing() as cursor:
            cursor.execute(sql)
            assert cursor.rowcount > 0, sql
        return kept

    yield tampered
    with kept.writing() as cursor:
        for table in TABLES:
            cursor.execute(f"DELETE FROM settle.{table}")  # noqa: S608 - constants, here and below
            cursor.execute(f"INSERT INTO settle.{table} SELECT * FROM kept.{table}")  # noqa: S608


def test_the_untouched_store_passes(kept: Store) -> None:
    assert audit(kept, DECEMBER).failed == []


def state(old: str, new: str, where: str) -> str:
    changed = f"convert_to(replace(convert_from(state, 'UTF8'), '{old}', '{new}'), 'UTF8')"
    has = f"position(convert_to('{old}', 'UTF8') IN state) > 0"
    return f"UPDATE settle.log SET state = {changed} WHERE {where} AND {has}"  # noqa: S608


CHARGE = "topic = 'billing.charged'"
# What is done to the store; and of what the audit of December says, the checks of which contract fail, with some words.
TAMPERED = {
    "the amount of an event": (
        state('"amount":1040000000', '"amount":1040000001', CHARGE),
        [("C-1", Check.seals, "the events of C-1 in 2026-12"), ("C-1", Check.facts, "events come to 1 and 1040000001"),
         ("", Check.chain, "closing 1 of 2026-10")],
    ),
    "the id of an event": (
        state('"id":"3"', '"id":"x"', CHARGE),
        [("C-1", Check.seals, "the events of C-1 in 2026-12"), ("", Check.chain, "recorded another log")],
    ),
    "the time of recording of a batch": (
        "UPDATE settle.batches SET recorded_at = recorded_at + interval '1 microsecond' WHERE first_position = 4",
        [("C-1", Check.seals, "the events of C-1 in 2026-12"), ("", Check.chain, "recorded another log")],
    ),
    "an event that is gone": (
        "DELETE FROM settle.log WHERE notification_id = 6",
        [("C-1", Check.seals, "(0 of them)"), ("", Check.chain, "position 6 is missing")],
    ),
    "an event of another period": (
        state('"amount":610000000', '"amount":610000001', CHARGE),
        [("C-1", Check.seals, "the events of C-1 in 2026-11"), ("", Check.chain, "past position 0 and up to 7")],
    ),
    "an event on another stream": (
        "UPDATE settle.log SET originator_id = gen_random_uuid(), originator_version = 7 WHERE notification_id = 6",
        [("C-1", Check.seals, "(0 of them)"), ("", Check.chain, "follows on version")],
    ),
    "a contract's terms": (
        state('"rulebook":"simple"', '"rulebook":"single"', "topic = 'contract.signed'"),
        [("C-1", Check.seals, "the terms of C-1"), ("C-1", Check.rulebook, "was in force")],
    ),
    "a rulebook": (
        state("minimum: 75", "minimum: 76", "topic = 'rulebook.published'"),
        [("C-1", Check.seals, "the versions of rulebook simple"), ("C-1", Check.reference, "comes to 76"),
         ("C-1", Check.columns, "comes to 76")],
    ),
    "a statement's event": (
        state('\\"payable\\":\\"90.00\\"', '\\"payable\\":\\"91.00\\"', "topic = 'statement.closed'"),
        [("C-1", Check.digest, "was issued"), ("C-1", Check.sums, "its shares come to 90"), ("", Check.root, "recorded"),
         ("C-1", Check.tables, "another statement than the log")],
    ),
    "a restated statement's event": (
        state('\\"amount\\":\\"15.00\\"', '\\"amount\\":\\"16.00\\"', "topic = 'statement.restated'"),
        [("C-1", Check.adjustments, "is not what it changes against version 1"), ("", Check.root, "recorded")],
    ),
    "a closing's event": (
        state('"statements":1', '"statements":2', "topic = 'period.closed' AND notification_id > 12"),
        [("", Check.root, "it issued 2 statements, and there are 1"), ("", Check.tables, "the table of closings")],
    ),
    "a statement's row": (
        "UPDATE statements SET statement = replace(statement, '90.00', '91.00') WHERE period = '2026-12'",
        [("C-1", Check.tables, "another statement than the log")],
    ),
    "the position of a restated row": (
        "UPDATE statements SET taken_by = NULL WHERE period = '2026-10' AND version = 2",
        [("C-1", Check.tables, "another taken_by than the log")],
    ),
    "the day of a posting": (
        "UPDATE journal SET day = day - 400 WHERE account = 'accrued shares' AND day = '2026-12-31'",
        [("C-1", Check.journal, "does not say what the statement means")],
    ),
    "whose a posting is": (
        "UPDATE journal SET contract = 'C-9' WHERE account = 'accrued shares' AND day = '2026-12-31'",
        [("C-1", Check.journal, "does not say what the statement means")],
    ),
    "an entry that nobody made": (
        """INSERT INTO journal SELECT 1, line, 1, day, contract, period, 'paid', account, party, amount, currency
        FROM journal WHERE day = '2026-12-31'""",
        [("", Check.journal, "has an entry at position 1, where the log has nothing that means one")],
    ),
    "an identity that is gone": (
        "DELETE FROM settle.identities WHERE identity = (SELECT identity FROM settle.identities LIMIT 1)",
        [("", Check.intake, "would be counted twice")],
    ),
    "the chain that is gone": (
        "DELETE FROM chain", [("", Check.chain, "the chain as it is stored is gone")],
    ),
    "a row that is gone": (
        "DELETE FROM statements WHERE period = '2026-12'",
        [("C-1", Check.tables, "no such row"), ("", Check.intake, "should be in it")],
    ),
    "a row that nobody issued": (
        """INSERT INTO statements SELECT (jsonb_populate_record(s, '{"contract": "C-9", "own_position": 99}')).*
        FROM statements s WHERE period = '2026-12'""",
        [("C-9", Check.tables, "the log has no such event")],
    ),
    "a closing's row": (
        "UPDATE closings SET root = repeat('0', 64) WHERE period = '2026-12'",
        [("", Check.tables, "the table of closings")],
    ),
    "the chain": (
        "UPDATE chain SET leaves = sha256(leaves)",
        [("", Check.chain, "the chain as it is stored recorded another log")],
    ),
    "the account of messages": (
        "UPDATE settle.intake SET recorded = recorded + 1, next_offset = next_offset + 1",
        [("", Check.intake, "should be in it")],
    ),
    "an event that cannot be read": (
        "UPDATE settle.log SET state = '{' WHERE notification_id = 6",
        [("", Check.readable, "the event at position 6"), ("", Check.chain, "recorded another log")],
    ),
    "a batch's extent": (
        "UPDATE settle.batches SET last_position = last_position - 1 WHERE first_position = 4",
        [("", Check.chain, "should go on at position 6, and go on at 7")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_found_and_named(tamper: Callable[[str], Store], what: str) -> None:
    sql, expected = TAMPERED[what]
    failed = audit(tamper(sql), DECEMBER).failed
    said = [(each.contract, each.check, each.sentence) for each in failed]
    for contract, check, words in expected:
        assert [one for one in said if one[:2] == (contract, check) and words in one[2]], said


def test_where_the_log_was_tampered_with_is_told_by_the_closings_around_it(tamper: Callable[[str], Store]) -> None:
    """The late event of October came between the closings of November and December."""
    sql = state('"id":"late"', '"id":"other"', CHARGE)
    (chain,) = [each.sentence for each in audit(tamper(sql), NOVEMBER).failed]
    assert "recorded another log: an event past position 9 and up to 14" in chain


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE scores SET grade = 'C' WHERE partner = 'P-2'", "the table of scores says something else"),
        ("DELETE FROM scores WHERE partner = 'P-2'", "the table of scores says something else"),
        ("UPDATE scores SET closing = NULL WHERE partner = 'P-2'", "the table of scores says something else"),
        ("UPDATE scores SET own_position = own_position + 1000 WHERE partner = 'P-2'", "the log has no such event"),
    ],
)
def test_the_scores_that_people_read_are_those_of_the_log(store: Store, sql: str, words: str) -> None:
    histories.assessed(store)
    with store.writing() as cursor:
        cursor.execute(sql)
    failed = audit(store, OCTOBER).failed
    assert [each for each in failed if (each.contract, each.check) == ("P-2", Check.tables) and words in each.sentence]


@pytest.mark.parametrize(
    ("sql", "check", "words"),
    [
        ("DELETE FROM statements WHERE version = 1", Check.tables, "the table of statements has no such row"),
        ("UPDATE statements SET statement = '{' WHERE version = 1", Check.journal, "the tables do not hold together"),
        ("DELETE FROM rulebook_versions", Check.journal, "settle rebuild makes them anew"),
        ("UPDATE statements SET taken_by = '2026-11' WHERE version = 2", Check.tables, "is not on that statement"),
    ],
)
def test_tables_that_have_lost_or_hide_something_stop_no_audit(
    store: Store, sql: str, check: Check, words: str
) -> None:
    """Version 2 of October waits for its statement: hidden from that, it would never be paid."""
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    take(store, charge("late", "7", 10))
    restate(store, NOW)
    assert audit(store, OCTOBER).failed == []
    with store.writing() as cursor:
        cursor.execute(sql)
    assert [each for each in audit(store, OCTOBER).failed if each.check is check and words in each.sentence]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DELETE FROM resolutions", "does not say what the log says"),
        ('UPDATE resolutions SET "end" = "end" + 365', "does not say what the log says"),
        ("UPDATE resolutions SET taken_by = '2026-11'", "it is not on that statement"),
        (
            "UPDATE journal SET amount = 2 * amount WHERE reference = 'discrepancy on net'",
            "what discrepancy.resolved at",
        ),
        ("DELETE FROM journal WHERE reference = 'discrepancy on net'", "what discrepancy.resolved at"),
    ],
)
def test_what_resolved_a_discrepancy_waits_as_the_log_says(store: Store, sql: str, words: str) -> None:
    notes.disputed(store)
    assert audit(store, OCTOBER).failed == []
    with store.writing() as cursor:
        cursor.execute(sql)
    assert [each for each in audit(store, OCTOBER).failed if words in each.sentence]


def test_a_statement_that_left_out_what_came_last_is_named(tamper: Callable[[str], Store]) -> None:
    sql = state('"position":11,', '"position":10,', "topic = 'statement.restated'")
    assert ("C-1", "it knew the log up to position 10, and there were events up to 11") in [
        (each.contract, each.sentence) for each in audit(tamper(sql), DECEMBER).failed
    ]


def test_what_is_folded_is_no_evidence(kept: Store) -> None:
    with kept.writing() as cursor:
        cursor.execute("UPDATE facts SET value_micros = value_micros + 1")
    assert audit(kept, DECEMBER).failed == []
    with kept.writing() as cursor:
        cursor.execute("UPDATE facts SET value_micros = value_micros - 1")


def test_an_audit_writes_nothing_and_refuses_a_period_in_which_nothing_was_issued(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    with pytest.raises(NothingIssued, match="settle close 2026-10"):
        audit(store, OCTOBER)
    close(store, OCTOBER)
    take(store, charge("2", "100", 11))
    with store.reading() as cursor:
        before = cursor.execute("SELECT position FROM chain").fetchone()
    (chain,) = [each.sentence for each in audit(store, OCTOBER).findings if each.check is Check.chain]
    assert chain.endswith("the last 2 are not sealed yet")
    with store.reading() as cursor:
        assert cursor.execute("SELECT position FROM chain").fetchone() == before


def test_what_no_closing_commits_to_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    simple(store, charge("1", "100", 10))
    with monkeypatch.context() as patch:
        patch.setattr(closing.sealing, "complete", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            closing.close(store, OCTOBER, NOW)
    (failed,) = audit(store, OCTOBER).failed
    assert "no closing" in failed.sentence
    close(store, OCTOBER)
    assert audit(store, OCTOBER).failed == []


def test_an_archive_is_checked_and_that_it_is_of_this_log(
    tamper: Callable[[str], Store], kept: Store, tmp_path: Path
) -> None:
    seal(kept, tmp_path)
    archive = Archive(str(tmp_path))
    proof = audit(kept, NOVEMBER, archive)
    assert (proof.failed, proof.checked()[Check.archive]) == ([], (1, 0))
    tampered = tamper(state('"id":"3"', '"id":"x"', CHARGE))
    failed = [each for each in audit(tampered, NOVEMBER, archive).failed if each.check is Check.archive]
    assert ["is of another log" in each.sentence for each in failed] == [True]
    segment = archive.seals[0].segments[0]
    path = tmp_path / segment.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    failed = [each for each in audit(tampered, NOVEMBER, archive).failed if each.check is Check.archive]
    assert any(segment.path in each.sentence for each in failed)


def test_progress_is_told_up_to_the_end(kept: Store) -> None:
    told: list[tuple[int, int]] = []
    auditing.audit(kept, DECEMBER, progress=lambda done, total: told.append((done, total)))
    assert told[0][0] == told[0][1]
    assert told[-1][0] == told[-1][1]
