"""IForwarding over the database: what the instance, groups and projects say about asking upstreams."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, literal_column, or_, select
from zope.interface import implementer

from registry.domain.access import Identity, Place, Project
from registry.domain.errors import UnknownGroup, UnknownProject
from registry.domain.forwarding import Forwarding, Says, Switch, Turn, decide, locked_by, turned
from registry.domain.model import Actor
from registry.domain.settings import FORWARDING, LOCK_FORWARDING
from registry.interfaces import IForwarding
from registry.storage.catalog.access import enter
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import Prepared, insert_row
from registry.storage.catalog.tables import forwarding, namespaces, settings

_NOBODY = Identity()
_KEY = ("kind", "place")
# Both are asked for with every page and file of an upstream.
_INSTANCE = Prepared(
    select(settings.c.name, settings.c.value).where(or_(settings.c.name == bindparam("switch"), settings.c.name == bindparam("lock")))
)


@lru_cache(32)
def _saying(places: int) -> Prepared:
    """What as many places say, with the paths of those that are groups."""
    these = [and_(forwarding.c.kind == bindparam(f"kind_{n}"), forwarding.c.place_id == bindparam(f"place_{n}")) for n in range(places)]
    path = and_(forwarding.c.kind == literal_column("'group'"), namespaces.c.id == forwarding.c.place_id)
    return Prepared(select(forwarding, namespaces.c.full_path).select_from(forwarding.outerjoin(namespaces, path)).where(or_(*these)))


@implementer(IForwarding)
@frozen
class SqlForwarding:
    """The switches; `default` is what the configuration says."""

    _database: Database
    _default: bool = True

    async def enabled(self, place: Place) -> bool:
        """IForwarding."""
        return await self._database.read(lambda connection: is_enabled(connection, place, default=self._default))

    async def forwarding(self, place: Place | None) -> Forwarding:
        """IForwarding."""
        if place is None:
            return self._told([], await self._database.read(_instance))
        above, says = await self._database.read(lambda connection: _chain(connection, place))
        return self._told(above, says)

    async def switch(self, kind: str, place_id: int, turn: Turn, actor: Actor) -> Forwarding:
        """IForwarding."""

        def work(writing: Writing) -> Forwarding:
            return self._told(*turn_switch(writing, kind, place_id, turn, actor))

        return await self._database.write(work)

    def _told(self, above: Sequence[Says], says: Says) -> Forwarding:
        return Forwarding(says=says, enabled=decide([*above, says], default=self._default), locked_by=locked_by(above))


def is_enabled(connection: Connection, place: Place, *, default: bool) -> bool:
    """Whether upstreams may be asked in a place."""
    above, says = _chain(connection, place)
    return decide([*above, says], default=default)


def turn_switch(writing: Writing, kind: str, place_id: int, turn: Turn, actor: Actor) -> tuple[list[Says], Says]:
    """Turn the switch of a group or project (`kind`), in the transaction of the caller; what is said above it, and there now.

    Raises `UnknownGroup`, `UnknownProject`, and what `turned` raises.
    """
    connection = writing.connection
    place, _ = enter(connection, kind, place_id, _NOBODY, writing.at)
    if place is None:
        raise UnknownProject if kind == "project" else UnknownGroup
    is_project = isinstance(place, Project)
    above, before = _chain(connection, place)
    after = turned(before, above, turn, lockable=not is_project)
    if after != before:
        connection.execute(delete(forwarding).where(_of(kind, place_id)))
        if after.switch is not Switch.INHERIT or after.locked:
            row = {"kind": kind, "place_id": place_id, "enabled": after.switch.enabled, "locked": after.locked}
            insert_row(connection, forwarding, row)
        told: dict[str, Any] = {"path": place.path, "enabled": after.switch.enabled, "locked": after.locked}
        told |= {"project_id": place_id} if is_project else {"group_id": place_id}
        writing.record("forwarding.update", actor, **told)
    return above, after


def _of(kind: str, place_id: int) -> ColumnElement[bool]:
    return and_(forwarding.c.kind == kind, forwarding.c.place_id == place_id)


def _chain(connection: Connection, place: Place) -> tuple[list[Says], Says]:
    """What is said above a place, outermost first and beginning with the instance, and what itself says."""
    is_project = isinstance(place, Project)
    lineage = place.lineage if is_project else place.lineage[:-1]
    places = [("project" if is_project else "group", place.id), *(("group", number) for number in lineage)]
    values = {f"{column}_{number}": value for number, said in enumerate(places) for column, value in zip(_KEY, said, strict=True)}
    said = {
        (row.kind, row.place_id): Says(holder=f"the group {row.full_path}", switch=Switch.of(row.enabled), locked=row.locked)
        for row in _saying(len(places)).all(connection, **values)
    }
    mine = said.get(("project" if is_project else "group", place.id), Says(holder=""))
    holder = f"the {'project' if is_project else 'group'} {place.path}"
    above = [said["group", number] for number in lineage if ("group", number) in said]
    return [_instance(connection), *above], Says(holder=holder, switch=mine.switch, locked=mine.locked)


def _instance(connection: Connection) -> Says:
    values = {row.name: row.value for row in _INSTANCE.all(connection, switch=FORWARDING, lock=LOCK_FORWARDING)}
    return Says(holder="the instance", switch=Switch.of(values.get(FORWARDING)), locked=values.get(LOCK_FORWARDING) is True)
