"""Pages and indexes: what is rendered is what a client reads, and nothing in it is ever markup."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from pip._internal.index.collector import IndexContent, parse_links
from pip._internal.models.link import Link
from pypi_simple import IndexPage, ProjectPage

from registry.domain.model import File, Index, Page, ProjectStatus
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import API_VERSION, Links, render_index, render_page
from registry.domain.versions import Version
from tests.strategies import names, pages, reasons, texts

LINKS = Links(base="https://registry.test:8443/packages", scope="projects/42")
# Where pages may lie: behind TLS, without it, and where nobody has told the registry its address.
BASES = ["https://registry.test:8443/packages", "http://registry.test", "/packages", ""]
HTMLS = [Representation.HTML, Representation.V1_HTML]
MARKUP = "<script>'\"&amp;</a><h1>"
PAGE_URL = "https://elsewhere.test/api/v4/projects/42/packages/pypi/simple/name/"


def url(file: File) -> str:
    """Where the file is, by the contract."""
    return f"https://registry.test:8443/packages/api/v4/projects/42/packages/pypi/files/{file.sha256}/{file.filename}"


def unquoted(address: str) -> str:
    """An address as people would write it, without the digest."""
    return address.partition("#")[0].replace("%21", "!").replace("%2B", "+")


def offered(page: Page) -> tuple[File, ...]:
    """The files that a client may learn of: a quarantined name has none (PEP 792)."""
    return () if page.status is ProjectStatus.QUARANTINED else page.files


def facts_in_both(page: Page) -> list[dict[str, object]]:
    """What `pypi_simple` is to read of each file, in either form, but for the provenance."""
    return [
        {
            "filename": file.filename,
            "digests": {"sha256": file.sha256},
            "has_sig": file.gpg_sig,
            "is_yanked": file.yanked is not None,
            "has_metadata": bool(file.metadata_sha256) or None,
            "metadata_digests": {"sha256": file.metadata_sha256} if file.metadata_sha256 else None,
        }
        for file in offered(page)
    ]


def facts_read(parsed: ProjectPage) -> list[dict[str, object]]:
    """What `pypi_simple` did read of each file."""
    keys = ("filename", "digests", "has_sig", "is_yanked", "has_metadata", "metadata_digests")
    return [{key: getattr(package, key) for key in keys} for package in parsed.packages]


@given(pages())
def test_json_says_everything(page: Page) -> None:
    """A JSON page parses back to every fact of the model, in the order of publishing."""
    document = json.loads(render_page(page, LINKS, Representation.V1_JSON))
    parsed = ProjectPage.from_json_data(document, PAGE_URL)
    files = offered(page)
    assert (parsed.project, parsed.repository_version) == (page.name.normalized, API_VERSION)
    assert facts_read(parsed) == facts_in_both(page)
    assert [package.requires_python for package in parsed.packages] == [file.requires_python or None for file in files]
    assert [package.size for package in parsed.packages] == [file.size for file in files]
    assert [package.upload_time for package in parsed.packages] == [file.uploaded_at for file in files]
    assert [package.yanked_reason for package in parsed.packages] == [file.yanked or None for file in files]
    assert [package.provenance_url for package in parsed.packages] == [
        LINKS.provenance(file, page.name.normalized) if file.provenance else None for file in files
    ]
    assert [unquoted(package.url) for package in parsed.packages] == [url(file) for file in files]
    assert {Version(version) for version in parsed.versions or ()} == {Version(file.version) for file in files}
    assert len(document["versions"]) == len({Version(file.version) for file in files})
    active = page.status is ProjectStatus.ACTIVE
    assert parsed.status == (None if active else page.status.value)
    assert parsed.status_reason == (None if active else page.status_reason or None)


@given(pages(), st.sampled_from(HTMLS))
def test_html_says_the_same(page: Page, representation: Representation) -> None:
    """An HTML page parses back to the same facts, but for those that only JSON has, and to size and time in attributes of their own."""
    rendered = render_page(page, LINKS, representation)
    parsed = ProjectPage.from_html(page.name.normalized, rendered.decode(), PAGE_URL)
    files = offered(page)
    assert rendered.startswith(b"<!DOCTYPE html>")
    assert parsed.repository_version == API_VERSION
    assert facts_read(parsed) == facts_in_both(page)
    assert [package.requires_python for package in parsed.packages] == [file.requires_python for file in files]
    assert [package.yanked_reason for package in parsed.packages] == [file.yanked for file in files]
    assert [package.provenance_url for package in parsed.packages] == [
        LINKS.provenance(file, page.name.normalized) if file.provenance else None for file in files
    ]
    assert [unquoted(package.url) for package in parsed.packages] == [url(file) for file in files]
    active = page.status is ProjectStatus.ACTIVE
    assert parsed.status == (None if active else page.status.value)
    assert parsed.status_reason == (None if active else page.status_reason or None)
    anchors = [attributes for tag, attributes in Tags.of(rendered) if tag == "a"]
    assert [anchor["data-size"] for anchor in anchors] == [str(file.size) for file in files]
    assert [datetime.fromisoformat(anchor["data-upload-time"]) for anchor in anchors] == [file.uploaded_at for file in files]


def pip_reads(page: Page, links: Links, representation: Representation) -> list[Link]:
    """What pip makes of the page."""
    rendered = render_page(page, links, representation)
    content = IndexContent(rendered, representation.content_type, "utf-8", PAGE_URL, cache_link_parsing=False)
    return list(parse_links(content))


@given(pages(), st.sampled_from(Representation), st.sampled_from(BASES))
def test_pip_reads_the_same(page: Page, representation: Representation, base: str) -> None:
    """Pip's own parser finds every file with its digest, Python versions, metadata, yank and reason, in every form of the page."""
    links = Links(base=base, scope="projects/42")
    read, files = pip_reads(page, links, representation), offered(page)
    host = "https://elsewhere.test" if base.startswith("/") or not base else ""
    assert [link.filename for link in read] == [file.filename for file in files]
    assert [unquoted(link.url) for link in read] == [host + unquoted(links.file(file)) for file in files]
    assert [(link.hash_name, link.hash) for link in read] == [("sha256", file.sha256) for file in files]
    assert [link.requires_python for link in read] == [file.requires_python or None for file in files]
    assert [(link.is_yanked, link.yanked_reason) for link in read] == [(file.yanked is not None, file.yanked) for file in files]
    assert [link.metadata_file_data and link.metadata_file_data.hashes for link in read] == [
        {"sha256": file.metadata_sha256} if file.metadata_sha256 else None for file in files
    ]
    assert [link.upload_time for link in read] == [file.uploaded_at if representation.is_json else None for file in files]
    for link, file in zip(read, files, strict=True):
        if file.metadata_sha256:
            beside = link.metadata_link()
            assert beside is not None
            assert (beside.url_without_fragment, beside.hash) == (f"{link.url_without_fragment}.metadata", file.metadata_sha256)


