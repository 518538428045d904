"""The upstream that other tests ask: it says what it was told to say, and remembers what it was asked."""

import gzip
import hashlib
import json
import re
import threading
import urllib.error
import urllib.request
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import pytest
from attrs import evolve

from registry.testing import FakeUpstream, Style, done, sdist, serving_upstream, wheel
from registry.testing.authority import Authority
from registry.testing.troubles import (
    HTML,
    JSON,
    V1_HTML,
    cut,
    damaged,
    gzipped,
    instead,
    redirect,
    status,
    typed,
    without_length,
    wrong_length,
)
from registry.testing.upstream import MARKUP
from tests.upstream.asking import INDEX, World, problem

DEMO, FILES = [wheel("demo"), sdist("demo")], "http://index.test/files/demo/"
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"


class Links(HTMLParser):
    """What a client reads off a page."""

    def __init__(self, url: str, body: bytes) -> None:
        super().__init__()
        self.base, self.found = url, dict[str, dict[str, str]]()
        self._last: dict[str, str] = {}
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """HTMLParser."""
        said = {key: value or "" for key, value in attrs}
        if tag == "base":
            self.base = urljoin(self.base, said["href"])
        if tag == "a":
            self._last = {**said, "href": urljoin(self.base, said["href"])}

    def handle_data(self, data: str) -> None:
        """HTMLParser."""
        if self._last:
            self.found[data] = self._last
            self._last = {}


@pytest.fixture
def world() -> World:
    """An upstream that has a wheel and an sdist of demo 1.0."""
    made = World.of()
    made.upstream.add(*DEMO)
    return made


def page(world: World, accept: str = PIP) -> Any:
    return json.loads(world.fetch(headers={"Accept": accept}).body)


def links(world: World, url: str = f"{INDEX}demo/") -> dict[str, dict[str, str]]:
    return Links(url, world.fetch(url, {"Accept": HTML}).body).found


# --- pages ---


def test_a_page_is_that_of_an_index(world: World) -> None:
    """JSON tells name, versions, and of each file address, digest, size, time and core metadata, all of which are true."""
    found = page(world)
    assert (found["name"], found["versions"], found["meta"]) == ("demo", ["1.0"], {"api-version": "1.4"})
    for built, entry in zip(DEMO, found["files"], strict=True):
        assert entry["filename"] == built.filename
        assert (entry["size"], entry["upload-time"]) == (len(built.content), "2020-02-03T04:05:06.000000Z")
        content = world.fetch(entry["url"]).body
        assert entry["hashes"] == {"sha256": hashlib.sha256(content).hexdigest()}
    metadata = world.fetch(found["files"][0]["url"] + ".metadata").body
    assert found["files"][0]["core-metadata"] == {"sha256": hashlib.sha256(metadata).hexdigest()}
    assert b"Name: demo" in metadata
    assert "core-metadata" not in found["files"][1]


@pytest.mark.parametrize("href", ["absolute", "rooted", "relative"])
@pytest.mark.parametrize("base", ["", "/files/demo/"])
def test_links_lead_to_files_in_every_style(world: World, href: str, base: str) -> None:
    """However links are written, they lead to the files."""
    world.upstream.style = Style(json=False, href=href, base=base)
    found = links(world)
    assert list(found) == [built.filename for built in DEMO]
    assert [world.fetch(found[built.filename]["href"]).body for built in DEMO] == [built.content for built in DEMO]
    assert all(one["href"].endswith(f"#sha256={built.sha256}") for one, built in zip(found.values(), DEMO, strict=True))


@pytest.mark.parametrize(
    ("style", "accept", "kind"),
    [
        (Style(), PIP, JSON),
        (Style(), HTML, HTML),
        (Style(json=False), PIP, V1_HTML),
        (Style(json=False), JSON, HTML),
        (Style(html=False), HTML, JSON),
        (Style(), "", HTML),
    ],
)
def test_it_speaks_what_it_can(world: World, style: Style, accept: str, kind: str) -> None:
    """An upstream that has only HTML or only JSON answers everybody so."""
    world.upstream.style = style
    assert world.fetch(headers={"Accept": accept}).headers["content-type"] == kind
    assert world.fetch(INDEX, {"Accept": accept}).headers["content-type"] in {kind, HTML}


@pytest.mark.parametrize("hashes", [(), ("md5",), ("sha1",), ("md5", "sha256")])
def test_digests_are_those_it_is_told_to_tell(world: World, hashes: tuple[str, ...]) -> None:
    """JSON has all of them and HTML the first."""
    world.upstream.style = Style(hashes=hashes)
    assert [tuple(entry["hashes"]) for entry in page(world)["files"]] == [hashes] * 2
    fragments = [one["href"].partition("#")[2] for one in links(world).values()]
    assert [fragment.partition("=")[0] for fragment in fragments] == [hashes[0] if hashes else ""] * 2


