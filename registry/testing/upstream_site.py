"""A fake upstream, served by Twisted: in memory, or live in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define
from twisted.internet.interfaces import IPushProducer
from twisted.internet.pollreactor import PollReactor
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from registry.testing.troubles import Gate, Reply
from registry.testing.upstream import Asked, FakeUpstream

_PIECE = 1 << 16
_BODILESS = {204, 304}


class UpstreamSite(Site):
    """Answers for a `FakeUpstream`."""

    def __init__(self, upstream: FakeUpstream, reactor: Any) -> None:
        super().__init__(_Everything(upstream, reactor), reactor=reactor, timeout=600)
        self.noisy = False

    def log(self, request: Any) -> None:
        """HTTPFactory: nobody reads it."""


class _Everything(Resource):
    isLeaf = True

    def __init__(self, upstream: FakeUpstream, reactor: Any) -> None:
        super().__init__()
        self._upstream, self._reactor = upstream, reactor

    def render(self, request: Request) -> int:
        """IResource."""
        headers = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1") for name, values in request.requestHeaders.getAllRawHeaders()
        }
        asked = Asked(
            method=request.method.decode("ascii"),
            path=request.uri.decode("latin-1"),
            host=headers.get("host", ""),
            headers=headers,
        )
        reply = self._upstream.reply(asked, "https" if request.isSecure() else "http")
        _Sender(request=request, reply=reply, call=getattr(self._reactor, "callFromThread", None)).start()
        return NOT_DONE_YET


@implementer(IPushProducer)
@define(kw_only=True, eq=False)
class _Sender:
    """Sends one reply, as fast as it is read. `call` brings the opening of a gate into the reactor's thread."""

    request: Any
    reply: Reply
    call: Any
    _sent: int = 0
    _paused: bool = False
    _waiting: bool = False
    _over: bool = False

    def start(self) -> None:
        """Begin, once the gate allows it."""
        self.request.notifyFinish().addBoth(self._gone)
        gate = self.reply.gate
        if gate is not None and not gate.is_open and max(self.reply.held_at, gate.upto) < 0:
            self._wait(gate, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        if self._over:
            return
        reply, request = self.reply, self.request
        request.setResponseCode(reply.status)
        for name, value in reply.headers.items():
            request.responseHeaders.setRawHeaders(name.encode("latin-1"), [value.encode("utf-8", "surrogateescape")])
        if not reply.chunked and reply.status not in _BODILESS:
            request.setHeader(b"content-length", b"%d" % (len(reply.body) if reply.length is None else reply.length))
        if request.method == b"HEAD" or reply.status in _BODILESS:
            self._finish()
            return
        request.registerProducer(self, True)
        request.write(b"")  # the head, which may be all for now
        self._go()

    def resumeProducing(self) -> None:
        """IPushProducer."""
        self._paused = False
        self._go()

    def _go(self) -> None:
        reply = self.reply
        gate, last = reply.gate, len(reply.body) if reply.cut is None else min(reply.cut, len(reply.body))
        while not (self._paused or self._waiting or self._over):
            until = last if gate is None or gate.is_open else min(last, max(reply.held_at, gate.upto))
            if self._sent < until:
                piece = reply.body[self._sent : min(until, self._sent + _PIECE)]
                self._sent += len(piece)
                self.request.write(piece)
            elif self._sent < last and gate is not None:
                self._wait(gate, self._go)
            else:
                self.request.unregisterProducer()
                self._finish()

    def pauseProducing(self) -> None:
        """IPushProducer."""
        self._paused = True

    def stopProducing(self) -> None:
        """IPushProducer."""
        self._over = True

    def _wait(self, gate: Gate, go_on: Any) -> None:
        self._waiting = True

        def opened() -> None:
            self._waiting = False
            go_on()

        gate.wait(opened if self.call is None else lambda: self.call(opened))

    def _gone(self, _: object) -> None:
        self._over = True

    def _finish(self) -> None:
        self._over = True
        if self.reply.cut is not None or self.reply.length is not None:
            # What was announced is not what came, so this connection is of no more use.
            self.request.loseConnection()
        else:
            self.request.finish()


@contextmanager
def serving_upstream(upstream: FakeUpstream, *, tls: Any = None) -> Iterator[str]:
    """Serve `upstream` on a free port of the loopback interface, in a thread, until the block ends; the address of its index.

    It stays an object of this process: give it files, make trouble and read its `requests` at any time. `tls`: CertificateOptions.
    """
    # A reactor of its own beside the installed one, which runs or does not as before.
    reactor: Any = PollReactor()
    reactor._registerAsIOThread = False  # noqa: SLF001 - the process has one thread of that title already
    site = UpstreamSite(upstream, reactor)
    port = reactor.listenTCP(0, site if tls is None else TLSMemoryBIOFactory(tls, False, site, clock=reactor), interface="127.0.0.1")
    running = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)
    running.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port.getHost().port}/{'files' if upstream.style.flat else 'simple'}/"
    finally:
        reactor.callFromThread(reactor.stop)
        running.join()
