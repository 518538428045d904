"""CI jobs, ours and those of a GitLab instance."""

from zope.interface import Interface

from registry.domain.access import Project, Role, User
from registry.domain.credentials import JobClaim, JobTokenInfo, ListedProject, NewJobToken
from registry.domain.model import Actor
from registry.domain.tokens import Secret


class IJobs(Interface):
    """CI jobs: their tokens, and whose jobs a project admits."""

    async def create_job_token(
        project: Project, user: int | str, new: NewJobToken, actor: Actor, *, ceiling: Role, admins: bool
    ) -> JobTokenInfo:
        """Keep a `NewJobToken` for a job of `project` that the user with this number or name triggered; its `JobTokenInfo`.

        Raises `Forbidden` for a user above `ceiling` in the project, or for an administrator unless `admins`, as he stands when it is
        kept; `NotFound` for an unknown one, `Refused` for a blocked one.
        """

    async def revoke_job_token(project: Project, token_id: int, actor: Actor) -> None:
        """End it. Raises `NotFound` when the project has no such token, or it has been ended."""

    async def job_of(username: str, project_path: str) -> tuple[User, Project] | None:
        """The user and the project of these names (any case); None if either does not exist."""

    async def limited(project: Project) -> bool:
        """Whether the project's allowlist is enforced; if not, jobs of all projects are admitted."""

    async def set_limited(project: Project, actor: Actor, *, limited: bool) -> None:
        """Enforce the project's allowlist, or not."""

    async def admitted(project: Project, limit: int, offset: int) -> tuple[list[tuple[Project, ListedProject]], int]:
        """A part of the projects on this one's allowlist, by id, and how many there are in all. Itself is not listed."""

    async def admit_jobs_of(project: Project, source: Project, actor: Actor) -> None:
        """Put `source` on the allowlist of `project`. Raises `Refused` if it is there, `Conflict` if one of them is gone."""

    async def admit_no_more(project: Project, source_id: int, actor: Actor) -> None:
        """Take a project off the allowlist. Raises `NotFound` if it is not there."""


class IJobVerifier(Interface):
    """A GitLab instance that knows running jobs by their tokens."""

    async def verify(secret: Secret) -> JobClaim | None:
        """What the instance says of the running job with this token; None if it knows none or cannot be asked (which is logged).

        An answer, either way, is remembered for at most a minute.
        """