def test_facts_can_be_left_out(world: World) -> None:
    """Without times no size or upload-time is told, without metadata none, and none is there."""
    world.upstream.style = Style(times=False, metadata=False, etags=False, ranges=False)
    for entry in page(world)["files"]:
        assert set(entry) == {"filename", "url", "hashes"}
    assert world.fetch(f"{FILES}{DEMO[0].filename}.metadata").status == 404
    assert "etag" not in world.fetch().headers
    assert world.fetch(f"{FILES}{DEMO[1].filename}", {"Range": "bytes=0-1"}).status == 200


def test_facts_can_be_untrue(world: World) -> None:
    """Facts given with a file stand in JSON as they are, and in HTML, escaped, as far as it has them."""
    world.upstream.add(wheel("demo", "2.0"), requires_python=MARKUP, yanked=MARKUP, size=-1, upload_time=None)
    entry = page(world)["files"][2]
    assert (entry["requires-python"], entry["yanked"], entry["size"], entry["upload-time"]) == (MARKUP, MARKUP, -1, None)
    body = world.fetch(headers={"Accept": HTML}).body
    assert b"<script>" not in body
    assert Links(INDEX, body).found["demo-2.0-py3-none-any.whl"]["data-requires-python"] == MARKUP


def test_a_flat_index_is_one_list_of_files(world: World) -> None:
    """There are no pages per name, and the list leads to every file."""
    world.upstream.add(wheel("other"))
    world.upstream.style = Style(json=False, flat=True, href="relative", hashes=())
    assert world.fetch().status == 404
    found = links(world, "http://index.test/files/")
    assert list(found) == [*(built.filename for built in DEMO), "other-1.0-py3-none-any.whl"]
    assert world.fetch(found[DEMO[0].filename]["href"]).body == DEMO[0].content


def test_files_may_be_elsewhere(world: World) -> None:
    """Absolute links lead to another host, if there is one for files."""
    world.upstream.files_url = "http://files.test"
    assert page(world)["files"][0]["url"] == f"http://files.test/files/demo/{DEMO[0].filename}"


def test_names_have_a_status_and_go_away(world: World) -> None:
    """A marked name says so in both forms, and a removed one is not there."""
    world.upstream.mark("Demo", "quarantined", "because")
    assert page(world)["project-status"] == {"status": "quarantined", "reason": "because"}
    assert b'content="quarantined"' in world.fetch(headers={"Accept": HTML}).body
    world.upstream.remove("demo")
    assert world.fetch().status == 404
    assert world.fetch(INDEX, {"Accept": JSON}).body == b'{"meta": {"api-version": "1.4"}, "projects": []}'


def test_large_pages_are_made_quickly(world: World) -> None:
    """Five thousand files are on one page."""
    world.upstream.add_many("many-files", 5000)
    found = json.loads(world.fetch(f"{INDEX}many-files/", {"Accept": JSON}, limit=8 << 20).body)["files"]
    assert (len(found), found[-1]["filename"]) == (5000, "many_files-0.4999-py3-none-any.whl")
    assert world.fetch(found[-1]["url"]).body == b"4999"


def test_an_address_without_its_slash_leads_to_the_one_with_it(world: World) -> None:
    """A page's other address is a redirect."""
    assert world.fetch(f"{INDEX}demo").url == f"{INDEX}demo/"


# --- validators and ranges ---


def test_it_confirms_what_has_not_changed(world: World) -> None:
    """The same page has the same ETag and is answered 304; another page another."""
    etag = world.fetch(headers={"Accept": JSON}).headers["etag"]
    assert world.fetch(headers={"Accept": JSON, "If-None-Match": etag}).status == 304
    world.upstream.add(wheel("demo", "2.0"))
    assert world.fetch(headers={"Accept": JSON, "If-None-Match": etag}).status == 200


