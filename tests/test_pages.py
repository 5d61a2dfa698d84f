"""The pages that show commands are run: every line, in order, on one store, and what it prints is what stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import main

ROOT = Path(__file__).parents[1]
PAGES = [page for page in ("prm.md", "statements.md") if (ROOT / "docs" / page).is_file()]


def shown(page: str) -> Iterator[tuple[str, str]]:
    """(command, what it prints) of every `$ ` line in the page's console blocks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        parts = re.split(r"^\$ (.+)$", block, flags=re.MULTILINE)
        assert not parts[0].strip(), f"{page}: a block begins with a command: {block}"
        yield from zip(parts[1::2], (part.strip("\n") for part in parts[2::2]), strict=True)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_the_commands_print(
    page: str, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SETTLE_DATABASE_URL", database)
    monkeypatch.setenv("SETTLE_SECRET_KEY", "c2V0dGxlIGRvY3VtZW50cyBzZXR0bGUgZG9jdW1lbnQ=")
    monkeypatch.chdir(ROOT)
    number = 0
    for number, (command, expected) in enumerate(shown(page), 1):  # noqa: B007 - counted
        program, *arguments = shlex.split(command)
        assert program == "settle", command
        monkeypatch.setattr("sys.argv", ["settle", *arguments])
        with pytest.raises(SystemExit):
            main.main()
        said = capsys.readouterr()
        printed = "\n".join(line.rstrip() for line in (said.out + said.err).strip("\n").splitlines())
        assert printed == expected, f"{page}: $ {command}\n{printed}"
    assert number


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    missing = [
        f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert not missing
