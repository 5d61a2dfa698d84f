"""settle partner register, change, block, unblock, merge, contact, erase, bank, erase-bank and the like: what persons record of partners."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from console.partners import partner as known
from console.relating import ON, By, record
from console.session import JSON, opened, out, print_json, refuse
from console.taxing import Category, Rate, tax_of
from console.taxing import Reason as TaxReason
from consumers.personal import PERSONAL
from consumers.secrets import contact_fields
from engine.store import registry

Partner = Annotated[str, typer.Argument(help="The partner's id.")]
Contact = Annotated[str, typer.Argument(help="The contact's id; it stays for ever, so no name or e-mail.")]
Time = Annotated[datetime | None, ON]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]
Country = Annotated[str | None, typer.Option("--country", help="Two letters, as in ISO 3166.")]
TaxId = Annotated[str | None, typer.Option("--tax-id", help="Its VAT or tax number, as on invoices.")]
Address = Annotated[list[str] | None, typer.Option("--address", help="A line of the address; give it once a line.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="A YAML file with the private fields, or -: they stay out of the shell's history.",
    ),
]
AsJson = Annotated[bool, JSON]

app = known


@app.command()
def register(
    partner: Partner,
    name: Annotated[str, typer.Option("--name", help="What it is called.")],
    kind: Annotated[str, typer.Option("--kind", help="content_provider, service_provider, agent, supplier ...")],
    by: By,
    country: Country = None,
    tax_id: TaxId = None,
    address: Address = None,
    category: Category = None,
    rate: Rate = None,
    reason: TaxReason = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """A partner is known from now on."""
    said: dict[str, Any] = {"partner": partner, "name": name, "kind": kind, "country": country, "tax_id": tax_id}
    said |= {"address": address or None, "tax": tax_of(category, rate, reason), "author": by}
    record("partner.registered", said, time, as_json=as_json)


@app.command()
def change(
    partner: Partner,
    by: By,
    name: Annotated[str | None, typer.Option("--name", help="What it is called.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="content_provider, service_provider, agent, supplier ...")
    ] = None,
    country: Country = None,
    tax_id: TaxId = None,
    address: Address = None,
    category: Category = None,
    rate: Rate = None,
    reason: TaxReason = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """What is said is so from now on; the rest stays."""
    said: dict[str, Any] = {"partner": partner, "name": name, "kind": kind, "country": country, "tax_id": tax_id}
    said |= {"address": address or None, "tax": tax_of(category, rate, reason), "author": by}
    record("partner.changed", said, time, as_json=as_json)


@app.command()
def block(partner: Partner, by: By, reason: Reason, time: Time = None, as_json: AsJson = False) -> None:
    """Hold its payouts, and let nothing be signed with it."""
    record("partner.blocked", {"partner": partner, "author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def unblock(partner: Partner, by: By, reason: Reason, time: Time = None, as_json: AsJson = False) -> None:
    """Let it be paid again, and sign."""
    record("partner.unblocked", {"partner": partner, "author": by, "reason": reason}, time, as_json=as_json)


@app.command()
def merge(
    partner: Partner,
    into: Annotated[str, typer.Option("--into", help="The partner that is paid for both from now on.")],
    by: By,
    approved_by: Annotated[str, typer.Option("--approved-by", help="Somebody else than --by.")],
    reason: Reason,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Make it one with another partner; as that redirects what it is paid, somebody else approves it."""
    said = {"partner": partner, "into": into, "author": by, "approver": approved_by, "reason": reason}
    record("partner.merged", said, time, as_json=as_json)


@app.command()
def contact(
    partner: Partner,
    contact: Contact,
    role: Annotated[str, typer.Option("--role", help="What to ask it about.")],
    by: By,
    name: Annotated[str | None, typer.Option("--name", help="The person's name.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Its e-mail.")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="Its telephone.")] = None,
    given: From = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Set whom to ask. Name, e-mail and telephone are sealed (SETTLE_SECRET_KEY)."""
    said = {"partner": partner, "contact": contact, "role": role, "author": by}
    private = {"name": name, "email": email, "phone": phone}
    _record_private("partner.contact_set", said, private, given, time, as_json=as_json)


@app.command()
def erase(partner: Partner, contact: Contact, by: By, time: Time = None, as_json: AsJson = False) -> None:
    """Make a contact's personal fields unreadable for ever, wherever they are kept."""
    record("partner.contact_erased", {"partner": partner, "contact": contact, "author": by}, time, as_json=as_json)


