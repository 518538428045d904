"""GitLab's PyPI routes: thin methods that parse, ask a workflow, and answer."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from attrs import frozen

from registry.domain.access import Permission, Project
from registry.domain.errors import InvalidName, UnknownFile, UnknownName
from registry.domain.filenames import METADATA_ENDING
from registry.domain.names import Name
from registry.web.download import send_file
from registry.web.errors import secure
from registry.web.routes import Call, Route, below_indexes
from registry.web.simple import answer_page, asks_anew, is_public, mount, send_elsewhere, tell_origin, wanted_representation
from registry.web.upload import Uploads
from registry.workflows.ahead import Ahead
from registry.workflows.arrivals import Elsewhere
from registry.workflows.gate import Gate
from registry.workflows.history import History
from registry.workflows.library import Library
from registry.workflows.publish import Publisher
from registry.workflows.views import View


@frozen(kw_only=True)
class PyPI:
    """Index, page and download of projects and groups, upload to projects.

    `external_url` gives the base of absolute links, empty while there is none.
    """

    gate: Gate
    library: Library
    history: History
    publisher: Publisher
    uploads: Uploads
    external_url: Callable[[], str]
    on_download: Callable[[int], object]  # hears the number of each file that is fetched
    ahead: Ahead | None = None  # hears of core metadata that clients are given

    def routes(self) -> Sequence[Route]:
        """GitLab's routes 1 to 4 and 6 to 8."""
        return [
            Route(
                method="POST",
                rule="/api/v4/projects/<segment:project>/packages/pypi",
                permission=Permission.CREATE_PACKAGE,
                handler=self.upload,
                takes_upload=True,
            ),
            *below_indexes(
                ("simple", self.index),
                ("simple/<segment:name>", self.page),
                # devpi's address of the same: hatch asks there what is published already.
                ("+simple/<segment:name>", self.page),
                ("files/<segment:sha256>/<segment:filename>", self.download),
            ),
        ]

    async def index(self, call: Call) -> bytes:
        """Every name of the project, or of those projects of the group that the caller may read."""
        # No redirect to the form with a slash (GitLab); so relative links must say where they start.
        prefix = "" if call.request.path.endswith(b"/") else "simple/"
        representation = wanted_representation(call)
        rendered = await self.library.index(await self.view(call), representation, prefix)
        return await answer_page(call, self.library, rendered, representation.content_type)

    async def page(self, call: Call, name: str) -> bytes:
        """One name's files. 404 where there are none: clients with several indexes then try the next one."""
        representation = wanted_representation(call)
        view = await self.view(call)
        try:
            rendered = await self.library.page(view, await self._meant(view, name), representation, self._base(call), anew=asks_anew(call))
        except InvalidName:
            raise UnknownName(name=name) from None
        except Elsewhere as there:
            return send_elsewhere(call, there.url)
        return await answer_page(call, self.library, rendered, representation.content_type)

    def _base(self, call: Call) -> str:
        """What links on pages begin with."""
        return self.external_url() or mount(call.request)

    async def _meant(self, view: View, spelling: str) -> Name:
        """The name that is meant. Raises `InvalidName`."""
        if spelling.endswith(".txt"):
            # GitLab's router takes it for a format; a name held here that really ends so comes first. Upstreams are not asked about it:
            # it may be a name of ours with an ending, and clients write a name that really ends so with a hyphen.
            with suppress(InvalidName):
                whole = Name(spelling)
                if await self.library.holds(view, whole):
                    return whole
            return Name(spelling.removesuffix(".txt"))
        return Name(spelling)

    async def download(self, call: Call, sha256: str, filename: str) -> bytes | None:
        """One file's bytes, or its core metadata; through a group only from a project whose packages the caller may read there, too."""
        if not sha256.isascii() or not filename.isascii():
            raise UnknownFile(filename=filename)
        view = await self.view(call)
        digest, sent = sha256.lower(), call.request.method == b"GET"
        try:
            held = await self.library.file(view, digest, filename)
            blob = await self.library.open(held)
        except UnknownFile:
            try:
                held, blob = await self.library.from_upstream(view, digest, filename, unread=not sent)
            except Elsewhere as there:
                return send_elsewhere(call, there.url)
            except UnknownFile:
                raise await self.history.missing(view, digest, filename) from None
        on_sent = None
        if sent and held.file.id:
            self.on_download(held.file.id)
            on_sent = partial(self.on_download, held.file.id)
        tell_origin(call, held, self.library)
        call.keep(held, on_sent)
        if sent and self.ahead is not None and filename.endswith(METADATA_ENDING):
            self.ahead.follow(view, held.file, blob, self._base(call))
        return await send_file(call, held.file, blob, public=is_public(call))

    async def upload(self, call: Call) -> bytes:
        """Publish one file."""
        received = await self.uploads.received(call.request)
        published = await self.publisher.publish(call.admission, call.actor, received.fields, received.filename, received.staged)
        call.request.setResponseCode(201)
        secure(call.request)
        call.request.setHeader(b"content-type", b"application/json")
        answer: dict[str, object] = {"message": "201 Created"}
        if published.warnings:
            answer["warnings"] = list(published.warnings)
        return json.dumps(answer, separators=(",", ":")).encode()

    async def view(self, call: Call) -> View:
        """What the caller is shown of the place that the route names."""
        place = call.admission.place
        if isinstance(place, Project):
            return View.of_project(place)
        return View.of_group(call.group, await self.gate.readable(call.admission))
