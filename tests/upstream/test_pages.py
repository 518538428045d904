"""Pages of upstreams: what is read of them, what is dropped, and that nothing in them breaks, hangs or gets through as it stands."""

import json
import re
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from registry.domain.errors import UpstreamBroken, UpstreamRefused
from registry.domain.model import File, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import Links, render_page
from registry.domain.versions import Version
from registry.upstream.anchors import LONGEST_TAG, MOST_TAGS
from registry.upstream.entries import LONGEST_REASON
from registry.upstream.entries import MOST_TAGS as MOST_WHEEL_TAGS
from registry.upstream.origins import Target
from registry.upstream.pages import MOST_DROPPED, MOST_LINKS, MOST_VALUES, Read, read_page
from tests.strategies import pages
from tests.upstream_pages import SOURCE, anything

JSON = "application/vnd.pypi.simple.v1+json"
URL = "https://upstream.test/simple/foo/"
NAME = Name("foo")
SHA256, OTHER = "a" * 64, "b" * 64
WHEEL = "foo-1.0-py3-none-any.whl"
ENTRY: dict[str, Any] = {"filename": WHEEL, "url": f"https://files.test/{WHEEL}", "hashes": {"sha256": SHA256}}
SDIST: dict[str, Any] = {"filename": "foo-2.0.tar.gz", "url": "foo-2.0.tar.gz", "hashes": {"sha256": OTHER}}
LINKS = Links(base="https://registry.test:8443/packages", scope="projects/42")


def read_json(*entries: object, **more: Any) -> Read:
    """Read a JSON page of these entries."""
    document = {"meta": {"api-version": "1.4"}, "name": "foo", "files": entries, **more}
    return read_page(json.dumps(document).encode(), JSON, URL, NAME, SOURCE)


def read_html(body: str, *, content_type: str = "text/html", name: Name = NAME, url: str = URL) -> Read:
    """Read an HTML page."""
    return read_page(body.encode(), content_type, url, name, SOURCE)


def the_file(read: Read) -> File:
    """The only file of a page from which nothing was dropped."""
    assert not read.dropped
    (file,) = read.page.files
    return file


# --- what is told is kept ---


def expected(page: Page) -> Page:
    """What is to be read of a page of ours."""
    files: dict[str, File] = {}
    for file in page.files if page.status.offers_files else ():
        provenance = LINKS.provenance(file, page.name.normalized) if file.provenance else ""
        read = evolve(
            file,
            id=0,
            version=str(Version(file.version).order),
            gpg_sig=None,
            source=SOURCE,
            url=LINKS.file(file).partition("#")[0],
            provenance_url=provenance,
        )
        files.setdefault(file.filename, read)
    reason = "" if page.status is ProjectStatus.ACTIVE else page.status_reason
    return evolve(page, display=page.name.normalized, files=tuple(files.values()), status_reason=reason)


@given(pages(), st.sampled_from([Representation.V1_JSON, Representation.V1_HTML, Representation.HTML]))
def test_our_own_pages_are_read_with_every_fact(page: Page, representation: Representation) -> None:
    """What this registry renders, as JSON or as HTML, is read as the same page: both forms make one model (hardening row 14)."""
    body = render_page(page, LINKS, representation)
    read = read_page(body, f"{representation.value}; charset=utf-8", URL, page.name, SOURCE)
    assert read == Read(page=expected(page), dropped=())


def test_a_page_as_pypi_writes_it() -> None:
    """PyPI's JSON, with its nulls, its own spelling of the metadata key and its private keys, is read whole."""
    url = f"https://files.test/packages/aa/bb/{WHEEL}"
    entry: dict[str, Any] = {
        "core-metadata": {"sha256": OTHER},
        "data-dist-info-metadata": {"sha256": OTHER},
        "filename": WHEEL,
        "hashes": {"sha256": SHA256},
        "provenance": f"https://upstream.test/integrity/foo/1.0/{WHEEL}/provenance",
        "requires-python": ">=3.8",
        "size": 6538,
        "upload-time": "2016-08-11T21:19:55.107304Z",
        "url": url,
        "yanked": False,
    }
    bare = {**SDIST, "core-metadata": False, "provenance": None, "requires-python": None, "size": 1, "yanked": "broken"}
    read = read_json(
        entry, bare, **{"project-status": {"status": "deprecated", "reason": "gone"}, "alternate-locations": [], "_last-serial": 7}
    )
    assert not read.dropped
    assert read.page == Page(
        name=NAME,
        display="foo",
        status=ProjectStatus.DEPRECATED,
        status_reason="gone",
        files=(
            File(
                id=0,
                filename=WHEEL,
                version="1.0",
                sha256=SHA256,
                size=6538,
                requires_python=">=3.8",
                uploaded_at=datetime(2016, 8, 11, 21, 19, 55, 107304, tzinfo=UTC),
                metadata_sha256=OTHER,
                provenance=True,
                provenance_url=entry["provenance"],
                source=SOURCE,
                url=url,
            ),
            File(
                id=0,
                filename="foo-2.0.tar.gz",
                version="2.0",
                sha256=OTHER,
                size=1,
                requires_python="",
                uploaded_at=None,
                yanked="broken",
                source=SOURCE,
                url=f"{URL}foo-2.0.tar.gz",
            ),
        ),
    )


