"""Pages and indexes over HTTP: representations, validators, escaping."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from registry.domain.access import Visibility
from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.testing import EXTERNAL_URL, OPERATOR, Built, MemoryRegistry, done, registry_in_memory, sdist, wheel

BASE = "/api/v4/projects/1/packages/pypi"
PAGE, INDEX = f"{BASE}/simple/my-demo/", f"{BASE}/simple/"
HTML, V1_HTML, V1_JSON = "text/html", "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.v1+json"
FILES = [wheel("My.Demo", "1.10", requires_python=">=3.8,<4"), sdist("my-demo", "1.9"), wheel("my_demo", "1.10.0", tag="cp311-abi3-any")]


class Links(HTMLParser):
    """What a client reads off a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.title = ""
        self._in: str = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTMLParser."""
        self._in = tag
        if tag == "a":
            self.found.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        """HTMLParser."""
        self._in = ""

    def handle_data(self, data: str) -> None:
        """HTMLParser."""
        if self._in == "a":
            self.found[-1]["text"] = data
        if self._in == "title":
            self.title = data


def links(text: str) -> Links:
    parsed = Links()
    parsed.feed(text)
    return parsed


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """Three files of My.Demo in root/packages."""
    registry = registry_in_memory(tmp_path_factory.mktemp("pages") / "data")
    for built in FILES:
        assert registry.upload(1, built).code == 201
    yield registry
    registry.close()


SIDECAR = ("data-core-metadata", "data-dist-info-metadata")


def metadata_of(built: Built) -> str | None:
    """The digest of the metadata that is served beside a file; None for an sdist that serves none."""
    if not built.filename.endswith(".whl"):
        return None
    with zipfile.ZipFile(io.BytesIO(built.content)) as archive:
        (member,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return hashlib.sha256(archive.read(member)).hexdigest()


def test_a_page_in_html(held: MemoryRegistry) -> None:
    """The HTML page links every file in the order it was published, absolutely, by the project's number, with its digest."""
    answer = held.ask("GET", PAGE.replace("/1/", "/root%2Fpackages/"), {"Accept": HTML}, token=held.root_token)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.body.startswith(b"<!DOCTYPE html>")
    page = links(answer.text)
    assert page.title == "Links for My.Demo"
    assert page.found == [
        {
            "href": f"{EXTERNAL_URL}{BASE}/files/{built.sha256}/{built.filename}#sha256={built.sha256}",
            "data-requires-python": ">=3.8,<4" if built is FILES[0] else "",
            **({} if metadata_of(built) is None else dict.fromkeys(SIDECAR, f"sha256={metadata_of(built)}")),
            "data-size": str(len(built.content)),
            "data-upload-time": "2030-06-15T12:00:00.000000Z",
            "text": built.filename,
        }
        for built in FILES
    ]


def test_a_page_in_json(held: MemoryRegistry) -> None:
    """The JSON page tells the same, and sizes, times and versions beside (PEP 691, PEP 700)."""
    answer = held.ask("GET", PAGE, {"Accept": V1_JSON}, token=held.root_token)
    assert answer.headers["content-type"] == f"{V1_JSON}; charset=utf-8"
    page = answer.json
    assert (page["meta"], page["name"], page["versions"]) == ({"api-version": "1.4"}, "my-demo", ["1.9", "1.10"])
    assert [file["filename"] for file in page["files"]] == [built.filename for built in FILES]
    first = page["files"][0]
    assert first == {
        "filename": FILES[0].filename,
        "url": f"{EXTERNAL_URL}{BASE}/files/{FILES[0].sha256}/{FILES[0].filename}#sha256={FILES[0].sha256}",
        "hashes": {"sha256": FILES[0].sha256},
        "size": len(FILES[0].content),
        "upload-time": "2030-06-15T12:00:00.000000Z",
        "requires-python": ">=3.8,<4",
        "core-metadata": {"sha256": metadata_of(FILES[0])},
        "dist-info-metadata": {"sha256": metadata_of(FILES[0])},
    }
    assert "requires-python" not in page["files"][1]


def test_every_link_is_a_file(held: MemoryRegistry) -> None:
    """What a page links can be downloaded there, to the byte."""
    page = held.ask("GET", PAGE, {"Accept": V1_JSON}, token=held.root_token).json
    for file, built in zip(page["files"], FILES, strict=True):
        path = file["url"].removeprefix(EXTERNAL_URL).partition("#")[0]
        assert held.ask("GET", path, token=held.root_token).body == built.content


