"""Groups, members and tokens put straight into a registry in memory, so that these tests ask only what they are about."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import define
from sqlalchemy import select, update

from registry.domain.access import Role, Visibility
from registry.domain.tokens import Prefix, mint
from registry.storage.catalog.database import Writing
from registry.storage.catalog.prepared import insert_row
from registry.storage.catalog.tables import deploy_tokens, job_allowlist, job_tokens, members, namespaces, projects
from registry.testing import OPERATOR, MemoryRegistry, done

T = TypeVar("T")

_HOUR = timedelta(hours=1)


@define
class Scene:
    """Makes things, each with its journal row, so that what is remembered is forgotten."""

    registry: MemoryRegistry

    def group(self, path: str, visibility: Visibility = Visibility.PRIVATE) -> int:
        """A group, its parent being there already; its id."""

        def work(writing: Writing) -> int:
            above, _, _ = path.rpartition("/")
            parent = writing.connection.execute(select(namespaces).where(namespaces.c.full_path_key == above)).one_or_none()
            values = {
                "kind": "group",
                "full_path": path,
                "full_path_key": path.lower(),
                "name": path.rpartition("/")[2],
                "visibility": visibility.value,
                "parent_id": parent.id if parent else None,
                "created_at": writing.at,
            }
            number = insert_row(writing.connection, namespaces, values)
            traversal = f"{parent.traversal}/{number}" if parent else str(number)
            writing.connection.execute(update(namespaces).where(namespaces.c.id == number).values(traversal=traversal))
            writing.record("group.create", OPERATOR, path=path)
            return number

        return self._write(work)

    def project(self, path: str, visibility: Visibility = Visibility.PRIVATE) -> int:
        """A project; its id."""
        return self.registry.project(path, visibility).id

    def member(
        self, username: str, role: Role, *, project: int | None = None, group: int | None = None, until: datetime | None = None
    ) -> str:
        """A new user with a role somewhere, or with none; his token."""
        user = self.registry.user(username)
        if project or group:
            self.join(user.id, role, project=project, group=group, until=until)
        return self.registry.token(username)

    def join(
        self, user_id: int, role: Role, *, project: int | None = None, group: int | None = None, until: datetime | None = None
    ) -> None:
        """A role for somebody who is there."""

        def work(writing: Writing) -> None:
            values = {
                "user_id": user_id,
                "project_id": project,
                "namespace_id": group,
                "access_level": int(role),
                "created_at": writing.at,
                "expires_at": until,
            }
            insert_row(writing.connection, members, values)
            writing.record("member.add", OPERATOR)

        self._write(work)

    def leave(self, user_id: int) -> None:
        """Nobody is a member for ever."""

        def work(writing: Writing) -> None:
            writing.connection.execute(members.delete().where(members.c.user_id == user_id))
            writing.record("member.remove", OPERATOR)

        self._write(work)

    def deploy_token(self, scopes: Sequence[str], *, project: int | None = None, group: int | None = None) -> str:
        """A deploy token; its secret."""
        secret = mint(Prefix.DEPLOY)

        def work(writing: Writing) -> None:
            values = {
                "project_id": project,
                "namespace_id": group,
                "name": "deploy",
                "username": "deploy",
                "digest": secret.digest(),
                "scopes": list(scopes),
                "created_at": writing.at,
            }
            insert_row(writing.connection, deploy_tokens, values)
            writing.record("deploy_token.create", OPERATOR)

        self._write(work)
        return secret.reveal()

    def job_token(self, user_id: int, project: int, **facts: object) -> str:
        """The token of a CI job that runs in `project`; its secret."""
        secret = mint(Prefix.JOB)

        def work(writing: Writing) -> None:
            values = {
                "project_id": project,
                "user_id": user_id,
                "digest": secret.digest(),
                "ref": "main",
                "sha": "0" * 40,
                "created_at": writing.at,
                "expires_at": writing.at + _HOUR,
                **facts,
            }
            insert_row(writing.connection, job_tokens, values)
            writing.record("job_token.create", OPERATOR)

        self._write(work)
        return secret.reveal()

    def admit(self, project: int, source: int) -> None:
        """Let jobs of `source` use their tokens in `project`."""

        def work(writing: Writing) -> None:
            values = {"project_id": project, "source_project_id": source, "created_at": writing.at}
            writing.connection.execute(job_allowlist.insert().values(values))
            writing.record("job_token_scope.add", OPERATOR)

        self._write(work)

    def set_project(self, project: int, **values: object) -> None:
        """Change columns of a project."""

        def work(writing: Writing) -> None:
            writing.connection.execute(update(projects).where(projects.c.id == project).values(values))
            writing.record("project.update", OPERATOR, project_id=project)

        self._write(work)

    def _write(self, work: Callable[[Writing], T]) -> T:
        return done(self.registry.store.database.write(work))
