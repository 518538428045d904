"""Members of a zip, and the bytes in them."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from attrs import frozen

from registry.domain.archives.bounds import PIECE
from registry.domain.archives.refusals import member, refusal
from registry.domain.errors import InvalidArchive

STORED, DEFLATED = 0, 8
# APPNOTE 4.3.7: the local record up to its name, and in it the lengths of name and extra field.
LOCAL_MARK, LOCAL_BYTES = b"PK\3\4", 30
_LENGTHS = 26
# Encrypted in one of three ways, or a patch to another file.
_UNREADABLE = 0x2061


@frozen(kw_only=True)
class ZipMember:
    """One member. `packed` and `size` in bytes; `offset` is where its local record begins; `mode` is Unix's, 0 where there is none."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def folder(self) -> bool:
        """Whether it stands for a folder."""
        return self.name.endswith("/")

    @property
    def readable(self) -> bool:
        """Whether `pieces` can unpack it."""
        return self.method in {STORED, DEFLATED} and not self.flags & _UNREADABLE


def pieces(archive: BinaryIO, entry: ZipMember) -> Iterator[bytes]:
    """The unpacked bytes of a member in pieces of at most 1 MiB.

    Raises `InvalidArchive` at their end at the latest if they are not what the member says: its length, checksum and packed length.
    """
    if not entry.readable:
        raise refusal(f"has a member {member(entry.name)} that is encrypted or packed by method {entry.method}: store or deflate it")
    _to_data(archive, entry)
    crc = size = 0
    for piece in _stored(archive, entry) if entry.method == STORED else _inflated(archive, entry):
        size += len(piece)
        if size > entry.size:
            break
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != entry.size or crc != entry.crc:
        raise _damaged(entry, "does not have the length and checksum that it claims")


def read(archive: BinaryIO, entry: ZipMember, most: int) -> bytes:
    """All bytes of a member, refused unread if they are more than `most`."""
    if entry.size > most:
        raise refusal(f"has a {member(entry.name)} of more than {most:,} bytes")
    return b"".join(pieces(archive, entry))


def _to_data(archive: BinaryIO, entry: ZipMember) -> None:
    archive.seek(entry.offset)
    head = archive.read(LOCAL_BYTES)
    if len(head) < LOCAL_BYTES or not head.startswith(LOCAL_MARK):
        raise _damaged(entry, "has no local record where the central directory says")
    lengths = int.from_bytes(head[_LENGTHS : _LENGTHS + 2], "little") + int.from_bytes(head[_LENGTHS + 2 :], "little")
    archive.seek(lengths, 1)


def _stored(archive: BinaryIO, entry: ZipMember) -> Iterator[bytes]:
    if entry.packed != entry.size:
        raise _damaged(entry, "is stored, but of two sizes")
    left = entry.packed
    while left:
        piece = archive.read(min(PIECE, left))
        if not piece:
            raise _damaged(entry, "is cut off")
        left -= len(piece)
        yield piece


def _inflated(archive: BinaryIO, entry: ZipMember) -> Iterator[bytes]:
    inflate, left = zlib.decompressobj(-zlib.MAX_WBITS), entry.packed
    while left and not inflate.eof:
        packed = archive.read(min(PIECE, left))
        if not packed:
            raise _damaged(entry, "is cut off")
        left -= len(packed)
        while True:
            try:
                piece = inflate.decompress(packed, PIECE)
            except zlib.error:
                raise _damaged(entry, "cannot be inflated") from None
            if piece:
                yield piece
            packed = inflate.unconsumed_tail
            # A full piece may leave more behind though all that was packed is taken in.
            if inflate.eof or (not packed and len(piece) < PIECE):
                break
    # What follows the end of the deflated bytes is seen by some readers and by others not.
    if not inflate.eof or inflate.unused_data or left:
        raise _damaged(entry, "does not end where its packed bytes do")


def _damaged(entry: ZipMember, how: str) -> InvalidArchive:
    return refusal(f"has a damaged member: {member(entry.name)} at offset {entry.offset:,} {how}; build or download the file again")
