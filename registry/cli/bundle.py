"""`registry bundle`: what is kept of upstreams, carried to a site that can ask nobody."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from registry.cli.output import counted, fail, say
from registry.cli.store import configuration, operator, result, with_store
from registry.composition import Store, bundles
from registry.config import Config, upstream_section
from registry.domain.bundles.contents import Contents
from registry.domain.errors import DataDirInUse, upstream_called
from registry.domain.names import Name
from registry.domain.upstream import Mode


@click.group()
def bundle() -> None:
    """Carry what is kept of upstreams to a site that can ask nobody, in one file."""


@bundle.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@with_store
def bundle_export(store: Store, file: Path, names: tuple[str, ...]) -> None:
    """Write the pages and kept files of each NAME (default: of all) to FILE, a plain tar. A server may run meanwhile.

    The same contents make the same bytes. `registry warm` fetches what is to be in it.
    """
    wanted = [Name(name) for name in names] or None
    try:
        contents = _write(store, file, wanted)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror or error}")
    say(f"{file} holds {_counted(contents)}.")
    there = {page.name.normalized for page in contents.pages} | {one.name for one in contents.files}
    for name in wanted or ():
        if name.normalized not in there:
            say(f"Nothing is kept of {name.normalized}.")


@bundle.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_store
def bundle_import(store: Store, file: Path) -> None:
    """Take in the pages and files of FILE, while no server runs on the data directory.

    All of it is verified before anything is kept. A page that is known already stays if it is newer. On a site that can ask nobody set
    mode = offline in [upstream]: pages then never go stale, and list what is here.
    """
    config = configuration()
    with _alone(store):
        try:
            with file.open("rb") as opened:
                with _progress("Verifying") as progress:
                    contents = result(bundles(store, progress).verify(opened))
                _check_room(store, config, contents)
                opened.seek(0)
                with _progress("Keeping") as progress:
                    newer = result(bundles(store, progress).take_in(opened, operator()))
        except OSError as error:
            fail(f"{file} cannot be taken in: {error.strerror or error}")
    say(f"Taken in: {_counted(contents)}; newer than what was known: {counted(newer, 'page')}.")
    _advise(config, {page.source for page in contents.pages})


def _write(store: Store, file: Path, wanted: list[Name] | None) -> Contents:
    """Write the bundle beside its place and put it there once it is complete. Nobody else may read it: upstreams may be private."""
    descriptor, partial = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as out, tempfile.TemporaryFile(dir=file.parent) as spool, _progress("Writing") as progress:
            contents = result(bundles(store, progress).write(out, spool, wanted))
            out.flush()
            os.fsync(out.fileno())
        Path(partial).replace(file)
    except BaseException:
        Path(partial).unlink()
        raise
    return contents


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """While this lasts no server uses the data directory: it would sweep away files whose rows are yet to be written."""
    try:
        store.data_dir.lock()
    except DataDirInUse:
        fail(f"a server is running on {store.data_dir.path}: stop it, import the bundle, start it again")
    try:
        store.blobs.prepare()
        yield
    finally:
        store.data_dir.unlock()


def _check_room(store: Store, config: Config, contents: Contents) -> None:
    there = result(store.upstream.size())
    more = sum(member.size for member in contents.members if member.kind == "blobs")
    if there + more > config.upstream.cache_size:
        fail(
            f"{there:,} bytes are kept and the bundle holds {more:,}, but [upstream] cache_size is {config.upstream.cache_size:,}: "
            "make it larger, or `registry cache purge` something first"
        )


def _advise(config: Config, sources: set[str]) -> None:
    """What the configuration lacks for the bundle to be of use."""
    configured = dict(config.indexes)
    for source in sorted(sources):
        if source not in configured:
            say(f"Pages of the upstream {source} are offered once there is a section [upstream:{source}].")
        elif configured[source].mode != Mode.OFFLINE.value:
            called, section = upstream_called(source), upstream_section(source)
            say(f"If the {called} cannot be asked from here, set mode = offline in [{section}]; else its pages go stale.")


def _counted(contents: Contents) -> str:
    size = sum(member.size for member in contents.members)
    return f"{counted(len(contents.pages), 'page')} and {counted(len(contents.files), 'file')} ({counted(size, 'byte')})"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], object]]:
    from rich.console import Console  # noqa: PLC0415 - as in `output`
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda size: progress.advance(task, size)
