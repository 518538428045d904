"""IKeeping over the database."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, select, tuple_
from zope.interface import implementer

from registry.domain.model import Actor
from registry.domain.names import Name
from registry.domain.upstream import Forgotten, Holding, KeptFile, Said, pack
from registry.interfaces import IKeeping
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.kept_files import kept_file, told_with
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import upstream_files, upstream_pages

_BATCH = 500
_KEPT_AT_ONCE = 1000
_FILES, _PAGES = upstream_files.c, upstream_pages.c
_BYTES = _FILES.size + func.coalesce(_FILES.metadata_size, 0)
_PAGE = (_PAGES.source, _PAGES.name, _PAGES.fetched_at)
_HAS_FILES = select(_FILES.id).where(_FILES.source == _PAGES.source, _FILES.name == _PAGES.name).exists()
# By the moment, too: what was said or confirmed meanwhile stays.
_DROP_PAGE = delete(upstream_pages).where(
    _PAGES.source == bindparam("of"), _PAGES.name == bindparam("about"), _PAGES.fetched_at == bindparam("at")
)


@implementer(IKeeping)
@frozen
class SqlKeeping:
    """What is kept of upstreams, as their keeper and an operator see it."""

    _database: Database

    async def holdings(self) -> list[Holding]:
        """IKeeping."""
        pages = select(_PAGES.source, func.count().label("pages")).group_by(_PAGES.source)
        files = select(_FILES.source, func.count().label("files"), func.sum(_BYTES).label("bytes")).group_by(_FILES.source)

        def work(connection: Any) -> list[Holding]:
            of_pages = {row.source: int(row.pages) for row in connection.execute(pages)}
            of_files = {row.source: (int(row.files), int(row.bytes)) for row in connection.execute(files)}
            return [
                Holding(source=source, pages=of_pages.get(source, 0), files=count, bytes=size)
                for source in sorted(of_pages.keys() | of_files.keys())
                for count, size in [of_files.get(source, (0, 0))]
            ]

        return await self._database.read(work)

    async def files_by_digest(self) -> AsyncIterator[list[KeptFile]]:
        """IKeeping."""
        place = tuple_(_FILES.sha256, _FILES.id)
        query = select(upstream_files).order_by(_FILES.sha256, _FILES.id).limit(_KEPT_AT_ONCE)
        after = ("", 0)
        while files := await self._files(query.where(place > after)):
            yield files
            after = (files[-1].sha256, files[-1].id)

    async def larger_than(self, size: int) -> list[int]:
        """IKeeping."""
        query = select(_FILES.id).where(size < _BYTES)
        return await self._database.read(lambda connection: list(connection.execute(query).scalars()))

    async def evict(self, ids: Sequence[int], actor: Actor) -> Forgotten:
        """IKeeping."""

        def work(writing: Writing) -> Forgotten:
            gone = Forgotten()
            for start in range(0, len(ids), _BATCH):
                gone = gone.and_more(_drop_files(writing, _FILES.id.in_(ids[start : start + _BATCH])))
            if gone.files:
                writing.record("upstream.evict", actor, files=gone.files, bytes=gone.bytes)
            return gone

        return await self._database.write(work)

    async def purge(self, names: Sequence[Name] | None, actor: Actor) -> Forgotten:
        """IKeeping."""
        wanted = [""] if names is None else sorted({name.normalized for name in names})

        def work(writing: Writing) -> Forgotten:
            whole = Forgotten()
            for name in wanted:
                pages = delete(upstream_pages).where(_PAGES.name == name) if name else delete(upstream_pages)
                gone = Forgotten(pages=int(writing.connection.execute(pages).rowcount))
                gone = gone.and_more(_drop_files(writing, _FILES.name == name if name else _FILES.id == _FILES.id))
                if gone.pages or gone.files:
                    writing.record("upstream.purge", actor, name=name, pages=gone.pages, files=gone.files, bytes=gone.bytes)
                whole = whole.and_more(gone)
            return whole

        return await self._database.write(work)

    async def take_in(self, pages: Sequence[Said], files: Sequence[KeptFile], actor: Actor) -> int:
        """IKeeping."""

        def work(writing: Writing) -> int:
            taken = sum(_take_page(writing, said) for said in pages)
            added = sum(_take_file(writing, file) for file in files)
            if taken or added:
                writing.record("upstream.import", actor, pages=taken, files=added)
            return taken

        return await self._database.write(work)

    async def forget_absent(self, before: datetime, spare: Collection[str], limit: int) -> int:
        """IKeeping."""
        which = _not_of(spare, _PAGES.found.is_(False), _PAGES.fetched_at < before)
        return await self._forget_pages(limit, lambda _: [_oldest(limit, *which)])

    async def forget_unused(self, before: Mapping[str, datetime], otherwise: datetime, spare: Collection[str], limit: int) -> int:
        """IKeeping."""

        def old(moment: datetime) -> list[ColumnElement[bool]]:
            # What a bundle brought may be old, and has been used as long as it has been here.
            return [_PAGES.found.is_(True), _PAGES.fetched_at < moment, _PAGES.used_at < moment]

        queries = [_oldest(limit, _PAGES.source == source, *old(moment), ~_HAS_FILES) for source, moment in before.items()]
        queries.append(_oldest(limit, *_not_of([*before, *spare], *old(otherwise))))
        return await self._forget_pages(limit, lambda _: queries)

    async def forget_surplus(self, most: int, spare: Collection[str], limit: int) -> int:
        """IKeeping."""
        which = _not_of(spare)

        def queries(connection: Connection) -> list[Select[Any]]:
            surplus = connection.execute(select(func.count()).select_from(upstream_pages).where(*which)).scalar_one() - most
            return [_oldest(min(surplus, limit), *which)] if surplus > 0 else []

        return await self._forget_pages(limit, queries)

    async def _forget_pages(self, limit: int, queries: Callable[[Connection], Sequence[Select[Any]]]) -> int:
        """Forget the pages that are found, at most `limit`; how many they were. Where there are none nobody waits for the writing thread.

        No journal row tells of it: nobody decided anything, and nothing changes that anybody is given. And strangers who ask for names at
        random would fill the journal instead of this table, and that is for ever.
        """

        def look(connection: Connection) -> list[dict[str, Any]]:
            rows = (row for query in queries(connection) for row in connection.execute(query))
            return [{"of": row.source, "about": row.name, "at": row.fetched_at} for row in islice(rows, limit)]

        found = await self._database.read(look)
        return await self._database.write(lambda writing: int(writing.connection.execute(_DROP_PAGE, found).rowcount)) if found else 0

    async def _files(self, query: Select[Any]) -> list[KeptFile]:
        return [kept_file(row) for row in await self._database.read(lambda connection: connection.execute(query).all())]


def _not_of(sources: Collection[str], *conditions: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    """All conditions, and that it is not of these upstreams."""
    return [*conditions, *([_PAGES.source.not_in(sorted(sources))] if sources else [])]


def _oldest(limit: int, *which: ColumnElement[bool]) -> Select[Any]:
    return select(*_PAGE).where(*which).order_by(_PAGES.found, _PAGES.fetched_at).limit(limit)


def _drop_files(writing: Writing, which: ColumnElement[bool]) -> Forgotten:
    rows = writing.connection.execute(select(_FILES.sha256, _FILES.metadata_sha256, _BYTES.label("bytes")).where(which)).all()
    if rows:
        writing.connection.execute(delete(upstream_files).where(which))
    digests = frozenset(digest for row in rows for digest in (row.sha256, row.metadata_sha256) if digest)
    return Forgotten(files=len(rows), bytes=sum(row.bytes for row in rows), digests=digests)


def _take_page(writing: Writing, said: Said) -> bool:
    """Whether the page is newer than what is known."""
    same = (_PAGES.source == said.source, _PAGES.name == said.name.normalized)
    # A clock that was ahead elsewhere must not make a page newer than any to come.
    fetched_at = min(said.fetched_at, writing.at)
    known = writing.connection.execute(select(_PAGES.fetched_at).where(*same)).first()
    if known is not None and known.fetched_at >= fetched_at:
        return False
    writing.connection.execute(delete(upstream_pages).where(*same))
    facts = {"found": said.page is not None, "body": pack(said.page) if said.page is not None else b"", "etag": said.etag}
    times = {"fetched_at": fetched_at, "used_at": writing.at}
    insert_row(writing.connection, upstream_pages, {"source": said.source, "name": said.name.normalized, **facts, **times})
    return True


def _take_file(writing: Writing, file: KeptFile) -> bool:
    """Whether the file is new; of one that is known, the metadata may be, and the digests that its index told."""
    digest, size = file.metadata or (None, None)
    key = {"source": file.source, "name": file.name, "filename": file.filename, "sha256": file.sha256}
    same = [upstream_files.c[column] == value for column, value in key.items()]
    known = writing.connection.execute(select(_FILES.metadata_sha256, _FILES.told).where(*same)).first()
    facts: dict[str, Any] = {"size": file.size, "used_at": writing.at, "metadata_sha256": digest, "metadata_size": size}
    told = told_with(known, file)
    if known is None:
        insert_row(writing.connection, upstream_files, {**key, **facts, **told, "licence": file.licence, "kept_at": writing.at})
        return True
    changes = {**(facts if known.metadata_sha256 is None and digest is not None else {}), **told}
    if changes:
        writing.connection.execute(upstream_files.update().where(*same).values(**changes))
    return False
