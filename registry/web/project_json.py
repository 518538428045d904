"""PyPI's JSON of projects and releases, at the addresses where bots look for it below an index."""

from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen

from registry.domain.errors import InvalidName, InvalidVersion, Quarantined, UnknownName
from registry.domain.model import ProjectStatus
from registry.domain.names import Name
from registry.domain.project_json import Releases, render_project, render_release
from registry.domain.simple import Links
from registry.domain.versions import Version
from registry.interfaces import IPackages, IThreads
from registry.web.routes import Call, Route, below_indexes
from registry.web.simple import answer_page, mount
from registry.workflows.answers import Rendered
from registry.workflows.describing import Describing
from registry.workflows.fallback import Offer
from registry.workflows.library import Library
from registry.workflows.views import View

_CONTENT_TYPE = "application/json"
# Rendering more than this takes longer than the reactor may be kept waiting.
_MANY_FILES, _LONG_METADATA = 300, 1 << 16

_Render = Callable[[Releases, Links], bytes]


@frozen(kw_only=True)
class ProjectJson:
    """All of a project, or one version of it, for who may read its page. Not kept: bots come by the hour, not by the second.

    `view` tells what a caller is shown; `external_url` gives the base of absolute links, empty while there is none.
    """

    packages: IPackages
    library: Library
    threads: IThreads
    view: Callable[[Call], Awaitable[View]]
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Warehouse's two below `pypi`, which is where Dependabot looks when an index ends in `simple`; Renovate's beside the index.

        What is called as another route begins (simple, status) has its JSON below `pypi` only.
        """
        return below_indexes(
            ("pypi/<segment:name>/json", self.project),
            ("pypi/<segment:name>/<segment:version>/json", self.release),
            ("<segment:name>/json", self.project),
        )

    async def project(self, call: Call, name: str) -> bytes:
        """All versions of one name with their files, and what the newest final one says of itself."""
        return await self._answer(call, name, None, render_project)

    async def release(self, call: Call, name: str, version: str) -> bytes:
        """One version of one name, in any spelling: what it says of itself, and its files."""
        return await self._answer(call, name, version, render_release)

    async def _answer(self, call: Call, name: str, version: str | None, render: _Render) -> bytes:
        view = await self.view(call)
        releases, offer = await self._read(view, name, version)
        links = Links(base=self.external_url() or mount(call.request), scope=view.scope)

        def work() -> Rendered:
            rendered = Rendered.of(None, render(releases, links))
            if offer is not None:
                rendered.state = offer.state
                rendered.since = None if offer.said_at is None else offer.said_at.timestamp()
            return rendered

        long = sum(len(value) for value in releases.metadata.values() if isinstance(value, str)) > _LONG_METADATA
        many = long or len(releases.page.files) > _MANY_FILES
        return await answer_page(call, self.library, await self.threads.run(work) if many else work(), _CONTENT_TYPE)

    async def _read(self, view: View, name: str, version: str | None) -> tuple[Releases, Offer | None]:
        try:
            wanted = None if version is None else Version(version)
            releases, offer = await self._describing().releases(view, Name(name), wanted)
        except (InvalidName, InvalidVersion):
            # No package can be called so.
            raise UnknownName(name=name) from None
        if releases is None:
            raise UnknownName(name=name)
        if wanted is not None and releases.described is None:
            if releases.page.status is ProjectStatus.QUARANTINED:
                raise Quarantined(name=name, reason=releases.page.status_reason)
            raise UnknownName(name=name)
        return releases, offer

    def _describing(self) -> Describing:
        library = self.library
        return Describing(packages=self.packages, beyond=library.beyond, blobs=library.blobs, threads=self.threads)
