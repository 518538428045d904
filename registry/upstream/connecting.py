"""Connections to other servers: to addresses that were checked and to no others, verified, through a proxy where one is named."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.tcp import Connection as TcpConnection
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer

from registry.domain.errors import UpstreamRefused, UpstreamUnavailable
from registry.interfaces import IThreads
from registry.upstream.addresses import Network, literal_refusal, refusal
from registry.upstream.origins import Origin
from registry.upstream.proxies import Proxies, Proxy, Tunnel

_log = Logger()

CONNECT_TIMEOUT = 10.0  # seconds, to find the address and connect there, all addresses and a proxy's answer included
HEAD_BYTES = 256 << 10
# What is read of a connection at once.
READ_BYTES = 1 << 18
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_POLICIES = 64  # hosts


@define(kw_only=True, eq=False)
class Connector:
    """Makes the endpoints. `ca_file`: certificates (PEM) to trust instead of the system's; read once, in a thread."""

    reactor: Any
    threads: IThreads
    allow_private: Sequence[Network] = ()
    proxies: Proxies = field(factory=Proxies)
    ca_file: Path | None = None
    _roots: Any = field(init=False, default=None)
    _policies: dict[str, Any] = field(init=False, factory=dict)  # host -> how its certificate is verified

    def to(self, origin: Origin) -> "Endpoint":
        """The way to an origin."""
        return Endpoint(connector=self, origin=origin, proxy=self.proxies.to(origin))

    async def policy(self, host: str) -> Any:
        """How TLS with this host is begun. Reading the trusted certificates takes a disk and up to a tenth of a second."""
        found = self._policies.get(host)
        if found is None:
            if len(self._policies) >= _POLICIES:
                self._policies.clear()
            found = self._policies[host] = await self.threads.run(self._make_policy, host)
        return found

    def _make_policy(self, host: str) -> Any:
        if self.ca_file is None:
            return optionsForClientTLS(host)
        if self._roots is None:
            try:
                found = [Certificate.loadPEM(block) for block in _CERTIFICATE.findall(self.ca_file.read_bytes())]
            except Exception as error:  # noqa: BLE001 - OpenSSL has its own, too
                _log.error("{path}, which holds the certificates to trust, cannot be read: {error}", path=str(self.ca_file), error=error)
                raise UpstreamUnavailable(source=host, problem="the certificates to trust cannot be read; the log has more") from None
            self._roots = trustRootFromCertificates(found)
        return optionsForClientTLS(host, trustRoot=self._roots)


@implementer(IStreamClientEndpoint)
@define(kw_only=True, eq=False)
class Endpoint:
    """Connects to an origin within `CONNECT_TIMEOUT`; at most once. Every connection is `Watched`."""

    connector: Connector
    origin: Origin
    proxy: Proxy | None
    used: bool = False

    @property
    def forwards(self) -> bool:
        """Whether a proxy is asked for whole addresses (RFC 9112, 3.2.2) instead of a tunnel."""
        return self.proxy is not None and self.origin.scheme == "http"

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """IStreamClientEndpoint. Fails with `UpstreamRefused`, `UpstreamUnavailable` or as other endpoints do."""
        self.used = True
        connecting: Deferred[IProtocol] = Deferred.fromCoroutine(self._connect(_Watching(factory)))
        # Otherwise a connection that is given up would not look so, and not be said to have timed out.
        connecting.addErrback(_as_cancelled)
        connecting.addTimeout(CONNECT_TIMEOUT, self.connector.reactor)
        connecting.addCallbacks(lambda watched: cast("Any", watched).wrappedProtocol, self._failed)
        return connecting

    def _failed(self, failure: Any) -> Any:
        if failure.check(TooLate):
            raise UpstreamUnavailable(source=self.origin.host, problem=f"no connection within {CONNECT_TIMEOUT:.0f} seconds")
        return failure

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        proxy = self.proxy
        if proxy is None:
            return await self._direct(self.origin, factory, self.connector.allow_private)
        # What a name leads to is for the proxy to find out, and may be anything; what is an address already is checked as ever.
        problem = literal_refusal(self.origin.host, self.connector.allow_private)
        if problem is not None:
            raise UpstreamRefused(source=self.origin.host, problem=problem)
        through = _Direct(endpoint=self, origin=proxy.origin)
        if self.forwards:
            return await through.connect(factory)
        tunnel: Any = Tunnel(through=through, proxy=proxy, target=self.origin)
        policy = await self.connector.policy(self.origin.host)
        return await wrapClientTLS(policy, tunnel, self.connector.reactor).connect(factory)

    async def _direct(self, origin: Origin, factory: IProtocolFactory, allowed: Sequence[Network] | None) -> IProtocol:
        """Connect to the host itself; to any address of it where `allowed` is None."""
        guard = _Guard(reactor=self.connector.reactor, allowed=allowed)
        endpoint: Any = HostnameEndpoint(guard, origin.host, origin.port, CONNECT_TIMEOUT)
        if origin.scheme == "https":
            endpoint = wrapClientTLS(await self.connector.policy(origin.host), endpoint, self.connector.reactor)
        try:
            return cast("IProtocol", await endpoint.connect(factory))
        except DNSLookupError:
            if guard.refused is None:
                raise UpstreamUnavailable(source=origin.host, problem="its name leads to no address") from None
            raise UpstreamRefused(source=origin.host, problem=guard.refused) from None


