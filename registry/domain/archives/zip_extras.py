"""Extra fields of zip records: ZIP64 sizes and Unicode paths, the two that change what a reader finds."""

import zlib
from collections.abc import Sequence
from struct import Struct, unpack_from

from registry.domain.archives.refusals import REPACK, refusal

ALL_ONES = 0xFFFFFFFF
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
# APPNOTE 4.5.3: size, packed size and offset of 8 bytes each, then a disk number of 4.
_ZIP64_LENGTHS = frozenset({0, 8, 16, 24, 28})
_HEAD = Struct("<2H")
# APPNOTE 4.6.9: a version, the CRC-32 of the name it stands for, the path.
_UNICODE_HEAD = Struct("<BL")


def zip64_of(extra: bytes, name: bytes, where: str) -> bytes | None:
    """The body of the ZIP64 field in a record's extra fields, None if it has none.

    Refuses fields that do not fill their space, a ZIP64 field or Unicode path that comes twice, and a path that is not the record's name.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        tag, length = _HEAD.unpack_from(extra, at) if at + _HEAD.size <= len(extra) else (0, len(extra))
        body, at = extra[at + _HEAD.size : at + _HEAD.size + length], at + _HEAD.size + length
        if at > len(extra):
            raise refusal(f"has extra fields that are longer than their space ({where}): {REPACK}")
        if tag in {_ZIP64, _UNICODE_PATH}:
            if tag in found:
                raise refusal(f"has the extra field 0x{tag:04x} twice ({where}): {REPACK}")
            found[tag] = body
    if _UNICODE_PATH in found:
        _demand_same(found[_UNICODE_PATH], name, where)
    return found.get(_ZIP64)


def _demand_same(body: bytes, name: bytes, where: str) -> None:
    head = _UNICODE_HEAD.unpack_from(body) if len(body) >= _UNICODE_HEAD.size else (0, 0)
    if head != (1, zlib.crc32(name)) or body[_UNICODE_HEAD.size :] != name:
        raise refusal(f"has a second name in extra field 0x7075 that is not the member's own ({where}): {REPACK}")


def widened(narrow: Sequence[int], zip64: bytes | None, where: str) -> tuple[int, ...]:
    """The values of a record (size, packed size, offset) with those that are all ones taken from its ZIP64 field.

    APPNOTE 4.5.3: "the fields MUST only appear if the corresponding ... field is set to 0xFFFF or 0xFFFFFFFF". Old writers put both sizes
    there always, which is let pass where they say the same.
    """
    wide = [index for index, value in enumerate(narrow) if value == ALL_ONES]
    if zip64 is None and not wide:
        return tuple(narrow)
    if zip64 is None or len(zip64) not in _ZIP64_LENGTHS:
        raise refusal(f"has no ZIP64 field of a right length for its sizes ({where}): {REPACK}")
    values = unpack_from(f"<{len(zip64) // 8}Q", zip64)
    found = list(narrow)
    if len(values) == len(wide):
        for index, value in zip(wide, values, strict=True):
            found[index] = value
    elif len(wide) < len(values) <= len(narrow) and wide == list(range(len(wide))):
        found[: len(values)] = values
    else:
        raise refusal(f"has a ZIP64 field that does not fit its record ({where}): {REPACK}")
    if any(value not in {ALL_ONES, found[index]} for index, value in enumerate(narrow)) or any(zip64[24:]):
        raise refusal(f"has a ZIP64 field that contradicts its record ({where}): {REPACK}")
    return tuple(found)
