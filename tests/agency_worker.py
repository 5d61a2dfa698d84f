"""An agent's sales taken in by a process of its own, to be killed: python -m tests.agency_worker DATABASE SALES [BACK].

With BACK, so much is sold, or given back, with every batch of sales too.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from consumers.ingest import ingest
from consumers.suspense import recycle_ripe
from engine.settlement.recording import Slice
from engine.store.database import Store
from tests.histories import messages
from tests.settlement.test_authorisations import sold

SALES_A_BATCH = 10
CHANNEL = "file:test"


def clock() -> datetime:
    return datetime(2026, 11, 1, tzinfo=UTC)


def main(database: str, sales: str, back: str = "0") -> None:
    with Store(database) as store:
        recycle_ripe(store, clock)
        for first in range(0, int(sales), SALES_A_BATCH):
            raws = [sold(f"sale-{number}", 3) for number in range(first, first + SALES_A_BATCH)]
            batch = messages([*raws, sold(f"back-{first}", int(back))] if int(back) else raws)
            ingest(store, [Slice(CHANNEL, 0, None, len(batch))], batch, clock)
            sys.stdout.write(f"{first}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
