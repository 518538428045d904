"""IUpstreamCatalog over the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, func, select, update
from zope.interface import implementer

from registry.domain.access import Place
from registry.domain.errors import UnknownProject
from registry.domain.model import Actor
from registry.domain.names import Name
from registry.domain.releases import check_nameable
from registry.domain.upstream import Claim, Dossier, KeptFile, Said, pack, unpack
from registry.interfaces import IUpstreamCatalog
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.forwarding import is_enabled
from registry.storage.catalog.kept_files import kept_file as _kept
from registry.storage.catalog.kept_files import told_with
from registry.storage.catalog.prepared import Prepared, insert_row
from registry.storage.catalog.tables import own_names, packages, projects, shared_names, upstream_files, upstream_pages

_OWN = Prepared(select(own_names.c.name).where(own_names.c.name == bindparam("name")))
_SHARING = Prepared(select(shared_names.c.project_id).where(shared_names.c.name == bindparam("name")))
_SAID = Prepared(select(upstream_pages).where(upstream_pages.c.source == bindparam("source"), upstream_pages.c.name == bindparam("name")))
_KEPT = Prepared(select(upstream_files).where(upstream_files.c.name == bindparam("name")).order_by(upstream_files.c.id))
_HOLDING = Prepared(select(packages.c.project_id).where(packages.c.name == bindparam("name")))


@implementer(IUpstreamCatalog)
@frozen
class SqlUpstream:
    """What is ours, what upstreams said, and what of theirs is kept. `default`: whether they may be asked where nobody says anything."""

    _database: Database
    _default: bool = True

    async def dossier(
        self, name: Name, project_ids: Sequence[int], place: Place | None, sources: Sequence[str], at_hand: Mapping[str, Said]
    ) -> Dossier:
        """IUpstreamCatalog."""

        def work(connection: Connection) -> Dossier:
            claim = _claim(connection, name, project_ids)
            if place is None or (claim.own and not claim.shared):
                return Dossier(claim=claim, enabled=False, said={}, kept=())
            if not is_enabled(connection, place, default=self._default):
                return Dossier(claim=claim, enabled=False, said={}, kept=())
            said = {source: _said(connection, source, name, at_hand.get(source)) for source in sources}
            kept = tuple(map(_kept, _KEPT.all(connection, name=name.normalized)))
            return Dossier(claim=claim, enabled=True, said={source: one for source, one in said.items() if one is not None}, kept=kept)

        return await self._database.read(work)

    async def claim(self, name: Name, project_ids: Sequence[int]) -> Claim:
        """IUpstreamCatalog."""
        return await self._database.read(lambda connection: _claim(connection, name, project_ids))

    async def share(self, project_id: int, name: Name, actor: Actor, *, shared: bool) -> None:
        """IUpstreamCatalog."""
        check_nameable(name)
        row = {"project_id": project_id, "name": name.normalized}

        def work(writing: Writing) -> None:
            same = (shared_names.c.project_id == project_id, shared_names.c.name == name.normalized)
            there = writing.connection.execute(select(shared_names.c.name).where(*same)).first() is not None
            if there == shared:
                return
            if shared:
                if writing.connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
                    raise UnknownProject
                insert_row(writing.connection, shared_names, row)
            else:
                writing.connection.execute(delete(shared_names).where(*same))
            writing.record("upstream.share" if shared else "upstream.unshare", actor, project_id=project_id, name=name.normalized)

        await self._database.write(work)

    async def shared(self, project_id: int) -> tuple[str, ...]:
        """IUpstreamCatalog."""
        query = select(shared_names.c.name).where(shared_names.c.project_id == project_id).order_by(shared_names.c.name)
        return tuple(await self._database.read(lambda connection: connection.execute(query).scalars().all()))

    # --- pages ---

    async def said(self, source: str, name: Name) -> Said | None:
        """IUpstreamCatalog."""
        return await self._database.read(lambda connection: _said(connection, source, name, None))

    async def keep_page(self, said: Said, *, confirmed: bool = False) -> None:
        """IUpstreamCatalog."""
        same = (upstream_pages.c.source == said.source, upstream_pages.c.name == said.name.normalized)
        times = {"fetched_at": said.fetched_at, "used_at": said.fetched_at}
        facts: dict[str, Any] = {**times, "etag": said.etag}

        def work(writing: Writing) -> None:
            if not confirmed:
                # Here, since a page of 5,000 files takes longer to pack than the reactor may be kept waiting.
                facts.update(found=said.page is not None, body=pack(said.page) if said.page is not None else b"")
            changed = writing.connection.execute(update(upstream_pages).where(*same).values(**facts)).rowcount
            if not changed and not confirmed:
                insert_row(writing.connection, upstream_pages, {"source": said.source, "name": said.name.normalized, **facts})

        await self._database.write(work)

    async def pages(self, *, limit: int, offset: int) -> list[tuple[str, str, datetime]]:
        """IUpstreamCatalog."""
        query = select(upstream_pages.c.source, upstream_pages.c.name, upstream_pages.c.fetched_at)
        query = query.order_by(upstream_pages.c.name, upstream_pages.c.source).limit(limit).offset(offset)
        return [tuple(row) for row in await self._database.read(lambda connection: connection.execute(query).all())]

    # --- files ---

    async def kept(self, name: Name) -> list[KeptFile]:
        """IUpstreamCatalog."""
        return [_kept(row) for row in await self._database.read(lambda connection: _KEPT.all(connection, name=name.normalized))]

    async def keep_file(self, file: KeptFile) -> None:
        """IUpstreamCatalog."""
        columns = upstream_files.c
        metadata_sha256, metadata_size = file.metadata or (None, None)
        key = {"source": file.source, "name": file.name, "filename": file.filename, "sha256": file.sha256}

        def work(writing: Writing) -> None:
            facts: dict[str, Any] = {"size": file.size, "used_at": writing.at}
            if metadata_sha256 is not None:
                facts |= {"metadata_sha256": metadata_sha256, "metadata_size": metadata_size}
            if file.licence is not None:
                facts["licence"] = file.licence
            same = [columns[column] == value for column, value in key.items()]
            if file.told:
                facts |= told_with(writing.connection.execute(select(columns.told).where(*same)).first(), file)
            if not writing.connection.execute(update(upstream_files).where(*same).values(**facts)).rowcount:
                insert_row(writing.connection, upstream_files, {**key, **facts, "kept_at": writing.at})

        await self._database.write(work)

    async def used(self, moments: Mapping[int, datetime]) -> None:
        """IUpstreamCatalog."""
        statement = update(upstream_files).where(upstream_files.c.id == bindparam("file")).values(used_at=bindparam("at"))
        rows = [{"file": number, "at": at} for number, at in moments.items()]
        if rows:
            await self._database.write(lambda writing: writing.connection.execute(statement, rows) and None)

    async def size(self) -> int:
        """IUpstreamCatalog."""
        columns = upstream_files.c
        query = select(func.coalesce(func.sum(columns.size + func.coalesce(columns.metadata_size, 0)), 0))
        return await self._database.read(lambda connection: int(connection.execute(query).scalar_one()))

    async def least_used(self, limit: int) -> list[KeptFile]:
        """IUpstreamCatalog."""
        query = select(upstream_files).order_by(upstream_files.c.used_at, upstream_files.c.id).limit(limit)
        return [_kept(row) for row in await self._database.read(lambda connection: connection.execute(query).all())]

    async def files(self, *, limit: int, offset: int) -> list[KeptFile]:
        """IUpstreamCatalog."""
        columns = upstream_files.c
        query = select(upstream_files).order_by(columns.name, columns.filename, columns.id).limit(limit).offset(offset)
        return [_kept(row) for row in await self._database.read(lambda connection: connection.execute(query).all())]


def _claim(connection: Connection, name: Name, project_ids: Sequence[int]) -> Claim:
    own = _OWN.first(connection, name=name.normalized) is not None
    leave = {row.project_id for row in _SHARING.all(connection, name=name.normalized)}.intersection(project_ids)
    if not leave:
        return Claim(own=own, shared=False)
    # A group's page shows what all of its projects hold: leave that one has is not the others'.
    holding = {row.project_id for row in _HOLDING.all(connection, name=name.normalized)}.intersection(project_ids)
    return Claim(own=own, shared=leave >= holding)


def _said(connection: Connection, source: str, name: Name, at_hand: Said | None) -> Said | None:
    row = _SAID.first(connection, source=source, name=name.normalized)
    if row is None:
        return None
    if at_hand is not None and (at_hand.fetched_at, at_hand.etag) == (row.fetched_at, row.etag):
        return at_hand
    page = unpack(row.body, name, source) if row.found else None
    return Said(source=source, name=name, page=page, etag=row.etag, fetched_at=row.fetched_at)
