"""A consumer in a process of its own, to be killed: its batches are small, so that a kill finds it at many places.

python -m tests.crash_worker DATABASE BOOTSTRAP GROUP TOPIC; ends in order on SIGTERM, and at once with who started it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import UTC, datetime

from consumers import kafka, kafka_client
from engine.store.database import Store


def main(database: str, bootstrap: str, group: str, topic: str) -> None:
    threading.Thread(target=lambda: os._exit(sys.stdin.read() == ""), daemon=True).start()
    kafka_client.MESSAGES_A_POLL = 300
    with Store(database) as store:
        consumer = kafka.Consumer(store, bootstrap, group, [topic], lambda: datetime(2026, 11, 1, tzinfo=UTC), print)
        signal.signal(signal.SIGTERM, lambda *_: consumer.stop.set())
        consumer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
