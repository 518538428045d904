"""Inspection as a whole: no input but has an answer, what is taken is read alike by everybody, and nothing costs more than it should."""

import hashlib
import io
import random
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from struct import unpack_from

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.domain.archives.advice import advice
from registry.domain.archives.bounds import METADATA_BYTES
from registry.domain.archives.checks import Check, Checks
from registry.domain.errors import InvalidArchive
from registry.domain.names import Name
from registry.testing import distributions
from tests.domain.archives.distributions import INFO, LENIENT, METADATA, STRICT, TAR, WHEEL, ZIP, files, look, records, sdist, tar_member
from tests.domain.archives.zip_records import Record, zip_of
from tests.strategies import texts

GOOD = {WHEEL: zip_of(records(), comment=b"comment"), TAR: sdist(tar_member("my_package-1.0/x", b"x" * 99))}
KINDS = pytest.mark.parametrize("filename", [WHEEL, TAR])


def linear(content: bytes) -> dict[str, bytes]:
    """The members of a zip for a reader that goes forward and trusts nothing but local records."""
    found, at = {}, 0
    while content[at : at + 4] == b"PK\3\4":
        _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = unpack_from("<5H3L2H", content, at + 4)
        begins = at + 30 + name_bytes + extra_bytes
        data = content[begins : begins + packed]
        name = content[at + 30 : at + 30 + name_bytes].decode("utf-8" if flags & 0x800 else "cp437")
        unpacked = zlib.decompress(data, -15) if method == 8 else data
        assert (len(unpacked), zlib.crc32(unpacked)) == (size, crc)
        assert name not in found
        found[name] = unpacked
        at = begins + packed
    assert content[at : at + 4] == b"PK\1\2"
    return found


def by_zipfile(content: bytes) -> dict[str, bytes]:
    """The members of a zip for a reader that goes by its end."""
    with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
        return {entry.filename: unpacked.read(entry) for entry in unpacked.infolist()}


damages = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"PK\5\6", b"PK\1\2"]))),
    min_size=1,
    max_size=4,
)


@given(st.sampled_from([WHEEL, TAR]), damages, st.floats(0, 1), st.booleans(), st.sampled_from([STRICT, LENIENT, Checks(on=frozenset())]))
@settings(max_examples=300)
def test_damage_is_refused_or_changes_nothing(
    filename: str, holes: list[tuple[float, bytes]], kept: float, insert: bool, checks: Checks
) -> None:
    """A distribution overwritten in places, added to and cut off is an InvalidArchive, or (strictly) is read alike by every reader."""
    damaged = bytearray(GOOD[filename])
    for where, data in holes:
        at = int(where * len(damaged))
        damaged[at : at if insert else at + len(data)] = data
    content = bytes(damaged[: int(len(damaged) * max(kept, 0.05)) + 1] if kept < 0.5 else damaged)
    try:
        found = look(content, filename, checks=checks)
    except InvalidArchive as error:
        refusal = str(error)
    else:
        refusal = ""
    assert len(refusal) <= 280
    if refusal:
        return
    assert Name(str(found.metadata.fields["name"])) == Name("my-package")
    if filename == WHEEL and checks is STRICT:
        assert linear(content) == by_zipfile(content)


def test_a_byte_changed_anywhere_is_refused_or_changes_nothing() -> None:
    """At every single place of a wheel, a changed byte is refused or leaves a wheel that every reader reads alike."""
    whole, refused = GOOD[WHEEL], 0
    for at in range(len(whole)):
        for flip in (0xFF, *(1 << bit for bit in range(8))):
            damaged = bytearray(whole)
            damaged[at] ^= flip
            try:
                look(bytes(damaged))
            except InvalidArchive:
                refused += 1
            else:
                assert linear(bytes(damaged)) == by_zipfile(bytes(damaged)) == by_zipfile(whole)
    assert refused > len(whole) * 7


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\\:"), min_size=1, max_size=12)


member_maps = st.dictionaries(names.map(lambda name: f"a/{name.replace('/', '_')}~"), st.binary(max_size=200), max_size=6)


@given(member_maps, st.booleans(), st.binary(max_size=20))
def test_any_honest_wheel_is_taken(members: Mapping[str, bytes], packed: bool, comment: bytes) -> None:
    """A wheel that zipfile writes from any files with a true RECORD is taken, and its metadata comes out to the byte."""
    honest = distributions.wheel_of({**files(), **members}, INFO)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.comment = b"" if b"PK" in comment else comment
        for path, data in by_zipfile(honest).items():
            archive.writestr(path, data)
    found = look(written.getvalue()).metadata
    assert (found.raw, found.sha256) == (METADATA, hashlib.sha256(METADATA).hexdigest())
    assert linear(written.getvalue()) == by_zipfile(honest)


