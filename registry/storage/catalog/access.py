"""IAccess over the database: what the gate needs to know, in one read each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, or_, select
from zope.interface import implementer

from registry.domain.access import (
    DeployToken,
    Group,
    Identity,
    Job,
    Place,
    Project,
    RegistryAccess,
    Role,
    Standing,
    Token,
    User,
    Visibility,
)
from registry.domain.model import Memberships, StoredCredential
from registry.domain.settings import ANYONE_MAY_PULL
from registry.interfaces import IAccess
from registry.storage.catalog.database import Database
from registry.storage.catalog.tables import deploy_tokens, job_allowlist, job_tokens, members, namespaces, projects, settings, tokens, users

PROJECT = select(
    projects.c.id,
    projects.c.full_path,
    projects.c.name,
    projects.c.visibility,
    projects.c.packages_enabled,
    projects.c.registry_access,
    namespaces.c.owner_id,
    namespaces.c.traversal,
    # With the project, so that the switch and what it means for a project are one read.
    select(settings.c.value).where(settings.c.name == ANYONE_MAY_PULL).scalar_subquery().label("anyone_may_pull"),
).select_from(projects.join(namespaces))
GROUP = select(namespaces.c.id, namespaces.c.full_path, namespaces.c.name, namespaces.c.visibility, namespaces.c.traversal).where(
    namespaces.c.kind == "group"
)
_PERSONAL = select(tokens, *(users.c[name].label(f"owner_{name}") for name in users.c.keys())).select_from(tokens.join(users))  # noqa: SIM118 - a ColumnCollection iterates over columns
_JOB = select(job_tokens, *(users.c[name].label(f"owner_{name}") for name in users.c.keys())).select_from(  # noqa: SIM118
    job_tokens.join(users, users.c.id == job_tokens.c.user_id)
)


@implementer(IAccess)
@frozen
class SqlAccess:
    """Credentials, places and memberships."""

    _database: Database

    async def credential(self, digest: str) -> StoredCredential | None:
        """IAccess."""
        return await self._database.read(lambda connection: _credential(connection, digest))

    async def enter(self, kind: str, ref: int | str, identity: Identity) -> tuple[Place | None, Standing]:
        """IAccess."""
        return await self._database.read(lambda connection: enter(connection, kind, ref, identity, self._database.now()))

    async def memberships(self, user_id: int) -> Memberships:
        """IAccess."""

        def work(connection: Connection) -> Memberships:
            rows = connection.execute(select(members).where(members.c.user_id == user_id, current(self._database.now()))).all()
            found = [(row.project_id, row.namespace_id, Role(row.access_level)) for row in rows]
            return Memberships(
                projects={project: role for project, _, role in found if project is not None},
                groups={group: role for _, group, role in found if group is not None},
                until=min((row.expires_at for row in rows if row.expires_at is not None), default=None),
            )

        return await self._database.read(work)

    async def below(self, group: Group) -> Sequence[Project]:
        """IAccess."""
        query = PROJECT.where(in_tree(group.lineage)).order_by(projects.c.id)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [project_of(row) for row in rows]

    async def admitting(self, source_project_id: int) -> frozenset[int]:
        """IAccess."""

        def work(connection: Connection) -> frozenset[int]:
            listed = select(job_allowlist.c.project_id).where(job_allowlist.c.source_project_id == source_project_id)
            unlimited = select(projects.c.id).where(projects.c.job_tokens_limited.is_(False))
            found = connection.execute(listed.union(unlimited)).scalars().all()
            return frozenset({*found, source_project_id})

        return await self._database.read(work)


def in_tree(lineage: Sequence[int]) -> ColumnElement[bool]:
    """Whether a (joined) namespace is the one with this lineage, or lies below it."""
    top = "/".join(map(str, lineage))
    # "0" follows "/": a range that an index serves on every database, which LIKE does not.
    return or_(namespaces.c.traversal == top, (namespaces.c.traversal > f"{top}/") & (namespaces.c.traversal < f"{top}0"))


def lineage_of(traversal: str) -> tuple[int, ...]:
    """The ids in a traversal."""
    return tuple(map(int, traversal.split("/"))) if traversal else ()


def project_of(row: Any) -> Project:
    """A row of `PROJECT` as a value."""
    return Project(
        id=row.id,
        path=row.full_path,
        name=row.name,
        visibility=Visibility(row.visibility),
        registry=RegistryAccess(row.registry_access),
        packages_enabled=row.packages_enabled,
        owner_id=row.owner_id,
        lineage=lineage_of(row.traversal),
        anyone_may_pull=row.anyone_may_pull is not False,
    )


def group_of(row: Any) -> Group:
    """A row of `GROUP` as a value."""
    return Group(id=row.id, path=row.full_path, name=row.name, visibility=Visibility(row.visibility), lineage=lineage_of(row.traversal))


def user_of(row: Any, prefix: str = "") -> User:
    """A users row, its columns perhaps prefixed, as a value."""
    found = {name: getattr(row, f"{prefix}{name}") for name in ("id", "username", "admin", "blocked", "name", "email", "bot", "created_at")}
    return User(**found)


def by_ref(table: Any, ref: int | str) -> ColumnElement[bool]:
    """Rows of projects or namespaces with this number or (any case) full path."""
    wanted: ColumnElement[bool] = table.c.id == ref if isinstance(ref, int) else table.c.full_path_key == ref.lower()
    return wanted


def current(now: datetime) -> ColumnElement[bool]:
    """Whether a membership has not expired."""
    return or_(members.c.expires_at.is_(None), members.c.expires_at > now)


def _credential(connection: Connection, digest: str) -> StoredCredential | None:
    row = connection.execute(_PERSONAL.where(tokens.c.digest == digest)).one_or_none()
    if row is not None:
        token = Token(id=row.id, name=row.name, scopes=frozenset(row.scopes), expires_at=row.expires_at)
        identity = Identity(user=user_of(row, "owner_"), token=token)
        return StoredCredential(kind="personal", identity=identity, revoked=row.revoked_at is not None)
    row = connection.execute(select(deploy_tokens).where(deploy_tokens.c.digest == digest)).one_or_none()
    if row is not None:
        deploy = DeployToken(
            id=row.id,
            name=row.name,
            username=row.username,
            scopes=frozenset(row.scopes),
            project_id=row.project_id,
            group_id=row.namespace_id,
            expires_at=row.expires_at,
        )
        return StoredCredential(kind="deploy", identity=Identity(deploy=deploy), revoked=row.revoked_at is not None)
    row = connection.execute(_JOB.where(job_tokens.c.digest == digest)).one_or_none()
    if row is None:
        return None
    job = Job(
        id=row.id,
        project_id=row.project_id,
        ref=row.ref,
        sha=row.sha,
        pipeline_id=row.pipeline_id,
        job_id=row.job_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
    return StoredCredential(kind="job", identity=Identity(user=user_of(row, "owner_"), job=job), revoked=row.revoked_at is not None)


def enter(connection: Connection, kind: str, ref: int | str, identity: Identity, now: datetime) -> tuple[Place | None, Standing]:
    """What `IAccess.enter` promises, on a connection that is there already."""
    query = PROJECT.where(by_ref(projects, ref)) if kind == "project" else GROUP.where(by_ref(namespaces, ref))
    row = connection.execute(query).one_or_none()
    if row is None:
        return None, Standing()
    place: Place = project_of(row) if kind == "project" else group_of(row)
    role, admits, until = Role.NONE, True, None
    if identity.user is not None:
        where: ColumnElement[bool] = members.c.namespace_id.in_(place.lineage)
        if isinstance(place, Project):
            where = or_(where, members.c.project_id == place.id)
        mine = select(members.c.access_level, members.c.expires_at).where(members.c.user_id == identity.user.id, where, current(now))
        rows = connection.execute(mine).all()
        role = Role(max((row.access_level for row in rows), default=0))
        until = min((row.expires_at for row in rows if row.expires_at is not None), default=None)
    if identity.job is not None and isinstance(place, Project) and identity.job.project_id != place.id:
        admits = _admits(connection, place.id, identity.job.project_id)
    return place, Standing(role=role, admits_job=admits, until=until)


def _admits(connection: Connection, project_id: int, source_project_id: int) -> bool:
    limited = connection.execute(select(projects.c.job_tokens_limited).where(projects.c.id == project_id)).scalar_one()
    listed = select(job_allowlist.c.project_id).where(
        job_allowlist.c.project_id == project_id, job_allowlist.c.source_project_id == source_project_id
    )
    return not limited or connection.execute(listed).first() is not None
