"""settle rulebook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from console import comparing, trying
from console.rulebook_files import read, read_sound
from console.session import JSON, clock, opened, out, print_json, refuse, user
from consumers.decode import decode
from consumers.ingest import ingest
from engine.aggregates.persons import same_person
from engine.aggregates.rulebook import Version
from engine.rules.check import Checked, check
from engine.settlement.recording import Message, Slice
from engine.store import intake, registry, suspense
from engine.store.database import Store
from replay.compare import compare

app = typer.Typer(help="Rulebooks: check, publish, look up.", no_args_is_help=True)

_CHANNEL = "file:settle rulebook publish"


def _problems(checked: Checked) -> list[dict[str, Any]]:
    return [problem._asdict() for problem in checked.problems]


@app.command("check")
def check_(
    file: Annotated[Path, typer.Argument(help="The rulebook version (YAML).")],
    facts: Annotated[
        Path | None, typer.Option("--facts", help="Try the rulebook on these facts (YAML) and explain the result.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Says what is wrong with a rulebook, where, and what to write instead. Needs no store."""
    checked = check(read(file), str(file))
    errors = sum(problem.severity == "error" for problem in checked.problems)
    book = checked.rulebook
    periods = trying.tried(book, read(facts, "facts"), str(facts)) if book is not None and facts is not None else []
    if as_json:
        told = {"settled": [trying.told(each) for each in periods]} if facts is not None else {}
        print_json({"ok": not errors, "problems": _problems(checked)} | told)
    else:
        for problem in checked.problems:
            out.print(f"{problem.severity}: {problem}", soft_wrap=True)
        if book is not None:
            out.print(f"{file}: {book.rulebook} version {book.version} is sound ({len(checked.problems)} warnings)")
        for each in periods:
            trying.show(each)
    if errors:
        raise typer.Exit(1)


@app.command("cases")
def cases(as_json: Annotated[bool, JSON] = False) -> None:
    """Runs every worked case that the engine ships with: published examples, with their sources, and its own."""
    found = trying.worked()
    if as_json:
        print_json([entry | {"findings": [each._asdict() for each in findings]} for entry, findings in found])
    else:
        trying.show_worked(found)
    if any(not each.ok for _, findings in found for each in findings):
        raise typer.Exit(1)


@app.command("publish")
def publish(
    file: Annotated[Path, typer.Argument(help="The rulebook version (YAML).")],
    by: Annotated[str | None, typer.Option("--by", help="Its author; by default who is at the keyboard.")] = None,
    approved_by: Annotated[
        str | None, typer.Option("--approved-by", help="Who approves that it changes closed periods.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Makes a rulebook version known, for ever. Publishing the same file twice changes nothing.

    One that reaches into closed periods is compared first, and takes an approver other than its author.
    """
    book, text = read_sound(file)
    name = f"{book.rulebook}@{book.version}"
    compared = None
    with opened() as store:
        with store.reading() as cursor:
            published = registry.rulebook_text(cursor, book.rulebook, book.version)
            closed_to = registry.closed_to(cursor, book.rulebook)
            if published is None and closed_to is not None and book.valid_from < closed_to:
                compared = compare(cursor, book, text)
        if compared is not None and not as_json:
            comparing.show(compared)
        if published is not None:
            before = check(published, name).rulebook
            if before is None or before.digest != book.digest:
                refuse(
                    f"{name} is published already, with other content; a published version never changes, so give "
                    f"this one the number {book.version + 1}, or the next free one"
                )
        else:
            if compared is not None and (approved_by is None or same_person(approved_by, by or user())):
                refuse(
                    f"{name} reaches into closed periods (they are closed up to {closed_to}), and that takes an approver other "
                    f"than its author: settle rulebook publish {file} --approved-by WHO"
                )
            who = {"author": by or user(), "approver": approved_by} if approved_by is not None else {}
            _send(store, {"rulebook": book.rulebook, "version": book.version, "text": text} | who)
    if as_json:
        print_json(
            {"rulebook": book.rulebook, "version": book.version, "digest": book.digest, "already": bool(published)}
            | ({} if compared is None else {"compared": comparing.told(compared)})
        )
    else:
        out.print(f"{name} is published {'already' if published else 'now'}, valid from {book.valid_from}")
        out.print(f"digest {book.digest}")
        if compared is not None:
            out.print("settle restate makes adjustments of what it changes in closed periods")


def _send(store: Store, data: dict[str, Any]) -> None:
    """Through the same door as every other event, so that a rulebook is recorded like them."""
    message = {
        "specversion": "1.0",
        "id": f"{data['rulebook']}@{data['version']}/{clock().isoformat()}",
        "source": "tantieme/console",
        "type": "rulebook.published",
        "time": clock().isoformat(),
        "data": data,
    }
    with store.writing() as cursor:
        intake.ensure(cursor, _CHANNEL, [(0, 0)])
    delivered = Message(_CHANNEL, 0, 0, None, decode(msgspec.json.encode(message), own=True))
    result = ingest(store, [Slice(_CHANNEL, 0, None, 1)], [delivered], clock)
    if result.counts.recorded != 1:
        with store.reading() as cursor:
            kept = suspense.latest(cursor, _CHANNEL)
        refuse(kept.sentence if kept else "the rulebook was not recorded")


@app.command("list")
def list_(as_json: Annotated[bool, JSON] = False) -> None:
    """Rulebooks and their versions."""
    with opened() as store, store.reading() as cursor:
        books = registry.rulebooks(cursor)
    if as_json:
        print_json([{"rulebook": b.rulebook, "versions": [_version(v) for v in b.versions]} for b in books.values()])
        return
    table = Table("rulebook", "version", "valid from", "currency", "digest")
    for book in books.values():
        for v in book.versions:
            table.add_row(book.rulebook, str(v.version), str(v.valid_from), v.currency, v.digest[:12])
    out.print(table)


def _version(version: Version) -> dict[str, Any]:
    return version._asdict() | {"valid_from": str(version.valid_from)}


@app.command("show")
def show(
    id: Annotated[str, typer.Argument(help="ID or ID@VERSION; without one, the last.")],  # noqa: A002
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """A rulebook version as it was written."""
    name, _, number = id.partition("@")
    with opened() as store, store.reading() as cursor:
        book = registry.rulebooks(cursor, [name]).get(name)
        versions = book.versions if book else ()
        if number and not number.isdigit():
            refuse(f"{id}: the version is a whole number, as in {name}@1")
        chosen = next((v for v in reversed(versions) if not number or v.version == int(number)), None)
        if chosen is None:
            refuse(f"rulebook {id} is not published; settle rulebook list shows those that are")
        text = registry.rulebook_text(cursor, name, chosen.version)
    if as_json:
        print_json({"rulebook": name} | _version(chosen) | {"text": text})
    else:
        out.print(text, soft_wrap=True)
