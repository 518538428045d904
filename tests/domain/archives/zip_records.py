"""Zips written record by record, so that any of them can lie."""

import zlib
from collections.abc import Mapping, Sequence
from struct import pack

from attrs import field, frozen

Overrides = Mapping[str, int | bytes]


@frozen(kw_only=True)
class Record:
    """A member. `local` and `central` override what its two records say, field by field; `data` is as packed."""

    name: bytes
    content: bytes = b""
    method: int = 0
    flags: int = 0
    mode: int = 0o100644
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    local: Overrides = field(factory=dict)
    central: Overrides = field(factory=dict)
    descriptor: bytes = b""
    listed: bool = True

    @property
    def data(self) -> bytes:
        """Its bytes as they lie in the zip."""
        if self.method == 8:
            deflate = zlib.compressobj(wbits=-15)
            return deflate.compress(self.content) + deflate.flush()
        return self.content

    def facts(self, overrides: Overrides) -> dict[str, int | bytes]:
        """What a record says of it."""
        told: dict[str, int | bytes] = {"name": self.name, "flags": self.flags, "method": self.method, "crc": zlib.crc32(self.content)}
        return {**told, "packed": len(self.data), "size": len(self.content), "offset": -1, "disk": 0, "needed": 20, **overrides}

    def before_data(self) -> bytes:
        """Its local record."""
        said = self.facts(self.local)
        name = said["name"]
        assert isinstance(name, bytes)
        head = pack("<4s5H3L2H", b"PK\3\4", 20, said["flags"], said["method"], 0, 33, *(said[key] for key in ("crc", "packed", "size")),
                    len(name), len(self.local_extra))  # fmt: skip
        return head + name + self.local_extra

    def listing(self, offset: int) -> bytes:
        """Its central record."""
        said = self.facts(self.central)
        name = said["name"]
        assert isinstance(name, bytes)
        at = offset if said["offset"] == -1 else said["offset"]
        head = pack(
            "<4s6H3L5H2L", b"PK\1\2", 3 << 8 | 20, said["needed"], said["flags"], said["method"], 0, 33, said["crc"], said["packed"],
            said["size"], len(name), len(self.central_extra), len(self.comment), said["disk"], 0, self.mode << 16, at,
        )  # fmt: skip
        return head + name + self.central_extra + self.comment


def zip64_extra(*values: int, disk: bytes = b"") -> bytes:
    """A ZIP64 extra field of these values."""
    body = pack(f"<{len(values)}Q", *values) + disk
    return pack("<2H", 1, len(body)) + body


def extra(tag: int, body: bytes) -> bytes:
    """An extra field."""
    return pack("<2H", tag, len(body)) + body


def zip_of(
    records: Sequence[Record],
    *,
    comment: bytes = b"",
    prefix: bytes = b"",
    gap: bytes = b"",
    suffix: bytes = b"",
    end: Overrides | None = None,
    end64: Overrides | None = None,
) -> bytes:
    """A zip of these records. `end` and `end64` override its end records; without `end64` there is no 64-bit one."""
    written, listings = prefix, b""
    for record in records:
        if record.listed:
            listings += record.listing(len(written))
        written += record.before_data() + record.data + record.descriptor
    written += gap
    at = len(written)
    count = sum(record.listed for record in records)
    told: dict[str, int | bytes] = {"disk": 0, "start": 0, "here": count, "total": count, "bytes": len(listings), "offset": at}
    written += listings
    if end64 is not None:
        wide = {**told, "length": 44, "locator": len(written), "disks": 1, "locator_disk": 0, "rest": b"", **end64}
        numbers = (wide[key] for key in ("disk", "start", "here", "total", "bytes", "offset"))
        rest = wide["rest"]
        assert isinstance(rest, bytes)
        written += pack("<4sQ2H2L4Q", b"PK\6\6", wide["length"], 45, 45, *numbers) + rest
        written += pack("<4sLQL", b"PK\6\7", wide["locator_disk"], wide["locator"], wide["disks"])
    said = {**told, "comment": len(comment), **(end or {})}
    numbers = (said[key] for key in ("disk", "start", "here", "total", "bytes", "offset", "comment"))
    return written + pack("<4s4H2LH", b"PK\5\6", *numbers) + comment + suffix