def test_the_order_is_the_upstreams_and_the_first_of_a_name_counts() -> None:
    """Files stay in the order of the page; a second entry of one file name changes nothing."""
    read = read_json(SDIST, ENTRY, {**SDIST, "hashes": {"sha256": SHA256}})
    assert [(file.filename, file.sha256) for file in read.page.files] == [("foo-2.0.tar.gz", OTHER), (WHEEL, SHA256)]


@pytest.mark.parametrize(("told", "display"), [("Foo", "Foo"), ("bar", "foo"), (None, "foo"), ("f oo", "foo"), (["foo"], "foo")])
def test_the_spelling_is_the_upstreams_if_it_is_one(told: object, display: str) -> None:
    """The name is shown as the upstream spells it, unless that is another name or none."""
    assert read_json(name=told).page.display == display


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("foo-1.0.tar.gz", "1.0"),
        ("Foo-1.0.zip", "1.0"),
        ("foo-1.0-1.tar.gz", "1.0.post1"),
        ("foo-v1.0RC1.tar.gz", "1.0rc1"),
        ("foo-1!2.0+cu121.tar.gz", "1!2.0+cu121"),
        ("foo-2.1.0+cu121-cp311-cp311-linux_x86_64.whl", "2.1.0+cu121"),
        ("foo-1.0-7build-py2.py3-none-any.whl", "1.0"),
    ],
)
def test_the_version_comes_from_the_file_name(filename: str, version: str) -> None:
    """A file's version is what its name says, in normal form."""
    assert the_file(read_json({**ENTRY, "filename": filename})).version == version


# --- entries that are dropped, and facts that are ---


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({**ENTRY, "filename": None}, "an entry has no file name"),
        ({"url": "x"}, "an entry has no file name"),
        (None, "an entry has no file name"),
        ([], "an entry has no file name"),
        ({**ENTRY, "filename": "bar-1.0.tar.gz"}, "'bar-1.0.tar.gz' is not the file name of a wheel, .tar.gz or .zip of foo"),
        ({**ENTRY, "filename": "foo-bar-1.0.tar.gz"}, "is not the file name"),
        ({**ENTRY, "filename": "foo_bar-1.0-py3-none-any.whl"}, "is not the file name"),
        ({**ENTRY, "filename": "foo-latest.tar.gz"}, "is not the file name"),
        ({**ENTRY, "filename": "foo-1.0-any.whl"}, "is not the file name"),
        ({**ENTRY, "filename": "foo-1.0.exe"}, "is not the file name"),
        ({**ENTRY, "filename": "foo-1.0-py2.7.egg"}, "is not the file name"),
        ({**ENTRY, "filename": "../foo-1.0.tar.gz"}, "is not the file name"),
        ({**ENTRY, "filename": "foo-1.0.tar.gz\r\nX: y"}, "is not the file name"),
        ({**ENTRY, "filename": "\ud800"}, "is not the file name"),
        ({**ENTRY, "filename": "foo.tar.gz"}, "is not the file name"),
        ({**ENTRY, "filename": "foo"}, "is not the file name"),
        ({**ENTRY, "filename": f"foo-{'1' * 242}.tar.gz1"}, "is not the file name"),
        ({key: ENTRY[key] for key in ("filename", "hashes")}, f"'{WHEEL}' has no http or https address"),
        ({**ENTRY, "url": None}, "has no http or https address"),
        ({**ENTRY, "url": 7}, "has no http or https address"),
        ({**ENTRY, "url": " "}, "has no http or https address"),
        ({**ENTRY, "url": "file:///etc/passwd"}, "has no http or https address"),
        ({**ENTRY, "url": "FILE:///etc/passwd"}, "has no http or https address"),
        ({**ENTRY, "url": "javascript:alert(1)"}, "has no http or https address"),
        ({**ENTRY, "url": "https://[::1"}, "has no http or https address"),
        ({**ENTRY, "url": "http:///no-host"}, "has no http or https address"),
        ({**ENTRY, "url": "https://files.test:99999/x"}, "has no http or https address"),
        ({**ENTRY, "url": "https://files.test\\@elsewhere.test/x"}, "has no http or https address"),
        ({**ENTRY, "url": "https://files.test/\ud800"}, "has no http or https address"),
        ({**ENTRY, "hashes": {"sha256": SHA256[:-1]}}, f"'{WHEEL}' has malformed digests"),
        ({**ENTRY, "hashes": {"sha256": SHA256[:-1], "md5": "c" * 32}}, "has malformed digests"),
        ({**ENTRY, "hashes": {"sha256": 7}}, "has malformed digests"),
        ({**ENTRY, "hashes": {"sha256": "g" * 64}}, "has malformed digests"),
        ({**ENTRY, "hashes": {"md5": "c" * 31}}, "has malformed digests"),
        ({**ENTRY, "hashes": [SHA256]}, "has malformed digests"),
    ],
)
def test_one_bad_entry_is_dropped_and_told(entry: object, sentence: str) -> None:
    """An entry that leads to no file of this name is dropped with a sentence; the others stay (hardening rows 10, 13)."""
    read = read_json(entry, SDIST)
    assert [file.filename for file in read.page.files] == ["foo-2.0.tar.gz"]
    assert len(read.dropped) == 1
    assert sentence in read.dropped[0]


