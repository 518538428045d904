"""IUsers over the database."""

from attrs import evolve, frozen
from sqlalchemy import Connection, select, update
from zope.interface import implementer

from registry.domain.access import User, Visibility
from registry.domain.errors import AlreadyTaken, Missing
from registry.domain.model import Actor
from registry.interfaces import IUsers
from registry.storage.catalog.access import user_of
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import namespaces, users


@implementer(IUsers)
@frozen
class SqlUsers:
    """People and bots."""

    _database: Database

    async def create_user(self, username: str, email: str, actor: Actor, *, admin: bool = False, name: str = "") -> User:
        """IUsers."""
        return await self._database.write(lambda writing: insert_user(writing, username, email, actor, admin=admin, name=name))

    async def users(self) -> list[User]:
        """IUsers."""
        rows = await self._database.read(lambda connection: connection.execute(select(users).order_by(users.c.id)).all())
        return [user_of(row) for row in rows]

    async def block_user(self, username: str, actor: Actor, *, blocked: bool) -> User:
        """IUsers."""

        def work(writing: Writing) -> User:
            found = find_user(writing.connection, username)
            writing.connection.execute(update(users).where(users.c.id == found.id).values(blocked=blocked))
            writing.record("user.block" if blocked else "user.unblock", actor, user=found.username)
            return evolve(found, blocked=blocked)

        return await self._database.write(work)


def find_user(connection: Connection, ref: int | str) -> User:
    """The user with this id or (any case) name. Raises `Missing`."""
    wanted = users.c.id == ref if isinstance(ref, int) else users.c.username_key == ref.lower()
    row = connection.execute(select(users).where(wanted)).one_or_none()
    if row is None:
        raise Missing(what="user", value=str(ref))
    return user_of(row)


def insert_user(
    writing: Writing, username: str, email: str, actor: Actor, *, admin: bool = False, name: str = "", bot: bool = False
) -> User:
    """Add a user and, unless it is a bot, a personal namespace. Raises `AlreadyTaken`."""
    connection, key = writing.connection, username.lower()
    taken = select(namespaces.c.id).where(namespaces.c.full_path_key == key)
    if connection.execute(taken).first() is not None or _exists(connection, key):
        raise AlreadyTaken(what="User name", value=username)
    values = {
        "username": username,
        "username_key": key,
        "name": name or username,
        "email": email,
        "admin": admin,
        "blocked": False,
        "bot": bot,
        "created_at": writing.at,
    }
    user_id = insert_row(connection, users, values)
    if not bot:
        _insert_personal_namespace(writing, user_id, username)
    writing.record("user.create", actor, user=username, admin=admin, bot=bot)
    return find_user(connection, user_id)


def _exists(connection: Connection, key: str) -> bool:
    return connection.execute(select(users.c.id).where(users.c.username_key == key)).first() is not None


def _insert_personal_namespace(writing: Writing, user_id: int, username: str) -> None:
    values = {
        "kind": "user",
        "full_path": username,
        "full_path_key": username.lower(),
        "name": username,
        "visibility": Visibility.PUBLIC.value,
        "owner_id": user_id,
        "created_at": writing.at,
    }
    number = insert_row(writing.connection, namespaces, values)
    writing.connection.execute(update(namespaces).where(namespaces.c.id == number).values(traversal=str(number)))
