"""What names a Kafka cluster and its topics at the command line: what cannot be one is refused before anybody waits for it."""

from __future__ import annotations

import re

import typer

_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\],]+)(:[0-9]{1,5})?")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def servers(text: str) -> str:
    """Of one server or several, with commas between. Raises typer.BadParameter."""
    if not all(_SERVER.fullmatch(each.strip()) for each in text.split(",")):
        raise typer.BadParameter(f"{text[:60]!r} is not HOST:PORT, nor several such with commas between")
    return text


def topic_of(text: str) -> str:
    """Raises typer.BadParameter."""
    if not _TOPIC.fullmatch(text) or text in {".", ".."}:
        raise typer.BadParameter(f"{text[:60]!r} is no name of a topic: letters, digits, '.', '_' and '-'")
    return text


def topics_of(text: str) -> str:
    """Of one topic or several, with commas between. Raises typer.BadParameter."""
    return ",".join(topic_of(each.strip()) for each in text.split(","))


BOOTSTRAP = typer.Option("--bootstrap", metavar="SERVERS", parser=servers, help="HOST:PORT of the Kafka cluster.")