@pytest.mark.parametrize(
    ("told", "fact", "value"),
    [
        ({"size": 0}, "size", 0),
        ({"size": 2**63 - 1}, "size", 2**63 - 1),
        ({"size": 2**63}, "size", None),
        ({"size": -1}, "size", None),
        ({"size": None}, "size", None),
        ({"size": "7"}, "size", None),
        ({"size": True}, "size", None),
        ({"size": 1.5}, "size", None),
        ({"upload-time": "2024-01-02T03:04:05Z"}, "uploaded_at", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"upload-time": "2024-01-02T03:04:05.25+02:00"}, "uploaded_at", datetime(2024, 1, 2, 1, 4, 5, 250_000, tzinfo=UTC)),
        ({"upload-time": "2024-01-02T03:04:05.1234567Z"}, "uploaded_at", datetime(2024, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
        ({"upload-time": "2024-01-02T03:04:05"}, "uploaded_at", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ({"upload-time": None}, "uploaded_at", None),
        ({"upload-time": 1_700_000_000}, "uploaded_at", None),
        ({"upload-time": "1700000000"}, "uploaded_at", None),
        ({"upload-time": "yesterday"}, "uploaded_at", None),
        ({"upload-time": "2024-13-02T03:04:05Z"}, "uploaded_at", None),
        ({"upload-time": "0001-01-01T00:00:00+12:00"}, "uploaded_at", None),
        ({"requires-python": ">=3.8,<4"}, "requires_python", ">=3.8,<4"),
        ({"requires-python": None}, "requires_python", ""),
        ({"requires-python": ""}, "requires_python", ""),
        ({"requires-python": ">=2.7.*"}, "requires_python", ""),
        ({"requires-python": "3 or so"}, "requires_python", ""),
        ({"requires-python": 3.8}, "requires_python", ""),
        ({"requires-python": ">=3\ud800"}, "requires_python", ""),
        ({"requires-python": ">=3.8" + "," * 251}, "requires_python", ""),
        ({"yanked": False}, "yanked", None),
        ({"yanked": None}, "yanked", None),
        ({"yanked": True}, "yanked", ""),
        ({"yanked": "broken"}, "yanked", "broken"),
        ({"yanked": ""}, "yanked", ""),
        ({"yanked": 1}, "yanked", ""),
        ({"yanked": {"reason": "x"}}, "yanked", ""),
        ({"yanked": "a\ud800b"}, "yanked", "a?b"),
        ({"yanked": "x" * LONGEST_REASON}, "yanked", "x" * LONGEST_REASON),
        ({"yanked": "x" * (LONGEST_REASON + 1)}, "yanked", "x" * LONGEST_REASON),
        ({"provenance": "https://upstream.test/p"}, "provenance_url", "https://upstream.test/p"),
        ({"provenance": None}, "provenance_url", ""),
        ({"provenance": "ftp://upstream.test/p"}, "provenance_url", ""),
        ({"provenance": 7}, "provenance_url", ""),
        ({"gpg-sig": True}, "gpg_sig", None),
        ({"hashes": {}}, "sha256", ""),
        ({"hashes": None}, "sha256", ""),
        ({"hashes": {"sha256": None}}, "sha256", ""),
        ({"hashes": {"sha256": "A" * 64}}, "sha256", "a" * 64),
        ({"hashes": {"sha1": "c" * 40, "sha224": "c" * 56, "crc32": "c" * 8}}, "digests", ()),
        ({"hashes": {"blake2b": "c" * 64}}, "digests", (("blake2b", "c" * 64),)),
        ({"hashes": {"blake2b": "c" * 128}}, "digests", ()),
        ({"hashes": {"sha256": SHA256, "md5": "c" * 31}}, "digests", ()),
        (
            {"hashes": {"md5": "C" * 32, "sha384": "d" * 96, "sha512": "e" * 128, "sha256": SHA256}},
            "digests",
            (("sha512", "e" * 128), ("sha384", "d" * 96), ("md5", "c" * 32)),
        ),
    ],
)
def test_a_bad_fact_counts_as_not_told(told: dict[str, object], fact: str, value: object) -> None:
    """A fact is taken if it is one and left out if not; the file stays. Digests that kill the page in a client are never passed on."""
    assert getattr(the_file(read_json({**ENTRY, **told})), fact) == value


def test_several_bad_facts_leave_the_good_ones() -> None:
    """One fact that cannot be read takes no other with it."""
    file = the_file(read_json({**ENTRY, "upload-time": "2024-x", "provenance": "//", "size": 3, "yanked": "y", "requires-python": ">=3"}))
    assert (file.uploaded_at, file.provenance, file.size, file.yanked, file.requires_python) == (None, False, 3, "y", ">=3")


@pytest.mark.parametrize(
    ("told", "sha256"),
    [
        ({"core-metadata": {"sha256": OTHER.upper()}}, OTHER),
        ({"dist-info-metadata": {"sha256": OTHER}}, OTHER),
        ({"data-dist-info-metadata": {"sha256": OTHER}}, OTHER),
        ({"core-metadata": {"sha256": OTHER}, "dist-info-metadata": {"sha256": SHA256}}, OTHER),
        ({"core-metadata": True, "dist-info-metadata": {"sha256": OTHER}}, OTHER),
        ({"core-metadata": False, "dist-info-metadata": {"sha256": OTHER}}, ""),
        ({"core-metadata": True}, ""),
        ({"core-metadata": {}}, ""),
        ({"core-metadata": {"md5": "c" * 32}}, ""),
        ({"core-metadata": {"sha256": OTHER[1:]}}, ""),
        ({"core-metadata": f"sha256={OTHER}"}, ""),
        ({"core-metadata": None}, ""),
    ],
)
def test_metadata_counts_only_with_its_digest(told: dict[str, object], sha256: str) -> None:
    """Core metadata without the SHA-256 of its bytes is not passed on; of both spellings the new one counts (hardening row 17)."""
    assert the_file(read_json({**ENTRY, **told})).metadata_sha256 == sha256


@given(
    st.dictionaries(st.sampled_from([*ENTRY, "size", "upload-time", "yanked", "requires-python", "core-metadata", "provenance"]), anything)
)
def test_no_value_of_an_entry_spoils_its_page(told: dict[str, object]) -> None:
    """Whatever stands in an entry, the entry beside it is read, and what is made of it can be rendered in either form."""
    read = read_json({**ENTRY, **told}, SDIST)
    assert read.page.files[-1].filename == "foo-2.0.tar.gz"
    assert len(read.page.files) + len(read.dropped) == 2
    for representation in Representation:
        render_page(read.page, LINKS, representation)


# --- HTML ---


def test_an_html_page_tells_as_much_as_json() -> None:
    """Every attribute of an anchor is a fact, its digest is in the fragment, and the repository's status is in the head."""
    read = read_html(
        '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.4"><meta name="pypi:project-status" content="archived">'
        '<meta name="pypi:project-status-reason" content="we &amp; they"></head><body>'
        f'<a href="/files/{WHEEL}#sha256={SHA256.upper()}" data-requires-python="&gt;=3.8" data-core-metadata="sha256={OTHER}" '
        f'data-yanked data-gpg-sig="true" data-provenance="https://upstream.test/p" data-size="12">{WHEEL}</a></body></html>'
    )
    assert (read.page.status, read.page.status_reason) == (ProjectStatus.ARCHIVED, "we & they")
    assert the_file(read) == File(
        id=0,
        filename=WHEEL,
        version="1.0",
        sha256=SHA256,
        size=12,
        requires_python=">=3.8",
        uploaded_at=None,
        yanked="",
        metadata_sha256=OTHER,
        provenance=True,
        provenance_url="https://upstream.test/p",
        source=SOURCE,
        url=f"https://upstream.test/files/{WHEEL}",
    )


@pytest.mark.parametrize(
    ("attribute", "fact", "value"),
    [
        ('data-yanked=""', "yanked", ""),
        ('data-yanked="broken"', "yanked", "broken"),
        ("", "yanked", None),
        (f'data-dist-info-metadata="sha256={OTHER}"', "metadata_sha256", OTHER),
        ('data-core-metadata="true"', "metadata_sha256", ""),
        (f'data-core-metadata="false" data-dist-info-metadata="sha256={OTHER}"', "metadata_sha256", ""),
        (f'data-core-metadata="sha512={OTHER}"', "metadata_sha256", ""),
        ('data-requires-python=""', "requires_python", ""),
        ('data-size="1e3"', "size", None),
        ('data-size="²"', "size", None),
        ('data-yanked="first" data-yanked="second"', "yanked", "first"),
    ],
)
def test_attributes_of_an_anchor(attribute: str, fact: str, value: object) -> None:
    """An attribute says in HTML what the key says in JSON; an empty reason is a yank, and metadata needs its digest (hardening row 17)."""
    assert getattr(the_file(read_html(f'<a href="{WHEEL}" {attribute}>{WHEEL}</a>')), fact) == value


@pytest.mark.parametrize(
    ("fragment", "sha256", "digests"),
    [
        ("", "", ()),
        ("#", "", ()),
        (f"#sha256={SHA256}", SHA256, ()),
        (f"#md5={'c' * 32}", "", (("md5", "c" * 32),)),
        (f"#blake2b={'c' * 64}", "", (("blake2b", "c" * 64),)),
        (f"#sha1={'c' * 40}", "", ()),
        (f"#egg=foo-1.0&sha256={SHA256}", SHA256, ()),
        (f"#sha256={SHA256}&md5={'c' * 32}", SHA256, (("md5", "c" * 32),)),
    ],
)
def test_fragments_are_digests(fragment: str, sha256: str, digests: tuple[tuple[str, str], ...]) -> None:
    """A fragment with a digest that clients know is taken, any other is not, and none stays in the address (hardening row 19)."""
    file = the_file(read_html(f'<a href="{WHEEL}{escape(fragment)}">{WHEEL}</a>'))
    assert (file.sha256, file.digests, file.url) == (sha256, digests, URL + WHEEL)


@pytest.mark.parametrize(
    ("href", "base", "url"),
    [
        (WHEEL, None, f"https://upstream.test/simple/foo/{WHEEL}"),
        (f"../../files/{WHEEL}", None, f"https://upstream.test/files/{WHEEL}"),
        (f"/files/{WHEEL}", None, f"https://upstream.test/files/{WHEEL}"),
        (f"//files.test/{WHEEL}", None, f"https://files.test/{WHEEL}"),
        (f"http://files.test:8080/a b/{WHEEL}", None, f"http://files.test:8080/a%20b/{WHEEL}"),
        (f"HTTPS://Files.Test/{WHEEL}", None, f"https://files.test/{WHEEL}"),
        (f"https://files.test:443/{WHEEL}", None, f"https://files.test/{WHEEL}"),
        (f"https://user:secret@files.test/{WHEEL}", None, f"https://files.test/{WHEEL}"),
        (f"{WHEEL}?a=1&amp;b=2", None, f"https://upstream.test/simple/foo/{WHEEL}?a=1&b=2"),
        (f" {WHEEL}\n", None, f"https://upstream.test/simple/foo/{WHEEL}"),
        (WHEEL, "https://files.test/whl/", f"https://files.test/whl/{WHEEL}"),
        (WHEEL, "/whl/", f"https://upstream.test/whl/{WHEEL}"),
        (WHEEL, "../whl/", f"https://upstream.test/simple/whl/{WHEEL}"),
        (f"/x/{WHEEL}", "https://files.test/whl/", f"https://files.test/x/{WHEEL}"),
        (WHEEL, "javascript:alert(1)", f"https://upstream.test/simple/foo/{WHEEL}"),
        (WHEEL, "https://[", f"https://upstream.test/simple/foo/{WHEEL}"),
    ],
)
def test_addresses_are_made_absolute(href: str, base: str | None, url: str) -> None:
    """Relative links, a `<base>`, entities and userinfo are dealt with as in browsers; the result is http(s) (hardening rows 10, 19)."""
    head = f'<head><base target="_blank"><base href="{base}"><base href="https://later.test/"></head>' if base is not None else ""
    assert the_file(read_html(f'<html>{head}<a href="{href}">{WHEEL}</a>')).url == url


def test_pages_need_not_lie_below_simple() -> None:
    """Links are relative to where the page came from in the end, whatever its layout; escapes in them are file names (hardening row 19)."""
    body = '<a href="/whl/cu121/foo-2.1.0%2Bcu121-cp311-cp311-linux_x86_64.whl#sha256=' + SHA256 + '">foo</a>'
    file = the_file(read_html(body, url="https://download.test/whl/cu121/foo/index.html"))
    assert file.filename == "foo-2.1.0+cu121-cp311-cp311-linux_x86_64.whl"
    assert file.url == "https://download.test/whl/cu121/foo-2.1.0%2Bcu121-cp311-cp311-linux_x86_64.whl"


@pytest.mark.parametrize(
    ("href", "text", "filename"),
    [
        (WHEEL, "something else", WHEEL),
        (WHEEL, "foo-9.9.tar.gz", WHEEL),
        (f"{WHEEL}?token=1", "foo-1.0-py3-n..&gt;", WHEEL),
        ("download?id=7", "  <b>foo-1.0</b>-py3-none-any.whl\n", WHEEL),
        ("/blob/7", WHEEL, WHEEL),
    ],
)
def test_the_file_name_is_in_the_address_or_else_in_the_text(href: str, text: str, filename: str) -> None:
    """As for pip and uv, the last segment of the address counts; where it names no file, the text does."""
    assert the_file(read_html(f'<a href="{href}">{text}</a>')).filename == filename


DIRECTORY = """<html><head><title>Index of /wheels</title></head><body><h1>Index of /wheels</h1><pre>
<a href="?C=N;O=D">Name</a> <a href="?C=M;O=A">Last modified</a><hr><a href="../">Parent Directory</a>
<a href="bar-1.0.tar.gz">bar-1.0.tar.gz</a> 2024-01-01 10:00 2.2K
<a href="foo-1.0-py3-none-any.whl">foo-1.0-py3-non..&gt;</a> 2024-01-01 10:00 2.2K
<a href="foo_bar-1.0-py3-none-any.whl">foo_bar-1.0-py3..&gt;</a>
<a href="foo-bar-1.0.tar.gz">foo-bar-1.0.tar.gz</a>
<a href="foo-broken.tar.gz">foo-broken.tar.gz</a>
<a href="foo-2.0.tar.gz">foo-2.0.tar.gz<a href="foo-2.0.tar.gz.asc">foo-2.0.tar.gz.asc
<a href="foobar-3.0.zip">foobar-3.0.zip</a><a name="end">foo-9.0.zip</a><a href="">foo</a><a href="README.txt">README.txt</a></pre>"""


@pytest.mark.parametrize(
    ("name", "files", "dropped"),
    [
        ("foo", [WHEEL, "foo-2.0.tar.gz"], 1),
        ("foo-bar", ["foo_bar-1.0-py3-none-any.whl", "foo-bar-1.0.tar.gz"], 0),
        ("bar", ["bar-1.0.tar.gz"], 0),
        ("foobar", ["foobar-3.0.zip"], 0),
        ("README", [], 0),
    ],
)
def test_a_directory_of_files_of_many_projects(name: str, files: list[str], dropped: int) -> None:
    """Of a web server's list only the files of the name count, and only what looks like one is told as dropped (hardening row 19)."""
    read = read_html(DIRECTORY, name=Name(name), url="https://files.test/wheels/")
    assert [file.filename for file in read.page.files] == files
    assert len(read.dropped) == dropped


def test_html_of_an_upstream_never_gets_through() -> None:
    """Markup in any place of a page is text or nothing in what is rendered from it (hardening row 8)."""
    evil = "\"'><script>alert(1)</script><a href='https://evil.test/foo-6.6.zip'>"
    facts = {"yanked": evil, "requires-python": evil, "provenance": f"https://upstream.test/{evil}", "upload-time": evil}
    read = read_json({**ENTRY, **facts, "url": f"https://files.test/{evil}"}, **{"project-status": {"status": "archived", "reason": evil}})
    again = read_html(
        f'<meta name="pypi:project-status" content="archived"><meta name="pypi:project-status-reason" content="{escape(evil)}">{evil}'
        f'<a href="{WHEEL}" data-yanked="{escape(evil)}" data-requires-python="{escape(evil)}" onclick="alert(1)">{WHEEL}</a>'
    )
    for page in (read.page, again.page):
        rendered = render_page(page, LINKS, Representation.HTML).decode()
        assert rendered.count("<a ") == len(page.files)
        assert not re.search(r"<script|onclick|evil\.test/foo-6\.6\.zip\"|<a href='", rendered)


# --- which form it has ---


HTML_PAGE = f'<a href="{WHEEL}">{WHEEL}</a>'.encode()
JSON_PAGE = json.dumps({"meta": {"api-version": "1.0"}, "name": "foo", "files": [ENTRY]}).encode()


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, JSON_PAGE),
        (f"{JSON}; charset=utf-8", JSON_PAGE),
        ('APPLICATION/VND.PYPI.SIMPLE.V1+JSON ; charset="ascii"', JSON_PAGE),
        ("application/json", JSON_PAGE),
        ("", JSON_PAGE),
        ("text/plain", b" \n" + JSON_PAGE),
        ("text/html", JSON_PAGE),
        (JSON, b"\xef\xbb\xbf" + JSON_PAGE),
        ("application/vnd.pypi.simple.v1+html", HTML_PAGE),
        ("text/html;charset=latin-1", HTML_PAGE),
        ("text/html; charset=punycode", HTML_PAGE),
        ("text/html; charset=", b"links: " + HTML_PAGE),
        ("application/octet-stream", b"\r\n\t" + HTML_PAGE),
        ("text/html", b"\xef\xbb\xbf" + HTML_PAGE),
        (";;;=", HTML_PAGE),
    ],
)
def test_the_form_is_told_by_type_and_first_character(content_type: str, body: bytes) -> None:
    """A page is read by what it is, though its Content-Type be odd or missing (hardening row 13)."""
    assert the_file(read_page(body, content_type, URL, NAME, SOURCE)).filename == WHEEL


