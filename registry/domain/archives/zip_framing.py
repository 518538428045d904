"""Zip framing: one pass over a zip's records from its first byte to its last, which must tell the same as its central directory.

A zip can be read forward by its local records or from its end by its central directory. Where the two disagree one installer unpacks what
another never sees; these are the rules by which every reader finds the same members (APPNOTE 6.3.10, and Warehouse's rules).
"""

from struct import Struct
from typing import BinaryIO, TypeAlias

from attrs import define

from registry.domain.archives.bounds import LISTING_BYTES, MEMBERS
from registry.domain.archives.refusals import REPACK, member, refusal
from registry.domain.archives.zip_extras import ALL_ONES, widened, zip64_of
from registry.domain.archives.zip_members import LOCAL_MARK, ZipMember
from registry.domain.errors import InvalidArchive

CENTRAL_MARK, END_MARK, _END64_MARK, _LOCATOR_MARK = b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LOCAL = Struct("<4s5H3L2H")
_CENTRAL = Struct("<4s6H3L5H2L")
END = Struct("<4s4H2LH")
_END64 = Struct("<4sQ2H2L4Q")
_LOCATOR = Struct("<4sLQL")
# What a 64-bit end record says of its own size when nothing follows its fields.
_END64_REST = _END64.size - 12
_MANY = 0xFFFF
_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
# Encryption, descriptor, patches, UTF-8: the other flags (how hard was tried to deflate) change nothing.
_FLAGS = 0x2869
# APPNOTE 4.4.3.2: the newest feature that it knows, in tenths; zipfile reads nothing that needs more.
_NEWEST = 63
_DELETE = 0x7F
_UNIX = 3
_BLOCK = 1 << 14

# What both records say of a member: name, flags, method, CRC, packed size, size.
Facts: TypeAlias = tuple[bytes, int, int, int, int, int]
_FACTS = ("name", "flags", "compression method", "CRC-32", "packed size", "size")


def walk(archive: BinaryIO, size: int) -> tuple[list[ZipMember], int]:
    """The members of a zip of `size` bytes as its central directory lists them, and the offset at which the zip ends.

    Reads records only, never the data between them; what lies behind the end is not looked at, but for another end that a reader might
    take for this one. Raises `InvalidArchive`, which names the offset.
    """
    window, at, names = _Window(archive=archive), 0, 0
    locals_: dict[int, Facts] = {}
    while (mark := window.read(at, 4)) == LOCAL_MARK:
        facts, following = _local(window, at, size)
        names += len(facts[0])
        if len(locals_) >= MEMBERS or names > LISTING_BYTES:
            raise refusal(f"has more than {MEMBERS:,} members, or more than {LISTING_BYTES:,} bytes of names: split it")
        locals_[at] = facts
        at = following
    if mark not in {CENTRAL_MARK, END_MARK, _END64_MARK}:
        raise _no_record(at)
    if size - at > LISTING_BYTES:
        raise refusal(f"has a central directory of more than {LISTING_BYTES:,} bytes: split it")
    rest = window.rest(at)
    members, directory_bytes = _directory(rest, at, locals_)
    if locals_:
        offset, facts = next(iter(locals_.items()))
        raise refusal(f"hides a member: {member(facts[0])} at offset {offset:,} is not in the central directory; {REPACK}")
    end = _end(rest, at, directory_bytes, len(members))
    return members, at + end


def _local(window: "_Window", at: int, size: int) -> tuple[Facts, int]:
    """What the local record at `at` says, and where the next record begins."""
    head = window.read(at, _LOCAL.size)
    if len(head) < _LOCAL.size:
        raise _cut_off(at)
    _, _, flags, method, _, _, crc, packed, unpacked, name_bytes, extra_bytes = _LOCAL.unpack(head)
    tail = window.read(at + _LOCAL.size, name_bytes + extra_bytes)
    if len(tail) < name_bytes + extra_bytes:
        raise _cut_off(at)
    name = tail[:name_bytes]
    _demand_name(name, flags, at)
    if flags & _DESCRIPTOR:
        raise refusal(
            f"has a data descriptor behind member {member(name)} (offset {at:,}), which readers treat differently: write it to a seekable "
            f"file, or {REPACK}"
        )
    if extra_bytes or ALL_ONES in {packed, unpacked}:
        where = f"{member(name)}, offset {at:,}"
        unpacked, packed = widened((unpacked, packed), zip64_of(tail[name_bytes:], name, where), where)
    following = at + _LOCAL.size + len(tail) + packed
    if following > size:
        raise _cut_off(at)
    return (name, flags & _FLAGS, method, crc, packed, unpacked), following


