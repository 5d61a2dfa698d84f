"""Locks on files in the data folder: the kernel releases them when their holder is gone, however it died."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from engine.store.supervisor import take


class FolderRefused(Exception):
    """The data folder is not one we can use; the text says why and what to do."""


# Between fork and the end of the child our lock would otherwise live on in it, and the server with it.
_held: set[IO[bytes]] = set()
os.register_at_fork(after_in_child=lambda: [file.close() for file in list(_held)])


@contextmanager
def locked(path: Path, how: int) -> Iterator[None]:
    try:
        file = take(path, how)
    except OSError as refusal:
        raise FolderRefused(
            f"{path} cannot be locked ({refusal.strerror});"
            " run as the user who made the folder, or name a data folder of your own on a local disk"
        ) from refusal
    _held.add(file)
    try:
        yield
    finally:
        _held.discard(file)
        file.close()
