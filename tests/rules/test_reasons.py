from decimal import Decimal

from rule_cases import EXAMPLE, accepted, facts_of, settled

from engine.outcomes import How

RULEBOOK = accepted(EXAMPLE)
OUTCOME = settled(
    RULEBOOK,
    facts_of(
        {
            "billing.charged amount department=MEAT": {"events": "1", "value": "2000.005"},
            "billing.charged amount department=GROCERY": {"events": "7", "value": "10000"},
            "billing.refunded amount department=GROCERY": {"events": "2", "value": "1000"},
        }
    ),
)
LINES = {line.name: line for line in OUTCOME.lines}


def test_a_line_is_explained_from_its_step_down_to_facts():
    reason = LINES["net sales"].reason
    assert (reason.how, reason.name, reason.clause) == (How.step, "net sales", "3.1")
    (difference,) = reason.parts
    assert (difference.how, difference.name) == (How.difference, "sales - refunds")
    sales, _ = difference.parts
    assert (sales.how, sales.note) == (How.measure, "sum of billing.charged amount")
    assert [(fact.how, fact.name, fact.note) for fact in sales.parts] == [
        (How.fact, "billing.charged amount department=GROCERY", "7 events"),
        (How.fact, "billing.charged amount department=MEAT", "1 event"),
    ]


def test_a_step_above_is_named_and_not_told_again():
    (tiers,) = LINES["share"].reason.parts
    base, first, second = tiers.parts
    assert (base.how, base.name, base.note, base.clause, base.parts) == (How.step, "net sales", "line above", "3.1", ())
    assert (first.name, first.note) == ("band 1: above 0 up to 10000", "10000 x 0.6")
    assert (second.name, second.note) == ("band 2: above 10000 up to 50000", "1000.005 x 0.65")


def test_rounding_shows_the_unrounded_amount_and_its_rule():
    (rounding,) = LINES["payable"].reason.parts
    assert (rounding.how, rounding.note) == (How.rounding, "half_up to 2 digits after the point")
    (unrounded,) = rounding.parts
    assert unrounded.value == Decimal("6430.00315")
    assert str(LINES["payable"].amount) == "6430.00"


def test_unrounded_lines_carry_the_working_digits():
    assert str(LINES["net sales"].amount) == "11000.005000000000"


def test_shares_show_floor_and_remainder():
    outcome = settled(RULEBOOK, facts_of({"billing.charged amount": "1000.01"}))
    supplier, broker = outcome.shares
    assert [(part.how, str(part.value)) for part in supplier.reason.parts] == [
        (How.step, "580.01"),
        (How.rounding, "551.00"),
        (How.remainder, "0.01"),
    ]
    assert [(part.how, str(part.value)) for part in broker.reason.parts] == [
        (How.step, "580.01"),
        (How.rounding, "29.00"),
    ]


def test_no_facts_and_no_negative_zero():
    outcome = settled(RULEBOOK, [])
    assert outcome.payable == 25
    assert not any(str(line.amount).startswith("-0") for line in outcome.lines)


def test_grain_is_what_is_declared_and_what_is_filtered_on():
    assert RULEBOOK.whole_grain.dimensions == ("department", "meter", "product")
    assert RULEBOOK.payable_step == "payable"


def test_every_reason_of_an_expression_follows_from_its_parts():
    def follows(reason):
        values = [part.value for part in reason.parts]
        match reason.how:
            case How.total:
                assert reason.value == sum(values)
            case How.tiers if len(values) > 1:
                assert reason.value == sum(values[1:])
            case How.difference:
                assert reason.value == values[0] - values[1]
            case How.maximum:
                assert reason.value == max(values)
            case How.step if reason.parts:
                assert values == [reason.value]
            case _:
                pass
        for part in reason.parts:
            follows(part)

    for line in OUTCOME.lines:
        follows(line.reason)


def test_shares_of_a_negative_amount_are_floored_towards_zero():
    text = EXAMPLE.replace('"max(share + marketing fund - uses, 25)"', "share + marketing fund - uses")
    supplier, broker = settled(accepted(text), facts_of({"billing.refunded amount": "1000.01"})).shares
    # 60% less 2% of -1000.01 is -580.01 to the cent
    assert [str(part.value) for part in supplier.reason.parts] == ["-580.01", "-551.00", "-0.01"]
    assert [str(part.value) for part in broker.reason.parts] == ["-580.01", "-29.00"]


def test_amounts_that_round_to_nothing_are_zero_without_a_sign():
    text = EXAMPLE.replace(
        '"max(share + marketing fund - uses, 25)"', "0 - 0.001 + 0 * (share + marketing fund + uses)"
    )
    outcome = settled(accepted(text), [])
    assert str(outcome.payable) == "0.00"
    assert [str(share.amount) for share in outcome.shares] == ["0.00", "0.00"]
