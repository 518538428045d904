"""IHistory over the database: journal rows by index, folded in the thread that reads them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, case, func, select, text
from zope.interface import implementer

from registry.domain.former_places import FormerGroup, FormerPlace, FormerPlaces
from registry.domain.history import INDEX_ACTIONS, PAGE_ACTIONS, TURNING_ACTIONS, deleted_at, is_listed_at, names_in, page_at
from registry.domain.model import Actor, Change, Page
from registry.domain.names import Name
from registry.interfaces import IHistory
from registry.storage.catalog.database import Database
from registry.storage.catalog.tables import PLACE_ACTIONS, Instant, journal, namespaces, projects

_BATCH = 500
_NOBODY = Actor(user_id=None, username="")  # whose change it was says no page
_CHANGE = select(journal.c.serial, journal.c.at, journal.c.action, journal.c.project_id, journal.c.name, journal.c.detail)
_AT = bindparam("at", type_=Instant)
# Made once each, so that SQLAlchemy compiles them once and knows them again by their identity.
_OF_NAMES = _CHANGE.where(
    journal.c.project_id.in_(bindparam("projects", expanding=True)),
    journal.c.name.in_(bindparam("names", expanding=True)),
    journal.c.action.in_(PAGE_ACTIONS),
).order_by(journal.c.serial)
# What `is_listed_at` looks at; taken out of the details by the database, in a third of the time.
_LISTED = ("version", "filename", "status")
_OF_INDEX = (
    select(journal.c.serial, journal.c.at, journal.c.action, journal.c.name, *(journal.c.detail[key].as_string() for key in _LISTED))
    .where(
        journal.c.project_id == bindparam("project"),
        journal.c.name.in_(bindparam("names", expanding=True)),
        journal.c.action.in_(INDEX_ACTIONS),
    )
    .order_by(journal.c.serial)
)
# A name begins with a file; unless something turns it, it stays.
_TURNS = (
    select(journal.c.project_id, journal.c.name, func.max(case((journal.c.action.in_(TURNING_ACTIONS), 1), else_=0)).label("turned"))
    .where(
        journal.c.project_id.in_(bindparam("projects", expanding=True)),
        journal.c.name > "",
        journal.c.action.in_(PAGE_ACTIONS),
    )
    .group_by(journal.c.project_id, journal.c.name)
    .having(func.min(journal.c.at) <= _AT)
)
# As literal text: only so is the index known to hold all that is asked for.
_OF_PLACES = text(PLACE_ACTIONS)
_LAST = select(func.coalesce(func.max(journal.c.serial), 0)).where(_OF_PLACES, journal.c.at <= _AT)
_LATER = _CHANGE.where(_OF_PLACES, journal.c.serial > bindparam("last")).order_by(journal.c.serial)
_PROJECTS = select(projects.c.id, projects.c.full_path, projects.c.name)
_PROJECT = _PROJECTS.where(projects.c.id == bindparam("project"))
_GROUP = select(namespaces.c.id, namespaces.c.full_path, namespaces.c.name).where(namespaces.c.id == bindparam("group"))


@implementer(IHistory)
@frozen
class SqlHistory:
    """What was so at an instant."""

    _database: Database

    async def page(self, project_ids: Sequence[int], name: Name, at: datetime) -> Page | None:
        """IHistory."""
        return await self._database.read(lambda connection: page_at(_of_names(connection, project_ids, [name.normalized]), name, at))

    async def names(self, project_ids: Sequence[int], at: datetime) -> tuple[str, ...]:
        """IHistory."""
        return await self._database.read(lambda connection: tuple(sorted(_names(connection, project_ids, at))))

    async def deleted(self, project_ids: Sequence[int], sha256: str, filename: str) -> datetime | None:
        """IHistory."""
        names = sorted(names_in(filename))
        return await self._database.read(
            lambda connection: deleted_at(_of_names(connection, project_ids, names), sha256, filename) if names else None
        )

    async def project_title(self, project_id: int, at: datetime) -> str | None:
        """IHistory."""

        def work(connection: Connection) -> str | None:
            then = FormerPlaces(projects=_places(connection.execute(_PROJECT, {"project": project_id})), groups={})
            then.undo(_later(connection, at))
            place = then.projects.get(project_id)
            return None if place is None else place.title

        return await self._database.read(work)

    async def group(self, group_id: int, at: datetime) -> FormerGroup | None:
        """IHistory."""

        def work(connection: Connection) -> FormerGroup | None:
            everywhere, groups = _places(connection.execute(_PROJECTS)), _places(connection.execute(_GROUP, {"group": group_id}))
            then = FormerPlaces(projects=dict(everywhere), groups=dict(groups))
            then.undo(_later(connection, at))
            return then.group(group_id, everywhere, groups[group_id]) if group_id in groups else None

        return await self._database.read(work)


def _of_names(connection: Connection, project_ids: Iterable[int], names: Sequence[str]) -> Iterator[Change]:
    for row in connection.execute(_OF_NAMES, {"projects": list(project_ids), "names": names}):
        yield _change(row)


def _names(connection: Connection, project_ids: Iterable[int], at: datetime) -> set[str]:
    found: set[str] = set()
    turned: dict[int, list[str]] = {}
    for project_id, name, turns in connection.execute(_TURNS, {"projects": list(project_ids), "at": at}):
        if turns:
            turned.setdefault(project_id, []).append(name)
        else:
            found.add(name)
    for project_id, names in turned.items():
        unknown = [name for name in names if name not in found]
        for start in range(0, len(unknown), _BATCH):
            changes: dict[str, list[Change]] = {}
            given = {"project": project_id, "names": unknown[start : start + _BATCH]}
            for serial, moment, action, name, *facts in connection.execute(_OF_INDEX, given):
                detail = dict(zip(_LISTED, facts, strict=True))
                change = Change(serial=serial, at=moment, action=action, actor=_NOBODY, project_id=project_id, name=name, detail=detail)
                changes.setdefault(name, []).append(change)
            found.update(name for name, mine in changes.items() if is_listed_at(mine, at))
    return found


def _later(connection: Connection, at: datetime) -> list[Change]:
    last = connection.execute(_LAST, {"at": at}).scalar_one()
    return [_change(row) for row in connection.execute(_LATER, {"last": last})]


def _places(rows: Iterable[Any]) -> dict[int, FormerPlace]:
    return {number: FormerPlace(path=path, title=title) for number, path, title in rows}


def _change(row: Any) -> Change:
    serial, at, action, project_id, name, detail = row
    return Change(serial=serial, at=at, action=action, actor=_NOBODY, project_id=project_id, name=name, detail=detail)