def test_the_index(held: MemoryRegistry) -> None:
    """The index names everything once, in both forms, from one model."""
    html = links(held.ask("GET", INDEX, {"Accept": HTML}, token=held.root_token).text)
    assert (html.title, html.found) == ("Links for packages", [{"href": "my-demo/", "text": "my-demo"}])
    json_index = held.ask("GET", INDEX, {"Accept": V1_JSON}, token=held.root_token).json
    assert json_index == {"meta": {"api-version": "1.4"}, "projects": [{"name": "my-demo"}]}


def test_an_empty_index_is_a_page(registry: MemoryRegistry) -> None:
    """A project that holds nothing has an index all the same."""
    assert links(registry.ask("GET", INDEX, {"Accept": HTML}, token=registry.root_token).text).found == []
    assert registry.ask("GET", INDEX, {"Accept": V1_JSON}, token=registry.root_token).json["projects"] == []


@pytest.mark.parametrize(
    ("accept", "query", "found"),
    [
        (None, "", HTML),
        ("*/*", "", HTML),
        ("image/png", "", HTML),
        (V1_HTML, "", V1_HTML),
        (V1_JSON, "", V1_JSON),
        ("application/vnd.pypi.simple.latest+json", "", V1_JSON),
        (f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01", "", V1_JSON),
        (f"{V1_JSON};q=0.1, text/html", "", HTML),
        (HTML, f"?format={V1_JSON.replace('+', '%2B')}", V1_JSON),
        (V1_JSON, "?format=text/html", HTML),
        (V1_JSON, "?format=nonsense", V1_JSON),
        (V1_JSON, "?format=%ff%00", V1_JSON),
    ],
)
@pytest.mark.parametrize("path", [PAGE, INDEX])
def test_representations_are_negotiated(held: MemoryRegistry, path: str, accept: str | None, query: str, found: str) -> None:
    """The client gets the form it asked for, HTML where it asked for none we have; caches are told that it varies (hardening row 15)."""
    answer = held.ask("GET", path + query, {"Accept": accept} if accept is not None else {}, token=held.root_token)
    assert (answer.code, answer.headers["content-type"]) == (200, f"{found}; charset=utf-8")
    assert answer.headers["vary"] == "Accept, Accept-Encoding, Authorization, Private-Token"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [PAGE, INDEX])
@pytest.mark.parametrize("accept", [HTML, V1_JSON])
def test_a_copy_that_is_current_is_not_sent_again(held: MemoryRegistry, path: str, accept: str) -> None:
    """If-None-Match with the validator, weak or in a list, is 304 without a body; any other gets the page."""
    first = held.ask("GET", path, {"Accept": accept}, token=held.root_token)
    etag = first.headers["etag"]
    for sent, code in ((etag, 304), (f"W/{etag}", 304), (f'"x", {etag}', 304), ("*", 304), ('"x"', 200), ('"", "x"', 200), ("", 200)):
        for method in ("GET", "HEAD"):
            answer = held.ask(method, path, {"Accept": accept, "If-None-Match": sent}, token=held.root_token)
            assert (sent, answer.code) == (sent, code)
            assert answer.headers["etag"] == etag
            assert answer.headers["vary"] == first.headers["vary"]
            if code == 304:
                assert answer.body == b""
                assert answer.headers.get("content-length", first.headers["content-length"]) == first.headers["content-length"]


def test_each_form_has_a_validator_of_its_own(held: MemoryRegistry) -> None:
    """A copy of the HTML page is not taken for the JSON one (hardening row 14)."""
    html = held.ask("GET", PAGE, {"Accept": HTML}, token=held.root_token)
    answer = held.ask("GET", PAGE, {"Accept": V1_JSON, "If-None-Match": html.headers["etag"]}, token=held.root_token)
    assert answer.code == 200


def test_an_upload_changes_the_validators(registry: MemoryRegistry) -> None:
    """After an upload both forms of page and index are new to everybody who holds a copy (hardening row 14)."""
    assert registry.upload(1, wheel("my-demo", "1")).code == 201
    paths = [(path, accept) for path in (PAGE, INDEX) for accept in (HTML, V1_JSON)]
    etags = {key: registry.ask("GET", key[0], {"Accept": key[1]}, token=registry.root_token).headers["etag"] for key in paths}
    assert registry.upload(1, wheel("my-demo", "2")).code == 201
    assert registry.upload(1, wheel("other", "2")).code == 201
    for (path, accept), etag in etags.items():
        answer = registry.ask("GET", path, {"Accept": accept, "If-None-Match": etag}, token=registry.root_token)
        assert answer.code == 200


