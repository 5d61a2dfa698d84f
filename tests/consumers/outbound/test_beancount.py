from __future__ import annotations

import csv
import io
import itertools
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from beancount import loader
from beancount.core.data import Open, Transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.outbound.beancount import ROOTS, CannotExport, account_of, beancount_account, beancount_text, journal_csv
from tests.consumers.outbound.samples import Entry, Posting, days, nasty


def postings(*rows: tuple[str, str, str]) -> tuple[Posting, ...]:
    return tuple(Posting(account, Decimal(amount), currency) for account, amount, currency in rows)


JOURNAL = [
    Entry(
        date(2017, 3, 31),
        17,
        "statement C-17 2017-03",
        'Settled, "as agreed"',
        postings(("Expenses:Shares", "600.00", "EUR"), ("Liabilities:Partner:P-1", "-600.00", "EUR")),
    ),
    Entry(
        date(2017, 5, 5),
        18,
        "payment SN-2017-03",
        "Paid",
        postings(("Liabilities:Partner:P-1", "600.00", "EUR"), ("Assets:Bank", "-600.00", "EUR")),
    ),
]
LEDGER = """\
1900-01-01 open Expenses:Shares
1900-01-01 open Liabilities:Partner:P-1
2017-03-31 * "Settled, \\"as agreed\\""
  position: 17
  source: "statement C-17 2017-03"
  Expenses:Shares  600.00 EUR
  Liabilities:Partner:P-1  -600.00 EUR

1900-01-01 open Assets:Bank
2017-05-05 * "Paid"
  position: 18
  source: "payment SN-2017-03"
  Liabilities:Partner:P-1  600.00 EUR
  Assets:Bank  -600.00 EUR

"""


def test_the_journal_as_a_ledger() -> None:
    assert "".join(beancount_text(JOURNAL)) == LEDGER


def test_bean_check_accepts_it(tmp_path: Path) -> None:
    ledger = tmp_path / "journal.beancount"
    ledger.write_text("".join(beancount_text(JOURNAL)), encoding="utf-8")
    check = [sys.executable, "-c", "from beancount.scripts.check import main; main()", str(ledger)]
    ran = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    ledger.write_text(LEDGER.replace("-600.00", "-600.01", 1), encoding="utf-8")
    assert subprocess.run(check, capture_output=True, text=True, check=False).returncode == 1


amounts = st.integers(-(10**14), 10**14).map(lambda units: Decimal(f"{units}E-2"))
accounts = st.builds("{}:{}".format, st.sampled_from(ROOTS), nasty | st.from_regex(r"[xX0-9:-]{1,12}", fullmatch=True))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    rows = []
    for currency in draw(st.lists(st.sampled_from(["EUR", "USD", "JPY"]), unique=True)):
        drawn = draw(st.lists(amounts, min_size=1, max_size=4))
        rows += [Posting(draw(accounts), amount, currency) for amount in (*drawn, -sum(drawn, Decimal(0)))]
    return Entry(draw(days), draw(st.integers(0, 10**12)), draw(nasty), draw(nasty), tuple(rows))


@settings(max_examples=60)
@given(journal=st.lists(entries(), max_size=8))
def test_any_journal_is_accepted_and_says_the_same(journal: list[Entry]) -> None:
    said, errors, _ = loader.load_string("".join(beancount_text(journal)))
    assert errors == []
    read = {each.meta["position"]: each for each in said if isinstance(each, Transaction)}
    for entry in journal:
        if journal.count(entry) == 1 and [each.position for each in journal].count(entry.position) == 1:
            transaction = read[Decimal(entry.position)]
            assert transaction.date == entry.day
            assert [
                (account_of(each.account), each.units.number, each.units.currency) for each in transaction.postings
            ] == [tuple(posting) for posting in entry.postings]
    opened = [each.account for each in said if isinstance(each, Open)]
    assert sorted(opened) == sorted({beancount_account(row.account) for entry in journal for row in entry.postings})


