"""What becomes of versions and names: yanking (PEP 592), closing, project status (PEP 792). Beyond GitLab, in its manner."""

from collections.abc import Callable, Sequence

from attrs import frozen

from registry.domain.access import Permission
from registry.domain.inventory import FileInfo, PackageInfo
from registry.domain.names import Name
from registry.domain.releases import NameStatus
from registry.interfaces import IReleases
from registry.web.credentials import Door
from registry.web.rest.answers import iso, nothing, number, reply
from registry.web.rest.listings import base_of
from registry.web.rest.packages import file_shape, package_shape
from registry.web.routes import Call, Route
from registry.workflows.curation import Curation

_PACKAGES = "/api/v4/projects/<segment:project>/packages"
_PACKAGE = f"{_PACKAGES}/<segment:package_id>"
_FILE = f"{_PACKAGE}/package_files/<segment:package_file_id>"
_STATUS = f"{_PACKAGES}/pypi/status/<segment:name>"


@frozen(kw_only=True)
class Releases:
    """What is set is answered with what it is now; what is taken back with nothing. Doing either twice is doing it once."""

    curation: Curation
    releases: IReleases
    external_url: Callable[[], str]

    def routes(self) -> Sequence[Route]:
        """Maintainers' business; a status may be read by whoever may list packages."""
        curate, read = Permission.CURATE_PACKAGE, Permission.LIST_PACKAGES
        return (
            Route(method="PUT", rule=f"{_PACKAGE}/yank", permission=curate, handler=self.yank, door=Door.REST),
            Route(method="DELETE", rule=f"{_PACKAGE}/yank", permission=curate, handler=self.unyank, door=Door.REST),
            Route(method="PUT", rule=f"{_FILE}/yank", permission=curate, handler=self.yank_file, door=Door.REST),
            Route(method="DELETE", rule=f"{_FILE}/yank", permission=curate, handler=self.unyank_file, door=Door.REST),
            Route(method="PUT", rule=f"{_PACKAGE}/close", permission=curate, handler=self.close, door=Door.REST),
            Route(method="DELETE", rule=f"{_PACKAGE}/close", permission=curate, handler=self.reopen, door=Door.REST),
            Route(method="GET", rule=_STATUS, permission=read, handler=self.status, door=Door.REST),
            Route(method="PUT", rule=_STATUS, permission=curate, handler=self.set_status, door=Door.REST),
        )

    async def yank(self, call: Call, package_id: str) -> bytes:
        """Yank a version: installers pass over all its files, those of later too, unless it is asked for by exactly its number."""
        return self._package(call, await self.curation.yank(call.admission, call.actor, number("package_id", package_id), _reason(call)))

    async def unyank(self, call: Call, package_id: str) -> bytes:
        """Offer a yanked version again, with all its files."""
        await self.curation.yank(call.admission, call.actor, number("package_id", package_id), None)
        return nothing(call)

    async def yank_file(self, call: Call, package_id: str, package_file_id: str) -> bytes:
        """Yank one file."""
        package, file = number("package_id", package_id), number("package_file_id", package_file_id)
        return reply(call, _file(await self.curation.yank_file(call.admission, call.actor, package, file, _reason(call))))

    async def unyank_file(self, call: Call, package_id: str, package_file_id: str) -> bytes:
        """Offer a yanked file again, whether or not its version is yanked."""
        package, file = number("package_id", package_id), number("package_file_id", package_file_id)
        await self.curation.yank_file(call.admission, call.actor, package, file, None)
        return nothing(call)

    async def close(self, call: Call, package_id: str) -> bytes:
        """Close a version: it takes no more files."""
        return self._package(call, await self.curation.close(call.admission, call.actor, number("package_id", package_id), closed=True))

    async def reopen(self, call: Call, package_id: str) -> bytes:
        """Reopen a version, which stays open from then on, however old it is."""
        await self.curation.close(call.admission, call.actor, number("package_id", package_id), closed=False)
        return nothing(call)

    async def status(self, call: Call, name: str) -> bytes:
        """The status of a name, held or not."""
        return reply(call, _status(await self.releases.status(call.project.id, Name(name))))

    async def set_status(self, call: Call, name: str) -> bytes:
        """Give a name a status, also before anything is published under it."""
        status = call.params().text("status")
        return reply(call, _status(await self.curation.set_status(call.admission, call.actor, name, status, _reason(call))))

    def _package(self, call: Call, one: PackageInfo) -> bytes:
        # Who may do this may delete, too, and is told how.
        shape = package_shape(one, base_of(call, self.external_url))
        return reply(call, {**shape, **_yanked(one.yanked), "closed": one.closed})


def _reason(call: Call) -> str:
    return call.params().optional_text("reason") or ""


def _file(one: FileInfo) -> dict[str, object]:
    return {**file_shape(one), **_yanked(one.yanked)}


def _yanked(reason: str | None) -> dict[str, object]:
    return {"yanked": reason is not None, "yanked_reason": reason or None}


def _status(one: NameStatus) -> dict[str, object]:
    return {"name": one.name, "status": one.status.value, "reason": one.reason or None, "changed_at": iso(one.changed_at)}
