"""An exchange of the secret key in a process of its own, to be killed: a few keys a batch, and after each it waits for a line.

python -m tests.consumers.exchange_worker DATABASE
"""

from __future__ import annotations

import sys

from consumers import exchanging
from engine.store.database import Store


def main(database: str) -> None:
    exchanging.KEYS_A_BATCH = 2

    def tell(done: int, of: int) -> None:
        sys.stdout.write(f"{done} {of}\n")
        sys.stdout.flush()
        sys.stdin.readline()

    with Store(database) as store:
        exchanging.exchange(store, tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
