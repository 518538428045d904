"""Requests whose bodies are decided on before they are read."""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Request, version

from registry.domain.errors import BodyTooLarge, Broken, RegistryError
from registry.web.errors import answer_error
from registry.workflows.memory import Kept

# A refused body is read and dropped up to this size, so that the client, still sending, gets to read the refusal.
_LINGER_BYTES = 1 << 30
# How long a client that waits for "100 Continue" is given to read the refusal, in seconds.
_EXPECTING = 1.0
# What one turn of the reactor reads of a body, and Twisted's own figure for everything else.
_RECEIVE_BYTES, _SEND_BYTES = 1 << 18, 1 << 16


class Intake(Protocol):
    """What takes the body of one request."""

    def decide(self) -> "Deferred[object]":
        """Fires when the body is welcome; fails with a RegistryError when it is not."""

    def received(self, data: bytes) -> None:
        """Take some of the body. A RegistryError refuses the rest."""

    def complete(self) -> None:
        """The body has come to its end."""

    def lost(self) -> None:
        """The body will not be used: drop everything."""


class Document:
    """The intake of every route but uploads: a small body, kept in memory."""

    LIMIT = 1 << 20

    def __init__(self, request: Any, length: int | None) -> None:
        self._request, self._length, self._size = request, length, 0

    def decide(self) -> "Deferred[object]":
        """Intake."""
        decided: Deferred[object] = Deferred()
        if (self._length or 0) > self.LIMIT:
            decided.errback(BodyTooLarge(limit=self.LIMIT))
        else:
            decided.callback(None)
        return decided

    def received(self, data: bytes) -> None:
        """Intake."""
        self._size += len(data)
        if self._size > self.LIMIT:
            raise BodyTooLarge(limit=self.LIMIT)
        self._request.content.write(data)

    def complete(self) -> None:
        """Intake."""

    def lost(self) -> None:
        """Intake."""


class RegistryRequest(Request):
    """A request that asks, as soon as its headers are there, who takes its body: `site.intake(request, length)`.

    While that is decided the connection is not read. A refusal is answered at once, before the body; what the client still sends is then
    dropped for a while, because closing on unread bytes would reset the connection and hide the answer.
    """

    channel: Any  # a RegistryChannel; None once the connection is gone
    intake: Intake | None = None  # who takes the body; None without one
    refusal: RegistryError | None = None  # why nobody takes it
    admission: Any = None  # who was let in, for the access log
    sending: bool = False  # a file is on its way out
    began: float = 0.0

    _deciding = False
    _pending: "list[bytes] | None" = None  # body bytes that came before the decision
    _complete: "tuple[bytes, bytes, bytes] | None" = None  # the request line, once all of the body came before the decision
    _answered = False  # refused, and the refusal is out
    _dropped = 0
    _expects = False
    _linger: Any = None

    def gotLength(self, length: int | None) -> None:
        """IRequest of twisted.web: headers are complete, `length` is that of the body, None if chunked."""
        super().gotLength(0)
        channel = self.channel
        self.began = channel.clock()
        if length == 0:
            return
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version  # noqa: SLF001 - there is no other way
        self.path = self.uri.partition(b"?")[0]
        # HTTPChannel would welcome the body as soon as we return.
        self._expects = (self.requestHeaders.getRawHeaders(b"expect") or [b""])[0].lower() == b"100-continue"
        self.requestHeaders.removeHeader(b"expect")
        channel.transport.bufferSize = _RECEIVE_BYTES
        self.intake = channel.site.intake(self, length)
        self._deciding, self._pending = True, []
        self.intake.decide().addCallbacks(self._welcome, self._unwelcome)
        if self._deciding:
            channel.hold()

    def handleContentChunk(self, data: bytes) -> None:
        """IRequest of twisted.web: some of the body."""
        if self.finished:
            return
        self.channel.moved(len(data))
        if self._deciding and self._pending is not None:
            self._pending.append(data)
        elif self.refusal is not None:
            self._dropped += len(data)
            if self._dropped > _LINGER_BYTES:
                self.channel.cut()
        else:
            self._feed(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """IRequest of twisted.web: all of the body has come."""
        if self._deciding:
            self._complete = (command, path, version)
            return
        if self._answered:
            self._stop_lingering()
            self.finish()
            return
        if self.intake is not None and self.refusal is None:
            self.intake.complete()
        super().requestReceived(command, path, version)

    def connectionLost(self, reason: Failure) -> None:
        """IRequest of twisted.web."""
        self._stop_lingering()
        if self.intake is not None:
            self.intake.lost()
        super().connectionLost(reason)

    def learn(self, kept: Kept, body: bytes, on_sent: Callable[[], object] | None) -> None:
        """Let the site give the same answer to the same request, without asking anybody, as long as `kept` is kept."""
        channel = self.channel
        if channel is not None and channel.asked and channel.persistent and not self.requestHeaders.hasHeader(b"expect"):
            channel.site.ready.learn(channel.asked, self, kept, body, on_sent)

    def process(self) -> None:
        """IRequest of twisted.web: answer what no ready answer was found for (`RegistryChannel.dataReceived`)."""
        if self.intake is not None:
            self.channel.transport.bufferSize = _SEND_BYTES
        super().process()

    def hold(self) -> None:
        """Stop reading the body for now."""
        if not self._disconnected and not self.finished:
            self.channel.hold()

    def release(self) -> None:
        """Read on."""
        if not self._disconnected and not self.finished:
            self.channel.release()

    # --- the decision ---

    def _welcome(self, _: object) -> None:
        held, self._deciding = self._pending or [], False
        self._pending = None
        if self._disconnected:
            return
        if self._expects and not held and self._complete is None:
            self.channel._send100Continue()  # noqa: SLF001 - what HTTPChannel itself would have sent
        for data in held:
            if self.refusal is None:
                self._feed(data)
        self._go_on()

    def _unwelcome(self, failure: Failure) -> None:
        self._deciding, self._pending = False, None
        error = failure.value
        if not isinstance(error, RegistryError):
            self._log.failure("deciding on {request}", failure, request=self)
            error = Broken()
        if not self._disconnected:
            self._refuse(error)
            self._go_on()

    def _go_on(self) -> None:
        if self._complete is not None and not self._disconnected:
            line, self._complete = self._complete, None
            self.channel._held = False  # noqa: SLF001 - nothing more to read: requestDone resumes
            self.requestReceived(*line)
        else:
            self.release()

    def _feed(self, data: bytes) -> None:
        assert self.intake is not None
        try:
            self.intake.received(data)
        except RegistryError as error:
            self._refuse(error)

    def _refuse(self, error: RegistryError) -> None:
        """Answer before the body has come to its end; if it has, the route answers, like any other error."""
        assert self.intake is not None
        self.intake.lost()
        self.refusal = error
        if self._complete is None and self._body_to_come():
            self._answered = True
            self.channel.persistent = 0
            self.setHeader(b"server", version)
            self.setHeader(b"date", datetimeToString())
            self.setHeader(b"connection", b"close")
            body = answer_error(self, error)
            self.setHeader(b"content-length", b"%d" % len(body))
            self.write(body)
            site = self.channel.site
            # Who asked whether to send has sent nothing yet, and will not.
            self._linger = site.reactor.callLater(_EXPECTING if self._expects else site.deadlines.linger, self._linger_over)

    def _body_to_come(self) -> bool:
        return not self.channel._handlingRequest  # noqa: SLF001 - true from the moment the body is complete

    def _linger_over(self) -> None:
        self._linger = None
        self.finish()

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
