"""GitLab's PyPI routes: thin methods that parse, ask a workflow, and answer."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from registry.domain.access import Permission, Project, RegistryAccess, Visibility
from registry.domain.conditional import not_modified
from registry.domain.errors import InvalidName, UnknownFile, UnknownName
from registry.domain.names import Name
from registry.domain.negotiation import Representation, negotiate
from registry.web.download import send_file
from registry.web.errors import secure
from registry.web.routes import Call, Route
from registry.web.upload import Uploads
from registry.workflows.gate import Gate
from registry.workflows.library import Library, Rendered, View
from registry.workflows.publish import Publisher

_PROJECT = "/api/v4/projects/<segment:project>/packages/pypi"
_GROUP = "/api/v4/groups/<segment:group>/-/packages/pypi"
_CREATED = b'{"message":"201 Created"}'


@frozen(kw_only=True)
class PyPI:
    """Index, page and download of projects and groups, upload to projects.

    `external_url` gives the base of absolute links, empty while there is none.
    """

    gate: Gate
    library: Library
    publisher: Publisher
    uploads: Uploads
    external_url: Callable[[], str]
    on_download: Callable[[int], object]  # hears the number of each file that is fetched

    def routes(self) -> Sequence[Route]:
        """GitLab's routes 1 to 4 and 6 to 8."""
        made = [Route(method="POST", rule=_PROJECT, permission=Permission.CREATE_PACKAGE, handler=self.upload, takes_upload=True)]
        for top, read in ((_PROJECT, Permission.READ_PACKAGE), (_GROUP, Permission.READ_GROUP_PACKAGE)):
            made += [
                Route(method="GET", rule=f"{top}/simple", permission=read, handler=self.index),
                Route(method="GET", rule=f"{top}/simple/<segment:name>", permission=read, handler=self.page),
                Route(method="GET", rule=f"{top}/files/<segment:sha256>/<segment:filename>", permission=read, handler=self.download),
            ]
        return made

    async def index(self, call: Call) -> bytes:
        """Every name of the project, or of those projects of the group that the caller may read."""
        # No redirect to the form with a slash (GitLab); so relative links must say where they start.
        prefix = "" if call.request.path.endswith(b"/") else "simple/"
        representation = _representation(call)
        return _page(call, representation, await self.library.index(await self._view(call), representation, prefix))

    async def page(self, call: Call, name: str) -> bytes:
        """One name's files. 404 where there are none: clients with several indexes then try the next one."""
        representation = _representation(call)
        view = await self._view(call)
        base = self.external_url() or mount(call.request)
        # GitLab's router takes ".txt" for a format; a name that really ends so comes first.
        spellings = (name, name.removesuffix(".txt")) if name.endswith(".txt") else (name,)
        for spelling in spellings:
            try:
                return _page(call, representation, await self.library.page(view, Name(spelling), representation, base))
            except (InvalidName, UnknownName):
                continue
        raise UnknownName(name=name)

    async def download(self, call: Call, sha256: str, filename: str) -> bytes | None:
        """One file's bytes; through a group only from a project whose packages the caller may read there, too."""
        if not sha256.isascii() or not filename.isascii():
            raise UnknownFile(filename=filename)
        file = await self.library.file(await self._view(call), sha256.lower(), filename)
        blob = await self.library.open(file)
        if call.request.method == b"GET":
            self.on_download(file.id)
        return await send_file(call, file, blob, public=_public(call))

    async def upload(self, call: Call) -> bytes:
        """Publish one file."""
        received = await self.uploads.received(call.request)
        await self.publisher.publish(call.admission, call.actor, received.fields, received.filename, received.staged)
        call.request.setResponseCode(201)
        secure(call.request)
        call.request.setHeader(b"content-type", b"application/json")
        return _CREATED

    async def _view(self, call: Call) -> View:
        place = call.admission.place
        if isinstance(place, Project):
            return View.of_project(place)
        return View.of_group(call.group, await self.gate.readable(call.admission))


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
    request.setHeader(b"cache-control", b"no-cache" if _public(call) else b"private, no-cache")
    if not_modified(call.header("if-none-match"), rendered.etag):
        request.setResponseCode(304)
        return b""
    return rendered.body


def _public(call: Call) -> bool:
    # A group's answers depend on who asks, so they are nobody else's business.
    place = call.admission.place
    return isinstance(place, Project) and place.visibility is Visibility.PUBLIC and place.registry is not RegistryAccess.PRIVATE


def mount(request: Any) -> str:
    """The path our routes start at. For links without a configured external URL: never the Host header, which anybody can set."""
    head, _, _ = request.path.partition(b"/api/v4/")
    return str(head.decode("ascii", "replace"))
