"""Sending files: whole or in part, at the pace of the slower of disk and client, with flat memory."""

import os
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.tcp import Connection as TcpConnection
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.conditional import Span, Unsatisfiable, not_modified, requested_span
from registry.domain.errors import RegistryError
from registry.domain.model import File
from registry.interfaces import IGrowingBlob, IOpenBlob
from registry.web.errors import secure
from registry.web.routes import Call

# One sendfile call moves at most what the socket's buffer takes; one read for TLS is a hop to a thread and back.
_SEND_BYTES = 1 << 21
_READ_BYTES = 1 << 18
_READ_AHEAD = 8 << 20
_OF_THE_FILE = (b"content-disposition", b"accept-ranges", b"etag", b"last-modified", b"content-range")
_FOREVER = "max-age=365000000, immutable"


async def send_file(call: Call, file: File, blob: IOpenBlob, *, public: bool) -> bytes | None:
    """Answer with `file`: 200, 206, 304 or 416 as the request's conditions say. Takes over `blob`.

    `public`: anybody may read the file, so shared caches may keep it.
    """
    try:
        request = call.request
        _describe(request, file, public=public)
        if file.sha256 and not_modified(call.header("if-none-match"), file.sha256):
            request.setResponseCode(HTTPStatus.NOT_MODIFIED)
            return b""
        try:
            span = requested_span(
                call.header("range"), call.header("if-range"), etag=file.sha256, modified=file.uploaded_at, size=blob.size
            )
        except Unsatisfiable:
            request.setResponseCode(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            request.setHeader(b"content-range", f"bytes */{blob.size}".encode())
            return b""
        if span is not None:
            request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
            request.setHeader(b"content-range", span.content_range(blob.size).encode())
        span = span or Span(start=0, length=blob.size)
        if blob.data is not None:
            return bytes(blob.data[span.start : span.start + span.length])
        request.setHeader(b"content-length", b"%d" % span.length)
        if request.method != b"HEAD":
            await _transfer(request, blob, span)
    except RegistryError:
        if not request.startedWriting:
            # It is an error that is answered now, and of that nothing was true.
            for name in _OF_THE_FILE:
                request.responseHeaders.removeHeader(name)
        raise
    else:
        return None
    finally:
        blob.close()


def _describe(request: Any, file: File, *, public: bool) -> None:
    secure(request)
    headers = request.responseHeaders
    for name, value in _description(file, public=public):
        headers.setRawHeaders(name, [value])


@lru_cache(maxsize=4096)
def _description(file: File, *, public: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that depend on nothing but the file; they are most of what answering a small one costs."""
    described = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename=\"{file.filename}\"; filename*=UTF-8''{quote(file.filename)}",
        # What was uploaded is never to be run as a page of ours.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Accept-Ranges": "bytes",
        "Cache-Control": f"{'public' if public else 'private'}, {_FOREVER}",
        # Of an upstream's file it may not be known before the last byte.
        **({"ETag": f'"{file.sha256}"'} if file.sha256 else {}),
        **({"Last-Modified": http_date(file.uploaded_at)} if file.uploaded_at is not None else {}),
    }
    return tuple((name.encode(), value.encode()) for name, value in described.items())


def http_date(moment: datetime) -> str:
    """`moment` as HTTP writes it."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


async def _transfer(request: Any, blob: IOpenBlob, span: Span) -> None:
    # Under TLS, or in a test's memory, there is no socket the kernel could write to.
    transport = request.channel.transport
    growing = blob if IGrowingBlob.providedBy(blob) else None
    if growing is not None:
        # Until there is something to send, what goes wrong can still be said.
        await growing.grown(span.start)
    request.sending = True
    if blob.descriptor is not None and isinstance(transport, TcpConnection) and not transport.TLS:
        await _SendFile(request, transport, blob.descriptor, span, growing).run()
    else:
        await _Push(request, blob, span, growing).run()


def _count(request: Any, sent: int) -> None:
    """Tell our channel of progress. The channel of a foreign Site has no deadline that it would matter to, and a lost one is None."""
    moved = getattr(request.channel, "moved", None)
    if moved is not None:
        moved(sent)


@implementer(IPullProducer)
@define(eq=False)
class _SendFile:
    """Sits in the transport's producer slot in place of the HTTP channel while the kernel copies the file to the socket.

    The reactor calls `resumeProducing` whenever the socket takes more; of a file that is still growing, also when there is more. The kernel
    is asked to read ahead of what is sent, so that a cold file does not make the reactor wait for the disk.
    """

    _request: Any
    _transport: Any
    _file: int
    _span: Span
    _growing: Any = None  # IGrowingBlob, if it is one
    _offset: int = 0
    _left: int = 0
    _advised: int = 0
    _done: "Deferred[None] | None" = None
    _waiting: bool = False  # for more of the file

    def run(self) -> "Deferred[None]":
        """Send it; fires when the last byte is with the kernel. Cancelled by Klein when the client goes."""
        self._offset = self._advised = self._span.start
        self._left = self._span.length
        self._done = Deferred(lambda _: self.stopProducing())
        self._request.write(b"")  # the head
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)
        return self._done

    def resumeProducing(self) -> None:
        """IPullProducer."""
        transport = self._transport
        if transport.dataBuffer or transport._tempDataLen:  # noqa: SLF001 - the head is still on its way; we are called again after it
            return
        ready = self._left
        if self._growing is not None:
            ready = min(ready, self._growing.readable - self._offset)
            if ready <= 0:
                self._wait()
                return
        if self._growing is None and self._offset + _READ_AHEAD > self._advised:
            os.posix_fadvise(self._file, self._advised, 2 * _READ_AHEAD, os.POSIX_FADV_WILLNEED)
            self._advised += 2 * _READ_AHEAD
        try:
            sent = os.sendfile(transport.socket.fileno(), self._file, self._offset, min(ready, _SEND_BYTES))
        except BlockingIOError:
            transport.startWriting()
            return
        except OSError:
            transport.abortConnection()
            return
        if not sent:
            transport.abortConnection()  # the file is shorter than it was: the client must not take this for its end
            return
        self._offset += sent
        self._left -= sent
        _count(self._request, sent)
        self._request.sentLength += sent
        if self._left:
            transport.startWriting()
        else:
            self._finish()

    def stopProducing(self) -> None:
        """IPullProducer: the connection is gone."""
        self._left = 0

    def _wait(self) -> None:
        """Go on when there is more of the file. Without a call of `startWriting` the reactor leaves us alone."""
        if self._left and not self._waiting:
            self._waiting, self._request.sending = True, False  # what is not there the client does not owe us to take
            Deferred.fromCoroutine(self._growing.grown(self._offset)).addCallbacks(self._grown, self._broken)

    def _grown(self, _: None) -> None:
        self._waiting = False
        if self._left:
            self._request.sending = True
            self._transport.startWriting()

    def _broken(self, failure: Failure) -> None:
        if self._left:
            self._left = 0
            done, self._done = self._done, None
            if done is not None:
                done.errback(failure)

    def _finish(self) -> None:
        self._transport.unregisterProducer()
        self._transport.registerProducer(self._request.channel, True)
        self._request.sending = False
        done, self._done = self._done, None
        if done is not None:
            done.callback(None)


@implementer(IPushProducer)
@define(eq=False)
class _Push:
    """Reads block after block in a thread and writes while the transport has room."""

    _request: Any
    _blob: IOpenBlob
    _span: Span
    _growing: Any = None  # IGrowingBlob, if it is one
    _room: "Deferred[None] | None" = None  # fires when the transport has room again
    _stopped: bool = False

    async def run(self) -> None:
        """Send it; returns when the last byte is with the transport."""
        request, blob = self._request, self._blob
        request.registerProducer(self, True)
        try:
            offset, left = self._span.start, self._span.length
            while left and not self._stopped:
                if self._growing is not None and self._growing.readable <= offset:
                    request.sending = False
                    await self._growing.grown(offset)
                    request.sending = True
                data = await blob.read(offset, min(left, _READ_BYTES))
                if not data:
                    request.transport.abortConnection()
                    return
                request.write(data)
                _count(request, len(data))
                offset += len(data)
                left -= len(data)
                if self._room is not None:
                    await self._room
        finally:
            request.sending = False
            if not self._stopped and not request._disconnected:  # noqa: SLF001 - the interface cannot tell
                request.unregisterProducer()

    def pauseProducing(self) -> None:
        """IPushProducer."""
        if self._room is None:
            self._room = Deferred()

    def resumeProducing(self) -> None:
        """IPushProducer."""
        room, self._room = self._room, None
        if room is not None and not room.called:
            room.callback(None)

    def stopProducing(self) -> None:
        """IPushProducer: the connection is gone."""
        self._stopped = True
        self.resumeProducing()
