"""Zips: where members would be unpacked to, how much they would be, and what else the file could be taken for."""

import tarfile
from collections.abc import Callable, Sequence

import pytest
from attrs import evolve

from registry.domain.archives.bounds import unpacked_bytes
from registry.domain.archives.checks import Checks
from registry.domain.errors import InvalidArchive
from tests.domain.archives.distributions import INFO, LENIENT, METADATA, STRICT, files, look, records
from tests.domain.archives.zip_records import Record, zip_of

BOTH = pytest.mark.parametrize("checks", [STRICT, LENIENT], ids=["strict", "lenient"])


def wheel_with(*paths: str) -> bytes:
    """An honest wheel but for these paths in it."""
    return zip_of(records({**files(), **dict.fromkeys(paths, b"")}))


@BOTH
@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/..", "..", "C:/x", "c:x", "a\\b", "\\\\host\\x", "//x"])
def test_a_member_that_climbs_out_is_refused(path: str, checks: Checks) -> None:
    """A path that leads out of the folder, on whatever system, is refused at both levels, and by name (hardening row 37)."""
    with pytest.raises(InvalidArchive, match="could be unpacked outside of its folder"):
        look(wheel_with(path), checks=checks)


@pytest.mark.parametrize("path", ["a/..b", "a/b..", "...", "a/c:x", "a b/c", ".hidden", "a/./b", "a//b"])
def test_odd_paths_that_stay_inside_are_taken(path: str) -> None:
    """Dots, blanks and colons that lead nowhere are no reason to refuse."""
    assert look(wheel_with(path)).metadata.raw == METADATA


@BOTH
@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (["a", "a/b"], "'a' that is a file, and another, 'a/b', inside it"),
        (["a", "a-b", "a/b/c/d"], "'a' that is a file, and another, 'a/b/c/d', inside it"),
        (["a/b", "a/./b"], "has the member 'a/b' twice"),
        (["a/b", "a//b"], "has the member 'a/b' twice"),
        (["a", "a/"], "has the member 'a' twice"),
    ],
)
def test_members_that_meet_are_refused(paths: Sequence[str], problem: str, checks: Checks) -> None:
    """Two members of one place, however it is spelt, are refused, and a file that is a folder as well (hardening row 37)."""
    with pytest.raises(InvalidArchive, match=problem):
        look(wheel_with(*paths), checks=checks)


def test_members_beside_each_other_are_taken() -> None:
    """Names that begin alike are no conflict, nor are spellings that differ in case."""
    assert look(wheel_with("a", "a-b", "a.b/c", "ab", "A", "d/", "d/e")).metadata.raw == METADATA


def linked(*links: tuple[str, str]) -> bytes:
    """A wheel with these symbolic links."""
    members = {**files(), **{path: target.encode() for path, target in links}}
    mode = {path.encode(): 0o120777 for path, _ in links}
    return zip_of([Record(name=it.name, content=it.content, mode=mode.get(it.name, 0o100644)) for it in records(members)])


@BOTH
@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ([("a", "/etc/passwd")], "leads out of its folder"),
        ([("a", "../x")], "leads out of its folder"),
        ([("a/b", "../../x")], "leads out of its folder"),
        ([("a/b", "c/../../../x")], "leads out of its folder"),
        ([("a", "C:/x")], "leads out of its folder"),
        ([("a", "b\\..\\..")], "leads out of its folder"),
        ([("a/b/up", "../.."), ("x", "a/b/up/../y")], "goes through another link"),
        ([("a", "x" * 4097)], "of more than 4,096 bytes"),
    ],
)
def test_links_that_lead_out_are_refused(links: list[tuple[str, str]], problem: str, checks: Checks) -> None:
    """A link that leaves the folder, or may by way of another link, is refused (hardening row 37)."""
    with pytest.raises(InvalidArchive, match=problem):
        look(linked(*links), checks=checks)


def test_links_that_stay_inside_are_taken() -> None:
    """Links among a wheel's own files do no harm."""
    assert look(linked(("a/b", "../my_package/code.py"), ("c", "a/b"), ("d", "./x"))).metadata.raw == METADATA


@pytest.mark.parametrize("kind", [0o010000, 0o020000, 0o060000, 0o140000])
def test_devices_in_a_zip_are_refused(kind: int) -> None:
    """A member that says it is a pipe, device or socket is refused (hardening row 37)."""
    odd = [Record(name=it.name, content=it.content, mode=kind if it.name == b"my_package/code.py" else 0) for it in records()]
    with pytest.raises(InvalidArchive, match=r"'my_package/code.py' that is a device or a pipe"):
        look(zip_of(odd))


