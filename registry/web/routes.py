"""Routes that cannot exist without a permission, and the one way a request reaches its handler."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, cast

from attrs import define, field, frozen
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from registry.domain.access import ANYBODY, Group, Identity, Permission, Project
from registry.domain.errors import RegistryError, TokenRevoked, Unauthenticated
from registry.domain.model import Actor
from registry.web.credentials import Door, credential, fingerprint
from registry.web.errors import answer, answer_error, secure
from registry.web.request import Document, RegistryRequest
from registry.web.rest.params import Params, read_params
from registry.web.segments import SegmentConverter, SegmentResource, split
from registry.web.shielded import shielded
from registry.workflows.gate import Admission, Gate, Where
from registry.workflows.memory import Kept

_log = Logger()
_LISTS = frozenset({"accept", "accept-encoding", "cache-control", "if-none-match"})
_NOBODY = Admission(identity=ANYBODY, place=None)


@define
class Call:
    """One admitted request, as a handler sees it."""

    request: Any  # IRequest, and the attributes of twisted.web's Request that the interface leaves out
    admission: Admission
    kept: Kept | None = None  # what the answer is made of and lasts as long as, if it will do for the same request again
    on_sent: Callable[[], object] | None = None  # hears of each such answer

    def keep(self, kept: Kept, on_sent: Callable[[], object] | None = None) -> None:
        """Give the answer of this call to every request that is the same to the byte, as long as `kept` is kept."""
        self.kept, self.on_sent = kept, on_sent

    @property
    def actor(self) -> Actor:
        """Who is doing this, for the journal."""
        return Actor.of(self.admission.identity, address_of(self.request))

    @property
    def identity(self) -> Identity:
        """Who asks."""
        return self.admission.identity

    @property
    def project(self) -> Project:
        """The project the route names."""
        return self.admission.project

    @property
    def group(self) -> Group:
        """The group the route names."""
        return self.admission.group

    def params(self) -> Params:
        """Query and body as parameters. Raises `InvalidParameters`."""
        request = self.request
        _, _, query = request.uri.partition(b"?")
        request.content.seek(0)
        return read_params(query, self.header("content-type"), request.content.read(Document.LIMIT))

    def header(self, name: str) -> str | None:
        """A request header as text."""
        values = self.request.requestHeaders.getRawHeaders(name)
        if not values:
            return None
        # RFC 9110, 5.3: several lines of a list are one list. Of anything else, the last line counts.
        return ", ".join(values) if name in _LISTS else str(values[-1])


# A handler answers with the body's bytes, or with None when it has written the whole answer itself.
Handler = Callable[..., Coroutine[Any, Any, bytes | None]]


@frozen(kw_only=True)
class Route:
    """One method on one path. `rule` is Klein's; its `project` or `group` parameter, if any, is authorised before `handler` runs.

    `door`: which credentials are read. `takes_upload`: the body is a form to be streamed to the handler instead of a small document.
    `on_revoked` hears of a caller whose token is revoked: its digest, and where he comes from.
    """

    method: str
    rule: str
    permission: Permission
    handler: Handler
    door: Door = Door.PYPI
    takes_upload: bool = False
    on_revoked: Callable[[str, Actor], Awaitable[None]] | None = None

    @property
    def endpoint(self) -> str:
        """Klein's name for it."""
        return f"{self.method} {self.rule}"


# What lies below the index of a project and that of a group, and who may read it.
_INDEXES = (
    ("/api/v4/projects/<segment:project>/packages/pypi", Permission.READ_PACKAGE),
    ("/api/v4/groups/<segment:group>/-/packages/pypi", Permission.READ_GROUP_PACKAGE),
)


def below_indexes(*handlers: tuple[str, Handler]) -> list[Route]:
    """Routes to read what is at these paths below every index, of projects and of groups."""
    return [
        Route(method="GET", rule=f"{index}/{path}", permission=permission, handler=handler)
        for index, permission in _INDEXES
        for path, handler in handlers
    ]


async def admit(gate: Gate, route: Route, request: Any, arguments: dict[str, str]) -> Admission:
    """Let the caller of `request` in through `route`. Raises what `Gate.admit` raises."""
    where = next((Where(kind, arguments[kind]) for kind in ("project", "group") if kind in arguments), None)
    mark = fingerprint(request, route.door)
    known = gate.remembered(mark, where, route.permission)
    if known is not None:
        return known
    found = credential(request, route.door) if mark else None
    try:
        return await gate.admit(found, mark, where, route.permission, challenge=route.door is Door.PYPI, address=address_of(request))
    except TokenRevoked:
        if route.on_revoked is not None and found is not None:
            await route.on_revoked(found.secret.digest(), Actor(user_id=None, username="", address=address_of(request)))
        raise


