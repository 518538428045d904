"""IProjects over the database: projects seen, listed, made, changed, moved and removed."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, update
from zope.interface import implementer

from registry.domain.access import Identity, RegistryAccess, Role, Visibility, role_in
from registry.domain.errors import NotFound, Refused, UnknownProject
from registry.domain.model import Actor
from registry.domain.paths import ProjectPath
from registry.domain.places import TAKEN, Listing, NamespaceInfo, ProjectDetails, Wishes, check_full_path, check_within, slug
from registry.interfaces import IProjects
from registry.storage.catalog.access import by_ref, current, enter, in_tree
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.forwarding import turn_switch
from registry.storage.catalog.groups import is_taken
from registry.storage.catalog.namespaces import infos, ordered, own_segment, paged
from registry.storage.catalog.places import add_project
from registry.storage.catalog.removal import remove_project
from registry.storage.catalog.sight import projects_held, projects_seen
from registry.storage.catalog.tables import members, namespaces, projects, users

_PROJECT = select(projects, *(column.label(f"ns_{column.name}") for column in namespaces.c)).select_from(projects.join(namespaces))
_NOWHERE = Refused(problems={"namespace": ("is not valid",)})


@implementer(IProjects)
@frozen
class SqlProjects:
    """Projects."""

    _database: Database

    async def projects(self, listing: Listing, identity: Identity, limit: int, offset: int) -> tuple[list[ProjectDetails], int]:
        """IProjects."""
        now = self._database.now()
        query = _PROJECT.where(projects_seen(identity, now), _wanted(listing))
        if listing.least is not None:
            query = query.where(projects_held(identity, now, listing.least))

        def work(connection: Connection) -> tuple[list[ProjectDetails], int]:
            rows, total = paged(connection, query, ordered(listing, _COLUMNS, projects.c.id), limit, offset)
            return self._details(connection, rows, identity), total

        return await self._database.read(work)

    async def project(self, project_id: int, identity: Identity) -> ProjectDetails:
        """IProjects."""
        return await self._database.read(lambda connection: self._one(connection, project_id, identity))

    async def create(self, wishes: Wishes, namespace: int | str | None, actor: Actor, by: Identity) -> ProjectDetails:
        """IProjects."""

        def work(writing: Writing) -> ProjectDetails:
            within = _target(writing, namespace, by)
            return self._one(writing.connection, _add(writing, wishes, within, actor), by)

        return await self._database.write(work)

    async def create_for(self, user_id: int, wishes: Wishes, actor: Actor, by: Identity) -> ProjectDetails:
        """IProjects."""

        def work(writing: Writing) -> ProjectDetails:
            if writing.connection.execute(select(users.c.id).where(users.c.id == user_id)).first() is None:
                raise NotFound(what="User")
            within = _namespace(writing.connection, namespaces.c.owner_id == user_id)
            if within is None:
                raise _NOWHERE
            return self._one(writing.connection, _add(writing, wishes, within, actor), by)

        return await self._database.write(work)

    async def change(self, project_id: int, wishes: Wishes, actor: Actor, by: Identity) -> ProjectDetails:
        """IProjects."""

        def work(writing: Writing) -> ProjectDetails:
            _change(writing, self._one(writing.connection, project_id, by), wishes, actor)
            if wishes.forwarding is not None:
                turn_switch(writing, "project", project_id, wishes.forwarding, actor)
            return self._one(writing.connection, project_id, by)

        return await self._database.write(work)

    async def transfer(self, project_id: int, namespace: int | str, actor: Actor, by: Identity) -> ProjectDetails:
        """IProjects."""

        def work(writing: Writing) -> ProjectDetails:
            found = self._one(writing.connection, project_id, by)
            _move(writing, found, _target(writing, namespace, by), actor)
            return self._one(writing.connection, project_id, by)

        return await self._database.write(work)

    async def remove(self, project_id: int, actor: Actor) -> None:
        """IProjects."""

        def work(writing: Writing) -> None:
            path = writing.connection.execute(select(projects.c.full_path).where(projects.c.id == project_id)).scalar_one_or_none()
            if path is None:
                raise UnknownProject
            remove_project(writing, project_id, path, actor)

        await self._database.write(work)

    def _one(self, connection: Connection, project_id: int, identity: Identity) -> ProjectDetails:
        row = connection.execute(_PROJECT.where(projects.c.id == project_id)).one_or_none()
        if row is None:
            raise UnknownProject
        return self._details(connection, [row], identity)[0]

    def _details(self, connection: Connection, rows: Sequence[Any], identity: Identity) -> list[ProjectDetails]:
        homes = infos(connection, rows, prefix="ns_")
        found = [_details(row, home) for row, home in zip(rows, homes, strict=True)]
        if identity.user is None:
            return found
        numbers = {number for home in homes for number in home.lineage}
        held = or_(members.c.project_id.in_([one.id for one in found]), members.c.namespace_id.in_(numbers))
        mine = members.c.user_id == identity.user.id
        roles = connection.execute(select(members).where(mine, held, current(self._database.now()))).all()
        here = {row.project_id: Role(row.access_level) for row in roles if row.project_id is not None}
        above = {row.namespace_id: Role(row.access_level) for row in roles if row.namespace_id is not None}
        return [
            evolve(
                one,
                project_role=Role.OWNER if one.namespace.owner_id == identity.user.id else here.get(one.id, Role.NONE),
                group_role=max(above.get(number, Role.NONE) for number in one.namespace.lineage),
            )
            for one in found
        ]


def _segment() -> ColumnElement[str]:
    return own_segment(projects.c.full_path, namespaces.c.full_path)


_COLUMNS = {"id": projects.c.id, "name": func.lower(projects.c.name), "path": func.lower(_segment())}


def _wanted(listing: Listing) -> ColumnElement[bool]:
    terms: list[ColumnElement[bool]] = [projects.c.id.is_not(None)]
    if listing.search:
        terms.append(
            or_(
                projects.c.name.icontains(listing.search, autoescape=True),
                _segment().icontains(listing.search, autoescape=True),
                projects.c.description.icontains(listing.search, autoescape=True),
            )
        )
    if listing.visibility is not None:
        terms.append(projects.c.visibility == listing.visibility.value)
    if listing.inside is not None:
        terms.append(in_tree(listing.inside) if listing.deep else projects.c.namespace_id == listing.inside[-1])
    return and_(*terms)


def _details(row: Any, home: NamespaceInfo) -> ProjectDetails:
    return ProjectDetails(
        id=row.id,
        full_path=row.full_path,
        name=row.name,
        description=row.description,
        visibility=Visibility(row.visibility),
        packages_enabled=row.packages_enabled,
        registry=RegistryAccess(row.registry_access),
        creator_id=row.creator_id,
        created_at=row.created_at,
        namespace=home,
    )


def _namespace(connection: Connection, where: ColumnElement[bool]) -> NamespaceInfo | None:
    query: Select[Any] = select(namespaces).where(where)
    return next(iter(infos(connection, connection.execute(query).all())), None)


def _target(writing: Writing, ref: int | str | None, by: Identity) -> NamespaceInfo:
    """The namespace that the caller may put a project into: his own, or a group where he is Maintainer (None: his own).

    One that he may not see is refused in the same words as one where he may not do so (GitLab).
    """
    assert by.user is not None, "the gate lets nobody else in"
    connection = writing.connection
    found = _namespace(connection, namespaces.c.owner_id == by.user.id if ref is None else by_ref(namespaces, ref))
    if found is None:
        raise _NOWHERE
    if found.kind == "user":
        if found.owner_id != by.user.id and not by.user.admin:
            raise _NOWHERE
        return found
    place, standing = enter(connection, "group", found.id, by, writing.at)
    if place is None or role_in(by, place, standing) < Role.MAINTAINER:
        raise _NOWHERE
    return found


def _add(writing: Writing, wishes: Wishes, within: NamespaceInfo, actor: Actor) -> int:
    name = wishes.name or wishes.path
    assert name is not None, "a project has a name or a path"
    path = wishes.path or slug(name)
    if not path:
        raise Refused(problems={"path": ("can't be blank",)})
    # A path made of a name must be as good as one that was given.
    wishes = evolve(wishes, name=name, path=path)
    full_path = f"{within.full_path}/{path}"
    check_full_path(full_path)
    if is_taken(writing.connection, full_path):
        raise Refused(problems={"path": (TAKEN,)})
    return add_project(writing, within, ProjectPath(namespace=within.full_path, segment=path), wishes, actor)


def _change(writing: Writing, found: ProjectDetails, wishes: Wishes, actor: Actor) -> None:
    values: dict[str, Any] = {}
    if wishes.name is not None and wishes.name != found.name:
        values["name"] = wishes.name
    if wishes.description is not None and wishes.description != found.description:
        values["description"] = wishes.description
    if wishes.visibility is not None and wishes.visibility is not found.visibility:
        if found.namespace.kind == "group":
            check_within(wishes.visibility, found.namespace.visibility)
        values["visibility"] = wishes.visibility.value
    switches = wishes.switches()
    if wishes.registry is None and wishes.packages_enabled is found.packages_enabled:
        switches = None  # the older flag says nothing new, and the level is finer
    if switches is not None and switches != (found.packages_enabled, found.registry):
        values |= {"packages_enabled": switches[0], "registry_access": switches[1].value}
    if wishes.path is not None and wishes.path != found.path:
        values |= _relocated(writing.connection, found, found.namespace.full_path, wishes.path)
    if values:
        writing.connection.execute(update(projects).where(projects.c.id == found.id).values(values))
        values.pop("full_path_key", None)
        detail = {f"new_{key}": value for key, value in values.items()} | ({"old_name": found.name} if "name" in values else {})
        writing.record("project.update", actor, project_id=found.id, path=found.full_path, **detail)


def _move(writing: Writing, found: ProjectDetails, target: NamespaceInfo, actor: Actor) -> None:
    if target.id == found.namespace.id:
        raise Refused(problems={"namespace": ("already holds this project",)})
    values: dict[str, Any] = {"namespace_id": target.id, **_relocated(writing.connection, found, target.full_path, found.path)}
    if target.kind == "group" and not found.visibility.within(target.visibility):
        values["visibility"] = target.visibility.value  # GitLab: lowered to what the group allows
    writing.connection.execute(update(projects).where(projects.c.id == found.id).values(values))
    to = values["full_path"]
    visibility = values.get("visibility", found.visibility.value)
    writing.record("project.transfer", actor, project_id=found.id, path=found.full_path, to=to, visibility=visibility)


def _relocated(connection: Connection, found: ProjectDetails, above: str, segment: str) -> dict[str, str]:
    full_path = f"{above}/{segment}"
    check_full_path(full_path)
    if is_taken(connection, full_path, project_id=found.id):
        raise Refused(problems={"path": (TAKEN,)})
    return {"full_path": full_path, "full_path_key": full_path.lower()}
