"""The same statements, digest for digest, for any number of buckets and workers, also when one of them is killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from engine.projections.facts import KEY
from engine.rules.check import check
from engine.rules.model import Rulebook
from engine.store import facts as fact_store
from engine.store import recorder
from engine.store.database import Rows, Store
from replay import again, arrow, history, known
from replay.apart import here
from replay.archive.reading import Archive
from replay.archive.writing import seal
from replay.audit import outcomes
from replay.audit.auditing import audit
from replay.cluster import Dask, NoCluster
from replay.compare import compare
from replay.spread import Job, Part
from tests.histories import message, registered, signed
from tests.replay.test_restate import SIMPLE, close, simple
from tests.settlement import test_chains as chains
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, book, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

USES = ", uses: {event: usage.recorded, sum: quantity}"


def filled(store: Store, folder: Path, buckets: int) -> Archive:
    """Contracts that stand alone and carry balances, and others that share a pool; two months sealed, one in the tail."""
    take(store, registered(), book(chains.GUARANTEE))
    pool = book(chains.POOL, measures=USES).replace(b"simple", b"pool").replace(b'"r1"', b'"p1"')
    take(store, pool, *(signed(f"C-{n}", valid_from="2026-10-01") for n in range(12)))
    take(store, *(signed(f"P-{n}", rulebook="pool", valid_from="2026-10-01") for n in range(6)))
    for month in (10, 11):
        take(store, *(charge(f"{month}-{n}", f"{n * 70}", month, f"C-{n}") for n in range(12)))
        take(store, *(charge(f"p{month}-{n}", f"{n * 10}", month, f"P-{n}") for n in range(6)))
        usage = [{"contract": f"P-{n}", "meter": "streams", "quantity": n + 1} for n in range(6)]
        times = f"2026-{month}-11T00:00:00Z"
        take(store, *(message("usage.recorded", f"u{month}-{n}", said, times) for n, said in enumerate(usage)))
    close(store, OCTOBER, NOVEMBER)
    seal(store, folder, buckets)
    take(store, charge("t1", "500", 12, "C-3"), charge("t2", "50", 12, "P-2"), charge("late", "9", 10, "P-1"))
    return Archive(str(folder))


@pytest.mark.parametrize("buckets", [1, 3, 16])
def test_the_digest_is_the_same_for_every_number_of_buckets(store: Store, tmp_path: Path, buckets: int) -> None:
    archive = filled(store, tmp_path / "a", buckets)
    with store.reading() as cursor:
        from_log = again.replay(cursor, last=DECEMBER)
        assert again.replay(cursor, last=DECEMBER, archive=archive) == from_log
        some = again.replay(cursor, last=DECEMBER, archive=archive, names=["P-1", "C-3"])
        assert [period.statements for period in some.periods] == [2, 2, 2]
    assert [len(period.differences) for period in from_log.periods] == [6, 0, 0]


def test_two_workers_of_which_one_is_killed_give_the_same_digest(store: Store, tmp_path: Path) -> None:
    archive = filled(store, tmp_path / "a", 16)
    with Dask(workers=2) as cluster:
        pids = list(cluster.client.run(os.getpid).values())
        assert len(set(pids)) == 2
        killed: list[int] = []

        def killing(archive: Archive, job: Job, tail: pl.DataFrame) -> Iterator[Part]:
            for number, part in enumerate(cluster(archive, job, tail)):
                if number == 2:
                    os.kill(pids[0], signal.SIGKILL)
                    killed.append(pids[0])
                yield part

        with store.reading() as cursor:
            expected = again.replay(cursor, last=DECEMBER)
            assert again.replay(cursor, last=DECEMBER, archive=archive, engine=killing) == expected
            assert killed
            assert again.replay(cursor, last=DECEMBER, archive=archive, engine=cluster) == expected


FINER = ", GD: {event: billing.charged, sum: amount, where: {province: GD}}"
CANDIDATES = {
    "alone, from facts": book(chains.GUARANTEE.replace("75", "80"), version=2),
    "alone, from events": book(
        "  - {name: due, amount: 10% * sales + GD, round: half_up}\n", measures=FINER, version=2
    ),
    "together, from facts": book(chains.POOL.replace("70%", "60%"), measures=USES, version=2),
    "together, from events": book(chains.POOL.replace("of: sales", "of: GD"), measures=USES + FINER, version=2),
}


def candidate(name: str) -> tuple[Rulebook, str]:
    text = json.loads(CANDIDATES[name])["data"]["text"]
    text = text.replace("rulebook: simple", "rulebook: pool") if name.startswith("together") else text
    found = check(text, "candidate").rulebook
    assert found is not None
    return found, text


def test_a_comparison_is_the_same_for_every_number_of_buckets_and_workers(store: Store, tmp_path: Path) -> None:
    archive = filled(store, tmp_path / "a", 3)
    gd = {"attributes": {"province": "GD"}}
    take(store, charge("g1", "400", 11, "C-4", **gd), charge("g2", "40", 10, "P-4", **gd))
    close(store, DECEMBER)
    with Dask(workers=2) as cluster, store.reading() as cursor:
        for name in CANDIDATES:
            expected = compare(cursor, *candidate(name))
            assert expected.source.events == name.endswith("events")
            assert expected.changed.height
            for spread in (here, cluster.spread):
                found = compare(cursor, *candidate(name), archive=archive, spread=spread)
                assert found.changed.equals(expected.changed), name
                assert found._replace(changed=expected.changed) == expected


def test_an_audit_finds_the_same_for_every_number_of_workers(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store, tmp_path / "a", 3)
    expected = audit(store, OCTOBER)
    monkeypatch.setattr(outcomes, "CONTRACTS_AT_ONCE", 5)
    assert sorted(audit(store, OCTOBER).findings) == sorted(expected.findings)
    with store.writing() as cursor:  # one statement that the evaluators do not conclude
        cursor.execute("UPDATE settle.facts SET value_micros = value_micros + 1")
    take(store, charge("t3", "5", 11, "C-3"))
    close(store, DECEMBER)
    with Dask(workers=2) as cluster:
        assert audit(store, OCTOBER, spread=cluster.spread) == audit(store, OCTOBER)
        assert expected.ok
        forged = audit(store, DECEMBER)
        assert forged.failed
        assert audit(store, DECEMBER, spread=cluster.spread) == forged


def test_what_is_sealed_while_a_cluster_works_is_not_counted_twice(store: Store, tmp_path: Path) -> None:
    archive = filled(store, tmp_path / "a", 2)
    assert seal(store, tmp_path / "a").new is not None
    assert Archive(archive.location).last > archive.last
    with Dask(workers=1) as cluster, store.reading() as cursor:
        assert again.replay(cursor, last=DECEMBER, archive=archive, engine=cluster) == again.replay(
            cursor, last=DECEMBER
        )


def test_a_scheduler_that_does_not_answer_is_refused() -> None:
    with pytest.raises(NoCluster, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
        Dask("tcp://127.0.0.1:9", seconds_max=0.5)


def test_the_steps_are_functions_from_arrow_to_arrow(store: Store, tmp_path: Path) -> None:
    archive = filled(store, tmp_path / "a", 1)
    with store.reading() as cursor:
        everything, live = known.live(cursor), fact_store.all_live(cursor)
        job = Job(everything, recorder.last_position(cursor), None, DECEMBER.end, None)
        tail = history.tail(cursor, everything, job.position, archive)
        expected = _digests(cursor)
    segments = [pl.read_parquet(archive.address(segment)) for segment in archive.segments("events")]
    halves = [part.to_arrow() for frame in segments for part in frame.iter_slices(20)]
    parts = [arrow.from_arrow(arrow.facts_of(half, everything)) for half in halves]
    facts = arrow.merged(arrow.to_arrow(pl.concat([*parts, tail])))
    assert arrow.from_arrow(facts).sort(KEY).equals(live.sort(KEY))
    again_ = pl.DataFrame(pl.from_arrow(arrow.statements_of(facts, pickle.loads(pickle.dumps(job)))))  # noqa: S301
    assert set(again_["digest"]) <= expected
    assert again_.height == len(expected)


def test_the_arrow_fold_knows_a_dimension_that_was_published_after_the_sealing(store: Store, tmp_path: Path) -> None:
    said = {"contract": "C-1", "amount": "5", "currency": "CNY", "attributes": {"province": "GD"}}
    simple(store, charge("1", "100", 10), message("billing.charged", "2", said, "2026-10-11T00:00:00Z"))
    close(store, OCTOBER)
    seal(store, tmp_path / "a", 1)
    finer = book(SIMPLE % "50%", version=2, valid_from="2026-12-01")
    take(store, finer.replace(b"\\nwaterfall", b"\\ndimensions: [province]\\nwaterfall"))
    archive = Archive(str(tmp_path / "a"))
    with store.reading() as cursor:
        everything, live = known.live(cursor), fact_store.all_live(cursor)
    assert live["dimensions"].n_unique() == 2
    (segment,) = archive.segments("events")
    assert segment.attributes == ()
    facts = arrow.facts_of(pl.read_parquet(archive.address(segment)).to_arrow(), everything)
    assert arrow.from_arrow(facts).sort(KEY).equals(live.sort(KEY))


def _digests(cursor: Rows) -> set[str]:
    from engine.settlement.statements import statement_of
    from replay.recompute import recomputed
    from tests.replay.test_recompute import END

    found = set()
    for each in recomputed(known.live(cursor), fact_store.all_live(cursor), END):
        events = each.events()
        found |= {
            statement_of(each.contracts[name], each.rulebook, each.period, said, events[name])["digest"]
            for name, said in each.lines().items()
        }
    return found
