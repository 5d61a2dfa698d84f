"""Whatever is asked for in whatever order: only declared states, each follows from the one before, and money is kept whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from psycopg.conninfo import make_conninfo

from consumers import run_day as running
from consumers.commands import Asked, ask
from engine.aggregates.note import Note
from engine.period import Period
from engine.settlement import closing
from engine.settlement.noting import told
from engine.settlement.recording import CommandRefused
from engine.store import intake, journal, relations, resolutions, statements
from engine.store.database import Store
from replay.audit.auditing import audit
from replay.rebuild.running import rebuild
from replay.restate import restate
from tests.histories import registered, signed
from tests.settlement.test_chains import book, charge
from tests.settlement.test_notes import HALF, model
from tests.settlement.test_recording import CHANNEL, take

NOW = datetime(2027, 6, 1, tzinfo=UTC)
PERIODS = [Period.parse(text) for text in ("2026-10", "2026-11", "2026-12")]
FOLLOWS = {
    None: {"published"},
    "published": {"disputed", "confirmed"},
    "disputed": {"confirmed"},
    "confirmed": {"invoiced", "settled"},
    "invoiced": {"paid", "confirmed"},
    "paid": {"settled"},
    "settled": set(),
}
# With a payment that is returned.
RETURNS = {"invoiced": {"invoiced"}, "paid": {"invoiced"}, "settled": {"invoiced"}}
DECIDED = {None: {"open"}, "open": {"assigned", "resolved", "rejected"}, "assigned": {"resolved", "rejected"}}
_numbers = itertools.count(1)
REACHED: set[str] = set()
INVOICES_MAX = 2


@contextmanager
def fresh(postgres: str) -> Iterator[Store]:
    name = f"settle_notes_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    try:
        with Store(make_conninfo(postgres, dbname=name)) as store:
            with store.writing() as cursor:
                intake.ensure(cursor, CHANNEL, [(0, 0)])
            yield store
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


periods = st.sampled_from([str(each) for each in PERIODS])
people = st.sampled_from(["ann", "bob", "partner"])
days = st.dates(date(2026, 11, 1), date(2027, 2, 15))
lines = st.sampled_from(["net", "gross", "due", "extra"])
amounts = st.sampled_from(["50", "50.00", "5", "30", "3.5", "-3.5", "0", "53.5", "-1", "0.001"])
taxes = st.sampled_from(
    [{"category": "S", "rate": "19"}, {"category": "S", "rate": "7.5"}, {"category": "AE"}, {"category": "O"}]
)
STEPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "statement.published": st.just({}),
    "statement.disputed": st.fixed_dictionaries({"reason": st.just("r"), "lines": st.lists(lines, max_size=2)}),
    "statement.confirmed": st.fixed_dictionaries({}, optional={"by_default": st.booleans()}),
    "statement.invoiced": st.fixed_dictionaries({"day": st.just("2026-12-01")}, optional={"tax": taxes}),
    "statement.invoice_withdrawn": st.fixed_dictionaries(
        {"day": st.just("2026-12-02"), "reason": st.just("r"), "number": periods.map(lambda period: f"SN-C-1-{period}")}
    ),
    "statement.settled": st.just({}),
    "discrepancy.opened": st.fixed_dictionaries({"line": lines}, optional={"theirs": amounts}),
    "discrepancy.assigned": st.fixed_dictionaries({"line": lines, "to": people}),
    "discrepancy.resolved": st.fixed_dictionaries({"line": lines, "approver": people, "reason": st.just("r")}).flatmap(
        lambda said: st.one_of(amounts.map(lambda a: said | {"amount": a}), st.just(said | {"accepted": True}))
    ),
    "discrepancy.rejected": st.fixed_dictionaries({"line": lines, "reason": st.just("r")}),
}
steps = st.sampled_from(sorted(STEPS)).flatmap(lambda name: st.tuples(st.just(name), STEPS[name]))

following = st.tuples(st.just("what_follows_is_done"), st.tuples(periods, lines, st.integers(0, 2)))
returning = st.tuples(
    st.just("a_payment_is_returned"),
    st.tuples(
        st.integers(-1, 3),
        st.sampled_from(["bank", "auditor"]),
        st.sampled_from(["", "part", "whole", "whole and settled"]),
    ),
)
# One strategy, not a rule each: so that no run does without some of them for its whole length.
acts = st.one_of(
    following,
    following,
    following,
    st.tuples(st.just("somebody_asks"), st.tuples(steps, periods, people, days)),
    st.tuples(
        st.just("somebody_pays"),
        st.tuples(periods, people, days, st.sampled_from(["whole", "more", "less", "without", "part"])),
    ),
    st.tuples(st.just("what_must_not_be_is_asked"), st.tuples(periods, people)),
    st.tuples(st.just("an_invoice_is_withdrawn_and_made_anew"), st.tuples(taxes)),
    following,
    returning,
    st.tuples(st.just("the_partner_is_taxed"), st.tuples(taxes)),
    st.tuples(st.just("a_period_is_closed"), st.tuples(st.sampled_from(PERIODS))),
    st.tuples(st.just("a_day_is_run"), st.tuples(days)),
    st.tuples(st.just("something_comes_late"), st.tuples(st.sampled_from([10, 11, 12]))),
)


class Notes(RuleBasedStateMachine):
    """Every command there is, at any time; a small model knows which states may follow which."""

    postgres: str

    def __init__(self) -> None:
        super().__init__()
        self.opened = fresh(self.postgres)
        self.store = self.opened.__enter__()
        self.sent = itertools.count(1)
        take(self.store, registered(), model(), book(HALF), signed(valid_from="2026-10-01", cooperation_model="sp"))
        take(self.store, charge("1", "100", 10), charge("2", "10", 11), charge("3", "60", 12))
        self.notes: dict[str, str] = {}
        self.discrepancies: dict[tuple[str, str], str] = {}
        self.days: dict[str, date] = {}  # of the last step
        self.partner_tax: dict[str, str] = {}
        self.stated: dict[str, dict[str, str]] = {}  # by period what its invoice says of VAT
        self.taxed: dict[str, Decimal] = {}  # by period the rate of the invoice that stands, in percent
        self.paid: dict[str, list[Decimal]] = {}  # by period the parts in which it was paid
        # By period what was accepted as paid and not as returned, by transfer.
        self.told: dict[str, dict[str, Decimal]] = {}
        self.gone: dict[str, int] = {}  # by period how many payments were returned
        self.recorders: dict[str, str] = {}  # by period who recorded the invoice that stands
        self.invoices: dict[str, list[str]] = {}  # by period the numbers of its invoices, in their order

    def teardown(self) -> None:
        try:
            # Two periods that no day of these closes: the first takes up all that still waits, the second nothing.
            ends = [*PERIODS, Period.parse("2027-02"), Period.parse("2027-03")]
            for period in ends:
                assert not closing.close(self.store, period, NOW).refused
            self.money_is_whole()
            with self.store.reading() as cursor:
                assert not resolutions.waiting(cursor)
            assert all(audit(self.store, period).ok for period in ends)
            assert rebuild(self.store).equal
        finally:
            self.opened.__exit__(None, None, None)

    @rule(act=acts)
    def happens(self, act: tuple[str, tuple[Any, ...]]) -> None:
        name, arguments = act
        getattr(self, name)(*arguments)

    def somebody_asks(self, step: tuple[str, dict[str, Any]], period: str, author: str, day: date) -> None:
        type_, said = step
        time = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        data = {"contract": "C-1", "period": period, "author": author} | said
        try:
            ask(self.store, [Asked(type_, data, time)], lambda: NOW)
            if type_ == "statement.invoiced":
                self.stated.pop(period, None)
                self.stated |= {period: said["tax"]} if "tax" in said else {}
            if type_ == "statement.paid":
                assert said["reference"] not in self.told.setdefault(period, {})
                self.told[period][said["reference"]] = Decimal(said["amount"])
            if type_ == "statement.payment_returned":
                del self.told[period][said["reference"]]
        except CommandRefused as refusal:
            REACHED.add(refusal.code)

    def somebody_pays(self, period: str, author: str, day: date, share: str) -> None:
        asked = self.due() if share == "without" else self.open()
        amount = asked.get(period, Decimal(50)) + {"more": 1, "less": -1}.get(share, 0)
        said = {"amount": f"{amount:f}", "currency": "CNY", "reference": f"B {next(self.sent)}", "day": "2026-12-01"}
        if share == "part":
            said |= {"amount": f"{Decimal(1).copy_sign(amount) if abs(amount) > 1 else amount:f}", "part": True}
        if share == "too large a part":
            said |= {"amount": f"{amount + Decimal('0.01').copy_sign(amount):f}", "part": True}
        self.somebody_asks(("statement.paid", said), period, author, day)

    def what_follows_is_done(self, period: str, line: str, choice: int) -> None:
        """So that the ends are reached as well: a step that fits the state; of another period, where that one is at its end."""
        unsettled = [each for each in map(str, PERIODS) if self.notes.get(each) != "settled"]
        period = period if period in unsettled else next(iter(unsettled), period)
        state = self.notes.get(period)
        undecided = [
            line for (of, line), now in self.discrepancies.items() if of == period and now in {"open", "assigned"}
        ]
        author, day, type_, said = "ann", self.days.get(period, date(2027, 1, 2)), "", {}
        if state is None:
            closing.close(self.store, Period.parse(period), NOW)
            type_ = "statement.published"
        elif undecided and choice:
            type_, said = (
                "discrepancy.resolved",
                {"line": undecided[0], "approver": "bob", "reason": "r", "amount": "2"},
            )
        elif undecided:
            type_, said = "discrepancy.rejected", {"line": undecided[0], "reason": "r"}
        elif state == "published" and choice:
            author, type_, said = "partner", "statement.disputed", {"reason": "r", "lines": [line]}
        elif state in {"published", "disputed"}:
            author, type_ = "partner", "statement.confirmed"
        elif state == "confirmed":
            type_, said = "statement.invoiced", {"day": "2027-03-01"}
            said |= {"tax": {"category": "S", "rate": "6"}} if choice == 1 else {}
        elif state == "invoiced":
            for share in ("whole",) if choice else ("part", "whole"):
                self.somebody_pays(period, author, day, share)
                self.states_are_declared_and_follow_one_another()
            said = {"number": self.invoices[period][-1], "reason": "r", "day": "2027-03-02"}
            self.somebody_asks(("statement.invoice_withdrawn", said), period, "auditor", day)  # refused
            return
        else:
            type_ = "statement.settled"
        self.somebody_asks((type_, said), period, author, day)
        if type_ == "statement.disputed":
            self.somebody_asks(("discrepancy.opened", {"line": line, "theirs": "55"}), period, "partner", day)
            self.somebody_asks(("statement.confirmed", {}), period, "partner", day)  # refused

    def an_invoice_is_withdrawn_and_made_anew(self, tax: dict[str, str]) -> None:
        stand = [
            each
            for each, state in self.notes.items()
            if state == "invoiced" and len(self.invoices[each]) < INVOICES_MAX
        ]
        for period in stand[:1]:
            said = {"number": self.invoices[period][-1], "reason": "r", "day": "2027-03-02"}
            day = self.days[period]
            for author in (self.recorders[period], "auditor"):  # the first is refused
                self.somebody_asks(("statement.invoice_withdrawn", said), period, author, day)
            self.states_are_declared_and_follow_one_another()
            self.somebody_asks(("statement.invoiced", {"day": "2027-03-02", "tax": tax}), period, "ann", day)

    def a_payment_is_returned(self, choice: int, author: str, share: str) -> None:
        """One that stands, or that is made first; again, which is refused; and the transfer that it was, which pays nothing again."""
        for period in [each for each, state in self.notes.items() if state == "invoiced"][:1]:
            if share:
                self.somebody_pays(period, "ann", self.days[period], share.removesuffix(" and settled"))
                self.states_are_declared_and_follow_one_another()
            if share.endswith("settled"):
                self.somebody_asks(("statement.settled", {}), period, "ann", self.days[period])
                self.states_are_declared_and_follow_one_another()
        stand = [(period, *each) for period, made in self.told.items() for each in made.items()]
        if not stand:
            return
        period, reference, amount = stand[choice % len(stand)]
        day = self.days[period]
        said = {"reference": reference, "currency": "CNY", "reason": "AC04", "day": "2026-12-03"}
        before = self.notes[period]
        self.somebody_asks(("statement.payment_returned", said), period, author, day)
        assert reference not in self.told[period]
        REACHED.add(f"returned when {before}")
        self.states_are_declared_and_follow_one_another()
        asked = {"amount": f"{amount:f}", "currency": "CNY", "reference": reference, "day": "2026-12-03", "part": True}
        for type_, what in (("statement.payment_returned", said), ("statement.paid", asked)):
            self.somebody_asks((type_, what), period, "ann", day)
            assert reference not in self.told[period]

    def what_must_not_be_is_asked(self, period: str, author: str) -> None:
        before = self.notes.get(period)
        undecided = any(of == period and now in {"open", "assigned"} for (of, _), now in self.discrepancies.items())
        day = date(2027, 3, 1)
        self.somebody_pays(period, author, day, "more")
        self.somebody_pays(period, author, day, "too large a part")
        if undecided:
            self.somebody_asks(("statement.confirmed", {}), period, author, day)
        if made := self.invoices.get(period):
            # By who recorded it, or once it is paid; it has been withdrawn already else.
            said = {"number": made[-1], "reason": "r", "day": "2027-03-02"}
            self.somebody_asks(("statement.invoice_withdrawn", said), period, self.recorders.get(period, author), day)
        with self.store.reading() as cursor:
            assert {each.state.period: each.state.state for each in relations.listed(cursor, "note")}.get(
                period
            ) == before

    def the_partner_is_taxed(self, tax: dict[str, str]) -> None:
        said = {"partner": "P-1", "author": "Li", "tax": tax}
        ask(self.store, [Asked("partner.changed", said, NOW)], lambda: NOW)
        self.partner_tax = tax

    def a_period_is_closed(self, period: Period) -> None:
        closing.close(self.store, period, NOW)

    def a_day_is_run(self, day: date) -> None:
        running.run_day(self.store, day, "ann", lambda: NOW)

    def something_comes_late(self, month: int) -> None:
        take(self.store, charge(f"late-{next(self.sent)}", "7", month))
        restate(self.store, NOW)

    def due(self) -> dict[str, Decimal]:
        with self.store.reading() as cursor:
            found = [each for each in statements.of_contract(cursor, "C-1") if each.version == 1]
        return {
            each.period: sum((Decimal(s["amount"]) for s in _said(each.statement)["due"]), Decimal(0)) for each in found
        }

    def to_pay(self) -> dict[str, Decimal]:
        """What is due, with the VAT of what was invoiced: so many percent of it, half a cent away from 0."""
        due = self.due()
        added = {
            period: (due[period] * rate / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
            for period, rate in self.taxed.items()
        }
        return {period: amount + added.get(period, 0) for period, amount in due.items()}

    def open(self) -> dict[str, Decimal]:
        return {period: amount - sum(self.paid.get(period, ())) for period, amount in self.to_pay().items()}

    @invariant()
    def states_are_declared_and_follow_one_another(self) -> None:
        with self.store.reading() as cursor:
            known = [each.state for each in relations.listed(cursor, "note")]
            notes = {each.period: each.state for each in known}
            self.days = {each.period: each.day for each in known}
            decided = {
                (each.state.period, each.state.line): each.state.state
                for each in relations.listed(cursor, "discrepancy")
            }
        returned = {each.period: len(each.returned) for each in known}
        for period, now in notes.items():
            came_back = returned[period] - self.gone.get(period, 0)
            assert came_back >= 0, period
            follows = _with(FOLLOWS, RETURNS) if came_back else FOLLOWS
            assert _reaches(follows, self.notes.get(period), now), (period, self.notes.get(period), now)
        self.gone = returned
        for key, now in decided.items():
            assert _reaches(DECIDED, self.discrepancies.get(key), now), (key, self.discrepancies.get(key), now)
        for (period, _), now in decided.items():
            if now in {"open", "assigned"}:
                assert notes[period] == "disputed"
        for each in known:
            self.one_invoice_stands(each)
        self.notes, self.discrepancies = notes, decided
        REACHED.update(notes.values(), decided.values())
        self.money_is_whole()

    def one_invoice_stands(self, note: Note) -> None:
        """Under a number that no other has; those before it were withdrawn."""
        made = self.invoices.setdefault(note.period, [])
        self.recorders |= {note.period: note.invoiced_by} if note.invoiced_by else {}
        if note.number is None:
            self.taxed.pop(note.period, None)
        elif note.number not in made:
            made.append(note.number)
            tax = self.stated.get(note.period, self.partner_tax)
            self.taxed[note.period] = Decimal(tax.get("rate", "0"))
            REACHED.update([] if self.taxed[note.period] else ["not taxed"])
        gone = [each.number for each in note.withdrawn]
        assert made == gone + ([] if note.number is None else [note.number]), note
        assert len({*made, *(each.credit_note for each in note.withdrawn)}) == len(made) + len(gone), note
        if gone and note.number is not None:
            REACHED.add("invoiced anew")

    def money_is_whole(self) -> None:
        due, to_pay = self.due(), self.to_pay()
        with self.store.reading() as cursor:
            accounts = {(each.account, each.party): each.amount for each in journal.balances(cursor)}
            notes = [told(each.state) for each in relations.listed(cursor, "note")]
            resolved = resolutions.of_contracts(cursor, ["C-1"]).get("C-1", [])
            closed = [_said(each.statement) for each in statements.of_contract(cursor, "C-1") if each.version == 1]
        self.paid = {note["period"]: [Decimal(each["amount"]) for each in note.get("payments", [])] for note in notes}
        for note in notes:
            asked, paid = to_pay[note["period"]], self.paid[note["period"]]
            if paid and note["taxes"]:
                REACHED.add("paid with VAT")
            # What was accepted as paid and did not come back: never more than is to pay, and paid is what comes to it.
            assert paid == [*self.told.get(note["period"], {}).values()], note
            assert all(part * asked > 0 for part in paid), note
            assert (
                sum(paid) == asked if note["state"] in {"paid", "settled"} else abs(sum(paid)) < abs(asked) or not paid
            ), note
            if len(paid) > 1 and sum(paid) == asked:
                REACHED.add("paid in parts")
        # What is owed to the partner in the journal is what is to pay for its notes and was not paid; all VAT is on its account.
        owed = sum((to_pay[note["period"]] - sum(self.paid[note["period"]]) for note in notes), Decimal(0))
        assert accounts.get(("shares payable", "P-1"), 0) == -owed
        assert accounts.get(("bank", ""), 0) == -sum(sum(each.values()) for each in self.told.values())
        assert accounts.get(("recoverable VAT", ""), 0) == sum(to_pay.values()) - sum(due.values())
        assert sum(accounts.values()) == 0
        taken = [(m["period"], m["discrepancy"]) for each in closed for m in each["adjustments"] if "discrepancy" in m]
        assert len(set(taken)) == len(taken) == len([each for each in resolved if each.taken_by])
        # Each resolution is on one statement, or waits for one.
        granted = {key for key, state in self.discrepancies.items() if state == "resolved"}
        assert len(granted) == len(resolved)
        assert set(taken) <= granted


def _said(text: str) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(text)
    return found


def _with(follows: dict[Any, set[str]], further: dict[Any, set[str]]) -> dict[Any, set[str]]:
    return {state: then | further.get(state, set()) for state, then in follows.items()}


def _reaches(follows: dict[Any, set[str]], before: str | None, now: str) -> bool:
    """In any number of steps: a day's run takes several."""
    reached, further = {before}, {before}
    while further:
        further = {each for state in further for each in follows.get(state, set())} - reached
        reached |= further
    return now in reached


def test_no_sequence_of_commands_reaches_another_state_pays_twice_or_loses_money(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Notes, "postgres", postgres, raising=False)
    run_state_machine_as_test(
        Notes,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            phases=[Phase.generate],  # to shrink a history of many transactions takes minutes
        ),
    )
    # The machine is worth something only if it comes to the ends.
    ends = {
        "settled",
        "disputed",
        "resolved",
        "other-amount",
        "open-discrepancies",
        "wrong-state",
        "paid with VAT",
        "not taxed",
        "invoiced anew",
        "invoice-paid",
        "paid in parts",
        "own-invoice",
        "returned when invoiced",
        "returned when paid",
        "returned when settled",
        "already-returned",
        "already-paid",
    }
    assert ends <= REACHED, REACHED
    assert "changed-meanwhile" not in REACHED
