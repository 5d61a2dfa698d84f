"""settle ingest, produce, consume."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from console.kafka_names import BOOTSTRAP, topic_of, topics_of
from console.session import JSON, clock, err, opened, out, print_json, refuse
from consumers import files
from consumers.suspense import recycle_ripe
from engine.store.intake import Counts

TOPIC_DEFAULT = "settle.events"


class _Rate(ProgressColumn):
    """Messages a second, where the task's own unit is bytes."""

    def render(self, task: Task) -> Text:
        messages, elapsed = task.fields.get("messages", task.completed), task.elapsed or 0
        return Text(f"{messages / elapsed:,.0f}/s" if elapsed > 0 else "")


@contextmanager
def bar(description: str, total: float | None) -> Iterator[tuple[Progress, Any]]:
    """A progress bar with rate and time left, on standard error, gone when done. Silent where nobody watches."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        *([MofNCompleteColumn()] if total is None else [TextColumn("{task.percentage:>3.0f}%")]),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield progress, progress.add_task(description, total=total, messages=0)


def print_counts(counts: Counts, *, as_json: bool) -> None:
    told = {name: number for name, number in counts._asdict().items() if name != "skipped"}
    if as_json:
        print_json(told)
    else:
        out.print("  ".join(f"{name} {number:,}" for name, number in told.items()))
        if counts.suspended or counts.rejected:
            out.print("settle suspense list shows why messages were suspended or rejected")


def ingest(
    paths: Annotated[
        list[str], typer.Argument(help="Files of CloudEvents, one a line: .jsonl, .jsonl.gz, .jsonl.zst, or - .")
    ],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take in files of events. Reading a file twice adds nothing."""
    counts = Counts()
    files.check_readable(paths)
    with opened() as store:
        recycle_ripe(store, clock)
        for path in paths:
            size = Path(path).stat().st_size if path != "-" and Path(path).is_file() else None
            with bar(f"ingest {Path(path).name[:24]}", size) as (progress, task):

                def tell(now: files.Progress, progress: Progress = progress, task: Any = task) -> None:  # noqa: ANN401
                    progress.update(task, completed=now.bytes_done, messages=sum(now.counts))

                counts = counts.plus(files.ingest_file(store, path, clock, tell))
    print_counts(counts, as_json=as_json)


def produce(
    path: Annotated[str, typer.Argument(help="A file of CloudEvents, one a line, or - .")],
    bootstrap: Annotated[str, BOOTSTRAP],
    topic: Annotated[
        str, typer.Option("--topic", metavar="TOPIC", parser=topic_of, help="Where to send them.")
    ] = TOPIC_DEFAULT,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Send a file of events to Kafka, keyed by contract (or partner), as they are."""
    from kafka.errors import KafkaError  # noqa: PLC0415 - its import takes longer than most commands

    from consumers.kafka_producer import produce as send  # noqa: PLC0415

    files.check_readable([path])
    try:
        with bar(f"produce to {topic}"[:32], None) as (progress, task):
            sent = send(
                bootstrap,
                topic,
                files.lines_of(path),
                lambda done: progress.update(task, completed=done, messages=done),
            )
    except KafkaError as error:
        refuse(
            f"Kafka at {bootstrap} does not take the messages ({error}); make sure that it runs and that topic {topic} "
            "is there, and send the file again: what is known is not counted twice"
        )
    if as_json:
        print_json({"sent": sent, "topic": topic})
    else:
        out.print(f"sent {sent:,} messages to {topic}")


def consume(
    bootstrap: Annotated[str, BOOTSTRAP],
    group: Annotated[str, typer.Option("--group", help="Consumers of one group share the partitions.")] = "settle",
    topics: Annotated[
        str, typer.Option("--topics", metavar="TOPICS", parser=topics_of, help="Topics, with commas between.")
    ] = TOPIC_DEFAULT,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop where the topics end now.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Take in events from Kafka, each exactly once, until interrupted."""
    from kafka.errors import KafkaError  # noqa: PLC0415 - as above

    from consumers.kafka import Consumer, RetentionOvertook  # noqa: PLC0415 - as above

    with opened() as store:
        consumer = Consumer(
            store, bootstrap, group, topics.split(","), clock, lambda said: err.print(f"settle: {said}")
        )
        with _stopping(consumer.stop), bar("consume", None) as (progress, task):
            try:
                counts = consumer.run(
                    until_end=until_end,
                    progress=lambda c: progress.update(task, completed=sum(c[:4]), messages=sum(c[:4])),
                )
            except RetentionOvertook as overtaken:
                refuse(str(overtaken))
            except KafkaError as error:
                refuse(f"Kafka at {bootstrap} refuses: {error}; what was committed stays, mend it and start again")
    print_counts(counts, as_json=as_json)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM lets the batch in hand be committed; a second one interrupts."""

    def asked(number: int, _: object) -> None:
        if stop.is_set():
            sys.exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
