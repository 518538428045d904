"""Proxies that an operator's environment names, and the way through one."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from registry.domain.errors import InvalidSetting, UpstreamUnavailable
from registry.domain.tokens import Secret
from registry.upstream.origins import Credentials, Origin, Target

_ANSWER_LIMIT = 16 << 10
_OK = b"200"


@frozen(kw_only=True)
class Proxy:
    """A proxy, and what proves to it who asks."""

    origin: Origin
    credentials: Credentials | None = None

    @classmethod
    def read(cls, url: str, variable: str) -> "Proxy":
        """The proxy at `url`, as an environment `variable` says it. Raises `InvalidSetting`, which does not repeat a password."""
        full = url if "://" in url else f"http://{url}"
        try:
            target, parts = Target.read(full), urlsplit(full)
        except Exception:  # noqa: BLE001 - the original error could tell a password
            raise InvalidSetting(what=variable, value="", allowed="use http://HOST:PORT or https://HOST:PORT; no other proxies") from None
        credentials = None
        if parts.username:
            credentials = Credentials(username=unquote(parts.username), secret=Secret(unquote(parts.password or "")))
        return cls(origin=target.origin, credentials=credentials)


@frozen(kw_only=True)
class Proxies:
    """Which proxy is asked for what; none for hosts in `never`."""

    http: Proxy | None = None
    https: Proxy | None = None
    never: tuple[str, ...] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Proxies":
        """What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say; the lower-case spelling wins, as with curl. Raises `InvalidSetting`."""
        said = {name: environ.get(name) or environ.get(name.upper()) or "" for name in ("http_proxy", "https_proxy", "no_proxy")}
        return cls(
            http=Proxy.read(said["http_proxy"], "HTTP_PROXY") if said["http_proxy"] else None,
            https=Proxy.read(said["https_proxy"], "HTTPS_PROXY") if said["https_proxy"] else None,
            never=tuple(one.strip().lower() for one in said["no_proxy"].split(",") if one.strip()),
        )

    def to(self, origin: Origin) -> Proxy | None:
        """The proxy that is asked for this origin; None: ask it directly."""
        proxy = self.https if origin.scheme == "https" else self.http
        return None if proxy is None or any(_fits(pattern, origin) for pattern in self.never) else proxy


def _fits(pattern: str, origin: Origin) -> bool:
    """Whether NO_PROXY's `pattern` names the origin: `*`, a host with all below it, the same with a port, an address or a network."""
    if pattern == "*":
        return True
    try:
        return ipaddress.ip_address(origin.host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        pass
    host, _, port = pattern.rpartition(":")
    if host and port.isdecimal():
        if int(port) != origin.port:
            return False
        pattern = host
    name = pattern.removeprefix("*").strip("[]").lstrip(".")
    return bool(name) and (origin.host == name or origin.host.endswith(f".{name}"))


@implementer(IStreamClientEndpoint)
@frozen(kw_only=True, eq=False)
class Tunnel:
    """A connection through a proxy: CONNECT (RFC 9110, 9.3.6), and then as if connected to `target`."""

    through: IStreamClientEndpoint  # the proxy's endpoint
    proxy: Proxy
    target: Origin

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """IStreamClientEndpoint."""
        opening = _Opening(proxy=self.proxy, target=self.target, inner=factory)
        attempt = self.through.connect(Factory.forProtocol(lambda: opening))

        def give_up(_: object) -> None:
            attempt.cancel()
            opening.drop()

        opening.opened = Deferred(give_up)
        attempt.addErrback(opening.fail)
        return opening.opened


@define(kw_only=True, eq=False)
class _Opening(Protocol):
    """Asks the proxy, then gives the connection to the protocol it was opened for."""

    proxy: Proxy
    target: Origin
    inner: IProtocolFactory
    opened: "Deferred[IProtocol]" = field(init=False, factory=Deferred)
    _answer: bytearray = field(init=False, factory=bytearray)
    _protocol: Any = field(init=False, default=None)

    def connectionMade(self) -> None:
        """IProtocol."""
        there = self.target
        authority = f"[{there.host}]:{there.port}" if ":" in there.host else f"{there.host}:{there.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self.proxy.credentials is not None:
            lines.append(f"Proxy-Authorization: {self.proxy.credentials.header()}")
        assert self.transport is not None
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def dataReceived(self, data: bytes) -> None:
        """IProtocol."""
        if self._protocol is not None:
            self._protocol.dataReceived(data)
            return
        self._answer += data
        head, blank, rest = bytes(self._answer).partition(b"\r\n\r\n")
        if not blank:
            if len(self._answer) > _ANSWER_LIMIT:
                self._refuse("the proxy's answer is no HTTP")
            return
        words = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or words[1] != _OK:  # noqa: PLR2004 - version and status
            status = words[1][:3].decode("ascii", "replace") if len(words) > 1 else "nothing"
            self._refuse(f"the proxy {self.proxy.origin.host} answered with status {status}")
            return
        self._hand_over(rest)

    def _hand_over(self, rest: bytes) -> None:
        if self.opened.called:
            return
        assert self.transport is not None
        address: IAddress = self.transport.getPeer()
        self._protocol = self.inner.buildProtocol(address)
        self._protocol.makeConnection(self.transport)
        self.opened.callback(self._protocol)
        if rest:
            self._protocol.dataReceived(rest)

    def _refuse(self, problem: str) -> None:
        self.fail(Failure(UpstreamUnavailable(source=self.target.host, problem=problem)))
        self.drop()

    def fail(self, reason: Failure) -> None:
        """Tell whoever waits for the connection, unless he has it."""
        if not self.opened.called:
            self.opened.errback(reason)

    def drop(self) -> None:
        """Break off."""
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """IProtocol."""
        if self._protocol is not None:
            self._protocol.connectionLost(reason)
        else:
            self._refuse(f"the proxy {self.proxy.origin.host} closed the connection")
