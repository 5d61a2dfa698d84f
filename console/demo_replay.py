"""settle demo replay: the past changed, seen in money before, adjusted, and proved, on the demo's real data."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from console import auditing, comparing, grocery, restating
from console.demo import filled, months_option
from console.intake import bar
from console.session import JSON, clock, opened, out, print_json, refuse
from console.settling import print_statement
from consumers.decode import decode
from consumers.ingest import ingest
from engine.period import Period
from engine.rules.check import check
from engine.settlement import closing
from engine.settlement.recording import Message, Slice
from engine.settlement.statements import view
from engine.store import intake, registry
from engine.store.database import Store
from replay import compare as replay_compare
from replay import restate as replay_restate
from replay.audit import packing, verifying
from replay.audit.auditing import audit

_CHANNEL = "file:settle demo replay"
_SHOWN = "C-69"
FEBRUARY = Period.parse(f"{grocery.YEAR}-02")


def replay(
    months: Annotated[int, months_option(2)] = 12,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Close the year, correct February's rule backwards, and see what it moves: compare, restate, audit, verify."""
    with opened() as store:
        filled(store, months)
        for month in range(1, months + 1):
            _closed(store, Period.parse(f"{grocery.YEAR}-{month:02}"))
        told = _told(store, Period.parse(f"{grocery.YEAR}-{months:02}").next(), as_json=as_json)
    if as_json:
        print_json(told)


def _told(store: Store, following: Period, *, as_json: bool) -> dict[str, Any]:
    lasting, corrected = rulebooks()
    with store.reading() as cursor:
        versions = registry.rulebooks(cursor, [grocery.RULEBOOK])[grocery.RULEBOOK].versions
    if len(versions) > 1:
        refuse("this store has been through the demo; name another folder with settle --data DIR demo replay")
    # From March on the rules stay as they are: then only February is corrected.
    _publish(store, 2, lasting)
    sound = check(corrected, "the corrected rulebook").rulebook
    assert sound is not None
    with store.reading() as cursor:
        compared = replay_compare.compare(cursor, sound, corrected)
    _heading(f"1  What would 66% instead of 65% in {FEBRUARY} change?  (settle compare FILE)", as_json=as_json)
    if not as_json:
        comparing.show(compared)
    _publish(store, 3, corrected)
    done = replay_restate.restate(store, clock())
    _heading("2  It is published by ann, and approved by bob.  (settle restate)", as_json=as_json)
    if not as_json:
        restating.show(done, dry_run=False)
    _closed(store, following)
    with store.reading() as cursor:
        statement = view(cursor, _SHOWN, following).statement
    _heading(f"3  The next statement takes it up.  (settle statement {_SHOWN} {following})", as_json=as_json)
    if not as_json:
        print_statement(statement, following)
    with bar(f"audit {following}", None) as (progress, task):
        proof = audit(store, following, progress=lambda n, of: progress.update(task, completed=n, total=of, messages=n))
    _heading(f"4  Does that hold?  (settle audit {following})", as_json=as_json)
    if not as_json:
        auditing.show(proof)
    with tempfile.TemporaryDirectory(prefix="settle-demo-") as folder:
        file = Path(folder) / f"{following}.zip"
        packed = packing.pack(store, following, file, None, lambda *_: None)
        verified = verifying.verify(file, statement["root"], None, lambda *_: None)
        _heading("5  And elsewhere, from one file?  (settle audit pack, settle audit verify)", as_json=as_json)
        if not as_json:
            out.print(f"a pack of {packed.size:,} bytes, verified against the root on the statement:")
            auditing.show(verified.proof)
    return {
        "compared": comparing.told(compared),
        "restated": restating.told(done, dry_run=False),
        "statement": statement,
        "audit": auditing.told(proof),
        "pack": packed._asdict() | {"path": file.name},
        "verified": verified.proof.ok,
    }


def rulebooks() -> tuple[str, str]:
    """The rulebook as it is, from March on; and the one that corrects February."""
    text = (files("engine.rules") / "library" / "grocery-supplier.yaml").read_text(encoding="utf-8")
    assert text.count("version: 1\n") == text.count("valid_from: 2017-01-01\n") == text.count("rate: 65%") == 1
    lasting = text.replace("version: 1\n", "version: 2\n").replace("2017-01-01", f"{grocery.YEAR}-03-01")
    corrected = text.replace("version: 1\n", "version: 3\n").replace("2017-01-01", str(FEBRUARY.first))
    return lasting, corrected.replace("rate: 65%", "rate: 66%")


def _publish(store: Store, version: int, text: str) -> None:
    raw = grocery.publication(text, version, author="ann", approver="bob")
    with store.writing() as cursor:
        intake.ensure(cursor, _CHANNEL, [(0, 0)])
    result = ingest(store, [Slice(_CHANNEL, 0, None, 1)], [Message(_CHANNEL, 0, 0, None, decode(raw))], clock)
    assert result.counts.recorded == 1, result


def _closed(store: Store, period: Period) -> None:
    with bar(f"close {period}", None) as (progress, task):
        closing.close(
            store, period, clock(), progress=lambda n, of: progress.update(task, completed=n, total=of, messages=n)
        )


def _heading(text: str, *, as_json: bool) -> None:
    if not as_json:
        out.print(f"\n{text}\n", style="bold")
