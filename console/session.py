"""What every command needs: where the store lies, what time it is, and how results are shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console

from engine.store.database import Store
from engine.store.embedded import embedded

URL_VARIABLE = "SETTLE_DATABASE_URL"
DATA_VARIABLE = "SETTLE_DATA"
DATA_DEFAULT = ".settle"

# Names come from messages: nothing in them may be taken for markup.
out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 80)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)


class Failed(Exception):
    """A command that was refused or failed: one sentence for a person."""


def clock() -> datetime:
    """The engine's only clock; it is asked at the edge and handed in."""
    return datetime.now(UTC)  # noqa: TID251 - this is it


def data_folder() -> Path:
    return Path(os.environ.get(DATA_VARIABLE) or DATA_DEFAULT)


@contextmanager
def opened() -> Iterator[Store]:
    """The store that the environment names, or the engine's own server in the data folder."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        with Store(url) as store:
            yield store
        return
    with embedded(data_folder()) as server, Store(server.conninfo) as store:
        yield store


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON
    sys.stdout.write(json.dumps(msgspec.to_builtins(value, str_keys=True), ensure_ascii=False) + "\n")


def refuse(sentence: str) -> NoReturn:
    raise Failed(sentence)


def user() -> str:
    """Who is at the keyboard, for the record of a decision."""
    import getpass  # noqa: PLC0415

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


JSON = typer.Option("--json", help="Print the result as JSON.")
