"""Every step that takes somebody other than who wrote, asked or published: no spelling of one name makes two persons of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from engine.aggregates import (
    assessment,
    discrepancy,
    invoicing,
    note,
    partner,
    relation,
    reported,
    rulebook,
    service,
)
from engine.aggregates.reported import ApproverIsAuthor
from engine.settlement.restating import Approval
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.aggregates.test_persons import NAME, NOBODY, SPELLINGS
from tests.consumers.test_personal import approved, bank, dump, key, take
from tests.histories import message, registered, signed
from tests.replay.test_restate import payable, simple
from tests.settlement import test_assessments as assessments
from tests.settlement import test_contents as contents
from tests.settlement import test_notes as notes
from tests.settlement import test_partners as partners
from tests.settlement import test_qualifications as qualifications
from tests.settlement import test_redemptions as redemptions
from tests.settlement import test_returned_payments as payments
from tests.settlement import test_services as services
from tests.settlement import test_withdrawn_invoices as invoices
from tests.settlement.test_chains import NOVEMBER, NOW, OCTOBER, book, charge
from tests.settlement.test_recording import kept, store

__all__ = ["key", "store"]

OTHER = "Zoë  Wa "


def said(raw: bytes, id: str = "", **data: Any) -> bytes:
    """The message with that data instead, under another id."""
    found = json.loads(raw)
    return json.dumps(found | {"id": id or found["id"], "data": found["data"] | data}).encode()


class Step(NamedTuple):
    """`first` prepares the store, the `asked` messages come first, `step` is the step, and `field` names the second person in it."""

    first: Callable[[Store], None]
    asked: Sequence[bytes]
    step: bytes
    field: str
    code: str


def applied(store: Store) -> None:
    take(store, registered(), signed())


BY_HAND = assessments.KEY | {"author": NAME, "reason": "agreed", "grade": "A"}
SUBMITTED = {"partner": "P-1", "qualification": "L-7", "type": "licence", "issuer": "MIIT", "valid_from": "2026-01-01"}
APPEALED = [assessments.step("published"), said(assessments.appealed(), author=NAME)]
DAY = {"day": "2026-10-20", "reason": "veto"}
OPENED = [notes.PUBLISHED, notes.DISPUTED, notes.opened("net", theirs="53.50")]

STEPS = {
    "a rulebook that reaches into closed periods": Step(
        notes.closed, [], said(book(notes.HALF, version=2), author=NAME), "approver", "rulebook-not-approved"
    ),
    "points by hand": Step(
        redemptions.ready, [], said(redemptions.adjusted("40"), author=NAME), "approver", "approver-is-author"
    ),
    "a grade by hand": Step(
        assessments.closed, [], message("assessment.overridden", "o", BY_HAND), "approver", "approver-is-author"
    ),
    "an appeal": Step(
        assessments.closed, [assessments.step("published"), assessments.appealed()],
        said(assessments.granted(), author=NAME), "approver", "approver-is-author",
    ),
    "an appeal, decided by who appealed": Step(
        assessments.closed, APPEALED, assessments.granted(), "author", "own-approval"
    ),
    "an appeal, approved by who appealed": Step(
        assessments.closed, APPEALED, assessments.granted(), "approver", "own-approval"
    ),
    "a merge": Step(
        lambda store: applied(store) or (take(store, registered("P-2")) and None), [],
        partners.step("merged", into="P-2", author=NAME, reason="bought"), "approver", "approver-is-author",
    ),
    "a bank account": Step(applied, [bank(author=NAME)], approved(), "approver", "own-approval"),
    "a redemption": Step(
        redemptions.ready, [redemptions.adjusted("100"), redemptions.asked("a", "10", author=NAME)],
        redemptions.step("approved", "a"), "approver", "own-approval",
    ),
    "an application": Step(
        applied, [said(services.applied(), author=NAME)], services.approved(), "author", "own-approval"
    ),
    "a suspension": Step(
        applied,
        [*services.on_trial(), services.step("suspension_proposed", author=NAME, reason="veto", cause="agents 2026-10")],
        services.step("suspended", **DAY), "author", "own-approval",
    ),
    "content": Step(
        contents.ready, [contents.content("submitted", "2026-10-01T00:00:00Z", author=NAME)],
        contents.content("reviewed", "2026-10-02T00:00:00Z", approved=True), "author", "own-approval",
    ),
    "a qualification": Step(
        applied, [message("qualification.submitted", "q", SUBMITTED | {"author": NAME})],
        qualifications.step("approved"), "author", "own-approval",
    ),
    "a resolution": Step(
        notes.closed, OPENED, said(notes.resolved(accepted=True), author=NAME), "approver", "own-approval"
    ),
    "a confirmation": Step(
        notes.closed, [said(notes.PUBLISHED, author=NAME)], notes.CONFIRMED, "author", "own-confirmation"
    ),
    "a credit note": Step(
        notes.closed, [notes.PUBLISHED, notes.CONFIRMED, said(notes.INVOICED, author=NAME)],
        invoices.withdrawn(), "author", "own-invoice",
    ),
    "a payment's return": Step(
        notes.closed, [notes.PUBLISHED, notes.CONFIRMED, notes.INVOICED, said(notes.PAID, author=NAME)],
        payments.returned(), "author", "own-payment",
    ),
}  # fmt: skip
each_step = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)


def asked(store: Store, step: Step) -> None:
    step.first(store)
    assert take(store, *step.asked).recorded == len(step.asked)


@each_step
def test_no_spelling_of_a_name_makes_two_persons_of_one(store: Store, key: None, step: Step) -> None:
    asked(store, step)
    take(store, *(said(step.step, f"own {number}", **{step.field: name}) for number, name in enumerate(SPELLINGS)))
    assert kept(store) == [("suspended", step.code)] * len(SPELLINGS)
    take(store, *(said(step.step, f"nobody {number}", **{step.field: name}) for number, name in enumerate(NOBODY)))
    # Of an appeal, such a name may also be that of the other who decides.
    assert {code for _, code in kept(store)[len(SPELLINGS) :]} <= {step.code, "approver-is-author"}
    assert len(kept(store)) == len(SPELLINGS) + len(NOBODY)
    assert take(store, said(step.step, "other", **{step.field: OTHER})).recorded == 1
    # What is recorded is what was said.
    assert OTHER in dump(store)


@each_step
def test_what_was_recorded_before_names_were_folded_is_what_it_was(
    store: Store, key: None, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(store, step)
    with monkeypatch.context() as before:
        for module in (assessment, discrepancy, invoicing, note, partner, relation, reported, rulebook, service):
            before.setattr(module, "same_person", lambda one, other: one is not None and one == other)
        assert take(store, said(step.step, "before", **{step.field: f"{NAME} "})).recorded == 1
    assert rebuild(store).equal


def test_an_adjustment_that_was_resolved_before_names_were_folded_is_proved(
    store: Store, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = STEPS["a resolution"]
    asked(store, step)
    with monkeypatch.context() as before:
        before.setattr(discrepancy, "same_person", lambda one, other: one == other)
        assert take(store, said(step.step, approver=f"{NAME} ")).recorded == 1
    take(store, charge("2", "100", 11))
    notes.close(store, NOVEMBER)
    proof = audit(store, NOVEMBER)
    assert proof.ok, proof.failed


def test_adjustments_that_wait_for_two_persons_are_not_approved_by_one(store: Store) -> None:
    simple(store, charge("1", "100", 10), late_events="hold")
    notes.close(store, OCTOBER)
    take(store, charge("late", "8", 10))
    for spelling in (*SPELLINGS, *NOBODY):
        with pytest.raises(ApproverIsAuthor):
            restate(store, NOW, approval=Approval(NAME, spelling))
    assert payable(restate(store, NOW, approval=Approval(NAME, OTHER))) == [("C-1", "2026-10", "4.00")]