def _as_cancelled(failure: Any) -> Any:
    if failure.check(ConnectingCancelledError):
        raise CancelledError
    return failure


@implementer(IStreamClientEndpoint)
@frozen(kw_only=True, eq=False)
class _Direct:
    """The way to a proxy, whose address is the operator's own choice."""

    endpoint: Endpoint
    origin: Origin

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """IStreamClientEndpoint."""
        return Deferred.fromCoroutine(self.endpoint._direct(self.origin, factory, None))  # noqa: SLF001 - the two are one


@implementer(IReactorPluggableNameResolver)
@define(kw_only=True, eq=False)
class _Guard:
    """As much of a reactor as HostnameEndpoint uses; between finding addresses and connecting to one of them nothing is asked again."""

    reactor: Any
    allowed: Sequence[Network] | None
    refused: str | None = None  # why an address of the host was left out

    @property
    def nameResolver(self) -> Any:
        """IReactorPluggableNameResolver."""
        return self.reactor.nameResolver if self.allowed is None else _Sieve(guard=self)

    def installNameResolver(self, resolver: IHostnameResolver) -> Any:
        """IReactorPluggableNameResolver."""
        raise NotImplementedError

    def seconds(self) -> float:
        """IReactorTime."""
        return float(self.reactor.seconds())

    def callLater(self, delay: float, call: Any, *args: Any, **named: Any) -> Any:
        """IReactorTime."""
        return self.reactor.callLater(delay, call, *args, **named)

    def connectTCP(self, host: str, port: int, factory: Any, **how: Any) -> Any:
        """IReactorTCP. `host` is an address; that it may be connected to is made sure of once more, here where nothing is in between."""
        if not self.passes(host):
            raise DNSLookupError(host)
        return self.reactor.connectTCP(host, port, factory, **how)

    def passes(self, address: str) -> bool:
        """Whether an address may be connected to."""
        problem = None if self.allowed is None else refusal(address, self.allowed)
        self.refused = problem or self.refused
        return problem is None


@implementer(IHostnameResolver)
@frozen(kw_only=True, eq=False)
class _Sieve:
    """The reactor's resolver, without the addresses that may not be connected to."""

    guard: _Guard

    def resolveHostName(self, receiver: IResolutionReceiver, name: str, *more: Any, **named: Any) -> Any:  # type: ignore[override]
        """IHostnameResolver."""
        sifting = _Receiver(guard=self.guard, there=receiver)
        return self.guard.reactor.nameResolver.resolveHostName(sifting, name, *more, **named)


@implementer(IResolutionReceiver)
@frozen(kw_only=True, eq=False)
class _Receiver:
    guard: _Guard
    there: Any

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """IResolutionReceiver."""
        self.there.resolutionBegan(resolution)

    def addressResolved(self, address: IAddress) -> None:
        """IResolutionReceiver."""
        if isinstance(address, IPv4Address | IPv6Address) and self.guard.passes(address.host):
            self.there.addressResolved(address)

    def resolutionComplete(self) -> None:
        """IResolutionReceiver."""
        self.there.resolutionComplete()


class Watched(ProtocolWrapper):
    """A connection that breaks off when the head of an answer does not end. `owner`: whose request it carries now."""

    owner: object = None
    _head: int | None = None

    def expect(self, owner: object) -> None:
        """A request is about to be sent for `owner`."""
        self.owner, self._head = owner, 0

    def answered(self) -> None:
        """The head of the answer has come."""
        self._head = None
        if isinstance(self.transport, TcpConnection):
            # What comes now may be long, and each piece costs the same, however large. (TLS has pieces of its own.)
            self.transport.bufferSize = READ_BYTES

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                cast("Any", self.transport).abortConnection()
                return
        super().dataReceived(data)

    def release(self, owner: object) -> None:
        """Break off, if it still carries the request of `owner`."""
        if self.owner is owner and self.transport is not None:
            cast("Any", self.transport).abortConnection()


class _Watching(WrappingFactory):
    protocol = Watched
    noisy = False
