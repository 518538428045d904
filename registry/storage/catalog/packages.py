"""IPackages over the database."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Exists, Select, and_, bindparam, func, select
from zope.interface import implementer

from registry.domain.errors import FileExists, Quarantined, Unauthenticated, UnknownProject
from registry.domain.filenames import METADATA_ENDING
from registry.domain.history import facts_for_replay
from registry.domain.model import Actor, File, NewFile, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.project_json import Releases, described
from registry.domain.protection import ProtectionRule
from registry.domain.releases import Prospect, Release, demand_open, demand_takes_uploads
from registry.domain.versions import Version
from registry.interfaces import IPackages
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.digests import named_among
from registry.storage.catalog.prepared import Prepared, insert_row
from registry.storage.catalog.protection import rules_of
from registry.storage.catalog.tables import blobs, files, journal, own_names, packages, projects, statuses, users

_BATCH = 1000
_STATUS = and_(statuses.c.project_id == packages.c.project_id, statuses.c.name == packages.c.name)
_QUARANTINED = ProjectStatus.QUARANTINED.value
_FILE = select(
    files.c.id,
    files.c.filename,
    packages.c.version,
    files.c.sha256,
    blobs.c.size,
    files.c.requires_python,
    files.c.uploaded_at,
    files.c.yanked,
    files.c.metadata_sha256,
    files.c.provenance.is_not(None).label("provenance"),
    statuses.c.status,
    statuses.c.reason,
).select_from(files.join(packages).join(blobs).outerjoin(statuses, _STATUS))
# Made once each, so that SQLAlchemy compiles them once and knows them again by their identity.
_PAGE = (
    _FILE.add_columns(packages.c.display_name)
    .where(packages.c.project_id.in_(bindparam("projects", expanding=True)), packages.c.name == bindparam("name"))
    .order_by(files.c.id)
)
_RELEASES = _PAGE.add_columns(files.c.md5, files.c.blake2_256)
_METADATA = select(files.c.metadata).where(files.c.id == bindparam("file"))
_LAST_CHANGE = select(func.coalesce(func.max(journal.c.serial), 0)).where(
    journal.c.project_id.in_(bindparam("projects", expanding=True)), journal.c.name == bindparam("name")
)
_FOUND = (
    _FILE.add_columns(packages.c.name)
    .where(
        files.c.sha256 == bindparam("sha256"),
        files.c.filename == bindparam("filename"),
        packages.c.project_id.in_(bindparam("projects", expanding=True)),
    )
    .order_by(files.c.id)
)
_THE_STATUS = Prepared(
    select(statuses.c.status, statuses.c.reason).where(statuses.c.project_id == bindparam("project"), statuses.c.name == bindparam("name"))
)
_SAME_PACKAGE = Prepared(
    select(packages.c.id, packages.c.version, packages.c.created_at, packages.c.yanked, packages.c.closed).where(
        packages.c.project_id == bindparam("project"), packages.c.name == bindparam("name"), packages.c.version_key == bindparam("version")
    )
)
_SAME_FILE = Prepared(select(files.c.sha256).where(files.c.package_id == bindparam("package"), files.c.filename == bindparam("filename")))
_THE_PROJECT = Prepared(select(projects.c.id).where(projects.c.id == bindparam("project")))
_THE_USER = Prepared(select(users.c.id).where(users.c.id == bindparam("user")))
_OWN_NAME = Prepared(select(own_names.c.name).where(own_names.c.name == bindparam("name")))
_SAME_BLOB = Prepared(select(blobs.c.size).where(blobs.c.sha256 == bindparam("sha256")))


@implementer(IPackages)
@frozen
class SqlPackages:
    """Projects and what they hold."""

    _database: Database

    async def page(self, project_ids: Sequence[int], name: Name) -> Page | None:
        """IPackages."""
        given = {"projects": list(project_ids), "name": name.normalized}
        return await self._database.read(lambda connection: _page(connection.execute(_PAGE, given).all(), name))

    async def releases(self, project_ids: Sequence[int], name: Name, version: Version | None = None) -> Releases | None:
        """IPackages."""
        return await self._database.read(lambda connection: _releases(connection, list(project_ids), name, version))

    async def names(self, project_ids: Sequence[int]) -> tuple[str, ...]:
        """IPackages."""
        query = select(packages.c.name).distinct().where(packages.c.project_id.in_(project_ids)).order_by(packages.c.name)
        hidden = select(statuses.c.name).where(_STATUS, statuses.c.status == _QUARANTINED).exists()
        return tuple(await self._scalars(query.where(_has_files(), ~hidden)))

    async def file(self, project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """IPackages."""
        given = {"projects": list(project_ids), "sha256": sha256, "filename": filename}
        rows = await self._database.read(lambda connection: connection.execute(_FOUND, given).all())
        if not rows:
            return None
        offered = next((row for row in rows if row.status != _QUARANTINED), None)
        if offered is None:
            raise Quarantined(name=rows[0].name, reason=rows[0].reason)
        return _file(offered)

    async def provenance(self, file_id: int) -> Mapping[str, object] | None:
        """IPackages."""
        query = select(files.c.provenance).where(files.c.id == file_id)
        return await self._database.read(lambda connection: connection.execute(query).scalar_one_or_none())

    async def add_file(self, project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
        """IPackages."""
        return await self._database.write(lambda writing: _add(writing, project_id, new, actor, close_after))

    async def prospect(self, project_id: int, name: Name, version: Version, filename: str) -> Prospect:
        """IPackages."""

        def work(connection: Connection) -> Prospect:
            status, reason = _status(connection, project_id, name.normalized)
            package = _SAME_PACKAGE.first(connection, project=project_id, name=name.normalized, version=version.key)
            taken = None
            if package is not None:
                taken = _SAME_FILE.scalar(connection, package=package.id, filename=filename)
            return Prospect(
                rules=tuple(rules_of(connection, project_id)),
                status=status,
                status_reason=reason,
                release=None if package is None else Release(closed=package.closed, begun_at=package.created_at),
                taken=taken,
            )

        return await self._database.read(work)

    async def rules(self, project_id: int) -> tuple[ProtectionRule, ...]:
        """IPackages."""
        return tuple(await self._database.read(lambda connection: rules_of(connection, project_id)))

    async def named(self, digests: list[str]) -> set[str]:
        """IPackages."""
        return await self._database.read(lambda connection: named_among(connection, digests))

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
    names = [
        select(shown).where(column == blobs.c.sha256).order_by(files.c.id).limit(1).scalar_subquery()
        for shown, column in ((files.c.filename, files.c.sha256), (files.c.filename + METADATA_ENDING, files.c.metadata_sha256))
    ]
    query = select(blobs.c.sha256, blobs.c.size, func.coalesce(*names).label("filename"))
    return query.where(blobs.c.sha256 > sha256).order_by(blobs.c.sha256).limit(_BATCH)


def _page(rows: Sequence[Any], name: Name) -> Page | None:
    """Several projects may hold files of one name: the first published stands for all. A project's quarantine hides its own only."""
    if not rows:
        return None
    offered = [row for row in rows if row.status != _QUARANTINED] or rows
    first: dict[str, File] = {}
    for row in offered:
        if row[1] not in first:
            first[row[1]] = _file(row)
    chief = offered[0]
    return Page(
        name=name,
        display=chief.display_name,
        files=tuple(first.values()),
        status=ProjectStatus(chief.status or ProjectStatus.ACTIVE.value),
        status_reason=chief.reason or "",
    )


