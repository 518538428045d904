"""IGroups over the database: groups made, changed and removed."""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, func, select, update
from zope.interface import implementer

from registry.domain.access import Identity, Permission, Role, Visibility, demand
from registry.domain.errors import Forbidden, Refused, Unauthenticated, UnknownGroup
from registry.domain.model import Actor
from registry.domain.places import TAKEN, NamespaceInfo, Wishes, check_contains, check_full_path, check_top_level, check_within
from registry.interfaces import IGroups
from registry.storage.catalog.access import enter, in_tree
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.forwarding import turn_switch
from registry.storage.catalog.namespaces import group_info
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.removal import remove_group
from registry.storage.catalog.tables import members, namespaces, projects


@implementer(IGroups)
@frozen
class SqlGroups:
    """Groups and their subgroups."""

    _database: Database

    async def create_group(self, wishes: Wishes, parent: int | str | None, actor: Actor, by: Identity | None) -> NamespaceInfo:
        """IGroups."""
        return await self._database.write(lambda writing: _create(writing, wishes, parent, actor, by))

    async def change_group(self, group_id: int, wishes: Wishes, actor: Actor) -> NamespaceInfo:
        """IGroups."""

        def work(writing: Writing) -> NamespaceInfo:
            found = group_info(writing.connection, group_id)
            _change(writing, found, wishes, actor)
            if wishes.forwarding is not None:
                turn_switch(writing, "group", group_id, wishes.forwarding, actor)
            return group_info(writing.connection, group_id)

        return await self._database.write(work)

    async def remove_group(self, group_id: int, actor: Actor) -> None:
        """IGroups."""
        await self._database.write(lambda writing: remove_group(writing, group_info(writing.connection, group_id), actor))


def is_taken(connection: Connection, path: str, *, group_id: int = 0, project_id: int = 0) -> bool:
    """Whether a full path (any case) belongs to a namespace or project other than these."""
    key = path.lower()
    in_namespaces = select(namespaces.c.id).where(namespaces.c.full_path_key == key, namespaces.c.id != group_id)
    in_projects = select(projects.c.id).where(projects.c.full_path_key == key, projects.c.id != project_id)
    return connection.execute(in_namespaces.union_all(in_projects)).first() is not None


def _create(writing: Writing, wishes: Wishes, parent: int | str | None, actor: Actor, by: Identity | None) -> NamespaceInfo:
    connection = writing.connection
    assert wishes.name is not None, "a group has a name"
    assert wishes.path is not None, "a group has a path"
    above = None if parent is None else _parent(writing, parent, by)
    if above is None:
        # GitLab: an access token's bot belongs to its place and founds nothing beside it.
        if by is not None and (by.user is None or by.user.bot):
            raise Forbidden if by.user is not None else Unauthenticated
        check_top_level(wishes.path)
    visibility = wishes.visibility or Visibility.PRIVATE
    if above is not None:
        check_within(visibility, above.visibility)
    full_path = wishes.path if above is None else f"{above.full_path}/{wishes.path}"
    check_full_path(full_path, groups=1 if above is None else 1 + len(above.lineage))
    if is_taken(connection, full_path):
        raise Refused(problems={"path": (TAKEN,)})
    values = {
        "kind": "group",
        "full_path": full_path,
        "full_path_key": full_path.lower(),
        "name": wishes.name,
        "visibility": visibility.value,
        "description": wishes.description or "",
        "parent_id": None if above is None else above.id,
        "created_at": writing.at,
    }
    number = insert_row(connection, namespaces, values)
    lineage = (*(() if above is None else above.lineage), number)
    connection.execute(update(namespaces).where(namespaces.c.id == number).values(traversal="/".join(map(str, lineage))))
    writing.record("group.create", actor, group_id=number, path=full_path, visibility=visibility.value)
    if by is not None and by.user is not None:
        owner = {"user_id": by.user.id, "namespace_id": number, "access_level": Role.OWNER.value, "created_at": writing.at}
        insert_row(connection, members, owner)
        writing.record("member.add", actor, group_id=number, place=full_path, user=by.user.username, role=Role.OWNER.value)
    return group_info(connection, number)


def _parent(writing: Writing, ref: int | str, by: Identity | None) -> NamespaceInfo:
    place, standing = enter(writing.connection, "group", ref, by or Identity(), writing.at)
    if by is not None:
        demand(Permission.ADMIN_GROUP, by, place, standing, challenge=False)
    if place is None:
        raise UnknownGroup
    return group_info(writing.connection, place.id)


def _change(writing: Writing, found: NamespaceInfo, wishes: Wishes, actor: Actor) -> None:
    connection = writing.connection
    values: dict[str, Any] = {}
    if wishes.name is not None and wishes.name != found.name:
        values["name"] = wishes.name
    if wishes.description is not None and wishes.description != found.description:
        values["description"] = wishes.description
    if wishes.visibility is not None and wishes.visibility is not found.visibility:
        _check_visibility(connection, found, wishes.visibility)
        values["visibility"] = wishes.visibility.value
    detail = {f"new_{key}" if key == "name" else key: value for key, value in values.items()}
    if "name" in values:
        detail["old_name"] = found.name
    if wishes.path is not None and wishes.path != found.path:
        detail["path"] = _rename(connection, found, wishes.path)
    if values:
        connection.execute(update(namespaces).where(namespaces.c.id == found.id).values(values))
    if detail:
        writing.record("group.update", actor, group_id=found.id, group=found.full_path, **detail)


def _check_visibility(connection: Connection, found: NamespaceInfo, wanted: Visibility) -> None:
    if found.parent_id is not None:
        check_within(wanted, group_info(connection, found.parent_id).visibility)
    for what, column, place in (
        ("projects", projects.c.visibility, projects.c.namespace_id),
        ("sub-groups", namespaces.c.visibility, namespaces.c.parent_id),
    ):
        below = connection.execute(select(column).distinct().where(place == found.id)).scalars()
        check_contains(wanted, [Visibility(one) for one in below], what=what)


def _rename(connection: Connection, found: NamespaceInfo, segment: str) -> str:
    """Give the group another path, and all that lies below it with it; the new full path."""
    above, slash, _ = found.full_path.rpartition("/")
    full_path = f"{above}{slash}{segment}"
    if not above:
        check_top_level(segment)
    if is_taken(connection, full_path, group_id=found.id):
        raise Refused(problems={"path": (TAKEN,)})
    within = select(namespaces.c.id).where(in_tree(found.lineage))
    for table, where in ((namespaces, namespaces.c.id.in_(within)), (projects, projects.c.namespace_id.in_(within))):
        longest = connection.execute(select(func.max(func.length(table.c.full_path))).where(where)).scalar_one() or 0
        check_full_path("x" * (longest - len(found.full_path) + len(full_path)))
        tail = len(found.full_path) + 1
        values = {
            "full_path": full_path + func.substr(table.c.full_path, tail),
            "full_path_key": full_path.lower() + func.substr(table.c.full_path_key, tail),
        }
        connection.execute(update(table).where(where).values(values))
    return full_path
