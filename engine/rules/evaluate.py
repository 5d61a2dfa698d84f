"""The reference evaluator: from what is given to outcomes in which every amount carries the tree of reasons for it.

The steps are taken one by one, each for all contracts, because some look across them: a pool is divided over all, advances
may be recouped over all contracts of a partner, and a grade can depend on the whole cohort.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from engine.facts import PARTNER_FIELDS
from engine.money import AmountTooLarge, total
from engine.outcomes import Balance, How, Outcome, Reason, Score
from engine.rules import carrying, clawback, pools
from engine.rules.accounts import earned_points, earned_units
from engine.rules.assess import Standing, assess
from engine.rules.dependencies import ASSESSED
from engine.rules.draft import POINTS_EARNED
from engine.rules.formulas import RateMissing, Unsettleable
from engine.rules.given import Cohort, Given, PartnerGiven
from engine.rules.measuring import ByField, by_field, measured
from engine.rules.model import Contents, Rulebook
from engine.rules.programs import Earn
from engine.rules.shares import shares
from engine.rules.steps import Advance, Clawback, Pool, Step
from engine.rules.waterfall import Waterfall

_ZERO = Decimal(0)


class Conclusions(NamedTuple):
    """All that a rulebook concludes of a period: by contract; by partner its score, what rules earn it in points, and for how many units.

    Scores are empty where the rulebook has no assessment, points where it has none.
    """

    contracts: dict[str, Outcome]
    scores: dict[str, Score]
    points: dict[str, list[tuple[Earn, Reason]]]
    units: dict[str, list[tuple[Earn, Reason]]]


def settle(rulebook: Rulebook, given: Given) -> Outcome:
    """What the rulebook concludes of one contract by itself; `settle_cohort` where it looks across contracts.

    Neither the order of the facts nor whether they were merged before changes the outcome. An unrounded amount has 12
    digits after the point, a rounded one those of its currency's minor unit. Raises Unsettleable where a step divides
    by zero or lacks what it needs, and AmountTooLarge where an amount has more than 26 digits before the point; both
    name the step.
    """
    return settle_cohort(rulebook, Cohort({"": given}))[""]


def settle_cohort(rulebook: Rulebook, cohort: Cohort) -> dict[str, Outcome]:
    """What the rulebook concludes of each contract. Raises as `settle` does; the contract is named too."""
    return conclude(rulebook, cohort).contracts


def conclude(rulebook: Rulebook, cohort: Cohort) -> Conclusions:
    """What the rulebook concludes of all contracts of a period and their partners. Raises as `settle` does."""
    return _Settlement(rulebook, cohort).concluded()


class _Settlement:
    """All contracts of a rulebook on their way through its steps, in the order of their ids."""

    def __init__(self, rulebook: Rulebook, cohort: Cohort) -> None:
        self._rulebook = rulebook
        self._cohort = cohort
        self._scores: dict[str, Score] = {}
        self._flows = {
            contract: Waterfall(rulebook.on(given.period.first), given, grade=given.grade)
            for contract, given in sorted(cohort.contracts.items())
        }
        self._of_partner: dict[str, dict[str, Waterfall]] = {}
        for contract, flow in self._flows.items():
            self._of_partner.setdefault(flow.given.partner, {})[contract] = flow

    def concluded(self) -> Conclusions:
        if not self._flows:
            return Conclusions({}, {}, {}, {})
        contents = next(iter(self._flows.values())).contents
        for contract, flow in self._flows.items():
            with self._naming(contract, "the measures"):
                flow.measure()
        for name in contents.order:
            if name == ASSESSED:
                self._assess(contents)
            else:
                self._step(contents.steps[name])
        points, units = {}, {}
        if contents.points is not None:
            for partner in self._of_partner:
                known = self._known(contents, partner)
                points[partner] = earned_points(contents.points, known)
                units[partner] = earned_units(contents.points, known)
        outcomes = {contract: self._outcome(contract, flow) for contract, flow in self._flows.items()}
        return Conclusions(outcomes, self._scores, points, units)

    def _step(self, step: Step) -> None:
        match step.rule:
            case Pool():
                self._pool(step, step.rule)
            case Advance():
                self._advance(step, step.rule)
            case Clawback():
                for contract, flow in self._flows.items():
                    with self._naming(contract, f"step {step.name!r}"):
                        flow.settle(step, *clawback.returned(step, step.rule, self._rulebook, flow))
            case _:
                for contract, flow in self._flows.items():
                    with self._naming(contract, f"step {step.name!r}"):
                        flow.apply(step)

    def _advance(self, step: Step, rule: Advance) -> None:
        groups: dict[str, list[str]] = {}
        for contract, flow in self._flows.items():
            groups.setdefault(flow.given.partner if rule.across == "partner" else contract, []).append(contract)
        for contracts in groups.values():
            with self._naming(contracts[0], f"step {step.name!r}"):
                flows = [self._flows[contract] for contract in contracts]
                paid = [flow.known[rule.paid] for flow in flows]
                owed = [
                    carrying.unrecouped(step.name, p, flow.given.carried) for flow, p in zip(flows, paid, strict=True)
                ]
                found = carrying.advances(step.name, [flow.known[rule.of] for flow in flows], paid, owed)
                for flow, left in zip(flows, found, strict=True):
                    flow.settle(step, *left)

    def _pool(self, step: Step, rule: Pool) -> None:
        reasons = self._member_pools(rule) if rule.per else self._whole_pool(step, rule)
        for contract, flow in self._flows.items():
            with self._naming(contract, f"step {step.name!r}"):
                flow.settle(step, reasons[contract])

    def _whole_pool(self, step: Step, rule: Pool) -> dict[str, Reason]:
        with self._naming(next(iter(self._flows)), f"step {step.name!r}"):
            pool = _summed(flow.known[rule.of].value for flow in self._flows.values())
            units = {contract: flow.known[rule.by].value for contract, flow in self._flows.items()}
            together = _summed(max(_ZERO, number) for number in units.values())
            parts = pools.divided(pool, units)
        return {
            contract: pools.share(pool, units[contract], together, got, rule.of, rule.by)._replace(
                parts=(Reason(rule.of, How.total, pool, "the pool"), flow.known[rule.by])
            )
            for (contract, got), flow in zip(parts.items(), self._flows.values(), strict=True)
        }

    def _member_pools(self, rule: Pool) -> dict[str, Reason]:
        assert rule.per is not None, rule
        fees: dict[str | None, Decimal] = {}
        units: dict[str, dict[str | None, Decimal]] = {}
        for contract, flow in self._flows.items():
            for member, amount in clawback.by_dimension(flow, rule.of, rule.per).items():
                fees[member] = total(fees.get(member, _ZERO), amount)
            units[contract] = clawback.by_dimension(flow, rule.by, rule.per)
        reasons = {}
        for contract, members in pools.user_centric(fees, units).items():
            parts = tuple(
                pools.share(fee, used, together, got, f"{rule.of} of {rule.per} {member}", rule.by)
                for member, (got, fee, used, together) in members.items()
            )
            value = _summed(part.value for part in parts)
            reasons[contract] = Reason(f"shares of {rule.of} by {rule.per}", How.pool, value, parts=parts)
        return reasons

    def _assess(self, contents: Contents) -> None:
        assert contents.assessment is not None, self._rulebook
        standings = {}
        for partner in self._of_partner:
            known = self._known(contents, partner)
            if contents.points is not None:
                earned = earned_points(contents.points, known)
                value = _summed(reason.value for _, reason in earned)
                parts = tuple(reason for _, reason in earned)
                known[POINTS_EARNED] = Reason(POINTS_EARNED, How.total, value, parts=parts)
            given = self._cohort.partners.get(partner, PartnerGiven())
            standings[partner] = Standing(known, given.override)
        with self._naming("", "the assessment"):
            self._scores = assess(contents.assessment, standings)
        for flow in self._flows.values():
            flow.grade = self._scores[flow.given.partner].grade

    def _known(self, contents: Contents, partner: str) -> dict[str, Reason]:
        """What is known of a partner: values, measures over all its facts, and steps so far, over its contracts."""
        flows = self._of_partner[partner]
        facts = self._facts(partner, flows)
        known = {name: Reason(name, How.value, value) for name, value in contents.values.items()}
        with self._naming("", f"the measures of partner {partner}"):
            for name, measure in contents.measures.items():
                known[name] = measured(name, measure, contents, facts)
            for name in next(iter(flows.values())).lines:
                parts = tuple(
                    Reason(f"{name} of {contract}" if contract else name, How.step, flow.lines[name].amount, "its line")
                    for contract, flow in flows.items()
                )
                known[name] = Reason(name, How.total, _summed(part.value for part in parts), parts=parts)
        return known

    def _facts(self, partner: str, flows: Mapping[str, Waterfall]) -> ByField:
        """The facts of the partner's contracts, and those of its own events, each once."""
        own = self._cohort.partners.get(partner, PartnerGiven()).facts
        return by_field(
            [*own, *(fact for flow in flows.values() for fact in flow.given.facts if fact.event not in PARTNER_FIELDS)]
        )

    def _outcome(self, contract: str, flow: Waterfall) -> Outcome:
        contents = flow.contents
        lines = tuple(flow.lines[name] for step in contents.waterfall for name in step.lines)
        payable = flow.lines[contents.payable_step].amount
        currency = contents.payable_currency
        with self._naming(contract, "the split"):
            shared = shares(contents, payable, currency)
        return Outcome(lines, payable, shared, currency, tuple(sorted(flow.carried, key=_order)))

    @contextmanager
    def _naming(self, contract: str, where: str) -> Iterator[None]:
        """What is raised within names the rulebook, the contract and the place."""
        named = f"rulebook {self._rulebook.rulebook} version {self._rulebook.version}"
        named = f"{named}, contract {contract}, {where}" if contract else f"{named}, {where}"
        try:
            yield
        except ZeroDivisionError:
            raise Unsettleable(f"{named}: it divides by zero for these facts") from None
        except AmountTooLarge as error:
            raise AmountTooLarge(f"{named}: {error}") from None
        except RateMissing as error:
            raise RateMissing(f"{named}: {error}") from None
        except Unsettleable as error:
            raise Unsettleable(f"{named}: {error}") from None


def _summed(values: Iterator[Decimal] | list[Decimal]) -> Decimal:
    together = _ZERO
    for value in values:
        together = total(together, value)
    return together


def _order(balance: Balance) -> tuple[str, str, date]:
    return (balance.step, balance.kind, balance.day or date.min)
