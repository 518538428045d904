"""Other indexes that names not held here are asked of: what is configured of one, what it said, and what of it is kept."""

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from attrs import evolve, frozen

from registry.domain.errors import InvalidName, InvalidVersion
from registry.domain.facts import CORE_METADATA, HASHES, SIZE, Fact, fact, told, with_facts
from registry.domain.filenames import SDIST_ENDINGS
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.domain.wildcards import fits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDEXES = frozenset({"simple", "+simple"})
_LONGEST_NAME = 255
_WHEEL_PARTS = (5, 6)  # PEP 427: name, version, maybe a build, and three tags
_MICROSECOND = timedelta(microseconds=1)


class Mode(Enum):
    """What becomes of an upstream's answers."""

    CACHE = "cache"  # given to the client as they come, and kept
    STREAM = "stream"  # given to the client, and not kept
    REDIRECT = "redirect"  # the client is sent there (GitLab)
    OFFLINE = "offline"  # nobody is asked; what is kept is given, however old it is
    OFF = "off"


@frozen(kw_only=True)
class Upstream:
    """One index. `url` ends in a slash; `names` are patterns of what is asked there (empty: every name)."""

    name: str
    url: str
    mode: Mode = Mode.CACHE
    names: tuple[str, ...] = ()
    fresh_for: timedelta = timedelta(minutes=5)
    stale_for: timedelta = timedelta(days=7)

    def serves(self, name: str) -> bool:
        """Whether the normalised `name` may be asked here."""
        return self.mode is not Mode.OFF and (not self.names or any(fits(pattern, name) for pattern in self.names))

    def page(self, name: str) -> str:
        """The address of a name's page."""
        return f"{self.url}{name}/"


@frozen(kw_only=True)
class Said:
    """What an upstream said about a name: its page, or None where it has no such name. `fetched_at`: when it said or confirmed that."""

    source: str
    name: Name
    page: Page | None
    etag: str
    fetched_at: datetime


@frozen(kw_only=True)
class KeptFile:
    """An upstream's file whose bytes are kept here; `metadata` is the digest and size of its core metadata, if that is kept too.

    `told`: the digests beside sha256 that its index told when it came, by hashlib name; none may be known.
    """

    source: str
    name: str
    filename: str
    sha256: str
    size: int
    metadata: tuple[str, int] | None = None
    licence: str | None = None  # as its core metadata tells it; None: that was never read
    told: tuple[tuple[str, str], ...] = ()
    id: int = 0
    kept_at: datetime = _EPOCH
    used_at: datetime = _EPOCH

    @property
    def bytes(self) -> int:
        """What it takes, its metadata included."""
        return self.size + (self.metadata[1] if self.metadata is not None else 0)


@frozen(kw_only=True)
class Holding:
    """How much is kept of one upstream; files with their metadata, in bytes."""

    source: str
    pages: int
    files: int
    bytes: int


@frozen(kw_only=True)
class Forgotten:
    """How much was forgotten; `digests` are those of the files' blobs, some of which something else may name."""

    pages: int = 0
    files: int = 0
    bytes: int = 0
    digests: frozenset[str] = frozenset()

    def and_more(self, other: "Forgotten") -> "Forgotten":
        """Both together."""
        return Forgotten(
            pages=self.pages + other.pages,
            files=self.files + other.files,
            bytes=self.bytes + other.bytes,
            digests=self.digests | other.digests,
        )


@frozen(kw_only=True)
class Claim:
    """Whose a name is. `own`: it was published here once; `shared`: the projects in question may fetch it from upstream all the same."""

    own: bool
    shared: bool


@frozen(kw_only=True)
class Dossier:
    """All that is on file about a name, as far as one place is concerned. `enabled`: upstreams may be asked there; `said`: by upstream."""

    claim: Claim
    enabled: bool
    said: Mapping[str, Said]
    kept: Sequence[KeptFile]


