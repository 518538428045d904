"""Bundles: their list, their framing, their pages."""

import io
import json
import tarfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.bundles.contents import LARGEST_PAGE, BundledPage, Contents, InvalidBundle
from registry.domain.bundles.documents import JSON_TYPE, NOWHERE, page_document
from registry.domain.bundles.framing import read_body, read_head, read_tail, write_end, write_head, write_tail
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, available
from registry.testing import NOON
from registry.upstream.pages import read_page

A, B, C = "a" * 64, "b" * 64, "c" * 64
PAGE = BundledPage(source="upstream", name=Name("thing"), etag='"x"', fetched_at=NOON, sha256=A, size=10)
FILE = KeptFile(source="upstream", name="thing", filename="thing-1.0-py3-none-any.whl", sha256=B, size=20, metadata=(C, 5), licence="MIT")

# --- the list -------------------------------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
SIZES = st.integers(0, 2**63 - 1)
PAGES = st.builds(
    BundledPage,
    source=st.sampled_from(["upstream", "second-1"]),
    name=NAMES.map(Name),
    etag=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    fetched_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001 - replaced
    sha256=DIGESTS,
    size=st.integers(0, LARGEST_PAGE),
)
FILES = NAMES.flatmap(
    lambda name: st.builds(
        KeptFile,
        source=st.just("upstream"),
        name=st.just(name),
        filename=st.sampled_from([f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.tar.gz", f"{name}-1.0-py3-none-any.whl.metadata"]),
        sha256=DIGESTS,
        size=SIZES,
        metadata=st.none() | st.tuples(DIGESTS, SIZES),
        licence=st.none() | st.text(max_size=20),
        told=st.dictionaries(st.just("md5"), DIGESTS.map(lambda digest: digest[:32])).map(lambda told: tuple(told.items())),
    )
)


@given(
    st.lists(PAGES, unique_by=lambda page: (page.source, page.name.normalized), max_size=4),
    st.lists(FILES, unique_by=lambda file: (file.name, file.filename, file.sha256), max_size=4),
)
def test_what_is_listed_is_read(pages: list[BundledPage], files: list[KeptFile]) -> None:
    """Every list comes back as it was written, in whatever order it was put together, and the same contents make the same bytes."""
    contents = Contents(pages=tuple(pages), files=tuple(files))
    try:
        read = Contents.parse(contents.render())
    except InvalidBundle as error:
        assert "two sizes" in str(error)  # noqa: PT017 - of one digest, which only a list made up like this gives
        return
    assert (set(read.pages), set(read.files)) == (set(pages), set(files))
    assert read.render() == contents.render() == Contents(pages=tuple(reversed(pages)), files=tuple(reversed(files))).render()
    assert read.members == contents.members


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The list of one page and one file after a change."""
    value = json.loads(Contents(pages=(PAGE,), files=(FILE,)).render())
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(version=2),
        lambda value: value.update(format="tar"),
        lambda value: value.pop("pages"),
        lambda value: value.update(files={}),
        lambda value: value["pages"].append(1),
        lambda value: value["pages"].append(value["pages"][0]),
        lambda value: value["files"].append(value["files"][0]),
        lambda value: value["pages"][0].update(name="Not_Normal"),
        lambda value: value["pages"][0].update(name="../x"),
        lambda value: value["pages"][0].update(upstream="../x"),
        lambda value: value["pages"][0].update(etag="x\r\nX-Other: y"),
        lambda value: value["pages"][0].update(etag=None),
        lambda value: value["pages"][0].update(fetched_at="yesterday"),
        lambda value: value["pages"][0].update(size=LARGEST_PAGE + 1),
        lambda value: value["pages"][0].update(size=-1),
        lambda value: value["pages"][0].update(size=True),
        lambda value: value["pages"][0].update(sha256="../../" + A[6:]),
        lambda value: value["pages"][0].update(sha256=A.upper()),
        lambda value: value["files"][0].update(filename="../thing-1.0-py3-none-any.whl"),
        lambda value: value["files"][0].update(filename="other-1.0-py3-none-any.whl"),
        lambda value: value["files"][0].update(filename="thing-1.0-py3-none-any.whl\0"),
        lambda value: value["files"][0].update(size=2**63),
        lambda value: value["files"][0].update(size=1.5),
        lambda value: value["files"][0].update(metadata=[]),
        lambda value: value["files"][0].update(metadata={"sha256": B, "size": 21}),
        lambda value: value["files"][0].update(licence=7),
        lambda value: value["files"][0].update(told=None),
        lambda value: value["files"][0].update(told=[]),
        lambda value: value["files"][0].update(told={"md5": "D" * 32}),
        lambda value: value["files"][0].update(told={"md5": "d" * 31}),
        lambda value: value["files"][0].update(told={"md5": "d" * 33}),
        lambda value: value["files"][0].update(told={"md5": 7}),
        lambda value: value["files"][0].update(told={"sha1": "d" * 40}),
        lambda value: value["files"][0].update(told={"sha256": B}),
    ],
)
def test_a_list_that_lies_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    """Entries that are malformed, doubled, contradictory, or name anything but a distribution are refused in words."""
    assert Contents.parse(changed(lambda value: None)) == Contents(pages=(PAGE,), files=(FILE,))
    with pytest.raises(InvalidBundle, match="bundle"):
        Contents.parse(changed(change))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"format": ' + b"9" * 5000 + b"}"])
def test_what_is_no_list_is_refused(data: bytes) -> None:
    """Whatever is no JSON object of ours is refused in words."""
    with pytest.raises(InvalidBundle, match="bundle"):
        Contents.parse(data)


# --- the framing ----------------------------------------------------------------------------------------------------------------------


def framed(path: str, body: bytes) -> bytes:
    """An archive of one file."""
    out = io.BytesIO()
    write_head(out, path, len(body))
    out.write(body)
    write_end(out, len(body))
    write_tail(out, out.tell())
    return out.getvalue()


def read(data: bytes, path: str) -> bytes:
    """The one file of an archive."""
    file, pieces = io.BytesIO(data), list[bytes]()
    read_body(file, path, read_head(file, path)[1], pieces.append)
    read_tail(file)
    return b"".join(pieces)


@given(st.binary(max_size=2000))
def test_what_is_framed_is_read_by_us_and_by_tar(body: bytes) -> None:
    """Any body comes back, here and from Python's own reader, and the archive is as long as tar makes it."""
    data = framed("blobs/x", body)
    assert read(data, "blobs/x") == body
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (member,) = archive.getmembers()
        file = archive.extractfile(member)
        assert file is not None
        assert (member.name, member.isreg(), member.mtime, member.uid, file.read()) == ("blobs/x", True, 0, 0, body)
    assert len(data) % 10240 == 0


def test_a_size_beyond_eight_gigabytes_is_framed() -> None:
    """A file of any size has one block of head (hardening row 38)."""
    for size in (8 << 30, (8 << 30) - 1, 2**62):
        out = io.BytesIO()
        write_head(out, "blobs/x", size)
        assert len(out.getvalue()) == 512
        assert read_head(io.BytesIO(out.getvalue()), "blobs/") == ("blobs/x", size)


@given(st.binary(max_size=600), st.data())
def test_an_archive_that_breaks_off_is_refused(body: bytes, data: st.DataObject) -> None:
    """Wherever an archive ends before its end it is refused."""
    whole = framed("x", body)
    end = 512 + len(body) + -len(body) % 512 + 1024
    with pytest.raises(InvalidBundle):
        read(whole[: data.draw(st.integers(0, end - 1))], "x")


def special(kind: bytes, name: str = "x", **facts: Any) -> bytes:
    """The head of something that is not what it has to be."""
    head = tarfile.TarInfo(name)
    head.type = kind
    for key, value in facts.items():
        setattr(head, key, value)
    return head.tobuf(tarfile.GNU_FORMAT) + bytes(10240)


@pytest.mark.parametrize(
    "data",
    [
        special(tarfile.SYMTYPE, linkname="/etc/passwd"),
        special(tarfile.LNKTYPE, linkname="x"),
        special(tarfile.DIRTYPE),
        special(tarfile.CHRTYPE),
        special(tarfile.FIFOTYPE),
        special(tarfile.AREGTYPE),
        special(tarfile.GNUTYPE_SPARSE, size=1 << 40),
        special(tarfile.GNUTYPE_LONGNAME, size=1 << 40),
        special(tarfile.XHDTYPE, size=1 << 40),
        special(tarfile.XGLTYPE, size=1 << 40),
        special(tarfile.REGTYPE, "../x"),
        special(tarfile.REGTYPE, "/x"),
        special(tarfile.REGTYPE, "y"),
        special(tarfile.REGTYPE, size=-5),
        framed("x", b"")[:100] + b"\1" + framed("x", b"")[101:],
        b"PK\3\4" + bytes(1000),
        b"\x1f\x8b" + bytes(1000),
        b"",
    ],
)
def test_anything_but_the_file_expected_is_refused(data: bytes) -> None:
    """Links, folders, devices, sparse files, long names, other paths, bad checksums and other archives are refused unread (row 38)."""
    with pytest.raises(InvalidBundle):
        read(data, "x")


@pytest.mark.parametrize("more", [framed("y", b"1"), b"\1", bytes(10240 + 513)])
def test_nothing_may_follow(more: bytes) -> None:
    """What the list does not name is refused, wherever it hides behind the last file."""
    out = io.BytesIO()
    write_head(out, "x", 0)
    assert read(framed("x", b""), "x") == b""
    with pytest.raises(InvalidBundle, match="does not name"):
        read(out.getvalue() + bytes(1024) + more, "x")


@given(st.binary(max_size=1500))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Whatever bytes come, reading ends with a body or with `InvalidBundle`."""
    with suppress(InvalidBundle):
        read(data, "x")


# --- pages ----------------------------------------------------------------------------------------------------------------------------

PLAIN = File(
    id=0,
    filename="thing-1.0-py3-none-any.whl",
    version="1.0",
    sha256=A,
    size=7,
    requires_python=">=3.8",
    uploaded_at=NOON + timedelta(microseconds=7),
    yanked=None,
    metadata_sha256=B,
    provenance=True,
    source="upstream",
    url="https://files.example/thing-1.0-py3-none-any.whl",
    provenance_url="https://files.example/provenance",
    digests=(("md5", "d" * 32),),
)


@pytest.mark.parametrize(
    "file",
    [
        PLAIN,
        evolve(PLAIN, yanked=""),
        evolve(PLAIN, yanked="broken \u2603 </script>"),
        evolve(PLAIN, size=None, uploaded_at=None, requires_python="", metadata_sha256="", provenance=False, provenance_url="", digests=()),
        evolve(PLAIN, sha256="", digests=()),
        evolve(PLAIN, filename="thing-1.0.tar.gz", url="https://files.example/thing-1.0.tar.gz", sha256="", digests=(("md5", "d" * 32),)),
    ],
)
def test_a_page_is_the_same_after_the_journey(file: File) -> None:
    """Every fact that an upstream told of a file, and of its name, is there when the page is read again."""
    page = Page(name=Name("thing"), display="Thing", files=(file,), status=ProjectStatus.ARCHIVED, status_reason="done")
    read = read_page(page_document(page), JSON_TYPE, NOWHERE, page.name, "upstream")
    assert read.dropped == ()
    assert read.page == page


def test_a_page_of_who_can_ask_nobody_lists_what_is_here() -> None:
    """Files that are not kept are left out, as are metadata and provenance that nobody could serve; another upstream's do not help."""
    source, other = (
        evolve(PLAIN, filename="thing-1.0.tar.gz", sha256="", size=1),
        evolve(PLAIN, filename="thing-2.0-py3-none-any.whl", sha256=B),
    )
    page = Page(name=Name("thing"), display="thing", files=(PLAIN, source, other))

    def kept(filename: str, sha256: str, metadata: tuple[str, int] | None = None, source: str = "upstream") -> KeptFile:
        return KeptFile(source=source, name="thing", filename=filename, sha256=sha256, size=1, metadata=metadata)

    here = [kept(PLAIN.filename, A), kept(source.filename, C), kept(other.filename, B, source="second"), kept(other.filename, A)]
    bare = [evolve(file, metadata_sha256="", provenance=False, provenance_url="") for file in (PLAIN, source)]
    assert available(page, here).files == tuple(bare)
    beside = [*here, kept(f"{PLAIN.filename}.metadata", B, (B, 0))]
    assert available(page, beside).files[0] == evolve(PLAIN, provenance=False, provenance_url="")
    assert available(page, []).files == ()


def test_what_was_found_out_here_does_not_travel() -> None:
    """A size or digest of metadata that the upstream did not tell is left out, and found out anew from the files beside."""
    page = Page(name=Name("thing"), display="thing", files=(evolve(PLAIN, filled=("size", "core-metadata", "upload-time")),))
    (entry,) = json.loads(page_document(page))["files"]
    assert not entry.keys() & {"size", "core-metadata", "upload-time"}
