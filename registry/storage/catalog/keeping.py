"""IKeeping over the database."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, delete, func, select
from zope.interface import implementer

from registry.domain.model import Actor
from registry.domain.names import Name
from registry.domain.upstream import Forgotten, Holding, KeptFile, Said, pack
from registry.interfaces import IKeeping
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import upstream_files, upstream_pages

_BATCH = 500
_FILES, _PAGES = upstream_files.c, upstream_pages.c
_BYTES = _FILES.size + func.coalesce(_FILES.metadata_size, 0)


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
    """Whether the file is new; of one that is known, the metadata may be."""
    digest, size = file.metadata or (None, None)
    key = {"source": file.source, "name": file.name, "filename": file.filename, "sha256": file.sha256}
    same = [upstream_files.c[column] == value for column, value in key.items()]
    known = writing.connection.execute(select(_FILES.metadata_sha256).where(*same)).first()
    facts: dict[str, Any] = {"size": file.size, "used_at": writing.at, "metadata_sha256": digest, "metadata_size": size}
    if known is None:
        insert_row(writing.connection, upstream_files, {**key, **facts, "licence": file.licence, "kept_at": writing.at})
        return True
    if known.metadata_sha256 is None and digest is not None:
        writing.connection.execute(upstream_files.update().where(*same).values(**facts))
    return False
