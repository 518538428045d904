"""ITokens over the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, or_, select, update
from zope.interface import implementer

from registry.domain.access import User
from registry.domain.credentials import TokenFilter, TokenOrder, is_active
from registry.domain.errors import Missing, NotFound, Refused, TokenExpired, TokenRevoked
from registry.domain.model import Actor, NewToken, TokenInfo
from registry.interfaces import ITokens
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import tokens, users
from registry.storage.catalog.users import find_user

_TOKEN = select(tokens, users.c.username).select_from(tokens.join(users))
_MOMENTS = {"created": tokens.c.created_at, "expires": tokens.c.expires_at, "last_used": tokens.c.last_used_at}
_ORDERS = {
    TokenOrder.CREATED_ASC: (tokens.c.id,),
    TokenOrder.CREATED_DESC: (tokens.c.id.desc(),),
    TokenOrder.EXPIRES_ASC: (tokens.c.expires_at.is_(None), tokens.c.expires_at, tokens.c.id),
    TokenOrder.EXPIRES_DESC: (tokens.c.expires_at.is_(None), tokens.c.expires_at.desc(), tokens.c.id),
    TokenOrder.LAST_USED_ASC: (tokens.c.last_used_at.is_(None), tokens.c.last_used_at, tokens.c.id),
    TokenOrder.LAST_USED_DESC: (tokens.c.last_used_at.is_(None), tokens.c.last_used_at.desc(), tokens.c.id),
    TokenOrder.NAME_ASC: (tokens.c.name, tokens.c.id),
    TokenOrder.NAME_DESC: (tokens.c.name.desc(), tokens.c.id),
}


@implementer(ITokens)
@frozen
class SqlTokens:
    """Tokens of users; only digests of their secrets."""

    _database: Database

    async def create_token(self, user: int | str, new: NewToken, actor: Actor) -> TokenInfo:
        """ITokens."""

        def work(writing: Writing) -> TokenInfo:
            owner = find_user(writing.connection, user)
            if owner.blocked:
                raise Refused(problems={"user": ("is blocked",)})
            return insert_token(writing, owner, new, actor)

        return await self._database.write(work)

    async def tokens(self, username: str | None) -> list[TokenInfo]:
        """ITokens."""

        def work(connection: Connection) -> list[TokenInfo]:
            query = _TOKEN.order_by(tokens.c.id)
            if username is not None:
                query = query.where(tokens.c.user_id == find_user(connection, username).id)
            return [token_of(row) for row in connection.execute(query)]

        return await self._database.read(work)

    async def find_tokens(self, wanted: TokenFilter, limit: int, offset: int) -> tuple[list[TokenInfo], int]:
        """ITokens."""
        where = matching(wanted, self._database.now())
        query = _TOKEN.where(where).order_by(*_ORDERS[wanted.order]).limit(limit).offset(offset)
        count = select(func.count()).select_from(tokens).where(where)

        def work(connection: Connection) -> tuple[list[TokenInfo], int]:
            return [token_of(row) for row in connection.execute(query)], connection.execute(count).scalar_one()

        return await self._database.read(work)

    async def token(self, token_id: int) -> TokenInfo | None:
        """ITokens."""
        row = await self._database.read(lambda connection: connection.execute(_TOKEN.where(tokens.c.id == token_id)).one_or_none())
        return None if row is None else token_of(row)

    async def revoke_token(self, token_id: int, actor: Actor) -> TokenInfo:
        """ITokens."""

        def work(writing: Writing) -> TokenInfo:
            row = writing.connection.execute(_TOKEN.where(tokens.c.id == token_id)).one_or_none()
            if row is None:
                raise Missing(what="token", value=str(token_id))
            revoke_rows(writing, [row], actor)
            return token_of(writing.connection.execute(_TOKEN.where(tokens.c.id == token_id)).one())

        return await self._database.write(work)

    async def rotate_token(self, token_id: int, digest: str, expires_at: datetime, actor: Actor) -> TokenInfo:
        """ITokens."""

        def work(writing: Writing) -> TokenInfo | TokenRevoked:
            row = writing.connection.execute(_TOKEN.where(tokens.c.id == token_id)).one_or_none()
            if row is None:
                raise NotFound
            return rotate_row(writing, row, digest, expires_at, actor)

        return unless_revoked(await self._database.write(work))

    async def revoke_family(self, digest: str, actor: Actor) -> None:
        """ITokens."""

        def work(writing: Writing) -> None:
            row = writing.connection.execute(_TOKEN.where(tokens.c.digest == digest)).one_or_none()
            if row is not None and row.revoked_at is not None:
                _revoke_family(writing, row, actor)

        await self._database.write(work)

    async def used(self, moments: Mapping[int, datetime]) -> None:
        """ITokens."""
        statement = update(tokens).where(tokens.c.id == bindparam("used")).values(last_used_at=bindparam("at"))
        rows = [{"used": token_id, "at": moment} for token_id, moment in moments.items()]
        if rows:
            await self._database.write(lambda writing: writing.connection.execute(statement, rows) and None)


def insert_token(
    writing: Writing,
    user: User,
    new: NewToken,
    actor: Actor,
    *,
    project_id: int | None = None,
    namespace_id: int | None = None,
    family: int | None = None,
) -> TokenInfo:
    """Add a token of `user`: his own, or (with a place) a project or group access token of that bot."""
    values = {
        "user_id": user.id,
        "name": new.name,
        "description": new.description,
        "digest": new.digest,
        "scopes": list(new.scopes),
        "created_at": writing.at,
        "expires_at": new.expires_at,
        "project_id": project_id,
        "namespace_id": namespace_id,
        "family": family,
    }
    token_id = insert_row(writing.connection, tokens, values)
    detail: dict[str, Any] = {
        "user": user.username,
        "token": new.name,
        "token_id": token_id,
        "scopes": list(new.scopes),
        "group_id": namespace_id,
    }
    writing.record("token.create", actor, project_id=project_id, **{name: value for name, value in detail.items() if value is not None})
    return token_of(writing.connection.execute(_TOKEN.where(tokens.c.id == token_id)).one())


def revoke_rows(writing: Writing, rows: Sequence[Row[Any]], actor: Actor) -> None:
    """Revoke those of these tokens that are not yet."""
    for row in rows:
        if row.revoked_at is None:
            writing.connection.execute(update(tokens).where(tokens.c.id == row.id).values(revoked_at=writing.at))
            writing.record("token.revoke", actor, project_id=row.project_id, user=row.username, token=row.name, token_id=row.id)


def rotate_row(writing: Writing, row: Row[Any], digest: str, expires_at: datetime, actor: Actor) -> TokenInfo | TokenRevoked:
    """Replace a token by a new one of the same user, name and scopes. Raises `TokenExpired`.

    One that is revoked already is either an old copy in the wrong hands or a script that does not know: the whole family goes (GitLab). The
    error is returned, not raised, because what was done about it must be committed.
    """
    if row.revoked_at is not None:
        _revoke_family(writing, row, actor)
        return TokenRevoked()
    if not is_active(None, row.expires_at, writing.at):
        raise TokenExpired
    new = NewToken(name=row.name, description=row.description, digest=digest, scopes=tuple(row.scopes), expires_at=expires_at)
    user = find_user(writing.connection, row.user_id)
    made = insert_token(writing, user, new, actor, project_id=row.project_id, namespace_id=row.namespace_id, family=row.family or row.id)
    revoke_rows(writing, [row], actor)
    return made


def unless_revoked(outcome: TokenInfo | TokenRevoked) -> TokenInfo:
    """The token, or the error raised."""
    if isinstance(outcome, TokenRevoked):
        raise outcome
    return outcome


def matching(wanted: TokenFilter, now: datetime) -> ColumnElement[bool]:
    """The tokens that a filter lets through."""
    found: list[ColumnElement[bool]] = []
    if wanted.user_id is not None:
        found.append(tokens.c.user_id == wanted.user_id)
    if wanted.active is not None:
        active = and_(tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now))
        found.append(active if wanted.active else ~active)
    if wanted.revoked is not None:
        found.append(tokens.c.revoked_at.is_not(None) if wanted.revoked else tokens.c.revoked_at.is_(None))
    if wanted.search:
        found.append(tokens.c.name.icontains(wanted.search, autoescape=True))
    found += [_MOMENTS[name] > moment for name, moment in wanted.after.items()]
    found += [_MOMENTS[name] < moment for name, moment in wanted.before.items()]
    return and_(*found) if found else tokens.c.id.is_not(None)


def order_of(wanted: TokenFilter) -> Sequence[ColumnElement[Any]]:
    """The columns that a filter sorts by."""
    return _ORDERS[wanted.order]


def token_of(row: Any) -> TokenInfo:
    """A tokens row with its user's name as a value."""
    return TokenInfo(
        id=row.id,
        name=row.name,
        username=row.username,
        user_id=row.user_id,
        description=row.description,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )


def _revoke_family(writing: Writing, row: Row[Any], actor: Actor) -> None:
    first = row.family or row.id
    rows = writing.connection.execute(_TOKEN.where(tokens.c.user_id == row.user_id, or_(tokens.c.id == first, tokens.c.family == first)))
    revoke_rows(writing, rows.all(), actor)