def _releases(connection: Connection, project_ids: list[int], name: Name, version: Version | None) -> Releases | None:
    given = {"projects": project_ids, "name": name.normalized}
    rows = connection.execute(_RELEASES, given).all()
    page = _page(rows, name)
    if page is None:
        return None
    # Descriptions are long, and only one is wanted.
    file = described(page, version)
    return Releases(
        page=page,
        digests={row.id: {key: digest for key, digest in (("md5", row.md5), ("blake2b_256", row.blake2_256)) if digest} for row in rows},
        described=file,
        metadata={} if file is None else connection.execute(_METADATA, {"file": file.id}).scalar_one(),
        serial=connection.execute(_LAST_CHANGE, given).scalar_one(),
    )


def _file(row: Any) -> File:
    # Unpacked, in the order of `_FILE`: by name it would take twice as long, and a page may have thousands.
    number, filename, version, sha256, size, requires_python, uploaded_at, yanked, metadata_sha256, provenance, *_ = row
    return File(
        id=number,
        filename=filename,
        version=version,
        sha256=sha256,
        size=size,
        requires_python=requires_python,
        uploaded_at=uploaded_at,
        yanked=yanked,
        metadata_sha256=metadata_sha256 or "",
        provenance=bool(provenance),
    )


def _status(connection: Connection, project_id: int, name: str) -> tuple[ProjectStatus, str]:
    row = _THE_STATUS.first(connection, project=project_id, name=name)
    return (ProjectStatus.ACTIVE, "") if row is None else (ProjectStatus(row.status), row.reason)


