"""settle partner, settle contract."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.table import Column, Table

from console.session import JSON, opened, out, print_json, refuse
from engine.aggregates.contract import Contract
from engine.aggregates.partner import Partner
from engine.events import PartnerBankAccountChanged
from engine.settlement.paying import payment
from engine.settlement.statements import found
from engine.store import registry, statements
from engine.store.statements import Issued

partner = typer.Typer(help="Partners: who they are, whom to ask, and where they are paid.", no_args_is_help=True)
contract = typer.Typer(help="Contracts, their terms and statements.", no_args_is_help=True)

_SHOWN = 20
_DAYS = ("valid_from", "valid_to", "left_on")


def _partner(known: Partner) -> dict[str, Any]:
    return {
        "partner": known.partner,
        "name": known.name,
        "kind": known.kind,
        "country": known.country,
        "tax_id": known.tax_id,
        "address": known.address,
        "tax": known.tax and msgspec.to_builtins(known.tax),
        "blocked": known.blocked and {"author": known.blocked.author, "reason": known.blocked.reason},
        "merged_into": known.merged_into,
        "contacts": [
            {"contact": name, "role": each.role} if each else {"contact": name, "erased": True}
            for name, each in sorted(known.contacts.items())
        ],
        "account": known.account and _account(known, known.account),
        "proposed": known.proposed and _account(known, known.proposed),
        "bank_accounts": [
            {"change": number, "masked": each.masked} if each else {"change": number, "erased": True}
            for number, each in enumerate(known.proposals, 1)
        ],
    }


def _account(known: Partner, changed: PartnerBankAccountChanged) -> dict[str, Any]:
    number = next(number for number, each in enumerate(known.proposals, 1) if each and each.is_of(changed))
    return {"change": number, "masked": changed.masked, "currency": changed.currency, "author": changed.author}


def _contract(known: Contract) -> dict[str, Any]:
    said = known._asdict()
    return said | {name: said[name] and str(said[name]) for name in _DAYS}


@partner.command("list")
def partner_list(
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = _SHOWN,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Partners by their ids."""
    with opened() as store, store.reading() as cursor:
        known = registry.all_partners(cursor)
    if as_json:
        print_json([_partner(p) for p in known])
        return
    table = Table("partner", "name", "kind", "country")
    for p in known[: limit or None]:
        table.add_row(p.partner, p.name, p.kind, p.country or "")
    out.print(table)
    out.print(f"{len(known):,} partners" + (f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(known) else ""))


@partner.command("show")
def partner_show(
    id: Annotated[str, typer.Argument(help="The partner's id.")],  # noqa: A002
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """One partner and its contracts."""
    with opened() as store, store.reading() as cursor:
        known = registry.partners(cursor, [id]).get(id)
        contracts = registry.all_contracts(cursor, partner=id)
        paid = payment(cursor, id)
    if known is None:
        refuse(f"partner {id} is not registered; settle partner list shows those that are")
    shown = _partner(known) | {"payee": paid.payee, "payout_held": paid.held}
    shown |= {"contracts": [c.contract for c in contracts]}
    _show(shown, as_json=as_json)


@contract.command("list")
def contract_list(
    limit: Annotated[int, typer.Option(help="How many to show; 0 shows all.", min=0)] = _SHOWN,
    of: Annotated[str | None, typer.Option("--partner", help="Only this partner's.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Contracts by their ids."""
    with opened() as store, store.reading() as cursor:
        known = registry.all_contracts(cursor, partner=of)
    if as_json:
        print_json([_contract(c) for c in known])
        return
    table = Table("contract", "partner", "rulebook", "currency", "from", "to")
    for c in known[: limit or None]:
        table.add_row(c.contract, c.partner, c.rulebook, c.currency, str(c.valid_from), str(c.valid_to or ""))
    out.print(table)
    out.print(
        f"{len(known):,} contracts" + (f", {limit} shown (--limit 0 shows all)" if 0 < limit < len(known) else "")
    )


@contract.command("show")
def contract_show(
    id: Annotated[str, typer.Argument(help="The contract's id.")],  # noqa: A002
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """One contract: its terms, its closed statements, and events that came late for them."""
    with opened() as store, store.reading() as cursor:
        known = found(cursor, id)
        issued = statements.of_contract(cursor, id)
        late = statements.late_events(cursor, id)
    shown = _contract(known) | {
        "closed": [_closed(s) | {"late": late.get(s.period, 0)} for s in issued if s.version == 1],
        "restated": [
            _closed(s) | {"version": s.version, "adjusted in": s.taken_by or "the next statement"}
            for s in issued
            if s.version > 1
        ],
    }
    _show(shown, as_json=as_json)


def _closed(statement: Issued) -> dict[str, Any]:
    return {"period": statement.period, "digest": statement.digest}


def _show(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    table = Table(Column(), Column(overflow="fold"), show_header=False, box=None)
    for name, value in shown.items():
        if isinstance(value, (list, tuple)):
            rows = [", ".join(f"{k} {v}" for k, v in v.items()) if isinstance(v, dict) else str(v) for v in value]
            table.add_row(name.replace("_", " "), "\n".join(rows) or "none")
        elif isinstance(value, dict):
            table.add_row(name.replace("_", " "), ", ".join(f"{k} {v}" for k, v in value.items()))
        elif isinstance(value, bool):
            table.add_row(name.replace("_", " "), "yes" if value else "no")
        else:
            table.add_row(name.replace("_", " "), "" if value is None else str(value))
    out.print(table)
