"""IReleases over the database: each change, and the journal row a replay needs, in one transaction."""

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select, update
from zope.interface import implementer

from registry.domain.inventory import FileInfo, PackageInfo
from registry.domain.model import Actor, ProjectStatus
from registry.domain.names import Name
from registry.domain.protection import demand_push
from registry.domain.releases import NameStatus, check_nameable, check_reason
from registry.interfaces import IReleases
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.inventory import found_file, found_package, package_infos
from registry.storage.catalog.protection import rules_of
from registry.storage.catalog.tables import files, packages, statuses

T = TypeVar("T")


@implementer(IReleases)
@frozen
class SqlReleases:
    """Yanks, closed versions and statuses."""

    _database: Database

    async def set_yanked(self, project_id: int, package_id: int, reason: str | None, actor: Actor, *, level: int) -> PackageInfo:
        """IReleases."""
        reason = None if reason is None else check_reason(reason)

        def change(writing: Writing, package: Any) -> None:
            mine = writing.connection.execute(
                select(files.c.filename, files.c.yanked).where(files.c.package_id == package.id).order_by(files.c.id)
            ).all()
            if package.yanked == reason and all(file.yanked == reason for file in mine):
                return
            for table, key in ((packages, packages.c.id), (files, files.c.package_id)):
                writing.connection.execute(update(table).where(key == package.id).values(yanked=reason))
            _tell_yank(writing, "package", package, reason, actor, files=[file.filename for file in mine])

        return await self._database.write(lambda writing: _changed(writing, project_id, package_id, level, change))

    async def set_file_yanked(
        self, project_id: int, package_id: int, file_id: int, reason: str | None, actor: Actor, *, level: int
    ) -> FileInfo:
        """IReleases."""
        reason = None if reason is None else check_reason(reason)

        def work(writing: Writing) -> FileInfo:
            package = _curated(writing, project_id, package_id, level)
            file = found_file(writing.connection, package_id, file_id)
            if file.yanked != reason:
                writing.connection.execute(update(files).where(files.c.id == file_id).values(yanked=reason))
                _tell_yank(writing, "file", package, reason, actor, filename=file.filename)
            return found_file(writing.connection, package_id, file_id)

        return await self._database.write(work)

    async def set_closed(self, project_id: int, package_id: int, actor: Actor, *, closed: bool, level: int) -> PackageInfo:
        """IReleases."""

        def change(writing: Writing, package: Any) -> None:
            if package.closed is closed:
                return
            writing.connection.execute(update(packages).where(packages.c.id == package.id).values(closed=closed))
            action = "package.close" if closed else "package.reopen"
            writing.record(action, actor, project_id=project_id, name=package.name, version=package.version)

        return await self._database.write(lambda writing: _changed(writing, project_id, package_id, level, change))

    async def status(self, project_id: int, name: Name) -> NameStatus:
        """IReleases."""
        return await self._database.read(lambda connection: _status(connection, project_id, name))

    async def statuses(self, project_id: int) -> list[NameStatus]:
        """IReleases."""
        query = select(statuses).where(statuses.c.project_id == project_id).order_by(statuses.c.name)
        return await self._database.read(lambda connection: [_name_status(row) for row in connection.execute(query)])

    async def set_status(self, project_id: int, name: Name, status: ProjectStatus, reason: str, actor: Actor, *, level: int) -> NameStatus:
        """IReleases."""
        name, reason = check_nameable(name), check_reason(reason)

        def work(writing: Writing) -> NameStatus:
            connection = writing.connection
            demand_push(rules_of(connection, project_id), name, level)
            found = _status(connection, project_id, name)
            if found.status is status and (found.reason == reason or status is ProjectStatus.ACTIVE):
                return found
            connection.execute(delete(statuses).where(statuses.c.project_id == project_id, statuses.c.name == found.name))
            if status is not ProjectStatus.ACTIVE:
                row = {"project_id": project_id, "name": found.name, "status": status.value, "reason": reason, "changed_at": writing.at}
                connection.execute(insert(statuses).values(row))
            writing.record("package.status", actor, project_id=project_id, name=found.name, status=status.value, reason=reason)
            return _status(connection, project_id, name)

        return await self._database.write(work)


def _curated(writing: Writing, project_id: int, package_id: int, level: int) -> Any:
    package = found_package(writing.connection, package_id, project_id)
    demand_push(rules_of(writing.connection, project_id), Name(package.name), level)
    return package


def _changed(writing: Writing, project_id: int, package_id: int, level: int, change: Callable[[Writing, Any], None]) -> PackageInfo:
    change(writing, _curated(writing, project_id, package_id, level))
    return package_infos(writing.connection, [package_id])[0]


def _tell_yank(writing: Writing, what: str, package: Any, reason: str | None, actor: Actor, **which: object) -> None:
    action, why = ("unyank", {}) if reason is None else ("yank", {"reason": reason})
    detail: dict[str, Any] = {"version": package.version, **which, **why}
    writing.record(f"{what}.{action}", actor, project_id=package.project_id, name=package.name, **detail)


def _status(connection: Connection, project_id: int, name: Name) -> NameStatus:
    query = select(statuses).where(statuses.c.project_id == project_id, statuses.c.name == name.normalized)
    row = connection.execute(query).one_or_none()
    return NameStatus(name=name.normalized) if row is None else _name_status(row)


def _name_status(row: Any) -> NameStatus:
    return NameStatus(name=row.name, status=ProjectStatus(row.status), reason=row.reason, changed_at=row.changed_at)
