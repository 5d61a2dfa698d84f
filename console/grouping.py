"""Groups of commands of which one needs no word."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


def unworded(command: str) -> type[TyperGroup]:
    """A group in which what begins with no command's name is meant for this one."""

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own
            words = [each for each in args if not each.startswith("-")]
            if words and words[0] not in self.commands:
                args = [command, *args]
            return super().parse_args(ctx, args)

    return Group
