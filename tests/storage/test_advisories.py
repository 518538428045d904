"""The operator's copy of an advisory database on disk."""

import os
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from packaging.version import Version as Pep440

from registry.domain.curation.advisories import Advisories
from registry.domain.curation.severity import Severity
from registry.domain.errors import InvalidSetting
from registry.storage.advisories import AdvisoryDirectory
from tests.domain.curation.records import record

LIMIT = 8 << 20


def affecting(advisories: Advisories, version: str = "1.0", name: str = "app") -> str | None:
    """The id of the worst advisory about a version."""
    about = advisories.about(name)
    found = about.worst(Pep440(version), Severity.NONE) if about else None
    return found.id if found else None


def put(path: Path, data: bytes) -> None:
    """Write a file as one must: aside, and then in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.new")
    aside.write_bytes(data)
    aside.replace(path)


def zipped(path: Path, **members: bytes) -> None:
    """An all.zip with these members."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.json", data)


def test_records_are_found_wherever_they_lie(tmp_path: Path) -> None:
    """JSON files in the directory and below it, and in an all.zip, are one set; other files and other ecosystems are nothing."""
    put(tmp_path / "A.json", record(id="A", name="a", versions=["1.0"]))
    put(tmp_path / "deep" / "er" / "B.json", record(id="B", name="b", versions=["1.0"]))
    zipped(tmp_path / "deep" / "all.zip", C=record(id="C", name="c", versions=["1.0"]))
    put(tmp_path / "README.md", b"hello")
    put(tmp_path / "other.zip", b"hello")
    put(tmp_path / "D.json", record(id="D", name="d", versions=["1.0"]).replace(b"PyPI", b"npm"))
    reading = AdvisoryDirectory(tmp_path).read()
    assert [affecting(reading.advisories, name=name) for name in "abcd"] == ["A", "B", "C", None]
    assert (reading.records, reading.malformed, len(reading.advisories)) == (3, 0, 3)


def test_an_empty_directory_holds_nothing(tmp_path: Path) -> None:
    """A directory without records is no mistake: they may come later."""
    directory = AdvisoryDirectory(tmp_path)
    assert directory.read().records == 0
    put(tmp_path / "A.json", record(versions=["1.0"]))
    assert affecting(directory.read().advisories) == "GHSA-1"


@pytest.mark.parametrize("kind", ["absent", "a file"])
def test_a_directory_that_is_none_is_told(tmp_path: Path, kind: str) -> None:
    """What is missing or no directory is an InvalidSetting that names the setting."""
    path = tmp_path / "osv"
    if kind == "a file":
        path.write_bytes(b"")
    with pytest.raises(InvalidSetting, match=r"\[curation\] osv .*osv.* is invalid: .* cannot be read .*; use the path of a directory"):
        AdvisoryDirectory(path).read()


def test_what_has_not_changed_is_the_very_same(tmp_path: Path) -> None:
    """As long as no file changes, every reading is the one before, so that nothing is made anew that was made of it."""
    put(tmp_path / "A.json", record(versions=["1.0"]))
    put(tmp_path / "bad.json", b"{")
    zipped(tmp_path / "all.zip", C=record(id="C", name="c", versions=["1.0"]))
    directory = AdvisoryDirectory(tmp_path)
    first = directory.read()
    assert directory.read() is first
    put(tmp_path / "notes.txt", b"not a record")
    assert directory.read() is first


@pytest.mark.parametrize("where", ["file", "zip"])
def test_changes_are_read(tmp_path: Path, where: str) -> None:
    """A record that comes, changes or goes is so in the next reading, and only then."""

    def write(**members: bytes) -> None:
        if where == "zip":
            zipped(tmp_path / "new.zip", **members)
            (tmp_path / "new.zip").replace(tmp_path / "all.zip")
            return
        for gone in {path.stem for path in tmp_path.glob("*.json")} - members.keys():
            (tmp_path / f"{gone}.json").unlink()
        for name, data in members.items():
            put(tmp_path / f"{name}.json", data)

    directory = AdvisoryDirectory(tmp_path)
    write(A=record(id="A", versions=["1.0"]))
    first = directory.read()
    write(A=record(id="A", versions=["1.0"]), B=record(id="B", versions=["2.0"]))
    second = directory.read()
    assert [affecting(second.advisories, version) for version in ("1.0", "2.0")] == ["A", "B"]
    write(A=record(id="A", versions=["3.0"]), B=record(id="B", versions=["2.0"]))
    third = directory.read()
    assert [affecting(third.advisories, version) for version in ("1.0", "2.0", "3.0")] == [None, "B", "A"]
    write(B=record(id="B", versions=["2.0"]))
    assert [affecting(directory.read().advisories, version) for version in ("1.0", "2.0", "3.0")] == [None, "B", None]
    assert affecting(first.advisories) == "A", "what was read before stays what it was"


