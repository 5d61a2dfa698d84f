"""`make bench`, or `python -m bench [--events N] [--contracts N] [--rounds R] [--only intake|rules|explain|replay|replay-store]`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import explain, intake, replay, replay_store, rules
from bench.runs import RunFailed
from console.session import clock

RESULTS = Path(__file__).parent / "results"
_PARTS = {
    "replay-store": lambda options: replay_store.main(
        options.events, options.closed, options.rounds, options.date, options.results
    ),
}
_BENCHES = {
    "intake": lambda options: intake.main(options.events, options.rounds, options.date, options.results),
    "rules": lambda options: rules.main(options.contracts, options.rounds, options.date, options.results),
    "replay": lambda options: (
        replay.main(options.archived, options.rounds, options.date, options.results),
        replay_store.main(options.events, options.closed, options.rounds, options.date, options.results),
    ),
    "explain": lambda options: explain.main(options.stored, options.date, options.results),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures, and writes bench/results/.")
    parser.add_argument(
        "--events", type=_positive, default=200_000, help="intake, rebuild: events a run (default 200,000)"
    )
    parser.add_argument("--contracts", type=_positive, default=1_000_000, help="rules: contracts (default 1,000,000)")
    parser.add_argument(
        "--stored", type=_positive, default=1_000_000, help="explain: events stored (default 1,000,000)"
    )
    parser.add_argument(
        "--archived", type=_positive, default=50_000_000, help="replay: events archived (default 50,000,000)"
    )
    parser.add_argument(
        "--closed", type=_positive, default=100_000, help="replay: events of the audited period (default 100,000)"
    )
    parser.add_argument("--rounds", type=_positive, default=3, help="intake, rules, replay: rounds (default 3)")
    parser.add_argument("--only", choices=sorted(_BENCHES | _PARTS), help="one benchmark only, or a part of one")
    parser.add_argument("--date", default=clock().date().isoformat(), help="the date to note (default today)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write (default bench/results)")
    options = parser.parse_args()
    # As an exception it passes through every block that stops a server or removes a folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for name in [options.only] if options.only else _BENCHES:
            (_BENCHES | _PARTS)[name](options)
    except RunFailed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
