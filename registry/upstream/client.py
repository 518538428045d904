"""IFetcher over Twisted's agent.

treq is not between: what it adds (cookies, redirects with credentials, decoding without a bound) is what must not happen here.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, succeed
from twisted.internet.defer import TimeoutError as TooLate
from zope.interface import implementer

from registry.domain.errors import RegistryError, UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.fetched import Fetched
from registry.interfaces import IFetcher, IStream
from registry.upstream.answers import REDIRECTS, headers_of, is_cancelled, never_answered, trouble, went_wrong
from registry.upstream.bodies import Stream, Whole, whole
from registry.upstream.connecting import Connector, Endpoint
from registry.upstream.origins import Known, Origin, Target

HOPS = 5
FETCHES, STREAMS = 32, 64  # at once; streams may wait for slow readers, and must not keep pages waiting
IDLE_PER_HOST, IDLE_FOR = FETCHES, 30.0  # connections kept for later, and seconds
# Of all of a body that is kept whole, in seconds.
BODY_TIMEOUT = 120.0
# How much of a body that nobody wants is read, and for how many seconds, before the connection is closed instead.
_SMALL, _SOON = 64 << 10, 1.0
# What callers never hand over, or only this module knows.
_OURS = frozenset({"authorization", "proxy-authorization", "cookie", "host", "user-agent", "accept-encoding", "connection"})


def _user_agent() -> str:
    try:
        release = version("twisted-package-registry")
    except PackageNotFoundError:
        release = "0"
    return f"twisted-package-registry/{release} (private package registry; caches what it fetches)"


@implementer(IFetcher)
@define(kw_only=True, eq=False)
class UpstreamClient:
    """Asks other servers, through connections that `connector` makes. `known`: the upstreams that are configured, by origin.

    Where several upstreams share an origin, the first names it and its credentials are used.
    """

    reactor: Any
    connector: Connector
    known: Sequence[Known] = ()
    _fetches: DeferredSemaphore = field(init=False, factory=partial(DeferredSemaphore, FETCHES))
    _streams: DeferredSemaphore = field(init=False, factory=partial(DeferredSemaphore, STREAMS))
    _pool: Any = field(init=False, default=None)
    _agent_name: str = field(init=False, factory=_user_agent)

    async def fetch(self, url: str, headers: Mapping[str, str], *, limit: int, timeout: float) -> Fetched:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        # Part of an encoded answer could not be decoded.
        coding = "identity" if any(name.lower() == "range" for name in headers) else "gzip"
        answer = await self._ask(b"GET", url, {**headers, "Accept-Encoding": coding}, self._fetches, timeout)
        try:
            into = Whole(source=answer.source, encoding=answer.headers.get("content-encoding", ""), limit=limit)
            if answer.length is not None and answer.length > limit:
                raise UpstreamBroken(source=answer.source, problem=f"its answer is over {limit:,} bytes")
            reading = whole(answer.response, into, reactor=self.reactor, release=answer.release)
            reading.addTimeout(BODY_TIMEOUT, self.reactor)
            body = await reading
        except TooLate:
            problem = f"its answer did not end within {BODY_TIMEOUT:.0f} seconds"
            raise UpstreamUnavailable(source=answer.source, problem=problem) from None
        except RegistryError:
            answer.release()
            raise
        finally:
            answer.free()
        decoded = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        return Fetched(status=answer.status, headers=decoded, body=body, url=answer.url)

    async def head(self, url: str, headers: Mapping[str, str], *, timeout: float) -> Fetched:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        answer = await self._ask(b"HEAD", url, {**headers, "Accept-Encoding": "identity"}, self._fetches, timeout)
        answer.free()
        return Fetched(status=answer.status, headers=answer.headers, body=b"", url=answer.url)

    async def stream(self, url: str, headers: Mapping[str, str], *, timeout: float = 30.0) -> IStream:  # noqa: ASYNC109 - not asyncio
        """IFetcher. Bytes are given as they come even if the server says that they are encoded, as servers do of every .tar.gz."""
        answer = await self._ask(b"GET", url, {**headers, "Accept-Encoding": "identity"}, self._streams, timeout)
        return Stream(
            status=answer.status,
            headers=answer.headers,
            length=answer.length,
            url=answer.url,
            source=answer.source,
            reactor=self.reactor,
            response=answer.response,
            release=answer.release,
            free=answer.free,
        )

    async def close(self) -> None:
        """Close the connections that are kept for later. For when the registry stops."""
        if self._pool is not None:
            await self._pool.closeCachedConnections()

    # --- one question ---

    async def _ask(
        self,
        method: bytes,
        url: str,
        headers: Mapping[str, str],
        places: DeferredSemaphore,
        timeout: float,  # noqa: ASYNC109 - not asyncio
    ) -> "_Answer":
        target = Target.read(url)
        asking: Deferred[_Answer] = Deferred.fromCoroutine(self._in_turn(method, target, headers, places))
        asking.addTimeout(timeout, self.reactor)
        try:
            return await asking
        except TooLate:
            problem = f"no answer within {timeout:.0f} seconds"
            raise UpstreamUnavailable(source=self._source(target.origin), problem=problem) from None

    async def _in_turn(self, method: bytes, target: Target, headers: Mapping[str, str], places: DeferredSemaphore) -> "_Answer":
        await places.acquire()
        kept = False
        try:
            answer = await self._follow(method, target, headers, places.release)
            kept = True
            return answer
        finally:
            if not kept:
                places.release()

    async def _follow(self, method: bytes, target: Target, headers: Mapping[str, str], free: Any) -> "_Answer":
        """The answer at the end of all redirects."""
        for _ in range(HOPS + 1):
            source = self._source(target.origin)
            try:
                answer = await self._send(method, target, headers, source, free)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever keeps an answer from coming becomes a sentence
                raise self._named(went_wrong(error, source), target.origin) from None
            if answer.status not in REDIRECTS:
                problem = trouble(answer.status, answer.headers, source)
                if problem is None:
                    return answer
                answer.skip(self.reactor)
                raise problem
            location = answer.location()
            await answer.skip(self.reactor)
            if location is None:
                raise UpstreamBroken(source=source, problem="it redirects without saying where to")
            target = target.redirected(location)
        raise UpstreamBroken(source=self._source(target.origin), problem=f"it redirects more than {HOPS} times")

    async def _send(self, method: bytes, target: Target, headers: Mapping[str, str], source: str, free: Any) -> "_Answer":
        """One request and its answer's head."""
        # Loaded with the first request: a registry that never asks anybody does without.
        from twisted.web.client import Agent, HTTPConnectionPool, ProxyAgent  # noqa: PLC0415
        from twisted.web.iweb import UNKNOWN_LENGTH  # noqa: PLC0415

        if self._pool is None:
            self._pool = HTTPConnectionPool(self.reactor)
            self._pool.maxPersistentPerHost, self._pool.cachedConnectionTimeout = IDLE_PER_HOST, IDLE_FOR
            self._pool.retryAutomatically = False  # it is done here, where the connection is known
        attempts = IDLE_PER_HOST + 1
        while True:
            attempts -= 1
            endpoint = self.connector.to(target.origin)
            lease = _Lease(pool=self._pool, endpoint=endpoint)
            agent: Any
            if endpoint.forwards:
                agent = ProxyAgent(endpoint, self.reactor, lease)
            else:
                agent = Agent.usingEndpointFactory(self.reactor, _Factory(endpoint=endpoint), lease)
            try:
                response = await agent.request(method, target.url.encode("ascii"), self._headers(headers, target, endpoint))
            except Exception as error:
                if is_cancelled(error):
                    raise CancelledError from None
                if attempts and not endpoint.used and never_answered(error):
                    continue
                raise
            lease.answered()
            return _Answer(
                status=response.code,
                headers=headers_of(response),
                length=None if response.length is UNKNOWN_LENGTH else response.length,
                url=target.url,
                source=source,
                response=response,
                bodiless=method == b"HEAD",
                release=lease.release,
                free=free,
            )

    def _headers(self, given: Mapping[str, str], target: Target, endpoint: Endpoint) -> Any:
        from twisted.web.http_headers import Headers  # noqa: PLC0415 - as above

        headers = Headers()
        for name, value in given.items():
            if name.lower() not in _OURS or name == "Accept-Encoding":
                headers.addRawHeader(name, value)
        headers.setRawHeaders("User-Agent", [self._agent_name])
        known = self._known(target.origin)
        if known is not None and known.credentials is not None:
            headers.setRawHeaders("Authorization", [known.credentials.header()])
        if endpoint.forwards and endpoint.proxy is not None and endpoint.proxy.credentials is not None:
            headers.setRawHeaders("Proxy-Authorization", [endpoint.proxy.credentials.header()])
        return headers

    def _known(self, origin: Origin) -> Known | None:
        return next((one for one in self.known if one.origin == origin), None)

    def _source(self, origin: Origin) -> str:
        known = self._known(origin)
        return origin.host if known is None else known.name

    def _named(self, error: RegistryError, origin: Origin) -> RegistryError:
        """The error, about the upstream by its name instead of by its host."""
        if isinstance(error, UpstreamRefused | UpstreamUnavailable) and error.source == origin.host:
            if isinstance(error, UpstreamRefused):
                return UpstreamRefused(source=self._source(origin), problem=error.problem)
            return UpstreamUnavailable(source=self._source(origin), problem=error.problem, retry_after=error.retry_after)
        return error