def test_the_wheels_and_sdists_of_our_tests_are_honest() -> None:
    """What the shipped fakes build passes every check."""
    for built in (
        distributions.wheel("my-package", requires_python=">=3.11", payload=b"x"),
        distributions.wheel("my-package", tag="py2.py3-none-any"),
        distributions.sdist("my-package"),
    ):
        assert look(built.content, built.filename).warnings == ()


@KINDS
@pytest.mark.parametrize(
    ("form", "agrees"),
    [
        ("", True),
        (">=3.11", True),
        (" >= 3.11.0 ", True),
        (">=3.11,>=3.11", True),
        (">=3.10", False),
        ("3.11", False),
        (">=3.11,<4", False),
    ],
)
def test_requires_python_of_the_form_means_what_the_file_says(filename: str, form: str, agrees: bool) -> None:
    """The form may spell Requires-Python otherwise, or leave it out; another meaning is refused if checked (hardening row 44)."""
    declared = {"requires_python": form} if form else {}
    assert look(GOOD[filename], filename, declared=declared, checks=LENIENT).metadata.requires_python == ">=3.11"
    if agrees:
        assert look(GOOD[filename], filename, declared=declared).metadata.requires_python == ">=3.11"
    else:
        with pytest.raises(InvalidArchive, match=r"has the Requires-Python '>=3.11' in its metadata, but the form says"):
            look(GOOD[filename], filename, declared=declared)


def test_a_requires_python_that_the_form_was_cut_for_agrees() -> None:
    """A Requires-Python longer than is kept of a form's field is compared as it was cut; one too long to read agrees with its own text."""
    for count, cut in ((40, 255), (1000, 255)):
        specifier = ",".join(f"!=3.{number}" for number in range(count)).ljust(300, " ").strip() + ",>=3.0"
        wheel = zip_of(records(files(METADATA=METADATA.replace(b">=3.11", specifier.encode()))))
        assert look(wheel, declared={"requires_python": specifier}).metadata.requires_python == specifier
        if len(specifier) > cut:
            assert look(wheel, declared={"requires_python": f"{specifier[: cut - 3]}..."}).metadata.requires_python == specifier


@KINDS
@pytest.mark.parametrize(
    ("headers", "warning"),
    [
        ("Metadata-Version: 2.0", "'2.0' is not a valid metadata version"),
        ("Metadata-Version: 2.99", "'2.99' is not a valid metadata version"),
        ("Metadata-Version: 1.0\nProvides-Extra: x", "provides-extra introduced in metadata version 2.1, not 1.0"),
        ("Metadata-Version: 2.1\nLicense-Expression: MIT", "license-expression introduced in metadata version 2.4"),
        ("Metadata-Version: 2.1\nRequires-Dist: foo (>1", "'foo (>1' is invalid for 'requires-dist'"),
        ("Metadata-Version: 2.1\nClassifier: Made :: Up", "The classifier 'Made :: Up' is unknown"),
        ("Metadata-Version: 2.1\nClassifier: Natural Language :: Ukranian", "The classifier 'Natural Language :: Ukranian' is deprecated"),
        ("Metadata-Version: 2.1\nX-Odd: 1", "The metadata field 'x-odd' is unknown or cannot be read"),
        ("Metadata-Version: 2.1\nSummary: a\nSummary: b", "The metadata field 'summary' is unknown or cannot be read"),
    ],
)
def test_what_build_tools_get_wrong_is_a_warning(filename: str, headers: str, warning: str) -> None:
    """Metadata that is not up to the specification is taken, and its uploader told (hardening row 43)."""
    metadata = f"{headers}\nName: my-package\nVersion: 1.0\n\n".encode()
    found = look(zip_of(records(files(METADATA=metadata))) if filename == WHEEL else sdist(metadata=metadata), filename)
    assert len(found.warnings) == 1
    assert warning in found.warnings[0]


def test_private_classifiers_are_not_told() -> None:
    """Classifiers that keep a package off the public index are what a private one is for."""
    assert advice(METADATA.replace(b"Requires", b"Classifier: Private :: Do Not Upload\nRequires")) == ()


@given(st.one_of(st.binary(max_size=300), texts.map(str.encode), texts.map(lambda text: METADATA + text.encode())))
def test_any_metadata_has_its_advice(raw: bytes) -> None:
    """Warnings are at most eleven printable sentences, whatever the metadata."""
    found = advice(raw)
    assert len(found) <= 11
    assert all(sentence.isascii() and sentence.isprintable() and len(sentence) <= 240 for sentence in found)


