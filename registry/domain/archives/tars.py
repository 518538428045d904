"""Tars: the members of a gzipped one, read forward once, with a cap on what comes out while it comes out."""

import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NoReturn, Self, cast

from attrs import define, field

from registry.domain.archives.bounds import MEMBERS, unpacked_bytes
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.polyglots import demand_no_tar, demand_no_zip
from registry.domain.archives.refusals import REBUILD, member, refusal
from registry.domain.errors import InvalidArchive

_BLOCK = 1 << 16
# tarfile reads a member's extension headers (long names, PAX records) whole, whatever size they claim; real ones hold a path or two.
_EXTENSION_BYTES = 1 << 16
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
# Global records are kept for all members that follow, and copied for each; `git archive` writes one.
_GLOBALS = 64
_NO_DATA = frozenset({tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE})
# The longest size that a member's own header can state: eleven octal digits. Only a longer one needs an extension header.
_LARGE = 8 << 30
_GZIP_WBITS = 16 + zlib.MAX_WBITS


def members_of(archive: BinaryIO, size: int, checks: Checks) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """The members of a gzipped tar of `size` bytes, each with the tar to read it from before the next is asked for.

    Memory stays flat. Raises `InvalidArchive` as soon as something is wrong; what is wrong at the end (cut off, data behind it) only there.
    """
    if Check.POLYGLOT in checks:
        demand_no_tar(archive)
        demand_no_zip(archive, size)
    archive.seek(0)
    most = unpacked_bytes(size, checks)
    inflated = _Inflated(archive=archive, most=most, strict_end=Check.TRAILING_DATA in checks)
    # "r|" reads forward only: no seeking about in a file that lies.
    with tarfile.open(fileobj=cast("BinaryIO", inflated), mode="r|", bufsize=_BLOCK, tarinfo=_Member) as unpacked:
        for count, entry in enumerate(unpacked):
            # TarFile collects every member it has seen; we look at each once.
            unpacked.members = []  # type: ignore[attr-defined]
            if count >= MEMBERS or len(unpacked.pax_headers) > _GLOBALS:
                raise refusal(f"has more than {MEMBERS:,} members, or more than {_GLOBALS} global tar records: {REBUILD}")
            if entry.offset_data + max(entry.size, 0) > most:
                raise _too_much(most)
            if Check.TAR_FRAMING in checks:
                _demand_one_size(entry)
            yield entry, unpacked
        _drain(cast("BinaryIO", unpacked.fileobj), inflated, judged=Check.TRAILING_DATA in checks)


def _demand_one_size(entry: tarfile.TarInfo) -> None:
    stated = cast("_Member", entry).stated
    if entry.size != stated and entry.size < _LARGE:
        raise refusal(
            f"has a tar member {member(entry.name)} at offset {entry.offset:,} of {stated:,} bytes by its header and {entry.size:,} by its "
            f"extension header: {REBUILD}"
        )
    if entry.type in _NO_DATA and stated:
        raise refusal(f"has a tar member {member(entry.name)} at offset {entry.offset:,} that is no file but has data: {REBUILD}")


def _drain(stream: BinaryIO, inflated: "_Inflated", *, judged: bool) -> None:
    """Read to the end, so that the gzip checksum is compared; behind a tar's end there is only padding."""
    while block := stream.read(_BLOCK):
        if judged and block.count(0) != len(block):
            raise refusal(f"has data after the end of its tar, before byte {inflated.given:,} of what unpacks: {REBUILD}")


def _too_much(most: int) -> InvalidArchive:
    return refusal(
        f"unpacks to more than {most:,} bytes, all that is allowed for a file of its size: leave large data out, or pack it less"
    )


@define(kw_only=True)
class _Inflated:
    """The bytes in a gzip file, as the file that tarfile reads."""

    archive: BinaryIO
    most: int
    strict_end: bool
    given: int = 0  # bytes handed out so far
    _packed: bytes = b""  # read and not yet inflated
    _inflate: "zlib._Decompress" = field(factory=lambda: zlib.decompressobj(_GZIP_WBITS))  # where the stream stands

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end."""
        while not self._inflate.eof:
            packed = self._packed or self.archive.read(_BLOCK)
            try:
                # Without input there may still be output, which zlib held back.
                found = self._inflate.decompress(packed, size)
            except zlib.error as error:
                raise refusal(
                    f"is no readable source distribution: it must be a gzipped tar archive ({error}, before byte {self.archive.tell():,})"
                ) from None
            self._packed = self._inflate.unconsumed_tail
            if found:
                self.given += len(found)
                if self.given > self.most:
                    raise _too_much(self.most)
                return found
            if not packed:
                raise refusal("is cut off: its gzip stream does not end; build or download the file again")
        if self.strict_end and (self._inflate.unused_data or self.archive.read(1)):
            raise refusal(
                f"has data after the end of its gzip stream, before byte {self.archive.tell():,}, where some tools read on: {REBUILD}"
            )
        return b""


class _Member(tarfile.TarInfo):
    """A tar member that costs what it says: no endless extension header, no sparse map (which no build tool writes)."""

    stated = 0  # the size in its own header

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """tarfile's: one header block."""
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            # tarfile takes a damaged header for the end of the tar.
            if buf and (len(buf) != tarfile.BLOCKSIZE or buf.count(0) != len(buf)):
                raise refusal("has a tar header that is damaged or cut off: build or download the file again") from None
            raise
        if found.type in _EXTENSIONS and not 0 <= found.size <= _EXTENSION_BYTES:
            raise refusal(f"has a tar extension header of {found.size:,} bytes: shorten its paths")
        if found.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse()
        found.stated = found.size
        return found

    def _proc_gnusparse_00(self, *_: object) -> NoReturn:
        """tarfile's, for the first sparse format of PAX."""
        raise _sparse()

    def _proc_gnusparse_01(self, *_: object) -> NoReturn:
        """tarfile's, for the second."""
        raise _sparse()

    def _proc_gnusparse_10(self, *_: object) -> NoReturn:
        """tarfile's, for the third: its map lies in the member's data, of any length."""
        raise _sparse()


def _sparse() -> InvalidArchive:
    return refusal(f"holds a sparse file, which few tools unpack: {REBUILD}")