FILE_KEYS = {"filename", "url", "hashes", "size", "upload-time"}
SAID_BY = {
    "requires-python": lambda file: bool(file.requires_python),
    "core-metadata": lambda file: bool(file.metadata_sha256),
    "dist-info-metadata": lambda file: bool(file.metadata_sha256),
    "yanked": lambda file: file.yanked is not None,
    "provenance": lambda file: bool(file.provenance),
    "gpg-sig": lambda file: file.gpg_sig is not None,
}


def values_in(document: Any) -> Iterator[object]:
    """Every value in a JSON document that is no list and no object."""
    if isinstance(document, dict):
        for value in document.values():
            yield from values_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from values_in(value)
    else:
        yield document


@given(pages(), st.sampled_from(BASES))
def test_a_key_that_has_nothing_to_say_is_absent(page: Page, base: str) -> None:
    """JSON has exactly the keys that say something, and never null: uv drops a whole page for one."""
    document = json.loads(render_page(page, Links(base=base, scope="projects/42"), Representation.V1_JSON))
    assert None not in list(values_in(document))
    active = page.status is ProjectStatus.ACTIVE
    assert set(document) == {"meta", "name", "versions", "files"} | (set() if active else {"project-status"})
    if not active:
        assert set(document["project-status"]) == {"status"} | ({"reason"} if page.status_reason else set())
    qualified = "://" in base
    for file, found in zip(offered(page), document["files"], strict=True):
        said = {key for key, says in SAID_BY.items() if says(file) and (key != "provenance" or qualified)}
        assert set(found) == FILE_KEYS | said
        assert isinstance(found["size"], int)
        assert found.get("yanked", True) is True or found["yanked"]


