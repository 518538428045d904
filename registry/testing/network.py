"""A network in memory: names, addresses, connections and time, all as a test says."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,  # noqa: A004 - Twisted's own
    TimeoutError,  # noqa: A004 - likewise
    UserError,
)
from twisted.internet.interfaces import IConsumer, IHostnameResolver, IHostResolution, IPushProducer, IResolutionReceiver, ITransport
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

_PIECE = 1 << 16  # bytes that arrive at once, and that may be under way before a producer is paused


class MemoryNetwork(MemoryReactorClock):
    """A reactor whose connections lead to servers in memory. Nothing moves except in `settle` and `advance`.

    `names` maps host names to the addresses they lead to; `lookups` are the names that were looked up; `attempts` the addresses and ports
    that connections were begun to, in order. Addresses in `silent` never answer; those that nobody serves refuse.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}
        self.lookups: list[str] = []
        self.attempts: list[tuple[str, int]] = []
        self.silent: set[str] = set()
        self._servers: dict[tuple[str, int], Any] = {}
        self._ends: list[_End] = []
        self.installNameResolver(_Names(network=self))

    def serve(self, factory: Any, host: str, port: int = 80, *, address: str = "") -> str:
        """Let `factory` (such as a Site) answer at `host` and `port`; the host's address, a public one that is made up unless given."""
        known = self.names.setdefault(host, [])
        if address and address not in known:
            known.append(address)
        if not known:
            known.append(f"9.9.9.{len(self.names)}")
        at = address or known[0]
        self._servers[at, port] = factory
        return at

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._ends) // 2

    @property
    def under_way(self) -> int:
        """How many bytes were sent and are not read yet."""
        return sum(end.unread for end in self._ends)

    def break_all(self) -> None:
        """Break every connection off from the servers' side; clients hear of it when things move again."""
        for end in self._ends[1::2]:
            end.abortConnection()

    def settle(self) -> None:
        """Let everything arrive that can without time passing."""
        for _ in range(1_000_000):
            super().advance(0)
            moved = [end.step() for end in list(self._ends)]
            if not any(moved) and not self._due():
                return
        raise AssertionError("it never comes to rest")

    def advance(self, amount: float) -> None:
        """Let `amount` seconds pass, and everything arrive that can (IReactorTime)."""
        super().advance(amount)
        self.settle()

    def _due(self) -> bool:
        return any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:  # noqa: N803 - IReactorTCP
        """IReactorTCP."""
        self.attempts.append((host, port))
        connector = _Connector(network=self, host=host, port=port, factory=factory)
        factory.doStart()
        factory.startedConnecting(connector)
        if host in self.silent:
            connector.waiting = self.callLater(timeout, connector.fail, TimeoutError())
        else:
            connector.waiting = self.callLater(0, connector.connect)
        return connector

    def link(self, client: Any, server: Any, address: str, port: int) -> None:
        """Connect two protocols."""
        here, there = _address("127.0.0.1", 40000 + len(self.attempts)), _address(address, port)
        ends = _End(protocol=client, host=here, peer=there), _End(protocol=server, host=there, peer=here)
        ends[0].other, ends[1].other = ends[1], ends[0]
        for end in ends:
            end.gone = self._ends.remove
        self._ends += ends
        client.makeConnection(ends[0])
        server.makeConnection(ends[1])

    def server(self, address: str, port: int) -> Any:
        """Who answers there; None for nobody."""
        return self._servers.get((address, port))


@define(kw_only=True, eq=False)
class _Connector:
    """IConnector."""

    network: MemoryNetwork
    host: str
    port: int
    factory: Any
    waiting: Any = None

    def connect(self) -> None:
        self.waiting = None
        server = self.network.server(self.host, self.port)
        if server is None:
            self.fail(ConnectionRefusedError())
            return
        client = self.factory.buildProtocol(self.getDestination())
        if client is not None:
            self.network.link(client, server.buildProtocol(_address("127.0.0.1", 40000)), self.host, self.port)

    def fail(self, error: Exception) -> None:
        self.waiting = None
        self.factory.clientConnectionFailed(self, Failure(error))

    def stopConnecting(self) -> None:
        """IConnector."""
        if self.waiting is not None:
            self.waiting.cancel()
            self.fail(UserError())

    def getDestination(self) -> Any:
        """IConnector."""
        return _address(self.host, self.port)


