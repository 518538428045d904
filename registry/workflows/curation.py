"""Changing what is offered: packages and files deleted or yanked, versions closed, names given a status; on every page at once."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen
from twisted.logger import Logger

from registry.domain.inventory import FileInfo, PackageInfo, Removed
from registry.domain.model import Actor
from registry.domain.names import Name
from registry.domain.protection import level_of
from registry.domain.releases import NameStatus, parse_status
from registry.interfaces import IBlobs, IInventory, IPackages, IReleases
from registry.workflows.gate import Admission

_log = Logger()


@frozen(kw_only=True)
class Curation:
    """Deletes, yanks, closes, and gives statuses, in the name of whoever was admitted.

    Deleted bytes go with the last row that names them.
    """

    inventory: IInventory
    releases: IReleases
    packages: IPackages
    blobs: IBlobs

    async def delete_package(self, admission: Admission, actor: Actor, package_id: int, unmodified_since: datetime | None) -> Removed:
        """Delete a package of the admission's project. Raises what `IInventory.delete_package` raises."""
        removed = await self.inventory.delete_package(
            admission.project.id, package_id, actor, level=_level(admission), unmodified_since=unmodified_since
        )
        await self._release(removed.digests)
        return removed

    async def delete_file(
        self, admission: Admission, actor: Actor, package_id: int, file_id: int, unmodified_since: datetime | None
    ) -> Removed:
        """Delete one file of a package, and with the last one the package. Raises what `IInventory.delete_file` raises."""
        removed = await self.inventory.delete_file(
            admission.project.id, package_id, file_id, actor, level=_level(admission), unmodified_since=unmodified_since
        )
        await self._release(removed.digests)
        return removed

    async def yank(self, admission: Admission, actor: Actor, package_id: int, reason: str | None) -> PackageInfo:
        """Yank a package of the admission's project, or (None) take that back. Raises what `IReleases.set_yanked` raises."""
        return await self.releases.set_yanked(admission.project.id, package_id, reason, actor, level=_level(admission))

    async def yank_file(self, admission: Admission, actor: Actor, package_id: int, file_id: int, reason: str | None) -> FileInfo:
        """Yank one file, or (None) take that back. Raises what `IReleases.set_file_yanked` raises."""
        return await self.releases.set_file_yanked(admission.project.id, package_id, file_id, reason, actor, level=_level(admission))

    async def close(self, admission: Admission, actor: Actor, package_id: int, *, closed: bool) -> PackageInfo:
        """Close a package to new files, or keep it open. Raises what `IReleases.set_closed` raises."""
        return await self.releases.set_closed(admission.project.id, package_id, actor, closed=closed, level=_level(admission))

    async def set_status(self, admission: Admission, actor: Actor, name: str, status: str, reason: str) -> NameStatus:
        """Give a name a status. Raises `InvalidName`, `InvalidSetting`, and what `IReleases.set_status` raises."""
        project, wanted = admission.project, parse_status(status)
        return await self.releases.set_status(project.id, Name(name), wanted, reason, actor, level=_level(admission))

    async def _release(self, digests: Sequence[str]) -> None:
        async def named(batch: list[str]) -> set[str]:
            return await self.packages.named(batch)

        try:
            await self.blobs.release(digests, named)
        except Exception:  # noqa: BLE001 - the files are gone for everybody; what is left of their bytes is the next sweep's
            _log.failure("The bytes of deleted files could not be removed; the next sweep will try again")


def _level(admission: Admission) -> int:
    return level_of(admission.identity, admission.project, admission.standing)
