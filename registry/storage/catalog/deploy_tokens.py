"""IDeployTokens over the database."""

from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update
from zope.interface import implementer

from registry.domain.access import Place, Project
from registry.domain.credentials import DeployTokenInfo, NewDeployToken
from registry.domain.errors import Missing, NotFound
from registry.domain.model import Actor
from registry.interfaces import IDeployTokens
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import deploy_tokens


@implementer(IDeployTokens)
@frozen
class SqlDeployTokens:
    """Deploy tokens of projects and groups."""

    _database: Database

    async def find_deploy_tokens(
        self, place: Place | None, limit: int, offset: int, *, active: bool | None = None
    ) -> tuple[list[DeployTokenInfo], int]:
        """IDeployTokens."""
        conditions = [] if place is None else [_of(place)]
        if active is not None:
            expires = deploy_tokens.c.expires_at
            works = and_(deploy_tokens.c.revoked_at.is_(None), or_(expires.is_(None), expires > self._database.now()))
            conditions.append(works if active else ~works)
        query = select(deploy_tokens).where(*conditions).order_by(deploy_tokens.c.id).limit(limit).offset(offset)
        count = select(func.count()).select_from(deploy_tokens).where(*conditions)

        def work(connection: Connection) -> tuple[list[DeployTokenInfo], int]:
            return [_token(row) for row in connection.execute(query)], connection.execute(count).scalar_one()

        return await self._database.read(work)

    async def deploy_token(self, place: Place, token_id: int) -> DeployTokenInfo | None:
        """IDeployTokens."""
        query = select(deploy_tokens).where(_of(place), deploy_tokens.c.id == token_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _token(row)

    async def create_deploy_token(self, place: Place, new: NewDeployToken, actor: Actor) -> DeployTokenInfo:
        """IDeployTokens."""
        in_project = isinstance(place, Project)
        values = {
            "project_id": place.id if in_project else None,
            "namespace_id": None if in_project else place.id,
            "name": new.name,
            "username": new.username,
            "digest": new.digest,
            "scopes": list(new.scopes),
            "creator_id": actor.user_id,
            "expires_at": new.expires_at,
        }

        def work(writing: Writing) -> DeployTokenInfo:
            connection = writing.connection
            token_id = insert_row(connection, deploy_tokens, {**values, "created_at": writing.at})
            if not new.username:
                named = update(deploy_tokens).where(deploy_tokens.c.id == token_id)
                connection.execute(named.values(username=f"gitlab+deploy-token-{token_id}"))
            made = _token(connection.execute(select(deploy_tokens).where(deploy_tokens.c.id == token_id)).one())
            _record(writing, "deploy_token.create", made, actor, place=place.path, scopes=list(new.scopes))
            return made

        return await self._database.write(work)

    async def delete_deploy_token(self, place: Place, token_id: int, actor: Actor) -> None:
        """IDeployTokens."""

        def work(writing: Writing) -> None:
            wanted = and_(_of(place), deploy_tokens.c.id == token_id)
            row = writing.connection.execute(select(deploy_tokens).where(wanted)).one_or_none()
            if row is None:
                raise NotFound
            writing.connection.execute(delete(deploy_tokens).where(wanted))
            _record(writing, "deploy_token.delete", _token(row), actor, place=place.path)

        await self._database.write(work)

    async def revoke_deploy_token(self, token_id: int, actor: Actor) -> DeployTokenInfo:
        """IDeployTokens."""

        def work(writing: Writing) -> DeployTokenInfo:
            query = select(deploy_tokens).where(deploy_tokens.c.id == token_id)
            row = writing.connection.execute(query).one_or_none()
            if row is None:
                raise Missing(what="deploy token", value=str(token_id))
            if row.revoked_at is None:
                writing.connection.execute(update(deploy_tokens).where(deploy_tokens.c.id == token_id).values(revoked_at=writing.at))
                _record(writing, "deploy_token.revoke", _token(row), actor)
            return _token(writing.connection.execute(query).one())

        return await self._database.write(work)


def _of(place: Place) -> ColumnElement[bool]:
    column = deploy_tokens.c.project_id if isinstance(place, Project) else deploy_tokens.c.namespace_id
    wanted: ColumnElement[bool] = column == place.id
    return wanted


def _record(writing: Writing, action: str, token: DeployTokenInfo, actor: Actor, **detail: Any) -> None:
    more: dict[str, Any] = {"group_id": token.group_id} if token.group_id is not None else {}
    writing.record(action, actor, project_id=token.project_id, token=token.name, token_id=token.id, **more, **detail)


def _token(row: Any) -> DeployTokenInfo:
    return DeployTokenInfo(
        id=row.id,
        name=row.name,
        username=row.username,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        project_id=row.project_id,
        group_id=row.namespace_id,
    )
