"""What an index once said, replayed from the journal."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from attrs import Factory, define, evolve, frozen

from registry.domain.errors import InvalidName
from registry.domain.filenames import METADATA_ENDING
from registry.domain.model import Change, File, Page, ProjectStatus
from registry.domain.names import Name

# Changes after which a name may be in an index no longer, or again.
TURNING_ACTIONS = ("file.delete", "package.delete", "package.status")
# All that decides whether a name is in an index.
INDEX_ACTIONS = ("file.publish", *TURNING_ACTIONS)
# All that alters what a page says.
PAGE_ACTIONS = ("file.publish", "file.yank", "file.unyank", "package.yank", "package.unyank", *TURNING_ACTIONS)


def facts_for_replay(file: File) -> Mapping[str, object]:
    """All that a page says of `file`, for the journal row that tells of its publishing."""
    facts: dict[str, object] = {
        "version": file.version,
        "filename": file.filename,
        "sha256": file.sha256,
        "size": file.size,
        "requires_python": file.requires_python,
        "file_id": file.id,
    }
    if file.yanked is not None:
        facts["yanked"] = file.yanked
    if file.metadata_sha256:
        facts["metadata_sha256"] = file.metadata_sha256
    if file.provenance:
        facts["provenance"] = True
    return facts


def page_at(changes: Iterable[Change], name: Name, at: datetime) -> Page | None:
    """The page of `name` at the instant `at`, from all changes of that name, of any number of projects, by serial; None if there was none.

    What counts for a project are its changes up to the last one that is not after `at`: they happened in the order of their serials,
    whatever the clock said. As on pages of today, of files with one name the first published stands for all, and a project's quarantine
    hides only its own.
    """
    holding = [shelf for shelf in _shelves(changes, at) if shelf.releases]
    offered = [shelf for shelf in holding if shelf.status.offers_files] or holding
    found = [(one, release, shelf) for shelf in offered for release in shelf.releases.values() for one in release.files.values()]
    if not found:
        return None
    found.sort(key=lambda row: row[0].serial)
    first: dict[str, File] = {}
    for one, _, _ in found:
        first.setdefault(one.file.filename, one.file)
    _, release, shelf = found[0]
    return Page(name=name, display=release.display, files=tuple(first.values()), status=shelf.status, status_reason=shelf.reason)


def is_listed_at(changes: Iterable[Change], at: datetime) -> bool:
    """Whether an index had the name whose changes these are; as for `page_at`, but only `INDEX_ACTIONS` are looked at.

    It needs no more of their details than version, file name and status: an index may have a hundred thousand of them.
    """
    return any(_offers_files(mine) for mine in _counting(changes, at))


def deleted_at(changes: Iterable[Change], sha256: str, filename: str) -> datetime | None:
    """When the last of the files with this digest and name was deleted; None if there was none, or one is still held.

    `changes` are all of the names that the file may be of, by serial; `filename` may be that of the core metadata beside it.
    """
    filename = filename.removesuffix(METADATA_ENDING)
    moments: list[datetime] = []
    for _, mine in groupby(sorted(changes, key=_whose), key=_whose):
        for shelf in _shelves(mine, None):
            if any(one.file.sha256 == sha256 for release in shelf.releases.values() for one in release.named(filename)):
                return None
            if (sha256, filename) in shelf.gone:
                moments.append(shelf.gone[sha256, filename])
    return max(moments, default=None)


def names_in(filename: str) -> frozenset[str]:
    """The normalised names that a file of this name, or the core metadata beside it, may have been published under."""
    # A wheel's ends at its first hyphen (PEP 427); a legacy sdist's may hold some.
    parts = filename.removesuffix(METADATA_ENDING).split("-")
    candidates = ("-".join(parts[:count]) for count in range(1, len(parts)))
    return frozenset(name for text in candidates for name in _normalized(text))


@frozen
class _Held:
    """A file, and the serial of the change that published it: files are numbered in that order, too."""

    serial: int
    file: File


@define
class _Release:
    """A version that holds files."""

    display: str  # the spelling of the name that its first file came with
    files: dict[str, _Held] = Factory(dict)  # by name

    def named(self, filename: str) -> Iterable[_Held]:
        """The file of this name, if it has one."""
        return (self.files[filename],) if filename in self.files else ()


@define
class _Shelf:
    """What one project holds of one name, while its changes are replayed."""

    releases: dict[str, _Release] = Factory(dict)  # by version
    gone: dict[tuple[str, str], datetime] = Factory(dict)  # when files were deleted, by digest and name
    status: ProjectStatus = ProjectStatus.ACTIVE
    reason: str = ""

    def apply(self, change: Change) -> None:
        """Go on to what was after `change`."""
        detail: Mapping[str, Any] = change.detail
        match change.action:
            case "file.publish":
                release = self.releases.setdefault(detail["version"], _Release(detail.get("display", change.name)))
                release.files[detail["filename"]] = _Held(change.serial, _published(change))
            case "file.delete":
                self._remove(detail["version"], [detail["filename"]], change.at)
            case "package.delete":
                release_gone = self.releases.get(detail["version"])
                self._remove(detail["version"], list(release_gone.files) if release_gone else [], change.at)
            case "file.yank":
                self._mark(detail["version"], [detail["filename"]], detail.get("reason") or "")
            case "package.yank":
                self._mark(detail["version"], detail["files"], detail.get("reason") or "")
            case "file.unyank":
                self._mark(detail["version"], [detail["filename"]], None)
            case "package.unyank":
                self._mark(detail["version"], detail["files"], None)
            case "package.status":
                self.status = ProjectStatus(detail["status"])
                self.reason = "" if self.status is ProjectStatus.ACTIVE else detail.get("reason") or ""

    def _mark(self, version: str, filenames: Iterable[str], yanked: str | None) -> None:
        for filename in filenames:
            release = self.releases.get(version)
            if release is not None and filename in release.files:
                held = release.files[filename]
                release.files[filename] = evolve(held, file=evolve(held.file, yanked=yanked))

    def _remove(self, version: str, filenames: Iterable[str], at: datetime) -> None:
        release = self.releases.get(version)
        if release is None:
            return
        for filename in filenames:
            held = release.files.pop(filename, None)
            if held is not None:
                self.gone[held.file.sha256, filename] = at
        if not release.files:
            del self.releases[version]


def _shelves(changes: Iterable[Change], at: datetime | None) -> Iterable[_Shelf]:
    """What each project holds after the changes that count at `at` (None: all)."""
    for mine in _counting(changes, at):
        shelf = _Shelf()
        for change in mine:
            shelf.apply(change)
        yield shelf


def _counting(changes: Iterable[Change], at: datetime | None) -> Iterable[list[Change]]:
    """Each project's changes up to the last that is not after `at` (None: all)."""
    by_project: dict[int | None, list[Change]] = {}
    for change in changes:
        by_project.setdefault(change.project_id, []).append(change)
    for mine in by_project.values():
        while at is not None and mine and mine[-1].at > at:
            mine.pop()
        yield mine


