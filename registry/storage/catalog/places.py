"""IPlaces over the database: groups and projects."""

from typing import Any

from attrs import frozen
from sqlalchemy import func, select
from zope.interface import implementer

from registry.domain.access import RegistryAccess, Visibility
from registry.domain.errors import AlreadyTaken, Missing
from registry.domain.model import Actor, ProjectInfo
from registry.domain.paths import ProjectPath
from registry.domain.places import NamespaceInfo, Wishes, check_full_path, check_within
from registry.interfaces import IPlaces
from registry.storage.catalog.access import by_ref
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.namespaces import infos
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import blobs, files, namespaces, packages, projects

_HELD = (
    select(
        packages.c.project_id,
        func.count(packages.c.id.distinct()).label("packages"),
        func.count(files.c.id).label("files"),
        func.coalesce(func.sum(blobs.c.size), 0).label("bytes"),
    )
    .select_from(packages.join(files).join(blobs))
    .group_by(packages.c.project_id)
    .subquery()
)
_PROJECT = select(
    projects,
    func.coalesce(_HELD.c.packages, 0).label("packages"),
    func.coalesce(_HELD.c.files, 0).label("files"),
    func.coalesce(_HELD.c.bytes, 0).label("bytes"),
).select_from(projects.outerjoin(_HELD, _HELD.c.project_id == projects.c.id))


@implementer(IPlaces)
@frozen
class SqlPlaces:
    """Groups and projects."""

    _database: Database

    async def create_project(self, path: ProjectPath, visibility: Visibility, actor: Actor) -> ProjectInfo:
        """IPlaces."""

        def work(writing: Writing) -> ProjectInfo:
            project_id = insert_project(writing, path, visibility, actor)
            return _project(writing.connection.execute(_PROJECT.where(projects.c.id == project_id)).one())

        return await self._database.write(work)

    async def projects(self, ref: int | str | None = None) -> list[ProjectInfo]:
        """IPlaces."""
        query = _PROJECT.order_by(projects.c.id)
        if ref is not None:
            query = query.where(by_ref(projects, ref))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        if ref is not None and not rows:
            raise Missing(what="project", value=str(ref))
        return [_project(row) for row in rows]


def insert_project(writing: Writing, path: ProjectPath, visibility: Visibility, actor: Actor) -> int:
    """Add a project to an existing namespace; its id. Raises `Missing`, `AlreadyTaken` or `Refused`."""
    connection, key = writing.connection, str(path).lower()
    wanted = select(namespaces).where(namespaces.c.full_path_key == path.namespace.lower())
    within = next(iter(infos(connection, connection.execute(wanted).all())), None)
    if within is None:
        raise Missing(what="user or group called", value=path.namespace)
    taken_by_group = select(namespaces.c.id).where(namespaces.c.full_path_key == key)
    taken = select(projects.c.id).where(projects.c.full_path_key == key)
    if connection.execute(taken).first() is not None or connection.execute(taken_by_group).first() is not None:
        raise AlreadyTaken(what="Project path", value=str(path))
    check_full_path(str(path))
    return add_project(writing, within, path, Wishes(visibility=visibility), actor)


def add_project(writing: Writing, within: NamespaceInfo, path: ProjectPath, wishes: Wishes, actor: Actor) -> int:
    """Add a project at a path that is free in the namespace `within`; its id. Raises `Refused` for one more visible than its group."""
    visibility = wishes.visibility or Visibility.PRIVATE
    if within.kind == "group":
        check_within(visibility, within.visibility)
    enabled, registry = wishes.switches() or (True, RegistryAccess.ENABLED)
    full_path = f"{within.full_path}/{path.segment}"
    values = {
        "namespace_id": within.id,
        "full_path": full_path,
        "full_path_key": full_path.lower(),
        "name": wishes.name or path.segment,
        "description": wishes.description or "",
        "visibility": visibility.value,
        "packages_enabled": enabled,
        "registry_access": registry.value,
        "creator_id": actor.user_id,
        "created_at": writing.at,
    }
    project_id = insert_row(writing.connection, projects, values)
    writing.record("project.create", actor, project_id=project_id, path=full_path, visibility=visibility.value)
    return project_id


def _project(row: Any) -> ProjectInfo:
    return ProjectInfo(
        id=row.id,
        path=row.full_path,
        name=row.name,
        visibility=Visibility(row.visibility),
        packages_enabled=row.packages_enabled,
        created_at=row.created_at,
        packages=row.packages,
        files=row.files,
        bytes=row.bytes,
    )
