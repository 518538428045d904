"""Core metadata out of an open archive: bounded in bytes and members, whatever the archive claims."""

import lzma
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NoReturn, Self, cast

from attrs import frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pkginfo.distribution import Distribution, NewMetadataVersion, UnknownMetadataVersion

from registry.domain.errors import InvalidArchive, InvalidName, InvalidVersion
from registry.domain.filenames import FileName, Kind
from registry.domain.names import Name
from registry.domain.versions import Version

METADATA_BYTES = 8 << 20
# A zip's list of members: some 100 bytes each, so room for more of them than any distribution has.
DIRECTORY_BYTES = 64 << 20
# APPNOTE 4.3.14 to 4.3.16: the end record, its 64-bit form with the locator between them, and how far from the end it may begin.
_ZIP_END, _ZIP_END_BYTES, _ZIP64_END, _ZIP64_BEFORE, _ZIP64_MARK = b"PK\5\6", 22, b"PK\6\6", 76, 0xFFFFFFFF
_ZIP_TAIL = _ZIP_END_BYTES + 0xFFFF + _ZIP64_BEFORE

# A Metadata-Version newer than pkginfo knows is not our uploader's fault; the known headers are read all the same. Once, for the process:
# switching warnings off for each call is not safe in threads.
for _newer in (NewMetadataVersion, UnknownMetadataVersion):
    warnings.simplefilter("ignore", _newer)
# How much of a tar is unpacked, and how many members are looked at, before giving up on finding PKG-INFO. Build tools write it early or
# last; the cap only stops an archive that was made to cost.
_TAR_BYTES_FLOOR = 64 << 20
_TAR_RATIO = 50
_MEMBERS = 100_000
# tarfile reads a member's extension headers (long names, PAX records) whole, whatever size they claim; real ones hold a path or two.
_EXTENSION_BYTES = 1 << 16
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    TypeError,  # tarfile's, for a gzip head that ends too soon
)

# What is kept of a distribution's own metadata: GitLab's columns, and what pages and users ask for.
_KEPT = (
    "metadata_version",
    "name",
    "version",
    "summary",
    "description",
    "description_content_type",
    "keywords",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "license",
    "license_expression",
    "home_page",
    "requires_python",
)
_KEPT_LISTS = ("classifiers", "requires_dist", "project_urls", "provides_extras", "dynamic")


@frozen(kw_only=True)
class CoreMetadata:
    """What a distribution says of itself. `raw` is METADATA or PKG-INFO to the byte; `fields` holds the headers that were present."""

    raw: bytes
    fields: Mapping[str, str | tuple[str, ...]]

    @property
    def requires_python(self) -> str:
        """The `Requires-Python` header, empty if absent."""
        return str(self.fields.get("requires_python", ""))


def read_core_metadata(archive: BinaryIO, size: int, file: FileName, name: Name, version: Version) -> CoreMetadata:
    """Read and parse the metadata member of a wheel or sdist of `size` bytes.

    Blocking: call it in a thread. Raises `InvalidArchive` if the archive cannot be read, has no such member, or names another project or
    version than it was uploaded as.
    """
    try:
        raw = _wheel(archive) if file.kind is Kind.WHEEL else _sdist(archive, size, zipped=file.text.endswith(".zip"))
        metadata = CoreMetadata(raw=raw, fields=_parse(raw))
    except InvalidArchive as error:
        raise InvalidArchive(filename=file.text, problem=error.problem) from None
    except MemoryError:
        raise InvalidArchive(filename=file.text, problem="needs more memory to unpack than any distribution should") from None
    except _BROKEN as error:
        what = (
            "wheel: it must be a zip archive"
            if file.kind is Kind.WHEEL
            else "source distribution: it must be a gzipped tar (or zip) archive"
        )
        raise InvalidArchive(filename=file.text, problem=f"is no readable {what} ({error})") from None
    _agree(metadata, file, name, version)
    return metadata


def valid_requires_python(text: str) -> str:
    """`text` if it is a version specifier that installers can read, else the empty string: uv drops a file whose specifier is broken."""
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return ""
    return text


def _open_zip(archive: BinaryIO) -> zipfile.ZipFile:
    # zipfile reads all of the central directory into memory before anybody can look at a member of it.
    end = archive.seek(0, 2)
    archive.seek(max(0, end - _ZIP_TAIL))
    tail = archive.read(_ZIP_TAIL)
    if max(_directory_bytes(tail, tail.rfind(_ZIP_END)), _directory_bytes(tail, len(tail) - _ZIP_END_BYTES)) > DIRECTORY_BYTES:
        raise InvalidArchive(filename="", problem=f"has a central directory of more than {DIRECTORY_BYTES:,} bytes")
    archive.seek(0)
    return zipfile.ZipFile(archive)


