"""The process that takes events in beside a rebuild: `python -m bench.feed DATABASE FOLDER EVENTS_A_SECOND`.

It takes in the folder's files, a batch each, at that pace, and removes what is done: the next process goes on there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from console.session import clock
from consumers.files import ingest_file
from engine.store.database import Store


def main(conninfo: str, folder: str, pace: str) -> None:
    begun, taken = time.perf_counter(), 0
    with Store(conninfo) as store:
        for path in sorted(Path(folder).iterdir()):
            taken += ingest_file(store, str(path), clock).recorded
            path.unlink()
            time.sleep(max(0.0, begun + taken / int(pace) - time.perf_counter()))


if __name__ == "__main__":
    main(*sys.argv[1:])
