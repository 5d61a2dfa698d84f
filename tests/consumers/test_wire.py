from __future__ import annotations

import json
from typing import Any, get_args

import jsonschema
import pytest

from consumers import wire
from consumers.decode import decode
from consumers.outbound.en16931 import CATEGORIES
from consumers.personal import PERSONAL
from consumers.wire.taxed import TaxCategory
from docs import write_wire
from engine.events import BY_NAME, ISSUED, FxRatePublished, PartnerChanged, PointsBurned, StatementInvoiced, Tax
from engine.settlement.recording import Readable, Unreadable
from tests.consumers.test_decode import BAD, GOOD
from tests.histories import charged, message, registered, signed

CASE: dict[str, Any] = {
    "case": "K-1", "partner": "P-1", "contract": "C-1", "product": "ringtone", "service": "sms", "kind": "failure",
    "severity": "high",
}  # fmt: skip
CLOSED: dict[str, Any] = {
    "upheld": True, "minutes": "12.5", "affected": 300, "compensation": "20.00", "currency": "CNY", "late": False,
    "start": "2026-10-03T08:15:00Z", "end": "2026-10-03T08:27:30Z",
}  # fmt: skip
CONTENT: dict[str, Any] = {"partner": "P-1", "contract": "C-1", "content": "song 7", "product": "ringtone"}
DUE = "2026-10-05T18:00:00+08:00"
ORDER: dict[str, Any] = {"partner": "P-1", "order": "O-1"}
PROCESS: dict[str, Any] = {"partner": "P-1", "scorecard": "agents", "period": "2026-10", "author": "Li"}
POINTS: dict[str, Any] = {"partner": "P-1", "program": "club", "reason": "agreed"}
GRADE: dict[str, Any] = {
    "partner": "P-1", "scorecard": "agents", "period": "2026-10", "reason": "agreed", "author": "Li",
}  # fmt: skip
BLOCK: dict[str, Any] = {"partner": "P-1", "author": "Li", "reason": "fraud"}
CONTACT: dict[str, Any] = {"partner": "P-1", "contact": "c1", "role": "finance", "author": "Li"}
BANK: dict[str, Any] = {"partner": "P-1", "currency": "EUR", "author": "Li", "holder": "Ada Lovelace"}
REDEEM: dict[str, Any] = {"partner": "P-1", "program": "club", "reference": "gift 8"}
RATE: dict[str, Any] = {
    "publisher": "ECB",
    "base": "EUR",
    "quote": "CNY",
    "day": "2026-10-01",
    "rate": "7.805200000001",
}

QUALIFICATION: dict[str, Any] = {"partner": "P-1", "qualification": "L-7"}
DAYS: dict[str, Any] = {"valid_from": "2026-01-01", "valid_to": "2027-01-01", "evidence": "dms/7"}
MODEL: dict[str, Any] = {
    "model": "sp", "version": 1, "kind": "revenue_share", "valid_from": "2026-01-01", "author": "Li",
    "partner_kinds": ["agent"], "qualifications": ["licence"], "courses": ["basics"], "rulebooks": ["simple"],
    "authorisation": True, "published_content": True, "deposit": "1000.50", "currency": "CNY", "calendar": "monthly",
    "days": {"publish_by": 5, "dispute_until": 15, "pay_by": 30},
    "service_times": [{"kind": "complaint", "minutes": 480, "severity": "high"},
                      {"kind": "failure", "minutes": 240, "report_within": 60}],
    "working_time": {"begins": 540, "ends": 1080, "weekdays": [1, 2, 3, 4, 5], "holidays": ["2026-10-01"]},
}  # fmt: skip

SERVICE: dict[str, Any] = {"service": "S-1", "partner": "P-1", "contract": "C-1"}
DEPOSIT: dict[str, Any] = {"partner": "P-1", "contract": "C-1", "amount": "500.50", "currency": "CNY"}
DAY: dict[str, Any] = {"day": "2026-10-01"}
BY: dict[str, Any] = {"author": "Wu"}

