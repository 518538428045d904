"""Names of ours that a project may fetch from upstream, too. Beyond GitLab, in its manner."""

from collections.abc import Callable, Sequence

from attrs import frozen

from registry.domain.access import Permission
from registry.domain.names import Name
from registry.interfaces import IUpstreamCatalog
from registry.web.credentials import Door
from registry.web.rest.answers import nothing, reply_page
from registry.web.rest.paging import Paging
from registry.web.routes import Call, Route

_NAMES = "/api/v4/projects/<segment:project>/packages/pypi/upstream"
_NAME = f"{_NAMES}/<segment:name>"


@frozen(kw_only=True)
class UpstreamNames:
    """What is ours stays ours, but for the names that an administrator shares in a project."""

    catalog: IUpstreamCatalog
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Maintainers read, administrators change. Doing either twice is doing it once."""
        change = Permission.ADMIN_UPSTREAM
        return (
            Route(method="GET", rule=_NAMES, permission=Permission.READ_UPSTREAM, handler=self.list, door=Door.REST),
            Route(method="PUT", rule=_NAME, permission=change, handler=self.allow, door=Door.REST),
            Route(method="DELETE", rule=_NAME, permission=change, handler=self.disallow, door=Door.REST),
        )

    async def list(self, call: Call) -> bytes:
        """The names that the project may fetch from upstream beside its own files, normalised and sorted."""
        paging = Paging.of(call.params())
        names = await self.catalog.shared(call.project.id)
        rows = [{"name": name} for name in names[paging.offset : paging.offset + paging.per_page]]
        return reply_page(call, rows, len(names), paging, self.external_url())

    async def allow(self, call: Call, name: str) -> bytes:
        """Let the project fetch a name from upstream beside its own files, though it is ours: of files with one name, ours is served."""
        await self.catalog.share(call.project.id, Name(name), call.actor, shared=True)
        return nothing(call)

    async def disallow(self, call: Call, name: str) -> bytes:
        """Let it no longer."""
        await self.catalog.share(call.project.id, Name(name), call.actor, shared=False)
        return nothing(call)
