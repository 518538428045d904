"""IAccounts over the database."""

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, func, select, update
from zope.interface import implementer

from registry.domain.access import User, Visibility
from registry.domain.errors import AlreadyTaken, Missing
from registry.domain.model import Actor, NewToken, ProjectInfo, StoredToken, TokenInfo
from registry.domain.paths import ProjectPath
from registry.interfaces import IAccounts
from registry.storage.catalog.database import Database, Writing, insert_row
from registry.storage.catalog.tables import blobs, files, namespaces, packages, projects, tokens, users

_TOKEN = select(tokens, users.c.username, users.c.admin, users.c.blocked).select_from(tokens.join(users))
_HELD = (
    select(
        packages.c.project_id,
        func.count(packages.c.id.distinct()).label("packages"),
        func.count(files.c.id).label("files"),
        func.coalesce(func.sum(blobs.c.size), 0).label("bytes"),
    )
    .select_from(packages.join(files).join(blobs))
    .group_by(packages.c.project_id)
    .subquery()
)
_PROJECT = select(
    projects,
    func.coalesce(_HELD.c.packages, 0).label("packages"),
    func.coalesce(_HELD.c.files, 0).label("files"),
    func.coalesce(_HELD.c.bytes, 0).label("bytes"),
).select_from(projects.outerjoin(_HELD, _HELD.c.project_id == projects.c.id))


@implementer(IAccounts)
@frozen
class SqlAccounts:
    """Users, tokens and projects."""

    _database: Database

    async def found(self, username: str, token: NewToken, project: ProjectPath) -> bool:
        """IAccounts."""

        def work(writing: Writing) -> bool:
            if writing.connection.execute(select(users.c.id).limit(1)).first() is not None:
                return False
            system = Actor(user_id=None, username="")
            user = _create_user(writing, username, "", system, admin=True)
            _create_token(writing, user, token, system)
            _create_project(writing, project, Visibility.PRIVATE, system)
            return True

        return await self._database.write(work)

    async def token(self, digest: str) -> StoredToken | None:
        """IAccounts."""
        query = _TOKEN.where(tokens.c.digest == digest)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            return None
        return StoredToken(info=_token(row), user=User(id=row.user_id, username=row.username, admin=row.admin, blocked=row.blocked))

    async def create_user(self, username: str, email: str, actor: Actor, *, admin: bool = False) -> User:
        """IAccounts."""
        return await self._database.write(lambda writing: _create_user(writing, username, email, actor, admin=admin))

    async def users(self) -> list[User]:
        """IAccounts."""
        rows = await self._database.read(lambda connection: connection.execute(select(users).order_by(users.c.id)).all())
        return [_user(row) for row in rows]

    async def block_user(self, username: str, actor: Actor, *, blocked: bool) -> User:
        """IAccounts."""

        def work(writing: Writing) -> User:
            found = _find_user(writing.connection, username)
            writing.connection.execute(update(users).where(users.c.id == found.id).values(blocked=blocked))
            writing.record("user.block" if blocked else "user.unblock", actor, user=found.username)
            return User(id=found.id, username=found.username, admin=found.admin, blocked=blocked)

        return await self._database.write(work)

    async def create_token(self, username: str, new: NewToken, actor: Actor) -> TokenInfo:
        """IAccounts."""
        return await self._database.write(lambda writing: _create_token(writing, _find_user(writing.connection, username), new, actor))

    async def tokens(self, username: str | None) -> list[TokenInfo]:
        """IAccounts."""

        def work(connection: Connection) -> list[TokenInfo]:
            query = _TOKEN.order_by(tokens.c.id)
            if username is not None:
                query = query.where(tokens.c.user_id == _find_user(connection, username).id)
            return [_token(row) for row in connection.execute(query)]

        return await self._database.read(work)

    async def revoke_token(self, token_id: int, actor: Actor) -> TokenInfo:
        """IAccounts."""

        def work(writing: Writing) -> TokenInfo:
            query = _TOKEN.where(tokens.c.id == token_id)
            row = writing.connection.execute(query).one_or_none()
            if row is None:
                raise Missing(what="token", value=str(token_id))
            if row.revoked_at is None:
                writing.connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=writing.at))
                writing.record("token.revoke", actor, user=row.username, token=row.name, token_id=token_id)
                row = writing.connection.execute(query).one()
            return _token(row)

        return await self._database.write(work)

    async def create_project(self, path: ProjectPath, visibility: Visibility, actor: Actor) -> ProjectInfo:
        """IAccounts."""

        def work(writing: Writing) -> ProjectInfo:
            project_id = _create_project(writing, path, visibility, actor)
            return _project(writing.connection.execute(_PROJECT.where(projects.c.id == project_id)).one())

        return await self._database.write(work)

    async def projects(self, ref: int | str | None = None) -> list[ProjectInfo]:
        """IAccounts."""
        query = _PROJECT.order_by(projects.c.id)
        if ref is not None:
            query = query.where(projects.c.id == ref if isinstance(ref, int) else projects.c.full_path_key == ref.lower())
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        if ref is not None and not rows:
            raise Missing(what="project", value=str(ref))
        return [_project(row) for row in rows]