@given(pages(), st.sampled_from(BASES))
def test_html_has_exactly_the_attributes_that_say_something(page: Page, base: str) -> None:
    """An anchor has its address and Requires-Python, then what there is to say; provenance only at a secure address (PEP 740)."""
    tags = Tags.of(render_page(page, Links(base=base, scope="projects/42"), Representation.HTML))
    anchors = [attributes for tag, attributes in tags if tag == "a"]
    secure = base.startswith("https://")
    for file, found in zip(offered(page), anchors, strict=True):
        said = {f"data-{key}" for key, says in SAID_BY.items() if says(file) and (key != "provenance" or secure)}
        assert list(found)[:2] == ["href", "data-requires-python"]
        assert set(found) == {"href", "data-requires-python", "data-size", "data-upload-time"} | said
    metas = {attributes["name"] for tag, attributes in tags if tag == "meta"}
    assert metas - {"pypi:repository-version"} == (
        set()
        if page.status is ProjectStatus.ACTIVE
        else {"pypi:project-status"} | ({"pypi:project-status-reason"} if page.status_reason else set())
    )


@given(pages(), st.sampled_from(BASES))
def test_addresses_are_the_same_in_both(page: Page, base: str) -> None:
    """HTML and JSON name the same address for a file, absolute or a path from the root, with the digest as fragment (hardening row 19)."""
    links = Links(base=base, scope="projects/42")
    document = json.loads(render_page(page, links, Representation.V1_JSON))
    anchors = [attributes for tag, attributes in Tags.of(render_page(page, links, Representation.HTML)) if tag == "a"]
    files = offered(page)
    assert [anchor["href"] for anchor in anchors] == [file["url"] for file in document["files"]] == [links.file(file) for file in files]
    assert all(anchor["href"].endswith(f"#sha256={file.sha256}") for anchor, file in zip(anchors, files, strict=True))
    assert all(anchor["href"].startswith(f"{base}/api/v4/projects/42/packages/pypi/files/") for anchor in anchors)
    assert all(file["url"].partition("#")[0].rpartition("/")[2] == quote(file["filename"]) for file in document["files"])


FILE = File(
    id=1,
    filename="my_package-1.0.tar.gz",
    version="1.0",
    sha256="0a" * 32,
    size=3,
    requires_python=">=3.11",
    uploaded_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)


def page_of(*files: File, display: str = "My.Package") -> Page:
    """A page of these files."""
    return Page(name=Name("my-package"), display=display, files=files)


def test_the_json_page_to_the_byte() -> None:
    """The keys, their order and their form are those that installers expect (PEP 691, PEP 700)."""
    assert json.loads(render_page(page_of(FILE), LINKS, Representation.V1_JSON)) == {
        "meta": {"api-version": "1.4"},
        "name": "my-package",
        "versions": ["1.0"],
        "files": [
            {
                "filename": "my_package-1.0.tar.gz",
                "url": f"{url(FILE)}#sha256={FILE.sha256}",
                "hashes": {"sha256": FILE.sha256},
                "size": 3,
                "upload-time": "2026-01-02T03:04:05.000006Z",
                "requires-python": ">=3.11",
            }
        ],
    }


