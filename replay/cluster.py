"""Parts of a replay, a comparison or an audit on a Dask cluster: the same functions as on this machine. Its workers read the
segments themselves.

Needs the extra `cluster` (distributed, pyarrow). A worker that dies has its buckets done again by another.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Self

import polars as pl

from engine.aggregates.refusal import Refused
from replay.archive.reading import Archive
from replay.arrow import from_arrow, to_arrow
from replay.spread import Job, Part, bucket, tails

RETRIES = 5
ANSWER_SECONDS_MAX = 10.0


class NoCluster(Refused):
    code = "no-cluster"


class Dask:
    """A cluster: the one at the scheduler's address, or one of this machine's own processes."""

    def __init__(self, scheduler: str | None = None, workers: int = 2, seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        try:
            from distributed import Client, LocalCluster  # noqa: PLC0415 - only who asks for a cluster needs it
        except ImportError:
            raise NoCluster("the cluster engine is not installed; pip install 'tantieme[cluster]'") from None
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
                host="127.0.0.1",
            )
        try:
            self.client = Client(scheduler or self._cluster, timeout=seconds_max)
        except (OSError, TimeoutError) as error:
            raise NoCluster(
                f"no scheduler answers at {scheduler}: {error}; name one with --scheduler ADDRESS"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()

    def __call__(self, archive: Archive, job: Job, tail: pl.DataFrame) -> Iterator[Part]:
        """The parts of all buckets, as they come."""
        # The archive with its seals as we read them: what is sealed meanwhile is in the tail already.
        parts = ((number, to_arrow(own)) for number, own in tails(archive, tail).items())
        for statements, facts, events in self.spread(_bucket, (archive.anywhere(), job), parts):
            yield Part(pl.DataFrame(pl.from_arrow(statements)), from_arrow(facts), events)

    def spread(self, function: Callable[..., Any], shared: Any, parts: Iterable[tuple[Any, ...]]) -> Iterator[Any]:  # noqa: ANN401
        """What the function gives of every part, as they come (replay.apart.Spread)."""
        from distributed import as_completed  # noqa: PLC0415

        # A task, because what is scattered is lost for ever with the worker that holds it, and a task is done again.
        packed = self.client.submit(bytes, pickle.dumps(shared), pure=False, retries=RETRIES)
        futures = [self.client.submit(_done, function, packed, *part, pure=False, retries=RETRIES) for part in parts]
        for future in as_completed(futures):
            yield future.result()


def _done(function: Callable[..., Any], packed: bytes, *part: Any) -> Any:  # noqa: ANN401
    return function(_unpacked(packed), *part)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Any:  # noqa: ANN401
    return pickle.loads(packed)  # noqa: S301 - sent by our own client, over the cluster's own connection


def _bucket(shared: tuple[Archive, Job], number: int, tail: Any) -> tuple[Any, Any, int]:  # noqa: ANN401 - Arrow tables
    archive, job = shared
    part = bucket(archive, job, number, from_arrow(tail))
    return part.statements.to_arrow(), to_arrow(part.facts), part.events