@pytest.mark.parametrize("path", [PAGE, INDEX])
@pytest.mark.parametrize("accept", [HTML, V1_JSON])
def test_head_is_get_without_the_body(held: MemoryRegistry, path: str, accept: str) -> None:
    """HEAD of a page has the headers of GET, length included, and no body."""
    headers = {"Accept": accept}
    got, head = (held.ask(method, path, headers, token=held.root_token) for method in ("GET", "HEAD"))
    assert (head.code, head.body) == (200, b"")
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
    assert head.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize(
    ("visibility", "cached"),
    [(Visibility.PUBLIC, "no-cache"), (Visibility.INTERNAL, "private, no-cache"), (Visibility.PRIVATE, "private, no-cache")],
)
def test_pages_are_kept_but_asked_about(registry: MemoryRegistry, visibility: Visibility, cached: str) -> None:
    """A page may be kept, by shared caches only where anybody may read it, and is asked about each time (hardening row 15)."""
    project = registry.project("root/other", visibility).id
    assert registry.upload(project, wheel("my-demo")).code == 201
    for path in ("simple/", "simple/my-demo/"):
        answer = registry.ask("GET", f"/api/v4/projects/{project}/packages/pypi/{path}", token=registry.root_token)
        assert (answer.code, answer.headers["cache-control"]) == (200, cached)


HOSTILE = """>=3'"><script>alert(1)</script><a href="javascript:x">&amp;"""


def test_pages_escape_everything(registry: MemoryRegistry) -> None:
    """Whatever the catalog holds, no value of it becomes markup, in an attribute or between tags (hardening row 4)."""
    for number, filename in enumerate(("my_demo-1.tar.gz", "my_demo-2'\"><img src=x>&.tar.gz")):
        new = NewFile(
            name=Name("my-demo"),
            version=Version("1"),
            filename=filename,
            digests=Digests(size=1, sha256=f"{number:064x}", others={}),
            requires_python=HOSTILE,
            metadata={},
        )
        done(registry.store.packages.add_file(1, new, OPERATOR))
    text = registry.ask("GET", PAGE, {"Accept": HTML}, token=registry.root_token).text
    for tag in ("<script", "<img", 'javascript:x">', "'\""):
        assert tag not in text
    page = links(text)
    assert [link["data-requires-python"] for link in page.found] == [HOSTILE, HOSTILE]
    assert page.found[1]["text"] == "my_demo-2'\"><img src=x>&.tar.gz"
    assert page.found[1]["href"] is not None
    assert page.found[1]["href"].isascii()
    as_json = registry.ask("GET", PAGE, {"Accept": V1_JSON}, token=registry.root_token)
    assert json.loads(as_json.body)["files"][0]["requires-python"] == HOSTILE


def test_a_hostile_requires_python_is_no_markup(registry: MemoryRegistry) -> None:
    """A form's or an archive's requires-python that is none comes on no page as markup (hardening row 4)."""
    assert registry.upload(1, wheel("my-demo", "1"), fields={"requires_python": HOSTILE}).code == 400
    assert registry.upload(1, wheel("my-demo", "1")).code == 201
    assert registry.upload(1, wheel("my-demo", "2", requires_python='"><script>alert(1)</script>')).code in {201, 400}
    assert "<script" not in registry.ask("GET", PAGE, {"Accept": HTML}, token=registry.root_token).text


def test_the_front_page_is_for_everybody(registry: MemoryRegistry) -> None:
    """The root explains the registry, with its address, to anybody, and runs no script."""
    answer = registry.ask("GET", "/")
    assert (answer.code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert EXTERNAL_URL in answer.text
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "twine upload" in answer.text
    assert "pip install" in answer.text


def test_the_front_page_escapes_its_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An address with markup in it stays text (hardening row 4)."""
    registry = registry_in_memory(tmp_path_factory.mktemp("front") / "data", external_url="https://x.example/<b>'\"&")
    text = registry.ask("GET", "/").text
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    registry.close()
