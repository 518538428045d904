"""The list at the beginning of a bundle: every page and file in it, with size and digest."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import frozen

from registry.domain.digests import is_digest
from registry.domain.errors import InvalidMoment, InvalidName, RegistryError, shown
from registry.domain.filenames import METADATA_ENDING
from registry.domain.moments import parse_moment
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, names_in

T = TypeVar("T")

# The list of a bundle of some 100,000 files.
MOST_BYTES = 64 << 20
LARGEST_PAGE = 64 << 20
_LARGEST = 2**63 - 1
_LONGEST_TEXT = 1000
_FORMAT, _VERSION = "twisted-package-registry bundle", 1
_HEX = re.compile(r"[0-9a-f]{64}")
_UPSTREAM = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class InvalidBundle(RegistryError):
    """A bundle cannot be taken in; `str()` says why."""


@frozen(kw_only=True)
class Member:
    """One file of the bundle's archive, by its digest. `kind`: "pages" or "blobs"."""

    kind: str
    sha256: str
    size: int

    @property
    def path(self) -> str:
        """What it is called in the archive."""
        return f"{self.kind}/{self.sha256}{'.json' if self.kind == 'pages' else ''}"


@frozen(kw_only=True)
class BundledPage:
    """A page in the bundle: what an upstream said of a name, and when."""

    source: str
    name: Name
    etag: str
    fetched_at: datetime
    sha256: str
    size: int


