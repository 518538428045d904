"""Addresses of other servers, taken apart once, and the credentials that belong to an origin."""

import base64
import ipaddress
import re
from urllib.parse import quote, urljoin, urlsplit

import idna
from attrs import frozen

from registry.domain.errors import UpstreamRefused, shown
from registry.domain.tokens import Secret

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9.])?")
_HOST_LIMIT, _URL_LIMIT = 253, 8192
# What no address may hold; everything else that does not belong into one is percent-encoded. A backslash is a slash to some.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_PLAIN = "/%:@!$&'()*+,;=-._~?[]"


@frozen(kw_only=True)
class Origin:
    """Scheme, host and port: what credentials belong to (RFC 6454). The host without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host and port as they stand in an address and in Host: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@frozen(kw_only=True)
class Target:
    """Something to ask for. `path` begins with a slash and has the query; there is no fragment and no userinfo."""

    origin: Origin
    path: str

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.origin.scheme}://{self.origin.netloc}{self.path}"

    @classmethod
    def read(cls, url: str) -> "Target":
        """Take an address apart. Userinfo and fragment are dropped. Raises `UpstreamRefused` for what is no http(s) address.

        The scheme counts as it is parsed, in any case; host names are ASCII or IDNA (UTS 46); IPv6 addresses have no zone.
        """
        if len(url) > _URL_LIMIT or _FORBIDDEN.search(url.strip()):
            raise _unusable(url, "is no address")
        try:
            parts = urlsplit(url.strip())
            port, host = parts.port, parts.hostname or ""
        except ValueError:
            raise _unusable(url, "is no address") from None
        if parts.scheme not in _PORTS:
            raise _unusable(url, "is not an http or https address")
        if "[" in parts.netloc and ":" not in host:
            raise _unusable(url, "has no usable host")
        origin = Origin(scheme=parts.scheme, host=_host(host, url), port=_PORTS[parts.scheme] if port is None else port)
        if not origin.port:
            raise _unusable(url, "has no usable port")
        path = parts.path or "/"
        return cls(origin=origin, path=quote(f"{path}?{parts.query}" if parts.query else path, safe=_PLAIN))

    def redirected(self, location: str) -> "Target":
        """Where a Location of this leads. Raises `UpstreamRefused` also when that is less safe: from https to http."""
        try:
            joined = urljoin(self.url, location)
        except ValueError:
            raise _unusable(location, "is no address") from None
        there = Target.read(joined)
        if self.origin.scheme == "https" and there.origin.scheme != "https":
            raise UpstreamRefused(source=self.origin.host, problem="it redirects from https to http")
        return there


@frozen(kw_only=True)
class Credentials:
    """What proves to an upstream who asks. Without a user name the secret is a bearer token (RFC 6750)."""

    username: str | None
    secret: Secret

    def header(self) -> str:
        """The value of Authorization."""
        secret = self.secret.reveal()
        if self.username is None:
            return f"Bearer {secret}"
        return "Basic " + base64.b64encode(f"{self.username}:{secret}".encode()).decode()


@frozen(kw_only=True)
class Known:
    """An upstream that is configured: what sentences call it, and its credentials, which are sent to exactly this origin."""

    name: str
    origin: Origin
    credentials: Credentials | None = None


def _host(text: str, url: str) -> str:
    if ":" in text:
        try:
            address = ipaddress.IPv6Address(text)
        except ValueError:
            raise _unusable(url, "has no usable host") from None
        if address.scope_id is not None:
            raise _unusable(url, "has an IPv6 zone")
        return str(address)
    try:
        # Encoded twice: what UTS 46 makes of some letters, such as a dot, is no host itself.
        host = idna.encode(text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")).decode("ascii")
    except idna.IDNAError:
        raise _unusable(url, "has no usable host") from None
    if len(host) > _HOST_LIMIT or not _HOST.fullmatch(host):
        raise _unusable(url, "has no usable host")
    return host


def _unusable(url: str, problem: str) -> UpstreamRefused:
    # Whoever wrote userinfo into it meant it for somebody else.
    bare = re.sub(r"//[^/?#]*@", "//", url, count=1)
    return UpstreamRefused(source=_named(bare), problem=f"{shown(bare)} {problem}")


def _named(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host if _HOST.fullmatch(host) and len(host) <= _HOST_LIMIT else "of no name"