@BOTH
def test_a_bomb_is_refused_unread(checks: Checks) -> None:
    """More than 64 MiB unpacked from a fiftieth of it is refused, one byte less is not (hardening row 37)."""
    honest = records({**files(), "zeros": b"\0" * 1000})

    def of(total: int) -> bytes:
        claims = {"size": total - sum(len(it.content) for it in honest) + 1000}
        return zip_of([evolve(it, local=claims, central=claims) if it.name == b"zeros" else it for it in honest])

    assert look(zip_of(honest), checks=checks).metadata.raw == METADATA
    with pytest.raises(InvalidArchive, match="unpacks to 67,108,865 bytes, more than 67,108,864 allowed"):
        look(of((64 << 20) + 1), checks=checks)
    # Within the limit it is only found to lie when it is unpacked, which the record is for.
    with pytest.raises(InvalidArchive, match=r"'zeros' of .* bytes, of '1000' by its RECORD"):
        look(of(64 << 20))


def test_the_limit_grows_with_the_file() -> None:
    """A file may unpack to 64 MiB or to 50 times its size; without the check to 16 GiB instead of 64 MiB."""
    off = Checks.of("strict", without=["unpacked-size"])
    for size, limit, unchecked in ((0, 64 << 20, 16 << 30), (2 << 20, 100 << 20, 16 << 30), (1 << 30, 50 << 30, 50 << 30)):
        assert unpacked_bytes(size, STRICT) == limit
        assert unpacked_bytes(size, off) == unchecked


def zip_in_tar() -> bytes:
    """A zip whose first 512 bytes, with its first member in them, are a tar header as well."""
    name = b"my_package/code.py"
    begins = 30 + len(name)
    for checksum in range(1000, 9000):
        content = bytearray(2000)
        content[124 - begins : 136 - begins] = b"00000000000\0"
        content[148 - begins : 156 - begins] = b"%06o\0 " % checksum
        first = Record(name=name, content=bytes(content))
        head = first.before_data() + first.content
        # The zip's CRC-32 is in the header that the tar's checksum is of, and the other way about.
        if checksum in tarfile.calc_chksums(head[: tarfile.BLOCKSIZE]):  # type: ignore[attr-defined]
            return zip_of([first, *[it for it in records({**files(), name.decode(): first.content}) if it.name != name]])
    raise AssertionError


POLYGLOTS: dict[str, tuple[Callable[[], bytes], str, Checks]] = {
    "a zip that is a tar": (zip_in_tar, "is a tar archive at the same time", STRICT),
    "a zip that is a gzip": (lambda: zip_of(records(), prefix=b"\x1f\x8b\x08\0"), "is a gzip file at the same time", LENIENT),
}


@pytest.mark.parametrize("case", POLYGLOTS)
def test_a_zip_that_is_something_else_as_well_is_refused(case: str) -> None:
    """A file that some tools would take for another kind of archive is refused (hardening row 40)."""
    build, problem, checks = POLYGLOTS[case]
    content = build()
    if problem.startswith("is a tar"):
        assert tarfile.TarInfo.frombuf(content[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    with pytest.raises(InvalidArchive, match=problem):
        look(content, checks=checks)
    if checks is STRICT:
        assert look(content, checks=Checks.of("strict", without=["polyglot"])).metadata.raw == METADATA


@BOTH
def test_only_stored_and_deflated_members_are_taken(checks: Checks) -> None:
    """Another compression is refused by its number, and taken for files that installation does not need where the check is off."""
    packed = [Record(name=it.name, content=it.content, method=93 if it.name.endswith(b"code.py") else it.method) for it in records()]
    with pytest.raises(InvalidArchive, match=r"'my_package/code.py' \(offset .*\) that is encrypted or packed by method 93"):
        look(zip_of(packed), checks=checks)
    assert look(zip_of(packed), checks=Checks.of("strict", without=["compression"])).metadata.raw == METADATA
    metadata = [Record(name=it.name, content=it.content, method=93 if it.name.endswith(b"METADATA") else 0) for it in records()]
    with pytest.raises(InvalidArchive, match=f"'{INFO}/METADATA' that is encrypted or packed by method 93"):
        look(zip_of(metadata), checks=Checks.of("strict", without=["compression"]))
