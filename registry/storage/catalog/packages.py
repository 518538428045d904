"""IPackages over the database."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Exists, Select, bindparam, insert, select
from zope.interface import implementer

from registry.domain.errors import FileExists, Unauthenticated, UnknownProject
from registry.domain.model import Actor, File, NewFile, Page
from registry.domain.names import Name
from registry.domain.protection import ProtectionRule
from registry.interfaces import IPackages
from registry.storage.catalog.database import Database, Writing, insert_row
from registry.storage.catalog.protection import rules_of
from registry.storage.catalog.tables import blobs, files, packages, projects, users

_BATCH = 1000
_FILE = select(
    files.c.id, files.c.filename, packages.c.version, files.c.sha256, blobs.c.size, files.c.requires_python, files.c.uploaded_at
).select_from(files.join(packages).join(blobs))
# Made once each, so that SQLAlchemy compiles them once and knows them again by their identity.
_PAGE = (
    _FILE.add_columns(packages.c.display_name)
    .where(packages.c.project_id.in_(bindparam("projects", expanding=True)), packages.c.name == bindparam("name"))
    .order_by(files.c.id)
)
_FOUND = _FILE.where(
    files.c.sha256 == bindparam("sha256"),
    files.c.filename == bindparam("filename"),
    packages.c.project_id.in_(bindparam("projects", expanding=True)),
).order_by(files.c.id)
_SAME_PACKAGE = select(packages.c.id, packages.c.version).where(
    packages.c.project_id == bindparam("project"), packages.c.name == bindparam("name"), packages.c.version_key == bindparam("version")
)
_SAME_FILE = select(files.c.sha256).where(files.c.package_id == bindparam("package"), files.c.filename == bindparam("filename"))
_THE_PROJECT = select(projects.c.id).where(projects.c.id == bindparam("project"))
_THE_USER = select(users.c.id).where(users.c.id == bindparam("user"))
_NEW_BLOB = insert(blobs)
_SAME_BLOB = select(blobs.c.size).where(blobs.c.sha256 == bindparam("sha256"))


@implementer(IPackages)
@frozen
class SqlPackages:
    """Projects and what they hold."""

    _database: Database

    async def page(self, project_ids: Sequence[int], name: Name) -> Page | None:
        """IPackages."""
        given = {"projects": list(project_ids), "name": name.normalized}
        return await self._database.read(lambda connection: _page(connection.execute(_PAGE, given).all(), name))

    async def names(self, project_ids: Sequence[int]) -> tuple[str, ...]:
        """IPackages."""
        query = select(packages.c.name).distinct().where(packages.c.project_id.in_(project_ids)).order_by(packages.c.name)
        return tuple(await self._scalars(query.where(_has_files())))

    async def file(self, project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """IPackages."""
        given = {"projects": list(project_ids), "sha256": sha256, "filename": filename}
        row = await self._database.read(lambda connection: connection.execute(_FOUND, given).first())
        return None if row is None else _file(row)

    async def add_file(self, project_id: int, new: NewFile, actor: Actor) -> File:
        """IPackages."""
        return await self._database.write(lambda writing: _add(writing, project_id, new, actor))

    async def prospect(self, project_id: int, name: Name) -> tuple[tuple[ProtectionRule, ...], Page | None]:
        """IPackages."""
        given = {"projects": [project_id], "name": name.normalized}

        def work(connection: Connection) -> tuple[tuple[ProtectionRule, ...], Page | None]:
            return tuple(rules_of(connection, project_id)), _page(connection.execute(_PAGE, given).all(), name)

        return await self._database.read(work)

    async def rules(self, project_id: int) -> tuple[ProtectionRule, ...]:
        """IPackages."""
        return tuple(await self._database.read(lambda connection: rules_of(connection, project_id)))

    async def named(self, digests: list[str]) -> set[str]:
        """IPackages."""
        found: set[str] = set()
        for start in range(0, len(digests), _BATCH):
            query = select(files.c.sha256).distinct().where(files.c.sha256.in_(digests[start : start + _BATCH]))
            found.update(await self._scalars(query))
        return found

    async def blobs(self) -> AsyncIterator[list[tuple[str, int, str]]]:
        """IPackages."""
        after = ""
        while True:
            query = _blobs_after(after)
            rows = await self._rows(query)
            if not rows:
                return
            yield [(row.sha256, row.size, row.filename) for row in rows]
            after = rows[-1].sha256

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(query).all())

    async def _scalars(self, query: Select[Any]) -> Sequence[Any]:
        return await self._database.read(lambda connection: connection.execute(query).scalars().all())


def _has_files() -> Exists:
    return select(files.c.id).where(files.c.package_id == packages.c.id).exists()


def _blobs_after(sha256: str) -> Select[Any]:
    one_name = select(files.c.filename).where(files.c.sha256 == blobs.c.sha256).order_by(files.c.id).limit(1).scalar_subquery()
    query = select(blobs.c.sha256, blobs.c.size, one_name.label("filename"))
    return query.where(blobs.c.sha256 > sha256).order_by(blobs.c.sha256).limit(_BATCH)


def _page(rows: Sequence[Any], name: Name) -> Page | None:
    """Several projects may hold files of one name: the first published stands for all."""
    if not rows:
        return None
    first: dict[str, File] = {}
    # Unpacked, in the order of `_FILE`: by name it would take twice as long, and a page may have thousands.
    for number, filename, version, sha256, size, requires_python, uploaded_at, _ in rows:
        if filename not in first:
            first[filename] = File(
                id=number,
                filename=filename,
                version=version,
                sha256=sha256,
                size=size,
                requires_python=requires_python,
                uploaded_at=uploaded_at,
            )
    return Page(name=name, display=rows[0].display_name, files=tuple(first.values()))


def _file(row: Any) -> File:
    return File(
        id=row.id,
        filename=row.filename,
        version=row.version,
        sha256=row.sha256,
        size=row.size,
        requires_python=row.requires_python,
        uploaded_at=row.uploaded_at,
    )


def _add(writing: Writing, project_id: int, new: NewFile, actor: Actor) -> File:
    connection = writing.connection
    _check_still_there(connection, project_id, actor)
    package_id, version = _package(writing, project_id, new, actor)
    taken = connection.execute(_SAME_FILE, {"package": package_id, "filename": new.filename}).scalar_one_or_none()
    if taken is not None:
        raise FileExists(filename=new.filename, identical=taken == new.digests.sha256)
    _blob(connection, writing, new)
    file_id = insert_row(
        connection,
        files,
        {
            "package_id": package_id,
            "filename": new.filename,
            "sha256": new.digests.sha256,
            "md5": new.digests.others.get("md5"),
            "blake2_256": new.digests.others.get("blake2b"),
            "requires_python": new.requires_python,
            "metadata": dict(new.metadata),
            "uploader_id": actor.user_id,
            "uploaded_at": writing.at,
            # Left out, so that the column is empty: a JSON null would be a value.
            **({} if new.pipeline is None else {"pipeline": dict(new.pipeline)}),
        },
    )
    writing.record(
        "file.publish",
        actor,
        project_id=project_id,
        name=new.name.normalized,
        version=version,
        filename=new.filename,
        sha256=new.digests.sha256,
        size=new.digests.size,
    )
    return File(
        id=file_id,
        filename=new.filename,
        version=version,
        sha256=new.digests.sha256,
        size=new.digests.size,
        requires_python=new.requires_python,
        uploaded_at=writing.at,
    )


def _check_still_there(connection: Connection, project_id: int, actor: Actor) -> None:
    """Raises when the project or the publisher was removed since he was let in: an upload takes its time."""
    if connection.execute(_THE_PROJECT, {"project": project_id}).first() is None:
        raise UnknownProject
    if actor.user_id is not None and connection.execute(_THE_USER, {"user": actor.user_id}).first() is None:
        raise Unauthenticated


def _package(writing: Writing, project_id: int, new: NewFile, actor: Actor) -> tuple[int, str]:
    same = {"project": project_id, "name": new.name.normalized, "version": new.version.key}
    row = writing.connection.execute(_SAME_PACKAGE, same).one_or_none()
    if row is not None:
        return row.id, row.version
    made = insert_row(
        writing.connection,
        packages,
        {
            "project_id": project_id,
            "name": new.name.normalized,
            "display_name": new.name.display,
            "version_key": new.version.key,
            "version": new.version.display,
            "creator_id": actor.user_id,
            "created_at": writing.at,
        },
    )
    return made, new.version.display


def _blob(connection: Connection, writing: Writing, new: NewFile) -> None:
    digests = new.digests
    if connection.execute(_SAME_BLOB, {"sha256": digests.sha256}).scalar_one_or_none() is None:
        connection.execute(_NEW_BLOB, {"sha256": digests.sha256, "size": digests.size, "created_at": writing.at})