GRANT: dict[str, Any] = {
    "authorisation": "A-7", "partner": "P-1", "contract": "C-1", "author": "Li", "valid_from": "2026-01-01",
    "valid_to": "2027-01-01", "products": ["ringtone"], "regions": ["GD"], "volume_max": "100.5", "meter": "sms-mt",
    "parent": "A-1",
}  # fmt: skip
LEAD: dict[str, Any] = {"partner": "P-1", "lead": "L-1"}
REGISTRATION: dict[str, Any] = LEAD | {
    "contract": "C-1", "customer": "Acme", "product": "fibre", "value": "10000", "currency": "CNY",
    "expires": "2027-01-01", "author": "Li",
}  # fmt: skip
NOTE: dict[str, Any] = {"contract": "C-1", "period": "2026-10", "author": "Li"}
INVOICE: dict[str, Any] = {"contract": "C-1", "period": "2026-10", "author": "Li", "day": "2026-11-20"}
LINE: dict[str, Any] = NOTE | {"line": "net"}

MESSAGES = [
    message("service.applied", "1", SERVICE | {"name": "Ringtones", "products": ["ringtone"], "author": "Li"}),
    message("service.reviewed", "1", SERVICE | {"approved": False, "author": "Wu", "reason": "no content"}),
    message("service.trial_started", "1", SERVICE | DAY | BY),
    message("service.launched", "1", SERVICE | DAY | BY),
    message(
        "service.suspension_proposed", "1", SERVICE | {"author": "Li", "reason": "veto", "cause": "agents 2026-10"}
    ),
    message("service.suspension_rejected", "1", SERVICE | {"author": "Wu", "reason": "mended"}),
    message("service.suspended", "1", SERVICE | DAY | {"author": "Wu", "reason": "veto"}),
    message("service.resumed", "1", SERVICE | DAY | BY),
    message("service.exit_requested", "1", SERVICE | DAY | BY | {"reason": "sold"}),
    message("service.clearing_started", "1", SERVICE | DAY | BY),
    message("service.exited", "1", SERVICE | DAY | {"author": "Wu"}),
    message("deposit.paid", "1", DEPOSIT | BY),
    message("deposit.returned", "1", DEPOSIT | BY),
    message("authorisation.granted", "1", GRANT),
    message(
        "authorisation.revoked",
        "1",
        {
            "authorisation": "A-7",
            "partner": "P-1",
            "author": "Li",
            "valid_to": "2026-07-01",
            "reason": "fraud",
        },
    ),
    message("course.offered", "1", {"course": "basics", "name": "Basics", "author": "Li", "months_valid": 12}),
    message("course.withdrawn", "1", {"course": "basics", "author": "Li", "reason": "replaced"}),
    message("lead.registered", "1", REGISTRATION),
    message("lead.accepted", "1", LEAD | {"author": "Li"}),
    message("lead.rejected", "1", LEAD | {"author": "Li", "reason": "known already"}),
    message("lead.won", "1", LEAD | {"amount": "9000.50", "currency": "CNY", "reference": "O-1", "author": "Li"}),
    message("lead.lost", "1", LEAD | {"reason": "price", "author": "Li"}),
    message("cooperation_model.published", "1", MODEL),
    message("qualification.submitted", "1", QUALIFICATION | BY | {"type": "licence", "issuer": "MIIT"} | DAYS),
    message("qualification.approved", "1", QUALIFICATION | {"author": "Li"}),
    message("qualification.rejected", "1", QUALIFICATION | {"author": "Li", "reason": "expired"}),
    message("qualification.renewed", "1", QUALIFICATION | {"author": "Li"} | DAYS),
    message(
        "qualification.revoked", "1", QUALIFICATION | {"author": "Li", "reason": "fraud", "valid_to": "2026-10-01"}
    ),
    registered(),
    signed(valid_to="2027-01-01", calendar="weekly", time_zone="Asia/Shanghai", products=["a", "b"]),
    message(
        "partner.changed",
        "1",
        {
            "partner": "P-1",
            "author": "Li",
            "name": "One",
            "kind": "agent",
            "country": "DE",
            "tax_id": "DE1",
            "address": ["Street 1", "10115 Berlin"],
        },
    ),
    message("partner.blocked", "1", BLOCK),
    message("partner.unblocked", "1", BLOCK),
    message("partner.merged", "1", BLOCK | {"into": "P-2", "approver": "Wu"}),
    message(
        "partner.contact_set", "1", CONTACT | {"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+44 20"}
    ),
    message("partner.contact_erased", "1", {"partner": "P-1", "contact": "c1", "author": "Li"}),
    message("partner.bank_account_changed", "1", BANK | {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}),
    message("partner.bank_account_approved", "1", {"partner": "P-1", "approver": "Wu", "change": 1}),
    message("partner.bank_account_rejected", "1", BLOCK),
    message("partner.bank_account_erased", "1", BLOCK | {"change": 1}),
    message("contract.terminated", "1", {"contract": "C-1", "valid_to": "2026-07-01", "reason": "agreed"}),
    message("rulebook.published", "1", {"rulebook": "r", "version": 1, "text": "rulebook: r"}),
    message("usage.recorded", "1", {"contract": "C-1", "meter": "sms-mt", "quantity": "-1.5"}),
    charged("1", quantity=2, amounts={"discount": "0.10"}, attributes={"province": "GD"}),
    message(
        "billing.refunded",
        "1",
        {
            "contract": "C-1",
            "amount": "1",
            "currency": "CNY",
            "refunds": "e1",
            "charged_at": "2026-09-30T23:00:00+08:00",
        },
    ),
    message(
        "billing.written_off",
        "1",
        {"contract": "C-1", "amount": "1", "currency": "CNY", "refunds": "e1", "charged_at": "2026-09-30T23:00:00Z"},
    ),
    message("billing.collected", "1", {"contract": "C-1", "amount": "1", "currency": "CNY"}),
    message("advance.paid", "1", {"contract": "C-1", "amount": "5000", "currency": "CNY", "product": "album"}),
    message("case.opened", "1", CASE | BY | {"start": "2026-10-03T16:15:00+08:00"}),
    message("case.acknowledged", "1", CASE | BY),
    message("case.answered", "1", CASE | BY | {"on_time": True, "minutes": 90}),
    message("case.escalated", "1", CASE | BY),
    message("case.closed", "1", CASE | BY | CLOSED),
    message("case.reopened", "1", CASE | BY),
    message("training.enrolled", "1", {"partner": "P-1", "course": "basics", "participant": "Li", "author": "Wu"}),
    message(
        "training.completed", "1", {"partner": "P-1", "course": "basics", "certificate": "7", "expires": "2027-01-01"}
    ),
    message("content.submitted", "1", CONTENT | BY | {"on_time": False}),
    message("content.reviewed", "1", CONTENT | BY | {"approved": True}),
    message("content.published", "1", CONTENT | BY),
    message("content.withdrawn", "1", CONTENT | BY),
    message(
        "provisioning.ordered",
        "1",
        ORDER
        | {"contract": "C-1", "due": DUE, "content": "song 7", "service": "sms", "product": "ringtone", "author": "Li"},
    ),
    message("provisioning.done", "1", ORDER),
    message("provisioning.failed", "1", ORDER | {"reason": "no capacity"}),
    message("assessment.published", "1", PROCESS),
    message("assessment.appealed", "1", PROCESS | {"reason": "counted twice"}),
    message("assessment.decided", "1", PROCESS | {"granted": True, "grade": "A", "reason": "it was", "approver": "Wu"}),
    message("assessment.finalised", "1", PROCESS),
    message("points.adjusted", "1", POINTS | {"points": "-12.5", "author": "Li", "approver": "Wu"}),
    message("points.burned", "1", POINTS | {"points": "0.50", "reference": "gift 7"}),
    message("points.redemption_requested", "1", REDEEM | {"points": "5", "author": "Li", "benefit": "leads first"}),
    message("points.redemption_approved", "1", REDEEM | {"approver": "Wu"}),
    message("points.redemption_rejected", "1", REDEEM | {"author": "Wu", "reason": "too late"}),
    message("assessment.overridden", "1", GRADE | {"grade": "A", "score": "91.5", "approver": "Wu"}),
    message("assessment.reassessed", "1", GRADE),
    message("fx.rate_published", "1", RATE),
    message("statement.published", "1", NOTE | {"party": "supplier"}),
    message("statement.disputed", "1", NOTE | {"reason": "too low", "lines": ["net", "payable"]}),
    message("statement.confirmed", "1", NOTE | {"by_default": True}),
    message(
        "statement.invoiced",
        "1",
        NOTE | {"day": "2026-11-20", "number": "SN-C-1-2026-10", "tax": {"category": "S", "rate": "19"}},
    ),
    message(
        "statement.invoice_withdrawn",
        "1",
        NOTE | {"day": "2026-11-21", "number": "SN-C-1-2026-10", "reason": "the rate is 7%"},
    ),
    message(
        "statement.paid", "1", NOTE | {"amount": "-1.50", "currency": "CNY", "reference": "B 7", "day": "2026-11-30"}
    ),
    message(
        "statement.payment_returned",
        "1",
        NOTE | {"currency": "CNY", "reference": "B 7", "day": "2026-12-03", "reason": "AC04: account closed"},
    ),
    message("statement.settled", "1", NOTE),
    message("discrepancy.opened", "1", LINE | {"ours": "50.00", "theirs": "-53.500000000001"}),
    message("discrepancy.assigned", "1", LINE | {"to": "Wu"}),
    message("discrepancy.resolved", "1", LINE | {"approver": "Wu", "reason": "counted", "amount": "-3.50"}),
    message("discrepancy.rejected", "1", LINE | {"reason": "counted twice"}),
]


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((write_wire.FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return found


def test_the_documents_are_what_the_models_say() -> None:
    assert write_wire.stale() == []


def test_every_stored_event_but_the_engines_own_has_a_message() -> None:
    assert {json.loads(raw)["type"] for raw in MESSAGES} == set(BY_NAME) - set(ISSUED)
    assert len(wire.MESSAGES) == len(MESSAGES)


@pytest.mark.parametrize("raw", MESSAGES, ids=lambda raw: json.loads(raw)["type"])
def test_an_example_of_every_type_is_read_and_fits_its_schema(raw: bytes) -> None:
    said = json.loads(raw)
    # What seals personal fields needs a store: tests/consumers/test_personal.py.
    assert isinstance(decode(raw), Unreadable if said["type"] in PERSONAL else Readable)
    jsonschema.validate(said, schema(said["type"]))


def test_the_schema_refuses_what_the_model_refuses() -> None:
    jsonschema.validate(GOOD, schema("billing.charged"))
    # What a JSON Schema cannot say: that JSON must be sound, and that times have zones and limits.
    beyond = ("not", "time", "type", "at most", "the message")
    for raw, said in BAD:
        if not said.startswith(beyond):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(json.loads(raw), schema("billing.charged"))


def test_the_asyncapi_document_names_every_message() -> None:
    document = json.loads((write_wire.FOLDER / "asyncapi.json").read_text(encoding="utf-8"))
    assert document["asyncapi"].startswith("3.")
    for name, said in document["components"]["messages"].items():
        assert (write_wire.FOLDER / said["payload"]["schema"]["$ref"]).is_file(), name


# Each: the type, its data, what the sentence must say, and whether a JSON Schema can say it too.
REFUSED: list[tuple[str, dict[str, Any], str, bool]] = [
    ("billing.refunded", {"contract": "C-1", "amount": "1", "currency": "CNY"}, "data.refunds: is missing", True),
    ("billing.written_off", {"contract": "C-1", "amount": "1", "currency": "CNY", "charged_at": "2026-09-30T23:00:00"},
     "data.charged_at: the time has no zone", False),
    ("billing.charged", {"contract": "C-1", "amount": "1", "currency": "CNY", "amounts": {"quantity": "1"}},
     "a further amount cannot be called quantity", True),
    ("billing.charged", {"contract": "C-1", "amount": "1", "currency": "CNY", "charged_at": "2026-09-30T23:00:00Z"},
     "data.charged_at: unknown field", True),
    ("advance.paid", {"contract": "C-1", "amount": "-1", "currency": "CNY"}, "data.amount", True),
    ("advance.paid", {"contract": "C-1", "amount": "1", "currency": "CNY", "quantity": "1"}, "data.quantity", True),
    ("case.opened", {**CASE, "kind": "grudge"}, "data.kind", True),
    ("case.opened", {**CASE, "severity": "dire"}, "data.severity", True),
    ("case.opened", {**CASE, "upheld": True}, "data.upheld: unknown field", True),
    ("case.answered", {**CASE, "minutes": "-1"}, "and not negative", True),
    ("case.answered", {**CASE, "on_time": "yes"}, "data.on_time", True),
    ("case.closed", {**CASE, **BY, "compensation": "1"}, "compensation and currency go together", True),
    ("case.closed", {**CASE, **BY, "currency": "CNY"}, "compensation and currency go together", True),
    ("case.closed", {"case": "K", "partner": "P", "kind": "failure", "compensation": "1", "currency": "CNY", **BY},
     "settled under a contract; name it", True),
    ("training.completed", {"partner": "P-1"}, "data.course: is missing", True),
    ("training.completed", {"partner": "P-1", "course": "basics", "expires": "soon"}, "data.expires", False),
    ("content.reviewed", CONTENT | BY, "data.approved: is missing", True),
    ("content.reviewed", CONTENT | {"approved": True}, "data.author: is missing", True),
    ("case.closed", CASE, "data.author: is missing", True),
    ("case.reopened", CASE, "data.author: is missing", True),
    ("service.launched", SERVICE | DAY, "data.author: is missing", True),
    ("service.resumed", SERVICE | DAY, "data.author: is missing", True),
    ("deposit.returned", DEPOSIT, "data.author: is missing", True),
    ("case.closed", {**CASE, **BY, "start": DUE, "end": "2026-10-05T09:59:59Z"}, "a failure ends after it starts", False),
    ("provisioning.ordered", {**ORDER, "contract": "C-1", "due": DUE}, "an order is for something", False),
    ("provisioning.done", {**ORDER, "on_time": True}, "data.on_time: unknown field", True),
    ("assessment.decided", {**PROCESS, "granted": True, "reason": "x", "approver": "Wu"}, "granted and grade go together", False),
    ("assessment.decided", {**PROCESS, "granted": False, "grade": "A", "reason": "x", "approver": "Wu"},
     "granted and grade go together", False),
    ("points.adjusted", {**POINTS, "points": "1", "author": "Li"}, "data.approver: is missing", True),
    ("service.reviewed", {**SERVICE, "approved": False, "author": "Li"}, "a rejection has a reason", False),
    ("deposit.paid", {**DEPOSIT, "amount": "0"}, "data.amount", True),
    ("points.burned", {**POINTS, "points": "0"}, "above 0 where points are burned", True),
    ("points.burned", {**POINTS, "points": "0.000000"}, "above 0", True),
    ("points.burned", {**POINTS, "points": 0}, "above 0", True),
    ("points.burned", {**POINTS, "points": "0.0000001"}, "above 0", True),
    ("assessment.reassessed", {**GRADE, "period": "2026-13"}, "is not a period; write", True),
    ("assessment.reassessed", {**GRADE, "period": "2026-W54"}, "is not a period; write", False),
    ("authorisation.granted", {**GRANT, "volume_max": "0"}, "above 0", True),
    ("authorisation.granted", {**GRANT, "products": []}, "data.products", True),
    ("authorisation.granted", {k: v for k, v in GRANT.items() if k != "volume_max"}, "give volume_max", True),
    ("course.offered", {"course": "b", "name": "B", "author": "Li", "months_valid": 0}, "data.months_valid", True),
    ("lead.registered", {**REGISTRATION, "value": "-1"}, "and not negative", True),
    ("lead.registered", {**REGISTRATION, "place": 1}, "data.place: unknown field", True),
    ("lead.won", {**LEAD, "currency": "CNY"}, "data.amount: is missing", True),
    ("statement.published", {**NOTE, "due": []}, "data.due: unknown field", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "S"}}, "S has a rate above 0", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "S", "rate": "0.00"}}, "S has a rate above 0", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "AE", "rate": "19"}}, "every other has none", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "E"}}, "has its reason; name the article", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "K"}}, "data.tax.category", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "S", "rate": "7.125"}}, "2 after the point", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "S", "rate": "100"}}, "2 digits before", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "S", "rate": "-1"}}, "not negative", True),
    ("statement.invoiced", {**INVOICE, "tax": {"category": "S", "rate": 7.5}}, "data.tax.rate", True),
    ("statement.invoiced", {**INVOICE, "taxes": []}, "data.taxes: unknown field", True),
    ("partner.changed", {"partner": "P-1", "author": "Li", "tax": {"rate": "19"}}, "data.tax.category: is missing", True),
    ("discrepancy.resolved", {**LINE, "approver": "Wu", "reason": "r"}, "a resolution has an amount, or accepts", False),
    ("discrepancy.resolved", {**LINE, "approver": "Wu", "reason": "r", "amount": "1", "accepted": True},
     "a resolution has an amount, or accepts", False),
    ("discrepancy.opened", {**LINE, "theirs": "1e3"}, "data.theirs", True),
    ("fx.rate_published", {**RATE, "rate": "0"}, "12 after the point, and above 0", True),
    ("fx.rate_published", {**RATE, "rate": "1.1234567890123"}, "12 after the point", True),
    ("fx.rate_published", {**RATE, "rate": 7.8}, "12 after the point", True),
    ("fx.rate_published", {**RATE, "quote": "XXZ"}, "is not a currency of ISO 4217", True),
    ("fx.rate_published", {**RATE, "source": "ECB"}, "data.source: unknown field", True),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "said", "in_schema"), REFUSED, ids=range(len(REFUSED)))
