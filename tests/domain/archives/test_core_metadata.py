"""Core metadata out of archives: what is in them is read, and nothing in them can cost more than it should."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.archives.bounds import LISTING_BYTES, METADATA_BYTES
from registry.domain.archives.checks import Check, Checks
from registry.domain.archives.core_metadata import CoreMetadata, valid_requires_python
from registry.domain.archives.inspection import inspect_archive
from registry.domain.errors import InvalidArchive
from registry.domain.filenames import file_name
from registry.domain.names import Name
from registry.domain.versions import Version

NAME, VERSION = Name("my-package"), Version("1.0")
# What is read is the matter here, so no check is on but the one that bounds what it costs.
BOUNDED = Checks(on=frozenset({Check.UNPACKED_SIZE}))
WHEEL, TAR, ZIP = "my_package-1.0-py3-none-any.whl", "my_package-1.0.tar.gz", "my_package-1.0.zip"
INFO, PKG_INFO = "my_package-1.0.dist-info/METADATA", "my_package-1.0/PKG-INFO"
HEAD = b"Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"
FULL = (
    HEAD
    + "Summary: caf\u00e9\nAuthor-email: a@b.test\nRequires-Python: >=3.11\nClassifier: A\nClassifier: B\nKeywords: UNKNOWN\n".encode()
    + b"Requires-Dist: attrs\nDescription-Content-Type: text/markdown\n\n# Title\n\nText\n"
)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of these members."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for path, data in members:
            archive.writestr(path, data)
    return target.getvalue()


def gzipped(blocks: Iterable[bytes]) -> bytes:
    """The blocks, compressed."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as archive:
        for block in blocks:
            archive.write(block)
    return target.getvalue()