def test_there_are_at_most_eleven_warnings() -> None:
    """Of a hundred odd things ten are told and the rest counted; headers of more than 64 KiB are not looked at."""
    many = b"Metadata-Version: 2.1\n" + b"".join(b"Classifier: Odd :: %d\n" % number for number in range(100))
    found = advice(many + b"Name: my-package\nVersion: 1.0\n")
    assert len(found) == 11
    assert found[-1] == "There are 90 more such things in the metadata"
    assert advice(b"Keywords: " + b"x" * (64 << 10)) == ("The metadata has more than 65,536 bytes of headers, which were not looked at",)


HEAD = b"Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"
LARGE = {
    "a description of 5 MB": HEAD + b"\n" + b"<script>\n" * 550_000,
    "a field of 5 MB": HEAD + b"Summary: " + b"<b>" * 1_600_000,
    "a Requires-Python of 5 MB": HEAD + b"Requires-Python: " + b",".join([b">=1"] * 1_200_000),
    "200,000 requirements": HEAD + b"".join(b"Requires-Dist: p%d\n" % number for number in range(200_000)),
}


@KINDS
@pytest.mark.parametrize("case", LARGE)
def test_large_metadata_takes_bounded_time_and_memory(filename: str, case: str) -> None:
    """5 MB of metadata, wherever they stand in it, are read within seconds and a few times their size (hardening row 39)."""
    content = zip_of(records(files(METADATA=LARGE[case]))) if filename == WHEEL else sdist(metadata=LARGE[case])
    began = time.process_time()
    assert look(content, filename).metadata.raw == LARGE[case]
    assert time.process_time() - began < 5


@KINDS
def test_metadata_of_more_than_8_mib_is_refused(filename: str) -> None:
    """Metadata of exactly the limit is read; one byte more is refused (hardening row 39)."""
    for size, taken in ((METADATA_BYTES, True), (METADATA_BYTES + 1, False)):
        metadata = HEAD + b"\n" + random.Random(size).randbytes(1 << 20) + b"x" * (size - len(HEAD) - 1 - (1 << 20))
        content = zip_of(records(files(METADATA=metadata))) if filename == WHEEL else sdist(metadata=metadata)
        if taken:
            assert len(look(content, filename).metadata.raw) == METADATA_BYTES
        else:
            with pytest.raises(InvalidArchive, match="of more than 8,388,608 bytes"):
                look(content, filename)


def test_memory_stays_flat_over_large_members() -> None:
    """Members are hashed a piece at a time: 48 MiB in one take a few MiB (hardening rows 39 and 47)."""
    large = bytes(48 << 20)
    content = zip_of([*records({**files(), "large": large})])
    stored = zip_of([Record(name=it.name, content=it.content) for it in records({**files(), "large": large})])
    for whole in (content, stored):
        tracemalloc.start()
        try:
            look(whole)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < len(whole) + (8 << 20)


@pytest.mark.parametrize("filename", [WHEEL, TAR, ZIP])
@pytest.mark.parametrize("level", ["strict", "lenient"])
def test_what_is_no_archive_is_refused_by_its_name(filename: str, level: str) -> None:
    """Bytes that are no archive, or one of another kind, are refused at every level (hardening row 40)."""
    for content in (
        b"",
        b"x",
        b"PK\5\6" + b"\0" * 18,
        b"\x1f\x8b",
        b"\x1f\x8b\x08\0",
        b"<html>",
        bytes(5000),
        GOOD[TAR if filename != TAR else WHEEL],
    ):
        with pytest.raises(InvalidArchive, match=f"Invalid distribution file: '{filename}' "):
            look(content, filename, checks=Checks.of(level))


@pytest.mark.parametrize("check", [check for check in Check if check.strict], ids=lambda check: check.value)
def test_any_check_may_be_off(check: Check) -> None:
    """Honest files are taken without any one check, and with that check alone."""
    for checks in (Checks.of("strict", without=[check.value]), Checks(on=frozenset({check}))):
        for filename, content in GOOD.items():
            assert look(content, filename, checks=checks).metadata.raw == METADATA


def test_tars_are_read_alike_by_tarfile() -> None:
    """What is taken from a tar is what tarfile takes from it."""
    with tarfile.open(fileobj=io.BytesIO(GOOD[TAR])) as unpacked:
        stream = unpacked.extractfile("my_package-1.0/PKG-INFO")
        assert stream is not None
        assert stream.read() == look(GOOD[TAR], TAR).metadata.raw
