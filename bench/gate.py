"""How a worker process and the benchmark talk: the worker says `ready`, waits for the word, and says how far it is.

Whatever a worker does before the word, such as importing, connecting or joining a group, is not measured.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import orjson


class Gate:
    """The worker's end. If the benchmark dies, standard input ends and the worker with it."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._said_ready = False
        threading.Thread(target=self._listen, daemon=True).start()

    def ready(self) -> None:
        if not self._said_ready:
            self._said_ready = True
            tell(ready=True)

    def opened(self) -> bool:
        return self._go.is_set()

    def pass_(self) -> float:
        """Says ready, waits for the word, and returns the time at which it came."""
        self.ready()
        self._go.wait()
        return time.monotonic()

    def _listen(self) -> None:
        if sys.stdin.readline():
            self._go.set()
            sys.stdin.read()
        os._exit(1)


def tell(**said: Any) -> None:
    """One line to the benchmark."""
    sys.stdout.write(orjson.dumps(said).decode() + "\n")
    sys.stdout.flush()
