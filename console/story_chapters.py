"""The story that `settle demo partner` tells: a content provider from its application to its final statement, step by step."""

from __future__ import annotations

from console.story import (
    CONTRACT,
    COOPERATION,
    CURRENCY,
    LINE,
    MODEL,
    NAME,
    PARTNER,
    RULEBOOK,
    TEXT,
    Chapter,
    Figures,
    Restate,
    Step,
    asked,
    assessed,
    at,
    case,
    charged,
    days,
    licence,
    paid,
    persons,
    service,
    streamed,
)

_JANUARY = Chapter(
    f"January: {NAME} applies, qualifies, and enters on trial",
    (
        Step(
            "registered; licence L-1 shown up to 2025-04-01, and approved by bob; contract signed; 500.00 deposited",
            persons(
                asked("rulebook.published", "01-01", {"rulebook": RULEBOOK, "version": 1, "text": TEXT}),
                asked("cooperation_model.published", "01-01", COOPERATION),
                asked("partner.registered", "01-02", {
                    "partner": PARTNER, "name": NAME, "kind": "content_provider", "country": "DE"}),
                licence("submitted", "01-02", type="licence", issuer="music authority", valid_from="2025-01-01",
                         valid_to="2025-04-01"),
                licence("approved", "01-02", author="bob"),
                asked("contract.signed", "01-02", {
                    "contract": CONTRACT, "partner": PARTNER, "cooperation_model": MODEL, "rulebook": RULEBOOK,
                    "currency": CURRENCY, "valid_from": "2025-01-01"}),
                asked("deposit.paid", "01-03", {
                    "partner": PARTNER, "contract": CONTRACT, "amount": "500", "currency": CURRENCY}),
            ),
        ),
        Step(
            "its bank account given, and approved by bob",
            persons(
                asked("partner.bank_account_changed", "01-03", {
                    "partner": PARTNER, "currency": CURRENCY, "author": "ann", "holder": NAME,
                    "iban": "DE89370400440532013000"}),
                asked("partner.bank_account_approved", "01-03", {"partner": PARTNER, "approver": "bob"}, 10),
                sealed=True,
            ),
        ),
        Step(
            "service applied for, reviewed, and on trial from 6 January",
            persons(
                service("applied", "01-03", name="Aurora radio"),
                service("reviewed", "01-04", approved=True, author="bob"),
                service("trial_started", "01-06", day="2025-01-06", author="bob"),
            ),
        ),
        Step("100.00 charged on 10 January", charged("01-10", "40", "60")),
        Step("January closed", days("02-01")),
    ),
    (("2025-01", 1),),
)  # fmt: skip

_FEBRUARY = Chapter(
    "February: it goes live; a complaint is upheld, a failure reported late",
    (
        Step("launched on 1 February", persons(service("launched", "02-01", day="2025-02-01", author="bob"))),
        Step("January's statement published", days("02-05")),
        Step(
            "1,000.00 charged on 10 February; one of the four messages comes twice",
            charged("02-10", "250", "250", "250", "250", twice=1),
        ),
        Step(
            "complaint K-1 upheld, with 25.00 of compensation",
            persons(
                case("opened", "K-1", "complaint", "02-11", 9, severity="medium"),
                case("answered", "K-1", "complaint", "02-11", 12),
                case(
                    "closed",
                    "K-1",
                    "complaint",
                    "02-13",
                    9,
                    author="ann",
                    upheld=True,
                    compensation="25",
                    currency=CURRENCY,
                ),
            ),
        ),
        Step("January's confirmed by default, since nobody disputed it, and invoiced", days("02-16")),
        Step("44.00 paid", paid("01", "02-17", "44")),
        Step(
            "failure F-1 reported two hours after it began, where 30 minutes are allowed",
            persons(
                case("opened", "F-1", "failure", "02-20", 12, start="2025-02-20T10:00:00+00:00"),
                case(
                    "closed",
                    "F-1",
                    "failure",
                    "02-20",
                    18,
                    author="ann",
                    end="2025-02-20T16:00:00+00:00",
                    affected="120",
                ),
            ),
        ),
        Step("February closed", days("03-01")),
    ),
    (("2025-02", 1),),
)

