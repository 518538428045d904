"""What is known of other indexes: who is asked, which names a file may be of, and pages that are packed, merged and completed."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.facts import CORE_METADATA, HASHES, SIZE, UPLOAD_TIME, Fact, fact, found_out, told
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.upstream import (
    KeptFile,
    Mode,
    Upstream,
    carried,
    completed,
    merged,
    names_in,
    pack,
    page_candidates,
    replaced,
    standing_for,
    stands_for,
    unpack,
)
from tests.strategies import Distribution, distributions, names, pages, sha256s
from tests.upstream_pages import SOURCE, upstream_pages

NAME = Name("foo")
FILE = File(
    id=0,
    filename="foo-1.0.tar.gz",
    version="1.0",
    sha256="a" * 64,
    size=None,
    requires_python="",
    uploaded_at=None,
    source=SOURCE,
    url="https://files.test/foo-1.0.tar.gz",
)
KEPT = KeptFile(source=SOURCE, name="foo", filename=FILE.filename, sha256=FILE.sha256, size=7, metadata=("b" * 64, 3))


def page_of(*files: File, status: ProjectStatus = ProjectStatus.ACTIVE) -> Page:
    """A page of foo."""
    return Page(name=NAME, display="foo", files=files, status=status)


# --- who is asked ---


@pytest.mark.parametrize(
    ("patterns", "name", "serves"),
    [
        ((), "anything", True),
        (("acme-*",), "acme-core", True),
        (("acme-*",), "acme", False),
        (("a", "b"), "b", True),
        (("a",), "ab", False),
    ],
)
def test_patterns_say_what_an_upstream_is_asked(patterns: tuple[str, ...], name: str, serves: bool) -> None:
    """An upstream with patterns is asked for names that fit one of them, one without for every name."""
    assert Upstream(name="u", url="https://u.test/", names=patterns).serves(name) is serves


def test_an_upstream_that_is_off_is_asked_nothing() -> None:
    """Mode `off` serves no name, whatever the patterns say."""
    assert not Upstream(name="u", url="https://u.test/", names=("foo",), mode=Mode.OFF).serves("foo")


@given(names())
def test_a_page_address_has_nothing_of_the_client_but_the_normalised_name(spelling: str) -> None:
    """Whatever spelling is asked for, the addresses are the configured one and a normalised name below it (hardening row 9)."""
    name = Name(spelling).normalized
    assert page_candidates("https://u.test/whl/", name) == (f"https://u.test/whl/{name}/", "https://u.test/whl/")


@pytest.mark.parametrize(
    "url", ["https://u.test/simple/", "https://u.test/Simple/", "https://u.test/root/pypi/+simple/", "https://u.test/simple"]
)
def test_an_index_of_names_is_not_asked_for_files(url: str) -> None:
    """What calls itself simple is never fetched as a directory: PyPI's has tens of megabytes."""
    assert page_candidates(url, "foo") == (f"{url}foo/",)


# --- file names ---


@given(distributions())
def test_the_name_of_a_file_is_among_those_in_its_file_name(built: Distribution) -> None:
    """Of every wheel and sdist the name is found, however it is spelt."""
    assert Name(built.name) in names_in(built.filename)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("foo_bar-1.0-py3-none-any.whl", ["foo-bar"]),
        ("foo_bar-1.0-7-py3-none-any.whl", ["foo-bar"]),
        ("foo-bar-1.0.tar.gz", ["foo-bar"]),
        ("foo-2-1.zip", ["foo-2", "foo"]),
        ("foo-1.0-1.tar.gz", ["foo-1-0", "foo"]),
        ("Foo.Bar-1.0.tar.gz", ["foo-bar"]),
        ("foo-1.0.tar.bz2", []),
        ("foo-1.0.exe", []),
        ("foo.tar.gz", []),
        ("foo-bar.tar.gz", []),
        ("-1.0.tar.gz", []),
        (".tar.gz", []),
        ("", []),
        ("foo.whl", []),
        ("foo-1.0-any.whl", []),
        ("foo-bar-py3-none-any.whl", []),
        ("foo-1.0-a-b-py3-none-any.whl", []),
        (f"{'a' * 244}-1.0.tar.gz", ["a" * 244]),
        (f"{'a' * 245}-1.0.tar.gz", []),
        ("1-" * 100_000 + ".tar.gz", []),
    ],
)
def test_names_in_a_file_name(filename: str, expected: list[str]) -> None:
    """The likeliest name comes first; what is no file name of a wheel or sdist, or has over 255 characters, is of no name."""
    assert [name.normalized for name in names_in(filename)] == expected


