"""HTTP connections with deadlines: no head, body or reader may take for ever, and all can be asked to finish."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection as TcpConnection
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from registry.web.outgoing import unsent

if TYPE_CHECKING:
    from registry.web.site import RegistrySite

_log = Logger()


@frozen(kw_only=True)
class Deadlines:
    """How long a connection may take, in seconds, and how little it may move.

    `head`: from connecting, or from the last answer, to the end of the next request's headers; not before the peer has taken all of that
    answer. `stall`: the window in which a body that is being received, or an answer that is being sent, must move at least `least` bytes.
    """

    head: float = 30.0
    stall: float = 60.0
    least: int = 1024
    linger: float = 30.0  # how long a refused body is still read, so that the client gets to see the refusal


class RegistryChannel(HTTPChannel):
    """HTTPChannel whose connection a `Watch` looks at once a second; nothing is scheduled per request."""

    # HTTPChannel would rearm a timer with every packet; the watch is cheaper and sees slow peers too.
    timeOut = None

    _waiting_since: float | None = 0.0  # for a request's head; None while there is one in hand
    _moved: int = 0  # bytes of body received or file sent, counted by whoever moves them
    paused: bool  # LineReceiver's: what has come is not parsed
    _window: tuple[float, int] | None = None  # when the current stall window began, and `_moved` then
    _held: bool = False  # we, not the peer, stopped the body
    _address: str | None = None  # of the peer, once a line of the access log needed it
    asked: bytes = b""  # the request in hand, if it came alone and whole; else empty

    # Set by the site that builds the channel.
    site: "RegistrySite"
    clock: Callable[[], float]

    def connectionMade(self) -> None:
        """IProtocol."""
        super().connectionMade()
        self._waiting_since = self.clock()
        self.site.channels.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """IProtocol."""
        super().connectionLost(reason)
        self.site.channels.discard(self)
        self.site.channel_closed()

    def allHeadersReceived(self) -> None:
        """HTTPChannel: from here on somebody is working on the request."""
        self._waiting_since = None
        self._window = None
        super().allHeadersReceived()

    def requestDone(self, request: object) -> None:
        """HTTPChannel."""
        self._waiting_since = self.clock()
        self._window = None
        self.asked = b""
        if self._waitingForTransport:
            # Twisted would go on, and a packet full of requests for a large page fill the memory of a peer that reads nothing.
            self.paused = True
            self._networkProducer.pauseProducing()
        super().requestDone(request)

    def lineLengthExceeded(self, line: bytes) -> None:
        """LineReceiver: a request line or header of over 16 KiB. Without an answer, people look for the fault in their network."""
        transport: Any = self.transport
        if not self.requests or not self._handlingRequest:
            transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        transport.loseConnection()

    # --- ready answers ---

    def dataReceived(self, data: bytes) -> None:
        """IProtocol. A request that is the same to the byte as one before is answered here, before any of it is parsed."""
        self.asked = b""
        site = self.site
        if self._between_requests() and site.ready.askable(data):
            ready = site.ready.find(data)
            if ready is not None:
                began = self.clock()
                self._send(ready.wire.data)
                self._waiting_since, self._window = began, None
                if self._address is None:
                    self._address = str(getattr(self.getPeer(), "host", "") or "")
                site.log_ready(ready.logged, self._address)
                return
            self.asked = data
        super().dataReceived(data)

    def _between_requests(self) -> bool:
        # Nothing in hand, nothing half-read, and the last answers out of our hands: a slow reader is not sent more than he reads.
        return bool(
            not self.requests
            and self.persistent
            and not self._buffer
            and self._HTTPChannel__first_line == 1  # type: ignore[attr-defined] # HTTPChannel's own: no line of a head has been seen
            and not self._waitingForTransport
        )

    def _send(self, answer: bytes) -> None:
        transport: Any = self.transport
        sent = 0
        plain = isinstance(transport, TcpConnection) and not transport.TLS
        if plain and not transport.dataBuffer and not transport._tempDataBuffer:  # noqa: SLF001 - nothing waits
            # At once, not with the reactor's next turn: two system calls fewer, and half of the time.
            with suppress(OSError):
                sent = transport.socket.send(answer)
        if sent < len(answer):
            transport.write(answer[sent:] if sent else answer)

    # --- back-pressure on a body ---

    def hold(self) -> None:
        """Stop reading: whoever takes the body has enough for now."""
        self._held = True
        self._networkProducer.pauseProducing()

    def release(self) -> None:
        """Go on reading."""
        self._held = False
        self._window = None
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()

    def resumeProducing(self) -> None:
        """IPushProducer: the peer reads again. That alone is no reason to take more of its body."""
        super().resumeProducing()
        if self._held:
            self._networkProducer.pauseProducing()
        if self.paused:
            self.paused = False
            super().dataReceived(b"")

    # --- deadlines ---

    def moved(self, size: int) -> None:
        """Count `size` bytes of progress."""
        self._moved += size

    def overdue(self, now: float, deadlines: Deadlines) -> str:
        """What the peer takes too long for; empty while all is well."""
        if self._waiting_since is not None:
            return self._overdue_between(now, self._waiting_since, deadlines)
        # A request is in hand. Only what the peer owes us counts: bytes of a body it sends, or room for bytes we send.
        owed = (not self._handlingRequest and not self._held) or self._waitingForTransport or self._sending()
        if not owed:
            self._window = None
            return ""
        if self._stalled(now, deadlines):
            return "body" if not self._handlingRequest else "reader"
        return ""

    def _overdue_between(self, now: float, since: float, deadlines: Deadlines) -> str:
        if now - since <= deadlines.head:
            return ""
        if unsent(self.transport):
            return "reader" if self._stalled(now, deadlines) else ""
        if self._window is None:
            return "head"
        # Until a moment ago the peer was busy with the last answer.
        self._waiting_since, self._window = now, None
        return ""

    def _stalled(self, now: float, deadlines: Deadlines) -> bool:
        # What has only been handed to the kernel has not moved yet.
        moved = self._moved - unsent(self.transport)
        if self._window is None:
            self._window = (now, moved)
            return False
        began, before = self._window
        if now - began < deadlines.stall:
            return False
        self._window = (now, moved)
        return moved - before < deadlines.least

    def _sending(self) -> bool:
        return bool(getattr(self.requests[0], "sending", False)) if self.requests else False

    # --- stopping ---

    def cut(self) -> None:
        """Break the connection, whatever is under way."""
        transport: Any = self.transport
        transport.abortConnection()

    def retire(self) -> None:
        """Close as soon as the request in hand, if any, is answered."""
        self.persistent = 0
        if not self.requests:
            self.loseConnection()


def look_at(channels: "set[RegistryChannel]", now: float, deadlines: Deadlines) -> None:
    """Cut every connection that is overdue."""
    for channel in list(channels):
        why = channel.overdue(now, deadlines)
        if why:
            _log.info("Cut {peer}: {why} too slow", peer=str(channel.getPeer()), why=why)
            channel.cut()
