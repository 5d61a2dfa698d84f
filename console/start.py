"""Where the command `settle` begins: before anything is loaded that takes a second, in which somebody may interrupt it."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: PTH123, SIM115 - for as long as we run
    # Not as an exception: libraries that are being loaded may swallow it.
    before = signal.signal(signal.SIGINT, _leave)
    from console.main import main as settle  # noqa: PLC0415 - what takes the second

    signal.signal(signal.SIGINT, before)
    settle()


def _leave(*_: object) -> None:
    os.write(2, b"settle: interrupted before it began\n")
    os._exit(130)
