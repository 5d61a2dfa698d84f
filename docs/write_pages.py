"""Runs the commands that pages show, every line in order, on one new store a page, and writes what they print into the page.

python docs/write_pages.py
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from console import main
from engine.store.embedded import embedded

FOLDER = Path(__file__).parent
PAGES = ("prm.md", "statements.md")
# By which the pages' commands seal what is personal. It opens nothing else.
SECRET_KEY = "c2V0dGxlIGRvY3VtZW50cyBzZXR0bGUgZG9jdW1lbnQ="  # noqa: S105 - of these pages alone
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A digest or a root: it depends on when events were recorded.
_HEX = re.compile(r"\b[0-9a-f]{64}\b")


def shown(text: str) -> Iterator[tuple[str, str]]:
    """(command, what it prints) of every `$ ` line in the page's console blocks."""
    for block in _BLOCK.findall(text):
        parts = re.split(r"^\$ (.+)$", block, flags=re.MULTILINE)
        assert not parts[0].strip(), f"a block begins with a command: {block}"
        yield from zip(parts[1::2], (plain(part) for part in parts[2::2]), strict=True)


def printed(command: str) -> str:
    """What the command prints, in this process, on the store that the environment names."""
    program, *arguments = shlex.split(command)
    assert program == "settle", command
    before, sys.argv = sys.argv, ["settle", *arguments]
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
            main.main()
    finally:
        sys.argv = before
    return plain(text.getvalue())


def plain(text: str) -> str:
    """Without spaces at the ends of lines, and with digests told as such."""
    return _HEX.sub("(64 hexadecimal digits)", "\n".join(line.rstrip() for line in text.strip("\n").splitlines()))


def written(text: str, run: Callable[[str], str] = printed) -> str:
    """The page with what its commands print now."""

    def block(found: re.Match[str]) -> str:
        commands = re.findall(r"^\$ (.+)$", found[1], re.MULTILINE)
        told = [f"$ {command}\n{said}\n" if (said := run(command)) else f"$ {command}\n" for command in commands]
        return f"```console\n{''.join(told)}```"

    return _BLOCK.sub(block, text)


def write() -> None:
    os.chdir(FOLDER.parent)
    os.environ["SETTLE_SECRET_KEY"] = SECRET_KEY
    for name in PAGES:
        page = FOLDER / name
        data = Path(tempfile.mkdtemp(prefix="settle-pages-"))
        data.chmod(0o711)
        with embedded(data) as server:
            os.environ["SETTLE_DATABASE_URL"] = server.conninfo
            page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    write()