@define(kw_only=True, eq=False)
class _Lease:
    """A pool for one request, over the common one: it knows which connection the request went out on."""

    pool: Any
    endpoint: Endpoint
    persistent: bool = True
    _connection: Any = field(init=False, default=None)

    def getConnection(self, key: object, endpoint: object) -> Any:
        """HTTPConnectionPool."""
        origin, proxy = self.endpoint.origin, self.endpoint.proxy
        # Through a proxy that forwards, one connection serves all hosts; a tunnel leads to one.
        where = (proxy,) if self.endpoint.forwards else (proxy, origin)
        return self.pool.getConnection(where, self.endpoint).addCallback(self._got)

    def _got(self, connection: Any) -> Any:
        self._connection = connection
        connection.transport.expect(self)
        return connection

    def answered(self) -> None:
        """The head of the answer has come."""
        self._connection.transport.answered()

    def release(self) -> None:
        """Break the connection off, unless the answer is complete: then it carries nothing of this request any more."""
        if self._connection.state != "QUIESCENT":
            self._connection.transport.release(self)


@frozen(kw_only=True, eq=False)
class _Factory:
    """Twisted's agent, given the endpoint."""

    endpoint: Endpoint

    def endpointForURI(self, uri: object) -> Endpoint:
        """IAgentEndpointFactory."""
        return self.endpoint


@define(kw_only=True, eq=False)
class _Answer:
    """The head of an answer. `free` gives its place to another question; `release` breaks the connection off if it is still in use."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    url: str
    source: str
    response: Any
    bodiless: bool
    release: Any
    free: Any

    def location(self) -> str | None:
        """Where a redirect leads, as the server wrote it."""
        raw = self.response.headers.getRawHeaders(b"location", [])
        if not raw:
            return None
        try:
            return str(raw[0].decode("utf-8"))
        except UnicodeDecodeError:
            return str(raw[0].decode("latin-1"))

    def skip(self, reactor: Any) -> "Deferred[None]":
        """Read a small body that nobody wants, so that the connection can be used again; break off with one that is large or slow.

        Fires when the connection is free, and never fails.
        """
        if self.bodiless or self.length == 0:
            return succeed(None)
        if self.length is None or self.length > _SMALL:
            self.release()
            return succeed(None)
        nothing = Whole(source=self.source, encoding="", limit=_SMALL)
        reading = whole(self.response, nothing, reactor=reactor, release=self.release)
        return reading.addTimeout(_SOON, reactor).addBoth(lambda _: None)
