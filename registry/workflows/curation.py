"""Taking packages and files away: from every page at once, their bytes when nothing names them any more."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen
from twisted.logger import Logger

from registry.domain.inventory import Removed
from registry.domain.model import Actor
from registry.domain.protection import level_of
from registry.interfaces import IBlobs, IInventory, IPackages
from registry.workflows.gate import Admission

_log = Logger()


@frozen(kw_only=True)
class Curation:
    """Deletes."""

    inventory: IInventory
    packages: IPackages
    blobs: IBlobs

    async def delete_package(self, admission: Admission, actor: Actor, package_id: int, unmodified_since: datetime | None) -> Removed:
        """Delete a package of the admission's project. Raises what `IInventory.delete_package` raises."""
        project, level = admission.project, level_of(admission.identity, admission.project, admission.standing)
        removed = await self.inventory.delete_package(project.id, package_id, actor, level=level, unmodified_since=unmodified_since)
        await self._release(removed.digests)
        return removed

    async def delete_file(
        self, admission: Admission, actor: Actor, package_id: int, file_id: int, unmodified_since: datetime | None
    ) -> Removed:
        """Delete one file of a package, and with the last one the package. Raises what `IInventory.delete_file` raises."""
        project, level = admission.project, level_of(admission.identity, admission.project, admission.standing)
        removed = await self.inventory.delete_file(project.id, package_id, file_id, actor, level=level, unmodified_since=unmodified_since)
        await self._release(removed.digests)
        return removed

    async def _release(self, digests: Sequence[str]) -> None:
        async def named(batch: list[str]) -> set[str]:
            return await self.packages.named(batch)

        try:
            await self.blobs.release(digests, named)
        except Exception:  # noqa: BLE001 - the files are gone for everybody; what is left of their bytes is the next sweep's
            _log.failure("The bytes of deleted files could not be removed; the next sweep will try again")
