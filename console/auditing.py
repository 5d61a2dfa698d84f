"""settle audit: prove what was issued in a period, from the store or from one file."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from console.archiving import WHERE, archive_at
from console.grouping import unworded
from console.intake import bar
from console.replaying import ENGINE, SCHEDULER, cluster_of
from console.session import JSON, opened, out, print_json, refuse
from console.settling import PERIOD, period_of
from replay.apart import here
from replay.audit import auditing, packing, signing, verifying
from replay.audit.container import Damaged
from replay.audit.findings import Finding, Proof

_SHOWN = 20


app = typer.Typer(
    # So that `settle audit 2026-10` needs no word before the period.
    cls=unworded("period"),
    no_args_is_help=True,
    subcommand_metavar="PERIOD | pack PERIOD | verify FILE",
    help="Prove what was issued in a period: PERIOD in the store, a pack of it in one file.",
)


@app.command("period")
def audit(
    period: Annotated[str, PERIOD],
    archive: Annotated[str | None, typer.Option("--archive", help=WHERE)] = None,
    engine: Annotated[str, ENGINE] = "local",
    scheduler: Annotated[str | None, SCHEDULER] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Recompute every statement of the period from the log, with both evaluators, and compare all that was recorded.

    The word `period` may be left out.
    """
    chosen = period_of(period)
    with (
        opened() as store,
        cluster_of(engine, scheduler) as cluster,
        bar(f"audit {chosen}", None) as (progress, task),
    ):
        proof = auditing.audit(
            store,
            chosen,
            archive_at(archive),
            progress=lambda done, total: progress.update(task, completed=done, total=total, messages=done),
            spread=here if cluster is None else cluster.spread,
        )
    if as_json:
        print_json(told(proof))
    else:
        out.print(
            f"{chosen}: {proof.statements:,} statements, from {proof.events:,} events, up to the root\n{proof.root or 'none'}"
        )
        show(proof)
    if not proof.ok:
        raise typer.Exit(1)


@app.command("pack")
def pack(
    period: Annotated[str, PERIOD],
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it.", dir_okay=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write all that proves the period into one file. SETTLE_AUDIT_KEY, an Ed25519 key or @ and its file, signs it."""
    chosen = period_of(period)
    secret = os.environ.get(signing.KEY_VARIABLE)
    key = signing.private_key(secret) if secret else None
    with opened() as store, bar(f"pack {chosen}", None) as (progress, task):
        packed = packing.pack(
            store, chosen, file, key,
            lambda done, total: progress.update(task, completed=done, total=total, messages=done),
        )  # fmt: skip
    if as_json:
        print_json(packed._asdict() | {"path": str(file), "period": str(chosen)})
        return
    out.print(
        f"{file}: {packed.size:,} bytes, {packed.statements:,} statements and {packed.events:,} events of {chosen}",
        soft_wrap=True,
    )
    out.print(f"root   {packed.root}")
    out.print(f"signed by {packed.public_key}" if packed.public_key else f"not signed ({signing.KEY_VARIABLE} is not set)",
              soft_wrap=True)  # fmt: skip


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The pack.")],
    root: Annotated[str | None, typer.Option("--root", metavar="HEX", help="The root that it must have.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="PUBLIC",
            help=f"By which it must be signed: PEM, hex, base64 or @FILE; else {signing.PUBLIC_VARIABLE}.",
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Prove a pack, byte for byte: no database, no network. Compare the root with the one on a statement."""
    if root is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", root.strip()):
        raise typer.BadParameter("a root is 64 hexadecimal digits", param_hint="--root")
    said = key or os.environ.get(signing.PUBLIC_VARIABLE)
    public = signing.public_key(said) if said else None
    try:
        with bar(f"verify {file.name[:24]}", None) as (progress, task):
            found = verifying.verify(
                file,
                root,
                public,
                lambda done, total: progress.update(task, completed=done, total=total, messages=done),
            )
    except Damaged as damaged:
        if as_json:
            print_json({"file": str(file), "ok": False, "damaged": {"where": damaged.where, "why": damaged.sentence}})
            raise typer.Exit(1) from None
        refuse(f"{file} is not as it was packed. {damaged}")
    if as_json:
        print_json(told(found.proof) | {"file": str(file), "bytes": found.size, "signed_by": found.public_key})
    else:
        _show_verified(file, found, checked=public is not None)
    if not found.proof.ok:
        raise typer.Exit(1)


def _show_verified(file: Path, found: verifying.Verified, *, checked: bool) -> None:
    out.print(
        f"{file}: {found.size:,} bytes, {found.proof.statements:,} statements of {found.proof.period}, from "
        f"{found.proof.events:,} events",
        soft_wrap=True,
    )
    show(found.proof)
    if found.public_key is None:
        out.print("not signed")
    else:
        out.print(f"signed by {found.public_key}", soft_wrap=True)
        if not checked:
            out.print("whose key that is, this file cannot say: compare it, or give the right one with --key")
    out.print("\nroot, to be compared with the one on a statement that a partner holds:\n")
    digits = found.proof.root
    for at in (0, 32):
        out.print("    " + "  ".join(digits[at + i : at + i + 8] for i in range(0, 32, 8)), style="bold")
    out.print(f"\n{digits}")


def told(proof: Proof) -> dict[str, Any]:
    """A proof as JSON: what was checked, and by contract what failed and what was taken as given."""
    return {
        "period": proof.period,
        "ok": proof.ok,
        "root": proof.root,
        "statements": proof.statements,
        "events": proof.events,
        "checked": {name: {"checked": made, "failed": failed} for name, (made, failed) in proof.checked().items()},
        "contracts": _by_contract(proof),
        "failed": [_told(each) for each in proof.failed],
        "taken": [_told(each) for each in proof.taken],
    }


def _by_contract(proof: Proof) -> dict[str, dict[str, int]]:
    """By contract how many checks were made, and how many of them failed."""
    made, failed = Counter(f.contract for f in proof.findings), Counter(f.contract for f in proof.failed)
    return {name: {"checked": made[name], "failed": failed[name]} for name in sorted(made) if name}


def _told(finding: Finding) -> dict[str, str]:
    return {
        "contract": finding.contract,
        "statement": finding.statement,
        "check": str(finding.check),
        "sentence": finding.sentence,
    }


def show(proof: Proof) -> None:
    table = Table("checked", box=None)
    table.add_column("holds", justify="right")
    table.add_column("fails", justify="right")
    for name, (made, failed) in proof.checked().items():
        table.add_row(name, f"{made - failed:,}", f"{failed:,}" if failed else "")
    out.print(table)
    for each in sorted(proof.failed, key=lambda each: (each.contract, each.statement))[:_SHOWN]:
        out.print(f"  {_named(each)}{each.check}: {each.sentence}", soft_wrap=True)
    if len(proof.failed) > _SHOWN:
        out.print(f"  and {len(proof.failed) - _SHOWN:,} more; --json names them all")
    for sentence, number in Counter(each.sentence for each in proof.taken).most_common(_SHOWN):
        out.print(f"  {sentence}{f' ({number:,} times)' if number > 1 else ''}")
    out.print("everything holds" if proof.ok else f"{len(proof.failed):,} CHECKS FAIL", style="bold")


def _named(finding: Finding) -> str:
    said = " ".join(each for each in (finding.contract, finding.statement) if each)
    return f"{said}: " if said else ""
