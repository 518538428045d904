"""HTTP in memory, byte by byte."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from attrs import Factory, define, field, frozen
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Site


@frozen(kw_only=True)
class Answer:
    """One HTTP answer, read off the wire. `headers` has lower-case names; `complete`: all of the promised body came.

    Answers that differ in nothing but their `Date` are equal: which second it was, no test decides.
    """

    code: int
    reason: str
    headers: Mapping[str, str] = field(eq=lambda headers: {name: value for name, value in headers.items() if name != "date"})
    body: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def answers_in(raw: bytes, methods: Sequence[str] = ()) -> list[Answer]:
    """The answers that `raw` holds, to requests with these `methods` (GET where there are too few)."""
    found: list[Answer] = []
    asked = list(methods)
    while raw:
        head, blank, raw = raw.partition(b"\r\n\r\n")
        assert blank, f"half a head: {head!r}"
        line, *rest = head.split(b"\r\n")
        protocol, code_text, *reason = line.decode("latin-1").split(" ", 2)
        assert protocol in {"HTTP/1.1", "HTTP/1.0"}, f"not an answer: {line!r}"
        code = int(code_text)
        headers: dict[str, str] = {}
        for name, _, value in (one.decode("latin-1").partition(":") for one in rest):
            assert name.lower() not in headers or name.lower() == "set-cookie", f"{name} comes twice"
            headers[name.lower()] = value.strip()
        method = "GET" if code == 100 or not asked else asked.pop(0)  # noqa: PLR2004 - 100 Continue answers nothing yet
        body, complete = b"", True
        if method != "HEAD" and code not in {100, 204, 304}:
            body, raw, complete = _body_in(headers, raw)
        found.append(Answer(code=code, reason=(reason or [""])[0], headers=headers, body=body, complete=complete))
    return found


def _body_in(headers: Mapping[str, str], raw: bytes) -> tuple[bytes, bytes, bool]:
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while raw:
            size_text, _, raw = raw.partition(b"\r\n")
            size = int(size_text, 16)
            body, raw = body + raw[:size], raw[size + 2 :]
            if not size:
                return body, raw, True
        return body, b"", False
    size = int(headers.get("content-length", len(raw)))
    return raw[:size], raw[size:], len(raw) >= size


class _Transport(StringTransport):
    """A transport as TCP's: after it was told to close it ignores what would raise, and it closes a turn later."""

    disconnecting: bool
    disconnected: bool  # twisted.internet.testing means "was aborted"
    producerState: str

    def __init__(self, peer: str) -> None:
        if peer:
            super().__init__(IPv4Address("TCP", "127.0.0.1", 8080), IPv4Address("TCP", peer, 40000), lenient=True)
        else:
            super().__init__(UNIXAddress("/run/registry.sock"), UNIXAddress(None), lenient=True)

    def write(self, data: bytes) -> None:
        """ITransport."""
        if not self.disconnecting:
            super().write(data)

    def writeSequence(self, data: Sequence[bytes]) -> None:
        """ITransport."""
        self.write(b"".join(data))

    def unregisterProducer(self) -> None:
        """IConsumer: TCP does not mind a second time."""
        if self.producer is not None:
            super().unregisterProducer()


_PIECE = 1 << 16


@define(eq=False)
class Wire:
    """One connection to a `Site`, byte by byte. Like TCP, it delivers nothing while the server does not read."""

    channel: HTTPChannel
    transport: _Transport
    closed: bool = False
    delivered: int = 0  # bytes that the server has taken
    _outgoing: bytearray = Factory(bytearray)

    @classmethod
    def to(cls, site: Site, peer: str = "192.0.2.7") -> "Wire":
        """Connect, from the address `peer`, or through a unix socket if that is empty."""
        channel = cast("HTTPChannel", site.buildProtocol(None))
        transport = _Transport(peer)
        channel.makeConnection(cast("Any", transport))
        return cls(channel, transport)

    def send(self, data: bytes) -> None:
        """Send bytes; what the server does not take now, it gets when it reads again (`settle`)."""
        self._outgoing += data
        self.settle()

    def settle(self) -> None:
        """Deliver what can be delivered, and the end of the connection if the server closed it."""
        while not self.closed:
            if self.transport.disconnecting:
                self._close(ConnectionAborted() if self.aborted else ConnectionDone())
            elif self._outgoing and self.reading:
                piece = bytes(self._outgoing[:_PIECE])
                del self._outgoing[:_PIECE]
                self.delivered += len(piece)
                self.channel.dataReceived(piece)
            else:
                return

    def hang_up(self) -> None:
        """Break the connection from the client's side."""
        if not self.closed:
            self._close(ConnectionLost())

    def stop_reading(self) -> None:
        """Read no more answers: the server's transport fills up."""
        self.channel.pauseProducing()

    def read_on(self) -> None:
        """Read answers again."""
        self.channel.resumeProducing()
        self.settle()

    @property
    def undelivered(self) -> int:
        """How many bytes the server has not taken yet."""
        return len(self._outgoing)

    @property
    def reading(self) -> bool:
        """Whether the server reads."""
        return self.transport.producerState == "producing"

    @property
    def aborted(self) -> bool:
        """Whether the server broke the connection off instead of closing it."""
        return self.transport.disconnected

    @property
    def received(self) -> bytes:
        """Everything the server has sent."""
        return bytes(self.transport.value())

    def answers(self, *methods: str) -> list[Answer]:
        """The answers so far, to requests with these methods."""
        return answers_in(self.received, methods)

    def _close(self, reason: Exception) -> None:
        self.closed = True
        self.channel.connectionLost(Failure(reason))


def request(method: str, path: str | bytes, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """A request's bytes, exactly as given; Host and Content-Length are added unless given."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    given = {name.lower() for name, _ in pairs}
    if "host" not in given:
        pairs.insert(0, ("Host", "registry.test"))
    if body and not given & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    raw_path = path if isinstance(path, bytes) else path.encode()
    lines = [method.encode() + b" " + raw_path + b" HTTP/1.1", *(f"{name}: {value}".encode() for name, value in pairs)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
