"""The command line `settle`."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from console import (
    archiving,
    assessing,
    auditing,
    authorising,
    cases,
    comparing,
    contents,
    contract_steps,
    demo,
    demo_partner,
    demo_replay,
    disputing,
    explaining,
    exporting,
    intake,
    journaling,
    leads,
    noting,
    outgoing,
    partner_steps,
    qualifying,
    rebuilding,
    replaying,
    restating,
    rulebooks,
    running,
    secret_keys,
    serving,
    settling,
    standing,
    status,
    suspense,
    training,
)
from console.session import DATA_DEFAULT, DATA_VARIABLE, Failed, err, out
from consumers.figures import UnreadableFigures
from consumers.files import UnreadableFile
from engine.aggregates.refusal import Refused
from engine.store.database import OtherSchemaVersion, StoreUnavailable
from engine.store.embedded import ServerDidNotStart
from engine.store.locks import FolderRefused
from engine.store.programs import NoPostgres
from replay.archive.manifest import BrokenManifest

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Tantieme: settle what partners earn, from events, by rulebooks, with reasons.",
)
demos = typer.Typer(invoke_without_command=True)
demos.callback()(demo.demo)
demos.command("replay")(demo_replay.replay)
demos.command("partner")(demo_partner.partner)
app.add_typer(demos, name="demo")
app.command("ingest")(intake.ingest)
app.command("produce")(intake.produce)
app.command("consume")(intake.consume)
app.add_typer(partner_steps.app, name="partner")
app.add_typer(contract_steps.app, name="contract")
app.add_typer(qualifying.app, name="qualification")
app.add_typer(qualifying.model, name="model")
app.add_typer(serving.app, name="service")
app.add_typer(serving.deposit, name="deposit")
app.add_typer(contents.content, name="content")
app.add_typer(contents.provisioning, name="provisioning")
app.add_typer(cases.app, name="case")
app.add_typer(assessing.app, name="assessment")
app.add_typer(authorising.app, name="authorisation")
app.add_typer(training.app, name="course")
app.add_typer(leads.app, name="lead")
app.add_typer(rulebooks.app, name="rulebook")
app.command("close")(settling.close)
app.add_typer(noting.app, name="statement")
app.add_typer(disputing.app, name="discrepancy")
app.command("run-day")(running.run_day)
app.command("explain")(explaining.explain)
app.add_typer(standing.points, name="points")
app.command("score")(standing.score)
app.command("scoreboard")(standing.scoreboard)
app.command("archive")(archiving.archive)
app.command("replay")(replaying.replay)
app.command("compare")(comparing.compare)
app.command("restate")(restating.restate)
app.command("rebuild")(rebuilding.rebuild)
app.add_typer(auditing.app, name="audit")
app.add_typer(journaling.app, name="journal")
app.add_typer(outgoing.app, name="outbox")
app.add_typer(exporting.app, name="export")
app.add_typer(secret_keys.app, name="secret-key")
app.add_typer(suspense.app, name="suspense")
app.command("status")(status.status)
app.add_typer(status.verify, name="verify")

# What a person can do something about: one sentence, exit status 1. Anything else is a defect of the engine.
EXPECTED = (
    Failed,
    Refused,
    BrokenManifest,
    UnreadableFile,
    UnreadableFigures,
    StoreUnavailable,
    OtherSchemaVersion,
    FolderRefused,
    NoPostgres,
    ServerDidNotStart,
)


def _show_version(asked: bool) -> None:
    if asked:
        out.print(f"settle (tantieme) {version('tantieme')}")
        raise typer.Exit


@app.callback()
def options(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help=f"Folder of the engine's own PostgreSQL (default {DATA_DEFAULT}, or {DATA_VARIABLE}). "
            "SETTLE_DATABASE_URL names a server instead.",
            file_okay=False,
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if data is not None:
        os.environ[DATA_VARIABLE] = str(data)


def main() -> None:
    """Exit status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    # Outages are told in the engine's own words; the libraries' logs would repeat them by the hundred.
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL + 1)
    try:
        status_ = app(standalone_mode=False)
        sys.stdout.flush()
    except TyperException as wrong:
        wrong.show()  # type: ignore[attr-defined] # every kind that a parser raises has it
        status_ = 2
    except (Abort, KeyboardInterrupt):
        err.print("settle: interrupted; what was committed stays, and the same command goes on from there")
        status_ = 130
    except EXPECTED as expected:
        err.print(f"settle: {expected}", soft_wrap=True)
        status_ = 1
    except BrokenPipeError:
        # The reader of a pipe left, as `head` does. Nothing more can be said to it.
        _leave_output()
        status_ = 1
    except OSError as trouble:
        what = "what it prints" if trouble.filename is None else trouble.filename
        err.print(
            f"settle: {what} cannot be read or written: {trouble.strerror or trouble}; mend that and run it again",
            soft_wrap=True,
        )
        if trouble.filename is None:
            _leave_output()
        status_ = 1
    except Exception as defect:  # noqa: BLE001 - the last door: a person gets a sentence, never a traceback
        if os.environ.get("SETTLE_TRACE"):
            traceback.print_exc()
        err.print(
            f"settle: stopped by a defect of the engine: {type(defect).__name__}: {defect}. Nothing uncommitted is "
            "kept. Run it again with SETTLE_TRACE=1 and report what it prints",
            soft_wrap=True,
        )
        status_ = 1
    sys.exit(status_ if isinstance(status_, int) else 0)


def _leave_output() -> None:
    """Nothing more is written to it, not even what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
