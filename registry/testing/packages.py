"""IPackages in memory."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import Factory, define, frozen
from zope.interface import implementer

from registry.domain.errors import FileExists
from registry.domain.filenames import METADATA_ENDING
from registry.domain.history import facts_for_replay
from registry.domain.model import Actor, Change, File, NewFile, Page
from registry.domain.names import Name
from registry.domain.project_json import Releases, described
from registry.domain.protection import ProtectionRule
from registry.domain.releases import Prospect, Release, demand_open
from registry.domain.versions import Version
from registry.interfaces import IJournal, IPackages
from registry.testing.scene import NOON


@frozen(kw_only=True)
class _Row:
    project_id: int
    name: Name  # its display is that of the package
    version_key: str
    file: File
    begun_at: datetime  # when the package's first file came


@implementer(IPackages, IJournal)
@define(eq=False)
class MemoryPackages:
    """IPackages, with the journal of what was published, that forgets when the process ends. Every number is a project's."""

    now: Callable[[], datetime] = lambda: NOON
    changes: list[Change] = Factory(list)  # the journal
    protection: dict[int, tuple[ProtectionRule, ...]] = Factory(dict)  # by project
    _rows: list[_Row] = Factory(list)
    _new: dict[int, NewFile] = Factory(dict)  # by number of file
    _provenance: dict[int, Mapping[str, object]] = Factory(dict)  # by number of file
    _listeners: list[Callable[[tuple[Change, ...]], None]] = Factory(list)

    # --- IJournal ---

    def subscribe(self, listener: Callable[[tuple[Change, ...]], None]) -> None:
        """IJournal."""
        self._listeners.append(listener)

    async def poll(self) -> None:
        """IJournal: there is no other process."""

    # --- IPackages ---

    async def page(self, project_ids: Sequence[int], name: Name) -> Page | None:
        """IPackages."""
        rows = [row for row in self._rows if row.project_id in project_ids and row.name == name]
        first: dict[str, File] = {}
        for row in rows:
            first.setdefault(row.file.filename, row.file)
        return Page(name=name, display=rows[0].name.display, files=tuple(first.values())) if rows else None

    async def releases(self, project_ids: Sequence[int], name: Name, version: Version | None = None) -> Releases | None:
        """IPackages."""
        page = await self.page(project_ids, name)
        if page is None:
            return None
        names = {"md5": "md5", "blake2b": "blake2b_256"}
        told = [change.serial for change in self.changes if change.project_id in project_ids and change.name == name.normalized]
        file = described(page, version)
        return Releases(
            page=page,
            digests={
                file.id: {names[key]: digest for key, digest in self._new[file.id].digests.others.items() if key in names}
                for file in page.files
            },
            described=file,
            metadata={} if file is None else self._new[file.id].metadata,
            serial=max(told, default=0),
        )

    async def names(self, project_ids: Sequence[int]) -> tuple[str, ...]:
        """IPackages."""
        return tuple(sorted({row.name.normalized for row in self._rows if row.project_id in project_ids}))

    async def file(self, project_ids: Sequence[int], sha256: str, filename: str) -> File | None:
        """IPackages."""
        for row in self._rows:
            if row.project_id in project_ids and (row.file.sha256, row.file.filename) == (sha256, filename):
                return row.file
        return None

    async def provenance(self, file_id: int) -> Mapping[str, object] | None:
        """IPackages."""
        return self._provenance.get(file_id)

    async def add_file(self, project_id: int, new: NewFile, actor: Actor, *, close_after: timedelta | None = None) -> File:
        """IPackages."""
        package = [row for row in self._rows if (row.project_id, row.name, row.version_key) == (project_id, new.name, new.version.key)]
        for row in package:
            if row.file.filename == new.filename:
                raise FileExists(filename=new.filename, identical=row.file.sha256 == new.digests.sha256)
        if package:
            demand_open(Release(closed=None, begun_at=package[0].begun_at), new.version, close_after, self.now())
        file = File(
            id=len(self._rows) + 1,
            filename=new.filename,
            version=package[0].file.version if package else new.version.display,
            sha256=new.digests.sha256,
            size=new.digests.size,
            requires_python=new.requires_python,
            uploaded_at=self.now(),
            metadata_sha256=new.metadata_blob[0] if new.metadata_blob else "",
            provenance=new.provenance is not None,
        )
        if new.provenance is not None:
            self._provenance[file.id] = new.provenance
        self._new[file.id] = new
        name = package[0].name if package else new.name
        self._rows.append(
            _Row(
                project_id=project_id,
                name=name,
                version_key=new.version.key,
                file=file,
                begun_at=package[0].begun_at if package else self.now(),
            )
        )
        self._tell(project_id, name, file, actor)
        return file

    async def rules(self, project_id: int) -> tuple[ProtectionRule, ...]:
        """IPackages."""
        return self.protection.get(project_id, ())

    async def prospect(self, project_id: int, name: Name, version: Version, filename: str) -> Prospect:
        """IPackages."""
        mine = [row for row in self._rows if (row.project_id, row.name, row.version_key) == (project_id, name, version.key)]
        return Prospect(
            rules=await self.rules(project_id),
            release=Release(closed=None, begun_at=mine[0].begun_at) if mine else None,
            taken=next((row.file.sha256 for row in mine if row.file.filename == filename), None),
        )

    async def named(self, digests: list[str]) -> set[str]:
        """IPackages."""
        return {digest for row in self._rows for digest in (row.file.sha256, row.file.metadata_sha256)} & set(digests)

    async def blobs(self) -> AsyncIterator[list[tuple[str, int, str]]]:
        """IPackages."""
        found: dict[str, tuple[str, int, str]] = {}
        for row in self._rows:
            found.setdefault(row.file.sha256, (row.file.sha256, row.file.size or 0, row.file.filename))
            if beside := self._new[row.file.id].metadata_blob:
                found.setdefault(beside[0], (*beside, row.file.filename + METADATA_ENDING))
        if found:
            yield sorted(found.values())

    def _tell(self, project_id: int, name: Name, file: File, actor: Actor) -> None:
        change = Change(
            serial=len(self.changes) + 1,
            at=self.now(),
            action="file.publish",
            actor=actor,
            project_id=project_id,
            name=name.normalized,
            detail={"display": name.display, **facts_for_replay(file)},
        )
        self.changes.append(change)
        for listener in self._listeners:
            listener((change,))
