"""settle secret-key."""

from __future__ import annotations

from typing import Annotated

import typer

from console.intake import bar
from console.session import JSON, opened, out, print_json
from consumers import exchanging
from consumers.secrets import KEY_VARIABLE, NEW_KEY_VARIABLE

app = typer.Typer(help="The key that wraps the keys of all personal fields.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """So that `exchange` is a word of its own though it is the only one."""


@app.command()
def exchange(as_json: Annotated[bool, JSON] = False) -> None:
    """Put SETTLE_SECRET_KEY_NEW in the place of SETTLE_SECRET_KEY, all at once; nothing that was sealed changes."""
    with opened() as store, bar("exchange", None) as (progress, task):
        done = exchanging.exchange(
            store, lambda keys, of: progress.update(task, completed=keys, total=of, messages=keys)
        )
    if as_json:
        print_json({"data_keys": done.keys, "exchanged_before": done.before})
        return
    if done.before:
        out.print(
            f"the key was exchanged before: {NEW_KEY_VARIABLE} is the key of this store, of {done.keys:,} data keys"
        )
    else:
        out.print(
            f"{done.keys:,} data keys are wrapped by {NEW_KEY_VARIABLE} now, and the key of before opens none of them"
        )
    out.print(f"set {KEY_VARIABLE} to it wherever settle runs, and unset {NEW_KEY_VARIABLE}")
