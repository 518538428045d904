"""A whole registry in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from attrs import define, evolve, field
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from registry.composition import Composition, Store, compose
from registry.config import Auth, Config
from registry.domain.access import ANYBODY, Place, Project, Role, User, Visibility
from registry.domain.credentials import JOB_DEFAULT, NewDeployToken, NewJobToken
from registry.domain.members import Grant
from registry.domain.model import NewToken, ProjectInfo
from registry.domain.paths import ProjectPath
from registry.domain.places import NamespaceInfo, Wishes
from registry.domain.tokens import Prefix, Secret, mint
from registry.interfaces import IThreads
from registry.storage.blobs.disk import Disk
from registry.storage.threads import InlineThreads
from registry.testing.agent import SiteAgent
from registry.testing.distributions import FORM_TYPE, Built, form
from registry.testing.network import MemoryNetwork
from registry.testing.scene import EXTERNAL_URL, NOON, OPERATOR
from registry.testing.waiting import done, gathered
from registry.testing.wire import Answer, Wire, request
from registry.web.access_log import AccessLog
from registry.web.channel import Deadlines
from registry.web.routes import Route, Routes
from registry.web.site import RegistrySite
from registry.workflows.downloads import Downloads
from registry.workflows.founding import found
from registry.workflows.gate import Gate
from registry.workflows.library import Library
from registry.workflows.publish import Publisher

T = TypeVar("T")

# Here everybody comes from one address, so nobody is held up for what another has failed at.
FORGIVING = Config(auth=Auth(failures_per_minute=0))


@define(eq=False, kw_only=True)
class MemoryRegistry:
    """A whole registry of the same composition that `assembly` uses, on a folder, without threads, ports or a clock of its own."""

    clock: MemoryReactorClock
    store: Store
    parts: Composition
    gate: Gate
    library: Library
    publisher: Publisher
    downloads: Downloads
    routes: Routes
    site: RegistrySite
    log_lines: list[str]  # of the access log, once flushed
    root_token: str
    _log: AccessLog

    def now(self) -> datetime:
        """The registry's wall clock."""
        return NOON + timedelta(seconds=self.clock.seconds())

    def connect(self, peer: str = "192.0.2.7") -> Wire:
        """A new connection."""
        return Wire.to(self.site, peer)

    def ask(
        self,
        method: str,
        path: str | bytes,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        token: str | None = None,
    ) -> Answer:
        """The one answer to one request on a connection of its own."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if token is not None:
            pairs.append(("PRIVATE-TOKEN", token))
        wire = self.connect()
        wire.send(request(method, path, pairs, body))
        answers = [answer for answer in wire.answers(method) if answer.code != 100]  # noqa: PLR2004 - an interim one
        assert len(answers) == 1, f"{len(answers)} answers to {method} {path!r}"
        wire.hang_up()
        return answers[0]

    def upload(self, project: int | str, built: Built, *, token: str | None = None, fields: Mapping[str, str] | None = None) -> Answer:
        """Upload `built`, with `fields` instead of, or beside, those it needs; by root unless there is a `token`."""
        body = form({**built.fields, **(fields or {})}, ("content", built.filename, built.content))
        path = f"/api/v4/projects/{project}/packages/pypi"
        return self.ask("POST", path, {"Content-Type": FORM_TYPE}, body, token=self.root_token if token is None else token)

    def token(self, user: str, *scopes: str, expires_at: datetime | None = None) -> str:
        """A new personal access token of `user` (scope `api` unless said otherwise)."""
        secret = mint()
        new = NewToken(name="test", digest=secret.digest(), scopes=scopes or ("api",), expires_at=expires_at)
        done(self.store.tokens.create_token(user, new, OPERATOR))
        return secret.reveal()

    def user(self, username: str, *, admin: bool = False) -> User:
        """A new user."""
        return done(self.store.users.create_user(username, "", OPERATOR, admin=admin))

    def project(self, path: str, visibility: Visibility = Visibility.PRIVATE) -> ProjectInfo:
        """A new project."""
        return done(self.store.places.create_project(ProjectPath.parse(path), visibility, OPERATOR))

    def group(self, path: str, visibility: Visibility = Visibility.PRIVATE) -> NamespaceInfo:
        """A new group without members, in the group its path names, which exists."""
        parent, _, segment = path.rpartition("/")
        wishes = Wishes(name=segment, path=segment, visibility=visibility)
        return done(self.store.groups.create_group(wishes, parent or None, OPERATOR, None))

    def place(self, path: str) -> Place:
        """The group or project at this path."""
        places = [done(self.store.access.enter(kind, path, ANYBODY))[0] for kind in ("group", "project")]
        return next(place for place in places if place is not None)

    def member(self, path: str, user: str, role: Role, expires_at: datetime | None = None) -> None:
        """Give a user a role in the group or project at this path."""
        done(self.store.members.add(self.place(path), [Grant(user=user, role=role, expires_at=expires_at)], OPERATOR, None))

    def deploy_token(self, path: str, *scopes: str, expires_at: datetime | None = None) -> str:
        """A new deploy token of the group or project at this path (scope `read_package_registry` unless said otherwise)."""
        secret = mint(Prefix.DEPLOY)
        wanted = scopes or ("read_package_registry",)
        new = NewDeployToken(name="test", digest=secret.digest(), scopes=wanted, expires_at=expires_at)
        done(self.store.deploy_tokens.create_deploy_token(self.place(path), new, OPERATOR))
        return secret.reveal()

    def job_token(self, path: str, user: str, expires_at: datetime | None = None) -> str:
        """A new token for a job that runs in the project at this path and was triggered by this user."""
        secret, project = mint(Prefix.JOB), self.place(path)
        assert isinstance(project, Project), "jobs run in projects"
        new = NewJobToken(digest=secret.digest(), expires_at=expires_at or self.now() + JOB_DEFAULT)
        done(self.store.jobs.create_job_token(project, user, new, OPERATOR, ceiling=Role.OWNER, admins=True))
        return secret.reveal()

    def admit_jobs(self, path: str, source: str) -> None:
        """Put the project at path `source` on the job-token allowlist of the one at `path`."""
        target, running = self.place(path), self.place(source)
        assert isinstance(target, Project), "allowlists are of projects"
        assert isinstance(running, Project), "jobs run in projects"
        done(self.store.jobs.admit_jobs_of(target, running, OPERATOR))

    def staged_files(self) -> list[str]:
        """What lies in the staging folder."""
        return sorted(path.name for path in (self.store.data_dir.blobs / "staging").iterdir())

    def kept_files(self) -> list[str]:
        """The names of all blobs."""
        return [name for batch in gathered(self.store.blobs.listing()) for name in batch]

    def pass_time(self, seconds: int, *wires: Wire) -> None:
        """Let the clock run, second by second, and `wires` see what it brings."""
        for _ in range(seconds):
            self.clock.advance(1)
            for wire in wires:
                wire.settle()

    def http(self) -> HTTPClient:
        """A treq client whose requests go through the registry's own Site."""
        return HTTPClient(SiteAgent(self.site, self.clock))

    def access_log(self) -> str:
        """Every line of the access log."""
        done(self._log.flush())
        return "".join(self.log_lines)

    def close(self) -> None:
        """Give back what the catalog holds."""
        self.parts.outward.filling.stop()
        self.site.stopFactory()
        self.store.database.close()


