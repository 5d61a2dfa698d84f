"""A rebuild in a process of its own, to be killed: its stretches are small, so that a kill finds it at many places.

python -m tests.replay.rebuild_worker DATABASE
"""

from __future__ import annotations

import sys

from engine.store.database import Store
from replay.rebuild import folding, running


def main(database: str) -> None:
    folding.EVENTS_A_STRETCH = 25
    folding.EVENTS_A_PAGE = 10
    with Store(database) as store:
        while True:
            try:
                running.rebuild(store)
            except running.RebuildRunning:
                continue  # the one that was killed before is not gone yet
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
