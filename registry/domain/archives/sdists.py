"""Source distributions: their one folder, and the PKG-INFO in it."""

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from attrs import define, field

from registry.domain.archives import tars, zips
from registry.domain.archives.bounds import LISTING_BYTES, METADATA_BYTES
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.claim import Claim
from registry.domain.archives.links import demand_links_inside
from registry.domain.archives.member_paths import demand_apart, demand_inside, plain
from registry.domain.archives.refusals import REBUILD, member, refusal
from registry.domain.archives.zip_members import read


def pkg_info(archive: BinaryIO, size: int, claim: Claim, checks: Checks) -> bytes:
    """The PKG-INFO of a source distribution, to the byte. Raises `InvalidArchive` if it has none or is not what `checks` ask for."""
    if claim.file.text.endswith(".zip"):
        if Check.SDIST_FORMAT in checks:
            raise refusal(f"is a .zip: source distributions are .tar.gz files (PEP 625); {REBUILD}")
        found = _zipped(archive, size, checks)
    else:
        found = _tarred(archive, size, checks)
    layout = _Layout(claim=claim, checks=checks)
    raw: bytes | None = None
    for path, folder, content in found:
        place = layout.place(path, folder=folder)
        if content is not None:
            if raw is not None:
                raise refusal(f"has a second PKG-INFO, {member(place)}: {REBUILD}")
            raw = content
    if raw is None:
        raise refusal("has no <name>-<version>/PKG-INFO: build it with a PEP 517 tool such as `python -m build`, not by packing a folder")
    return raw


@define(kw_only=True)
class _Layout:
    """How the members of a source distribution lie."""

    claim: Claim
    checks: Checks
    _top: str = field(default="", init=False)  # the folder that everything lies in, once a member told

    def place(self, path: str, *, folder: bool) -> str:
        """The plain path of a member, refused if it is not below the top folder."""
        place = plain(path)
        if Check.TOP_DIRECTORY not in self.checks or (folder and not place):
            return place
        top, slash, _ = place.partition("/")
        if not slash and not folder:
            raise refusal(f"has the file {member(path)} outside of its top folder: {REBUILD}")
        if not self._top:
            stem = self.claim.file.text.removesuffix(".tar.gz").removesuffix(".zip")
            if top != stem and not self.claim.titles(top):
                raise refusal(f"has everything in a folder {member(top)}; it must be called {member(stem)} as the file: {REBUILD}")
            self._top = top
        elif top != self._top:
            raise refusal(f"has two top folders, {member(self._top)} and {member(top)}: {REBUILD}")
        return place


def _is_pkg_info(place: str) -> bool:
    folder, _, rest = place.partition("/")
    return rest == "PKG-INFO" and folder not in {"", "..", "."}


def _zipped(archive: BinaryIO, size: int, checks: Checks) -> Iterator[tuple[str, bool, bytes | None]]:
    for entry in zips.members_of(archive, size, checks):
        yield entry.name, entry.folder, read(archive, entry, METADATA_BYTES) if _is_pkg_info(plain(entry.name)) else None


def _tarred(archive: BinaryIO, size: int, checks: Checks) -> Iterator[tuple[str, bool, bytes | None]]:
    places: list[tuple[str, bool]] = []
    symlinks: dict[str, str] = {}
    hardlinks: dict[str, str] = {}
    held = 0
    for entry, unpacked in tars.members_of(archive, size, checks):
        held += len(entry.name) + len(entry.linkname)
        if held > LISTING_BYTES:
            raise refusal(f"has paths of more than {LISTING_BYTES:,} bytes together: shorten them")
        if Check.MEMBER_PATHS in checks:
            demand_inside(entry.name)
        place = plain(entry.name)
        places.append((place, entry.isdir()))
        if entry.issym():
            symlinks[place] = entry.linkname
        elif entry.islnk():
            hardlinks[place] = entry.linkname
        elif Check.LINKS in checks and (entry.ischr() or entry.isblk() or entry.isfifo()):
            raise refusal(f"has a member {member(entry.name)} at offset {entry.offset:,} that is a device or a pipe: {REBUILD}")
        yield entry.name, entry.isdir(), _content(entry, unpacked) if _is_pkg_info(place) and entry.isreg() else None
    if Check.DUPLICATE_MEMBERS in checks:
        demand_apart(places, folders_repeat=True)
    if Check.LINKS in checks:
        demand_links_inside(symlinks, hardlinks, places[0][0].partition("/")[0] if places else "")


def _content(entry: tarfile.TarInfo, unpacked: tarfile.TarFile) -> bytes | None:
    if entry.size > METADATA_BYTES:
        raise refusal(f"has a {member(entry.name)} of more than {METADATA_BYTES:,} bytes")
    stream = unpacked.extractfile(entry)
    return cast("BinaryIO", stream).read(METADATA_BYTES) if stream is not None else None