def registry_in_memory(
    folder: Path,
    *,
    config: Config | None = None,
    disk: Disk | None = None,
    files: IThreads | None = None,
    readers: IThreads | None = None,
    writer: IThreads | None = None,
    limit: int = 1 << 20,
    accept_identical: bool = False,
    external_url: str = EXTERNAL_URL,
    deadlines: Deadlines | None = None,
    budget: int = 1 << 20,
    network: MemoryNetwork | None = None,
    more: Sequence[Route] = (),
) -> MemoryRegistry:
    """Put a registry together on `folder`, founded, ready to be asked.

    `files`, `readers` and `writer` are the threads of blobs and of the catalog: with `HeldThreads` every race can be arranged (the founding
    is done without them). `network`: where the upstreams of `config` are; an index that is not configured is never asked. `limit` bounds an
    uploaded file, in bytes; these arguments stand in `config` instead of what it says. `more` routes are served beside the real ones.
    """
    clock = network or MemoryReactorClock()
    inline = InlineThreads()
    base = config or FORGIVING
    config = evolve(
        base,
        server=evolve(base.server, data_dir=folder, external_url=external_url),
        uploads=evolve(base.uploads, max_file_size=limit, accept_identical=accept_identical),
        cache=evolve(base.cache, pages=budget, files=budget),
        # What stands for no address is PyPI's, which no test may reach.
        upstream=base.upstream if base.upstream.url else evolve(base.upstream, mode="off"),
    )

    def now() -> datetime:
        return NOON + timedelta(seconds=clock.seconds())

    reading, writing = _Switch(inline), _Switch(inline)
    store = Store.of(
        folder,
        readers=reading,
        writer=writing,
        files=files or inline,
        disk=disk,
        clock=now,
        forwarding=config.upstream.enabled,
    )
    store.data_dir.create()
    store.blobs.prepare()
    store.database.open()
    handed: list[Secret] = []

    async def hand_over(secret: Secret) -> None:
        handed.append(secret)

    async def serving() -> None:
        pass

    done(found(store.founding, hand_over))
    lines: list[str] = []
    log = AccessLog(threads=inline, write=lines.append, now=lambda: now().timestamp())
    parts = compose(
        config,
        store,
        reactor=clock,
        files=inline,
        external_url=lambda: external_url,
        serving=serving,
        log=log,
        more=more,
    )
    done(parts.settings.load())
    parts.outward.load()
    reading.threads, writing.threads = readers or inline, writer or inline
    if deadlines is not None:
        parts.site.deadlines = deadlines
    parts.site.startFactory()
    return MemoryRegistry(
        clock=clock,
        store=store,
        parts=parts,
        gate=parts.gate,
        library=parts.library,
        publisher=parts.publisher,
        downloads=parts.downloads,
        routes=parts.routes,
        site=parts.site,
        log_lines=lines,
        root_token=handed[0].reveal() if handed else "",
        log=log,
    )


@implementer(IThreads)
@define(eq=False)
class _Switch:
    """Threads that can be exchanged while the registry runs."""

    threads: IThreads = field()

    def run(self, work: Callable[..., T], *args: object) -> "Deferred[T]":
        """IThreads."""
        running: Deferred[T] = self.threads.run(work, *args)
        return running