def entry(path: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> bytes:
    """One member as it stands in a tar; `size` is what it claims."""
    member = tarfile.TarInfo(path)
    member.type, member.size = kind, len(data) if size is None else size
    return member.tobuf(tarfile.GNU_FORMAT) + data + b"\0" * (-len(data) % 512)


def tarred(*entries: bytes) -> bytes:
    """A gzipped tar of these entries."""
    return gzipped([*entries, b"\0" * 1024])


def build(filename: str, metadata: bytes) -> bytes:
    """A distribution called `filename` with this metadata and a little else."""
    if filename == WHEEL:
        return zipped(("my_package/__init__.py", b""), (INFO, metadata), ("my_package-1.0.dist-info/RECORD", b""))
    if filename == ZIP:
        return zipped(("my_package-1.0/setup.py", b""), (PKG_INFO, metadata))
    return tarred(entry("my_package-1.0", kind=tarfile.DIRTYPE), entry("my_package-1.0/setup.py", b"x"), entry(PKG_INFO, metadata))


def read(filename: str, archive: bytes, name: Name = NAME, version: Version = VERSION) -> CoreMetadata:
    """The metadata of an archive that was uploaded as `filename`."""
    return inspect_archive(io.BytesIO(archive), len(archive), file_name(filename, name, version), name, version, {}, BOUNDED).metadata


every_kind = pytest.mark.parametrize("filename", [WHEEL, TAR, ZIP])


@every_kind
def test_metadata_is_read_from_every_kind_of_distribution(filename: str) -> None:
    """A wheel's METADATA and an sdist's PKG-INFO come out to the byte, and parsed; UNKNOWN and absent headers are left out."""
    found = read(filename, build(filename, FULL))
    assert found.raw == FULL
    assert found.requires_python == ">=3.11"
    assert found.fields == {
        "metadata_version": "2.1",
        "name": "my-package",
        "version": "1.0",
        "summary": "caf\u00e9",
        "author_email": "a@b.test",
        "requires_python": ">=3.11",
        "description_content_type": "text/markdown",
        "description": "# Title\n\nText\n",
        "classifiers": ("A", "B"),
        "requires_dist": ("attrs",),
    }


@every_kind
def test_requires_python_may_be_absent(filename: str) -> None:
    """Metadata without Requires-Python says so with an empty text."""
    assert read(filename, build(filename, HEAD)).requires_python == ""


@every_kind
@pytest.mark.parametrize("metadata_version", ["2.6", "2.99", "3.0"])
def test_newer_metadata_is_accepted(filename: str, metadata_version: str) -> None:
    """A Metadata-Version of the future is read for the headers that are known (hardening row 43)."""
    found = read(filename, build(filename, FULL.replace(b"2.1", metadata_version.encode())))
    assert (found.fields["metadata_version"], found.requires_python) == (metadata_version, ">=3.11")


@every_kind
@pytest.mark.parametrize(
    ("declared_name", "declared_version"),
    [("My.Package", "1.0"), ("MY__package", "1.0.0"), ("my-package", "v1"), ("my-package", "1.0.0.0")],
)
def test_spellings_agree(filename: str, declared_name: str, declared_version: str) -> None:
    """The metadata may spell name and version otherwise than the form, as long as they are equal (hardening row 44)."""
    metadata = f"Metadata-Version: 2.1\nName: {declared_name}\nVersion: {declared_version}\n".encode()
    assert read(filename, build(filename, metadata)).fields["name"] == declared_name


@every_kind
@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", "says in its metadata that its name is 'other', not 'my-package'"),
        (b"Metadata-Version: 2.1\nName: my-package\nVersion: 1.1\n", "says in its metadata that its version is '1.1', not '1.0'"),
        (b"Metadata-Version: 2.1\nName: my-package\nVersion: 1.0+local\n", "says in its metadata that its version is '1.0+local'"),
        (b"Metadata-Version: 2.1\nName: my package\nVersion: 1.0\n", "has metadata that cannot be right: Name is invalid"),
        (b"Metadata-Version: 2.1\nName: my-package\nVersion: latest\n", "has metadata that cannot be right: Version is invalid"),
        (b"Metadata-Version: 2.1\nVersion: 1.0\n", "has metadata without Metadata-Version, Name or Version"),
        (b"Metadata-Version: 2.1\nName: my-package\n", "has metadata without Metadata-Version, Name or Version"),
        (b"Name: my-package\nVersion: 1.0\n", "has metadata without Metadata-Version, Name or Version"),
        (b"", "has metadata without Metadata-Version, Name or Version"),
        (HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n", "has metadata that is not plain text"),
    ],
)
def test_metadata_of_something_else_is_refused(filename: str, metadata: bytes, problem: str) -> None:
    """A file whose own metadata names another project or version, or none, is refused, and told which (hardening row 44)."""
    with pytest.raises(InvalidArchive) as refused:
        read(filename, build(filename, metadata))
    assert str(refused.value).startswith(f"Invalid distribution file: '{filename}' ")
    assert problem in str(refused.value)


@every_kind
def test_metadata_within_metadata_is_refused(filename: str) -> None:
    """Thousands of parts within parts are refused instead of exhausting the stack (hardening row 39)."""
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(3000))
    for metadata in (HEAD + nested, HEAD + b"Content-Type: message/rfc822\n\n" * 3000):
        with pytest.raises(InvalidArchive, match="not plain text"):
            read(filename, build(filename, metadata))


@every_kind
def test_metadata_may_be_8_mib_and_no_more(filename: str) -> None:
    """Metadata of exactly the limit is read; one byte more is refused, however small it was packed (hardening row 39)."""
    text = HEAD + b"\n"
    full = text + b"x" * (METADATA_BYTES - len(text))
    packed = build(filename, full)
    assert len(packed) < METADATA_BYTES // 50
    assert len(read(filename, packed).raw) == METADATA_BYTES
    with pytest.raises(InvalidArchive, match="of more than 8,388,608 bytes"):
        read(filename, build(filename, full + b"x"))


