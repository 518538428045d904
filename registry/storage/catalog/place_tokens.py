"""IPlaceTokens over the database."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update
from zope.interface import implementer

from registry.domain.access import Place, Project, Role
from registry.domain.credentials import PlaceToken, TokenFilter
from registry.domain.errors import NotFound, TokenRevoked
from registry.domain.model import Actor, NewToken, TokenInfo
from registry.interfaces import IPlaceTokens
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import members, tokens, users
from registry.storage.catalog.tokens import insert_token, matching, order_of, revoke_rows, rotate_row, token_of, unless_revoked
from registry.storage.catalog.users import insert_user

_TOKEN = select(tokens, users.c.username, members.c.access_level).select_from(
    tokens.join(users).outerjoin(
        members,
        and_(
            members.c.user_id == tokens.c.user_id,
            or_(members.c.project_id == tokens.c.project_id, members.c.namespace_id == tokens.c.namespace_id),
        ),
    )
)


@implementer(IPlaceTokens)
@frozen
class SqlPlaceTokens:
    """Project and group access tokens."""

    _database: Database

    async def find_place_tokens(self, place: Place, wanted: TokenFilter, limit: int, offset: int) -> tuple[list[PlaceToken], int]:
        """IPlaceTokens."""
        where = and_(_of(place), matching(wanted, self._database.now()))
        query = _TOKEN.where(where).order_by(*order_of(wanted)).limit(limit).offset(offset)
        count = select(func.count()).select_from(tokens).where(where)

        def work(connection: Connection) -> tuple[list[PlaceToken], int]:
            return [_token(row) for row in connection.execute(query)], connection.execute(count).scalar_one()

        return await self._database.read(work)

    async def place_token(self, place: Place, token_id: int) -> PlaceToken | None:
        """IPlaceTokens."""
        query = _TOKEN.where(_of(place), tokens.c.id == token_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _token(row)

    async def create_place_token(self, place: Place, new: NewToken, username: str, role: Role, actor: Actor) -> TokenInfo:
        """IPlaceTokens."""
        project_id = place.id if isinstance(place, Project) else None
        namespace_id = None if isinstance(place, Project) else place.id

        def work(writing: Writing) -> TokenInfo:
            bot = insert_user(writing, username, "", actor, name=new.name, bot=True)
            values = {"project_id": project_id, "namespace_id": namespace_id, "access_level": int(role), "created_at": writing.at}
            insert_row(writing.connection, members, {"user_id": bot.id, **values})
            writing.record("member.add", actor, project_id=project_id, user=username, place=place.path, role=int(role))
            return insert_token(writing, bot, new, actor, project_id=project_id, namespace_id=namespace_id)

        return await self._database.write(work)

    async def rotate_place_token(
        self, place: Place, token_id: int, digest: str, expires_at: datetime, actor: Actor, *, check: Callable[[PlaceToken], object]
    ) -> TokenInfo:
        """IPlaceTokens."""

        def work(writing: Writing) -> TokenInfo | TokenRevoked:
            row = _row(writing, place, token_id)
            check(_token(row))
            return rotate_row(writing, row, digest, expires_at, actor)

        return unless_revoked(await self._database.write(work))

    async def revoke_place_token(self, place: Place, token_id: int, actor: Actor) -> None:
        """IPlaceTokens."""

        def work(writing: Writing) -> None:
            row = _row(writing, place, token_id)
            if row.revoked_at is None:
                revoke_rows(writing, [row], actor)
                _retire(writing, row, place, actor)

        await self._database.write(work)


def _of(place: Place) -> ColumnElement[bool]:
    wanted: ColumnElement[bool] = (tokens.c.project_id if isinstance(place, Project) else tokens.c.namespace_id) == place.id
    return wanted


def _row(writing: Writing, place: Place, token_id: int) -> Row[Any]:
    row = writing.connection.execute(_TOKEN.where(_of(place), tokens.c.id == token_id)).one_or_none()
    if row is None:
        raise NotFound
    return row


def _retire(writing: Writing, row: Row[Any], place: Place, actor: Actor) -> None:
    """Take a bot out of service, unless a token it was rotated to still works."""
    connection = writing.connection
    left = select(tokens.c.id).where(tokens.c.user_id == row.user_id, tokens.c.revoked_at.is_(None))
    if connection.execute(left).first() is not None:
        return
    connection.execute(delete(members).where(members.c.user_id == row.user_id))
    connection.execute(update(users).where(users.c.id == row.user_id).values(blocked=True))
    writing.record("member.remove", actor, project_id=row.project_id, user=row.username, place=place.path)
    writing.record("user.block", actor, user=row.username)


def _token(row: Any) -> PlaceToken:
    return PlaceToken(token=token_of(row), role=Role(row.access_level or 0))
