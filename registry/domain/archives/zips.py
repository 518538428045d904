"""Zips: the members of one, after every check that does not depend on what distribution it is."""

import stat
import zipfile
from errno import EINVAL
from typing import BinaryIO

from registry.domain.archives.bounds import LISTING_BYTES, MEMBERS, unpacked_bytes
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.links import demand_links_inside
from registry.domain.archives.member_paths import demand_apart, demand_inside, plain
from registry.domain.archives.polyglots import demand_no_gzip, demand_no_tar
from registry.domain.archives.refusals import REBUILD, REPACK, member, refusal
from registry.domain.archives.zip_framing import END, END_MARK, walk
from registry.domain.archives.zip_members import ZipMember, read

# A 64-bit end record with its locator, before the end record and the longest comment.
_END64_BYTES, _END64_MARK = 76, b"PK\6\6"
_TAIL = _END64_BYTES + END.size + 0xFFFF
_LINK_BYTES = 4096
_PLAIN_TYPES = frozenset({0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})


def members_of(archive: BinaryIO, size: int, checks: Checks) -> list[ZipMember]:
    """The members of a zip of `size` bytes. Raises `InvalidArchive` if it is no zip, or not what `checks` ask for."""
    if Check.POLYGLOT in checks:
        demand_no_tar(archive)
        demand_no_gzip(archive)
    if Check.ZIP_FRAMING in checks:
        members, end = walk(archive, size)
    else:
        members, end = _listed(archive, size)
    if Check.TRAILING_DATA in checks and end != size:
        raise refusal(f"has {size - end:,} bytes after the end of its zip at offset {end:,}: remove them, or {REPACK}")
    _demand_bounded(members, size, checks)
    if Check.MEMBER_PATHS in checks:
        for entry in members:
            demand_inside(entry.name)
    if Check.DUPLICATE_MEMBERS in checks:
        demand_apart(((plain(entry.name), entry.folder) for entry in members), folders_repeat=False)
    if Check.LINKS in checks:
        _demand_links(archive, members)
    return members


def _demand_bounded(members: list[ZipMember], size: int, checks: Checks) -> None:
    most = unpacked_bytes(size, checks)
    total = sum(entry.size for entry in members)
    if total > most:
        raise refusal(
            f"unpacks to {total:,} bytes, more than {most:,} allowed for a file of {size:,}: pack large data less tightly, or leave it out"
        )
    if Check.COMPRESSION in checks:
        for entry in members:
            if not entry.readable:
                raise refusal(
                    f"has a member {member(entry.name)} (offset {entry.offset:,}) that is encrypted or packed by method {entry.method}: "
                    "store or deflate it, nothing else can be installed"
                )


def _demand_links(archive: BinaryIO, members: list[ZipMember]) -> None:
    links: dict[str, str] = {}
    for entry in members:
        kind = stat.S_IFMT(entry.mode)
        if kind not in _PLAIN_TYPES:
            raise refusal(f"has a member {member(entry.name)} that is a device or a pipe: {REBUILD}")
        if kind == stat.S_IFLNK:
            links[plain(entry.name)] = read(archive, entry, _LINK_BYTES).decode("utf-8", "surrogateescape")
    demand_links_inside(links, {}, "")


def _listed(archive: BinaryIO, size: int) -> tuple[list[ZipMember], int]:
    """The members that zipfile finds, which trusts the end of a zip, and where the zip ends."""
    archive.seek(max(0, size - _TAIL))
    tail = archive.read(_TAIL)
    at = max(tail.rfind(END_MARK), 0)
    # zipfile reads all of the central directory into memory before anybody can look at a member of it.
    if max(_directory_bytes(tail, at), _directory_bytes(tail, len(tail) - END.size)) > LISTING_BYTES:
        raise refusal(f"has a central directory of more than {LISTING_BYTES:,} bytes: split it")
    archive.seek(0)
    try:
        with zipfile.ZipFile(archive) as unpacked:
            found = unpacked.infolist()
    except OSError as error:
        # A place before the beginning, as a central directory that lies leads to.
        if error.errno != EINVAL:
            raise
        raise refusal(f"has a central directory that leads nowhere; {REPACK}") from None
    if len(found) > MEMBERS:
        raise refusal(f"has more than {MEMBERS:,} members: split it")
    end = size - len(tail) + at + END.size + int.from_bytes(tail[at + END.size - 2 : at + END.size], "little")
    return [_member(entry, size) for entry in found], end


def _member(entry: zipfile.ZipInfo, size: int) -> ZipMember:
    if not 0 <= entry.header_offset < size:
        raise refusal(f"lists a member {member(entry.filename)} at an offset where it has none; {REPACK}")
    return ZipMember(
        name=entry.filename,
        flags=entry.flag_bits,
        method=entry.compress_type,
        crc=entry.CRC,
        packed=entry.compress_size,
        size=entry.file_size,
        offset=entry.header_offset,
        mode=entry.external_attr >> 16,
    )


def _directory_bytes(tail: bytes, at: int) -> int:
    """The size of the central directory that an end record at `at` declares, the larger of its two forms; 0 where there is none."""
    if at < 0 or tail[at : at + 4] != END_MARK or at + END.size > len(tail):
        return 0
    small: int = END.unpack_from(tail, at)[5]
    record = tail[at - _END64_BYTES : at] if at >= _END64_BYTES else b""
    large = int.from_bytes(record[40:48], "little") if record.startswith(_END64_MARK) else 0
    # All ones say "see the 64-bit form".
    return large if small == (1 << 32) - 1 else max(small, large)
