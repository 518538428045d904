"""`registry verify`."""

import sys

import click

from registry.cli.output import fail, say, show
from registry.cli.store import as_json, result, with_store
from registry.composition import Store
from registry.workflows.upkeep import Trouble, verify


@click.command("verify")
@as_json
@with_store
def verify_command(store: Store, as_json: bool) -> None:
    """Re-hash every file, published or kept of upstreams, and cross-check catalog and disk both ways; status 1 if anything is wrong."""
    troubles = result(_collect(store))
    if as_json:
        show(
            [{"sha256": one.sha256, "filename": one.filename, "upstream": one.source, "problem": one.problem} for one in troubles],
            as_json=True,
        )
    else:
        for one in troubles:
            click.echo(str(one))
    if troubles:
        fail(f"{len(troubles)} problems found")
    say("Everything is as it should be.")


async def _collect(store: Store) -> list[Trouble]:
    from rich.console import Console  # noqa: PLC0415 - not needed to start a server
    from rich.progress import Progress  # noqa: PLC0415

    found = []
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("Checking files", total=None)
        async for one in verify(store.packages, store.blobs, store.keeping.files_by_digest):
            progress.advance(task)
            if one is not None:
                found.append(one)
    return found