def _directory(rest: bytes, base: int, locals_: dict[int, Facts]) -> tuple[list[ZipMember], int]:
    """The members that the central directory at the start of `rest` lists, each taken out of `locals_`, and its length."""
    members, at = [], 0
    while rest.startswith(CENTRAL_MARK, at):
        if len(rest) < at + _CENTRAL.size:
            raise _cut_off(base + at)
        fields = _CENTRAL.unpack_from(rest, at)
        _, made, needed, flags, method, _, _, crc, packed, unpacked, name_bytes, extra_bytes, comment_bytes, disk, _, attributes, offset = (
            fields
        )
        name_at = at + _CENTRAL.size
        name = rest[name_at : name_at + name_bytes]
        following = name_at + name_bytes + extra_bytes + comment_bytes
        if following > len(rest):
            raise _cut_off(base + at)
        where = f"{member(name)}, offset {base + at:,}" if extra_bytes or ALL_ONES in {packed, unpacked, offset} else ""
        if where:
            zip64 = zip64_of(rest[name_at + name_bytes : name_at + name_bytes + extra_bytes], name, where)
            unpacked, packed, offset = widened((unpacked, packed, offset), zip64, where)
        if needed > _NEWEST:
            raise refusal(f"has a member {member(name)} (offset {base + at:,}) that needs version {needed} of the zip format: {REPACK}")
        if comment_bytes or disk:
            raise refusal(f"has a comment or a disk number with member {member(name)} (offset {base + at:,}): {REPACK}")
        _demand_listed(locals_.pop(offset, None), (name, flags & _FLAGS, method, crc, packed, unpacked), base + at, offset)
        mode = attributes >> 16 if made >> 8 == _UNIX else 0
        members.append(
            ZipMember(name=name.decode(), flags=flags, method=method, crc=crc, packed=packed, size=unpacked, offset=offset, mode=mode)
        )
        at = following
    return members, at


def _demand_listed(local: Facts | None, listed: Facts, at: int, offset: int) -> None:
    """Refuse a listing without a member of its own, or one that differs from the member's record."""
    if local is None:
        raise refusal(
            f"lists {member(listed[0])} in its central directory (offset {at:,}), but has no such member at offset {offset:,}; {REPACK}"
        )
    if local != listed:
        which = next(fact for fact, here, there in zip(_FACTS, local, listed, strict=True) if here != there)
        raise refusal(f"gives {member(listed[0])} another {which} at offset {offset:,} than in its central directory; {REPACK}")
    if listed[0].endswith(b"/") and listed[-1]:
        raise refusal(f"has data in the folder {member(listed[0])} (offset {offset:,}), which some readers skip; {REPACK}")


def _demand_name(name: bytes, flags: int, at: int) -> None:
    if not name or min(name) < ord(" ") or _DELETE in name:
        raise refusal(f"has a member without a name, or with control characters in it, at offset {at:,}: rename the file")
    if name.isascii():
        return
    try:
        name.decode()
    except UnicodeDecodeError:
        flags = 0
    if not flags & _UTF8:
        raise refusal(f"has a member whose name {member(name)} (offset {at:,}) is not marked as UTF-8, or is not: {REPACK}")


def _end(rest: bytes, base: int, at: int, count: int) -> int:
    """Where in `rest` the zip ends, whose central directory has `at` bytes and `count` members."""
    true = (0, 0, count, count, at, base)
    large = rest.startswith(_END64_MARK, at)
    plain_at = at
    if large:
        plain_at = at + _END64.size + _LOCATOR.size
        if len(rest) < plain_at:
            raise _cut_off(base + at)
        _, length, _, _, *counts = _END64.unpack_from(rest, at)
        mark, disk, offset, disks = _LOCATOR.unpack_from(rest, at + _END64.size)
        if mark != _LOCATOR_MARK or (disk, offset) != (0, base + at) or disks > 1 or length != _END64_REST or tuple(counts) != true:
            raise refusal(f"has a ZIP64 end record at offset {base + at:,} that does not tell what is there; {REPACK}")
    if not rest.startswith(END_MARK, plain_at):
        raise _no_record(base + plain_at)
    if len(rest) < plain_at + END.size:
        raise _cut_off(base + plain_at)
    _, *told, comment_bytes = END.unpack_from(rest, plain_at)
    # "If an archive is in ZIP64 format and the value in this field is 0xFFFF, the ... 8 byte zip64 ... field" (APPNOTE 4.4.19 to 4.4.24).
    most = (_MANY, _MANY, _MANY, _MANY, ALL_ONES, ALL_ONES)
    if any(said != is_ and not (large and said == unsaid) for said, is_, unsaid in zip(told, true, most, strict=True)):
        raise refusal(
            f"has an end record (offset {base + plain_at:,}) whose counts, size or offset are not those of the {count:,} members before "
            f"it; {REPACK}"
        )
    end = plain_at + END.size + comment_bytes
    if end > len(rest):
        raise _cut_off(base + plain_at)
    if (other := rest.find(END_MARK, plain_at + END.size)) >= 0:
        raise refusal(f"has a second end record at offset {base + other:,}, behind its own: {REPACK}")
    return int(end)


def _no_record(at: int) -> InvalidArchive:
    if at == 0:
        return refusal(f"does not begin with a zip record: if it is no zip, {REPACK}; if it is, remove what stands before its first member")
    return refusal(f"has bytes at offset {at:,} that are no zip record: something was put into it or it was cut off; {REPACK}")


def _cut_off(at: int) -> InvalidArchive:
    return refusal(f"is cut off: the zip record at offset {at:,} needs more bytes than there are; build or download the file again")


@define(kw_only=True)
class _Window:
    """An archive, read a block at a time: small records that lie together cost one read."""

    archive: BinaryIO
    _block: bytes = b""  # what was read last
    _start: int = 0  # where it lies

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes at `at`, fewer at the end of the file."""
        begin = at - self._start
        if not 0 <= begin <= begin + count <= len(self._block):
            self.archive.seek(at)
            self._block, self._start, begin = self.archive.read(max(count, _BLOCK)), at, 0
        return self._block[begin : begin + count]

    def rest(self, at: int) -> bytes:
        """All that is left from `at` on."""
        self.archive.seek(at)
        return self.archive.read()
