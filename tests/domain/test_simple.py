"""Pages and indexes: what is rendered is what a client reads, and nothing in it is ever markup."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from pypi_simple import IndexPage, ProjectPage

from registry.domain.model import File, Index, Page
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.simple import API_VERSION, Links, render_index, render_page
from registry.domain.versions import Version
from tests.strategies import names, pages, texts

LINKS = Links(base="https://registry.test:8443/packages", scope="projects/42")
HTMLS = [Representation.HTML, Representation.V1_HTML]
MARKUP = "<script>'\"&amp;</a><h1>"


def url(file: File) -> str:
    """Where the file is, by the contract."""
    return f"https://registry.test:8443/packages/api/v4/projects/42/packages/pypi/files/{file.sha256}/{file.filename}"


@given(pages())
def test_json_says_everything(page: Page) -> None:
    """A JSON page parses back to every fact of the model, in the order of publishing."""
    document = json.loads(render_page(page, LINKS, Representation.V1_JSON))
    parsed = ProjectPage.from_json_data(document, "https://elsewhere.test/")
    assert (parsed.project, parsed.repository_version) == (page.name.normalized, API_VERSION)
    assert [package.filename for package in parsed.packages] == [file.filename for file in page.files]
    assert [package.digests for package in parsed.packages] == [{"sha256": file.sha256} for file in page.files]
    assert [package.requires_python for package in parsed.packages] == [file.requires_python or None for file in page.files]
    assert [package.size for package in parsed.packages] == [file.size for file in page.files]
    assert [package.upload_time for package in parsed.packages] == [file.uploaded_at for file in page.files]
    assert [package.url.partition("#")[0].replace("%21", "!").replace("%2B", "+") for package in parsed.packages] == [
        url(file) for file in page.files
    ]
    assert {Version(version) for version in parsed.versions or ()} == {Version(file.version) for file in page.files}
    assert len(document["versions"]) == len({Version(file.version) for file in page.files})


@given(pages(), st.sampled_from(HTMLS))
def test_html_says_the_same(page: Page, representation: Representation) -> None:
    """An HTML page parses back to the names, addresses, digests and Python versions of the model."""
    rendered = render_page(page, LINKS, representation)
    parsed = ProjectPage.from_html(page.name.normalized, rendered.decode(), "https://elsewhere.test/")
    assert rendered.startswith(b"<!DOCTYPE html>")
    assert parsed.repository_version == API_VERSION
    assert [package.filename for package in parsed.packages] == [file.filename for file in page.files]
    assert [package.digests for package in parsed.packages] == [{"sha256": file.sha256} for file in page.files]
    assert [package.requires_python or "" for package in parsed.packages] == [file.requires_python for file in page.files]
    assert [package.url.partition("#")[0].replace("%21", "!").replace("%2B", "+") for package in parsed.packages] == [
        url(file) for file in page.files
    ]


@given(pages())
def test_addresses_are_the_same_in_both(page: Page) -> None:
    """HTML and JSON name the same absolute address for a file, by the project's number, with the digest as fragment."""
    document = json.loads(render_page(page, LINKS, Representation.V1_JSON))
    anchors = [attributes for tag, attributes in Tags.of(render_page(page, LINKS, Representation.HTML)) if tag == "a"]
    assert (
        [anchor["href"] for anchor in anchors] == [file["url"] for file in document["files"]] == [LINKS.file(file) for file in page.files]
    )
    assert all(anchor["href"].endswith(f"#sha256={file.sha256}") for anchor, file in zip(anchors, page.files, strict=True))
    assert all(list(anchor)[:2] == ["href", "data-requires-python"] for anchor in anchors)


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
    st.sampled_from(["filename", "requires_python"]),
    st.sampled_from(HTMLS),
)
def test_markup_in_a_file_is_text(text: str, field: str, representation: Representation) -> None:
    """Whatever a file name or Requires-Python holds, the page has one link, and it reads as that text (hardening row 4)."""
    file = evolve(FILE, filename=text) if field == "filename" else evolve(FILE, requires_python=text)
    rendered = render_page(page_of(file), LINKS, representation)
    tags = Tags.of(rendered)
    assert [tag for tag, _ in tags] == [*SKELETON, "a", "br"]
    assert dict(tags)["a"] == {
        "href": LINKS.file(file),
        "data-requires-python": file.requires_python,
        "data-size": "3",
        "data-upload-time": "2026-01-02T03:04:05.000006Z",
    }
    if field == "requires_python":
        assert f'data-requires-python="{MARKUP}'.encode() not in rendered


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
