"""A client, a network in memory and an upstream on it."""

import ipaddress
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory as ProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from registry.domain.errors import RegistryError
from registry.domain.fetched import Fetched
from registry.interfaces import IStream, IStreamReader
from registry.storage.threads import InlineThreads
from registry.testing import FakeUpstream, MemoryNetwork, done
from registry.testing.authority import Authority
from registry.upstream.client import UpstreamClient
from registry.upstream.connecting import Connector
from registry.upstream.origins import Known
from registry.upstream.proxies import Proxies

T = TypeVar("T")
INDEX = "http://index.test/simple/"


@implementer(IStreamReader)
@define
class Reader:
    """Takes a body; `pause_at` bytes it pauses the stream."""

    stream: Any = None
    pause_at: int = 1 << 60
    body: bytearray = Factory(bytearray)
    ends: int = 0
    errors: list[RegistryError] = Factory(list)

    def received(self, data: bytes) -> None:
        """IStreamReader."""
        self.body += data
        if len(self.body) >= self.pause_at:
            self.stream.pause()

    def ended(self) -> None:
        """IStreamReader."""
        self.ends += 1

    def failed(self, error: RegistryError) -> None:
        """IStreamReader."""
        self.errors.append(error)


class Raw(Protocol):
    """Answers the first bytes it gets with others, and closes or does not."""

    def __init__(self, answer: bytes, *, close: bool) -> None:
        self._answer, self._close = answer, close

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        assert self.transport is not None
        self.transport.write(self._answer)
        self._answer = b""
        if self._close:
            self.transport.loseConnection()


class Listener(Protocol):
    """Says something and listens."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.heard, self.closed = bytearray(), False

    def connectionMade(self) -> None:
        """IProtocol."""
        assert self.transport is not None
        self.transport.write(self._data)

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        """IProtocol."""
        self.closed = True


class Dripping(Protocol):
    """Answers with a byte of many every ten seconds."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        self._drip()

    def _drip(self) -> None:
        assert self.transport is not None
        self.transport.write(b"x")
        self._clock.callLater(10, self._drip)


class TunnelProxy(Protocol):
    """A proxy that knows CONNECT and the servers in `routes`, by what it is asked for."""

    def __init__(self, routes: dict[str, Any], heads: list[bytes]) -> None:
        self._routes, self._heads = routes, heads
        self._inner: Any = None

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        assert self.transport is not None
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._heads.append(data)
        server = self._routes.get(data.split(b" ")[1].decode())
        if server is None:
            self.transport.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        self.transport.write(b"HTTP/1.1 200 OK\r\nVia: here\r\n\r\n")
        self._inner = server.buildProtocol(self.transport.getPeer())
        self._inner.makeConnection(self.transport)

    def connectionLost(self, reason: Any = None) -> None:
        """IProtocol."""
        if self._inner is not None:
            self._inner.connectionLost(reason)


@define(kw_only=True)
class World:
    """`upstream` is at http://index.test."""

    network: MemoryNetwork = Factory(MemoryNetwork)
    upstream: FakeUpstream = Factory(FakeUpstream)
    client: UpstreamClient

    @classmethod
    def of(cls, *known: Known, allow: tuple[str, ...] = (), environ: dict[str, str] | None = None, ca_file: Path | None = None) -> "World":
        """A new one, with a client that knows these upstreams and may go to these networks."""
        network = MemoryNetwork()
        connector = Connector(
            reactor=network,
            threads=InlineThreads(),
            allow_private=tuple(map(ipaddress.ip_network, allow)),
            proxies=Proxies.of(environ or {}),
            ca_file=ca_file,
        )
        world = cls(network=network, client=UpstreamClient(reactor=network, connector=connector, known=known))
        network.serve(world.upstream.site(network), "index.test")
        return world

    def start(self, asking: "Coroutine[Any, Any, T]") -> "Deferred[T]":
        """Begin something, and let happen what can."""
        deferred = Deferred.fromCoroutine(asking)
        self.network.settle()
        return deferred

    def run(self, asking: "Coroutine[Any, Any, T]") -> T:
        """What comes of something that needs no time to pass."""
        return done(self.start(asking))

    def begin(
        self, url: str = f"{INDEX}demo/", headers: Mapping[str, str] | None = None, *, limit: int = 1 << 20, timeout: float = 10.0
    ) -> "Deferred[Fetched]":
        """Begin to fetch."""
        return self.start(self.client.fetch(url, headers or {}, limit=limit, timeout=timeout))

    def fetch(self, url: str = f"{INDEX}demo/", headers: Mapping[str, str] | None = None, *, limit: int = 1 << 20) -> Fetched:
        """Fetch, in no time."""
        return done(self.begin(url, headers, limit=limit))

    def stream(self, url: str = "http://index.test/files/demo/demo-1.0.tar.gz") -> IStream:
        """Begin to stream."""
        return self.run(self.client.stream(url, {}))

    def read(self, url: str = "http://index.test/files/demo/demo-1.0.tar.gz") -> Reader:
        """Stream all of it, in no time."""
        reader = Reader(self.stream(url))
        reader.stream.deliver(reader)
        self.network.settle()
        return reader

    def exchange(self, data: bytes) -> bytes:
        """Everything that the upstream answers to these bytes until it closes the connection."""
        client = Listener(data)
        endpoint: Any = TCP4ClientEndpoint(self.network, self.network.names["index.test"][0], 80)
        endpoint.connect(ProtocolFactory.forProtocol(lambda: client))
        self.network.settle()
        assert client.closed, "it is still open"
        return bytes(client.heard)

    def raw(self, answer: bytes, host: str = "raw.test", *, close: bool = True) -> str:
        """An address at which everything is answered with these bytes."""
        self.network.serve(ProtocolFactory.forProtocol(lambda: Raw(answer, close=close)), host)
        return f"http://{host}/"

    def drip(self, host: str = "drip.test") -> str:
        """An address at which an answer comes byte by byte."""
        self.network.serve(ProtocolFactory.forProtocol(lambda: Dripping(self.network)), host)
        return f"http://{host}/"

    def serve_tunnel(self, host: str, routes: dict[str, tuple[str, int]]) -> list[bytes]:
        """A proxy for CONNECT to `routes` (address and port by authority); the requests that it gets."""
        heads: list[bytes] = []
        servers = {authority: self.network.server(*there) for authority, there in routes.items()}
        self.network.serve(ProtocolFactory.forProtocol(lambda: TunnelProxy(servers, heads)), host)
        return heads

    def serve_tls(self, authority: Authority, host: str, *, certified: str = "", port: int = 443) -> FakeUpstream:
        """Another upstream, that speaks TLS with a certificate for `certified` (or its host)."""
        upstream = FakeUpstream()
        site = upstream.site(self.network)
        self.network.serve(TLSMemoryBIOFactory(authority.options(certified or host), False, site, clock=self.network), host, port)
        return upstream


def problem(result: "Deferred[Any]") -> BaseException:
    """What something has failed with."""
    with pytest.raises(Exception) as failed:  # noqa: PT011 - which one it is, is for the test to say
        done(result)
    assert not isinstance(failed.value, AssertionError), failed.value
    return failed.value
