"""CI job tokens: making them, GitLab's `/job`, and the allowlist of each project."""

from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import frozen

from registry.domain.access import Permission, User
from registry.domain.credentials import JobTokenInfo, ListedProject
from registry.domain.tokens import Secret
from registry.interfaces import IJobs
from registry.web.credentials import Door
from registry.web.rest.answers import iso, nothing, number, reply, reply_page
from registry.web.rest.paging import Paging
from registry.web.rest.token_shapes import demand_given
from registry.web.routes import Call, Route
from registry.web.simple import mount
from registry.workflows.jobs import JobRequest, Jobs

_PROJECT = "/api/v4/projects/<segment:project>"
_SCOPE = f"{_PROJECT}/job_token_scope"
_REF_LIMIT, _SHA_LIMIT, _SHORT = 255, 64, 8


@frozen(kw_only=True)
class JobTokens:
    """What a CI system needs of us, and what a project lets other projects' jobs do."""

    jobs: Jobs
    catalog: IJobs
    now: Callable[[], datetime]
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Our own route for making tokens; the rest is GitLab's."""
        listed = f"{_SCOPE}/allowlist"
        tokens = f"{_PROJECT}/job_tokens"
        read, change = Permission.READ_JOB_TOKENS, Permission.ADMIN_JOB_TOKENS
        return (
            Route(method="GET", rule="/api/v4/job", permission=Permission.READ_JOB, handler=self.job, door=Door.REST),
            Route(method="POST", rule=tokens, permission=change, handler=self.create, door=Door.REST),
            Route(method="DELETE", rule=f"{tokens}/<segment:token_id>", permission=change, handler=self.revoke, door=Door.REST),
            Route(method="GET", rule=_SCOPE, permission=read, handler=self.scope, door=Door.REST),
            Route(method="PATCH", rule=_SCOPE, permission=change, handler=self.set_scope, door=Door.REST),
            Route(method="GET", rule=listed, permission=read, handler=self.allowlist, door=Door.REST),
            Route(method="POST", rule=listed, permission=change, handler=self.admit, door=Door.REST),
            Route(method="DELETE", rule=f"{listed}/<segment:target>", permission=change, handler=self.admit_no_more, door=Door.REST),
        )

    async def create(self, call: Call) -> bytes:
        """A token for a job of the project."""
        params = call.params()
        asked = JobRequest(
            user_id=params.optional_integer("user_id"),
            ref=params.text("ref", "", limit=_REF_LIMIT),
            sha=params.text("sha", "", limit=_SHA_LIMIT),
            pipeline_id=params.optional_integer("pipeline_id"),
            job_id=params.optional_integer("job_id"),
            expires_at=params.moment("expires_at"),
        )
        made, secret = await self.jobs.mint(call.admission, asked, call.actor)
        return reply(call, _shown(made, secret), 201)

    async def revoke(self, call: Call, token_id: str) -> bytes:
        """The job has ended."""
        await self.catalog.revoke_job_token(call.project, number("token_id", token_id), call.actor)
        return nothing(call)

    async def job(self, call: Call) -> bytes:
        """The job that asks, as GitLab describes it."""
        job, user, now = call.identity.job, call.identity.user, self.now()
        assert job is not None, "the permission asks for a job"
        assert user is not None, "a job has a user"
        project = await self.jobs.project_of(call.identity)
        base = self.external_url() or mount(call.request)
        job_id = job.id if job.job_id is None else job.job_id
        started = job.created_at or now
        return reply(
            call,
            {
                "id": job_id,
                "name": "job",
                "status": "running",
                "stage": "test",
                "ref": job.ref,
                "tag": False,
                "created_at": iso(started),
                "started_at": iso(started),
                "finished_at": None,
                "duration": max(0.0, (now - started).total_seconds()),
                "queued_duration": 0.0,
                "commit": {"id": job.sha, "short_id": job.sha[:_SHORT]},
                "pipeline": {"id": job.pipeline_id, "project_id": job.project_id, "ref": job.ref, "sha": job.sha, "status": "running"},
                "project": {"ci_job_token_scope_enabled": False},
                "user": _user(user, base),
                "web_url": f"{base}/{project.path}/-/jobs/{job_id}",
            },
        )

    async def scope(self, call: Call) -> bytes:
        """Whether the allowlist is enforced."""
        return reply(call, {"inbound_enabled": await self.catalog.limited(call.project), "outbound_enabled": False})

    async def set_scope(self, call: Call) -> bytes:
        """Enforce the allowlist, or not."""
        params = call.params()
        demand_given(params, ("enabled",))
        await self.catalog.set_limited(call.project, call.actor, limited=params.flag("enabled"))
        return nothing(call)

    async def allowlist(self, call: Call) -> bytes:
        """The projects whose jobs may use their tokens in this one, beside its own."""
        paging = Paging.of(call.params())
        found, total = await self.jobs.admitted(call.admission, paging.per_page, paging.offset)
        base = self.external_url() or mount(call.request)
        return reply_page(call, [_project(one, base) for one in found], total, paging, base)

    async def admit(self, call: Call) -> bytes:
        """Admit the jobs of one more project; GitLab calls it the target, and this one the source."""
        target = call.params().integer("target_project_id")
        await self.jobs.admit(call.admission, target, call.actor)
        return reply(call, {"source_project_id": call.project.id, "target_project_id": target}, 201)

    async def admit_no_more(self, call: Call, target: str) -> bytes:
        """Take a project off the list."""
        await self.catalog.admit_no_more(call.project, number("target_project_id", target), call.actor)
        return nothing(call)


def _shown(token: JobTokenInfo, secret: Secret) -> dict[str, object]:
    return {
        "id": token.id,
        "token": secret.reveal(),
        "project_id": token.project_id,
        "user_id": token.user_id,
        "ref": token.ref,
        "sha": token.sha,
        "pipeline_id": token.pipeline_id,
        "job_id": token.job_id,
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
    }


def _user(user: User, base: str) -> dict[str, object]:
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name or user.username,
        "state": "active",
        "avatar_url": None,
        "web_url": f"{base}/{user.username}",
        "created_at": iso(user.created_at),
        "bot": user.bot,
    }


def _project(listed: ListedProject | int, base: str) -> dict[str, object]:
    if isinstance(listed, int):
        return {"id": listed}
    namespace, _, segment = listed.path.rpartition("/")
    return {
        "id": listed.id,
        "description": listed.description or None,
        "name": listed.name,
        "name_with_namespace": f"{' / '.join(namespace.split('/'))} / {listed.name}",
        "path": segment,
        "path_with_namespace": listed.path,
        "created_at": iso(listed.created_at),
        "default_branch": "main",
        "web_url": f"{base}/{listed.path}",
        "avatar_url": None,
    }
