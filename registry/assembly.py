"""The only place that constructs things: from a configuration and a reactor to a registry that can be served or embedded."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.logfile import LogFile
from twisted.web.resource import IResource

from registry.composition import Store, compose, now
from registry.config import Config, InvalidConfig
from registry.domain.errors import RegistryError, Unavailable
from registry.domain.tokens import Secret
from registry.interfaces import IThreads
from registry.outward import Outward
from registry.storage.blobs.disk import Disk
from registry.storage.threads import PooledThreads
from registry.trust.verifier import AttestationVerifier
from registry.web.access_log import AccessLog
from registry.web.site import RegistrySite
from registry.welcome import Started
from registry.workflows.ahead import Ahead
from registry.workflows.downloads import Downloads
from registry.workflows.founding import found
from registry.workflows.keeping import Keeping
from registry.workflows.library import Library
from registry.workflows.publish import Publisher
from registry.workflows.refusals import Refusals
from registry.workflows.settings import LiveSettings
from registry.workflows.upkeep import sweep
from registry.workflows.uses import TokenUses

_log = Logger()

# A change made by another process on the same catalog is seen within a second.
_POLL_EVERY = 0.5
_FLUSH_LOG_EVERY = 1.0
# How often a directory of advisories is looked at.
_REFRESH_EVERY = 300.0
# When things were used last is written this often at most.
_NOTE_EVERY = 60.0
# The room for upstreams' files is looked at as files come, and this often: it may have been made smaller.
_TIDY_EVERY = 3600.0
# Whoever asks for a name that nobody has leaves a row, so these go as fast as they come; pages grow old slowly.
_PRUNE_EVERY = 60.0
_RETIRE_EVERY = 3600.0
_LOG_BYTES, _LOGS_KEPT = 10 << 20, 5


class StartFailed(Exception):
    """The registry could not start; `str()` says why, and what to do."""


@define(kw_only=True)
class _Address:
    """The address clients use, known once a port is open."""

    url: str


@frozen(kw_only=True)
class Registry:
    """A registry, inert until its service starts.

    `resource` can be mounted under any path of a resource tree; `service` keeps the store, listens (unless told not to) and drains when
    stopped; `site` serves the resource with streamed uploads and deadlines.
    """

    resource: IResource
    service: "RegistryService"
    site: RegistrySite


def assemble(
    config: Config,
    reactor: Any,
    *,
    listen: bool = True,
    announce: Callable[[Started], object] | None = None,
    disk: Disk | None = None,
) -> Registry:
    """Put a registry together. Touches no file and no port before `service.startService()`.

    `listen=False`: the service opens no port of its own, for embedding `resource` or `site` in a server that exists. `announce` hears once
    that the registry serves (default: a log line). `disk` replaces the system calls that store files, for rehearsing their failures.
    Raises `InvalidConfig` for a listening description that Twisted does not understand.
    """
    readers, writer, files = (PooledThreads.named(reactor, name, size) for name, size in (("read", 4), ("write", 1), ("files", 8)))
    store = Store.of(config.server.data_dir, readers=readers, writer=writer, files=files, disk=disk, forwarding=config.upstream.enabled)
    address = _Address(url=config.server.external_url)

    def external_url() -> str:
        return address.url

    async def serving() -> None:
        # The catalog answers before the first start has put anybody into it.
        if not service.serving:
            raise Unavailable(part="service")

    log = _access_log(config, files)
    parts = compose(config, store, reactor=reactor, files=files, external_url=external_url, serving=serving, log=log, environ=os.environ)
    service = RegistryService(
        config=config,
        reactor=reactor,
        store=store,
        pools=(files, readers, writer),
        library=parts.library,
        publisher=parts.publisher,
        settings=parts.settings,
        downloads=parts.downloads,
        uses=parts.uses,
        keeping=parts.keeping,
        refusals=parts.refusals,
        attestations=parts.attestations,
        ahead=parts.ahead,
        outward=parts.outward,
        site=parts.site,
        log=log,
        address=address,
        endpoints=_endpoints(reactor, config) if listen else (),
        announce=announce or _announce_in_log,
    )
    return Registry(resource=parts.routes.resource(), service=service, site=parts.site)


@define(kw_only=True, eq=False, slots=False)
class RegistryService(Service):
    """Opens the store, listens, looks after things; stops in the reverse order, one step after the other.

    May be started again after it has stopped.
    """

    config: Config
    reactor: Any
    store: Store
    pools: Sequence[PooledThreads]  # stopped in this order
    library: Library
    publisher: Publisher
    settings: LiveSettings
    downloads: Downloads
    uses: TokenUses
    keeping: Keeping
    refusals: Refusals
    attestations: AttestationVerifier | None
    ahead: Ahead | None
    outward: Outward
    site: RegistrySite
    log: AccessLog | None
    address: _Address
    endpoints: Sequence[tuple[str, IStreamServerEndpoint]]
    announce: Callable[[Started], object]
    _outcome: Started | StartFailed | None = field(init=False, default=None)  # of the last start
    _waiting: "list[Deferred[Started]]" = field(init=False, factory=list)  # for the outcome
    _ports: list[IListeningPort] = field(init=False, factory=list)
    _loops: list[LoopingCall] = field(init=False, factory=list)
    _starting: "Deferred[None] | None" = field(init=False, default=None)

    def startService(self) -> None:
        """IService. Returns at once; requests are answered 503 until the store is open (`when_ready`)."""
        super().startService()
        self._outcome = None
        self._starting = Deferred.fromCoroutine(self._start())

    def when_ready(self) -> "Deferred[Started]":
        """Fires when the registry serves; fails with `StartFailed` if it cannot. A failed start is logged whether or not anybody asks."""
        outcome = self._outcome
        if outcome is None:
            waiting: Deferred[Started] = Deferred()
            self._waiting.append(waiting)
            return waiting
        return fail(outcome) if isinstance(outcome, StartFailed) else succeed(outcome)

    @property
    def serving(self) -> bool:
        """Whether the last start has succeeded and nobody has stopped it."""
        return bool(self.running) and isinstance(self._outcome, Started)

    def stopService(self) -> "Deferred[None]":
        """IService. Fires when everything that was begun is finished, or the grace period is over, and the store is closed."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        began = self.reactor.seconds()
        try:
            for pool in self.pools:
                pool.start()
            await self.pools[0].run(self._open)
            if self.attestations is not None:
                await self.pools[0].run(self.attestations.load)
            await self.pools[0].run(self.outward.load)
            first = await found(self.store.founding, self._hand_over)
            await self.settings.load()
            self._every(_POLL_EVERY, self.store.database.poll)
            self._every(_NOTE_EVERY, self.downloads.flush)
            self._every(_NOTE_EVERY, self.uses.flush)
            self._every(_NOTE_EVERY, self.keeping.flush)
            self._every(_NOTE_EVERY, self.refusals.flush)
            if self.log is not None:
                self._every(_FLUSH_LOG_EVERY, self.log.flush)
            await self._listen()
            self._every(self.config.storage.sweep_every, self._sweep, now=True)
            self._every(_TIDY_EVERY, self.keeping.tidy, now=True)
            self._every(_PRUNE_EVERY, self.keeping.prune, now=True)
            self._every(_RETIRE_EVERY, self.keeping.retire, now=True)
            self._every(_REFRESH_EVERY, self._refresh)
        except Exception as error:  # noqa: BLE001 - whatever it was, the one who starts us must hear of it
            await self._close()
            self._conclude(StartFailed(f"The registry could not start: {error}"))
            return
        started = Started(
            first=first,
            addresses=tuple(_shown(port.getHost()) for port in self._ports),
            url=self.address.url,
            data_dir=self.store.data_dir.path,
            root_token=self.store.data_dir.root_token,
            seconds=self.reactor.seconds() - began,
        )
        self.announce(started)
        self._conclude(started)

    def _conclude(self, outcome: Started | StartFailed) -> None:
        self._outcome = outcome
        if isinstance(outcome, StartFailed):
            _log.critical("{error}", error=outcome)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if isinstance(outcome, StartFailed):
                one.errback(outcome)
            else:
                one.callback(outcome)

    async def _stop(self) -> None:
        if self._starting is not None:
            await self._starting
        await gatherResults([maybeDeferred(port.stopListening) for port in self._ports])
        self._ports.clear()
        busy = sum(bool(channel.requests) for channel in self.site.channels)
        if busy:
            _log.info("Stopping: {busy} transfers get {grace:g} s to finish", busy=busy, grace=self.config.server.grace)
        drained = self.site.drain()
        drained.addTimeout(self.config.server.grace, self.reactor)
        try:
            await drained
        except Exception:  # noqa: BLE001 - addTimeout's own, and nothing else can fail
            _log.warn("Stopping: cut {left} transfers that did not finish", left=len(self.site.channels))
            gone = self.site.drain()
            self.site.abort()
            await gone
        await self.publisher.settled()
        if self.ahead is not None:
            self.ahead.stop()
        self.outward.filling.stop()
        await self.outward.filling.settled()
        await self.outward.fallback.inquiries.sayings.settled()
        await self.outward.fallback.arrivals.settled()
        await self.keeping.settled()
        await self._close()

    async def _close(self) -> None:
        for loop in self._loops:
            if loop.running:
                loop.stop()
        self._loops.clear()
        if isinstance(self._outcome, Started):
            try:
                await self.downloads.flush()
                await self.uses.flush()
                await self.keeping.flush()
                await self.refusals.flush()
            except RegistryError as error:
                _log.warn("When files were downloaded last, and tokens used, could not be written: {error}", error=error)
        await self.outward.client.close()
        if self.log is not None and self.pools[0].started:
            await self.log.flush()
        for pool in self.pools:
            if pool.started:
                pool.stop()
        if isinstance(self._outcome, Started):
            # What was cut may have left something half-written. Only a start that succeeded makes the directory ours to clean.
            self.store.blobs.clear_staging()
        self.store.database.close()
        self.store.data_dir.unlock()

    def _open(self) -> None:
        self.store.data_dir.create()
        self.store.data_dir.lock()
        self.store.blobs.prepare()
        self.store.database.open()

    async def _hand_over(self, secret: Secret) -> None:
        await self.pools[0].run(self.store.data_dir.keep_root_token, secret)

    async def _listen(self) -> None:
        for description, endpoint in self.endpoints:
            try:
                port = await endpoint.listen(self.site)
            except CannotListenError as error:
                raise StartFailed(f"cannot listen on {description}: {error.socketError}; give another --listen") from None
            self._ports.append(port)
            if not self.address.url:
                self.address.url = _url(description, port.getHost())

    def _every(self, seconds: float, work: Callable[[], Any], *, now: bool = False) -> None:
        async def once() -> None:
            try:
                await work()
            except RegistryError as error:
                # Its sentence says all there is to know, as when a round meets the stop.
                _log.error("{work} failed; it will be tried again: {error}", work=getattr(work, "__name__", work), error=error)
            except Exception:  # noqa: BLE001 - it is tried again; a loop that ends silently would be worse
                _log.failure("{work} failed; it will be tried again", work=getattr(work, "__name__", work))

        loop = LoopingCall(lambda: Deferred.fromCoroutine(once()))
        loop.clock = self.reactor
        loop.start(seconds, now=now)
        self._loops.append(loop)

    async def _refresh(self) -> None:
        if await self.pools[0].run(self.outward.refresh):
            self.library.forget_upstreams()

    async def _sweep(self) -> None:
        removed = await sweep(self.store.packages, self.store.blobs)
        if removed:
            _log.info("Removed {removed} files that no package names", removed=removed)


