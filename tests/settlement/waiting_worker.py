"""A day's run in a process of its own that dies once periods are closed, before what waited for that is tried again.

python -m tests.settlement.waiting_worker DATABASE DAY
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, date, datetime

from consumers import run_day
from engine.store.database import Store


def main(database: str, day: str) -> None:
    run_day.recycle_ripe = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[attr-defined]
    with Store(database) as store:
        run_day.run_day(store, date.fromisoformat(day), "ann", lambda: datetime(2027, 6, 1, tzinfo=UTC))


if __name__ == "__main__":
    main(*sys.argv[1:])