@pytest.mark.parametrize(
    ("content_type", "body", "problem"),
    [
        ("text/html", b"", "is neither JSON nor HTML"),
        ("text/html", b"Please sign in", "is neither JSON nor HTML"),
        ("text/plain", b"foo-1.0.tar.gz", "is neither JSON nor HTML"),
        ("application/zip", b"PK\x03\x04<", "is neither JSON nor HTML"),
        (JSON, HTML_PAGE, "is neither JSON nor HTML"),
        (JSON, b"[]", "is neither JSON nor HTML"),
        (JSON, b"{", "is no valid JSON"),
        (JSON, JSON_PAGE[:-1], "is no valid JSON"),
        (JSON, b'{"files":' + b"[" * 100_000, "is no valid JSON"),
        (JSON, b"{}", "has no list of files"),
        (JSON, b'{"projects":[{"name":"foo"}]}', "has no list of files"),
        (JSON, b'{"files":{}}', "has no list of files"),
        ("text/html", b"<![nonsense]>", "is no readable HTML"),
        ("text/html", f'<a href="&#{"9" * 5000};">'.encode(), "is no readable HTML"),
    ],
)
def test_what_is_no_page_is_refused(content_type: str, body: bytes, problem: str) -> None:
    """An answer that is neither form, or is broken off, is refused, and not taken for a page without files (hardening row 13)."""
    with pytest.raises(UpstreamBroken, match=problem) as caught:
        read_page(body, content_type, URL, NAME, SOURCE)
    assert caught.value.source == SOURCE