@implementer(ITransport, IConsumer, IPushProducer)
@define(kw_only=True, eq=False)
class _End:
    """One side of a connection. Like TCP, it delivers nothing while its protocol does not read, and pauses the other side's producer."""

    protocol: Any
    host: Any
    peer: Any
    other: "_End" = field(init=False)
    gone: Any = field(init=False)
    producer: Any = None
    disconnecting: bool = False
    connected: bool = True
    _inbox: bytearray = field(init=False, factory=bytearray)  # what the other side has sent
    _reading: bool = True
    _pulls: bool = False  # the producer is asked for every piece
    _held: bool = False  # the producer was paused
    _aborted: bool = False
    _reason: Any = None

    @property
    def unread(self) -> int:
        """How many bytes the protocol has not taken yet."""
        return len(self._inbox)

    def step(self) -> bool:
        """Deliver a piece, or the end; whether anything was to be done."""
        if not self.connected:
            return False
        if self._reason is not None and (self._aborted or (self._reading and not self._inbox)):
            return self._lose()
        moved = False
        if self._inbox and self._reading:
            piece = bytes(self._inbox[:_PIECE])
            del self._inbox[:_PIECE]
            self.protocol.dataReceived(piece)
            moved = True
        if self.producer is not None and self.other.unread < _PIECE and (self._pulls or self._held):
            self._held = False
            self.producer.resumeProducing()
            moved = True
        if self.disconnecting and self.producer is None and not self.other.unread:
            return self._close() or moved
        return moved

    def _close(self) -> bool:
        if self._reason is None:
            self._reason, self._aborted = ConnectionDone(), True  # it hears no more
            self.other.hear(ConnectionDone())
        return True

    def _lose(self) -> bool:
        self.connected = False
        self.gone(self)
        if self.producer is not None:
            self.producer.stopProducing()
        self.protocol.connectionLost(Failure(self._reason))
        return True

    def hear(self, reason: Exception, *, aborted: bool = False) -> None:
        """The other side has closed."""
        if self._reason is None:
            self._reason, self._aborted = reason, aborted

    # --- ITransport ---

    def write(self, data: bytes) -> None:
        """ITransport."""
        if not self.connected or (self.disconnecting and self.producer is None):
            return
        self.other._inbox += data  # noqa: SLF001 - its own kind
        if self.producer is not None and not self._pulls and self.other.unread >= _PIECE and not self._held:
            self._held = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """ITransport."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """ITransport: what was written still arrives."""
        self.disconnecting = True

    def abortConnection(self) -> None:
        """ITCPTransport: what is under way is lost."""
        if self._reason is None:
            self.disconnecting = self._aborted = True
            self._reason = ConnectionAborted()
            self.other._inbox.clear()  # noqa: SLF001 - likewise
            self.other.hear(ConnectionLost(), aborted=True)

    def getPeer(self) -> Any:
        """ITransport."""
        return self.peer

    def getHost(self) -> Any:
        """ITransport."""
        return self.host

    def setTcpNoDelay(self, enabled: bool) -> None:
        """ITCPTransport: nothing is delayed anyway."""

    # --- IConsumer ---

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """IConsumer."""
        assert self.producer is None, "there is a producer already"
        self.producer, self._pulls, self._held = producer, not streaming, False

    def unregisterProducer(self) -> None:
        """IConsumer."""
        self.producer = None

    # --- IPushProducer ---

    def pauseProducing(self) -> None:
        """IPushProducer."""
        self._reading = False

    def resumeProducing(self) -> None:
        """IPushProducer."""
        self._reading = True

    def stopProducing(self) -> None:
        """IPushProducer."""
        self.loseConnection()


@implementer(IHostResolution)
@define(kw_only=True, eq=False)
class _Resolution:
    name: str

    def cancel(self) -> None:
        """IHostResolution."""


@implementer(IHostnameResolver)
@define(kw_only=True, eq=False)
class _Names:
    """Knows the network's names, and reads addresses as C libraries do."""

    network: MemoryNetwork

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803 - IHostnameResolver, as are the others
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Any = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """IHostnameResolver."""
        self.network.lookups.append(hostName)
        resolution = _Resolution(name=hostName)
        resolutionReceiver.resolutionBegan(resolution)
        for address in self.network.names.get(hostName, _spelt(hostName)):
            resolutionReceiver.addressResolved(_address(address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


def _spelt(host: str) -> list[str]:
    with suppress(OSError):
        return [socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))]
    with suppress(ValueError):
        return [str(ip_address(host))]
    return []


def _address(address: str, port: int) -> Any:
    return IPv6Address("TCP", address, port) if ":" in address else IPv4Address("TCP", address, port)