@frozen(kw_only=True)
class Contents:
    """All that a bundle holds. The same contents make the same bytes."""

    pages: tuple[BundledPage, ...]
    files: tuple[KeptFile, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """What follows the list, in this order: each page and each blob once."""
        pages = {page.sha256: page.size for page in self.pages}
        blobs = {digest: size for file in self.files for digest, size in _blobs(file)}
        return (
            *(Member(kind="pages", sha256=sha256, size=pages[sha256]) for sha256 in sorted(pages)),
            *(Member(kind="blobs", sha256=sha256, size=blobs[sha256]) for sha256 in sorted(blobs)),
        )

    @property
    def told(self) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """What else the indexes told of blobs: by sha256 and algorithm, the digests that all have to be right."""
        found: dict[str, dict[str, frozenset[str]]] = {}
        for file in self.files:
            of = found.setdefault(file.sha256, {}) if file.told else {}
            for algorithm, digest in file.told:
                of[algorithm] = of.get(algorithm, frozenset()) | {digest}
        return found

    def render(self) -> bytes:
        """The list as it stands in the bundle."""
        pages = sorted(self.pages, key=lambda page: (page.name.normalized, page.source))
        files = sorted(self.files, key=lambda file: (file.name, file.source, file.filename, file.sha256))
        value = {"format": _FORMAT, "version": _VERSION, "pages": [_page(page) for page in pages], "files": [_file(file) for file in files]}
        return json.dumps(value, indent=1, ensure_ascii=True).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Contents":
        """Read such a list. Raises `InvalidBundle` for anything that `render` would not write."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise InvalidBundle("The list of the bundle is no JSON") from None
        if not isinstance(value, dict) or value.get("format") != _FORMAT:
            raise InvalidBundle("This is no bundle of this registry's")
        if value.get("version") != _VERSION:
            raise InvalidBundle(f"This is a bundle of version {shown(str(value.get('version')))}; this registry reads version {_VERSION}")
        contents = cls(pages=tuple(map(_parse_page, _list(value, "pages"))), files=tuple(map(_parse_file, _list(value, "files"))))
        _check(contents)
        return contents


def _check(contents: Contents) -> None:
    """Nothing is there twice, and nothing has two sizes."""
    pages = {(page.source, page.name.normalized) for page in contents.pages}
    files = {(file.source, file.name, file.filename, file.sha256) for file in contents.files}
    if len(pages) < len(contents.pages) or len(files) < len(contents.files):
        raise InvalidBundle("The list of the bundle names something twice")
    sizes: dict[str, int] = {}
    for sha256, size in (
        *((page.sha256, page.size) for page in contents.pages),
        *(blob for file in contents.files for blob in _blobs(file)),
    ):
        if sizes.setdefault(sha256, size) != size:
            raise InvalidBundle(f"The list of the bundle gives two sizes for {sha256}")


def _blobs(file: KeptFile) -> Iterator[tuple[str, int]]:
    yield file.sha256, file.size
    # Core metadata that is kept without its file is a row whose blob is the metadata.
    if file.metadata is not None and file.metadata != (file.sha256, 0):
        yield file.metadata


def _page(page: BundledPage) -> Mapping[str, object]:
    return {
        "upstream": page.source,
        "name": page.name.normalized,
        "etag": page.etag,
        "fetched_at": page.fetched_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "sha256": page.sha256,
        "size": page.size,
    }


def _file(file: KeptFile) -> Mapping[str, object]:
    metadata = None if file.metadata is None else {"sha256": file.metadata[0], "size": file.metadata[1]}
    # Where there is nothing to tell the list is what it was before anything was: the same contents make the same bytes.
    told = {"told": dict(sorted(file.told))} if file.told else {}
    return {
        "upstream": file.source,
        "name": file.name,
        "filename": file.filename,
        "sha256": file.sha256,
        "size": file.size,
        "metadata": metadata,
        "licence": file.licence,
        **told,
    }


def _parse_page(value: object) -> BundledPage:
    table = _table(value)
    return BundledPage(
        source=_get(table, "upstream", _is_upstream),
        name=Name(_get(table, "name", _is_name)),
        # It is sent to the upstream as a header.
        etag=_get(table, "etag", lambda one: _is_text(one) and one.isascii() and (one.isprintable() or not one)),
        fetched_at=parse_moment(_get(table, "fetched_at", _is_moment)),
        sha256=_get(table, "sha256", _is_digest),
        size=_get(table, "size", lambda one: _is_size(one) and one <= LARGEST_PAGE),
    )


def _parse_file(value: object) -> KeptFile:
    table = _table(value)
    name = _get(table, "name", _is_name)
    metadata = table.get("metadata")
    return KeptFile(
        source=_get(table, "upstream", _is_upstream),
        name=name,
        filename=_get(table, "filename", lambda one: _is_text(one) and _is_of(one, name)),
        sha256=_get(table, "sha256", _is_digest),
        size=_get(table, "size", _is_size),
        metadata=None if metadata is None else _parse_metadata(_table(metadata)),
        licence=_get(table, "licence", lambda one: one is None or _is_text(one)),
        told=tuple(_get({"told": {}, **table}, "told", _are_digests).items()),
    )


def _parse_metadata(table: Mapping[str, Any]) -> tuple[str, int]:
    return _get(table, "sha256", _is_digest), _get(table, "size", _is_size)


def _get(table: Mapping[str, Any], key: str, is_right: Callable[[Any], bool]) -> Any:
    value = table.get(key)
    if not is_right(value):
        raise InvalidBundle(f"The list of the bundle has {shown(str(value))} for {key}, which cannot be")
    return value


def _table(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidBundle("The list of the bundle is malformed: an entry is no object")
    return value


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise InvalidBundle(f"The list of the bundle has no {key}")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _is_upstream(value: object) -> bool:
    return isinstance(value, str) and _UPSTREAM.fullmatch(value) is not None


def _is_name(value: object) -> bool:
    try:
        return isinstance(value, str) and len(value) <= _LONGEST_TEXT and Name(value).normalized == value
    except InvalidName:
        return False


def _is_of(filename: str, name: str) -> bool:
    """Whether it is the file name of a distribution of this name, or of such a distribution's core metadata."""
    return len(filename) < 256 and not set(filename) & set("/\\\0") and Name(name) in names_in(filename.removesuffix(METADATA_ENDING))  # noqa: PLR2004 - of a file system


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _are_digests(value: object) -> bool:
    """Whether these are digests beside sha256, by their names."""
    return isinstance(value, dict) and "sha256" not in value and all(is_digest(algorithm, digest) for algorithm, digest in value.items())


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_moment(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_moment(value) is not None
    except InvalidMoment:
        return False