def test_metadata_that_unpacks_to_much_is_not_unpacked() -> None:
    """A METADATA of 64 MiB that was packed into a few kilobytes never takes that memory (hardening rows 39 and 47)."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open(INFO, "w") as member:
        for _ in range(64):
            member.write(b"\0" * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchive, match="of more than 8,388,608 bytes"):
            read(WHEEL, target.getvalue())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


@pytest.mark.parametrize(
    ("members", "count"),
    [
        ([], 0),
        ([("my_package/__init__.py", b"")], 0),
        ([("METADATA", FULL)], 0),
        ([("x/my_package-1.0.dist-info/METADATA", FULL)], 0),
        ([("my_package-1.0.egg-info/METADATA", FULL)], 0),
        ([(INFO, FULL), ("other-1.0.dist-info/METADATA", FULL)], 2),
    ],
)
def test_a_wheel_has_exactly_one_metadata(members: list[tuple[str, bytes]], count: int) -> None:
    """A wheel with no METADATA, or with two to choose from, is refused (hardening row 40)."""
    with pytest.raises(InvalidArchive, match=f"exactly one <name>-<version>.dist-info/METADATA; it holds {count}"):
        read(WHEEL, zipped(*members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_the_same_member_twice_is_refused() -> None:
    """Two members of one name would be read differently by different tools (hardening row 37)."""
    with pytest.raises(InvalidArchive, match="it holds 2"):
        read(WHEEL, zipped((INFO, FULL), (INFO, FULL)))


@pytest.mark.parametrize(
    "path", ["PKG-INFO", "./PKG-INFO", "/PKG-INFO", "../PKG-INFO", "a/b/PKG-INFO", "a/../PKG-INFO", "my_package-1.0/pkg-info"]
)
def test_pkg_info_lies_in_the_top_folder_and_nowhere_else(path: str) -> None:
    """An sdist without a PKG-INFO in its single top folder is refused, in words that say how to build one (hardening row 38)."""
    for filename, archive in ((TAR, tarred(entry(path, FULL))), (ZIP, zipped((path, FULL)))):
        with pytest.raises(InvalidArchive, match=r"has no <name>-<version>/PKG-INFO"):
            read(filename, archive)


def test_dotted_members_are_found() -> None:
    """A tar whose members begin with ./ is as good as any."""
    assert read(TAR, tarred(entry(f"./{PKG_INFO}", FULL))).raw == FULL


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_not_metadata(kind: bytes) -> None:
    """A PKG-INFO that is not a plain file is passed over, never followed (hardening row 38)."""
    special = tarfile.TarInfo(PKG_INFO)
    special.type, special.linkname = kind, "/etc/passwd"
    with pytest.raises(InvalidArchive, match=r"has no <name>-<version>/PKG-INFO"):
        read(TAR, tarred(special.tobuf(tarfile.GNU_FORMAT)))
    assert read(TAR, tarred(special.tobuf(tarfile.GNU_FORMAT), entry(PKG_INFO, FULL))).raw == FULL


class Watched(io.BytesIO):
    """An archive that remembers how far it was read."""

    furthest = 0  # grows with every read

    def read(self, size: int | None = -1, /) -> bytes:
        """BytesIO's."""
        data = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return data


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
def test_an_endless_extension_header_is_refused_unread(kind: bytes) -> None:
    """A tar header that claims more than 64 KiB of names and records is refused before they are unpacked (hardening row 38)."""
    bomb = gzipped([entry("x", kind=kind, size=512 << 20), *[b"\0" * (1 << 20)] * 64])
    archive = Watched(bomb)
    assert len(bomb) > 3 << 16
    with pytest.raises(InvalidArchive, match="tar extension header of 536,870,912 bytes"):
        inspect_archive(archive, len(bomb), file_name(TAR, NAME, VERSION), NAME, VERSION, {}, BOUNDED)
    assert archive.furthest <= 2 << 16


def test_extension_headers_may_hold_64_kib() -> None:
    """A long name of the limit is read past; one byte more is refused."""
    assert read(TAR, tarred(entry("x", b"n" * (1 << 16), kind=tarfile.GNUTYPE_LONGNAME), entry("x"), entry(PKG_INFO, FULL))).raw == FULL
    with pytest.raises(InvalidArchive, match="tar extension header of 65,537 bytes"):
        read(TAR, tarred(entry("x", b"n" * ((1 << 16) + 1), kind=tarfile.GNUTYPE_LONGNAME), entry("x"), entry(PKG_INFO, FULL)))