@app.command()
def contacts(partner: Partner, as_json: AsJson = False) -> None:
    """Open a partner's contacts: the one command that shows personal fields (SETTLE_SECRET_KEY)."""
    with opened() as store:
        with store.reading() as cursor:
            found = registry.partners(cursor, [partner]).get(partner)
        if found is None:
            refuse(f"partner {partner} is not registered; settle partner list shows those that are")
        told = [
            {"contact": name, "role": each.role} | contact_fields(store, each)
            if each
            else {"contact": name, "role": "erased"}
            for name, each in sorted(found.contacts.items())
        ]
    if as_json:
        print_json(told)
        return
    table = Table("contact", "role", "name", "email", "phone")
    for each in told:
        table.add_row(*(each.get(column, "") for column in ("contact", "role", "name", "email", "phone")))
    out.print(table)


@app.command()
def bank(
    partner: Partner,
    currency: Annotated[str, typer.Option("--currency", help="Three letters, as in ISO 4217.")],
    by: By,
    holder: Annotated[str | None, typer.Option("--holder", help="In whose name the account is.")] = None,
    iban: Annotated[str | None, typer.Option("--iban", help="The account's IBAN.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Where there is no IBAN, with --bank.")] = None,
    bank: Annotated[str | None, typer.Option("--bank", help="The bank's identifier.")] = None,
    bic: Annotated[
        str | None, typer.Option("--bic", help="The bank's BIC, where it is needed beside the IBAN.")
    ] = None,
    given: From = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Propose where it is paid; payouts are held until somebody else approves it."""
    said = {"partner": partner, "currency": currency, "author": by}
    private = {"holder": holder, "iban": iban, "account": account, "bank": bank, "bic": bic}
    _record_private("partner.bank_account_changed", said, private, given, time, as_json=as_json)


@app.command("approve-bank")
def approve_bank(
    partner: Partner,
    by: By,
    number: Annotated[
        int | None, typer.Option("--change", help="The number of the change that was checked (settle partner show).")
    ] = None,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """The proposed bank account was checked by somebody else, and holds."""
    said = {"partner": partner, "approver": by, "change": number}
    record("partner.bank_account_approved", said, time, as_json=as_json)


@app.command("reject-bank")
def reject_bank(partner: Partner, by: By, reason: Reason, time: Time = None, as_json: AsJson = False) -> None:
    """The proposed bank account does not come about."""
    said = {"partner": partner, "author": by, "reason": reason}
    record("partner.bank_account_rejected", said, time, as_json=as_json)


@app.command("erase-bank")
def erase_bank(
    partner: Partner,
    number: Annotated[
        int, typer.Option("--change", help="The number of the change that proposed it (settle partner show).")
    ],
    by: By,
    reason: Reason,
    time: Time = None,
    as_json: AsJson = False,
) -> None:
    """Make a bank account unreadable for ever, wherever it is kept; not while anything is to be paid to it."""
    said = {"partner": partner, "change": number, "author": by, "reason": reason}
    record("partner.bank_account_erased", said, time, as_json=as_json)


def _record_private(
    type_: str,
    said: dict[str, Any],
    private: dict[str, str | None],
    path: str | None,
    time: datetime | None,
    *,
    as_json: bool,
) -> None:
    data = said | private | ({} if path is None else _read(path, PERSONAL[type_].PRIVATE))
    record(type_, data, time, as_json=as_json, private=PERSONAL[type_].PRIVATE)


def _read(path: str, names: tuple[str, ...]) -> dict[str, str]:
    """The private fields of a YAML file, as texts. What is refused shows nothing of it."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        found: Any = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    except OSError as error:
        refuse(f"{path} cannot be read: {error.strerror}; name a YAML file with {', '.join(names)}")
    except (ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict) or not set(found) <= set(names):
        refuse(f"{path} is no YAML object with nothing but {', '.join(names)}; write it so")
    return {str(name): str(value) for name, value in found.items()}
