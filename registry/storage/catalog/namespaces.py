"""INamespaces over the database: groups and users' own namespaces, seen and listed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, or_, select, true
from zope.interface import implementer

from registry.domain.access import Identity, Role, Visibility
from registry.domain.errors import NotFound, UnknownGroup
from registry.domain.places import Listing, NamespaceInfo
from registry.interfaces import INamespaces
from registry.storage.catalog.access import by_ref, in_tree, lineage_of
from registry.storage.catalog.database import Database
from registry.storage.catalog.sight import groups_held, groups_seen
from registry.storage.catalog.tables import namespaces

_GROUP = namespaces.c.kind == "group"


@implementer(INamespaces)
@frozen
class SqlNamespaces:
    """Groups and users' own namespaces."""

    _database: Database

    async def groups(self, listing: Listing, identity: Identity | None, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
        """INamespaces."""
        now = self._database.now()
        query = select(namespaces).where(_GROUP, _wanted(listing))
        if identity is not None:
            query = query.where(groups_seen(identity, now))
        if identity is not None and listing.least is not None:
            query = query.where(groups_held(identity, now, listing.least))
        return await self._database.read(lambda connection: _page(connection, query, listing, limit, offset))

    async def group(self, group_id: int) -> NamespaceInfo:
        """INamespaces."""
        return await self._database.read(lambda connection: group_info(connection, group_id))

    async def namespaces(self, listing: Listing, identity: Identity, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
        """INamespaces."""
        query = select(namespaces).where(self._held(identity, listing.least), _wanted(listing))
        return await self._database.read(lambda connection: _page(connection, query, listing, limit, offset))

    async def namespace(self, ref: int | str, identity: Identity) -> NamespaceInfo:
        """INamespaces."""
        seen = or_(self._held(identity), and_(_GROUP, groups_seen(identity, self._database.now())))
        query = select(namespaces).where(by_ref(namespaces, ref), seen)

        def work(connection: Connection) -> list[NamespaceInfo]:
            return infos(connection, connection.execute(query).all())

        found = await self._database.read(work)
        if not found:
            raise NotFound(what="Namespace")
        return found[0]

    def _held(self, identity: Identity, least: Role | None = None) -> ColumnElement[bool]:
        user = identity.user
        if user is None:
            return false()
        if user.admin and least is None:
            return true()
        return or_(namespaces.c.owner_id == user.id, groups_held(identity, self._database.now(), least or Role.GUEST))


def group_info(connection: Connection, group_id: int) -> NamespaceInfo:
    """The group of this number. Raises `UnknownGroup`."""
    found = infos(connection, connection.execute(select(namespaces).where(_GROUP, namespaces.c.id == group_id)).all())
    if not found:
        raise UnknownGroup
    return found[0]


def infos(connection: Connection, rows: Iterable[Any], prefix: str = "") -> list[NamespaceInfo]:
    """Rows of `namespaces`, their columns perhaps prefixed, as values."""
    found = list(rows)
    lineages = [lineage_of(getattr(row, f"{prefix}traversal")) for row in found]
    names = _names(connection, {number for lineage in lineages for number in lineage})
    return [_info(row, prefix, lineage, names) for row, lineage in zip(found, lineages, strict=True)]


def own_segment(path: ColumnElement[str], parent_path: ColumnElement[str]) -> ColumnElement[str]:
    """The last segment of a full path, in SQL; `parent_path` is NULL at the top."""
    return func.substr(path, func.coalesce(func.length(parent_path) + 2, 1))


def paged(connection: Connection, query: Select[Any], order: Sequence[Any], limit: int, offset: int) -> tuple[Sequence[Any], int]:
    """One page of the rows of `query`, and how many there are in all."""
    total = connection.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()
    rows = connection.execute(query.order_by(*order).limit(limit).offset(offset)).all() if offset < total else []
    return rows, total


def ordered(listing: Listing, columns: Mapping[str, Any], last: Any) -> tuple[Any, ...]:
    """What to order by; `last` decides between equals."""
    keys = (columns[listing.order_by], last)
    return tuple(key.desc() if listing.descending else key.asc() for key in keys)


def _page(connection: Connection, query: Select[Any], listing: Listing, limit: int, offset: int) -> tuple[list[NamespaceInfo], int]:
    columns = {"id": namespaces.c.id, "name": func.lower(namespaces.c.name), "path": namespaces.c.full_path_key}
    rows, total = paged(connection, query, ordered(listing, columns, namespaces.c.id), limit, offset)
    return infos(connection, rows), total


def _wanted(listing: Listing) -> ColumnElement[bool]:
    terms: list[ColumnElement[bool]] = [namespaces.c.id.is_not(None)]
    if listing.search:
        parent = namespaces.alias("parent")
        above = select(parent.c.full_path).where(parent.c.id == namespaces.c.parent_id).scalar_subquery()
        segment = own_segment(namespaces.c.full_path, above)
        terms.append(or_(namespaces.c.name.icontains(listing.search, autoescape=True), segment.icontains(listing.search, autoescape=True)))
    if listing.visibility is not None:
        terms.append(namespaces.c.visibility == listing.visibility.value)
    if listing.top_level_only:
        terms.append(namespaces.c.parent_id.is_(None))
    if listing.inside is not None:
        terms.append(
            and_(in_tree(listing.inside), namespaces.c.id != listing.inside[-1])
            if listing.deep
            else namespaces.c.parent_id == listing.inside[-1]
        )
    return and_(*terms)


def _names(connection: Connection, numbers: set[int]) -> Mapping[int, str]:
    rows = connection.execute(select(namespaces.c.id, namespaces.c.name).where(namespaces.c.id.in_(numbers)))
    return {row.id: row.name for row in rows}


def _info(row: Any, prefix: str, lineage: tuple[int, ...], names: Mapping[int, str]) -> NamespaceInfo:
    def of(column: str) -> Any:
        return getattr(row, f"{prefix}{column}")

    return NamespaceInfo(
        id=of("id"),
        kind=of("kind"),
        full_path=of("full_path"),
        name=of("name"),
        full_name=" / ".join(names[number] for number in lineage),
        visibility=Visibility(of("visibility")),
        description=of("description"),
        parent_id=of("parent_id"),
        owner_id=of("owner_id"),
        created_at=of("created_at"),
        lineage=lineage,
    )
