"""The process that one variant runs in: `python -m bench.worker` with a task as JSON; its last line is its span."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson

from bench.gate import Gate, tell
from bench.span import Span


def run(task: dict[str, Any], gate: Gate) -> Span:
    """Each variant imports only what it needs, so that its memory is its own."""
    kind, arguments = task["kind"], task["arguments"]
    match kind:
        case "ours-kafka":
            from bench.ours import consume  # noqa: PLC0415

            return consume(gate, **arguments)
        case "ours-file":
            from bench.ours import ingest  # noqa: PLC0415

            return ingest(gate, **arguments)
        case "bare-kafka":
            from bench.bare import consume as bare_consume  # noqa: PLC0415

            return bare_consume(gate, **arguments)
        case "bare-file":
            from bench.bare import ingest as bare_ingest  # noqa: PLC0415

            return bare_ingest(gate, **arguments)
        case "library":
            from bench.library import ingest as library_ingest  # noqa: PLC0415

            return library_ingest(gate, **arguments)
        case _:
            raise AssertionError(kind)


if __name__ == "__main__":
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    tell(span=run(orjson.loads(sys.argv[1]), Gate())._asdict())