@pytest.mark.parametrize("version", ["1.0", "1.4", "1.99", "0.9", "", "junk", None, 1.1, [], "01.0"])
def test_minor_versions_are_read(version: object) -> None:
    """Every 1.x is read, and so is a page that tells no version that can be understood (PEP 629)."""
    assert the_file(read_json(ENTRY, meta={"api-version": version})).filename == WHEEL


@pytest.mark.parametrize("version", ["2.0", "2", "10.0", " 2.1", 2.0, 2, "9" * 5000])
def test_a_later_major_version_is_refused(version: object) -> None:
    """A page of a major version after 1 is not guessed at, in either form (PEP 629)."""
    with pytest.raises(UpstreamBroken, match=r"this registry reads 1\.x"):
        read_json(ENTRY, meta={"api-version": version})
    with pytest.raises(UpstreamBroken, match=r"this registry reads 1\.x"):
        read_html(f'<meta name="pypi:repository-version" content="{version}">')


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"project-status": {"status": "quarantined"}}, ProjectStatus.QUARANTINED),
        ({"meta": {"project-status": {"status": "quarantined"}}}, ProjectStatus.QUARANTINED),
        ({"project-status": {"status": "archived", "reason": 7}}, ProjectStatus.ARCHIVED),
        ({"project-status": {"status": "retired"}}, ProjectStatus.ACTIVE),
        ({"project-status": {"status": None}}, ProjectStatus.ACTIVE),
        ({"project-status": {"status": ["quarantined"]}}, ProjectStatus.ACTIVE),
        ({"project-status": None}, ProjectStatus.ACTIVE),
        ({"project-status": "quarantined"}, ProjectStatus.ACTIVE),
    ],
)
def test_the_status_of_a_name(told: dict[str, Any], status: ProjectStatus) -> None:
    """The status markers of PEP 792 are taken, in either place where indexes write them; any other is none."""
    assert read_json(**told).page.status is status