def test_pax_and_gnu_tars_are_read() -> None:
    """Long paths and odd characters, in either of the formats that build tools write, do no harm."""
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w:gz", format=form) as archive:
            for path, data in (("my_package-1.0/" + "caf\u00e9/" * 60 + "x.py", b"x"), (PKG_INFO, FULL)):
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        assert read(TAR, target.getvalue()).raw == FULL


def test_sparse_files_are_refused() -> None:
    """Neither of tar's sparse formats, whose maps may be of any length, is read (hardening row 38)."""
    record = b"GNU.sparse.major=1\n"
    records = b"".join(b"%d %s" % (len(line) + 3, line) for line in (record, b"GNU.sparse.minor=0\n"))
    sparse_map = b"999999999\n" + b"0\n" * 1000
    pax = tarred(entry("x", records, kind=tarfile.XHDTYPE), entry("my_package-1.0/x", sparse_map), entry(PKG_INFO, FULL))
    gnu = tarred(entry("my_package-1.0/x", b"x", kind=tarfile.GNUTYPE_SPARSE), entry(PKG_INFO, FULL))
    for archive in (pax, gnu):
        with pytest.raises(InvalidArchive, match="holds a sparse file"):
            read(TAR, archive)


def test_a_tar_that_unpacks_to_too_much_is_refused() -> None:
    """Looking for PKG-INFO ends where a small archive unpacks to more than 64 MiB, and not before (hardening row 38)."""

    def behind(size: int) -> bytes:
        return gzipped([entry("my_package-1.0/big", size=size), *[b"\0" * (1 << 20)] * (size >> 20), entry(PKG_INFO, FULL), b"\0" * 1024])

    assert read(TAR, behind(63 << 20)).raw == FULL
    with pytest.raises(InvalidArchive, match="unpacks to more than 67,108,864 bytes"):
        read(TAR, behind(65 << 20))


@pytest.mark.parametrize("filename", [WHEEL, TAR, ZIP])
@pytest.mark.parametrize(
    "garbage", [b"", b"x", b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18, b"\x1f\x8b", b"<html>not found</html>", b"\0" * 5000]
)
def test_what_is_no_archive_is_refused(filename: str, garbage: bytes) -> None:
    """Bytes that are no archive are refused by the file's name and kind."""
    with pytest.raises(InvalidArchive, match=f"Invalid distribution file: '{filename}' "):
        read(filename, garbage)


@pytest.mark.parametrize(("filename", "other"), [(WHEEL, TAR), (TAR, WHEEL), (ZIP, TAR), (TAR, ZIP)])
def test_an_archive_of_the_wrong_kind_is_refused(filename: str, other: str) -> None:
    """A tar called .whl, or a zip called .tar.gz, is not what it says (hardening row 40)."""
    with pytest.raises(InvalidArchive):
        read(filename, build(other, FULL))


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


@pytest.mark.parametrize("method", METHODS)
def test_damage_anywhere_is_never_anything_but_an_invalid_archive(method: int) -> None:
    """One byte changed at every single place of a wheel still reads as metadata, or is refused as an InvalidArchive."""
    whole, refused = zipped((INFO, FULL * 3), method=method), 0
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        try:
            read(WHEEL, bytes(damaged))
        except InvalidArchive:
            refused += 1
    assert refused > len(whole) // 4


@pytest.mark.parametrize("filename", [WHEEL, TAR, ZIP])
def test_an_archive_that_was_cut_off_is_refused(filename: str) -> None:
    """A zip that lacks its end, and a tar that ends before its PKG-INFO, are refused wherever they were cut."""
    whole = build(filename, FULL)
    # A tar is read only as far as its PKG-INFO, which is the whole of it but the padding and the checksum.
    last = len(whole) - 1 if filename != TAR else len(whole) - 60
    assert read(filename, whole).raw == FULL
    for length in range(0, last, 7):
        with pytest.raises(InvalidArchive):
            read(filename, whole[:length])


