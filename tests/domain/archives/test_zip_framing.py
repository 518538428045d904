"""Zip framing: the rules by which every reader finds the same members, one case each, and what honest tools may write."""

import io
import zipfile
import zlib
from collections.abc import Callable
from struct import pack
from typing import Any

import pytest
from attrs import evolve

from registry.domain.archives.checks import Checks
from registry.domain.errors import InvalidArchive
from tests.domain.archives.distributions import INFO, METADATA, files, look, record_of, records
from tests.domain.archives.zip_records import Record, extra, zip64_extra, zip_of

ONES, MANY = 0xFFFFFFFF, 0xFFFF


def first(**changes: Any) -> list[Record]:
    """The records of an honest wheel, the second of which (which has content) is changed."""
    honest = records()
    return [honest[0], evolve(honest[1], **changes), *honest[2:]]


SECOND = records()[1]
PACKED, SIZE = len(SECOND.data), len(SECOND.content)
WIDE = {"packed": ONES, "size": ONES}
unicode_path = pack("<BL", 1, zlib.crc32(SECOND.name))

REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "bytes before the first member": (lambda: zip_of(records(), prefix=b"#!/bin/sh\n"), "does not begin with a zip record"),
    "nothing": (lambda: b"", "does not begin with a zip record"),
    "bytes between members and directory": (lambda: zip_of(records(), gap=b"gap!"), "bytes at offset .* that are no zip record"),
    "another record between them": (lambda: zip_of(records(), gap=b"PK\7\x08" + b"\0" * 12), "that are no zip record"),
    "bytes after the end": (lambda: zip_of(records(), suffix=b"x"), "has 1 bytes after the end of its zip"),
    "a comment longer than said": (lambda: zip_of(records(), comment=b"abc", end={"comment": 2}), "1 bytes after the end"),
    "a comment shorter than said": (lambda: zip_of(records(), comment=b"abc", end={"comment": 4}), "is cut off"),
    "another end in the comment": (lambda: zip_of(records(), comment=zip_of(records())), "a second end record at offset"),
    "a directory that ends too soon": (lambda: zip_of(records())[:-30], "is cut off"),
    "no end": (lambda: zip_of(records())[:-22], "that are no zip record"),
    "half an end": (lambda: zip_of(records())[:-1], "is cut off"),
    "half a local record": (lambda: records()[0].before_data()[:20], "is cut off"),
    "half a name": (lambda: records()[0].before_data()[:-1], "is cut off"),
    "a member longer than the file": (lambda: zip_of(first(local={"packed": 1 << 20})), "is cut off"),
    "a data descriptor": (
        lambda: zip_of(first(flags=8, local={"crc": 0, "packed": 0, "size": 0}, descriptor=b"PK\7\x08" + b"\0" * 12)),
        "has a data descriptor behind member 'my_package/code.py'",
    ),
    "a data descriptor with sizes": (lambda: zip_of(first(flags=8)), "has a data descriptor"),
    "another name in the directory": (lambda: zip_of(first(central={"name": b"my_package/evil.py"})), "gives .* another name at offset"),
    "another method": (lambda: zip_of(first(central={"method": 0})), "another compression method"),
    "another checksum": (lambda: zip_of(first(central={"crc": 1})), "another CRC-32"),
    "another size": (lambda: zip_of(first(central={"size": 1})), "another size"),
    "another packed size": (lambda: zip_of(first(central={"packed": 1})), "another packed size"),
    "other flags": (lambda: zip_of(first(central={"flags": 0x800})), "another flags"),
    "a member that is not listed": (lambda: zip_of(first(listed=False)), "hides a member: 'my_package/code.py'"),
    "a listing without a member": (lambda: zip_of(first(central={"offset": 1})), "has no such member at offset 1"),
    "two listings of one member": (lambda: zip_of(first(central={"offset": 0})), "has no such member|another name"),
    "the same name twice": (lambda: zip_of([*records(), SECOND]), "has the member 'my_package/code.py' twice"),
    "a folder twice": (lambda: zip_of([*records(), Record(name=b"d/"), Record(name=b"d/")]), "has the member 'd' twice"),
    "a folder with data": (lambda: zip_of([*records(), Record(name=b"d/", content=b"x")]), "has data in the folder 'd/'"),
    "a comment of a member": (lambda: zip_of(first(comment=b"hi")), "has a comment or a disk number"),
    "a member on another disk": (lambda: zip_of(first(central={"disk": 1})), "has a comment or a disk number"),
    "no name": (lambda: zip_of([*records(), Record(name=b"")]), "without a name"),
    "a control character": (lambda: zip_of([*records(), Record(name=b"a\x1fb")]), "control characters"),
    "a delete character": (lambda: zip_of([*records(), Record(name=b"a\x7fb")]), "control characters"),
    "a NUL, where some readers end a name": (lambda: zip_of([*records(), Record(name=b"a.py\0.txt")]), "control characters"),
    "a name that is not UTF-8": (lambda: zip_of([*records(), Record(name=b"\xff", flags=0x800)]), "is not marked as UTF-8, or is not"),
    "a UTF-8 name that is not marked": (lambda: zip_of([*records(), Record(name="é".encode())]), "is not marked as UTF-8"),
    "a version of the format that nobody reads": (lambda: zip_of(first(central={"needed": 64})), "needs version 64 of the zip format"),
    "a patch": (lambda: zip_of(first(flags=0x20)), "is encrypted or packed"),
    "an encrypted member": (lambda: zip_of(first(flags=1)), "is encrypted or packed by method 8"),
    "a member packed otherwise": (lambda: zip_of([*records(), Record(name=b"a", method=14)]), "packed by method 14"),
    "extra fields longer than their space": (lambda: zip_of(first(local_extra=b"\1\0\x10\0")), "extra fields that are longer"),
    "extra fields that end within one": (lambda: zip_of(first(central_extra=b"\1\0\0")), "extra fields that are longer"),
    "two ZIP64 fields": (lambda: zip_of(first(local_extra=zip64_extra(SIZE, PACKED) * 2)), "extra field 0x0001 twice"),
    "two Unicode paths": (lambda: zip_of(first(local_extra=extra(0x7075, unicode_path + SECOND.name) * 2)), "0x7075 twice"),
    "another Unicode path": (lambda: zip_of(first(local_extra=extra(0x7075, unicode_path + b"evil.py"))), "a second name in extra field"),
    "a Unicode path in the directory": (lambda: zip_of(first(central_extra=extra(0x7075, unicode_path + b"evil.py"))), "a second name"),
    "a Unicode path of another version": (lambda: zip_of(first(local_extra=extra(0x7075, b"\2" + unicode_path[1:]))), "a second name"),
    "half a Unicode path": (lambda: zip_of(first(local_extra=extra(0x7075, b"\1"))), "a second name"),
    "sizes of all ones without ZIP64": (lambda: zip_of(first(local=WIDE)), "no ZIP64 field of a right length"),
    "a ZIP64 field of an odd length": (
        lambda: zip_of(first(local=WIDE, local_extra=extra(1, b"\0" * 12))),
        "no ZIP64 field of a right length",
    ),
    "a ZIP64 field too short": (lambda: zip_of(first(local=WIDE, local_extra=zip64_extra(SIZE))), "does not fit its record"),
    "a ZIP64 field too long": (lambda: zip_of(first(local_extra=zip64_extra(SIZE, PACKED, 0))), "does not fit its record"),
    "a ZIP64 field that lies": (lambda: zip_of(first(local_extra=zip64_extra(SIZE, PACKED + 1))), "contradicts its record"),
    "a ZIP64 field of another disk": (
        lambda: zip_of(first(central={**WIDE, "offset": ONES}, central_extra=zip64_extra(SIZE, PACKED, 0, disk=b"\1\0\0\0"))),
        "contradicts its record",
    ),
    "a ZIP64 field that is a listing's alone": (
        lambda: zip_of(first(central=WIDE, central_extra=zip64_extra(SIZE, PACKED + 1))),
        "another packed size",
    ),
    "too many members counted": (lambda: zip_of(records(), end={"total": 9}), "end record .* whose counts, size or offset"),
    "members on other disks": (lambda: zip_of(records(), end={"here": 1}), "end record"),
    "a disk number": (lambda: zip_of(records(), end={"disk": 1}), "end record"),
    "another directory size": (lambda: zip_of(records(), end={"bytes": 1}), "end record"),
    "another directory offset": (lambda: zip_of(records(), end={"offset": 1}), "end record"),
    "a count of all ones without ZIP64": (lambda: zip_of(records(), end={"total": MANY, "here": MANY}), "end record"),
    "a ZIP64 end of another count": (lambda: zip_of(records(), end64={"total": 1}), "ZIP64 end record"),
    "a ZIP64 end of another offset": (lambda: zip_of(records(), end64={"offset": 1}), "ZIP64 end record"),
    "a ZIP64 end of another length": (lambda: zip_of(records(), end64={"length": 45}), "ZIP64 end record"),
    "a ZIP64 end with data of its own": (lambda: zip_of(records(), end64={"length": 48, "rest": b"data"}), "ZIP64 end record"),
    "a locator to elsewhere": (lambda: zip_of(records(), end64={"locator": 0}), "ZIP64 end record"),
    "a locator to another disk": (lambda: zip_of(records(), end64={"locator_disk": 1}), "ZIP64 end record"),
    "a locator of two disks": (lambda: zip_of(records(), end64={"disks": 2}), "ZIP64 end record"),
    "half a ZIP64 end": (lambda: zip_of(records(), end64={})[:-50], "is cut off"),
    "a plain end that contradicts the ZIP64 end": (lambda: zip_of(records(), end64={}, end={"total": 1}), "end record"),
}
HIDING = {"method": 8, "size": SIZE, "crc": zlib.crc32(SECOND.content)}


