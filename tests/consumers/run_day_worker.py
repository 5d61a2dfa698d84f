"""A day's run in a process of its own, to be killed: its transactions are small, so that a kill finds it at many places.

python -m tests.consumers.run_day_worker DATABASE DAY
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime

from consumers import run_day
from engine.settlement import closing
from engine.store.database import Store


def main(database: str, day: str) -> None:
    run_day.STEPS_A_TRANSACTION = 2
    closing.CONTRACTS_A_TRANSACTION = 3
    with Store(database) as store:
        run_day.run_day(store, date.fromisoformat(day), "ann", lambda: datetime(2027, 6, 1, tzinfo=UTC))


if __name__ == "__main__":
    main(*sys.argv[1:])
