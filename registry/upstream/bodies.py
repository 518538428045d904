"""Bodies of answers as they come: kept whole up to a limit, or handed on at the reader's pace."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.errors import RegistryError, UpstreamBroken, UpstreamUnavailable
from registry.interfaces import IStream, IStreamReader

_log = Logger()

STALL_TIMEOUT = 30.0  # seconds without a byte
# Window of zlib: 15 bits, 16 for gzip's head.
_GZIP = 31


class Body(Protocol):
    """Takes the body of `response`; tells `take` of every piece and then, once, `over`: of None at its end, else of what went wrong.

    A pause does not count as a stall. `release` breaks the connection off.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        source: str,
        take: Callable[[bytes], None],
        over: Callable[[RegistryError | None], None],
        release: Callable[[], None],
    ) -> None:
        self._reactor, self._source = reactor, source
        self._take, self._over, self._release = take, over, release
        self._done = self._paused = False
        self._heard: float = reactor.seconds()
        self._watch: Any = reactor.callLater(STALL_TIMEOUT, self._look)

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        if self._done:
            return
        self._heard = self._reactor.seconds()
        try:
            self._take(data)
        except RegistryError as error:
            self.stop(error)
        except Exception:  # noqa: BLE001 - whatever is wrong with a reader, the connection is closed in order
            _log.failure("the reader of what {source} sends failed", source=self._source)
            self.stop(UpstreamBroken(source=self._source, problem="what it sends cannot be taken; the log has more"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """IProtocol."""
        from twisted.web.client import ResponseDone  # noqa: PLC0415 - loaded with the first request
        from twisted.web.http import PotentialDataLoss  # noqa: PLC0415

        # A body without a length ends with the connection (RFC 9112, 6.3); nobody can tell whether that was all.
        whole = reason.check(ResponseDone, PotentialDataLoss)
        self._finish(None if whole else UpstreamBroken(source=self._source, problem="the answer broke off before its end"))

    def pause(self) -> None:
        """Read no more, for now."""
        if not self._done:
            self._paused = True
            cast("Any", self.transport).pauseProducing()

    def resume(self) -> None:
        """Read on."""
        if not self._done and self._paused:
            self._paused = False
            self._heard = self._reactor.seconds()
            cast("Any", self.transport).resumeProducing()

    def stop(self, error: RegistryError | None, *, silent: bool = False) -> None:
        """Break off, and tell so unless `silent`."""
        if not self._done:
            self._finish(error, silent=silent)
            self._release()

    def _look(self) -> None:
        idle = 0.0 if self._paused else self._reactor.seconds() - self._heard
        if idle >= STALL_TIMEOUT:
            self._watch = None
            self.stop(UpstreamUnavailable(source=self._source, problem=f"nothing came for {STALL_TIMEOUT:.0f} seconds"))
        else:
            self._watch = self._reactor.callLater(STALL_TIMEOUT - idle, self._look)

    def _finish(self, error: RegistryError | None, *, silent: bool = False) -> None:
        if self._done:
            return
        self._done = True
        if self._watch is not None:
            self._watch.cancel()
        if not silent:
            self._over(error)


@define(kw_only=True, eq=False)
class Whole:
    """Puts a body together. Raises `UpstreamBroken` as soon as it has more than `limit` bytes, as they come or decoded."""

    source: str
    encoding: str  # Content-Encoding
    limit: int
    _data: bytearray = field(init=False, factory=bytearray)
    _came: int = 0
    _gzip: Any = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        """Raises `UpstreamBroken` for an encoding that was not asked for."""
        encoding = self.encoding.strip().lower()
        if encoding in {"gzip", "x-gzip"}:
            self._gzip = zlib.decompressobj(_GZIP)
        elif encoding not in {"", "identity"}:
            raise UpstreamBroken(source=self.source, problem=f"its content encoding is {encoding[:40]!a}, which was not asked for")

    def take(self, data: bytes) -> None:
        """The next bytes."""
        self._came += len(data)
        if self._came > self.limit:
            raise self._too_large()
        if self._gzip is None:
            self._data += data
            return
        while data:
            if self._gzip.eof:
                # RFC 1952: "a gzip file consists of a series of members".
                self._gzip = zlib.decompressobj(_GZIP)
            try:
                self._data += self._gzip.decompress(data, self.limit - len(self._data) + 1)
            except zlib.error:
                raise UpstreamBroken(source=self.source, problem="its gzip encoding is damaged") from None
            if len(self._data) > self.limit:
                raise self._too_large()
            data = self._gzip.unused_data

    def result(self) -> bytes:
        """All of it, decoded. Raises `UpstreamBroken` where the encoding has no end."""
        if self._gzip is not None and self._came and not self._gzip.eof:
            raise UpstreamBroken(source=self.source, problem="its gzip encoding breaks off")
        return bytes(self._data)

    def _too_large(self) -> UpstreamBroken:
        return UpstreamBroken(source=self.source, problem=f"its answer is over {self.limit:,} bytes")


@implementer(IStream)
@define(kw_only=True, eq=False)
class Stream:
    """IStream over a response of Twisted's agent. `free` is called once, when the connection is not needed any more."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    url: str
    source: str
    reactor: Any
    response: Any
    release: Callable[[], None]
    free: Callable[[], None]
    _body: Body | None = field(init=False, default=None)
    _paused: bool = field(init=False, default=False)
    _over: bool = field(init=False, default=False)

    def deliver(self, reader: IStreamReader) -> None:
        """IStream."""
        if self._over:
            return

        def over(error: RegistryError | None) -> None:
            self._end()
            if error is None:
                reader.ended()
            else:
                reader.failed(error)

        self._body = Body(reactor=self.reactor, source=self.source, take=reader.received, over=over, release=self.release)
        # Gives what has come already, at once, and then reads on, whatever the reader has said meanwhile.
        self.response.deliverBody(self._body)
        if self._paused:
            self._body.pause()

    def pause(self) -> None:
        """IStream."""
        self._paused = True
        if self._body is not None and self._body.transport is not None:
            self._body.pause()

    def resume(self) -> None:
        """IStream."""
        self._paused = False
        if self._body is not None:
            self._body.resume()

    def abort(self) -> None:
        """IStream."""
        if self._over:
            return
        if self._body is None:
            self.release()
        else:
            self._body.stop(None, silent=True)
        self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self.free()


def whole(response: Any, into: Whole, *, reactor: Any, release: Callable[[], None]) -> "Deferred[bytes]":
    """All of a response's body. Cancelling breaks the connection off."""
    done: Deferred[bytes] = Deferred(lambda _: body.stop(None, silent=True))

    def over(error: RegistryError | None) -> None:
        if done.called:
            return
        try:
            if error is not None:
                raise error
            done.callback(into.result())
        except RegistryError as problem:
            done.errback(problem)

    body = Body(reactor=reactor, source=into.source, take=into.take, over=over, release=release)
    response.deliverBody(body)
    return done
