"""Who a partner is, and what follows for its contracts and its payouts."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from engine.aggregates import partner
from engine.aggregates.partner import Partner
from engine.aggregates.refusal import Refused
from engine.settlement import closing
from engine.settlement.paying import payment
from engine.settlement.statements import view
from engine.store import registry, suspense
from engine.store.database import Store
from replay.rebuild.running import rebuild
from tests.consumers.test_personal import approved, bank, contact, erased, key
from tests.consumers.test_personal import take as take_sealed
from tests.histories import charged, event_of, message, registered, signed
from tests.settlement.test_chains import NOW, OCTOBER
from tests.settlement.test_recording import kept, published, store, take

__all__ = ["key", "store"]

BY: dict[str, Any] = {"author": "Li", "reason": "doubts"}


MERGE = BY | {"approver": "Wu"}


def step(kind: str, partner: str = "P-1", id: str = "1", **said: Any) -> bytes:
    return message(f"partner.{kind}", f"{kind} {partner} {id}", {"partner": partner} | said)


def statement(store: Store) -> dict[str, Any]:
    with store.reading() as cursor:
        return view(cursor, "C-1", OCTOBER).statement


def known(store: Store, id: str = "P-1") -> Partner:
    with store.reading() as cursor:
        return registry.partners(cursor, [id])[id]


def test_a_change_replaces_what_it_says_and_leaves_the_rest(store: Store) -> None:
    said = {"author": "Li", "name": "One Ltd", "tax_id": "DE1", "address": ["Street 1", "Berlin"]}
    take(store, registered(), step("changed", **said), step("changed", id="2", author="Li", country="DE"))
    found = known(store)
    assert (found.name, found.kind, found.country, found.tax_id) == ("One Ltd", "agent", "DE", "DE1")
    assert found.address == ("Street 1", "Berlin")
    assert rebuild(store).equal


def test_nothing_is_signed_with_a_blocked_partner_until_it_is_unblocked(store: Store) -> None:
    take(store, registered(), step("blocked", **BY), signed(), published())
    assert kept(store) == [("suspended", "partner-blocked")]
    take(store, charged("1"))
    assert [code for _, code in kept(store)] == ["partner-blocked", "unknown-contract"]
    take(store, step("unblocked", **BY))
    assert kept(store) == [], "the contract is recycled by it, and the charge by the contract"
    assert statement(store)["payable"] == "1.00"


def test_what_a_blocked_partner_earns_counts_and_its_payout_is_held(store: Store) -> None:
    take(store, registered(), signed(), published(), charged("1", amount="30.00"), step("blocked", **BY))
    said = statement(store)
    # 50% of 30.00; it is earned all the same.
    assert (said["payable"], said["payout_held"]) == ("15.00", "partner P-1 is blocked by Li: doubts")
    closing.close(store, OCTOBER, NOW)
    closed = statement(store)
    assert closed["payout_held"] == said["payout_held"]
    take(store, step("unblocked", **BY))
    after = statement(store)
    assert "payout_held" not in after
    assert after["digest"] == closed["digest"]


def test_the_statement_of_a_merged_partner_names_who_is_paid(store: Store) -> None:
    take(store, registered(), registered("P-2"), registered("P-3"), signed(), published(), charged("1"))
    assert "payee" not in statement(store)
    take(store, step("merged", into="P-2", **MERGE), step("merged", "P-2", into="P-3", **MERGE))
    assert (statement(store)["partner"], statement(store)["payee"]) == ("P-1", "P-3")
    take(store, step("blocked", "P-3", **BY))
    assert statement(store)["payout_held"] == "partner P-3 is blocked by Li: doubts"
    # A block is not shaken off by a merge.
    take(store, step("unblocked", "P-3", **BY), step("blocked", "P-1", **BY))
    assert statement(store)["payout_held"] == "partner P-1 is blocked by Li: doubts"
    take(store, signed("C-2"), step("changed", author="Li", name="x"))
    assert kept(store) == [("suspended", "partner-merged")] * 2


def test_a_merge_redirects_money_so_it_takes_two_persons(store: Store) -> None:
    take(store, registered(), registered("P-2"), signed(), published(), charged("1"))
    take(store, step("merged", into="P-2", **BY, approver="Li"))
    assert kept(store) == [("suspended", "approver-is-author")]
    assert "payee" not in statement(store)
    assert take(store, step("merged", id="2", into="P-2", **BY)).rejected == 1, "nobody approves it"
    take(store, step("merged", id="3", into="P-2", **MERGE))
    assert statement(store)["payee"] == "P-2"


def test_partners_are_not_merged_in_a_circle_or_into_nobody(store: Store) -> None:
    take(store, registered(), registered("P-2"), registered("P-3"))
    take(store, step("merged", into="P-2", **MERGE), step("merged", "P-2", into="P-3", **MERGE))
    take(store, step("merged", "P-3", into="P-1", **MERGE), step("merged", "P-3", id="2", into="P-3", **MERGE))
    take(store, step("merged", "P-3", id="3", into="P-9", **MERGE))
    assert [code for _, code in kept(store)] == ["merge-cycle", "merge-cycle", "unknown-partner"]
    with store.reading() as cursor:
        assert "P-3 > P-1 > P-2 > P-3 would be paid in a circle" in suspense.entries(cursor)[0].sentence
    take(store, registered("P-9"))
    with store.reading() as cursor:
        assert payment(cursor, "P-1").payee == "P-9"


def test_a_new_bank_account_holds_payouts_until_somebody_else_approves_it(store: Store) -> None:
    take(store, registered(), signed(), published(), charged("1"))
    take_sealed(store, bank(), approved(by="Li"))
    waiting = "bank account ****3000 of partner P-1, change 1 by Li, waits for somebody else's approval"
    assert kept(store) == [("suspended", "own-approval")]
    assert (statement(store)["payout_held"], known(store).account) == (waiting, None)
    take_sealed(store, approved("a2", "Wu"))
    assert "payout_held" not in statement(store)
    # The next change holds them again, and the approved account stays the one that counts until then.
    take_sealed(store, bank("b2", iban="GB82WEST12345698765432"))
    assert (known(store).account or bank()).masked == "****3000"  # type: ignore[union-attr]
    assert "****5432" in statement(store)["payout_held"]
    take_sealed(store, message("partner.bank_account_rejected", "r", {"partner": "P-1", **BY}))
    assert known(store).payout_held is None
    assert (known(store).account or bank()).masked == "****3000"  # type: ignore[union-attr]


def test_who_checked_one_change_does_not_approve_another_that_came_meanwhile(store: Store) -> None:
    take_sealed(store, registered(), bank(), bank("b2", iban="GB82WEST12345698765432"), approved(change=1))
    assert kept(store) == [("suspended", "wrong-state")]
    take_sealed(store, approved("a2", change=2))
    assert known(store).account is not None
    take_sealed(store, approved("a3"))
    assert kept(store)[1:] == [("suspended", "not-there")]


def test_a_rebuild_makes_partners_as_they_were(store: Store) -> None:
    take_sealed(
        store, registered(), registered("P-2"), contact(), contact("k2", contact="c2"), erased(), bank(), approved()
    )
    take(store, step("blocked", **BY), step("merged", "P-2", into="P-1", **MERGE))
    assert rebuild(store).equal


NAMES = ("A", "B", "C")
IDS = st.sampled_from(NAMES)
PEOPLE = st.sampled_from(["Li", "Wu"])


class Partners(RuleBasedStateMachine):
    """Any commands in any order against the aggregate: every refusal leaves the state as it was, and no payout slips through."""

    @initialize()
    def begin(self) -> None:
        self.states: dict[str, Partner] = {}
        self.numbers = itertools.count()
        self.proposed_by: dict[str, str] = {}
        for name in NAMES:
            self.tell(event_of(registered(name)))

    def look(self, kind: str, id: str) -> Any:
        if kind == "note*":
            return []
        if kind == "partner*":
            return [each for each in self.states.values() if each.merged_into == id]
        return self.states.get(id)

    def tell(self, command: Any) -> bool:
        before = self.states.get(command.partner)
        try:
            event = partner.decide(before, command, self.look)
        except Refused as refused:
            self.refused = refused
            return False
        self.states[command.partner] = partner.evolve(before, event)
        # What is kept is what is read again.
        kept = msgspec.json.decode(msgspec.json.encode(self.states[command.partner]), type=Partner)
        assert kept == self.states[command.partner]
        return True

    def said(self, kind: str, who: str, **data: Any) -> Any:
        return event_of(message(f"partner.{kind}", f"{next(self.numbers)}", {"partner": who} | data))

    @rule(who=IDS)
    def register_again(self, who: str) -> None:
        assert not self.tell(event_of(registered(who)))

    @rule(who=IDS, by=PEOPLE)
    def block(self, who: str, by: str) -> None:
        blocked = self.states[who].blocked
        assert self.tell(self.said("blocked", who, author=by, reason="r")) == (blocked is None)

    @rule(who=IDS, by=PEOPLE)
    def unblock(self, who: str, by: str) -> None:
        blocked = self.states[who].blocked
        assert self.tell(self.said("unblocked", who, author=by, reason="r")) == (blocked is not None)

    @rule(who=IDS, into=IDS)
    def merge(self, who: str, into: str) -> None:
        good = self.states[who].merged_into is None and who not in partner.merged(self.look, into)
        assert self.tell(self.said("merged", who, into=into, author="Li", approver="Wu", reason="r")) == good

    @rule(who=IDS, by=PEOPLE)
    def propose(self, who: str, by: str) -> None:
        event = partner.PartnerBankAccountChanged(
            source="s", id=f"{next(self.numbers)}", time=NOW, partner=who, currency="EUR", author=by, masked="****0001",
            sealed="x",
        )  # fmt: skip
        if self.tell(event):
            self.proposed_by[who] = by

    @rule(who=IDS, by=PEOPLE)
    def approve(self, who: str, by: str) -> None:
        good = self.proposed_by.get(who) not in {None, by} and self.states[who].merged_into is None
        assert self.tell(self.said("bank_account_approved", who, approver=by)) == good
        if good:
            del self.proposed_by[who]

    @rule(who=IDS, change=st.integers(1, 3))
    def erase_account(self, who: str, change: int) -> None:
        before = self.states[who]
        there = before.proposals[change - 1] if change <= before.changes else None
        assert self.tell(self.said("bank_account_erased", who, change=change, **BY)) == (there is not None)
        if there is None:
            return
        # A gone proposal is as a rejected one; the others stand.
        if there.is_of(before.proposed):
            del self.proposed_by[who]
        after = self.states[who]
        assert after.account == (None if there.is_of(before.account) else before.account)
        assert after.proposals == (*before.proposals[: change - 1], None, *before.proposals[change:])

    @rule(who=IDS)
    def erase(self, who: str) -> None:
        there = self.states[who].contacts.get("c", "never")
        assert self.tell(self.said("contact_erased", who, contact="c", author="Li")) == (there is not None)

    @rule(who=IDS)
    def set_contact(self, who: str) -> None:
        event = partner.PartnerContactSet(
            source="s",
            id=f"{next(self.numbers)}",
            time=NOW,
            partner=who,
            contact="c",
            role="r",
            author="Li",
            sealed="x",
        )
        gone = "c" in self.states[who].contacts and self.states[who].contacts["c"] is None
        assert self.tell(event) == (not gone and self.states[who].merged_into is None)

    @invariant()
    def payouts_are_held_where_anything_is_open(self) -> None:
        refused = getattr(self, "refused", None)
        assert refused is None or "write this" in str(refused) or refused.waits_for
        for who in NAMES if hasattr(self, "states") else ():
            chain = list(partner.merged(self.look, who))
            assert len(chain) == len(set(chain))
            blocked = any(self.states[each].blocked for each in chain)
            assert bool(partner.held(self.look, who)) == (blocked or chain[-1] in self.proposed_by)
            assert partner.payee(self.look, who) == chain[-1]


def test_no_sequence_merges_in_a_circle_or_lets_a_held_payout_go() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Partners,
        settings=settings(max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )


@pytest.mark.parametrize("iban", ["GB82WEST12345698765432", "DE89370400440532013000", "NO9386011117947"])
def test_published_ibans_are_taken(store: Store, iban: str) -> None:
    take_sealed(store, registered(), bank(iban=iban))
    assert known(store).changes == 1


def test_an_account_without_an_iban_names_its_bank_and_short_ones_show_nothing(store: Store) -> None:
    said = {"iban": None, "bic": None, "account": "1234567", "bank": "CN-ICBC-Guangzhou"}
    take_sealed(store, registered(), bank(**said))
    assert (known(store).proposed or bank()).masked == "****"  # type: ignore[union-attr]