def page_candidates(upstream_url: str, name: str) -> tuple[str, ...]:
    """Where an upstream may tell of a normalised `name`: each address is asked only if the one before answers 404 (or 410).

    After the name's own page comes the upstream's address itself, which may be a directory that lists the files of all its projects. It is
    one if its answer can be read and has files of the name; all else means that there is no such name. What ends in `simple/` (or devpi's
    `+simple/`) is left out: that is an index of names, and may be as long as PyPI's.
    """
    own = f"{upstream_url}{name}/"
    return (own,) if upstream_url.rstrip("/").rpartition("/")[2].lower() in _INDEXES else (own, upstream_url)


def names_in(filename: str) -> list[Name]:
    """The names that a distribution file may be of, judging by nothing but its file name; the likeliest first."""
    if len(filename) > _LONGEST_NAME:
        return []
    if filename.endswith(".whl"):
        parts = filename.split("-")
        stems = parts[:1] if len(parts) in _WHEEL_PARTS and _is_version(parts[1]) else []
    else:
        ending = next((ending for ending in SDIST_ENDINGS if filename.endswith(ending)), None)
        if ending is None:
            return []
        stem = filename.removesuffix(ending)
        cuts = [index for index, character in enumerate(stem) if character == "-"]
        # The version is what follows the last hyphen, but for old spellings of both.
        stems = [stem[:cut] for cut in reversed(cuts) if _is_version(stem[cut + 1 :])]
    found: dict[str, Name] = {}
    for stem in stems:
        try:
            name = Name(stem)
        except InvalidName:
            continue
        found.setdefault(name.normalized, name)
    return list(found.values())


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def merged(ours: Page | None, theirs: Sequence[Page]) -> Page | None:
    """One page of several: of files with one name the first stands for all, ours before any upstream's."""
    pages = [page for page in (ours, *theirs) if page is not None]
    if not pages:
        return None
    first: dict[str, File] = {}
    for page in pages:
        for file in page.files if page.status.offers_files else ():
            first.setdefault(file.filename, file)
    return evolve(pages[0], files=tuple(first.values()))


# --- packing a page for the catalog ---


def pack(page: Page) -> bytes:
    """A page of an upstream as bytes; small, and the same for the same page."""
    value = {
        "display": page.display,
        "status": page.status.value,
        "reason": page.status_reason,
        "files": [_packed(file) for file in page.files],
    }
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), compresslevel=4, mtime=0)


def unpack(data: bytes, name: Name, source: str) -> Page:
    """The page that `pack` made bytes of."""
    value = json.loads(gzip.decompress(data))
    return Page(
        name=name,
        display=value["display"],
        files=tuple(_unpacked(row, source) for row in value["files"]),
        status=ProjectStatus(value["status"]),
        status_reason=value["reason"],
    )


def _packed(file: File) -> list[object]:
    at = None if file.uploaded_at is None else (file.uploaded_at - _EPOCH) // _MICROSECOND
    return [
        file.filename,
        file.version,
        file.sha256,
        file.size,
        file.requires_python,
        at,
        file.yanked,
        file.metadata_sha256,
        file.url,
        file.provenance_url,
        dict(file.digests),
        list(file.filled),
        file.gpg_sig,
    ]


def _unpacked(row: Iterable[Any], source: str) -> File:
    filename, version, sha256, size, requires_python, at, yanked, metadata_sha256, url, provenance_url, digests, filled, gpg_sig = row
    return File(
        id=0,
        filename=filename,
        version=version,
        sha256=sha256,
        size=size,
        requires_python=requires_python,
        uploaded_at=None if at is None else _EPOCH + at * _MICROSECOND,
        yanked=yanked,
        metadata_sha256=metadata_sha256,
        provenance=bool(provenance_url),
        source=source,
        url=url,
        provenance_url=provenance_url,
        digests=tuple(dict(digests).items()),
        filled=tuple(filled),
        gpg_sig=gpg_sig,
    )


# --- which kept file is which of those that are listed ---


