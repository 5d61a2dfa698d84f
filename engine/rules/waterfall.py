"""One contract's waterfall: each step a function of what is known, with the tree of reasons that yields it.

It is written to be read beside the rulebook: one function a construct, exact decimals, no shortcuts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import assert_never

from engine.language.expression import Binary, Constant, Extreme, Name, Negation
from engine.money import difference, plain, product, quotient, round_to, total, working
from engine.outcomes import Balance, How, Line, Reason
from engine.rules import carrying
from engine.rules.carrying import ACCUMULATED
from engine.rules.converting import converted
from engine.rules.formulas import Unsettleable, evaluated, extreme
from engine.rules.given import Given
from engine.rules.measuring import by_field, measured
from engine.rules.model import Contents
from engine.rules.steps import (
    Advance,
    BandTiers,
    Cap,
    Clawback,
    Coefficient,
    Convert,
    Floor,
    Guarantee,
    Net,
    PackageTiers,
    Payout,
    Pool,
    Step,
    Tax,
    Tiers,
    TopUp,
)
from engine.rules.tiers import proration, rate

_ZERO = Decimal(0)
_ONE = Decimal(1)


@dataclass
class Waterfall:
    """A contract on its way through the steps: what is known so far, its lines and what it carries on."""

    contents: Contents
    given: Given
    known: dict[str, Reason] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    carried: list[Balance] = field(default_factory=list)
    grade: str | None = None

    def measure(self, override: dict[str, Decimal] | None = None) -> None:
        """Makes the dated values and the measures known; `override` are measures that are to have other values."""
        for name, value in self.contents.values.items():
            self.known[name] = Reason(name, How.value, value, "as the rulebook states it for this period")
        facts = by_field(self.given.facts)
        for name, measure in self.contents.measures.items():
            self.known[name] = measured(name, measure, self.contents, facts)
        for name, value in (override or {}).items():
            self.known[name] = self.known[name]._replace(value=value)

    def apply(self, step: Step) -> None:
        """Adds the lines of a step that needs no other contract. Raises what the arithmetic raises, and Unsettleable."""
        match step.rule:
            case Net():
                self.settle(step, self._net(step.rule, step))
            case BandTiers() | PackageTiers():
                self.settle(step, *self._tiers(step.rule, step.name))
            case Guarantee(of=of, minimum=minimum, recoup_within=within):
                least = evaluated(minimum, self.known)
                self.settle(step, *carrying.guarantee(
                    step.name, self.known[of], least, within, self.given.carried, self.given.period))  # fmt: skip
            case Payout(of=of, hold=hold, minimum=minimum_or_none):
                least_or_none = None if minimum_or_none is None else evaluated(minimum_or_none, self.known)
                self.settle(step, *carrying.payout(
                    step.name, self.known[of], hold, least_or_none, self.given.carried, self.given.period))  # fmt: skip
            case Pool() | Advance() | Clawback():
                raise AssertionError(step)  # these need more than one contract and period
            case _:
                self.settle(step, self._plain(step))

    def settle(self, step: Step, reason: Reason, carried: tuple[Balance, ...] = ()) -> None:
        """The step's line is this, rounded where it says so."""
        amount = unsigned_zero(working(reason.value))
        if step.round is not None:
            digits = self.contents.digits_of(step.name)
            rounded = unsigned_zero(round_to(amount, digits, step.round))
            working(rounded)
            note = f"{step.round} to {digits} digits after the point"
            reason = Reason("rounding", How.rounding, rounded, note, parts=(reason,))
            amount = rounded
        self._line(step.name, amount, step.clause, reason)
        self.carried += carried

    def _line(self, name: str, amount: Decimal, clause: str | None, reason: Reason) -> None:
        whole = Reason(name, How.step, amount, "", clause, (reason,))
        self.lines[name] = Line(name, amount, clause, whole, self.contents.units[name])
        self.known[name] = Reason(name, How.step, amount, "line above", clause)

    def _plain(self, step: Step) -> Reason:  # noqa: PLR0911 - one return a rule
        known = self.known
        match step.rule:
            case Constant() | Name() | Negation() | Binary() | Extreme():
                return evaluated(step.rule, known)
            case Floor(of=of, at=at):
                return extreme("max", f"{of}, at least {at.text}", (known[of], evaluated(at, known)))
            case Cap(of=of, at=at):
                return extreme("min", f"{of}, at most {at.text}", (known[of], evaluated(at, known)))
            case TopUp(of=of, commitment=commitment):
                committed = evaluated(commitment, known)
                missing = difference(committed.value, known[of].value)
                name = f"what is missing of {of} to {commitment.text}"
                return Reason(name, How.difference, max(_ZERO, missing), parts=(committed, known[of]))
            case Coefficient():
                return self._coefficient(step.rule)
            case Tax():
                return _tax(step.rule, known[step.rule.of])
            case Convert(of=of):
                unit = self.contents.units[of]
                return converted(step.rule, known[of], unit, self.given.rates, self.given.period)
            case (
                BandTiers() | PackageTiers() | Net() | Guarantee() | Payout() | Pool() | Advance() | Clawback()
            ):  # fmt: skip
                raise AssertionError(step)
            case _:
                assert_never(step.rule)

    def _net(self, rule: Net, step: Step) -> Reason:
        gross = rest = self.known[rule.of]
        for each in rule.less:
            if each.amount is not None:
                deduction = evaluated(each.amount, self.known)
            else:
                assert each.rate is not None, each
                base = gross if each.on == "gross" else rest
                name = f"{plain(each.rate)} * {base.name}"
                rate_of = Reason(plain(each.rate), How.constant, each.rate)
                deduction = Reason(name, How.product, product(each.rate, base.value), parts=(rate_of, base))
            taken = unsigned_zero(working(deduction.value).copy_negate())
            reason = Reason(f"-{deduction.name}", How.negation, taken, parts=(deduction,))
            self._line(each.name, taken, each.clause or step.clause, reason)
            left = total(rest.value, taken)
            rest = Reason(f"{rest.name} less {each.name}", How.total, left, parts=(rest, self.known[each.name]))
        return rest

    def _tiers(self, rule: Tiers, name: str) -> tuple[Reason, tuple[Balance, ...]]:
        base, first = self.known[rule.of], self.given.period.first
        if rule.over == "period":
            return rate(rule, base, None), ()
        day = date(first.year, 1, 1) if rule.over == "year" else None
        before = carrying.balance_of(self.given.carried, name, ACCUMULATED, day)
        known_before = None
        if before is not None:
            known_before = Reason(name, How.carried, before, f"accumulated before, over the {rule.over}")
        prorate = rule.prorate if isinstance(rule, BandTiers) else None
        part = proration(prorate, self.given.begins, first)
        whole = total(before or _ZERO, base.value)
        return rate(rule, base, known_before, part), carrying.kept([Balance(name, ACCUMULATED, day, whole)])

    def _coefficient(self, rule: Coefficient) -> Reason:
        grade = self.grade if rule.grade == "this" else self.given.grade_before
        of = self.known[rule.of]
        factor = rule.ungraded if grade is None else self._factors(rule).get(grade, rule.ungraded)
        if factor is None:
            period = "this period" if rule.grade == "this" else "the period before"
            had = f"has grade {grade} for {period}, which has" if grade else f"has no grade for {period}, which leaves"
            raise Unsettleable(
                f"partner {self.given.partner} {had} no factor here; state it, or what holds for an ungraded partner"
            )
        note = f"grade {grade} of {rule.grade} period" if grade else f"no grade of {rule.grade} period"
        reason = Reason(plain(factor), How.grade, factor, note)
        return Reason(f"{plain(factor)} * {rule.of}", How.product, product(of.value, factor), parts=(reason, of))

    def _factors(self, rule: Coefficient) -> dict[str, Decimal]:
        if rule.factors or self.contents.assessment is None:
            return rule.factors
        stated = self.contents.assessment.consequences
        return {grade: each.coefficient for grade, each in stated.items() if each.coefficient is not None}


def _tax(rule: Tax, of: Reason) -> Reason:
    rate_of = Reason(plain(rule.rate), How.constant, rule.rate)
    taken = product(of.value, rule.rate)
    if rule.method == "withhold":
        return Reason(f"{plain(rule.rate)} * {of.name}", How.product, taken, "withheld", parts=(rate_of, of))
    left = difference(_ONE, rule.rate)
    name = f"{plain(rule.rate)} * {of.name} / {plain(left)}"
    return Reason(name, How.quotient, quotient(taken, left), "grossed up", parts=(rate_of, of))


def unsigned_zero(value: Decimal) -> Decimal:
    return value or value.copy_abs()
