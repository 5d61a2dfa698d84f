from __future__ import annotations

import logging
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from consumers.outbound.libraries import NotValid, checked
from consumers.outbound.note import note_of
from consumers.outbound.parties import BadAccount
from consumers.outbound.payout import CannotPayOut, CreditTransfer, payout_xml, transfer_of
from tests.consumers.outbound.samples import (
    BIC,
    IBANS,
    OPERATOR,
    PARTNER,
    example,
    nasty,
    payout,
    statement,
    terms,
    transfer,
)


def found(document: bytes, tag: str) -> list[str]:
    return [element.text or "" for element in etree.fromstring(document).iter(f"{{*}}{tag}")]


def test_a_payout_says_who_gets_what_on_which_day() -> None:
    document = payout_xml(payout(transfer(bic=BIC), transfer("SN-2017-03/2", "1.35", iban=IBANS[1])))
    assert found(document, "MsgId") == found(document, "PmtInfId") == ["PAY-2017-03"]
    assert found(document, "CreDtTm") == ["2017-05-04T00:00:00Z"]
    assert found(document, "CtrlSum") == ["700.00", "700.00"]
    assert found(document, "NbOfTxs") == ["2", "2"]
    assert found(document, "InstdAmt") == ["698.65", "1.35"]
    assert found(document, "EndToEndId") == ["SN-2017-03", "SN-2017-03/2"]
    assert found(document, "IBAN") == [IBANS[0], IBANS[0], IBANS[1]]
    assert found(document, "Nm") == ["Telekom Nord", "Telekom Nord", "Muller + Sohne", "Muller + Sohne"]
    assert found(document, "Ustrd") == ["Settlement note SN-2017-03"] * 2
    assert found(document, "BICFI") == [BIC]
    assert found(document, "Cd") == ["SEPA"]
    assert "2017-05-05" in found(document, "Dt")


def test_the_same_payout_is_the_same_bytes() -> None:
    given = payout(transfer(), debtor=OPERATOR._replace(bic=BIC))
    assert payout_xml(given) == payout_xml(given)


cents = st.integers(1, 99_999_999_999)


@settings(max_examples=50)
@given(amounts=st.lists(cents, min_size=1, max_size=20), names=st.lists(nasty, min_size=20, max_size=20))
def test_any_payout_fits_the_schema_and_its_control_sums_are_exact(amounts: list[int], names: list[str]) -> None:
    transfers = [
        transfer(f"E{i}", f"{units // 100}.{units % 100:02}", creditor=f"A{name}", remittance=f"B{name}")
        for i, (units, name) in enumerate(zip(amounts, names, strict=False))
    ]
    document = payout_xml(payout(*transfers))
    assert {Decimal(text) for text in found(document, "CtrlSum")} == {Decimal(sum(amounts)) / 100}
    assert [Decimal(text) * 100 for text in found(document, "InstdAmt")] == amounts
    texts = "".join(found(document, "Nm") + found(document, "Ustrd"))
    assert set(texts) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-?:().,'+ ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"currency": "USD"}, "in EUR"),
        ({"amount": Decimal(0)}, "carries 0.01"),
        ({"amount": Decimal("-1.00")}, "carries 0.01"),
        ({"amount": Decimal("1000000000.00")}, "carries 0.01"),
        ({"amount": Decimal("1.005")}, "part of a cent"),
        ({"amount": Decimal("NaN")}, "carries 0.01"),
        ({"amount": Decimal("1E+40")}, "carries 0.01"),
        ({"end_to_end": "x" * 36}, "no end-to-end id"),
        ({"end_to_end": "/a"}, "no end-to-end id"),
        ({"end_to_end": "a//b"}, "no end-to-end id"),
        ({"end_to_end": "a\nb"}, "no end-to-end id"),
        ({"creditor": "\x00"}, "Latin letters"),
        ({"remittance": "x" * 141}, "shorten it"),
    ],
)
def test_a_transfer_that_a_bank_would_refuse_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(CannotPayOut, match=said):
        payout_xml(payout(transfer()._replace(**changed)))


def test_a_note_is_paid_by_a_transfer_that_names_it() -> None:
    note = example()
    assert transfer_of(note) == transfer(bic=BIC)
    assert found(payout_xml(payout(transfer_of(note))), "InstdAmt") == ["698.65"]
    with pytest.raises(CannotPayOut, match="nothing is paid out"):
        transfer_of(note_of(statement("-1.00"), terms()))
    with pytest.raises(CannotPayOut, match="no bank account"):
        transfer_of(note_of(statement(), terms(partner=PARTNER._replace(iban=None))))


def test_a_payout_that_is_none_is_refused() -> None:
    with pytest.raises(CannotPayOut, match="nothing to pay out"):
        payout_xml(payout())
    with pytest.raises(CannotPayOut, match="paid twice"):
        payout_xml(payout(transfer(), transfer()))
    with pytest.raises(CannotPayOut, match="before it is created"):
        payout_xml(payout(transfer(), execution=date(2017, 5, 3)))
    with pytest.raises(CannotPayOut, match="no account to pay from"):
        payout_xml(payout(transfer(), debtor=OPERATOR._replace(iban=None)))


def test_an_account_is_never_shown_in_full_but_in_the_file(caplog: pytest.LogCaptureFixture) -> None:
    wrong = IBANS[0].replace("0532", "0533")
    with caplog.at_level(logging.DEBUG), pytest.raises(BadAccount) as refused:
        payout_xml(payout(transfer(iban=wrong)))
    assert "****3000" in str(refused.value)
    assert wrong not in str(refused.value) + repr(transfer(iban=wrong)) + repr(payout(transfer())) + caplog.text
    assert IBANS[0] not in repr(payout(transfer(iban=IBANS[0])))


def test_the_schema_is_checked() -> None:
    document = payout_xml(payout(transfer())).replace(b"<Cd>SEPA</Cd>", b"<Cd>TOO LONG FOR A CODE</Cd>")
    with pytest.raises(NotValid, match="at Cd"):
        checked(document, "sepaxml", "schemas/pain.001.001.09.xsd", "payout file")


def test_a_creditor_cannot_write_into_the_file() -> None:
    attack = "x</Nm></Cdtr><CdtTrfTxInf/>&amp;"
    document = payout_xml(payout(transfer(creditor=attack)))
    assert len(found(document, "CdtTrfTxInf")) == 1
    assert isinstance(transfer(creditor=attack), CreditTransfer)