def test_a_quarantine_hides_what_the_page_still_lists() -> None:
    """A quarantined page is a page, and none of its files is offered though it lists some (hardening row 20)."""
    page = read_json(ENTRY, **{"project-status": {"status": "quarantined"}}).page
    assert not page.status.offers_files
    assert json.loads(render_page(page, LINKS, Representation.V1_JSON))["files"] == []


# --- how much, and how long ---


@pytest.mark.parametrize(("count", "readable"), [(MOST_LINKS, True), (MOST_LINKS + 1, False)])
@pytest.mark.parametrize("form", ["json", "html"])
def test_a_page_has_so_many_links(form: str, count: int, readable: bool) -> None:
    """A page of `MOST_LINKS` entries is read, one of more is refused whole (hardening row 13)."""
    body = b'{"files":[' + b",".join([b"0"] * count) + b"]}" if form == "json" else b"<a href=x>" * count
    if readable:
        assert read_page(body, "", URL, NAME, SOURCE).page.files == ()
    else:
        with pytest.raises(UpstreamBroken, match="more than 50,000"):
            read_page(body, "", URL, NAME, SOURCE)


@pytest.mark.parametrize(
    ("fits", "over", "problem"),
    [
        (
            b'{"files":[],"x":' + b"[" + b"0," * (MOST_VALUES - 5) + b"0]}",
            b'{"files":[],"x":' + b"[" + b"0," * (MOST_VALUES - 3) + b"0]}",
            "more than 2,000,000 values",
        ),
        (b"<b>" * MOST_TAGS, b"<b>" * (MOST_TAGS + 1), "more than 1,000,000 tags"),
        (b"<!--" + b"x" * (LONGEST_TAG - 300_000) + b"-->", b"<!--" + b"x" * (LONGEST_TAG + 300_000) + b"-->", "does not end"),
    ],
)
def test_a_page_has_so_much_of_anything(fits: bytes, over: bytes, problem: str) -> None:
    """Values, tags and the length of a tag are bounded, as each takes memory or time; what is below is read (hardening row 13)."""
    assert read_page(fits, "", URL, NAME, SOURCE).page.files == ()
    with pytest.raises(UpstreamBroken, match=problem):
        read_page(over, "", URL, NAME, SOURCE)


