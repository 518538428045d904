"""IInventory over the database: pages of packages by an index, and deletions in one transaction."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, or_, select, update
from zope.interface import implementer

from registry.domain.errors import NotFound, PreconditionFailed, UnknownPackage
from registry.domain.inventory import FileInfo, FileOrder, Order, Origin, PackageInfo, Removed, Wanted
from registry.domain.model import Actor
from registry.domain.protection import demand_delete
from registry.interfaces import IInventory
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.digests import digests_of, drop_blobs
from registry.storage.catalog.protection import rules_of
from registry.storage.catalog.tables import blobs, files, packages, projects

# Each is an index of `packages` behind the project, so that a page of a project is read in order.
_ORDERS: Mapping[Order, tuple[Any, ...]] = {
    Order.CREATED_AT: (packages.c.created_at, packages.c.id),
    Order.TYPE: (packages.c.created_at, packages.c.id),
    Order.NAME: (packages.c.name, packages.c.version_key, packages.c.id),
    Order.VERSION: (packages.c.version, packages.c.id),
    Order.PROJECT_PATH: (projects.c.full_path_key, packages.c.created_at, packages.c.id),
}
_FILE_ORDERS: Mapping[FileOrder, tuple[Any, ...]] = {
    FileOrder.ID: (files.c.id,),
    FileOrder.FILE_NAME: (files.c.filename,),
    FileOrder.CREATED_AT: (files.c.uploaded_at, files.c.id),
}
_PACKAGE = select(packages, projects.c.full_path).select_from(packages.join(projects))
_FILE = select(files, blobs.c.size).select_from(files.join(blobs))
_SEPARATORS = re.compile(r"[-_.]+")
_BATCH = 1000


@implementer(IInventory)
@frozen
class SqlInventory:
    """Packages and files, listed and deleted."""

    _database: Database

    async def packages(self, project_ids: Sequence[int], wanted: Wanted, *, limit: int, offset: int) -> tuple[list[PackageInfo], int]:
        """IInventory."""
        return await self._database.read(lambda connection: _page(connection, project_ids, wanted, limit, offset))

    async def package(self, package_id: int, project_id: int | None = None) -> PackageInfo:
        """IInventory."""
        return await self._database.read(
            lambda connection: package_infos(connection, [found_package(connection, package_id, project_id).id])[0]
        )

    async def versions(self, package: PackageInfo) -> list[PackageInfo]:
        """IInventory."""
        query = select(packages.c.id).where(
            packages.c.project_id == package.project_id, packages.c.name == package.normalized, packages.c.id != package.id
        )
        return await self._database.read(
            lambda connection: package_infos(connection, connection.execute(query.order_by(packages.c.id)).scalars().all())
        )

    async def files(
        self, package_id: int, project_id: int, order: FileOrder, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[FileInfo], int]:
        """IInventory."""

        def work(connection: Connection) -> tuple[list[FileInfo], int]:
            found_package(connection, package_id, project_id)
            keys = (key.desc() if descending else key for key in _FILE_ORDERS[order])
            rows = connection.execute(_FILE.where(files.c.package_id == package_id).order_by(*keys).limit(limit).offset(offset)).all()
            total = connection.execute(select(func.count()).select_from(files).where(files.c.package_id == package_id)).scalar_one()
            return [_file(row) for row in rows], total

        return await self._database.read(work)

    async def origins(self, package_id: int, project_id: int) -> list[Origin]:
        """IInventory."""

        def work(connection: Connection) -> list[Origin]:
            found_package(connection, package_id, project_id)
            return _origins(connection, [package_id]).get(package_id, [])

        return await self._database.read(work)

    async def delete_package(
        self, project_id: int, package_id: int, actor: Actor, *, level: int, unmodified_since: datetime | None = None
    ) -> Removed:
        """IInventory."""

        def work(writing: Writing) -> Removed:
            package = _deletable(writing, project_id, package_id, level, unmodified_since)
            connection = writing.connection
            names = connection.execute(select(files.c.filename).where(files.c.package_id == package_id)).scalars().all()
            held = digests_of(connection, files.c.package_id == package_id)
            _delete_package(writing, package, list(names), actor)
            digests = drop_blobs(connection, held)
            return Removed(name=package.name, version=package.version, digests=digests)

        return await self._database.write(work)

    async def delete_file(
        self, project_id: int, package_id: int, file_id: int, actor: Actor, *, level: int, unmodified_since: datetime | None = None
    ) -> Removed:
        """IInventory."""

        def work(writing: Writing) -> Removed:
            connection = writing.connection
            package = _deletable(writing, project_id, package_id, level, unmodified_since)
            mine = connection.execute(select(files.c.id, files.c.filename, files.c.sha256).where(files.c.package_id == package_id)).all()
            file = next((row for row in mine if row.id == file_id), None)
            if file is None:
                raise NotFound
            held = digests_of(connection, files.c.id == file_id)
            connection.execute(delete(files).where(files.c.id == file_id))
            detail = {"version": package.version, "filename": file.filename, "sha256": file.sha256}
            writing.record("file.delete", actor, project_id=project_id, name=package.name, **detail)
            if len(mine) == 1:
                _delete_package(writing, package, [], actor)
            return Removed(name=package.name, version=package.version, digests=drop_blobs(connection, held))

        return await self._database.write(work)

    async def downloaded(self, moments: Mapping[int, datetime]) -> None:
        """IInventory."""
        mine = select(files.c.package_id).where(files.c.id == bindparam("file")).scalar_subquery()
        older = or_(packages.c.last_downloaded_at.is_(None), packages.c.last_downloaded_at < bindparam("at"))
        statement = update(packages).where(packages.c.id == mine, older).values(last_downloaded_at=bindparam("at"))
        rows = [{"file": file_id, "at": at} for file_id, at in moments.items()]
        await self._database.write(lambda writing: writing.connection.execute(statement, rows) and None)


def _page(connection: Connection, project_ids: Sequence[int], wanted: Wanted, limit: int, offset: int) -> tuple[list[PackageInfo], int]:
    where = _where(project_ids, wanted)
    total = connection.execute(select(func.count()).select_from(packages).where(*where)).scalar_one()
    left = min(limit, total - offset)
    if left <= 0:
        return [], total
    # A page of the second half is nearer to the end, and what comes before a page costs more than the page.
    backwards = offset > total - offset - left
    keys = [key.desc() if wanted.descending is not backwards else key for key in _ORDERS[wanted.order]]
    # Numbers first, off the index alone; then the rows of this page.
    numbers: Select[Any] = select(packages.c.id)
    if wanted.order is Order.PROJECT_PATH:
        numbers = numbers.select_from(packages.join(projects))
    query = numbers.where(*where).order_by(*keys).limit(left).offset(total - offset - left if backwards else offset)
    ids = connection.execute(query).scalars().all()
    return package_infos(connection, ids[::-1] if backwards else ids), total


def _where(project_ids: Sequence[int], wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        packages.c.project_id == project_ids[0] if len(project_ids) == 1 else packages.c.project_id.in_(project_ids)
    ]
    if wanted.directly_in is not None:
        where.append(packages.c.project_id.in_(select(projects.c.id).where(projects.c.namespace_id == wanted.directly_in)))
    if wanted.name:
        # Names are kept normalised, and so is what is looked for in them: any spelling finds any other.
        where.append(packages.c.name.contains(_SEPARATORS.sub("-", wanted.name).lower(), autoescape=True))
    if wanted.version is not None:
        where.append(packages.c.version == wanted.version)
    return where


def package_infos(connection: Connection, ids: Sequence[int]) -> list[PackageInfo]:
    """The packages with these numbers, in their order."""
    found: list[PackageInfo] = []
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        rows = {row.id: row for row in connection.execute(_PACKAGE.where(packages.c.id.in_(batch)))}
        origins = _origins(connection, batch)
        found += [_info(rows[number], origins.get(number, [])) for number in batch]
    return found


def _info(row: Any, origins: Sequence[Origin]) -> PackageInfo:
    return PackageInfo(
        id=row.id,
        project_id=row.project_id,
        project_path=row.full_path,
        name=row.display_name,
        normalized=row.name,
        version=row.version,
        created_at=row.created_at,
        last_downloaded_at=row.last_downloaded_at,
        creator_id=row.creator_id,
        origin=origins[-1] if origins else None,
        yanked=row.yanked,
        closed=row.closed,
    )


def _origins(connection: Connection, ids: Sequence[int]) -> dict[int, list[Origin]]:
    query = select(files.c.id, files.c.package_id, files.c.pipeline, files.c.uploaded_at).where(
        files.c.package_id.in_(ids), files.c.pipeline.is_not(None)
    )
    found: dict[int, list[Origin]] = {}
    for row in connection.execute(query.order_by(files.c.id)):
        found.setdefault(row.package_id, []).append(_origin(row))
    return found


def _origin(row: Any) -> Origin:
    return Origin(facts=row.pipeline, file_id=row.id, at=row.uploaded_at)


def found_file(connection: Connection, package_id: int, file_id: int) -> FileInfo:
    """One file of a package. Raises `NotFound`."""
    row = connection.execute(_FILE.where(files.c.package_id == package_id, files.c.id == file_id)).one_or_none()
    if row is None:
        raise NotFound
    return _file(row)


def _file(row: Any) -> FileInfo:
    return FileInfo(
        id=row.id,
        package_id=row.package_id,
        filename=row.filename,
        size=row.size,
        sha256=row.sha256,
        md5=row.md5,
        created_at=row.uploaded_at,
        origin=_origin(row) if row.pipeline is not None else None,
        yanked=row.yanked,
    )


def found_package(connection: Connection, package_id: int, project_id: int | None) -> Any:
    """The row of a package, in this project if one is named. Raises `UnknownPackage`."""
    query = select(packages).where(packages.c.id == package_id)
    if project_id is not None:
        query = query.where(packages.c.project_id == project_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownPackage
    return row


def _deletable(writing: Writing, project_id: int, package_id: int, level: int, unmodified_since: datetime | None) -> Any:
    package = found_package(writing.connection, package_id, project_id)
    demand_delete(rules_of(writing.connection, project_id), package.name, level)
    if unmodified_since is not None:
        newest = writing.connection.execute(select(func.max(files.c.uploaded_at)).where(files.c.package_id == package_id)).scalar_one()
        # HTTP knows whole seconds only.
        if max(package.created_at, newest or package.created_at).replace(microsecond=0) > unmodified_since:
            raise PreconditionFailed
    return package


def _delete_package(writing: Writing, package: Any, filenames: list[str], actor: Actor) -> None:
    writing.connection.execute(delete(files).where(files.c.package_id == package.id))
    writing.connection.execute(delete(packages).where(packages.c.id == package.id))
    writing.record(
        "package.delete",
        actor,
        project_id=package.project_id,
        name=package.name,
        version=package.version,
        package_id=package.id,
        files=filenames,
    )
