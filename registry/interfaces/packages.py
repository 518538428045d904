"""What projects hold: read, published, listed, deleted, yanked."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from zope.interface import Interface

from registry.domain.inventory import FileInfo, FileOrder, Origin, PackageInfo, Removed, Wanted
from registry.domain.model import Actor, File, NewFile, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.project_json import Releases
from registry.domain.protection import ProtectionRule
from registry.domain.releases import NameStatus, Prospect
from registry.domain.versions import Version


class IPackages(Interface):
    """What projects hold."""

    async def page(project_ids: Sequence[int], name: Name) -> Page | None:
        """The `Page` of `name` in these projects together; None if they hold no file of that name.

        Of files with the same name, the first published stands for all.
        """

    async def releases(project_ids: Sequence[int], name: Name, version: Version | None = None) -> Releases | None:
        """The `Releases` of `name`: the same page, read at one moment with what it leaves out; None where there is no page.

        Described is the version wanted, or the one that `project_json.described` chooses.
        """

    async def names(project_ids: Sequence[int]) -> tuple[str, ...]:
        """Normalised names that hold at least one file, sorted."""

    async def file(project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """The first published `File` with this digest and name, both exact; None if there is none.

        Raises `Quarantined` where all that there is belongs to quarantined names.
        """

    async def provenance(file_id: int) -> Mapping[str, object] | None:
        """The provenance object (PEP 740) of the file with this number; None if it has none."""

    async def add_file(project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
        """Record a `NewFile` whose blobs are kept, creating its package if need be, in one transaction with its journal row.

        A file of a yanked version is yanked with it. `close_after`: how old a version may be that still takes files. Raises `FileExists`
        when the package already has a file of that name (of two callers at once, exactly one succeeds), `VersionClosed`, `NotAccepting`.
        """

    async def rules(project_id: int) -> tuple[ProtectionRule, ...]:
        """The project's protection rules, for who publishes there."""

    async def prospect(project_id: int, name: Name, version: Version, filename: str) -> Prospect:
        """What publishing this file will meet, in one read."""

    async def named(digests: list[str]) -> set[str]:
        """Those of a list of sha256 that some file names, as its own or as that of its core metadata."""

    def blobs() -> AsyncIterator[list[tuple[str, int, str]]]:
        """All blobs that the catalog names: an async iterator of lists of (sha256, size, one file name)."""


class IInventory(Interface):
    """Packages and files as they are listed, told about and deleted one by one."""

    async def packages(project_ids: Sequence[int], wanted: Wanted, *, limit: int, offset: int) -> tuple[list[PackageInfo], int]:
        """A page of the `PackageInfo`s of these projects, and how many there are in all."""

    async def package(package_id: int, project_id: int | None = None) -> PackageInfo:
        """The `PackageInfo` with this number, in this project if one is named. Raises `UnknownPackage`."""

    async def versions(package: PackageInfo) -> list[PackageInfo]:
        """The other `PackageInfo`s of the same name in the same project, oldest first."""

    async def files(
        package_id: int, project_id: int, order: FileOrder, *, descending: bool, limit: int, offset: int
    ) -> tuple[list[FileInfo], int]:
        """A page of the package's `FileInfo`s, and how many there are in all. Raises `UnknownPackage`."""

    async def origins(package_id: int, project_id: int) -> list[Origin]:
        """The `Origin`s of the package's files that a CI job uploaded, oldest first. Raises `UnknownPackage`."""

    async def delete_package(
        project_id: int, package_id: int, actor: Actor, *, level: int, unmodified_since: datetime | None = None
    ) -> Removed:
        """Delete a package with its files; what was `Removed`.

        Raises `UnknownPackage`, `Forbidden` where a protection rule asks for more than `level`, `PreconditionFailed` when the package or a
        file of it is newer than `unmodified_since`.
        """

    async def delete_file(
        project_id: int, package_id: int, file_id: int, actor: Actor, *, level: int, unmodified_since: datetime | None = None
    ) -> Removed:
        """Delete one file, and with the last one its package. Raises what `delete_package` raises, and `NotFound`."""

    async def downloaded(moments: Mapping[int, datetime]) -> None:
        """Note when files (by number) were downloaded last, on their packages. Files that are gone are passed over; no journal row."""


class IAttestations(Interface):
    """What proves who built a file (PEP 740)."""

    async def verify(filename: str, sha256: str, text: str) -> Mapping[str, object]:
        """Verify the upload form's `attestations` field (`text`) for a file of this name and digest; the provenance object to serve for it.

        Every attestation must verify, offline and off the reactor thread. Raises `InvalidAttestations` if one does not, `Unavailable` where
        that cannot be found out.
        """


class IReleases(Interface):
    """What becomes of versions and names that are held: yanked (PEP 592), closed, given a status (PEP 792).

    A change that changes nothing leaves no journal row. All raise `Forbidden` where a protection rule asks for more than `level` to publish
    under the name: who may not say what it offers may not say what it offers no more. What a rule asks for deleting is not asked for here:
    everything here can be taken back. Reasons are as `check_reason` takes them, empty for none; `InvalidSetting` for any other.
    """

    async def set_yanked(project_id: int, package_id: int, reason: str | None, actor: Actor, *, level: int) -> PackageInfo:
        """Yank a version with all its files, and those that are published into it later; None takes the mark off them all.

        Raises `UnknownPackage`.
        """

    async def set_file_yanked(project_id: int, package_id: int, file_id: int, reason: str | None, actor: Actor, *, level: int) -> FileInfo:
        """Yank one file, or (None) take its mark off, whatever its version's is. Raises `UnknownPackage`, `NotFound`."""

    async def set_closed(project_id: int, package_id: int, actor: Actor, *, closed: bool, level: int) -> PackageInfo:
        """Close a version to new files, or keep it open, from now on whatever its age. Raises `UnknownPackage`."""

    async def status(project_id: int, name: Name) -> NameStatus:
        """The status of a name, held or not."""

    async def statuses(project_id: int) -> list[NameStatus]:
        """The statuses of all names that are not simply active, by name."""

    async def set_status(project_id: int, name: Name, status: ProjectStatus, reason: str, actor: Actor, *, level: int) -> NameStatus:
        """Give a name, held or not yet, a status; the reason of an active one stands in the journal only.

        Raises `InvalidSetting` for a name too long to be held, too.
        """
