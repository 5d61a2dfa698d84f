"""settle demo partner: one partner's way from its application to its final statement, told with every amount."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple, assert_never

import typer
from rich.padding import Padding
from rich.table import Table

from console import story, story_chapters
from console.kafka_names import servers
from console.session import JSON, clock, err, opened, out, print_json, refuse
from console.story import Act, Chapter, Days, Figures, Persons, Restate, Streamed
from consumers import files, reconciling, secrets
from consumers.commands import ask
from consumers.figures import figures_of
from consumers.run_day import run_day
from engine.money import plain
from engine.period import Period
from engine.projections.journal import trial
from engine.settlement import scoring
from engine.settlement.noting import standing_of
from engine.settlement.statements import view
from engine.store import journal, registry, relations, suspense
from engine.store.database import Store
from engine.store.intake import Counts
from replay import restate as replay_restate
from replay.audit.auditing import audit

_TOLERANCE = Decimal("0.01")
_CLERK = "clerk"
_INDENT = "  "

Take = Callable[[Store, Streamed], Counts]


def partner(
    bootstrap: Annotated[
        str | None,
        typer.Option(
            "--bootstrap",
            metavar="SERVERS",
            parser=servers,
            help="HOST:PORT of a Kafka cluster, through which the usage comes.",
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Tell one partner's story, from application to final statement: trial, complaint, appeal, dispute, exit."""
    with opened() as store:
        _refuse_a_store_in_use(store)
        take = _from_file if bootstrap is None else _through_kafka(bootstrap)
        told: dict[str, Any] = {
            "chapters": [_told_chapter(store, take, chapter, as_json=as_json) for chapter in story_chapters.CHAPTERS]
        }
        told |= _proved(store, as_json=as_json)
    if as_json:
        print_json(told)
    if not all(told["audit"].values()):
        raise typer.Exit(1)


def _refuse_a_store_in_use(store: Store) -> None:
    with store.reading() as cursor:
        known = {each.contract for each in registry.all_contracts(cursor)}
    if story.CONTRACT in known:
        refuse(
            "this store has been through the demo, or through a part of it; name another folder with settle --data DIR demo partner"
        )
    if known:
        refuse(
            f"this store holds other contracts ({min(known)} ...), and the demo runs the calendar of them all; name another "
            "folder with settle --data DIR demo partner"
        )


def _from_file(store: Store, streamed: Streamed) -> Counts:
    with tempfile.TemporaryDirectory(prefix="settle-demo-") as folder:
        file = Path(folder) / f"{streamed.name}.jsonl"
        file.write_bytes(b"".join(line + b"\n" for line in streamed.lines))
        return files.ingest_file(store, str(file), clock)


def _through_kafka(bootstrap: str) -> Take:
    """A topic of the story's own is made, so that nothing else is in it."""
    from kafka import KafkaAdminClient  # noqa: PLC0415 - its import takes longer than most commands
    from kafka.errors import KafkaError  # noqa: PLC0415 - as above

    from consumers.kafka import Consumer, RetentionOvertook  # noqa: PLC0415 - as above
    from consumers.kafka_producer import produce  # noqa: PLC0415 - as above

    topic = f"settle.story-{clock():%Y%m%dT%H%M%S%f}"

    def take(store: Store, streamed: Streamed) -> Counts:
        try:
            produce(bootstrap, topic, streamed.lines)
            consumer = Consumer(store, bootstrap, topic, [topic], clock, lambda said: err.print(f"settle: {said}"))
            return consumer.run(until_end=True)
        except (KafkaError, RetentionOvertook) as error:
            refuse(
                f"Kafka at {bootstrap} refuses: {error}; mend it and start again with settle --data DIR demo partner"
            )

    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=10_000)
        try:
            admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        finally:
            admin.close()
    except KafkaError as error:
        refuse(f"Kafka at {bootstrap} makes no topic {topic} ({error}); make sure that it runs, and start again")
    return take


def _told_chapter(store: Store, take: Take, chapter: Chapter, *, as_json: bool) -> dict[str, Any]:
    if not as_json:
        out.print(f"\n{chapter.title}\n", style="bold")
    steps = []
    for step in chapter.steps:
        came_of_it = _done(store, take, step.act)
        steps.append({"said": step.said} | came_of_it.told)
        if not as_json:
            _tell(f"{step.said}: {came_of_it.text}" if came_of_it.text else step.said)
    with store.reading() as cursor:
        (service,) = relations.listed(cursor, "service", contracts=[story.CONTRACT])
        kept = Counter(dict.fromkeys(("suspended", "recycled"), 0))
        for state, _, number in suspense.totals(cursor):
            kept[state] += number
    shown = [_statement(store, period, version) for period, version in chapter.shown]
    told = {
        "title": chapter.title, "steps": steps, "service": service.state.state, "suspended": kept["suspended"],
        "recycled": kept["recycled"], "statements": shown,
    }  # fmt: skip
    if not as_json:
        _show(told)
    return told


def _tell(sentence: str) -> None:
    out.print(textwrap.fill(sentence, out.width, initial_indent=_INDENT, subsequent_indent=_INDENT), soft_wrap=True)


class CameOfIt(NamedTuple):
    """What a step did: in a few words, and as JSON."""

    text: str
    told: dict[str, Any]


