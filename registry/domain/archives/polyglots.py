"""Polyglots: files that are a zip to one reader and a tar to another."""

import tarfile
from typing import BinaryIO

from registry.domain.archives.refusals import REBUILD, refusal
from registry.domain.archives.zip_framing import CENTRAL_MARK, END, END_MARK

_GZIP = b"\x1f\x8b"
# An end record and the longest comment behind it.
_TAIL = END.size + 0xFFFF


def demand_no_tar(archive: BinaryIO) -> None:
    """Refuse a zip (or gzip) that begins as a tar, which readers try first, or a zip that begins as gzip."""
    archive.seek(0)
    block = archive.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        return
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return
    raise refusal(f"is a tar archive at the same time, by its first 512 bytes: {REBUILD}")


def demand_no_gzip(archive: BinaryIO) -> None:
    """Refuse a zip that begins as a gzip stream."""
    archive.seek(0)
    if archive.read(2) == _GZIP:
        raise refusal(f"is a gzip file at the same time, by its first bytes: {REBUILD}")


def demand_no_zip(archive: BinaryIO, size: int) -> None:
    """Refuse a tar in whose end a zip hides: an end record whose comment reaches to the end, behind a central directory."""
    tail_at = max(0, size - _TAIL)
    archive.seek(tail_at)
    tail = archive.read(_TAIL)
    at = tail.find(END_MARK)
    while 0 <= at <= len(tail) - END.size:
        _, _, _, _, _, directory_bytes, _, comment_bytes = END.unpack_from(tail, at)
        begins = tail_at + at - directory_bytes
        if at + END.size + comment_bytes == len(tail) and begins >= 0:
            archive.seek(begins)
            if not directory_bytes or archive.read(4) == CENTRAL_MARK:
                raise refusal(f"is a zip archive at the same time, by the end record at offset {tail_at + at:,}: {REBUILD}")
        at = tail.find(END_MARK, at + 1)
