"""A connection over the loopback interface whose server side moves only when the test says so: real buffers, no real time."""

import select
import socket
from contextlib import suppress
from typing import Any, cast

from attrs import define
from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from registry.testing import MemoryRegistry
from registry.web.channel import RegistryChannel
from registry.web.outgoing import unsent

# Small, so that a page does not fit; the kernel doubles them and has a least size of its own.
_BUFFER = 4096
# How many turns without anything to do mean that nothing will happen any more: the kernel may take a moment to hand bytes over.
_QUIET = 3


@define(eq=False, repr=False)
class Plug:
    """One connection to a registry. The client's end is a plain socket that does not wait."""

    registry: MemoryRegistry
    client: socket.socket
    transport: Any  # a tcp.Server that reads and writes when `turn` says so
    channel: RegistryChannel
    reset: bool = False  # the client has found the connection broken, not ended

    @classmethod
    def to(cls, registry: MemoryRegistry) -> "Plug":
        """Connect."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            client.connect(listening.getsockname())
            accepted, peer = listening.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        for end in (client, accepted):
            end.setblocking(False)
        channel = registry.site.buildProtocol(None)
        transport = tcp.Server(accepted, channel, peer, cast("Any", None), 1, cast("Any", registry.clock))
        channel.makeConnection(transport)
        return cls(registry, client, transport, channel)

    @property
    def reactor(self) -> Any:
        """The reactor that does nothing by itself."""
        return self.registry.clock

    @property
    def closed(self) -> bool:
        """Whether the server has ended the connection."""
        return not self.transport.connected

    @property
    def waiting(self) -> int:
        """How many bytes of answers wait in the server's own memory."""
        transport = self.transport
        waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        return waiting

    def turn(self) -> bool:
        """What one turn of the reactor would do; whether it did anything."""
        if self.closed:
            return False
        readable, writable, _ = select.select([self.transport], [self.transport], [], 0.001)
        moved = False
        for ready, wanted, work in ((readable, self.reactor.readers, "doRead"), (writable, self.reactor.writers, "doWrite")):
            if ready and self.transport in wanted and not self.closed:
                moved = True
                why = getattr(self.transport, work)()
                if why:
                    self.transport.connectionLost(Failure(why if why is not CONNECTION_DONE else ConnectionDone()))
        return moved

    def settle(self) -> None:
        """Turn until nothing moves."""
        quiet = 0
        while quiet < _QUIET and not self.closed:
            quiet = 0 if self.turn() else quiet + 1

    def arrived(self) -> None:
        """Turn until the client's kernel has said that it has all that was sent."""
        for _ in range(10_000):
            if not unsent(self.transport):
                return
            self.confirm()
            self.turn()
        raise AssertionError(f"{unsent(self.transport)} bytes are still on their way")

    def confirm(self) -> None:
        """Have the client's kernel say at once what it has. Else it may take its time, and ten thousand turns take less."""
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send(self, data: bytes) -> int:
        """Send what the connection takes, the server taking what it will; how much that was."""
        sent = quiet = 0
        while sent < len(data) and quiet < _QUIET and not self.closed:
            with suppress(BlockingIOError):
                sent += self.client.send(data[sent : sent + 65_536])
                quiet = -1
            quiet = 0 if self.turn() else quiet + 1
        return sent

    def read(self, most: int) -> bytes:
        """Read up to `most` bytes of answers, the server sending what it can."""
        found = b""
        quiet = 0
        while len(found) < most and quiet < _QUIET:
            moved = self.turn()
            try:
                piece = self.client.recv(min(most - len(found), 65_536))
                found += piece
                moved = bool(piece)
                self.confirm()
            except BlockingIOError:
                pass
            except ConnectionResetError:
                self.reset = True
            quiet = 0 if moved else quiet + 1
        return found

    def pass_time(self, seconds: int) -> None:
        """Let the registry's clock run, second by second."""
        for _ in range(seconds):
            self.registry.clock.advance(1)

    def close(self) -> None:
        """End it from the client's side."""
        self.client.close()
        self.settle()
        if not self.closed:
            self.transport.connectionLost(Failure(ConnectionDone()))
