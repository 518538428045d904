"""What a registry is made of: the store of a data directory, and the workflows and routes over it. `assembly` gives it a life."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import frozen

from registry.config import Config
from registry.domain.access import Identity
from registry.domain.retention import Retention
from registry.domain.settings import FORWARDING, SWITCHES
from registry.domain.tokens import Secret
from registry.interfaces import IThreads
from registry.outward import Outward, outward
from registry.storage.blobs.directory import DirectoryBlobs
from registry.storage.blobs.disk import Disk
from registry.storage.catalog.access import SqlAccess
from registry.storage.catalog.audit import SqlAudit
from registry.storage.catalog.database import Database
from registry.storage.catalog.deploy_tokens import SqlDeployTokens
from registry.storage.catalog.forwarding import SqlForwarding
from registry.storage.catalog.founding import SqlFounding
from registry.storage.catalog.groups import SqlGroups
from registry.storage.catalog.history import SqlHistory
from registry.storage.catalog.inventory import SqlInventory
from registry.storage.catalog.jobs import SqlJobs
from registry.storage.catalog.keeping import SqlKeeping
from registry.storage.catalog.members import SqlMembers
from registry.storage.catalog.namespaces import SqlNamespaces
from registry.storage.catalog.packages import SqlPackages
from registry.storage.catalog.people import SqlPeople
from registry.storage.catalog.place_tokens import SqlPlaceTokens
from registry.storage.catalog.places import SqlPlaces
from registry.storage.catalog.projects import SqlProjects
from registry.storage.catalog.protection import SqlProtection
from registry.storage.catalog.refusals import SqlRefusals
from registry.storage.catalog.releases import SqlReleases
from registry.storage.catalog.settings import SqlSettings
from registry.storage.catalog.tokens import SqlTokens
from registry.storage.catalog.upstream import SqlUpstream
from registry.storage.catalog.users import SqlUsers
from registry.storage.data_dir import DataDir
from registry.trust.verifier import AttestationVerifier
from registry.upstream.gitlab import GitLabJobs
from registry.upstream.pages import read_page
from registry.web.access_log import AccessLog
from registry.web.channel import Deadlines
from registry.web.dated import Dated
from registry.web.explain import Explain
from registry.web.front import Front
from registry.web.integrity import Integrity
from registry.web.ops import Ops
from registry.web.project_json import ProjectJson
from registry.web.pypi import PyPI
from registry.web.rest.deploy_tokens import DeployTokens
from registry.web.rest.groups import Groups
from registry.web.rest.instance import Instance
from registry.web.rest.jobs import JobTokens
from registry.web.rest.members import Members
from registry.web.rest.namespaces import Namespaces
from registry.web.rest.packages import Packages
from registry.web.rest.personal_tokens import PersonalTokens
from registry.web.rest.place_tokens import PlaceTokenRoutes
from registry.web.rest.projects import Projects
from registry.web.rest.protection import Protection
from registry.web.rest.releases import Releases
from registry.web.rest.upstream import UpstreamNames
from registry.web.rest.users import Users
from registry.web.routes import Route, Routes
from registry.web.site import RegistrySite
from registry.web.upload import Uploads
from registry.workflows.ahead import Ahead
from registry.workflows.bundle import Bundles
from registry.workflows.curation import Curation
from registry.workflows.downloads import Downloads
from registry.workflows.explaining import Explaining, Remembered
from registry.workflows.failures import Failures
from registry.workflows.gate import Gate
from registry.workflows.history import History
from registry.workflows.jobs import ForeignJobs, Jobs
from registry.workflows.keeping import Keeping
from registry.workflows.library import Library
from registry.workflows.publish import Publisher
from registry.workflows.refusals import Refusals
from registry.workflows.settings import LiveSettings
from registry.workflows.tokens import PlaceTokens, Tokens
from registry.workflows.uses import TokenUses

_NO_ENVIRONMENT: Mapping[str, str] = {}


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@frozen(kw_only=True)
class Store:
    """The catalog and the blobs of one data directory."""

    data_dir: DataDir
    database: Database
    packages: SqlPackages
    access: SqlAccess
    users: SqlUsers
    tokens: SqlTokens
    place_tokens: SqlPlaceTokens
    deploy_tokens: SqlDeployTokens
    jobs: SqlJobs
    places: SqlPlaces
    people: SqlPeople
    namespaces: SqlNamespaces
    groups: SqlGroups
    projects: SqlProjects
    members: SqlMembers
    founding: SqlFounding
    inventory: SqlInventory
    protection: SqlProtection
    releases: SqlReleases
    refusals: SqlRefusals
    settings: SqlSettings
    forwarding: SqlForwarding
    audit: SqlAudit
    history: SqlHistory
    upstream: SqlUpstream
    keeping: SqlKeeping
    blobs: DirectoryBlobs

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        readers: IThreads,
        writer: IThreads,
        files: IThreads,
        disk: Disk | None = None,
        clock: Callable[[], datetime] = now,
        forwarding: bool = True,
    ) -> "Store":
        """The store in directory `path`, not opened yet. `forwarding`: whether names not held here may be asked upstream if nobody says."""
        data_dir = DataDir(path)
        database = Database(path=data_dir.catalog, readers=readers, writer=writer, now=clock)
        blobs = DirectoryBlobs(folder=data_dir.blobs, threads=files, disk=disk or Disk())
        return cls(
            data_dir=data_dir,
            database=database,
            blobs=blobs,
            packages=SqlPackages(database),
            access=SqlAccess(database),
            users=SqlUsers(database),
            tokens=SqlTokens(database),
            place_tokens=SqlPlaceTokens(database),
            deploy_tokens=SqlDeployTokens(database),
            jobs=SqlJobs(database),
            places=SqlPlaces(database),
            people=SqlPeople(database),
            namespaces=SqlNamespaces(database),
            groups=SqlGroups(database),
            projects=SqlProjects(database),
            members=SqlMembers(database),
            founding=SqlFounding(database),
            inventory=SqlInventory(database),
            protection=SqlProtection(database),
            releases=SqlReleases(database),
            refusals=SqlRefusals(database),
            settings=SqlSettings(database),
            forwarding=SqlForwarding(database, forwarding),
            audit=SqlAudit(database),
            history=SqlHistory(database),
            upstream=SqlUpstream(database, forwarding),
            keeping=SqlKeeping(database),
        )


@frozen(kw_only=True)
class Composition:
    """The parts that others need to hold."""

    gate: Gate
    library: Library
    publisher: Publisher
    settings: LiveSettings  # to be loaded once the store is open
    downloads: Downloads  # to be flushed now and then
    uses: TokenUses  # likewise
    keeping: Keeping  # likewise, tidied, and pruned
    refusals: Refusals  # to be flushed now and then
    attestations: AttestationVerifier | None  # to be loaded before the first upload
    ahead: Ahead | None  # to be stopped
    outward: Outward  # to be loaded before the first miss, refreshed now and then, and its client closed
    routes: Routes
    site: RegistrySite


def compose(
    config: Config,
    store: Store,
    *,
    reactor: Any,
    files: IThreads,
    external_url: Callable[[], str],
    serving: Callable[[], Awaitable[None]],
    log: AccessLog | None,
    environ: Mapping[str, str] = _NO_ENVIRONMENT,
    more: Sequence[Route] = (),
) -> Composition:
    """Put workflows and routes over a store that need not be open yet.

    `files` are the threads that read what a foreign Site has spooled; `serving` raises `Unavailable` until the registry serves; `environ`
    says which proxies and certificates are used to ask upstreams; `more` routes are served beside ours.
    """
    clock = store.database.now
    uses = TokenUses(tokens=store.tokens, now=clock)
    gate = Gate(
        access=store.access,
        now=clock,
        failures=Failures(per_minute=config.auth.failures_per_minute, now=clock),
        used=uses.note,
        foreign_job=_foreign_jobs(config, store, reactor),
    )
    tokens = Tokens(tokens=store.tokens, uses=uses, now=clock)
    place_tokens = PlaceTokens(tokens=store.place_tokens, uses=uses, now=clock)
    jobs = Jobs(jobs=store.jobs, access=store.access, now=clock)
    keeping = Keeping(
        catalog=store.upstream,
        keeping=store.keeping,
        packages=store.packages,
        blobs=store.blobs,
        budget=config.upstream.cache_size,
        now=clock,
    )
    beyond = _outward(
        config,
        store,
        reactor=reactor,
        threads=files,
        environ=environ,
        on_used=keeping.note,
        on_kept=keeping.kept,
        on_replaced=keeping.replaced,
    )
    library = Library(
        packages=store.packages,
        blobs=store.blobs,
        threads=files,
        now=clock,
        beyond=beyond.fallback,
        budget=config.cache.pages,
        small_budget=config.cache.files,
    )
    attestations = None
    if config.attestations.trust_root is not None:
        attestations = AttestationVerifier(
            trust_root=config.attestations.trust_root, identities=config.attestations.identities, threads=files
        )
    publisher = Publisher(
        packages=store.packages,
        blobs=store.blobs,
        now=clock,
        accept_identical=config.uploads.accept_identical,
        close_after=timedelta(seconds=config.uploads.close_after) if config.uploads.close_after else None,
        checks=config.uploads.checks,
        on_restored=library.forget_bytes,
        attestations=attestations,
    )
    history = History(history=store.history, gate=gate, threads=files)
    settings = LiveSettings(
        catalog=store.settings,
        max_file_size=config.uploads.max_file_size,
        defaults={**SWITCHES, FORWARDING: config.upstream.enabled},
    )
    downloads = Downloads(inventory=store.inventory, now=clock)
    refusals = Refusals(journal=store.refusals, now=clock)
    beyond.fallback.on_refused = refusals.note
    beyond.filling.on_filled = library.forget_page
    keeping.retention = Retention.of(beyond.fallback.courses.upstreams)
    curation = Curation(inventory=store.inventory, releases=store.releases, packages=store.packages, blobs=store.blobs)
    for listener in (gate.forget, library.forget, beyond.fallback.courses.hear, beyond.filling.forget, settings.hear, keeping.hear):
        store.database.subscribe(listener)
    uploads = Uploads(blobs=store.blobs, limit=settings.upload_limit, threads=files)
    ahead = Ahead(library=library, threads=files) if config.upstream.ahead else None
    pypi = PyPI(
        gate=gate,
        library=library,
        history=history,
        publisher=publisher,
        uploads=uploads,
        external_url=external_url,
        on_download=downloads.note,
        ahead=ahead,
    )
    families = (
        Front(external_url=external_url),
        Ops(checks={"service": serving, "catalog": store.database.check, "blobs": store.blobs.check}),
        pypi,
        ProjectJson(packages=store.packages, library=library, threads=files, view=pypi.view, external_url=external_url),
        Integrity(packages=store.packages, view=pypi.view, beyond=beyond.fallback, threads=files),
        Explain(
            explaining=Explaining(packages=store.packages, beyond=beyond.fallback, threads=files, ask=beyond.fallback.inquiries.ask),
            threads=files,
            view=pypi.view,
        ),
        Dated(history=history, library=library, external_url=external_url),
        Packages(gate=gate, inventory=store.inventory, curation=curation, external_url=external_url),
        Releases(curation=curation, releases=store.releases, external_url=external_url),
        Protection(rules=store.protection, external_url=external_url),
        Instance(settings=settings),
        Users(people=store.people, external_url=external_url),
        Groups(
            namespaces=store.namespaces,
            groups=store.groups,
            projects=store.projects,
            forwarding=store.forwarding,
            external_url=external_url,
        ),
        Projects(projects=store.projects, forwarding=store.forwarding, external_url=external_url),
        UpstreamNames(catalog=store.upstream, external_url=external_url),
        Members(members=store.members, external_url=external_url, now=clock),
        Namespaces(namespaces=store.namespaces, external_url=external_url),
        PersonalTokens(tokens=tokens, now=clock, external_url=external_url),
        PlaceTokenRoutes(tokens=place_tokens, personal=tokens, now=clock, external_url=external_url),
        DeployTokens(tokens=store.deploy_tokens, now=clock, external_url=external_url),
        JobTokens(jobs=jobs, catalog=store.jobs, now=clock, external_url=external_url),
    )
    routes = Routes(gate=gate, routes=(*(route for family in families for route in family.routes()), *more))
    deadlines = Deadlines(head=config.server.head_timeout, stall=config.server.stall_timeout)
    site = RegistrySite(routes, uploads, reactor=reactor, deadlines=deadlines, log=log, seconds=lambda: clock().timestamp())
    return Composition(
        gate=gate,
        library=library,
        publisher=publisher,
        settings=settings,
        downloads=downloads,
        uses=uses,
        keeping=keeping,
        refusals=refusals,
        attestations=attestations,
        ahead=ahead,
        outward=beyond,
        routes=routes,
        site=site,
    )


def bundles(store: Store, progress: Callable[[int], object]) -> Bundles:
    """What writes and reads bundles of a store; their pages are read as those of upstreams are. `progress` hears of bytes."""
    return Bundles(catalog=store.upstream, keeping=store.keeping, blobs=store.blobs, reader=read_page, progress=progress)


def explainer(
    config: Config, store: Store, *, reactor: Any, threads: IThreads, environ: Mapping[str, str], ask: bool
) -> tuple[Explaining, Outward]:
    """What explains names to an operator, over an opened store. Its `Outward` is to be loaded first, and its client closed in the end.

    `ask`: upstreams are asked as a server would ask them; otherwise that counts which is known of them, and nobody is asked.
    """
    beyond = _outward(config, store, reactor=reactor, threads=threads, environ=environ)
    fallback = beyond.fallback
    beyond.filling.stop()  # who only explains is gone before anything is found out
    how = fallback.inquiries.ask if ask else Remembered(catalog=store.upstream, now=store.database.now).ask
    return Explaining(packages=store.packages, beyond=fallback, threads=threads, ask=how), beyond


def _outward(config: Config, store: Store, *, reactor: Any, threads: IThreads, environ: Mapping[str, str], **hearing: Any) -> Outward:
    """What asks other indexes, over a store; `hearing`: those of its functions that hear of files."""
    return outward(
        config,
        catalog=store.upstream,
        forwarding=store.forwarding,
        blobs=store.blobs,
        reactor=reactor,
        threads=threads,
        now=store.database.now,
        environ=environ,
        **hearing,
    )


def _foreign_jobs(config: Config, store: Store, reactor: Any) -> Callable[[Secret], Awaitable[Identity | None]] | None:
    if not config.gitlab.url:
        return None
    verifier = GitLabJobs(url=config.gitlab.url, reactor=reactor)
    return ForeignJobs(verifier=verifier, jobs=store.jobs, patterns=config.gitlab.projects, now=store.database.now).identify
