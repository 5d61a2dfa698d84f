"""settle outbox: what was issued, sent to Kafka."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from console.intake import bar
from console.kafka_names import BOOTSTRAP, topic_of
from console.session import JSON, clock, opened, out, print_json
from engine.store import outbox, recorder

app = typer.Typer(help="Statements, adjustments, scores and points, sent to Kafka, each once.", no_args_is_help=True)


@app.command()
def send(
    bootstrap: Annotated[str, BOOTSTRAP],
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix",
            metavar="PREFIX",
            parser=topic_of,
            help="Topics are PREFIX.statements, .adjustments, .scores and .points.",
        ),
    ] = "settle",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Send what was issued since the last time. Killed anywhere, the same command goes on, and nothing is sent twice."""
    from consumers.outbox import send as send_on  # noqa: PLC0415 - its import takes longer than most commands

    with opened() as store, bar("send", None) as (progress, task):
        sent = send_on(
            store, bootstrap, clock, prefix=prefix,
            progress=lambda done, of: progress.update(task, completed=done, total=of, messages=done),
        )  # fmt: skip
    if as_json:
        print_json(sent)
        return
    told = "  ".join(f"{topic} {number:,}" for topic, number in sent.messages.items())
    out.print(f"sent {told}; everything up to position {sent.position:,}")


@app.command()
def status(as_json: Annotated[bool, JSON] = False) -> None:
    """Up to where what was issued has been sent."""
    with opened() as store, store.reading() as cursor:
        marks, last = outbox.bookmarks(cursor), recorder.last_position(cursor)
    if as_json:
        print_json([mark._asdict() | {"last": last} for mark in marks])
        return
    table = Table("to", "sent up to", "end of the log", "under way")
    for mark in marks:
        table.add_row(mark.name, f"{mark.position:,}", f"{last:,}", "" if mark.sending is None else f"{mark.sending:,}")
    out.print(table)


@app.command("resolve")
def resolve(
    sent: Annotated[bool, typer.Option("--sent/--not-sent", help="Whether its messages are in the topics.")],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Say what became of a transaction that the cluster has forgotten."""
    from consumers.outbox import resolve as resolved  # noqa: PLC0415 - as above

    with opened() as store:
        position = resolved(store, sent=sent)
    if as_json:
        print_json({"position": position})
    else:
        out.print(f"everything up to position {position:,} counts as sent")