@pytest.mark.parametrize("case", REJECTED)
def test_a_zip_that_readers_could_read_differently_is_refused(case: str) -> None:
    """Each framing rule refuses what breaks it, and says what and where, in a sentence that fits a reason phrase (hardening row 37)."""
    build, problem = REJECTED[case]
    with pytest.raises(InvalidArchive, match=problem) as refused:
        look(build())
    assert len(str(refused.value)) <= 280


def test_bytes_behind_the_end_of_deflated_data_are_refused() -> None:
    """What is hidden within a member, behind the end of its packed bytes, is refused (hardening row 37)."""
    members = {**files(), "a": SECOND.content}
    hiding = Record(name=b"a", content=SECOND.data + b"hidden", local=HIDING, central=HIDING)
    honest = [record for record in records(members) if record.name != b"a"]
    with pytest.raises(InvalidArchive, match=r"member: 'a' at offset .* does not end where its packed bytes do"):
        look(zip_of([*honest, hiding]))


ACCEPTED: dict[str, Callable[[], bytes]] = {
    "as it is": lambda: zip_of(records()),
    "the newest version of the format": lambda: zip_of(first(central={"needed": 63})),
    "a plain comment": lambda: zip_of(records(), comment=b"made by hand"),
    "the longest comment": lambda: zip_of(records(), comment=b"c" * 0xFFFF),
    "folders": lambda: zip_of([Record(name=b"my_package/", mode=0o40755), *records()]),
    "a deflated folder": lambda: zip_of([*records(), Record(name=b"d/", method=8)]),
    "another order in the directory": lambda: zip_of(records()[::-1]),
    "ZIP64 sizes": lambda: zip_of(
        first(local=WIDE, local_extra=zip64_extra(SIZE, PACKED), central=WIDE, central_extra=zip64_extra(SIZE, PACKED))
    ),
    "ZIP64 sizes in the local record only": lambda: zip_of(first(local=WIDE, local_extra=zip64_extra(SIZE, PACKED))),
    "ZIP64 sizes that were not needed": lambda: zip_of(first(local_extra=zip64_extra(SIZE, PACKED))),
    "an empty ZIP64 field": lambda: zip_of(first(local_extra=zip64_extra())),
    "a ZIP64 offset only": lambda: zip_of(
        [evolve(records()[0], central={"offset": ONES}, central_extra=zip64_extra(0)), *records()[1:]],
    ),
    "all of ZIP64 with a disk": lambda: zip_of(
        [
            evolve(
                records()[0],
                central={**WIDE, "offset": ONES},
                central_extra=zip64_extra(0, 0, 0, disk=b"\0" * 4),
            ),
            *records()[1:],
        ]
    ),
    "a ZIP64 end": lambda: zip_of(records(), end64={}),
    "a ZIP64 end that is needed": lambda: zip_of(records(), end64={}, end={"here": MANY, "total": MANY, "bytes": ONES, "offset": ONES}),
    "a ZIP64 end whose locator counts no disks": lambda: zip_of(records(), end64={"disks": 0}),
    "time stamps that differ in length": lambda: zip_of(
        first(local_extra=extra(0x5455, b"\3" + b"\0" * 8), central_extra=extra(0x5455, b"\3" + b"\0" * 4))
    ),
    "its own name as Unicode path": lambda: zip_of(first(local_extra=extra(0x7075, unicode_path + SECOND.name))),
    "a name in UTF-8": lambda: zip_of(
        [evolve(record, flags=0 if record.name.isascii() else 0x800) for record in records({**files(), "my_package/é.py": b""})]
    ),
    "how hard was tried, told once": lambda: zip_of(first(local={"flags": 4})),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_zip_as_honest_tools_write_it_is_taken(case: str) -> None:
    """What the framing rules allow is inspected, and zipfile reads the same from it (hardening row 37)."""
    content = ACCEPTED[case]()
    assert look(content).metadata.raw == METADATA
    with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
        assert unpacked.read(f"{INFO}/METADATA") == METADATA
        assert unpacked.testzip() is None


@pytest.mark.parametrize("force", [False, True])
def test_what_zipfile_writes_is_taken(force: bool) -> None:
    """A wheel written by zipfile, with ZIP64 sizes forced or not, is taken."""
    members, written = files(), io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in {**members, f"{INFO}/RECORD": record_of(members)}.items():
            with archive.open(path, "w", force_zip64=force) as member:
                member.write(data)
    assert look(written.getvalue()).metadata.raw == METADATA


class Unseekable(io.BytesIO):
    """A pipe."""

    def seekable(self) -> bool:
        """BytesIO's."""
        return False

    def tell(self) -> int:
        """BytesIO's."""
        raise io.UnsupportedOperation

    def seek(self, *_: int) -> int:
        """BytesIO's."""
        raise io.UnsupportedOperation


def test_a_wheel_written_to_a_pipe_needs_the_check_off() -> None:
    """A zip with data descriptors is refused in words that tell why, and taken where zip-framing is switched off."""
    members, written = files(), Unseekable()
    with zipfile.ZipFile(written, "w") as archive:
        for path, data in {**members, f"{INFO}/RECORD": record_of(members)}.items():
            archive.writestr(path, data)
    with pytest.raises(InvalidArchive, match="write it to a seekable file"):
        look(written.getvalue())
    assert look(written.getvalue(), checks=Checks.of("strict", without=["zip-framing"])).metadata.raw == METADATA


@pytest.mark.parametrize("checks", [["trailing-data"], ["zip-framing", "trailing-data"]])
def test_what_follows_the_end_may_be_let_pass(checks: list[str]) -> None:
    """Bytes after the end of a zip are their own check, with or without that of the framing (hardening row 37)."""
    padded = zip_of(records(), suffix=b"\0" * 5)
    assert look(padded, checks=Checks.of("strict", without=checks)).metadata.raw == METADATA
    with pytest.raises(InvalidArchive, match="has 5 bytes after the end"):
        look(padded, checks=Checks.of("strict", without=checks[:-1]))


def test_10_000_members_are_taken_and_100_001_refused() -> None:
    """Many members are read in bounded time; more than any distribution has are refused (hardening row 37)."""
    many = {**files(), **{f"my_package/data/{number}.txt": b"" for number in range(10_000)}}
    listed, written = (
        [f"{path},{'sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'},0" for path in many if "/data/" in path],
        io.BytesIO(),
    )
    with zipfile.ZipFile(written, "w") as archive:
        for path, data in {**many, f"{INFO}/RECORD": record_of(files()) + "\n".join(listed).encode()}.items():
            archive.writestr(path, data)
    assert look(written.getvalue()).metadata.raw == METADATA
    empty = Record(name=b"x").before_data()
    with pytest.raises(InvalidArchive, match="more than 100,000 members"):
        look(empty * 100_001)