@pytest.mark.parametrize(
    ("asked", "code", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=0-999999", 206, slice(None)),
        ("bytes=-999999", 206, slice(None)),
        ("bytes=999999-", 416, slice(0, 0)),
        ("bytes=-", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_it_sends_parts(world: World, asked: str, code: int, part: slice) -> None:
    """One range of bytes is understood in all its forms."""
    answer = world.fetch(f"{FILES}{DEMO[1].filename}", {"Range": asked})
    assert (answer.status, answer.body) == (code, DEMO[1].content[part])


# --- troubles ---


def test_trouble_is_where_it_is_made_and_as_often(world: World) -> None:
    """A page's trouble is that page's, a folder's is of all below it, and trouble that is counted passes."""
    world.upstream.add(wheel("demo-more"))
    world.upstream.on("/simple/demo/", instead(b"once"), times=1)
    world.upstream.on("/files/", instead(b"always"))
    assert world.fetch().body == b"once"
    assert world.fetch().body != b"once"
    assert world.fetch(f"{INDEX}demo-more/").body != b"once"
    assert [world.fetch(f"{FILES}{built.filename}").body for built in DEMO] == [b"always"] * 2
    world.upstream.calm()
    assert world.fetch(f"{FILES}{DEMO[0].filename}").body == DEMO[0].content


def test_troubles_do_what_they_say(world: World) -> None:
    """Each makes of an honest answer what it is called."""

    def raw(trouble: Any) -> bytes:
        world.upstream.calm()
        world.upstream.on("/simple/demo/", trouble)
        return world.exchange(b"GET /simple/demo/ HTTP/1.1\r\nHost: index.test\r\nConnection: close\r\n\r\n")

    honest = raw(lambda reply: reply)
    body = honest.partition(b"\r\n\r\n")[2]
    assert raw(status(429, retry_after=7)).startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: 7\r\n" in raw(status(429, retry_after=7))
    assert b"\r\nLocation: file:///etc/passwd\r\n" in raw(redirect("file:///etc/passwd"))
    assert b"\r\nContent-Type: text/plain\r\n" in raw(typed("text/plain"))
    assert raw(cut(10)).endswith(b"\r\n\r\n" + body[:10])
    assert raw(damaged()).partition(b"\r\n\r\n")[2][:-1] == body[:-1]
    assert raw(damaged()) != honest
    assert f"Content-Length: {len(body) + 5}\r\n".encode() in raw(wrong_length(5))
    assert f"Content-Length: {len(body) - 5}\r\n".encode() in raw(wrong_length(-5))
    assert b"\r\nTransfer-Encoding: chunked\r\n" in raw(without_length())
    assert raw(without_length()).endswith(b"\r\n0\r\n\r\n")
    assert gzip.decompress(raw(gzipped()).partition(b"\r\n\r\n")[2]) == body


def test_what_is_held_comes_when_it_is_let(world: World) -> None:
    """A gate holds a whole reply, or all after some bytes, back until it is opened, and nothing after that."""
    whole = world.upstream.hold("/simple/demo/")
    asking = world.begin()
    assert not asking.called
    whole.open()
    world.network.settle()
    assert done(asking).status == 200
    assert world.fetch().status == 200
    part = world.upstream.hold("/files/demo/", at=10)
    reader = world.read(f"{FILES}{DEMO[1].filename}")
    assert bytes(reader.body) == DEMO[1].content[:10]
    part.open()
    world.network.settle()
    assert bytes(reader.body) == DEMO[1].content


def test_it_remembers_what_it_was_asked(world: World) -> None:
    """Requests are counted by path and method, and a word in any of them is found, escaped or not."""
    world.fetch()
    world.run(world.client.head(f"{FILES}{DEMO[0].filename}", {"X-Note": "Secret-Name"}, timeout=10))
    problem(world.begin("http://nowhere.test/acme-private/"))
    world.fetch("http://index.test/simple/caf%C3%A9/")
    assert (world.upstream.asked(), world.upstream.asked("/simple/demo/"), world.upstream.asked("/files/", "HEAD")) == (2, 1, 1)
    assert world.upstream.mentions("secret-name")
    assert world.upstream.mentions("CAFÉ")
    assert not world.upstream.mentions("acme")


def test_it_may_want_credentials(world: World) -> None:
    """With credentials set, everything else is answered 401, with a realm that nobody should ask."""
    world.upstream.credentials = ("ann", "secret")
    raw = world.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 401 ")
    assert b"169.254.169.254" in raw
    raw = world.exchange(b"GET /simple/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 200 ")


# --- live ---


def test_it_serves_processes_too() -> None:
    """Live, it answers on the loopback interface while this process does something else, and can be changed and read meanwhile."""
    upstream = FakeUpstream()
    for _ in range(2):
        with serving_upstream(upstream) as url:
            upstream.add(wheel("demo"))
            with urllib.request.urlopen(f"{url}demo/") as answer:
                link = re.search(r'href="([^"#]+)', answer.read().decode())
            assert link is not None
            with urllib.request.urlopen(link[1]) as answer:
                assert answer.read() == wheel("demo").content
            upstream.on("/simple/", status(503), times=1)
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(url)
    assert upstream.asked("/simple/demo/") == 2


def test_a_live_one_can_be_held(authority: Authority) -> None:
    """A gate is opened from any thread, and TLS is spoken with a certificate of one's own."""
    upstream = FakeUpstream()
    upstream.add(sdist("demo"))
    gate = upstream.hold("/simple/demo/", at=5)
    trusting = _trusting(authority)
    with serving_upstream(upstream, tls=authority.options("127.0.0.1")) as url:
        assert url.startswith("https://127.0.0.1:")
        with urllib.request.urlopen(f"{url}demo/", context=trusting) as answer:
            assert answer.read(5) == b"<!DOC"
            opening = threading.Thread(target=gate.open)
            opening.start()
            assert f"{url.removesuffix('simple/')}files/demo/demo-1.0.tar.gz".encode() in answer.read()
            opening.join()


def _trusting(authority: Authority) -> Any:
    import ssl  # noqa: PLC0415

    return ssl.create_default_context(cadata=authority.pem.decode())


def test_nothing_is_shared_between_two(world: World) -> None:
    """Each upstream has files, style and memory of its own."""
    other = FakeUpstream()
    other.style = evolve(other.style, json=False)
    world.fetch()
    assert (other.requests, world.upstream.style) == ([], Style())
