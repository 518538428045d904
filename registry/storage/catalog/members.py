"""IMembers over the database: who belongs to a project or group, given and taken inside one transaction each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, literal, null, or_, select, union_all, update
from zope.interface import implementer

from registry.domain.access import Group, Identity, Permission, Place, Project, Role, User, demand, role_in
from registry.domain.errors import Conflict, NotFound, Refused, UnknownGroup, UnknownProject
from registry.domain.members import Grant, Member, Seats, check_above_inherited, check_owner_left, check_rank
from registry.domain.model import Actor
from registry.interfaces import IMembers
from registry.storage.catalog.access import current, enter, in_tree, user_of
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.namespaces import paged
from registry.storage.catalog.tables import members, namespaces, projects, users


@implementer(IMembers)
@frozen
class SqlMembers:
    """Memberships of projects and groups."""

    _database: Database

    async def members(self, place: Place, seats: Seats, limit: int, offset: int) -> tuple[list[Member], int]:
        """IMembers."""
        query = _seats(place, seats, self._database.now())

        def work(connection: Connection) -> tuple[list[Member], int]:
            rows, total = paged(connection, query, (users.c.id,), limit, offset)
            return [_member(row) for row in rows], total

        return await self._database.read(work)

    async def member(self, place: Place, user_id: int, *, inherited: bool) -> Member:
        """IMembers."""
        query = _seats(place, Seats(inherited=inherited, user_ids=(user_id,)), self._database.now())
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise NotFound
        return _member(row)

    async def add(self, place: Place, grants: Sequence[Grant], actor: Actor, by: Identity | None) -> list[Member]:
        """IMembers."""

        def work(writing: Writing) -> list[Member]:
            here, rank = _rank(writing, place, by)
            return [_add(writing, here, grant, rank, actor) for grant in grants]

        return await self._database.write(work)

    async def change(self, place: Place, grant: Grant, actor: Actor, by: Identity | None, *, keep_expiry: bool) -> Member:
        """IMembers."""

        def work(writing: Writing) -> Member:
            here, rank = _rank(writing, place, by)
            row, user = _seat(writing, here, grant.user)
            expires_at = row.expires_at if keep_expiry else grant.expires_at
            check_rank(rank, Role(row.access_level), grant.role)
            check_above_inherited(grant.role, *_inherited(writing, here, user.id))
            if grant.role < Role.OWNER or expires_at is not None:
                _check_owner_left(writing, here, row)
            values = {"access_level": grant.role.value, "expires_at": expires_at}
            writing.connection.execute(update(members).where(members.c.id == row.id).values(values))
            changed = Member(user=user, role=grant.role, created_at=row.created_at, expires_at=expires_at)
            _record(writing, "member.update", actor, here, changed)
            return changed

        return await self._database.write(work)

    async def remove(self, place: Place, user_id: int | str, actor: Actor, by: Identity | None) -> None:
        """IMembers."""

        def work(writing: Writing) -> None:
            leaves = by is not None and by.user is not None and by.user.id == user_id
            here, rank = _rank(writing, place, by, Permission.LEAVE if leaves else Permission.ADMIN_MEMBERS)
            row, user = _seat(writing, here, user_id)
            if not leaves:
                check_rank(rank, Role(row.access_level))
            _check_owner_left(writing, here, row)
            gone = members.c.id == row.id
            if isinstance(here, Group):
                # GitLab: with the group go the roles below it that were given beside it (hardening row 28).
                gone = or_(gone, and_(members.c.user_id == user.id, _below(here)))
            writing.connection.execute(delete(members).where(gone))
            _record(writing, "member.remove", actor, here, Member(user=user, role=Role(row.access_level), created_at=row.created_at))

        await self._database.write(work)


def _here(place: Place) -> ColumnElement[bool]:
    return members.c.project_id == place.id if isinstance(place, Project) else members.c.namespace_id == place.id


def _above(place: Place) -> tuple[int, ...]:
    return place.lineage if isinstance(place, Project) else place.lineage[:-1]


def _below(group: Group) -> ColumnElement[bool]:
    within = select(namespaces.c.id).where(in_tree(group.lineage))
    held = select(projects.c.id).where(projects.c.namespace_id.in_(within))
    return or_(members.c.namespace_id.in_(within), members.c.project_id.in_(held))


def _seats(place: Place, seats: Seats, now: datetime) -> Select[Any]:
    """Users with the membership that counts for each: the highest role, and of equals the nearest."""
    columns = (members.c.user_id, members.c.access_level, members.c.created_at, members.c.expires_at)
    parts: list[Select[Any]] = [select(*columns, literal(0).label("distance")).where(_here(place), current(now))]
    if isinstance(place, Project) and place.owner_id is not None:
        # GitLab: in a personal namespace its owner is a member of every project.
        born = select(projects.c.created_at).where(projects.c.id == place.id).scalar_subquery()
        parts.append(select(literal(place.owner_id), literal(Role.OWNER.value), born, null(), literal(0)))
    if seats.inherited:
        parts.append(select(*columns, literal(1).label("distance")).where(members.c.namespace_id.in_(_above(place)), current(now)))
    held = union_all(*parts).subquery("held")
    best = func.row_number().over(partition_by=held.c.user_id, order_by=(held.c.access_level.desc(), held.c.distance)).label("place")
    ranked = select(held, best).subquery("ranked")
    query = select(*users.c, ranked.c.access_level, ranked.c.created_at.label("since"), ranked.c.expires_at.label("until")).select_from(
        users.join(ranked, ranked.c.user_id == users.c.id)
    )
    query = query.where(ranked.c.place == 1)
    if seats.query:
        query = query.where(
            or_(users.c.name.icontains(seats.query, autoescape=True), users.c.username.icontains(seats.query, autoescape=True))
        )
    return query.where(users.c.id.in_(seats.user_ids)) if seats.user_ids else query


def _member(row: Any) -> Member:
    return Member(user=user_of(row), role=Role(row.access_level), created_at=row.since, expires_at=row.until)


def _rank(writing: Writing, place: Place, by: Identity | None, permission: Permission = Permission.ADMIN_MEMBERS) -> tuple[Place, Role]:
    """The place as it is now, and the role with which the caller acts there (None: the operator, who may do everything)."""
    kind = "project" if isinstance(place, Project) else "group"
    here, standing = enter(writing.connection, kind, place.id, by or Identity(), writing.at)
    if here is None:
        raise UnknownProject if kind == "project" else UnknownGroup
    if by is not None:
        demand(permission, by, here, standing, challenge=False)
    return here, Role.OWNER if by is None else role_in(by, here, standing)


def _user(writing: Writing, ref: int | str) -> User:
    wanted = users.c.id == ref if isinstance(ref, int) else users.c.username_key == ref.lower()
    row = writing.connection.execute(select(users).where(wanted)).one_or_none()
    if row is None:
        raise NotFound(what="User")
    return user_of(row)


def _seat(writing: Writing, place: Place, ref: int | str) -> tuple[Any, User]:
    """The direct membership of a user, and him. Raises `NotFound`, in the same words whether or not there is such a user."""
    wanted = users.c.id == ref if isinstance(ref, int) else users.c.username_key == ref.lower()
    found = writing.connection.execute(select(users).where(wanted)).one_or_none()
    direct = None
    if found is not None:
        mine = select(members).where(_here(place), members.c.user_id == found.id, current(writing.at))
        direct = writing.connection.execute(mine).one_or_none()
    if found is None or direct is None:
        raise NotFound
    return direct, user_of(found)


def _inherited(writing: Writing, place: Place, user_id: int) -> tuple[Role, str]:
    """The highest role from above, and the name of the group that gives it."""
    query = (
        select(members.c.access_level, namespaces.c.name)
        .select_from(members.join(namespaces))
        .where(members.c.user_id == user_id, members.c.namespace_id.in_(_above(place)), current(writing.at))
        .order_by(members.c.access_level.desc())
    )
    row = writing.connection.execute(query).first()
    return (Role.NONE, "") if row is None else (Role(row.access_level), row.name)


def _add(writing: Writing, place: Place, grant: Grant, rank: Role, actor: Actor) -> Member:
    connection = writing.connection
    check_rank(rank, grant.role)
    user = _user(writing, grant.user)
    if user.bot:
        raise Refused(problems={"base": ("Project bots cannot be added to other groups / projects",)})
    mine = and_(_here(place), members.c.user_id == user.id)
    connection.execute(delete(members).where(mine, ~current(writing.at)))
    owns = isinstance(place, Project) and place.owner_id == user.id
    if owns or connection.execute(select(members.c.id).where(mine)).first() is not None:
        raise Conflict(text="Member already exists")
    check_above_inherited(grant.role, *_inherited(writing, place, user.id))
    values = {
        "user_id": user.id,
        "project_id" if isinstance(place, Project) else "namespace_id": place.id,
        "access_level": grant.role.value,
        "created_at": writing.at,
        "expires_at": grant.expires_at,
    }
    connection.execute(insert(members).values(values))
    made = Member(user=user, role=grant.role, created_at=writing.at, expires_at=grant.expires_at)
    _record(writing, "member.add", actor, place, made)
    return made


def _check_owner_left(writing: Writing, place: Place, row: Any) -> None:
    """Raises `Forbidden` when the membership `row` makes the group's last owner. One above owns what is below, too."""
    if not isinstance(place, Group) or row.access_level < Role.OWNER:
        return
    others = owners(place.lineage, writing.at).where(members.c.id != row.id)
    check_owner_left(len(writing.connection.execute(others).all()))


def owners(lineage: Sequence[int], now: datetime) -> Select[Any]:
    """The memberships that make people, who are not blocked, owners of the group with this lineage."""
    return (
        select(members.c.id)
        .select_from(members.join(users))
        .where(
            members.c.namespace_id.in_(lineage),
            members.c.access_level >= Role.OWNER.value,
            users.c.blocked.is_(False),
            users.c.bot.is_(False),
            current(now),
        )
    )


def _record(writing: Writing, action: str, actor: Actor, place: Place, held: Member) -> None:
    detail: dict[str, Any] = {"place": place.path, "user": held.user.username, "role": held.role.value}
    if isinstance(place, Project):
        writing.record(action, actor, project_id=place.id, **detail)
    else:
        writing.record(action, actor, group_id=place.id, **detail)
