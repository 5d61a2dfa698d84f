"""What every command needs: where the store lies, what time it is, and how results are shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import msgspec
import psycopg
import typer
from rich.console import Console

from engine.store.database import Store, StoreUnavailable
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
        with _at(url) as store:
            yield store
        return
    with embedded(data_folder()) as server, Store(server.conninfo) as store:
        yield store


def _at(url: str) -> Store:
    try:
        return Store(url)
    except psycopg.ProgrammingError:
        # Its own sentence would show the password.
        refuse(f"{URL_VARIABLE} is no address of a server; write postgresql://user:password@host/database")
    except StoreUnavailable as error:
        refuse(
            f"the server that {URL_VARIABLE} names does not let us in: {' '.join(str(error).split())}; start it, or correct the "
            "address; unset it to use the engine's own server"
        )


@contextmanager
def written(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """The file, which is there when it is whole, and as it was before where it does not come about. What is no plain file, such
    as /dev/stdout, is written to as it is. Refuses what cannot be written; `private` files are for their owner alone.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as there:
                yield there
            return
        target = path.resolve()
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            beside.touch(mode=0o600 if private else 0o666, exist_ok=False)
            with beside.open("wb") as part:
                yield part
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        refuse(f"{path} cannot be written: {error.strerror or error}; name a file in a folder that is there, with room")


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
