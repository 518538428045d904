"""IFounding over the database."""

from attrs import frozen
from sqlalchemy import select
from zope.interface import implementer

from registry.domain.access import Visibility
from registry.domain.model import Actor, NewToken
from registry.domain.paths import ProjectPath
from registry.interfaces import IFounding
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.places import insert_project
from registry.storage.catalog.tables import users
from registry.storage.catalog.tokens import insert_token
from registry.storage.catalog.users import insert_user


@implementer(IFounding)
@frozen
class SqlFounding:
    """The first rows of an empty catalog."""

    _database: Database

    async def empty(self) -> bool:
        """IFounding."""
        return await self._database.read(lambda connection: connection.execute(select(users.c.id).limit(1)).first() is None)

    async def found(self, username: str, token: NewToken, project: ProjectPath) -> bool:
        """IFounding."""

        def work(writing: Writing) -> bool:
            if writing.connection.execute(select(users.c.id).limit(1)).first() is not None:
                return False
            system = Actor(user_id=None, username="")
            user = insert_user(writing, username, "", system, admin=True)
            insert_token(writing, user, token, system)
            insert_project(writing, project, Visibility.PRIVATE, system)
            return True

        return await self._database.write(work)
