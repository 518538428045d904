"""IAudit over the database."""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Select, func, or_, select
from zope.interface import implementer

from registry.domain.audit import Entry, Search
from registry.interfaces import IAudit
from registry.storage.catalog.database import Database, change_of
from registry.storage.catalog.tables import journal, projects


@implementer(IAudit)
@frozen
class SqlAudit:
    """The journal, for reading."""

    _database: Database

    async def entries(self, search: Search, limit: int) -> list[Entry]:
        """IAudit."""
        newest = _wanted(search).order_by(journal.c.serial.desc()).limit(limit)

        def work(connection: Connection) -> list[Entry]:
            return [Entry(change=change_of(row), project_path=row.full_path) for row in connection.execute(newest)]

        return list(reversed(await self._database.read(work)))


def _wanted(search: Search) -> Select[Any]:
    query = select(journal, projects.c.full_path).select_from(journal.outerjoin(projects, projects.c.id == journal.c.project_id))
    query = query.where(journal.c.serial > search.after)
    if search.project_id is not None:
        query = query.where(journal.c.project_id == search.project_id)
    if search.package:
        query = query.where(journal.c.name == search.package)
    if search.user is not None:
        query = query.where(func.lower(journal.c.username) == search.user.lower())
    if search.action:
        kind = journal.c.action.startswith(f"{search.action}.", autoescape=True)
        query = query.where(or_(journal.c.action == search.action, kind))
    if search.since is not None:
        query = query.where(journal.c.at >= search.since)
    if search.until is not None:
        query = query.where(journal.c.at < search.until)
    return query