@frozen(kw_only=True)
class Routes:
    """All routes of the registry, as a Klein resource and as something to ask before a body is read."""

    gate: Gate
    routes: Sequence[Route]
    app: Klein = field(init=False, factory=Klein)
    _by_endpoint: dict[str, Route] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        """Give every route to Klein, each behind the gate."""
        self.app.url_map.converters["segment"] = SegmentConverter
        self.app.url_map.merge_slashes = False
        for route in self.routes:
            self._by_endpoint[route.endpoint] = route
            self.app.route(route.rule, methods=[route.method], endpoint=route.endpoint)(self._behind_gate(route))
        self.app.handle_errors(Exception)(_failed)

    def resource(self) -> SegmentResource:
        """The root of the registry's URL space; may be mounted anywhere."""
        return SegmentResource(self.app)

    def find(self, method: str, path: bytes) -> tuple[Route, dict[str, str]] | None:
        """The route that a request for the raw `path` will take, and its parameters; None where none will."""
        adapter: MapAdapter = self.app.url_map.bind("registry")
        try:
            endpoint, arguments = adapter.match("/" + "/".join(split(path)), method=method)
        except Exception:  # noqa: BLE001 - whatever is wrong with the path is told when the request is answered
            return None
        return self._by_endpoint[endpoint], cast("dict[str, str]", arguments)

    def _behind_gate(self, route: Route) -> Callable[..., Awaitable[bytes | None]]:
        async def run(request: Any, **arguments: str) -> bytes | None:
            return await self._run(route, request, arguments)

        return run

    async def _run(self, route: Route, request: Any, arguments: dict[str, str]) -> bytes | None:
        try:
            if route.takes_upload and getattr(request, "refusal", None) is not None:
                raise request.refusal  # who was let in, or not, has been decided; a failed sign-in counts once
            admission = _NOBODY if route.permission is Permission.OPEN else await admit(self.gate, route, request, arguments)
            request.admission = admission
            refusal = getattr(request, "refusal", None)
            if refusal is not None:
                raise refusal
            named = {name: value for name, value in arguments.items() if name not in {"project", "group"}}
            call = Call(request, admission)
            handling = route.handler(call, **named)
            # What changes something is done to its end even when the client has gone, so that every cache hears of it.
            body = await (handling if route.method == "GET" else shielded(handling))
            if body is not None and call.kept is not None and isinstance(request, RegistryRequest):
                _sized(request, body)
                request.learn(call.kept, body, call.on_sent)
        except RegistryError as error:
            if request.startedWriting:
                return await _break_off(request)
            body = answer_error(request, error)
            if route.door is Door.REST and request.code == HTTPStatus.UNAUTHORIZED and isinstance(error, Unauthenticated):
                request.responseHeaders.removeHeader(b"www-authenticate")  # GitLab: only the package routes ask for Basic
            if request.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                _log.error("{request}: {error}", request=_line(request), error=error)
        return None if body is None else _sized(request, body)


def _line(request: Any) -> str:
    """What was asked, for the log: whatever was sent is printable there."""
    return " ".join(repr(sent)[2:-1] for sent in (request.method, request.path))


def _sized(request: Any, body: bytes) -> bytes:
    # RFC 9110, 8.6: the length of a 304 would be that of the answer it stands for, not that of its empty body.
    if request.code != HTTPStatus.NOT_MODIFIED:
        request.setHeader(b"content-length", b"%d" % len(body))
    return body


def _break_off(request: Any) -> "Deferred[bytes | None]":
    """End an answer that is half out the only honest way, by breaking the connection; never with an error text in the middle of a file."""
    request.transport.abortConnection()
    return Deferred()  # Klein cancels it when the connection is gone


def address_of(request: IRequest) -> str:
    """The address of the peer, empty for a unix socket."""
    return str(getattr(request.getClientAddress(), "host", "") or "")


def _failed(request: Any, failure: Failure) -> "bytes | Deferred[bytes | None]":
    """Answer what no route took, and what is our fault; only the latter is logged."""
    error = failure.value
    if isinstance(error, MethodNotAllowed):
        methods = sorted({*(error.valid_methods or ()), "OPTIONS"})
        request.setHeader(b"allow", ", ".join(methods).encode())
        if request.method == b"OPTIONS":
            request.setResponseCode(HTTPStatus.NO_CONTENT)
            secure(request)
            return b""
        return _sized(request, answer(request, 405, {"error": "405 Not Allowed"}))
    if isinstance(error, HTTPException):
        return _sized(request, answer(request, 404, {"error": "404 Not Found"}))
    _log.failure("{request} failed", failure, request=_line(request))
    if request.startedWriting:
        return _break_off(request)
    return _sized(request, answer(request, 500, {"message": "500 Internal Server Error"}))