def _find_user(connection: Connection, username: str) -> User:
    row = connection.execute(select(users).where(users.c.username_key == username.lower())).one_or_none()
    if row is None:
        raise Missing(what="user", value=username)
    return _user(row)


def _create_user(writing: Writing, username: str, email: str, actor: Actor, *, admin: bool) -> User:
    connection, key = writing.connection, username.lower()
    if connection.execute(select(namespaces.c.id).where(namespaces.c.full_path_key == key)).first() is not None:
        raise AlreadyTaken(what="User name", value=username)
    values = {"username": username, "username_key": key, "email": email, "admin": admin, "blocked": False, "created_at": writing.at}
    user_id = insert_row(connection, users, values)
    insert_row(
        connection,
        namespaces,
        {
            "kind": "user",
            "full_path": username,
            "full_path_key": key,
            "name": username,
            "visibility": Visibility.PUBLIC.value,
            "owner_id": user_id,
            "created_at": writing.at,
        },
    )
    writing.record("user.create", actor, user=username, admin=admin)
    return User(id=user_id, username=username, admin=admin)


def _create_token(writing: Writing, user: User, new: NewToken, actor: Actor) -> TokenInfo:
    token_id = insert_row(
        writing.connection,
        tokens,
        {
            "user_id": user.id,
            "name": new.name,
            "digest": new.digest,
            "scopes": list(new.scopes),
            "created_at": writing.at,
            "expires_at": new.expires_at,
        },
    )
    writing.record("token.create", actor, user=user.username, token=new.name, token_id=token_id, scopes=list(new.scopes))
    return TokenInfo(
        id=token_id,
        name=new.name,
        username=user.username,
        scopes=new.scopes,
        created_at=writing.at,
        expires_at=new.expires_at,
        revoked_at=None,
    )


def _create_project(writing: Writing, path: ProjectPath, visibility: Visibility, actor: Actor) -> int:
    connection, key = writing.connection, str(path).lower()
    namespace_id = connection.execute(
        select(namespaces.c.id).where(namespaces.c.full_path_key == path.namespace.lower())
    ).scalar_one_or_none()
    if namespace_id is None:
        raise Missing(what="user or group called", value=path.namespace)
    if connection.execute(select(projects.c.id).where(projects.c.full_path_key == key)).first() is not None:
        raise AlreadyTaken(what="Project path", value=str(path))
    project_id = insert_row(
        connection,
        projects,
        {
            "namespace_id": namespace_id,
            "full_path": str(path),
            "full_path_key": key,
            "name": path.segment,
            "visibility": visibility.value,
            "packages_enabled": True,
            "created_at": writing.at,
        },
    )
    writing.record("project.create", actor, project_id=project_id, path=str(path), visibility=visibility.value)
    return project_id


def _user(row: Any) -> User:
    return User(id=row.id, username=row.username, admin=row.admin, blocked=row.blocked)


def _token(row: Any) -> TokenInfo:
    return TokenInfo(
        id=row.id,
        name=row.name,
        username=row.username,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _project(row: Any) -> ProjectInfo:
    return ProjectInfo(
        id=row.id,
        path=row.full_path,
        name=row.name,
        visibility=Visibility(row.visibility),
        packages_enabled=row.packages_enabled,
        created_at=row.created_at,
        packages=row.packages,
        files=row.files,
        bytes=row.bytes,
    )
