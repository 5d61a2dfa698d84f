from decimal import Decimal
from itertools import chain

import pytest
from rule_cases import HERE, accepted, amounts_of, facts_of, read

from engine.rules.evaluate import settle

FILES = sorted((HERE / "cases").glob("*.yaml"))
CASES = [
    pytest.param(entry["rulebook"], case, id=f"{entry['name']} {case['given']}")
    for entry in chain.from_iterable(read(file) for file in FILES)
    for case in entry["cases"]
]


@pytest.mark.parametrize(("rulebook", "case"), CASES)
def test_published_example(rulebook, case):
    amounts = amounts_of(settle(accepted(rulebook), facts_of(case["given"])))
    expected = {name: Decimal(amount) for name, amount in case["expected"].items()}
    assert {name: amounts[name] for name in expected} == expected
    for name, wrong in case.get("published_wrong", {}).items():
        assert amounts[name] != Decimal(wrong)


def test_every_case_names_its_source():
    assert len(FILES) == 3
    assert all(entry["source"] for file in FILES for entry in read(file))


def test_library_rulebook_settles_as_its_contract_says():
    rulebook = accepted((HERE.parents[1] / "engine/rules/library/grocery-supplier.yaml").read_text(encoding="utf-8"))
    given = {
        "billing.charged amount department=GROCERY": "12000.00",
        "billing.charged retail_discount department=GROCERY": "500.00",
        "billing.charged coupon_discount department=GROCERY": "300.00",
        "billing.charged coupon_match_discount department=GROCERY": "100.00",
        "billing.refunded amount department=GROCERY": "100.00",
    }
    amounts = amounts_of(settle(rulebook, facts_of(given)))
    # 60% of 10000 and 65% of 1000, less 2% of 11000
    assert amounts["net sales"] == 11000
    assert amounts["payable"] == 6430
    assert amounts["party supplier"] == Decimal("6108.50")
    assert amounts["party broker"] == Decimal("321.50")
    assert amounts_of(settle(rulebook, []))["payable"] == 5