FULL = evolve(FILE, yanked="broken", metadata_sha256="0b" * 32, provenance=True, gpg_sig=False)
PROVENANCE = (
    "https://registry.test:8443/packages/api/v4/projects/42/packages/pypi/integrity/my-package/1.0/my_package-1.0.tar.gz/provenance"
)


def test_every_fact_to_the_byte() -> None:
    """A file that has everything has it under the names of PEP 503, 592, 691, 714, 740 and 792, in JSON and in HTML."""
    page = evolve(page_of(FULL), status=ProjectStatus.DEPRECATED, status_reason="use <other>")
    digest = {"sha256": "0b" * 32}
    assert json.loads(render_page(page, LINKS, Representation.V1_JSON)) == {
        "meta": {"api-version": "1.4"},
        "name": "my-package",
        "project-status": {"status": "deprecated", "reason": "use <other>"},
        "versions": ["1.0"],
        "files": [
            {
                "filename": "my_package-1.0.tar.gz",
                "url": f"{url(FILE)}#sha256={FILE.sha256}",
                "hashes": {"sha256": FILE.sha256},
                "size": 3,
                "upload-time": "2026-01-02T03:04:05.000006Z",
                "requires-python": ">=3.11",
                "core-metadata": digest,
                "dist-info-metadata": digest,
                "yanked": "broken",
                "provenance": PROVENANCE,
                "gpg-sig": False,
            }
        ],
    }
    assert Tags.of(render_page(page, LINKS, Representation.HTML)) == [
        ("html", {}),
        ("head", {}),
        ("meta", {"name": "pypi:repository-version", "content": "1.4"}),
        ("meta", {"name": "pypi:project-status", "content": "deprecated"}),
        ("meta", {"name": "pypi:project-status-reason", "content": "use <other>"}),
        ("title", {}),
        ("body", {}),
        ("h1", {}),
        (
            "a",
            {
                "href": f"{url(FILE)}#sha256={FILE.sha256}",
                "data-requires-python": ">=3.11",
                "data-core-metadata": f"sha256={'0b' * 32}",
                "data-dist-info-metadata": f"sha256={'0b' * 32}",
                "data-yanked": "broken",
                "data-provenance": PROVENANCE,
                "data-gpg-sig": "false",
                "data-size": "3",
                "data-upload-time": "2026-01-02T03:04:05.000006Z",
            },
        ),
        ("br", {}),
    ]


@pytest.mark.parametrize("status", ProjectStatus)
def test_only_a_quarantine_hides_files(status: ProjectStatus) -> None:
    """A quarantined name is a page without files and versions; every other status leaves them where they are (PEP 792)."""
    page = evolve(page_of(FILE), status=status)
    document = json.loads(render_page(page, LINKS, Representation.V1_JSON))
    count = 0 if status is ProjectStatus.QUARANTINED else 1
    assert (len(document["files"]), len(document["versions"])) == (count, count)
    assert render_page(page, LINKS, Representation.HTML).count(b"<a ") == count
    assert FILE.sha256.encode() not in render_page(page, LINKS, Representation.HTML) or count


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC), "2026-01-02T03:04:05.999999Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-01-01T21:19:05.000000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_moment_has_one_form(moment: datetime, text: str) -> None:
    """An upload time is in UTC, to the microsecond, with a Z, in both forms of the page (PEP 700): uv drops the page for any other."""
    page = page_of(evolve(FILE, uploaded_at=moment))
    assert json.loads(render_page(page, LINKS, Representation.V1_JSON))["files"][0]["upload-time"] == text
    assert dict(Tags.of(render_page(page, LINKS, Representation.HTML)))["a"]["data-upload-time"] == text


