"""GitLab's PyPI routes: thin methods that parse, ask a workflow, and answer."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from registry.domain.access import Permission, Visibility
from registry.domain.conditional import not_modified
from registry.domain.errors import InvalidName, UnknownFile, UnknownName
from registry.domain.names import Name
from registry.domain.negotiation import Representation, negotiate
from registry.web.download import send_file
from registry.web.errors import secure
from registry.web.routes import Call, Route
from registry.web.upload import Uploads
from registry.workflows.library import Library, Rendered
from registry.workflows.publish import Publisher

T = TypeVar("T")

_PROJECT = "/api/v4/projects/<segment:project>/packages/pypi"
_CREATED = b'{"message":"201 Created"}'


@frozen(kw_only=True)
class ProjectPyPI:
    """Index, page, download and upload of one project. `external_url` gives the base of absolute links, empty while there is none."""

    library: Library
    publisher: Publisher
    uploads: Uploads
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """GitLab's routes 1 to 4."""
        read, create = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE
        return (
            Route(method="GET", rule=f"{_PROJECT}/simple", permission=read, handler=self.index),
            Route(method="GET", rule=f"{_PROJECT}/simple/<segment:name>", permission=read, handler=self.page),
            Route(method="GET", rule=f"{_PROJECT}/files/<segment:sha256>/<segment:filename>", permission=read, handler=self.download),
            Route(method="POST", rule=_PROJECT, permission=create, handler=self.upload, takes_upload=True),
        )

    async def index(self, call: Call) -> bytes:
        """Every name of the project."""
        # No redirect to the form with a slash (GitLab); so relative links must say where they start.
        prefix = "" if call.request.path.endswith(b"/") else "simple/"
        representation = _representation(call)
        return _page(call, representation, await self.library.index(call.admission.project, representation, prefix))

    async def page(self, call: Call, name: str) -> bytes:
        """One name's files. 404 where there are none: clients with several indexes then try the next one."""
        representation = _representation(call)
        project = call.admission.project
        base = self.external_url() or _mount(call.request)
        # GitLab's router takes ".txt" for a format; a name that really ends so comes first.
        spellings = (name, name.removesuffix(".txt")) if name.endswith(".txt") else (name,)
        for spelling in spellings:
            try:
                return _page(call, representation, await self.library.page(project, Name(spelling), representation, base))
            except (InvalidName, UnknownName):
                continue
        raise UnknownName(name=name)

    async def download(self, call: Call, sha256: str, filename: str) -> bytes | None:
        """One file's bytes."""
        project = call.admission.project
        if not sha256.isascii() or not filename.isascii():
            raise UnknownFile(filename=filename)
        file = await self.library.file(project, sha256.lower(), filename)
        return await send_file(call, file, await self.library.open(file), public=project.visibility is Visibility.PUBLIC)

    async def upload(self, call: Call) -> bytes:
        """Publish one file."""
        received = await self.uploads.received(call.request)
        # The client may go away; what it has sent in full is published, or refused, all the same.
        await _shielded(self.publisher.publish(call.admission.project, call.actor, received.fields, received.filename, received.staged))
        call.request.setResponseCode(201)
        secure(call.request)
        call.request.setHeader(b"content-type", b"application/json")
        return _CREATED


def _representation(call: Call) -> Representation:
    formats = call.request.args.get(b"format")
    return negotiate(call.header("accept"), formats[0].decode("utf-8", "replace") if formats else None)


def _page(call: Call, representation: Representation, rendered: Rendered) -> bytes:
    request: Any = call.request
    secure(request)
    request.setHeader(b"content-type", representation.content_type.encode())
    request.setHeader(b"etag", f'"{rendered.etag}"'.encode())
    request.setHeader(b"vary", b"Accept, Authorization, Private-Token")
    # A new release must be seen at once (CI publishes, then installs), so: keep it, but ask.
    private = call.admission.project.visibility is not Visibility.PUBLIC
    request.setHeader(b"cache-control", b"private, no-cache" if private else b"no-cache")
    if not_modified(call.header("if-none-match"), rendered.etag):
        request.setResponseCode(304)
        return b""
    return rendered.body


def _mount(request: Any) -> str:
    """The path our routes start at. For links without a configured external URL: never the Host header, which anybody can set."""
    head, _, _ = request.path.partition(b"/api/v4/")
    return str(head.decode("ascii", "replace"))


def _shielded(work: Coroutine[Deferred[Any], Any, T]) -> "Deferred[T]":
    """Wait for `work` without stopping it when the wait is cancelled."""
    outcome: Deferred[T] = Deferred(lambda _: None)
    running: Deferred[T] = Deferred.fromCoroutine(work)
    running.addCallbacks(
        lambda result: None if outcome.called else outcome.callback(result),
        lambda failure: None if outcome.called else outcome.errback(failure),
    )
    return outcome
