"""IPeople over the database: users as administrators find, register, change, block and remove them."""

from attrs import asdict, evolve, frozen
from sqlalchemy import ColumnElement, Connection, func, select, update
from zope.interface import implementer

from registry.domain.access import Role, User
from registry.domain.errors import AlreadyTaken, Conflict, Forbidden, NotFound, Refused
from registry.domain.model import Actor
from registry.domain.people import NewUser, UserChange, UserListing
from registry.domain.places import TAKEN
from registry.interfaces import IPeople
from registry.storage.catalog.access import lineage_of, user_of
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.members import owners
from registry.storage.catalog.namespaces import paged
from registry.storage.catalog.removal import erase_user
from registry.storage.catalog.tables import members, namespaces, projects, users
from registry.storage.catalog.users import insert_user

_ORDER = {"id": users.c.id, "name": func.lower(users.c.name), "username": users.c.username_key, "created_at": users.c.id}


@implementer(IPeople)
@frozen
class SqlPeople:
    """Users, by number."""

    _database: Database

    async def people(self, listing: UserListing, limit: int, offset: int) -> tuple[list[User], int]:
        """IPeople."""
        query = select(users).where(*_wanted(listing))
        keys = (_ORDER[listing.order_by], users.c.id)
        order = tuple(key.desc() if listing.descending else key.asc() for key in keys)

        def work(connection: Connection) -> tuple[list[User], int]:
            rows, total = paged(connection, query, order, limit, offset)
            return [user_of(row) for row in rows], total

        return await self._database.read(work)

    async def person(self, user_id: int) -> User:
        """IPeople."""
        return await self._database.read(lambda connection: _find(connection, user_id))

    async def register(self, new: NewUser, actor: Actor) -> User:
        """IPeople."""

        def work(writing: Writing) -> User:
            _check_email_free(writing.connection, new.email, Conflict(text="Email has already been taken"))
            try:
                return insert_user(writing, new.username, new.email, actor, admin=new.admin, name=new.name)
            except AlreadyTaken:
                raise Conflict(text="Username has already been taken") from None

        return await self._database.write(work)

    async def change_person(self, user_id: int, change: UserChange, actor: Actor) -> User:
        """IPeople."""

        def work(writing: Writing) -> User:
            found = _find(writing.connection, user_id)
            if change.admin is False and found.admin and actor.user_id == user_id:
                raise Forbidden(reason="Another administrator must do this; nobody takes away his own rights.")
            values = {name: value for name, value in asdict(change).items() if value is not None and value != getattr(found, name)}
            if "email" in values and found.email.lower() != values["email"].lower():
                _check_email_free(writing.connection, values["email"], Refused(problems={"email": (TAKEN,)}))
            if values:
                writing.connection.execute(update(users).where(users.c.id == user_id).values(values))
                writing.record("user.update", actor, user=found.username, **values)
            return evolve(found, **values)

        return await self._database.write(work)

    async def set_blocked(self, user_id: int, actor: Actor, *, blocked: bool) -> None:
        """IPeople."""

        def work(writing: Writing) -> None:
            found = _find(writing.connection, user_id)
            if blocked and actor.user_id == user_id:
                raise Forbidden(reason="Nobody blocks himself.")
            if found.blocked is blocked:
                raise Forbidden(reason="User already blocked" if blocked else "User is not blocked")
            writing.connection.execute(update(users).where(users.c.id == user_id).values(blocked=blocked))
            writing.record("user.block" if blocked else "user.unblock", actor, user=found.username)

        await self._database.write(work)

    async def remove_person(self, user_id: int, actor: Actor) -> None:
        """IPeople."""

        def work(writing: Writing) -> None:
            found = _find(writing.connection, user_id)
            if actor.user_id == user_id:
                raise Forbidden(reason="Another administrator must do this; nobody removes himself.")
            _check_nothing_orphaned(writing, user_id)
            gone = erase_user(writing, user_id)
            writing.record("user.delete", actor, user=found.username, kept_as_blocked=not gone)

        await self._database.write(work)


def _wanted(listing: UserListing) -> list[ColumnElement[bool]]:
    terms: list[ColumnElement[bool]] = []
    if listing.username:
        terms.append(users.c.username_key == listing.username.lower())
    if listing.search:
        found = users.c.name.icontains(listing.search, autoescape=True) | users.c.username.icontains(listing.search, autoescape=True)
        terms.append(found | (func.lower(users.c.email) == listing.search.lower()) if listing.by_email else found)
    if listing.blocked is not None:
        terms.append(users.c.blocked.is_(listing.blocked))
    if not listing.bots:
        terms.append(users.c.bot.is_(False))
    return terms


def _find(connection: Connection, user_id: int) -> User:
    row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(what="User")
    return user_of(row)


def _check_email_free(connection: Connection, email: str, taken: Conflict | Refused) -> None:
    if connection.execute(select(users.c.id).where(func.lower(users.c.email) == email.lower())).first() is not None:
        raise taken


def _check_nothing_orphaned(writing: Writing, user_id: int) -> None:
    """Raises `Refused` while the user has projects of his own, or is the only owner of a group."""
    connection = writing.connection
    own = select(projects.c.full_path).select_from(projects.join(namespaces)).where(namespaces.c.owner_id == user_id).limit(1)
    held = connection.execute(own).scalar_one_or_none()
    if held is not None:
        problem = f"cannot be removed while there are projects in their namespace, such as {held}: remove or transfer those first"
        raise Refused(problems={"user": (problem,)})
    owned = (
        select(namespaces.c.full_path, namespaces.c.traversal)
        .select_from(members.join(namespaces))
        .where(members.c.user_id == user_id, members.c.access_level >= Role.OWNER.value)
        .order_by(namespaces.c.id)
    )
    for row in connection.execute(owned):
        others = owners(lineage_of(row.traversal), writing.at).where(members.c.user_id != user_id)
        if connection.execute(others.limit(1)).first() is None:
            problem = f"cannot be removed while they are the only owner of the group {row.full_path}: make somebody else its owner first"
            raise Refused(problems={"user": (problem,)})
