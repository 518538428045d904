"""ITokens over the database."""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, select, update
from zope.interface import implementer

from registry.domain.access import User
from registry.domain.errors import Missing
from registry.domain.model import Actor, NewToken, TokenInfo
from registry.interfaces import ITokens
from registry.storage.catalog.database import Database, Writing, insert_row
from registry.storage.catalog.tables import tokens, users
from registry.storage.catalog.users import find_user

_TOKEN = select(tokens, users.c.username).select_from(tokens.join(users))


@implementer(ITokens)
@frozen
class SqlTokens:
    """Credentials of every kind; only digests of their secrets."""

    _database: Database

    async def create_token(self, username: str, new: NewToken, actor: Actor) -> TokenInfo:
        """ITokens."""
        return await self._database.write(lambda writing: insert_token(writing, find_user(writing.connection, username), new, actor))

    async def tokens(self, username: str | None) -> list[TokenInfo]:
        """ITokens."""

        def work(connection: Connection) -> list[TokenInfo]:
            query = _TOKEN.order_by(tokens.c.id)
            if username is not None:
                query = query.where(tokens.c.user_id == find_user(connection, username).id)
            return [token_of(row) for row in connection.execute(query)]

        return await self._database.read(work)

    async def revoke_token(self, token_id: int, actor: Actor) -> TokenInfo:
        """ITokens."""

        def work(writing: Writing) -> TokenInfo:
            query = _TOKEN.where(tokens.c.id == token_id)
            row = writing.connection.execute(query).one_or_none()
            if row is None:
                raise Missing(what="token", value=str(token_id))
            if row.revoked_at is None:
                writing.connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=writing.at))
                writing.record("token.revoke", actor, user=row.username, token=row.name, token_id=token_id)
                row = writing.connection.execute(query).one()
            return token_of(row)

        return await self._database.write(work)


def insert_token(writing: Writing, user: User, new: NewToken, actor: Actor) -> TokenInfo:
    """Add a token of `user`."""
    values = {
        "user_id": user.id,
        "name": new.name,
        "description": new.description,
        "digest": new.digest,
        "scopes": list(new.scopes),
        "created_at": writing.at,
        "expires_at": new.expires_at,
    }
    token_id = insert_row(writing.connection, tokens, values)
    writing.record("token.create", actor, user=user.username, token=new.name, token_id=token_id, scopes=list(new.scopes))
    return token_of(writing.connection.execute(_TOKEN.where(tokens.c.id == token_id)).one())


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
