"""ISettings over the database."""

from collections.abc import Mapping

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select
from zope.interface import implementer

from registry.domain.model import Actor
from registry.interfaces import ISettings
from registry.storage.catalog.database import Database, Writing, latest
from registry.storage.catalog.tables import settings


@implementer(ISettings)
@frozen
class SqlSettings:
    """Settings of the whole registry that are changed while it runs."""

    _database: Database

    async def settings(self) -> tuple[Mapping[str, object], int]:
        """ISettings."""

        def work(connection: Connection) -> tuple[Mapping[str, object], int]:
            return _all(connection), latest(connection)

        return await self._database.read(work)

    async def change_settings(self, changes: Mapping[str, object], actor: Actor) -> Mapping[str, object]:
        """ISettings."""

        def work(writing: Writing) -> Mapping[str, object]:
            known = _all(writing.connection)
            changed = {name: value for name, value in changes.items() if known.get(name) != value}
            if changed:
                writing.connection.execute(delete(settings).where(settings.c.name.in_(changed)))
                writing.connection.execute(insert(settings), [{"name": name, "value": value} for name, value in changed.items()])
                writing.record("settings.update", actor, settings=changed)
            return {**known, **changed}

        return await self._database.write(work)


def _all(connection: Connection) -> dict[str, object]:
    return {row.name: row.value for row in connection.execute(select(settings))}
