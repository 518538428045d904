"""What commands print: tables for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NoReturn

import click

Row = Mapping[str, object]


def show(rows: Sequence[Row], *, as_json: bool, one: bool = False) -> None:
    """Print rows: one JSON document, or a table whose columns are the keys of the first row. `one`: a single object, not a list."""
    if as_json:
        click.echo(json.dumps(rows[0] if one else list(rows), default=_plain))
        return
    if not rows:
        say("Nothing to show.")
        return
    # Imported here: rich takes a while, and programs that ask for JSON never need it.
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for key in rows[0]:
        table.add_column(key.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    # Into a pipe nothing is cut to a width nobody has.
    # rich itself takes NO_COLOR to mean that bold may stay.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    Console(width=None if sys.stdout.isatty() else 240, color_system=colours, highlight=False, markup=False).print(table)


def say(message: str) -> None:
    """A message for whoever watches."""
    click.echo(message, err=True)


def counted(number: int, noun: str) -> str:
    """A number and what it is of: "1 page", "2,000 pages"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def fail(message: str) -> NoReturn:
    """Say what went wrong and end with status 1."""
    say(f"Error: {message}")
    raise SystemExit(1)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)