def _add(writing: Writing, project_id: int, new: NewFile, actor: Actor, close_after: timedelta | None) -> File:
    connection = writing.connection
    _check_still_there(connection, project_id, actor)
    status, reason = _status(connection, project_id, new.name.normalized)
    demand_takes_uploads(new.name.normalized, status, reason)
    package = _package(writing, project_id, new, actor)
    taken = _SAME_FILE.scalar(connection, package=package.id, filename=new.filename)
    if taken is not None:
        raise FileExists(filename=new.filename, identical=taken == new.digests.sha256)
    demand_open(Release(closed=package.closed, begun_at=package.created_at), new.version, close_after, writing.at)
    metadata_sha256, metadata_size = new.metadata_blob or (None, 0)
    _blob(connection, writing, new.digests.sha256, new.digests.size)
    if metadata_sha256 is not None:
        _blob(connection, writing, metadata_sha256, metadata_size)
    row = {
        "package_id": package.id,
        "filename": new.filename,
        "sha256": new.digests.sha256,
        "md5": new.digests.others.get("md5"),
        "blake2_256": new.digests.others.get("blake2b"),
        "requires_python": new.requires_python,
        "metadata": dict(new.metadata),
        "uploader_id": actor.user_id,
        "uploaded_at": writing.at,
        "yanked": package.yanked,
        "metadata_sha256": metadata_sha256,
    }
    # Left out where there is nothing, so that the column is empty: a JSON null would be a value.
    row.update({key: dict(value) for key, value in (("pipeline", new.pipeline), ("provenance", new.provenance)) if value is not None})
    made = File(
        id=insert_row(connection, files, row),
        filename=new.filename,
        version=package.version,
        sha256=new.digests.sha256,
        size=new.digests.size,
        requires_python=new.requires_python,
        uploaded_at=writing.at,
        yanked=package.yanked,
        metadata_sha256=metadata_sha256 or "",
        provenance=new.provenance is not None,
    )
    # All that a page says of it: dated views have nothing else to go by.
    writing.record(
        "file.publish", actor, project_id=project_id, name=new.name.normalized, display=new.name.display, **facts_for_replay(made)
    )
    return made


def _check_still_there(connection: Connection, project_id: int, actor: Actor) -> None:
    """Raises when the project or the publisher was removed since he was let in: an upload takes its time."""
    if _THE_PROJECT.first(connection, project=project_id) is None:
        raise UnknownProject
    if actor.user_id is not None and _THE_USER.first(connection, user=actor.user_id) is None:
        raise Unauthenticated


@frozen
class _Package:
    """A package's row, found or made."""

    id: int
    version: str
    created_at: datetime
    yanked: str | None
    closed: bool | None


def _package(writing: Writing, project_id: int, new: NewFile, actor: Actor) -> _Package:
    row = _SAME_PACKAGE.first(writing.connection, project=project_id, name=new.name.normalized, version=new.version.key)
    if row is not None:
        return _Package(*row)
    if _OWN_NAME.first(writing.connection, name=new.name.normalized) is None:
        insert_row(writing.connection, own_names, {"name": new.name.normalized})
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
    return _Package(made, new.version.display, writing.at, None, None)


def _blob(connection: Connection, writing: Writing, sha256: str, size: int) -> None:
    if _SAME_BLOB.scalar(connection, sha256=sha256) is None:
        insert_row(connection, blobs, {"sha256": sha256, "size": size, "created_at": writing.at})
