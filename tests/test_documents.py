"""What the documents promise is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from console.main import app
from engine.aggregates.refusal import Refused
from engine.aggregates.screening import SENTENCES
from engine.aggregates.standing import CLOSED

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands() -> set[str]:
    named = {f"settle {command.name or command.callback.__name__}" for command in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert command.callback is not None
            if "may be left out" in (
                command.callback.__doc__ or ""
            ):  # `settle audit PERIOD` needs no word before the period
                continue
            named.add(f"settle {group.name} {command.name or command.callback.__name__.strip('_')}")
    return named


def test_the_readme_shows_every_command() -> None:
    shown = " ".join(text("README.md").split())
    groups = {
        f"settle {group} {word}"
        for group, words in re.findall(r"settle (\w+) ([\w-]+(?:\|[\w-]+)+)", shown)
        for word in words.split("|")
    }
    missing = {command for command in commands() if command not in shown} - groups
    assert not missing


def test_every_code_with_which_a_message_is_suspended_is_explained() -> None:
    # A command that is refused says so to the person who gave it.
    of_commands = {
        refusal.code
        for refusal in Refused.__subclasses__()
        if refusal.__module__.startswith(("engine.settlement.", "replay.", "consumers.")) and hasattr(refusal, "code")
    }
    codes = (
        {refusal.code for refusal in Refused.__subclasses__() if hasattr(refusal, "code")}
        | set(SENTENCES)
        | {gate.code for gate in CLOSED.values()}
        | {"identity-conflict", "unreadable"}
    )
    explained = set(re.findall(r"^\| `([\w-]+)` \|", text("docs/operations.md"), re.MULTILINE))
    assert codes - explained <= of_commands
    assert explained <= codes


OPTIONAL = PROJECT["project"]["optional-dependencies"]


@pytest.mark.parametrize(
    "dependency", PROJECT["project"]["dependencies"] + OPTIONAL["demo"] + OPTIONAL["cluster"] + OPTIONAL["documents"]
)
def test_every_dependency_has_its_reason(dependency: str) -> None:
    name = re.split(r"[\[<>=;]", dependency)[0]
    assert re.search(rf"^\|.*\b{re.escape(name)}\b", text("docs/decisions/0002-dependencies.md"), re.MULTILINE)


@pytest.mark.parametrize(("file", "least"), [("requirements.lock", 30), ("bench/requirements.lock", 5)])
def test_every_pin_has_its_hash_and_names_no_registry(file: str, least: int) -> None:
    lock = text(file)
    pins = re.findall(r"^[\w.-]+==", lock, re.MULTILINE)
    blocks = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(pins) == len(blocks) > least
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in lock


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/*.md")), ids=lambda path: path.name)
def test_links_and_named_files_of_a_document_are_there(path: Path) -> None:
    if any(part.startswith(".") for part in path.relative_to(ROOT).parts):
        return
    said = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", said):
        assert (path.parent / target).exists(), target
    for named in re.findall(r"`((?:engine|consumers|replay|console|tests|bench|docs)/[\w./-]+)`", said):
        assert (ROOT / named).exists(), named


def test_no_module_must_be_scrolled_for_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("engine", "consumers", "replay", "console")
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines()))
        > 340  # "around 300"; the supervisor stands alone, since it is started without the package
    }
    assert not long