@given(st.text(max_size=300))
def test_any_text_may_be_a_file_name(text: str) -> None:
    """Whatever a client sends as a file name, there is an answer."""
    for ending in ("", ".whl", ".zip"):
        assert all(isinstance(name, Name) for name in names_in(text + ending))


# --- packing ---


@given(upstream_pages())
def test_a_packed_page_is_the_same_page(page: Page) -> None:
    """Every fact, known or missing, survives being packed for the catalog; the same page makes the same bytes."""
    packed = pack(page)
    assert unpack(packed, page.name, SOURCE) == page
    assert pack(unpack(packed, page.name, SOURCE)) == packed


@pytest.mark.parametrize(
    "moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)]
)
def test_a_packed_time_is_exact(moment: datetime) -> None:
    """Times survive to the microsecond, at both ends of the calendar and before 1970."""
    page = page_of(evolve(FILE, uploaded_at=moment))
    assert unpack(pack(page), NAME, SOURCE).files[0].uploaded_at == moment


# --- merging ---


def test_nothing_merges_to_nothing() -> None:
    """Where nobody has the name there is no page."""
    assert merged(None, []) is None


@given(pages(), upstream_pages(), upstream_pages())
def test_the_first_file_of_a_name_stands(ours: Page, theirs: Page, others: Page) -> None:
    """Of each file name there is one file: ours if we have it, else the first upstream's; status and name are those of the first page."""
    found = merged(ours, [theirs, others])
    assert found is not None
    everything = [file for page in (ours, theirs, others) if page.status.offers_files for file in page.files]
    assert {file.filename: file for file in reversed(everything)} == {file.filename: file for file in found.files}
    assert len({file.filename for file in found.files}) == len(found.files)
    assert (found.name, found.display, found.status) == (ours.name, ours.display, ours.status)


def test_what_an_upstream_quarantined_is_not_merged() -> None:
    """Files of a page that its upstream has quarantined do not come in by ours (hardening row 20)."""
    own = evolve(FILE, filename="foo-2.0.tar.gz", source="", id=1)
    assert merged(page_of(own), [page_of(FILE, status=ProjectStatus.QUARANTINED)]) == page_of(own)


# --- which kept file stands for which ---

MD5 = "e" * 32
BARE = evolve(FILE, sha256="", digests=(("md5", MD5),))
DIGESTS = st.dictionaries(st.sampled_from(["md5", "sha512", "blake2b"]), st.sampled_from(["1", "2"])).map(lambda told: tuple(told.items()))


def test_a_sha256_decides_alone() -> None:
    """Equal SHA-256 are the same file, whatever upstream, size or other digests are told; another is another file (hardening row 12)."""
    odd = evolve(KEPT, source="another", told=(("md5", "f" * 32),))
    assert stands_for(odd, evolve(FILE, size=8, digests=(("md5", MD5),)))
    assert not stands_for(evolve(KEPT, told=BARE.digests, sha256="b" * 64), evolve(FILE, digests=BARE.digests))


@pytest.mark.parametrize(
    ("kept", "file", "stands"),
    [
        (KEPT, BARE, True),  # kept by a release that did not note digests
        (evolve(KEPT, told=(("md5", MD5),)), BARE, True),
        (evolve(KEPT, told=(("md5", "f" * 32),)), BARE, False),
        (evolve(KEPT, told=(("sha512", "f" * 128),)), BARE, True),
        (evolve(KEPT, told=(("sha512", "f" * 128), ("md5", "f" * 32))), BARE, False),
        (evolve(KEPT, told=(("md5", "f" * 32),)), evolve(BARE, digests=()), True),
        (KEPT, evolve(BARE, size=KEPT.size), True),
        (KEPT, evolve(BARE, size=KEPT.size + 1), False),
        (KEPT, evolve(BARE, size=KEPT.size + 1, filled=("size",)), True),  # found out here, and no word of the index
        (evolve(KEPT, source="another"), BARE, False),
        (evolve(KEPT, filename="foo-1.0.zip"), BARE, False),
    ],
)
def test_without_a_sha256_no_word_of_the_index_may_differ(kept: KeptFile, file: File, *, stands: bool) -> None:
    """It is the file of that name and upstream, if no size and no digest told then and now is another (hardening rows 12, 24)."""
    assert stands_for(kept, file) is stands