def _offers_files(changes: Iterable[Change]) -> bool:
    """Whether one project holds files of the name after its changes, and offers them."""
    held: dict[str, set[str]] = {}
    status = ProjectStatus.ACTIVE
    for change in changes:
        detail: Mapping[str, Any] = change.detail
        match change.action:
            case "file.publish":
                held.setdefault(detail["version"], set()).add(detail["filename"])
            case "file.delete":
                held.get(detail["version"], set()).discard(detail["filename"])
            case "package.delete":
                held.pop(detail["version"], None)
            case "package.status":
                status = ProjectStatus(detail["status"])
    return status.offers_files and any(held.values())


def _whose(change: Change) -> str:
    return change.name


def _normalized(text: str) -> Iterable[str]:
    try:
        return (Name(text).normalized,)
    except InvalidName:
        return ()


def _published(change: Change) -> File:
    detail: Mapping[str, Any] = change.detail
    # Rows of files that were gone before the journal told all of this lack some of it.
    return File(
        id=detail.get("file_id", 0),
        filename=detail["filename"],
        version=detail["version"],
        sha256=detail["sha256"],
        size=detail["size"],
        requires_python=detail.get("requires_python", ""),
        uploaded_at=change.at,
        yanked=detail.get("yanked"),
        metadata_sha256=detail.get("metadata_sha256", ""),
        provenance=bool(detail.get("provenance")),
    )