def stands_for(kept: KeptFile, file: File) -> bool:
    """Whether a kept file is the one that is listed, as far as its index tells.

    Where a SHA-256 is known, that decides, whatever upstream the bytes came from. Else it must have come from the same upstream under this
    name, have the size that the index tells, and no other digest than the index tells, of those that it told when the bytes came: an index
    may replace a file in place. What only one of the two tells says nothing.
    """
    if kept.filename != file.filename:
        return False
    if file.sha256:
        return kept.sha256 == file.sha256
    if kept.source != file.source or (told(file, SIZE) and kept.size != file.size):
        return False
    then = dict(kept.told)
    return all(then.get(algorithm, digest) == digest for algorithm, digest in file.digests)


def standing_for(file: File, kept: Iterable[KeptFile]) -> list[KeptFile]:
    """Those of the kept files (oldest first) that are the one that is listed, the newest first: it is what its index gave last."""
    return [one for one in kept if stands_for(one, file)][::-1]


def replaced(file: File, kept: Iterable[KeptFile]) -> list[KeptFile]:
    """The kept files in whose place its upstream has put the one that is listed. None where a SHA-256 is told: both have their address."""
    if file.sha256:
        return []
    return [one for one in kept if (one.source, one.filename) == (file.source, file.filename) and not stands_for(one, file)]


def available(page: Page, kept: Sequence[KeptFile]) -> Page:
    """The page with those of its files only that are kept, and no facts that only its index can serve. For who cannot ask anybody."""
    known = _by_filename(kept)
    metadata = {file.metadata[0] for file in kept if file.metadata is not None}
    return evolve(
        page,
        files=tuple(
            evolve(
                file if file.metadata_sha256 in metadata else with_facts(file, {CORE_METADATA: ""}),
                provenance=False,
                provenance_url="",
            )
            for file in page.files
            if any(one.source == file.source for one in standing_for(file, known.get(file.filename, ())))
        ),
    )


def completed(page: Page, kept: Sequence[KeptFile]) -> Page:
    """The page with what is known of those of its files that are kept (oldest first), and that its index does not tell.

    What a kept file says of itself goes before what was found out without it: a digest of core metadata that is not its own is taken away.
    """
    if not kept:
        return page
    known = _by_filename(kept)
    return evolve(page, files=tuple(_completed(file, known.get(file.filename, ())) for file in page.files))


def _by_filename(kept: Iterable[KeptFile]) -> dict[str, list[KeptFile]]:
    found: dict[str, list[KeptFile]] = {}
    for one in kept:
        found.setdefault(one.filename, []).append(one)
    return found


def _completed(file: File, kept: Sequence[KeptFile]) -> File:
    # Most files of a page are not kept.
    standing = standing_for(file, kept) if kept else []
    if not standing:
        return file
    found = standing[0]
    facts: dict[str, Fact] = {
        HASHES: found.sha256,
        SIZE: found.size,
        CORE_METADATA: found.metadata[0] if found.metadata is not None else "",
    }
    changes = {key: value for key, value in facts.items() if not told(file, key) and value != fact(file, key)}
    return with_facts(file, changes) if changes else file


def carried(page: Page, before: Page | None) -> Page:
    """The page as it was fetched now, with what was found out about those of its files that were on it `before`.

    The same file is one of the same name, digests and address; where a SHA-256 tells, what follows the path in the address may differ, as
    signed addresses do every time. If the index tells by now what was found out and it differs, all that was found out is in doubt, and
    none of it is carried.
    """
    known = {_identity(file): file for file in before.files if file.filled} if before is not None else {}
    return evolve(page, files=tuple(_carried(file, known.get(_identity(file))) for file in page.files)) if known else page


def _identity(file: File) -> tuple[object, ...]:
    return file.filename, file.sha256, file.digests, file.url.partition("?")[0] if file.sha256 else file.url


def _carried(file: File, before: File | None) -> File:
    if before is None or any(told(file, key) and fact(file, key) != fact(before, key) for key in before.filled):
        return file
    lacking = {key: fact(before, key) for key in before.filled if not told(file, key)}
    return with_facts(file, lacking) if lacking else file