@given(DIGESTS, DIGESTS, st.sampled_from([None, 7, 8]))
def test_what_only_one_of_two_tells_says_nothing(
    then: tuple[tuple[str, str], ...], now: tuple[tuple[str, str], ...], size: int | None
) -> None:
    """Whatever is told then and now: a kept file is replaced if and only if something that both tell differs (hardening row 12)."""
    file, kept = evolve(BARE, digests=now, size=size), evolve(KEPT, told=then)
    differs = any(dict(now)[one] != dict(then)[one] for one in dict(now).keys() & dict(then).keys()) or size == 8
    assert stands_for(kept, file) is not differs
    assert standing_for(file, [kept]) == ([] if differs else [kept])
    assert replaced(file, [kept]) == ([kept] if differs else [])


def test_of_several_that_may_be_it_the_newest_is() -> None:
    """Where nothing tells two kept files apart the one that came last is taken, on the page and for the bytes."""
    older, newer = evolve(KEPT, id=1), evolve(KEPT, id=2, sha256="d" * 64)
    assert standing_for(BARE, [older, newer]) == [newer, older]
    assert completed(page_of(BARE), [older, newer]).files[0].sha256 == newer.sha256


def test_nothing_is_replaced_where_a_sha256_is_told() -> None:
    """Both files have their own address then, and lock files may name either; another upstream's files are not replaced, nor metadata."""
    other = evolve(KEPT, sha256="d" * 64)
    assert replaced(FILE, [KEPT, other]) == []
    bare = evolve(BARE, size=8)
    assert replaced(bare, [evolve(KEPT, source="another"), evolve(KEPT, filename=f"{KEPT.filename}.metadata"), other]) == [other]


# --- completing ---


def test_missing_facts_are_filled_in_and_named() -> None:
    """Size and metadata digest of a file that is kept are added, and told as not the upstream's own."""
    (file,) = completed(page_of(FILE), [KEPT]).files
    assert (file.size, file.metadata_sha256, file.filled) == (7, "b" * 64, ("size", "core-metadata"))


def test_told_facts_stand() -> None:
    """What the upstream does tell is not replaced by what was found here, nor called ours."""
    told = evolve(FILE, size=8, metadata_sha256="c" * 64)
    assert completed(page_of(told), [KEPT]) == page_of(told)


@pytest.mark.parametrize("other", [evolve(FILE, sha256="d" * 64), evolve(FILE, filename="foo-1.0.zip")])
def test_another_file_fills_nothing_in(other: File) -> None:
    """A kept file of another digest or name says nothing about this one (hardening row 12)."""
    assert completed(page_of(other), [KEPT]) == page_of(other)


def test_a_file_without_a_digest_is_completed_by_its_own_upstream_only() -> None:
    """Where no digest tells, the kept file of that name and upstream is it; another upstream's is not (hardening row 24)."""
    bare = evolve(FILE, sha256="")
    assert completed(page_of(bare), [KEPT]).files[0].size == KEPT.size
    assert completed(page_of(bare), [evolve(KEPT, source="another")]) == page_of(bare)


def test_nothing_kept_changes_nothing() -> None:
    """Without kept files a page is what it was, whenever that was."""
    page = page_of(evolve(FILE, uploaded_at=datetime.now(UTC) - timedelta(days=1)))
    assert completed(page, []) == page


