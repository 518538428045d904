"""`registry cache`: what is kept of upstreams."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import click

from registry.cli.output import counted, fail, say, show
from registry.cli.store import as_json, configuration, operator, result, with_store
from registry.cli.warm import warm_all, warming
from registry.composition import Store
from registry.domain.errors import DataDirInUse
from registry.domain.locks import read_requirements
from registry.domain.names import Name
from registry.domain.upstream import Forgotten

T = TypeVar("T")
_BATCH = 1000


@click.group()
def cache() -> None:
    """Look at what is kept of upstreams, prefetch it, forget it."""


@cache.command("list")
@as_json
@with_store
def cache_list(store: Store, as_json: bool) -> None:
    """List the names of which something is kept."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}

    def row(name: str, source: str) -> dict[str, Any]:
        empty = {"name": name, "upstream": source, "asked_at": None, "files": 0, "bytes": 0, "used_at": None}
        return rows.setdefault((name, source), empty)

    for source, name, at in _all(store.upstream.pages):
        row(name, source)["asked_at"] = at
    for file in _all(store.upstream.files):
        found = row(file.name, file.source)
        found["files"] += 1
        found["bytes"] += file.bytes
        found["used_at"] = max(found["used_at"] or file.used_at, file.used_at)
    show([rows[key] for key in sorted(rows)], as_json=as_json)


@cache.command("show")
@click.argument("name")
@as_json
@with_store
def cache_show(store: Store, name: str, as_json: bool) -> None:
    """Show what upstreams said of NAME, and which of its files are kept."""
    wanted = Name(name)
    sources = [one.source for one in result(store.keeping.holdings())]
    said = [one for source in sources if (one := result(store.upstream.said(source, wanted))) is not None]
    pages = [
        {
            "upstream": one.source,
            "asked_at": one.fetched_at,
            "found": one.page is not None,
            "files": len(one.page.files) if one.page is not None else 0,
        }
        for one in said
    ]
    files = [
        {
            "upstream": one.source,
            "filename": one.filename,
            "bytes": one.bytes,
            "sha256": one.sha256,
            "kept_at": one.kept_at,
            "used_at": one.used_at,
        }
        for one in result(store.upstream.kept(wanted))
    ]
    if not pages and not files:
        fail(f"nothing is kept of {wanted.normalized}")
    if as_json:
        show([{"name": wanted.normalized, "pages": pages, "files": files}], as_json=True, one=True)
    else:
        show(pages, as_json=False)
        show(files, as_json=False)


@cache.command("size")
@as_json
@with_store
def cache_size(store: Store, as_json: bool) -> None:
    """Show how much is kept of each upstream, in all, and how much may be."""
    holdings = result(store.keeping.holdings())
    rows = [{"upstream": one.source, "pages": one.pages, "files": one.files, "bytes": one.bytes} for one in holdings]
    total = {key: sum(int(str(row[key])) for row in rows) for key in ("pages", "files", "bytes")}
    budget = configuration().upstream.cache_size
    if as_json:
        show([{**total, "budget": budget, "upstreams": rows}], as_json=True, one=True)
    else:
        show([*rows, {"upstream": "all", **total}], as_json=False)
        say(f"[upstream] cache_size is {budget:,} bytes.")


@cache.command("purge")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Of every name.")
@with_store
def cache_purge(store: Store, names: tuple[str, ...], everything: bool) -> None:
    """Forget what upstreams said of each NAME, and its kept files. The next one who wants them asks upstream again.

    A running server notices within a second. What is published here is never touched.
    """
    if everything == bool(names):
        raise click.UsageError("Give the names to forget, or --all.")
    gone = result(store.keeping.purge(None if everything else [Name(name) for name in names], operator()))
    what = f"{counted(gone.pages, 'page')} and {counted(gone.files, 'file')} ({counted(gone.bytes, 'byte')})"
    say(f"Forgotten: {what}.")
    _release(store, gone)


@cache.command("warm")
@click.argument("requirements", nargs=-1, required=True, metavar="REQUIREMENT...")
@warming
@with_store
def cache_warm(store: Store, *, requirements: tuple[str, ...], project: str | None, url: str | None, as_json: bool) -> None:
    """Fetch the page, files and metadata of each REQUIREMENT, such as NAME or NAME==1.0, and keep them; see `registry warm`."""
    listed = read_requirements("\n".join(requirements))
    if listed.notes or listed.includes:
        raise click.UsageError("; ".join(listed.notes) or "Give names; lists are for `registry warm -r`.")
    warm_all(store, listed.needs, project=project, url=url, as_json=as_json)


def _release(store: Store, gone: Forgotten) -> None:
    """Free the disk: a running server does it when it hears of the purge, nobody else may meanwhile."""
    if not gone.digests:
        return
    try:
        store.data_dir.lock()
    except DataDirInUse:
        say("The running server frees their room on the disk.")
        return
    try:
        result(store.blobs.release(sorted(gone.digests), store.packages.named))
    finally:
        store.data_dir.unlock()


def _all(part: Callable[..., Coroutine[Any, Any, Sequence[T]]]) -> Iterator[T]:
    """Everything that a method with `limit` and `offset` gives."""
    offset = 0
    while found := result(part(limit=_BATCH, offset=offset)):
        yield from found
        offset += len(found)
