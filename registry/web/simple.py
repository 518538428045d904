"""How pages and indexes are answered: which representation and coding, under which conditions, for how long."""

from http import HTTPStatus
from typing import Any

from registry.domain.access import Project, RegistryAccess, Visibility
from registry.domain.conditional import not_modified
from registry.domain.encoding import Encoding, choose_encoding
from registry.domain.negotiation import Representation, negotiate
from registry.web.errors import secure
from registry.web.ready import age_of
from registry.web.routes import Call
from registry.workflows.answers import Held, Rendered
from registry.workflows.library import Library


def wanted_representation(call: Call) -> Representation:
    """What the client asks for by `Accept` and `?format=` (PEP 691)."""
    formats = call.request.args.get(b"format")
    return negotiate(call.header("accept"), formats[0].decode("utf-8", "replace") if formats else None)


def asks_anew(call: Call) -> bool:
    """Whether the client wants an answer that is not from a cache (RFC 9111, 5.2.1.4).

    `uv --refresh` and `--upgrade` say so. `max-age=0` does not count: pip says that of every page, and means its own cache.
    """
    said = call.header("cache-control")
    return said is not None and any(word.strip().lower() == "no-cache" for word in said.split(","))


async def answer_page(call: Call, library: Library, rendered: Rendered, content_type: str) -> bytes:
    """Answer with `rendered`: 200, or 304 where the client has these very bytes; in the coding that the client likes best."""
    encoding = choose_encoding(call.header("accept-encoding"), rendered.size)
    body = await library.encoded(rendered, encoding)
    request: Any = call.request
    public, etag = is_public(call), encoding.mark(rendered.etag)
    secure(request)
    request.setHeader(b"content-type", content_type.encode())
    request.setHeader(b"etag", f'"{etag}"'.encode())
    request.setHeader(b"vary", b"Accept, Accept-Encoding" if public else b"Accept, Accept-Encoding, Authorization, Private-Token")
    # A new release must be seen at once (CI publishes, then installs), so: keep it, but ask.
    request.setHeader(b"cache-control", b"no-cache" if public else b"private, no-cache")
    tell_origin(call, rendered, library)
    if rendered.state == "miss":
        # To whoever comes next it is what is known already.
        rendered.state = "hit"
    elif rendered.state != "stale" and not asks_anew(call):
        call.keep(rendered)
    if not_modified(call.header("if-none-match"), etag):
        request.setResponseCode(HTTPStatus.NOT_MODIFIED)
        return b""
    if encoding is not Encoding.IDENTITY:
        request.setHeader(b"content-encoding", encoding.value.encode())
    return body


def tell_origin(call: Call, kept: Rendered | Held, library: Library) -> None:
    """Say where an answer comes from: "local", or an upstream's "hit", "miss" or "stale"; and how old what the upstream said or sent is."""
    request: Any = call.request
    request.setHeader(b"x-cache", kept.state.encode())
    if kept.since is not None:
        request.setHeader(b"age", age_of(kept.since, library.now().timestamp()))
    if kept.state == "stale":
        # RFC 7234, 5.5.1; its successor drops the header, and people still look for it.
        request.setHeader(b"warning", b'110 - "Response is Stale"')


def send_elsewhere(call: Call, url: str) -> bytes:
    """Send the client to an upstream (GitLab: 302), which may be another one tomorrow."""
    request: Any = call.request
    secure(request)
    request.setResponseCode(HTTPStatus.FOUND)
    request.setHeader(b"location", url.encode("ascii", "replace"))
    request.setHeader(b"cache-control", b"no-store")
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return b"This name is not held here; the registry sends you to its upstream.\n"


def is_public(call: Call) -> bool:
    """Whether anybody would get this answer. A group's depends on who asks, so it is nobody else's business."""
    place = call.admission.place
    return isinstance(place, Project) and place.visibility is Visibility.PUBLIC and place.registry is not RegistryAccess.PRIVATE


def mount(request: Any) -> str:
    """The path our routes start at. For links without a configured external URL: never the Host header, which anybody can set."""
    return str(request.mount.decode("ascii", "replace"))
