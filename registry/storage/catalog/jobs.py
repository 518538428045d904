"""IJobs over the database: job tokens, and whose jobs a project admits."""

from datetime import timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, delete, func, insert, select, update
from zope.interface import implementer

from registry.domain.access import Identity, Project, Role, User, role_in
from registry.domain.credentials import JobTokenInfo, ListedProject, NewJobToken
from registry.domain.errors import Conflict, Forbidden, Missing, NotFound, Refused
from registry.domain.model import Actor
from registry.interfaces import IJobs
from registry.storage.catalog.access import PROJECT, by_ref, enter, project_of, user_of
from registry.storage.catalog.database import Database, Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import job_allowlist, job_tokens, projects, users
from registry.storage.catalog.users import find_user

# How long a job token that is over is kept, for whoever looks at what happened.
_KEPT = timedelta(days=7)


@implementer(IJobs)
@frozen
class SqlJobs:
    """Job tokens and allowlists."""

    _database: Database

    async def create_job_token(
        self, project: Project, user: int | str, new: NewJobToken, actor: Actor, *, ceiling: Role, admins: bool
    ) -> JobTokenInfo:
        """IJobs."""

        def work(writing: Writing) -> JobTokenInfo:
            owner = _allowed(writing, project, user, ceiling, admins=admins)
            connection = writing.connection
            over = job_tokens.c.expires_at < writing.at - _KEPT
            connection.execute(delete(job_tokens).where(job_tokens.c.project_id == project.id, over))
            values = {
                "project_id": project.id,
                "user_id": owner.id,
                "creator_id": actor.user_id,
                "digest": new.digest,
                "ref": new.ref,
                "sha": new.sha,
                "pipeline_id": new.pipeline_id,
                "job_id": new.job_id,
                "created_at": writing.at,
                "expires_at": new.expires_at,
            }
            token_id = insert_row(connection, job_tokens, values)
            detail: dict[str, Any] = {"ref": new.ref, "sha": new.sha, "pipeline_id": new.pipeline_id, "job_id": new.job_id}
            writing.record("job_token.create", actor, project_id=project.id, token_id=token_id, user=owner.username, **detail)
            return JobTokenInfo(
                id=token_id,
                project_id=project.id,
                user_id=owner.id,
                username=owner.username,
                created_at=writing.at,
                expires_at=new.expires_at,
                **detail,
            )

        return await self._database.write(work)

    async def revoke_job_token(self, project: Project, token_id: int, actor: Actor) -> None:
        """IJobs."""

        def work(writing: Writing) -> None:
            wanted = (job_tokens.c.project_id == project.id) & (job_tokens.c.id == token_id) & job_tokens.c.revoked_at.is_(None)
            if not writing.connection.execute(update(job_tokens).where(wanted).values(revoked_at=writing.at)).rowcount:
                raise NotFound
            writing.record("job_token.revoke", actor, project_id=project.id, token_id=token_id)

        await self._database.write(work)

    async def job_of(self, username: str, project_path: str) -> tuple[User, Project] | None:
        """IJobs."""

        def work(connection: Connection) -> tuple[User, Project] | None:
            user = connection.execute(select(users).where(users.c.username_key == username.lower())).one_or_none()
            project = connection.execute(PROJECT.where(by_ref(projects, project_path))).one_or_none()
            return None if user is None or project is None else (user_of(user), project_of(project))

        return await self._database.read(work)

    async def limited(self, project: Project) -> bool:
        """IJobs."""
        query = select(projects.c.job_tokens_limited).where(projects.c.id == project.id)
        return bool(await self._database.read(lambda connection: connection.execute(query).scalar_one_or_none()))

    async def set_limited(self, project: Project, actor: Actor, *, limited: bool) -> None:
        """IJobs."""

        def work(writing: Writing) -> None:
            changed = (projects.c.id == project.id) & (projects.c.job_tokens_limited.is_not(limited))
            if writing.connection.execute(update(projects).where(changed).values(job_tokens_limited=limited)).rowcount:
                writing.record("allowlist.enforce" if limited else "allowlist.ignore", actor, project_id=project.id)

        await self._database.write(work)

    async def admitted(self, project: Project, limit: int, offset: int) -> tuple[list[tuple[Project, ListedProject]], int]:
        """IJobs."""
        mine = job_allowlist.c.project_id == project.id
        listed = job_allowlist.c.source_project_id
        query = PROJECT.add_columns(projects.c.description, projects.c.created_at).where(
            projects.c.id.in_(select(listed).where(mine).order_by(listed).limit(limit).offset(offset))
        )
        count = select(func.count()).select_from(job_allowlist).where(mine)

        def work(connection: Connection) -> tuple[list[tuple[Project, ListedProject]], int]:
            found = [
                (
                    project_of(row),
                    ListedProject(id=row.id, path=row.full_path, name=row.name, description=row.description, created_at=row.created_at),
                )
                for row in connection.execute(query.order_by(projects.c.id))
            ]
            return found, connection.execute(count).scalar_one()

        return await self._database.read(work)

    async def admit_jobs_of(self, project: Project, source: Project, actor: Actor) -> None:
        """IJobs."""

        def work(writing: Writing) -> None:
            connection = writing.connection
            row = {"project_id": project.id, "source_project_id": source.id}
            present = select(job_allowlist.c.project_id).where(*(job_allowlist.c[name] == value for name, value in row.items()))
            if source.id == project.id or connection.execute(present).first() is not None:
                raise Refused(problems={"target_project": ("is already in the job token scope",)})
            for one in row.values():
                if connection.execute(select(projects.c.id).where(projects.c.id == one)).first() is None:
                    raise Conflict(text="The project has been deleted")
            connection.execute(insert(job_allowlist).values(**row, created_at=writing.at))
            writing.record("allowlist.add", actor, project_id=project.id, source_project=source.path, source_project_id=source.id)

        await self._database.write(work)

    async def admit_no_more(self, project: Project, source_id: int, actor: Actor) -> None:
        """IJobs."""

        def work(writing: Writing) -> None:
            wanted = (job_allowlist.c.project_id == project.id) & (job_allowlist.c.source_project_id == source_id)
            if not writing.connection.execute(delete(job_allowlist).where(wanted)).rowcount:
                raise NotFound
            writing.record("allowlist.remove", actor, project_id=project.id, source_project_id=source_id)

        await self._database.write(work)


def _allowed(writing: Writing, project: Project, user: int | str, ceiling: Role, *, admins: bool) -> User:
    """The user for whom a job token may be made now. Raises `NotFound`, `Refused` or `Forbidden`."""
    try:
        owner = find_user(writing.connection, user)
    except Missing:
        raise NotFound(what="User") from None
    if owner.blocked:
        raise Refused(problems={"user": ("is blocked",)})
    place, standing = enter(writing.connection, "project", project.id, Identity(user=owner), writing.at)
    if place is None:
        raise NotFound(what="Project")
    if (owner.admin and not admins) or role_in(Identity(user=owner), place, standing) > ceiling:
        raise Forbidden(reason="The job's user has more rights in this project than you")
    return owner
