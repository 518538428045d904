"""The archive of a bundle: a plain tar of regular files, written the same each time and read without believing it anything."""

import tarfile
from collections.abc import Callable
from typing import Any, BinaryIO

from registry.domain.bundles.contents import InvalidBundle
from registry.domain.errors import shown

_BLOCK = 512
_END = bytes(2 * _BLOCK)
# tar fills its last record up with zeros.
_RECORD = 20 * _BLOCK
_PIECE = 1 << 20


def write_head(out: BinaryIO, path: str, size: int) -> None:
    """Begin a member: exactly `size` bytes and `write_end` must follow. `path` has at most 100 characters, all ASCII."""
    out.write(_head(path, size))


def _head(path: str, size: int) -> bytes:
    head = tarfile.TarInfo(path)
    head.size, head.mode = size, 0o644
    # GNU's form holds any size in one block.
    return head.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def write_end(out: BinaryIO, size: int) -> None:
    """End a member of `size` bytes."""
    out.write(bytes(-size % _BLOCK))


def write_tail(out: BinaryIO, written: int) -> None:
    """End the archive, of which `written` bytes are there."""
    out.write(_END)
    out.write(bytes(-(written + len(_END)) % _RECORD))


def padded(size: int) -> int:
    """How many bytes a member of `size` bytes takes in the archive."""
    return _BLOCK + size + -size % _BLOCK


def read_head(file: BinaryIO, expected: str) -> tuple[str, int]:
    """Path and size of the next member, as `write_head` wrote them. `expected`: its path, or the folder it is in, with a slash.

    Raises `InvalidBundle`.
    """
    block = file.read(_BLOCK)
    if block == bytes(_BLOCK) or len(block) < _BLOCK:
        raise InvalidBundle(f"The bundle ends before {expected}: it is not complete")
    try:
        # Only this block: what tarfile does for long names, sparse files and PAX headers reads what the archive says.
        head = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError, OverflowError):
        raise InvalidBundle("The bundle is no tar archive, or a damaged one") from None
    if head.name != expected and not (expected.endswith("/") and head.name.startswith(expected)):
        raise InvalidBundle(f"The bundle has {shown(head.name)} where {expected} has to be")
    if head.size < 0 or block != _head(head.name, head.size):
        raise InvalidBundle(f"The bundle has something else than a regular file for {expected}")
    return head.name, head.size


def read_body(file: BinaryIO, path: str, size: int, take: Callable[[bytes], Any]) -> None:
    """Give the body of a member to `take`, piece by piece. Raises `InvalidBundle` if it breaks off."""
    left = size
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise InvalidBundle(f"The bundle breaks off within {path}")
        take(piece)
        left -= len(piece)
    filling = -size % _BLOCK
    if file.read(filling) != bytes(filling):
        raise InvalidBundle(f"The bundle is damaged behind {path}")


def read_tail(file: BinaryIO) -> None:
    """Nothing but zeros may follow, and no more than a tar has. Raises `InvalidBundle`."""
    rest = file.read(_RECORD + len(_END) + 1)
    if len(rest) < len(_END) or len(rest) > _RECORD + len(_END) or rest.strip(b"\0"):
        raise InvalidBundle("The bundle holds something that its list does not name, or is not complete")