def test_the_kept_file_goes_before_what_was_found_out() -> None:
    """Size and core metadata that were found out without the file are replaced by the file's own once it is kept, and stay marked."""
    guessed = evolve(FILE, size=8, metadata_sha256="c" * 64, filled=("size", "upload-time", "core-metadata"))
    (file,) = completed(page_of(guessed), [KEPT]).files
    assert (file.size, file.metadata_sha256, set(file.filled)) == (7, "b" * 64, {"size", "upload-time", "core-metadata"})
    (bare,) = completed(page_of(guessed), [evolve(KEPT, metadata=None)]).files
    assert (bare.metadata_sha256, "core-metadata" in bare.filled) == ("", False)


# --- carrying what was found out ---

FOUND = evolve(
    FILE,
    url="https://files.test/foo-1.0.tar.gz",
    size=7,
    uploaded_at=datetime(2024, 1, 2, tzinfo=UTC),
    metadata_sha256="b" * 64,
    filled=("size", "upload-time", "core-metadata"),
)
PLAIN = evolve(FOUND, size=None, uploaded_at=None, metadata_sha256="", filled=())


def test_what_was_found_out_is_carried_to_the_next_page() -> None:
    """A page that is fetched anew has what was found out about its files before; new files have nothing, and gone ones do not come back."""
    new = evolve(PLAIN, filename="foo-2.0.tar.gz", sha256="d" * 64)
    gone = evolve(FOUND, filename="foo-0.9.tar.gz", sha256="e" * 64)
    assert carried(page_of(new, PLAIN), page_of(gone, FOUND)).files == (new, FOUND)
    assert carried(page_of(PLAIN), None) == page_of(PLAIN)


@pytest.mark.parametrize(
    "other",
    [
        evolve(PLAIN, sha256="d" * 64),
        evolve(PLAIN, filename="foo-1.0.zip"),
        evolve(PLAIN, url="https://files.test/elsewhere/foo-1.0.tar.gz"),
        evolve(PLAIN, digests=(("md5", "0" * 32),)),
    ],
)
def test_nothing_is_carried_to_another_file(other: File) -> None:
    """Another digest, name or address is another file, of which nothing was found out (hardening row 12)."""
    assert carried(page_of(other), page_of(FOUND)) == page_of(other)


def test_a_signature_in_an_address_does_not_make_another_file() -> None:
    """A query that differs from answer to answer is no reason to ask again where a SHA-256 tells the file, and one where none does."""
    before, now = evolve(FOUND, url=f"{FOUND.url}?signed=1"), evolve(PLAIN, url=f"{FOUND.url}?signed=2")
    assert carried(page_of(now), page_of(before)).files == (evolve(FOUND, url=now.url),)
    bare = evolve(now, sha256="")
    assert carried(page_of(bare), page_of(evolve(before, sha256=""))).files == (bare,)


def test_what_an_index_tells_goes_before_what_was_found_out() -> None:
    """A fact that the index tells by now is the index's; if it is not what was found out, nothing else that was is believed."""
    (file,) = carried(page_of(evolve(PLAIN, size=7)), page_of(FOUND)).files
    assert (file.size, file.filled, file.metadata_sha256) == (7, ("upload-time", "core-metadata"), "b" * 64)
    assert carried(page_of(evolve(PLAIN, size=8)), page_of(FOUND)).files == (evolve(PLAIN, size=8),)


@given(page=upstream_pages(), metadata=sha256s, size=st.integers(0, 1 << 40))
def test_carrying_takes_nothing_that_is_told(page: Page, metadata: str, size: int) -> None:
    """Whatever page: what its index tells stays, what was found out of it comes back in full, and a second time changes nothing."""
    page = evolve(page, files=tuple({file.filename: file for file in page.files}.values()))
    facts: dict[str, Fact] = {SIZE: size, UPLOAD_TIME: datetime(2024, 1, 2, tzinfo=UTC), CORE_METADATA: metadata}
    before = evolve(page, files=tuple(found_out(file, facts) for file in page.files))
    found = carried(page, before)
    assert found == before
    assert carried(found, before) == found
    for file, plain in zip(found.files, page.files, strict=True):
        assert all(fact(file, key) == fact(plain, key) for key in (HASHES, SIZE, UPLOAD_TIME, CORE_METADATA) if told(plain, key))
        assert all(fact(file, key) == facts[key] for key in facts if fact(plain, key) is None)
