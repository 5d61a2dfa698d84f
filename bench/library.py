"""The eventsourcing library as its documentation shows it: one aggregate an event, saved by its Application.

Its own mapper, transcoder and PostgreSQL recorder, nothing of ours. Its insert_events runs in psycopg's pipeline mode
and can hang for ever where one call sends more than some 512 KiB over a Unix socket; AGGREGATES_A_SAVE keeps below 256
KiB, which never did.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from bench.gate import Gate
from bench.span import Span

AGGREGATES_A_SAVE = 400


class Charge(Aggregate):
    """A charge as an aggregate, under an id made from what it names."""

    @event("Charged")
    def __init__(
        self,
        source: str,
        charge: str,
        time: str,
        contract: str,
        product: str,
        amount: str,
        currency: str,
        attributes: dict[str, str],
    ) -> None:
        self.source = source
        self.charge = charge
        self.time = time
        self.contract = contract
        self.product = product
        self.amount = amount
        self.currency = currency
        self.attributes = attributes

    @staticmethod
    def create_id(source: str, charge: str) -> UUID:
        return uuid5(NAMESPACE_URL, f"{source}/{charge}")


def ingest(gate: Gate, conninfo: str, path: str, events: int, a_save: int) -> Span:
    """The file's first `events` lines, parsed with orjson, `a_save` aggregates a call of `save`, a transaction each.

    Measured: from opening the file to the return of the last save. Not measured: start, connecting, making the table.
    """
    named = conninfo_to_dict(conninfo)
    application: Application[UUID] = Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(named["dbname"]),
            "POSTGRES_HOST": str(named["host"]),
            "POSTGRES_PORT": str(named["port"]),
            "POSTGRES_USER": str(named["user"]),
            "POSTGRES_PASSWORD": "",
        }
    )
    try:
        first, cpu = gate.pass_(), time.process_time()
        saved = 0
        with Path(path).open("rb") as file:
            lines = itertools.islice(file, events)
            while charges := [_charge(line) for line in itertools.islice(lines, a_save)]:
                application.save(*charges)
                saved += len(charges)
        return Span(saved, first, time.monotonic(), time.process_time() - cpu)
    finally:
        application.close()


def _charge(raw: bytes) -> Charge:
    told = orjson.loads(raw)
    return Charge(source=told["source"], charge=told["id"], time=told["time"], **told["data"])