archives = st.sampled_from([(filename, build(filename, FULL)) for filename in (WHEEL, TAR, ZIP)])


@given(archives, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=6), st.floats(0, 1))
def test_damage_of_any_kind_is_never_anything_but_an_invalid_archive(
    built: tuple[str, bytes], damages: list[tuple[float, bytes]], kept: float
) -> None:
    """An archive that was overwritten in places and cut off reads as some metadata of this very version, or is an InvalidArchive."""
    filename, archive = built
    damaged = bytearray(archive)
    for where, data in damages:
        at = int(where * len(damaged))
        damaged[at : at + len(data)] = data
    damaged = damaged[: int(len(damaged) * kept) + 1]
    try:
        found = read(filename, bytes(damaged))
    except InvalidArchive as error:
        refusal = str(error)
    else:
        refusal = ""
        assert Name(str(found.fields["name"])) == NAME
    assert refusal == "" or filename in refusal


@given(
    st.sampled_from([WHEEL, TAR, ZIP]),
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(HEAD.__add__),
        st.text("Content-Type: multipart/mixed;boundary\n\n -=x\r\0", max_size=80).map(lambda text: HEAD + text.encode()),
    ),
)
def test_hostile_metadata_is_never_anything_but_an_invalid_archive(filename: str, metadata: bytes) -> None:
    """Any bytes as metadata are read, to the byte and as text, or are an InvalidArchive."""
    try:
        found = read(filename, build(filename, metadata))
    except InvalidArchive:
        return
    assert found.raw == metadata
    assert all(isinstance(value, str | tuple) and value for value in found.fields.values())


@given(st.binary(max_size=600).map(lambda tail: entry("x")[:100] + tail), st.integers(-(2**40), 2**40))
def test_hostile_tars_are_never_anything_but_an_invalid_archive(block: bytes, size: int) -> None:
    """Tar headers that lie, even about negative sizes, are an InvalidArchive and always come to an end."""
    lying = tarfile.TarInfo("my_package-1.0/x")
    lying.size = size
    for content in (block, lying.tobuf(tarfile.GNU_FORMAT), entry("x", block, kind=tarfile.XHDTYPE)):
        with pytest.raises(InvalidArchive):
            read(TAR, gzipped([content, b"\0" * 1024]))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (">=3.8", ">=3.8"),
        (">=3.8, <4", ">=3.8, <4"),
        ("", ""),
        ("3.8", ""),
        (">=3.8;", ""),
        ("<script>", ""),
        (">=3.x", ""),
        ("==3.8.*", "==3.8.*"),
    ],
)
def test_only_a_readable_requires_python_is_kept(text: str, kept: str) -> None:
    """A specifier that installers cannot read is dropped, since uv would drop the whole file for it."""
    assert valid_requires_python(text) == kept


@given(st.text(max_size=30))
def test_any_requires_python_has_an_answer(text: str) -> None:
    """Any text is kept as it is or dropped, without an error."""
    assert valid_requires_python(text) in {text, ""}


@pytest.mark.parametrize(("declared", "refused"), [(LISTING_BYTES, False), (LISTING_BYTES + 1, True), (2**32 - 2, True)])
def test_a_central_directory_is_not_read_before_its_size_is_known(declared: int, refused: bool) -> None:
    """A zip that declares a list of members larger than any distribution has is refused for that, unread (hardening row 37)."""
    end = b"PK\5\6" + b"\0" * 8 + declared.to_bytes(4, "little") + b"\0" * 6
    name, version = Name("demo"), Version("1.0")
    wheel = file_name("demo-1.0-py3-none-any.whl", name, version)
    with pytest.raises(InvalidArchive) as caught:
        inspect_archive(io.BytesIO(end), len(end), wheel, name, version, {}, BOUNDED)
    assert ("central directory of more than" in str(caught.value)) is refused
