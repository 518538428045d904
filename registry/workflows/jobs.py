"""CI jobs: tokens for them, and those of a GitLab instance that are taken for ours."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from registry.domain.access import Identity, Job, Permission, Project, Standing, may, role_in
from registry.domain.credentials import JobTokenInfo, ListedProject, NewJobToken, job_expiry
from registry.domain.errors import Refused, UnknownProject
from registry.domain.job_projects import Pattern, our_project
from registry.domain.model import Actor
from registry.domain.tokens import Prefix, Secret, mint
from registry.interfaces import IAccess, IJobs, IJobVerifier
from registry.workflows.gate import Admission

# How long the word of a GitLab instance counts; its own cache adds nothing to that.
_BELIEVED = timedelta(seconds=60)


@frozen(kw_only=True)
class JobRequest:
    """What is known of a job that needs a token. Without a user it is the caller's own."""

    user_id: int | None = None
    ref: str = ""
    sha: str = ""
    pipeline_id: int | None = None
    job_id: int | None = None
    expires_at: datetime | None = None


@frozen(kw_only=True)
class Jobs:
    """Job tokens of projects, and their allowlists."""

    jobs: IJobs
    access: IAccess
    now: Callable[[], datetime]

    async def mint(self, admission: Admission, request: JobRequest, actor: Actor) -> tuple[JobTokenInfo, Secret]:
        """A token for a job of the admission's project. Raises `InvalidSetting`, `NotFound`, `Refused` or `Forbidden`."""
        user = admission.identity.user
        assert user is not None, "only users have roles"
        secret = mint(Prefix.JOB)
        new = NewJobToken(
            digest=secret.digest(),
            expires_at=job_expiry(request.expires_at, self.now()),
            ref=request.ref,
            sha=request.sha,
            pipeline_id=request.pipeline_id,
            job_id=request.job_id,
        )
        ceiling = role_in(admission.identity, admission.project, admission.standing)
        user_id = user.id if request.user_id is None else request.user_id
        made = await self.jobs.create_job_token(admission.project, user_id, new, actor, ceiling=ceiling, admins=user.admin)
        return made, secret

    async def project_of(self, identity: Identity) -> Project:
        """The project that the caller's job runs in. Raises `UnknownProject`."""
        assert identity.job is not None, "the caller is a job"
        place, _ = await self.access.enter("project", identity.job.project_id, identity)
        if not isinstance(place, Project):
            raise UnknownProject
        return place

    async def admitted(self, admission: Admission, limit: int, offset: int) -> tuple[list[ListedProject | int], int]:
        """The projects whose jobs the admission's project admits; of those that the caller may not see, only the number."""
        found, total = await self.jobs.admitted(admission.project, limit, offset)
        user = admission.identity.user
        roles = await self.access.memberships(user.id) if user is not None else None
        shown: list[ListedProject | int] = []
        for project, listed in found:
            standing = Standing(role=roles.in_(project)) if roles is not None else Standing()
            shown.append(listed if may(Permission.READ_PROJECT, admission.identity, project, standing) else project.id)
        return shown, total

    async def admit(self, admission: Admission, source_id: int, actor: Actor) -> None:
        """Admit the jobs of a project that the caller sees. Raises `UnknownProject`, or `Refused` if they are admitted already."""
        source, standing = await self.access.enter("project", source_id, admission.identity)
        if not isinstance(source, Project) or not may(Permission.READ_PROJECT, admission.identity, source, standing):
            raise UnknownProject
        if source.id == admission.project.id:
            raise Refused(problems={"target_project": ("is already in the job token scope",)})
        await self.jobs.admit_jobs_of(admission.project, source, actor)


@frozen(kw_only=True)
class ForeignJobs:
    """Jobs of a GitLab instance, mapped to our users by name and to our projects by `patterns`."""

    verifier: IJobVerifier
    jobs: IJobs
    patterns: Sequence[Pattern]
    now: Callable[[], datetime]

    async def identify(self, secret: Secret) -> Identity | None:
        """Who runs the job with this token; None if nobody here does."""
        began = self.now()
        claim = await self.verifier.verify(secret)
        path = our_project(self.patterns, claim.project_path) if claim is not None else None
        found = await self.jobs.job_of(claim.username, path) if claim is not None and path is not None else None
        if claim is None or found is None:
            return None
        user, project = found
        job = Job(
            id=0,  # no token of ours
            project_id=project.id,
            ref=claim.ref,
            sha=claim.sha,
            pipeline_id=claim.pipeline_id,
            job_id=claim.job_id,
            created_at=began,
            expires_at=began + _BELIEVED,
        )
        # User names there are given by others: one that happens to be our administrator's must not make one.
        return Identity(user=evolve(user, admin=False), job=job)