def _done(store: Store, take: Take, act: Act) -> CameOfIt:
    match act:
        case Persons(sealed=True) if not os.environ.get(secrets.KEY_VARIABLE):
            return CameOfIt(f"left out, since {secrets.KEY_VARIABLE}, which seals it, is not set", {"left_out": True})
        case Persons():
            ask(store, act.asked, clock)
            return CameOfIt("", {"events": [each.type for each in act.asked]})
        case Streamed():
            return _taken_in(store, take(store, act))
        case Days():
            return _run(store, act)
        case Figures():
            return _reconciled(store, act)
        case Restate():
            made = replay_restate.restate(store, clock()).restated
            amounts = [row["amount"] for each in made for row in each.adjustment["payable"]]
            return CameOfIt(f"adjusted by {', '.join(amounts)}", {"adjusted": amounts})
        case _:
            assert_never(act)


def _taken_in(store: Store, counts: Counts) -> CameOfIt:
    named = {name: number for name, number in counts._asdict().items() if name != "skipped"}
    text = ", ".join(f"{number} {name}" for name, number in named.items() if number)
    if counts.suspended:
        with store.reading() as cursor:
            codes = [code for state, code, _ in suspense.totals(cursor) if state == "suspended"]
        text += f" ({', '.join(codes)})"
    return CameOfIt(text, {"counts": named})


def _run(store: Store, act: Days) -> CameOfIt:
    steps = [step.type for day in act.days for step in run_day(store, day, _CLERK, clock).steps]
    return CameOfIt("", {"days": [day.isoformat() for day in act.days], "steps": steps})


def _reconciled(store: Store, act: Figures) -> CameOfIt:
    with tempfile.TemporaryDirectory(prefix="settle-demo-") as folder:
        file = Path(folder) / "aurora.csv"
        file.write_text(act.csv, encoding="utf-8")
        found = reconciling.reconcile(
            store, story.CONTRACT, Period.parse(act.period), figures_of(file), "aurora", clock,
            tolerance=_TOLERANCE, reason="own figures", time=act.time,
        )  # fmt: skip
    opened_ = [{"line": each.line, "ours": each.ours, "theirs": each.theirs} for each in found.opened]
    text = "; ".join(f"{each.line} ours {each.ours}, theirs {each.theirs}" for each in found.opened)
    return CameOfIt(text, {"opened": opened_})


def _statement(store: Store, period: str, version: int) -> dict[str, Any]:
    chosen = Period.parse(period)
    with store.reading() as cursor:
        said = view(cursor, story.CONTRACT, chosen, version).statement
        note = standing_of(cursor, story.CONTRACT, chosen)
        (score,) = scoring.of_partner(cursor, story.PARTNER, chosen)
    return {
        "period": period,
        "version": version,
        "grade": score.grade,
        "lines": {line["name"]: line["amount"] for line in said["lines"]},
        "payable": said["payable"],
        "adjustments": [row["amount"] for made in said["adjustments"] for row in made["payable"]],
        "unrecouped": [row["amount"] for row in said["balances"] if row["kind"] == "unrecouped"],
        "final": {line["name"]: line["amount"] for line in said["final"]["lines"]} if "final" in said else {},
        "due": [row["amount"] for row in said["due"]],
        "note": note and note["state"],
    }


def _show(told: dict[str, Any]) -> None:
    out.print(
        f"\n  service {told['service'].replace('_', ' ')}; {told['suspended']} wait in suspense, "
        f"{told['recycled']} were recycled"
    )
    for said in told["statements"]:
        table = Table(f"{said['period']}{', restated' if said['version'] > 1 else ''}", box=None)
        table.add_column(f"grade {said['grade']}", justify="right")
        for name, amount in said["lines"].items():
            if Decimal(amount) or name == "payable":
                table.add_row(name, amount)
        for amount in said["adjustments"]:
            table.add_row("adjustment", amount)
        for name, amount in said["final"].items():
            table.add_row(f"final: {name}", amount)
        for amount in said["unrecouped"]:
            table.add_row("left unrecouped", amount)
        for amount in said["due"] if said["version"] == 1 else ():
            table.add_row("due", amount, style="bold")
        out.print(Padding(table, (1, 0, 0, 1), expand=False))


def _proved(store: Store, *, as_json: bool) -> dict[str, Any]:
    """What the whole story comes to: the journal, and an audit of every month."""
    with store.reading() as cursor:
        balances = journal.balances(cursor)
    notes = {month: _statement(store, month, 1)["note"] for month in story_chapters.MONTHS}
    held = {month: audit(store, Period.parse(month)).ok for month in story_chapters.MONTHS}
    if not as_json:
        out.print("\nWhat it comes to\n", style="bold")
        table = Table("account", box=None)
        table.add_column(story.CURRENCY, justify="right")
        for each in balances:
            table.add_row(each.account, f"{each.amount:,.2f}")
        out.print(Padding(table, (0, 0, 1, 1), expand=False))
        out.print(f"  all accounts come to {plain(trial(balances).get(story.CURRENCY, Decimal(0)))}")
        wrong = [month for month, holds in held.items() if not holds]
        out.print(f"  audit of the {len(held)} months: {f'{wrong} DO NOT HOLD' if wrong else 'everything holds'}")
    return {
        "journal": {each.account: plain(each.amount) for each in balances},
        "trial": {currency: plain(amount) for currency, amount in trial(balances).items()},
        "notes": notes,
        "audit": held,
    }