def _directory_bytes(tail: bytes, at: int) -> int:
    """The size of the central directory that an end record at `at` declares, the larger of its two forms; 0 where there is none."""
    if at < 0 or tail[at : at + 4] != _ZIP_END:
        return 0
    plain = int.from_bytes(tail[at + 12 : at + 16], "little")
    record = tail[at - _ZIP64_BEFORE : at] if at >= _ZIP64_BEFORE else b""
    large = int.from_bytes(record[40:48], "little") if record.startswith(_ZIP64_END) else 0
    # All ones say "see the 64-bit form".
    return large if plain == _ZIP64_MARK else max(plain, large)


def _wheel(archive: BinaryIO) -> bytes:
    with _open_zip(archive) as unpacked:
        found = [entry for entry in unpacked.infolist() if _is_metadata(entry.filename)]
        if len(found) != 1:
            raise InvalidArchive(filename="", problem=f"must hold exactly one <name>-<version>.dist-info/METADATA; it holds {len(found)}")
        return _member(unpacked, found[0])


def _is_metadata(path: str) -> bool:
    folder, _, rest = path.partition("/")
    return rest == "METADATA" and folder.endswith(".dist-info")


def _member(unpacked: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with unpacked.open(entry) as stream:
        return _bounded(cast("BinaryIO", stream), entry.filename)


def _bounded(stream: BinaryIO, path: str) -> bytes:
    data = stream.read(METADATA_BYTES + 1)
    if len(data) > METADATA_BYTES:
        raise InvalidArchive(filename="", problem=f"has a {path} of more than {METADATA_BYTES:,} bytes")
    return data


def _sdist(archive: BinaryIO, size: int, *, zipped: bool) -> bytes:
    if zipped:
        with _open_zip(archive) as unpacked:
            for entry in unpacked.infolist():
                if _is_pkg_info(entry.filename):
                    return _member(unpacked, entry)
    else:
        # "r|gz" reads forward only: no seeking about in a file that lies, and memory stays flat.
        with tarfile.open(fileobj=archive, mode="r|gz", bufsize=1 << 16, tarinfo=_Member) as unpacked:
            for member in _members(unpacked, max(_TAR_BYTES_FLOOR, _TAR_RATIO * size)):
                if _is_pkg_info(member.name) and member.isreg():
                    stream = unpacked.extractfile(member)
                    if stream is not None:
                        return _bounded(cast("BinaryIO", stream), member.name)
    raise InvalidArchive(filename="", problem="has no <name>-<version>/PKG-INFO: build it with a PEP 517 tool such as `python -m build`")


def _members(unpacked: tarfile.TarFile, most: int) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(unpacked):
        # TarFile collects every member it has seen; we look at each once.
        unpacked.members = []  # type: ignore[attr-defined]
        if member.offset_data + max(member.size, 0) > most or count > _MEMBERS:
            raise InvalidArchive(filename="", problem=f"unpacks to more than {most:,} bytes or {_MEMBERS:,} members before its PKG-INFO")
        yield member


class _Member(tarfile.TarInfo):
    """A tar member that costs what it says: no endless extension header, no sparse map (which no build tool writes)."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """tarfile's: one header block."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENSIONS and not 0 <= found.size <= _EXTENSION_BYTES:
            raise InvalidArchive(filename="", problem=f"has a tar extension header of {found.size:,} bytes")
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise InvalidArchive(filename="", problem="holds a sparse file")
        return found

    def _proc_gnusparse_10(self, *_: object) -> NoReturn:
        """tarfile's, for the sparse format of PAX: its map lies in the member's data, of any length."""
        raise InvalidArchive(filename="", problem="holds a sparse file")


def _is_pkg_info(path: str) -> bool:
    folder, _, rest = path.removeprefix("./").partition("/")
    return rest == "PKG-INFO" and folder not in {"", "..", "."}


def _parse(raw: bytes) -> dict[str, str | tuple[str, ...]]:
    parsed = Distribution()
    # The email parser below takes a Content-Type header at its word, and looks for parts within parts.
    try:
        parsed.parse(raw)
        plain = isinstance(parsed.description, str | None)
    except RecursionError:
        plain = False
    if not plain:
        raise InvalidArchive(filename="", problem="has metadata that is not plain text: remove its Content-Type header")
    fields: dict[str, str | tuple[str, ...]] = {key: str(value) for key in _KEPT if (value := getattr(parsed, key))}
    fields.update({key: tuple(map(str, value)) for key in _KEPT_LISTS if (value := getattr(parsed, key))})
    return fields


def _agree(metadata: CoreMetadata, file: FileName, name: Name, version: Version) -> None:
    found_name, found_version = str(metadata.fields.get("name", "")), str(metadata.fields.get("version", ""))
    if not found_name or not found_version:
        raise InvalidArchive(filename=file.text, problem="has metadata without Metadata-Version, Name or Version")
    try:
        if Name(found_name) != name:
            raise InvalidArchive(filename=file.text, problem=f"says in its metadata that its name is {found_name!r}, not {name.display!r}")
        if Version(found_version) != version:
            raise InvalidArchive(
                filename=file.text, problem=f"says in its metadata that its version is {found_version!r}, not {version.display!r}"
            )
    except (InvalidName, InvalidVersion) as error:
        raise InvalidArchive(filename=file.text, problem=f"has metadata that cannot be right: {error}") from None
