"""Paths as the client sent them: split first, decoded after, so that `%2F` stays inside its segment."""

import re
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from klein import Klein, KleinRenderable
from klein.resource import KleinResource
from twisted.web.iweb import IRequest
from werkzeug.routing import BaseConverter

from registry.web.errors import answer

# Stands for a decoded "/" inside one segment while Klein routes. Control characters are refused, so no request can hold one of its own.
_SLASH = "\x1f"
_DELETE = "\x7f"
_HOST = re.compile(rb"[A-Za-z0-9._:\[\]%-]*")


class BadPath(Exception):
    """The path holds bytes that no name here can hold."""


class SegmentConverter(BaseConverter):
    """One whole segment, whatever it holds, decoded: `group%2Fproject` arrives as `group/project`."""

    regex = "[^/]+"
    part_isolating = True

    def to_python(self, value: str) -> str:
        """BaseConverter."""
        return value.replace(_SLASH, "/")


def split(raw: bytes) -> list[str]:
    """The decoded segments of a raw path; empty ones are dropped (GitLab squeezes repeated slashes and ignores a trailing one).

    Raises `BadPath` for control characters and for what is not UTF-8, overlong forms included.
    """
    segments = []
    for part in raw.split(b"/"):
        if not part:
            continue
        try:
            text = unquote_to_bytes(part).decode("utf-8") if b"%" in part else part.decode("utf-8")
        except UnicodeDecodeError:
            raise BadPath from None
        if not text.isprintable() and any(character < " " or character == _DELETE for character in text):
            raise BadPath
        segments.append(text.replace("/", _SLASH))
    return segments


class SegmentResource(KleinResource):
    """A Klein resource that routes by raw segments and never builds a redirect.

    May be mounted anywhere in a resource tree: what `prepath` has consumed is not looked at again.
    """

    def __init__(self, app: Klein) -> None:
        super().__init__(app)

    def render(self, request: IRequest) -> KleinRenderable:
        """Resource."""
        if not request.requestHeaders.hasHeader(b"host"):
            # HTTP/1.0: Twisted would take our own address instead, and fail on a unix socket, which has none. Nothing here depends on it.
            request.requestHeaders.setRawHeaders(b"host", [b"localhost"])
        if not _is_host(request.getRequestHostname()):
            return answer(request, 400, {"error": "400 Bad Request - the Host header is not a host name"})
        parts = request.path[1:].split(b"/")
        # Where this tree begins, for links: as it is mounted, not as the client has spelt what comes after.
        cast("Any", request).mount = b"".join(b"/" + part for part in parts[: len(request.prepath)])
        raw = b"/".join(parts[len(request.prepath) :])
        try:
            request.postpath = [segment.encode() for segment in split(raw)] or [b""]
        except BadPath:
            return answer(request, 400, {"error": "400 Bad Request - the path holds control characters, or bytes that are not UTF-8"})
        return super().render(request)


def _is_host(name: bytes) -> bool:
    if not _HOST.fullmatch(name):
        return False
    try:
        # werkzeug does the same, and an empty or overlong label would be an error of ours.
        name.decode("ascii").partition(":")[0].encode("idna")
    except UnicodeError:
        return False
    return True
