"""settle rulebook."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from console import trying
from console.session import JSON, clock, opened, out, print_json, refuse
from consumers.decode import decode
from consumers.ingest import ingest
from engine.aggregates.rulebook import Version
from engine.rules.check import Checked, check
from engine.settlement.recording import Message, Slice
from engine.store import intake, registry, suspense
from engine.store.database import Store

app = typer.Typer(help="Rulebooks: check, publish, look up.", no_args_is_help=True)

_BYTES_MAX = 262_144
_CHANNEL = "file:settle rulebook publish"


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES_MAX:
            refuse(f"{path} has more than {_BYTES_MAX:,} bytes; a rulebook is smaller than that")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        refuse(f"{path} is not text in UTF-8; a rulebook is a YAML file")
    except OSError as error:
        refuse(f"{path} cannot be read: {error.strerror}; name a rulebook file (YAML)")


def _problems(checked: Checked) -> list[dict[str, Any]]:
    return [problem._asdict() for problem in checked.problems]


@app.command("check")
def check_(
    file: Annotated[Path, typer.Argument()],
    facts: Annotated[
        Path | None, typer.Option("--facts", help="Try the rulebook on these facts (YAML) and explain the result.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Says what is wrong with a rulebook, where, and what to write instead. Needs no store."""
    checked = check(_read(file), str(file))
    errors = sum(problem.severity == "error" for problem in checked.problems)
    book = checked.rulebook
    periods = trying.tried(book, _read(facts), str(facts)) if book is not None and facts is not None else []
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
def publish(file: Annotated[Path, typer.Argument()], as_json: Annotated[bool, JSON] = False) -> None:
    """Makes a rulebook version known, for ever. Publishing the same file twice changes nothing."""
    text = _read(file)
    checked = check(text, str(file))
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    if checked.rulebook is None or errors:
        refuse(f"{file} has {len(errors)} errors, the first: {errors[0]}; see settle rulebook check {file}")
    book = checked.rulebook
    name = f"{book.rulebook}@{book.version}"
    with opened() as store:
        with store.reading() as cursor:
            published = registry.rulebook_text(cursor, book.rulebook, book.version)
        if published is not None:
            before = check(published, name).rulebook
            if before is None or before.digest != book.digest:
                refuse(
                    f"{name} is published already, with other content; a published version never changes, so give "
                    f"this one the number {book.version + 1}, or the next free one"
                )
        else:
            _send(store, book.rulebook, book.version, text)
    if as_json:
        print_json(
            {"rulebook": book.rulebook, "version": book.version, "digest": book.digest, "already": bool(published)}
        )
    else:
        out.print(f"{name} is published {'already' if published else 'now'}, valid from {book.valid_from}")
        out.print(f"digest {book.digest}")


def _send(store: Store, rulebook: str, version: int, text: str) -> None:
    """Through the same door as every other event, so that a rulebook is recorded like them."""
    message = {
        "specversion": "1.0",
        "id": f"{rulebook}@{version}/{clock().isoformat()}",
        "source": "tantieme/console",
        "type": "rulebook.published",
        "time": clock().isoformat(),
        "data": {"rulebook": rulebook, "version": version, "text": text},
    }
    with store.writing() as cursor:
        intake.ensure(cursor, _CHANNEL, [(0, 0)])
    delivered = Message(_CHANNEL, 0, 0, None, decode(msgspec.json.encode(message)))
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
