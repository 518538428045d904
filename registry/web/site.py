"""The registry's own Site: bodies decided on early, deadlines, one buffered log line a request, a drain before the end."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python import runtime
from twisted.web.server import Site

from registry.web.access_log import AccessLog
from registry.web.channel import Deadlines, RegistryChannel, look_at
from registry.web.ready import Logged, ReadyAnswers
from registry.web.request import Document, Intake, RegistryRequest
from registry.web.routes import Routes, admit
from registry.web.upload import UploadIntake, Uploads

_log = Logger()
_LOOK_EVERY = 1.0


class RegistrySite(Site):
    """HTTP/1.1 only: if Twisted switched itself to HTTP/2, our channel and its deadlines would be passed by."""

    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        routes: Routes,
        uploads: Uploads,
        *,
        reactor: IReactorTime,
        deadlines: Deadlines | None = None,
        log: AccessLog | None = None,
        seconds: Callable[[], float] = runtime.seconds,
    ) -> None:
        super().__init__(routes.resource(), requestFactory=RegistryRequest, timeout=None, reactor=reactor, parsePOSTFormSubmission=False)
        self.deadlines = deadlines or Deadlines()
        self.channels: set[RegistryChannel] = set()  # every open connection
        self.ready = ReadyAnswers(gate=routes.gate, seconds=seconds)
        self._routes, self._uploads, self._access_log = routes, uploads, log
        self._watch: LoopingCall | None = None  # runs while we listen
        self._drained: Deferred[None] | None = None  # somebody waits for the last connection to close

    # --- twisted.web's Site ---

    def buildProtocol(self, addr: IAddress | None) -> RegistryChannel:  # type: ignore[override]
        """IProtocolFactory: no wrapper that would choose HTTP/2."""
        channel = RegistryChannel()
        channel.site = channel.factory = self
        channel.requestFactory = self.requestFactory
        channel.callLater = self.reactor.callLater  # type: ignore[method-assign, assignment]
        channel.clock = self.reactor.seconds
        return channel

    def startFactory(self) -> None:
        """IProtocolFactory. Twisted's own access log, which formats a line for each request at once, is never opened."""
        self._watch = LoopingCall(self._look)
        self._watch.clock = self.reactor
        self._watch.start(_LOOK_EVERY, now=False)

    def stopFactory(self) -> None:
        """IProtocolFactory."""
        if self._watch is not None and self._watch.running:
            self._watch.stop()

    def log(self, request: Any) -> None:
        """HTTPFactory: a request has been answered."""
        if self._access_log is not None:
            self._access_log.add(request, self.reactor.seconds() - request.began)

    def acceptableProtocols(self) -> list[bytes]:
        """IProtocolNegotiationFactory."""
        return [b"http/1.1"]

    def log_ready(self, logged: Logged, address: str) -> None:
        """A request has been answered with a ready answer (RegistryChannel)."""
        if self._access_log is not None:
            self._access_log.add_ready(logged, address)

    # --- for RegistryRequest ---

    def intake(self, request: RegistryRequest, length: int | None) -> Intake:
        """Who takes the body of `request`: an upload is streamed to where it belongs, anything else must be small."""
        found = self._routes.find(request.method.decode("ascii", "replace"), request.path)
        if found is None or not found[0].takes_upload:
            return Document(request, length)
        route, arguments = found

        async def may() -> object:
            request.admission = await admit(self._routes.gate, route, request, arguments)
            return None

        return UploadIntake(self._uploads, request, length, lambda: Deferred.fromCoroutine(may()))

    # --- stopping ---

    def drain(self) -> "Deferred[None]":
        """Close idle connections now and busy ones after their answer; fires when none is left."""
        drained: Deferred[None] = Deferred()
        self._drained = drained
        for channel in list(self.channels):
            channel.retire()
        self.channel_closed()
        return drained

    def abort(self) -> None:
        """Cut what is left."""
        for channel in list(self.channels):
            channel.cut()

    def channel_closed(self) -> None:
        """A connection has gone (RegistryChannel)."""
        if self._drained is not None and not self.channels:
            drained, self._drained = self._drained, None
            drained.callback(None)

    def _look(self) -> None:
        look_at(self.channels, self.reactor.seconds(), self.deadlines)