def test_malformed_records_are_counted_and_hide_nothing(tmp_path: Path) -> None:
    """What cannot be read, in a file or in the zip, is counted; what can be counts."""
    put(tmp_path / "A.json", record(versions=["1.0"]))
    for number, data in enumerate([b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, record(id="")]):
        put(tmp_path / f"bad-{number}.json", data)
    zipped(tmp_path / "all.zip", C=record(id="C", name="c", versions=["1.0"]), bad=b"nothing")
    reading = AdvisoryDirectory(tmp_path).read()
    assert (reading.records, reading.malformed) == (2, 7)
    assert (affecting(reading.advisories), affecting(reading.advisories, name="c")) == ("GHSA-1", "C")


def test_a_refresh_is_no_moment_without_advisories(tmp_path: Path) -> None:
    """A file or zip that is half-written stays what it was when it could last be read, until it can be again (hardening row 20)."""
    put(tmp_path / "A.json", record(id="A", versions=["1.0"]))
    zipped(tmp_path / "all.zip", B=record(id="B", versions=["2.0"]))
    directory = AdvisoryDirectory(tmp_path)
    directory.read()
    whole = (tmp_path / "all.zip").read_bytes()
    put(tmp_path / "A.json", record(id="A", versions=["1.0"])[:-20])
    put(tmp_path / "all.zip", whole[:-30])
    for _ in range(2):
        reading = directory.read()
        assert [affecting(reading.advisories, version) for version in ("1.0", "2.0")] == ["A", "B"]
        assert reading.malformed == 2
    put(tmp_path / "A.json", record(id="A", versions=["1.1"]))
    put(tmp_path / "all.zip", whole)
    reading = directory.read()
    assert [affecting(reading.advisories, version) for version in ("1.0", "1.1", "2.0")] == [None, "A", "B"]
    assert reading.malformed == 0


def test_a_damaged_member_is_one_record(tmp_path: Path) -> None:
    """A member whose bytes are damaged is counted, and those beside it are read."""
    zipped(tmp_path / "all.zip", A=record(id="A", versions=["1.0"]), B=record(id="B", versions=["2.0"]))
    data = bytearray((tmp_path / "all.zip").read_bytes())
    data[45] ^= 0xFF  # within the first member's deflated bytes
    (tmp_path / "all.zip").write_bytes(data)
    reading = AdvisoryDirectory(tmp_path).read()
    assert (reading.records, reading.malformed) == (1, 1)
    assert affecting(reading.advisories, "2.0") == "B"


@pytest.mark.parametrize("where", ["file", "zip"])
def test_a_record_has_a_longest_size(tmp_path: Path, where: str) -> None:
    """A record of 8 MiB is read, one byte more is malformed."""
    data = record(versions=["1.0"])
    for size, malformed in ((LIMIT, 0), (LIMIT + 1, 1)):
        padded = data + b" " * (size - len(data))
        if where == "file":
            put(tmp_path / str(size) / "A.json", padded)
        else:
            (tmp_path / str(size)).mkdir()
            zipped(tmp_path / str(size) / "all.zip", A=padded)
        reading = AdvisoryDirectory(tmp_path / str(size)).read()
        assert (reading.malformed, reading.records) == (malformed, 1 - malformed)


def test_a_pipe_is_no_record(tmp_path: Path) -> None:
    """What would wait for ever when opened is not opened."""
    os.mkfifo(tmp_path / "A.json")
    os.mkfifo(tmp_path / "all.zip")
    (tmp_path / "B.json").mkdir()
    assert AdvisoryDirectory(tmp_path).read().records == 0