_MARCH = Chapter(
    "March: it is assessed, appeals, and is paid; the appeal is granted",
    (
        Step(
            "grade C published by ann; the partner appeals",
            persons(
                assessed("published", "03-02", author="ann"),
                assessed("appealed", "03-04", author="aurora", reason="the failure was ours to report by noon"),
            ),
        ),
        Step("500.00 charged on 10 March", charged("03-10", "200", "300")),
        Step("February's statement published, confirmed by default and invoiced", days("03-05", "03-16")),
        Step("465.00 paid", paid("02", "03-17", "465")),
        Step(
            "appeal granted by ann and bob: grade B",
            persons(
                assessed("decided", "03-20", granted=True, grade="B", author="ann", approver="bob",
                          reason="the report was announced in time"),
                assessed("finalised", "03-20", author="ann"),
            ),
        ),
        Step("February computed again", Restate()),
        Step("March closed", days("04-01")),
    ),
    (("2025-02", 2), ("2025-03", 1)),
)  # fmt: skip

# Its own figures agree but for one.
_THEIRS = """\
line,amount
trial share,0
live share,312.00
gross,300
weighted,330
penalties,0
earned,330
payable,330.00
"""
_ON_MARCH = {"contract": CONTRACT, "period": "2025-03"}
_APRIL = Chapter(
    "April: its licence lapses and is renewed; it disputes a line, and wins",
    (
        Step("March's statement published", days("04-05")),
        Step("its own figures: 312.00 of live share", Figures("2025-03", _THEIRS, at("04-07"))),
        Step("500.00 charged on 10 April, ten days after the licence lapsed", charged("04-10", "100", "150", "250")),
        Step(
            "dispute resolved by ann and bob: 12.00 at grade A are 13.20; the partner confirms",
            persons(
                asked("discrepancy.resolved", "04-11", _ON_MARCH | {
                    "line": LINE, "author": "ann", "approver": "bob", "amount": "13.20",
                    "reason": "a batch of 20.00 was left out"}),
                asked("statement.confirmed", "04-12", _ON_MARCH | {"author": "aurora"}),
            ),
        ),
        Step("March's invoiced", days("04-12")),
        Step("390.00 paid", paid("03", "04-14", "390")),
        Step(
            "licence renewed from 2025-04-01 on",
            persons(licence("renewed", "04-15", author="bob", valid_from="2025-04-01", valid_to="2026-04-01")),
        ),
        Step("an advance of 400.00 paid", streamed("advance.paid", "04-20", ("400",))),
        Step("April closed", days("05-01")),
    ),
    (("2025-04", 1),),
)  # fmt: skip

_MAY = Chapter(
    "May: it leaves",
    (
        Step("April's statement published", days("05-05")),
        Step("50.00 charged on 8 May", charged("05-08", "50")),
        Step(
            "exit requested for 10 May",
            persons(
                service("exit_requested", "05-10", day="2025-05-10", author="aurora", reason="sold to a larger house")
            ),
        ),
        Step("April's confirmed by default and invoiced", days("05-16")),
        Step("13.20 paid", paid("04", "05-19", "13.20")),
        Step(
            "cleared from 20 May, left on 25 May",
            persons(
                service("clearing_started", "05-20", day="2025-05-20", author="bob"),
                service("exited", "05-25", day="2025-05-25", author="bob"),
            ),
        ),
        Step("10.00 charged on 28 May, by a shop that does not know it yet", charged("05-28", "10")),
        Step("May closed: the final statement", days("06-01")),
        Step("published, confirmed by default and invoiced", days("06-05", "06-16")),
        Step("463.00 paid", paid("05", "06-17", "463")),
        Step("everything settled", days("06-18")),
    ),
    (("2025-05", 1),),
)

CHAPTERS = (_JANUARY, _FEBRUARY, _MARCH, _APRIL, _MAY)
MONTHS = ("2025-01", "2025-02", "2025-03", "2025-04", "2025-05")
