"""Bounds of what is unpacked, held and counted while a distribution file is looked at, whatever the file claims."""

from registry.domain.archives.checks import Check, Checks

# METADATA and PKG-INFO, with a long description in them.
METADATA_BYTES = 8 << 20
# WHEEL and entry_points.txt are a few hundred bytes.
SMALL_BYTES = 256 << 10
# A line per member.
RECORD_BYTES = 32 << 20
MEMBERS = 100_000
# A zip's central directory, or all the paths of a tar: some 100 bytes a member.
LISTING_BYTES = 64 << 20
PIECE = 1 << 20

_FREE, _RATIO, _UNCHECKED = 64 << 20, 50, 16 << 30


def unpacked_bytes(size: int, checks: Checks) -> int:
    """How many bytes an archive of `size` bytes may unpack to: 64 MiB, or 50 times its size if that is more (Warehouse's rule)."""
    return max(_FREE if Check.UNPACKED_SIZE in checks else _UNCHECKED, _RATIO * size)