def _announce_in_log(started: Started) -> None:
    for line in str(started).splitlines():
        _log.info("{line}", line=line)


def _endpoints(reactor: Any, config: Config) -> list[tuple[str, IStreamServerEndpoint]]:
    made = []
    for description in config.server.listen:
        try:
            made.append((description, serverFromString(reactor, description)))
        except (ValueError, TypeError, OSError) as error:
            raise InvalidConfig(
                f"[server] listen = {description!r} cannot be used: {error}; write, for instance, tcp:8080:interface=127.0.0.1"
            ) from None
    return made


def _access_log(config: Config, threads: IThreads) -> AccessLog | None:
    if not config.log.access:
        return None

    def write(text: str) -> None:
        if config.log.access == "-":
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        path = config.server.data_dir / config.log.access
        file = LogFile(path.name, str(path.parent), rotateLength=_LOG_BYTES, maxRotatedFiles=_LOGS_KEPT, defaultMode=0o600)
        try:
            file.write(text)
        finally:
            file.close()

    return AccessLog(threads=threads, write=write, now=lambda: now().timestamp())


def _shown(host: IAddress) -> str:
    port = getattr(host, "port", None)
    name = getattr(host, "host", None)
    if port is None or name is None:
        return os.fsdecode(getattr(host, "name", None) or str(host))
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _url(description: str, host: IAddress) -> str:
    """The address of a port on one interface; empty for a wildcard or a unix socket: no one name would be right."""
    name = str(getattr(host, "host", ""))
    if not name or name in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return ""
    scheme, default = ("https", 443) if description.startswith(("ssl:", "tls:")) else ("http", 80)
    port = getattr(host, "port", 0)
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" if port == default else f"{scheme}://{shown}:{port}"
