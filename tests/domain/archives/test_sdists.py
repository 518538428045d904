"""Source distributions: one folder, one PKG-INFO, and a tar that every tool unpacks alike."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from struct import pack

import pytest

from registry.domain.archives.checks import Checks
from registry.domain.errors import InvalidArchive
from tests.domain.archives.distributions import LENIENT, METADATA, STRICT, TAR, TOP, ZIP, look, records, sdist, tar_member
from tests.domain.archives.zip_records import Record, zip_of


def pax(name: str, data: bytes, **said: str) -> bytes:
    """A member with extended records before it."""
    lines = b""
    for key, value in said.items():
        line = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(line) + 2
        lines += b"%d%s" % (length if len(str(length)) == 2 else length + 1, line)
    return tar_member("x", lines, kind=tarfile.XHDTYPE) + tar_member(name, data)


def zip_in_gzip() -> bytes:
    """A gzip file at whose end a zip lies, in a stored block of it; the gzip's own last bytes are the zip's comment."""
    tar = gzip.decompress(sdist(end=b""))
    hidden = zip_of(records(), prefix=b"\0" * 1)[1:]
    hidden = hidden[:-2] + b"\x08\0"
    raw = tar + hidden

    def block(data: bytes, last: bool) -> bytes:
        return pack("<BHH", last, len(data), len(data) ^ 0xFFFF) + data

    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block(tar, False) + block(hidden, True) + pack("<LL", zlib.crc32(raw), len(raw))


def gzip_that_is_tar() -> bytes:
    """A gzip file whose header holds a field that makes a tar header of its first block."""
    field = bytearray(512)
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + pack("<H", 502)
    field[: len(head)] = head
    field[148:156] = b" " * 8
    field[124:136] = b"00000000000\0"
    field[148:156] = b"%06o\0 " % sum(field)
    body = sdist()[10:]
    return bytes(field) + b"\0\0" + body


sym = tarfile.SYMTYPE
REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a file outside": (lambda: sdist(tar_member("x")), "has the file 'x' outside of its top folder"),
    "a second folder": (lambda: sdist(tar_member("other/x")), "has two top folders, 'my_package-1.0' and 'other'"),
    "a folder of another name": (lambda: sdist(top="other-1.0"), "in a folder 'other-1.0'; it must be called 'my_package-1.0'"),
    "a folder of another version": (lambda: sdist(top="my_package-1.1"), "in a folder 'my_package-1.1'"),
    "a folder without version": (lambda: sdist(top="my_package"), "in a folder 'my_package'"),
    "an absolute path": (lambda: sdist(tar_member("/etc/passwd")), "could be unpacked outside"),
    "a path that climbs": (lambda: sdist(tar_member(f"{TOP}/../../x")), "could be unpacked outside"),
    "a backslash": (lambda: sdist(tar_member(f"{TOP}/..\\x")), "could be unpacked outside"),
    "a link that climbs": (lambda: sdist(tar_member(f"{TOP}/a", kind=sym, link="../x")), "leads out of its folder"),
    "an absolute link": (lambda: sdist(tar_member(f"{TOP}/a", kind=sym, link="/etc/passwd")), "leads out of its folder"),
    "a hard link to elsewhere": (lambda: sdist(tar_member(f"{TOP}/a", kind=tarfile.LNKTYPE, link="x")), "leads out of its folder"),
    "a link through a link": (
        lambda: sdist(tar_member(f"{TOP}/a/b/up", kind=sym, link="../.."), tar_member(f"{TOP}/x", kind=sym, link="a/b/up/../y")),
        "goes through another link",
    ),
    "a file below a link": (
        lambda: sdist(tar_member(f"{TOP}/a", kind=sym, link="b"), tar_member(f"{TOP}/a/x")),
        "that is a file, and another",
    ),
    "a device": (lambda: sdist(tar_member(f"{TOP}/null", kind=tarfile.CHRTYPE)), "is a device or a pipe"),
    "a pipe": (lambda: sdist(tar_member(f"{TOP}/pipe", kind=tarfile.FIFOTYPE)), "is a device or a pipe"),
    "a member twice": (lambda: sdist(tar_member(f"{TOP}/x"), tar_member(f"{TOP}/./x")), "has the member 'my_package-1.0/x' twice"),
    "two PKG-INFO": (lambda: sdist(tar_member(f"{TOP}/PKG-INFO", METADATA)), "has a second PKG-INFO"),
    "two sizes": (lambda: sdist(pax(f"{TOP}/x", b"a" * 512, size="99")), "of 512 bytes by its header and 99 by its extension header"),
    "a folder with data": (
        lambda: sdist(tar_member(f"{TOP}/d", b"data", kind=tarfile.DIRTYPE, size=4)),
        "that is no file but has data|damaged or cut off",
    ),
    "data after the tar": (lambda: sdist(end=b"\0" * 1024 + b"x"), "data after the end of its tar"),
    "a tar after the tar": (lambda: sdist(end=b"\0" * 512 + tar_member(f"{TOP}/hidden") + b"\0" * 1024), "data after the end of its tar"),
    "data after the gzip": (lambda: sdist() + b"x", "data after the end of its gzip stream"),
    "padding after the gzip": (lambda: sdist() + b"\0", "data after the end of its gzip stream"),
    "a gzip after the gzip": (lambda: sdist() + gzip.compress(b""), "data after the end of its gzip stream"),
    "far data after the gzip": (lambda: sdist() + b"\0" * (1 << 17), "data after the end of its gzip stream"),
    "a damaged header": (lambda: sdist(b"damaged!" * 64), "has a tar header that is damaged"),
    "half a header": (lambda: sdist(tar_member(f"{TOP}/x")[:100], end=b""), "has a tar header that is damaged"),
    "a member cut off": (lambda: sdist(tar_member(f"{TOP}/x", size=1024), end=b""), "is no readable source distribution"),
    "a gzip cut off": (lambda: sdist()[:-1], "is cut off: its gzip stream does not end"),
    "a wrong checksum": (lambda: sdist()[:-8] + b"\0" * 8, "must be a gzipped tar archive .*incorrect data check"),
    "a plain tar": (lambda: gzip.decompress(sdist()), "is a tar archive at the same time"),
    "a zip in its end": (zip_in_gzip, "is a zip archive at the same time"),
    "a tar in its head": (gzip_that_is_tar, "is a tar archive at the same time"),
    "global records without end": (
        lambda: sdist(
            *[tar_member("x", b"".join(b"16 %07d=abcd\n" % (n * 20 + k) for k in range(20)), kind=tarfile.XGLTYPE) for n in range(4)],
            tar_member(f"{TOP}/x"),
        ),
        "more than 64 global tar records",
    ),
    "a sparse file": (lambda: sdist(pax(f"{TOP}/x", b"", GNU__sparse__map="0,1", GNU__sparse__size="1")), "holds a sparse file"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_source_distribution_that_breaks_a_rule_is_refused(case: str) -> None:
    """Each rule for source distributions refuses what breaks it, in a sentence that fits a reason phrase (hardening rows 38 and 40)."""
    build, problem = REJECTED[case]
    with pytest.raises(InvalidArchive, match=problem) as refused:
        look(build(), TAR)
    assert len(str(refused.value)) <= 280


ACCEPTED: dict[str, Callable[[], bytes]] = {
    "as it is": sdist,
    "another spelling of its folder": lambda: sdist(top="My.Package-v1.0.0"),
    "folders named twice": lambda: sdist(tar_member(f"{TOP}/", kind=tarfile.DIRTYPE)),
    "members that begin with ./": lambda: sdist(tar_member(f"./{TOP}/x"), tar_member("./", kind=tarfile.DIRTYPE)),
    "links inside": lambda: sdist(
        tar_member(f"{TOP}/a/x", b"1"),
        tar_member(f"{TOP}/a/y", kind=sym, link="../a/x"),
        tar_member(f"{TOP}/z", kind=tarfile.LNKTYPE, link=f"{TOP}/a/x"),
    ),
    "much padding": lambda: sdist(end=b"\0" * 20480),
    "no end blocks": lambda: sdist(end=b""),
    "the commit, as git tells it": lambda: sdist(
        tar_member("pax_global_header", b"52 comment=" + b"a" * 40 + b"\n", kind=tarfile.XGLTYPE), tar_member(f"{TOP}/x")
    ),
    "its size in records": lambda: sdist(pax(f"{TOP}/x", b"abcd", size="4")),
    "a long path in records": lambda: sdist(pax("x", b"", path=f"{TOP}/{'d' * 60}")),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_source_distribution_as_honest_tools_make_it_is_taken(case: str) -> None:
    """What the rules allow is inspected, and tarfile reads the same from it (hardening row 38)."""
    content = ACCEPTED[case]()
    assert look(content, TAR).metadata.raw == METADATA
    with tarfile.open(fileobj=io.BytesIO(content)) as unpacked:
        (found,) = [entry for entry in unpacked if entry.name.endswith("-1.0/PKG-INFO") or entry.name.endswith(".0.0/PKG-INFO")]
        stream = unpacked.extractfile(found)
        assert stream is not None
        assert stream.read() == METADATA


@pytest.mark.parametrize("case", ["a file outside", "data after the gzip", "data after the tar", "padding after the gzip"])
def test_lenient_takes_what_pip_unpacks(case: str) -> None:
    """What harms nobody but may be read differently is taken at the lenient level."""
    build, _ = REJECTED[case]
    assert look(build(), TAR, checks=LENIENT).metadata.raw == METADATA


def test_a_tar_is_read_to_its_cap_and_no_further() -> None:
    """A small archive that unpacks to more than 64 MiB is refused wherever the excess stands, also as padding (hardening row 38)."""

    def padded(size: int) -> bytes:
        packer = zlib.compressobj(1, wbits=31)
        honest = gzip.decompress(sdist())
        blocks = [honest, *[b"\0" * (1 << 20)] * (size >> 20), b"\0" * (size % (1 << 20) - len(honest))]
        return b"".join(map(packer.compress, blocks)) + packer.flush()

    assert look(padded((64 << 20) - 1), TAR).metadata.raw == METADATA
    with pytest.raises(InvalidArchive, match="unpacks to more than 67,108,864 bytes"):
        look(padded((64 << 20) + (512 << 10)), TAR)


def test_100_000_tar_members_are_the_most() -> None:
    """A tar of more members than any distribution has is refused while it is read (hardening row 38)."""
    packer = zlib.compressobj(1, wbits=31)
    member = tar_member(f"{TOP}/d", kind=tarfile.DIRTYPE)
    packed = packer.compress(gzip.decompress(sdist(end=b"")))

    def of(count: int) -> bytes:
        own = packer.copy()
        return packed + own.compress(member * count) + own.compress(b"\0" * 1024) + own.flush()

    assert look(of(99_998), TAR).metadata.raw == METADATA
    with pytest.raises(InvalidArchive, match="more than 100,000 members"):
        look(of(99_999), TAR)


def zipped(*others: Record) -> bytes:
    """A source distribution as a zip."""
    return zip_of([Record(name=f"{TOP}/PKG-INFO".encode(), content=METADATA), *others])


def test_a_zipped_source_distribution_is_taken_at_the_lenient_level() -> None:
    """PEP 625 allows .tar.gz only; a .zip is taken where that is switched off, under the same rules for its folder (hardening row 40)."""
    with pytest.raises(InvalidArchive, match=r"is a .zip: source distributions are .tar.gz files"):
        look(zipped(), ZIP)
    assert look(zipped(), ZIP, checks=LENIENT).metadata.raw == METADATA
    off = Checks.of("strict", without=["sdist-format"])
    assert look(zipped(Record(name=f"{TOP}/".encode())), ZIP, checks=off).metadata.raw == METADATA
    with pytest.raises(InvalidArchive, match="outside of its top folder"):
        look(zipped(Record(name=b"x")), ZIP, checks=off)
    with pytest.raises(InvalidArchive, match="has a second PKG-INFO"):
        look(zipped(Record(name=b"x/PKG-INFO")), ZIP, checks=LENIENT)


@pytest.mark.parametrize(
    ("headers", "sidecar"),
    [
        (b"Metadata-Version: 2.2\n", True),
        (b"Metadata-Version: 2.10\n", True),
        (b"Metadata-Version: 3.0\n", True),
        (b"Metadata-Version: 2.1\n", False),
        (b"Metadata-Version: 1.0\n", False),
        (b"Metadata-Version: 2.2\nDynamic: Requires-Dist\n", False),
    ],
)
def test_an_sdists_metadata_is_served_only_where_it_is_final(headers: bytes, sidecar: bool) -> None:
    """PKG-INFO may stand beside its file from metadata 2.2 on, with nothing dynamic in it (PEP 643, PEP 658)."""
    metadata = headers + b"Name: my-package\nVersion: 1.0\n\n"
    assert look(sdist(metadata=metadata), TAR, checks=STRICT).metadata.sidecar is sidecar
