"""settle archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from console.intake import bar
from console.session import JSON, data_folder, opened, out, print_json, refuse
from replay.archive.reading import Archive
from replay.archive.writing import seal

ARCHIVE_VARIABLE = "SETTLE_ARCHIVE"
WHERE = f"The archive: a folder, or an address that can be scanned (default DATA/archive, or {ARCHIVE_VARIABLE})."


def location(given: str | None) -> str:
    return given or os.environ.get(ARCHIVE_VARIABLE) or str(data_folder() / "archive")


def archive_at(given: str | None) -> Archive | None:
    """The archive, where there is one; refused where a person names a place that has none. Raises BrokenManifest."""
    found = Archive(location(given))
    if given is not None and not found.seals:
        refuse(f"there is no archive at {given}; settle archive --to FOLDER makes one")
    return found if found.seals else None


def archive(
    to: Annotated[str | None, typer.Option("--to", help=WHERE)] = None,
    buckets: Annotated[
        int | None,
        typer.Option("--buckets", help="Into how many parts contracts are spread, for ever.", min=1, max=4096),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Seal what closed periods rest on into Parquet, to be replayed and proved without the database."""
    place = location(to)
    if "://" in place:
        refuse(f"{place} is written by copying: seal into a local or a mounted folder, and copy it there")
    if Path(place).exists() and not Path(place).is_dir():
        refuse(f"{place} is no folder; name one with --to, or none for {data_folder() / 'archive'}")
    with opened() as store, bar("seal the log", None) as (progress, task):
        done = seal(
            store,
            Path(place),
            buckets,
            lambda position, last: progress.update(task, completed=position, total=last, messages=position),
        )
    found = Archive(place)
    segments = [segment for each in found.seals for segment in each.segments]
    if as_json:
        print_json(
            {
                "archive": place,
                "sealed": done.new is not None,
                "remade": done.remade,
                "last": found.last,
                "seals": len(found.seals),
                "segments": len(segments),
                "events": sum(segment.rows for segment in segments),
                "bytes": sum(segment.bytes for segment in segments),
                "head": found.seals[-1].head if found.seals else None,
            }
        )
        return
    if done.remade:
        out.print(f"{done.remade:,} seals were made again, since their files were not there")
    if done.new is not None:
        out.print(f"seal {done.new.number}: positions {done.new.first:,} to {done.new.last:,}")
    elif not done.remade:
        out.print("nothing to seal: no closed period rests on anything that is not sealed")
    if segments:
        size = sum(segment.bytes for segment in segments)
        out.print(f"{place}: {len(segments):,} segments, {size / 1e6:,.1f} MB, up to position {found.last:,}")
        out.print(f"chain {found.seals[-1].head}")
