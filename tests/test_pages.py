"""The pages that show commands are run: every line, in order, on one store, and what it prints is what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.write_pages import PAGES, SECRET_KEY, printed, shown

ROOT = Path(__file__).parents[1]


def text(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_the_commands_print(
    page: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTLE_DATABASE_URL", database)
    monkeypatch.setenv("SETTLE_SECRET_KEY", SECRET_KEY)
    monkeypatch.chdir(ROOT)
    commands = list(shown(text(page)))
    assert commands
    for command, expected in commands:
        assert printed(command) == expected, f"{page}: $ {command} (make docs writes what is printed now)"


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text(page))
    missing = [
        f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert not missing