@given(account=accounts)
def test_an_account_is_found_again_by_its_name(account: str) -> None:
    assert account_of(beancount_account(account)) == account


@pytest.mark.parametrize(
    "name",
    [
        "P-1",
        "acme",
        "Acme",
        "X-acme",
        "x",
        "-x2d-",
        "a-x",
        "-",
        "",
        " ",
        "a:b",
        'a"b',
        "a\nb",
        "Ä",
        "北京",
        "a" * 300,
        "ü" * 300,
    ],
)
def test_ids_that_are_no_names_are_names_in_the_ledger(name: str, tmp_path: Path) -> None:
    account = f"Liabilities:Partner:{name}"
    entry = Entry(date(2017, 3, 31), 1, name, name, postings((account, "1", "EUR"), ("Assets:Bank", "-1", "EUR")))
    said, errors, _ = loader.load_string("".join(beancount_text([entry])))
    assert errors == []
    (transaction,) = [each for each in said if isinstance(each, Transaction)]
    assert account_of(transaction.postings[0].account) == account


def test_no_two_ids_share_an_account() -> None:
    names = ["".join(each) for length in range(5) for each in itertools.product("Xx-2é", repeat=length)]
    assert len({beancount_account(f"Assets:{name}") for name in names}) == len(names)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (JOURNAL[0]._replace(postings=postings(("Assets:A", "1.00", "EUR"))), "does not come to zero in EUR"),
        (JOURNAL[0]._replace(postings=postings(("Assets:A", "1", "EUR"), ("Assets:B", "-1", "USD"))), "to zero in EUR"),
        (JOURNAL[0]._replace(postings=postings(("Bank", "0", "EUR"))), "under no root"),
        (JOURNAL[0]._replace(postings=postings(("assets:bank", "0", "EUR"))), "under no root"),
        (JOURNAL[0]._replace(postings=postings(("Assets", "0", "EUR"))), "under no root"),
        (JOURNAL[0]._replace(postings=postings(("Assets:A", "0", "EUR\n"))), "no currency"),
        (JOURNAL[0]._replace(postings=postings(("Assets:A", "NaN", "EUR"))), "is none"),
        (JOURNAL[0]._replace(day=date(1899, 12, 31)), "takes 1900"),
    ],
)
def test_what_no_ledger_takes_is_refused(entry: Entry, said: str) -> None:
    with pytest.raises(CannotExport, match=said):
        list(beancount_text([entry]))


def test_the_journal_as_csv() -> None:
    assert "".join(journal_csv(JOURNAL)).splitlines() == [
        "day,position,source,narration,account,amount,currency",
        '2017-03-31,17,statement C-17 2017-03,"Settled, ""as agreed""",Expenses:Shares,600.00,EUR',
        '2017-03-31,17,statement C-17 2017-03,"Settled, ""as agreed""",Liabilities:Partner:P-1,-600.00,EUR',
        "2017-05-05,18,payment SN-2017-03,Paid,Liabilities:Partner:P-1,600.00,EUR",
        "2017-05-05,18,payment SN-2017-03,Paid,Assets:Bank,-600.00,EUR",
    ]


@settings(max_examples=60)
@given(journal=st.lists(entries(), max_size=8))
def test_any_journal_is_csv_that_no_spreadsheet_computes(journal: list[Entry]) -> None:
    rows = list(csv.reader(io.StringIO("".join(journal_csv(journal)))))
    assert len(rows) == 1 + sum(len(entry.postings) for entry in journal)
    for row in rows:
        assert len(row) == 7
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in (*row[:5], row[6]))


def test_a_long_journal_takes_no_more_memory() -> None:
    def journal(entries: int) -> Iterator[Entry]:
        return (JOURNAL[0]._replace(position=position) for position in range(entries))

    def most(entries: int) -> int:
        tracemalloc.start()
        for write in (beancount_text, journal_csv):
            for _ in write(journal(entries)):
                pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    most(2_500)  # Python keeps up to 2,000 freed tuples of a length
    assert most(5_000) < most(50) + 50_000