def test_what_fits_no_type_is_unreadable_and_says_why(
    kind: str, data: dict[str, Any], said: str, in_schema: bool
) -> None:
    raw = message(kind, "1", data)
    found = decode(raw)
    assert isinstance(found, Unreadable)
    assert said in found.cause
    if in_schema:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(raw), schema(kind))


@pytest.mark.parametrize(
    ("written", "kept"),
    [("7.80", "7.8"), ("7", "7"), (7, "7"), ("0.000000000001", "0.000000000001"), ("999999999999.5", "999999999999.5")],
)
def test_a_rate_is_kept_as_canonical_text(written: str | int, kept: str) -> None:
    found = decode(message("fx.rate_published", "1", RATE | {"rate": written}))
    assert isinstance(found, Readable)
    assert isinstance(found.event, FxRatePublished)
    assert found.event.rate == kept


def test_numbers_of_partner_events_are_kept_in_micros() -> None:
    found = decode(message("points.burned", "1", POINTS | {"points": "0.50"}))
    assert isinstance(found, Readable)
    assert isinstance(found.event, PointsBurned)
    assert found.event.points == 500_000


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"category": "S", "rate": "19.00"}, Tax("S", "19")),
        ({"category": "S", "rate": 7}, Tax("S", "7")),
        ({"category": "AE", "rate": "0.0"}, Tax("AE")),
        ({"category": "E", "reason": "Article 132"}, Tax("E", "0", "Article 132")),
    ],
)
def test_the_vat_of_an_invoice_and_of_a_partner_is_kept_as_canonical_text(said: dict[str, Any], kept: Tax) -> None:
    for kind, data in (("statement.invoiced", INVOICE), ("partner.changed", {"partner": "P-1", "author": "Li"})):
        raw = message(kind, "1", data | {"tax": said})
        jsonschema.validate(json.loads(raw), schema(kind))
        found = decode(raw)
        assert isinstance(found, Readable)
        assert isinstance(found.event, StatementInvoiced | PartnerChanged)
        assert found.event.tax == kept


def test_the_categories_of_vat_are_those_that_can_be_written() -> None:
    assert set(get_args(TaxCategory)) == set(CATEGORIES)