@pytest.mark.parametrize("more", [0, 1, 1000])
def test_sentences_about_dropped_entries_are_bounded(more: int) -> None:
    """Of a page of rubbish the first `MOST_DROPPED` sentences are kept, and the number of the others."""
    read = read_json(*[{"filename": "x"}] * (MOST_DROPPED + more), SDIST)
    assert len(read.page.files) == 1
    assert len(read.dropped) == MOST_DROPPED + bool(more)
    assert not more or read.dropped[-1] == f"{more:,} more entries were dropped"


def wheel_with_tags(count: int) -> str:
    """A wheel's file name whose tags stand for `count` combinations (of 8 and of what is left)."""
    return f"foo-1.0-{'.'.join(f'p{n}' for n in range(8))}-none-{'.'.join(f'x{n}' for n in range(count // 8))}.whl"


def test_a_wheel_has_so_many_tags() -> None:
    """A wheel whose tags stand for more combinations than any real one's is dropped: they would have to be written out."""
    assert the_file(read_json({**ENTRY, "filename": wheel_with_tags(MOST_WHEEL_TAGS)}))
    assert len(read_json({**ENTRY, "filename": wheel_with_tags(MOST_WHEEL_TAGS + 8)}).dropped) == 1


PIECES = [
    "<!--",
    "<a href=x>",
    "<a ",
    "<",
    "</",
    "&",
    "&#1",
    "<![",
    "<!",
    "<?",
    "<b>",
    "<a a",
    '<a href="x',
    "<a =",
    "<script>",
    "'",
    " ",
    "-",
    "\n",
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("start", ["<", "<a ", "<script>", "<!-- ", "<a href='"])
def test_no_html_hangs(start: str, piece: str) -> None:
    """A megabyte of what a tokenizer might look at again and again takes a second, not hours (hardening row 13)."""
    began = time.process_time()
    with suppress(UpstreamBroken):
        read_page((start + piece * ((1 << 20) // len(piece))).encode(), "text/html", URL, NAME, SOURCE)
    assert time.process_time() - began < 10


def test_file_names_of_nothing_but_hyphens_do_not_hang() -> None:
    """Names that some expressions for file names take a second each for are dropped at once."""
    names = [f"foo-{n}{'-' * 240}.whl" for n in range(2000)] + [f"foo-{'1-' * 118}{n % 10}.tar.gz" for n in range(2000)]
    began = time.process_time()
    assert not read_json(*[{**ENTRY, "filename": name} for name in names]).page.files
    assert not read_html("".join(f'<a href="{name}">' for name in names)).page.files
    assert time.process_time() - began < 10


@pytest.mark.parametrize("representation", [Representation.V1_JSON, Representation.V1_HTML])
def test_five_thousand_files_take_a_moment(representation: Representation) -> None:
    """The longest pages that there are take a third of a second of a processor; ten times that would be too long."""
    file = the_file(read_json(ENTRY))
    names = [f"foo-1.{n // 25}{f'.post{n % 25}' if n % 25 else ''}-py3-none-any.whl" for n in range(5000)]
    page = Page(name=NAME, display="foo", files=tuple(evolve(file, filename=name, sha256=f"{n:064x}") for n, name in enumerate(names)))
    body = render_page(page, LINKS, representation)
    began = time.process_time()
    read = read_page(body, representation.value, URL, NAME, SOURCE)
    assert time.process_time() - began < 3
    assert [found.filename for found in read.page.files] == names


def test_nothing_is_imported_before_it_is_needed() -> None:
    """A registry that asks no upstream does without pypi-simple and the libraries that it brings."""
    code = (
        "import sys, registry.upstream.pages; sys.exit(any(name in sys.modules for name in ('pypi_simple', 'bs4', 'requests', 'pydantic')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- anything at all ---


@given(
    st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(b"{".__add__), st.binary(max_size=100).map(b"<".__add__)),
    st.text(max_size=40),
)
def test_any_bytes_are_a_page_or_are_refused(body: bytes, content_type: str) -> None:
    """Whatever an upstream answers, under any type, the outcome is a page or `UpstreamBroken`."""
    with suppress(UpstreamBroken):
        assert isinstance(read_page(body, content_type, URL, NAME, SOURCE), Read)


@given(st.dictionaries(st.sampled_from(["meta", "name", "files", "project-status", "versions"]), anything))
def test_any_json_is_a_page_or_is_refused(document: dict[str, object]) -> None:
    """Whatever stands where in a JSON document, the outcome is a page or `UpstreamBroken`."""
    with suppress(UpstreamBroken):
        read = read_page(json.dumps(document).encode(), JSON, URL, NAME, SOURCE)
        render_page(read.page, LINKS, Representation.V1_HTML)


_marks = st.sampled_from(
    [
        WHEEL,
        SHA256,
        "<a ",
        "<a href=",
        "</a>",
        ">",
        '"',
        "'",
        "=",
        "<base href=",
        "<meta name=",
        "pypi:repository-version",
        " content=",
        "<!--",
    ]
)
_more_marks = st.sampled_from(
    [
        "-->",
        "<![",
        "//",
        "https://files.test/",
        "#sha256=",
        " data-yanked=",
        " data-core-metadata=sha256=",
        "&amp;",
        "&#0;",
        "&#xD800;",
        "\0",
        "?",
    ]
)
_trouble = st.sampled_from(["@", "\\", "[::1", " data-size=", " data-upload-time=2024-", " data-provenance="])


@given(st.lists(st.one_of(_marks, _more_marks, _trouble, st.text(max_size=3)), max_size=30))
def test_any_html_is_a_page_or_is_refused(pieces: list[str]) -> None:
    """Whatever tags are strewn about, the outcome is `UpstreamBroken`, or files whose addresses are http(s) and can be asked for."""
    try:
        read = read_page("".join(pieces).encode("utf-8", "replace"), "text/html", URL, NAME, SOURCE)
    except UpstreamBroken:
        return
    for file in read.page.files:
        assert Target.read(file.url).url == file.url
        assert urlsplit(file.url).scheme in {"http", "https"}
    render_page(read.page, LINKS, Representation.HTML)


@example("https://", "files.test", "#\\")
@given(
    st.sampled_from(["", "http://", "HTTPS://", "https:", "//", "ftp://"]),
    st.sampled_from(
        [
            "",
            "files.test",
            "Files.Test:8080",
            "files.test:0",
            "u:p@files.test",
            "1.2.3.4",
            "[::1]:80",
            "a..b",
            "-",
            "files.test:443",
            "é.test",
        ]
    ),
    st.text("/ab.%2?#&;=+~-_:@!\\ é\n", max_size=12),
)
def test_an_address_is_what_it_is_however_it_is_found(scheme: str, host: str, path: str) -> None:
    """The short way for plain addresses leads where the long one does (hardening row 10)."""
    text = f"{scheme}{host}{path and '/'}{path}"
    try:
        expected_url = Target.read(urljoin(URL, text)).url if text.strip() else ""
    except (UpstreamRefused, ValueError):
        expected_url = ""
    assert [file.url for file in read_json({**ENTRY, "url": text}).page.files] == ([expected_url] if expected_url else [])