def test_an_unknown_requires_python_is_absent_in_json_and_empty_in_html() -> None:
    """JSON leaves the key out; HTML keeps the attribute, empty, as GitLab does."""
    page = page_of(evolve(FILE, requires_python=""))
    assert "requires-python" not in json.loads(render_page(page, LINKS, Representation.V1_JSON))["files"][0]
    assert b' data-requires-python="" ' in render_page(page, LINKS, Representation.HTML)


def test_versions_are_unique_and_in_order() -> None:
    """Spellings of one version count once, and 1.10 comes after 1.9 (PEP 700)."""
    files = [evolve(FILE, version=version) for version in ("1.10", "1.9", "1.0", "v1.0.0", "1.0rc1")]
    assert json.loads(render_page(page_of(*files), LINKS, Representation.V1_JSON))["versions"] == ["1.0rc1", "1.0", "1.9", "1.10"]


class Tags(HTMLParser):
    """Every start tag of a document, with its attributes, and the text inside title, h1 and a."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTMLParser's."""
        self.seen.append((tag, {key: value or "" for key, value in attrs}))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        """HTMLParser's."""
        self._open = ""

    def handle_data(self, data: str) -> None:
        """HTMLParser's."""
        if self._open in {"title", "h1", "a"}:
            self.texts[self._open] = self.texts.get(self._open, "") + data

    @classmethod
    def of(cls, document: bytes) -> list[tuple[str, dict[str, str]]]:
        """The start tags of `document`."""
        return cls.read(document).seen

    @classmethod
    def read(cls, document: bytes) -> "Tags":
        """Parse `document`."""
        parser = cls()
        parser.feed(document.decode())
        parser.close()
        return parser


SKELETON = ["html", "head", "meta", "title", "body", "h1"]


@given(
    st.one_of(texts, st.text("<>\"'&=/ abc", max_size=20).map(MARKUP.__add__)),
    st.sampled_from(["filename", "requires_python", "yanked"]),
    st.sampled_from(HTMLS),
)
def test_markup_in_a_file_is_text(text: str, field: str, representation: Representation) -> None:
    """Whatever a file name, Requires-Python or yank reason holds, the page has one link, and it reads as that text (hardening row 4)."""
    changed: dict[str, Any] = {field: text}
    file = evolve(FILE, **changed)
    rendered = render_page(page_of(file), LINKS, representation)
    tags = Tags.of(rendered)
    assert [tag for tag, _ in tags] == [*SKELETON, "a", "br"]
    assert dict(tags)["a"] == {
        "href": LINKS.file(file),
        "data-requires-python": file.requires_python,
        **({"data-yanked": text} if field == "yanked" else {}),
        "data-size": "3",
        "data-upload-time": "2026-01-02T03:04:05.000006Z",
    }
    for attribute in ("requires-python", "yanked"):
        assert f'data-{attribute}="{MARKUP}'.encode() not in rendered


@given(reasons.filter(bool), st.sampled_from(list(ProjectStatus)[1:]), st.sampled_from(HTMLS))
def test_markup_in_a_reason_is_text(reason: str, status: ProjectStatus, representation: Representation) -> None:
    """Whatever the reason of a status holds, it is the content of one meta tag and nothing else (hardening row 4)."""
    rendered = render_page(evolve(page_of(), status=status, status_reason=reason), LINKS, representation)
    tags = Tags.of(rendered)
    assert [tag for tag, _ in tags] == ["html", "head", "meta", "meta", "meta", "title", "body", "h1"]
    assert tags[4][1] == {"name": "pypi:project-status-reason", "content": reason}
    assert b"<script" not in rendered


