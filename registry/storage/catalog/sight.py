"""What a caller may see, and where he belongs, as conditions on rows: the same decision as `domain.access.demand`, for lists."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true

from registry.domain.access import Identity, Role, Visibility
from registry.storage.catalog.access import current
from registry.storage.catalog.tables import members, namespaces, projects

_OPEN = (Visibility.PUBLIC.value,)
_OPEN_TO_USERS = (Visibility.PUBLIC.value, Visibility.INTERNAL.value)


def groups_seen(identity: Identity, now: datetime) -> ColumnElement[bool]:
    """Whether the caller may see a group: a row of `namespaces`."""
    user = identity.user
    if user is None:
        return namespaces.c.visibility.in_(_OPEN)
    if user.admin:
        return true()
    return or_(namespaces.c.visibility.in_(_OPEN_TO_USERS), groups_held(identity, now, Role.GUEST))


def groups_held(identity: Identity, now: datetime, least: Role) -> ColumnElement[bool]:
    """Whether the caller has at least the role `least` in a group by membership, there or above; being an administrator is none."""
    return false() if identity.user is None else namespaces.c.id.in_(_inherited(identity.user.id, now, least))


def projects_seen(identity: Identity, now: datetime) -> ColumnElement[bool]:
    """Whether the caller may see a project: a row of `projects` joined with `namespaces`."""
    user = identity.user
    if user is None:
        return projects.c.visibility.in_(_OPEN)
    if user.admin:
        return true()
    return or_(projects.c.visibility.in_(_OPEN_TO_USERS), projects_held(identity, now, Role.GUEST))


def projects_held(identity: Identity, now: datetime, least: Role) -> ColumnElement[bool]:
    """Whether the caller has at least the role `least` in a project, by membership there or above, or as it lies in his namespace."""
    if identity.user is None:
        return false()
    mine = identity.user.id
    direct = select(members.c.project_id).where(
        members.c.user_id == mine, members.c.project_id.is_not(None), members.c.access_level >= least, current(now)
    )
    return or_(projects.c.id.in_(direct), projects.c.namespace_id.in_(_inherited(mine, now, least)), namespaces.c.owner_id == mine)


def _inherited(user_id: int, now: datetime, least: Role) -> Select[Any]:
    top, below = namespaces.alias("top"), namespaces.alias("below")
    # "0" follows "/": see `in_tree`.
    under = or_(
        below.c.traversal == top.c.traversal,
        and_(below.c.traversal > top.c.traversal + "/", below.c.traversal < top.c.traversal + "0"),
    )
    held = members.join(top, members.c.namespace_id == top.c.id).join(below, under)
    return select(below.c.id).select_from(held).where(members.c.user_id == user_id, members.c.access_level >= least, current(now))
