"""Archives of which only parts are here."""

import io
import zipfile
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.archives.checks import Checks
from registry.domain.archives.core_metadata import CoreMetadata
from registry.domain.archives.inspection import inspect_archive
from registry.domain.archives.partial import Missing, PartialFile
from registry.domain.errors import InvalidArchive
from registry.domain.filenames import file_name
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.testing import wheel
from tests.domain.archives.distributions import INFO, METADATA, WHEEL, WHEEL_FILE

NAME, VERSION = Name("my-package"), Version("1.0")
CHECKS = Checks.of("lenient", without=["polyglot"])
_ROUNDS = 40


def metadata_of(archive: Any, size: int) -> CoreMetadata | None:
    """What an archive offers beside itself, None if it cannot be read."""
    try:
        return inspect_archive(archive, size, file_name(WHEEL, NAME, VERSION), NAME, VERSION, {}, CHECKS).metadata
    except InvalidArchive:
        return None


def by_parts(content: bytes, tail: int, ahead: int) -> tuple[CoreMetadata | None, int]:
    """The same out of nothing but the last `tail` bytes and what is missing, with so many bytes more; and how many bytes that took."""
    archive, asked = PartialFile(len(content)), min(tail, len(content))
    archive.add(len(content) - asked, content[len(content) - asked :])
    for _ in range(_ROUNDS):
        try:
            return metadata_of(archive, len(content)), asked
        except Missing as missing:
            part = content[missing.start : missing.stop + ahead]
            asked += len(part)
            if missing.stop > len(content) or not part:
                break
            archive.add(missing.start, part)
    raise AssertionError("it does not come to an end, or asks for what there is not")


@st.composite
def wheels(draw: st.DrawFn) -> bytes:
    """Wheels with their members in any order, stored or deflated, a comment behind."""
    text = draw(st.text(st.characters(codec="utf-8"), max_size=300)).encode()
    members = {
        f"{INFO}/METADATA": METADATA + text,
        f"{INFO}/WHEEL": WHEEL_FILE,
        "my_package/data.bin": draw(st.binary(max_size=2000)) * draw(st.integers(1, 40)),
        "my_package/__init__.py": b"",
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path in draw(st.permutations(sorted(members))):
            archive.writestr(path, members[path], draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
        archive.comment = draw(st.binary(max_size=50))
    return written.getvalue()


@given(content=wheels(), tail=st.integers(0, 3000), ahead=st.integers(0, 3000))
def test_by_parts_it_is_what_it_is_whole(content: bytes, tail: int, ahead: int) -> None:
    """Whatever parts a wheel comes in, its metadata is that of the whole wheel."""
    whole = metadata_of(io.BytesIO(content), len(content))
    assert whole is not None
    assert by_parts(content, tail, ahead)[0] == whole


@given(content=wheels(), spoil=st.data(), tail=st.integers(0, 3000))
def test_a_spoilt_one_is_read_or_refused_alike(content: bytes, spoil: st.DataObject, tail: int) -> None:
    """Bytes that were changed, cut off or put in lead to what they lead to in the whole wheel, and to no other error."""
    at = spoil.draw(st.integers(0, len(content)))
    gone = spoil.draw(st.integers(0, 30))
    spoilt = content[:at] + spoil.draw(st.binary(max_size=30)) + content[at + gone :]
    assert by_parts(spoilt, tail, 0)[0] == metadata_of(io.BytesIO(spoilt), len(spoilt))


@given(content=st.binary(max_size=500), tail=st.integers(0, 600))
def test_what_is_no_zip_is_refused(content: bytes, tail: int) -> None:
    """Any bytes at all are refused, whichever of them are here."""
    assert by_parts(content, tail, 0)[0] is None


def test_little_of_a_large_wheel_is_needed() -> None:
    """Of a wheel of a megabyte whose metadata comes last, its end is enough."""
    content = wheel("my-package", "1.0", payload=bytes(1 << 20)).content
    found, asked = by_parts(content, 66 << 10, 0)
    assert found is not None
    assert found.raw == wheel("my-package", "1.0").metadata
    assert asked == 66 << 10


@given(content=st.binary(min_size=1, max_size=200), parts=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 80))), seek=st.data())
def test_reading_gives_what_is_there_or_says_what_is_missing(content: bytes, parts: list[tuple[int, int]], seek: st.DataObject) -> None:
    """Reading what is here, be it in pieces, is as reading a whole file; of the rest it names bytes that are missing, and moves nothing."""
    archive, whole = PartialFile(len(content)), io.BytesIO(content)
    here: set[int] = set()
    for start, length in parts:
        archive.add(start, content[start : start + length])
        here.update(range(start, min(start + length, len(content))))
    at, count = seek.draw(st.integers(0, 250)), seek.draw(st.integers(-1, 250))
    assert archive.seek(at) == whole.seek(at)
    expected = whole.read(count)
    lacking = sorted(set(range(at, at + len(expected))) - here)
    if not lacking:
        assert archive.read(count) == expected
        assert archive.tell() == whole.tell()
        return
    with pytest.raises(Missing) as raised:
        archive.read(count)
    missing = raised.value
    assert missing.start == lacking[0]
    assert set(range(missing.start, missing.stop)) <= set(lacking)
    assert archive.tell() == at


@pytest.mark.parametrize(
    ("offset", "whence", "at"), [(3, io.SEEK_SET, 3), (-2, io.SEEK_END, 8), (1, io.SEEK_CUR, 6), (20, io.SEEK_SET, 20)]
)
def test_seeking_is_that_of_a_file(offset: int, whence: int, at: int) -> None:
    """Places are counted from the beginning, from here and from the end; behind the end there is nothing, before the beginning an error."""
    archive = PartialFile(10)
    archive.seek(5)
    assert (archive.seek(offset, whence), archive.tell()) == (at, at)
    for refused in (partial(archive.seek, -1), partial(archive.seek, -11, io.SEEK_END)):
        with pytest.raises(OSError, match="before the beginning"):
            refused()
    assert archive.tell() == at