@pytest.mark.parametrize("field", ["filename", "requires_python", "yanked", "status_reason", "display"])
def test_json_is_ascii(field: str) -> None:
    """Text beyond ASCII, and what would end a line or a string, stands in JSON as escapes, whatever a reader thinks of charsets."""
    text = '\u2028</script>\x00\x7f\u00e9\U0001f40d"'
    changed: dict[str, Any] = {field: text}
    of_page = field in {"status_reason", "display"}
    page = evolve(page_of(FILE), status=ProjectStatus.ARCHIVED)
    page = evolve(page, **changed) if of_page else evolve(page, files=(evolve(FILE, **changed),))
    rendered = render_page(page, LINKS, Representation.V1_JSON)
    assert rendered.isascii()
    assert field == "display" or text in list(values_in(json.loads(rendered)))


@pytest.mark.parametrize("representation", HTMLS)
def test_markup_in_a_title_is_text(representation: Representation) -> None:
    """The title and the heading are text, whatever the project is called (hardening row 4)."""
    for rendered in (
        render_page(page_of(FILE, display=MARKUP), LINKS, representation),
        render_index(Index(title=MARKUP, names=("a",)), representation),
    ):
        parsed = Tags.read(rendered)
        assert [tag for tag, _ in parsed.seen] == [*SKELETON, "a", "br"]
        assert parsed.texts["h1"] == parsed.texts["title"] == f"Links for {MARKUP}"
        assert b"<script" not in rendered


def test_markup_in_an_address_is_text() -> None:
    """A base address with an ampersand or a quote cannot leave its attribute (hardening row 4)."""
    links = Links(base="https://registry.test/a&amp;b'\"><x", scope="projects/1")
    tags = Tags.of(render_page(page_of(FILE), links, Representation.HTML))
    assert dict(tags)["a"]["href"] == links.file(FILE)


@pytest.mark.parametrize("representation", [*HTMLS, Representation.V1_JSON])
def test_links_stay_in_their_scope(representation: Representation) -> None:
    """A group's page leads to the group's own download route, so that what its reader may do is decided there again."""
    links = Links(base="https://registry.test", scope="groups/7/-")
    rendered = render_page(page_of(FILE), links, representation)
    assert f"https://registry.test/api/v4/groups/7/-/packages/pypi/files/{FILE.sha256}/{FILE.filename}".encode() in rendered
    assert b"/projects/" not in rendered


def test_markup_in_an_index_is_text() -> None:
    """A name that got into the index by whatever way is a link with that text (hardening row 4)."""
    rendered = render_index(Index(title="t", names=(MARKUP, "b")), Representation.HTML, prefix='"><x>')
    assert [tag for tag, _ in Tags.of(rendered)] == [*SKELETON, "a", "br", "a", "br"]
    assert b"<script" not in rendered


@given(st.lists(names(), max_size=8), st.sampled_from(["", "simple/"]))
def test_an_index_names_each_project_once(spelt: list[str], prefix: str) -> None:
    """Both forms of an index list its names, in order, and the links are relative and end in a slash."""
    held = tuple(sorted({Name(text).normalized for text in spelt}))
    index = Index(title="root / packages", names=held)
    assert IndexPage.from_json_data(json.loads(render_index(index, Representation.V1_JSON))).projects == list(held)
    for representation in HTMLS:
        rendered = render_index(index, representation, prefix=prefix)
        assert IndexPage.from_html(rendered.decode()).projects == list(held)
        assert [attributes["href"] for tag, attributes in Tags.of(rendered) if tag == "a"] == [f"{prefix}{name}/" for name in held]
        assert Tags.read(rendered).texts["title"] == "Links for root / packages"


def test_file_names_with_reserved_characters_are_quoted_once() -> None:
    """An epoch's and a local version's characters survive in the address, and the address survives in the page."""
    file = evolve(FILE, filename="a-1!2.0+cu121-py3-none-any.whl")
    assert "/a-1%212.0%2Bcu121-py3-none-any.whl#" in LINKS.file(file)
    (package,) = ProjectPage.from_html(
        "a", render_page(page_of(file), LINKS, Representation.HTML).decode(), "https://elsewhere.test/"
    ).packages
    assert (package.filename, package.url) == (file.filename, LINKS.file(file).partition("#")[0])
