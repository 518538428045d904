"""Paths as they come off the wire: what they can name, and what they can never do."""

from urllib.parse import urljoin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.testing import Answer, MemoryRegistry, registry_in_memory, request, wheel
from tests.strategies import spellings

BASE = "/api/v4/projects/1/packages/pypi"
GROUP = "/api/v4/groups/1/-/packages/pypi"
BUILT = wheel("My.Demo_Package")
ENVELOPES = ({"error"}, {"message"})


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> MemoryRegistry:
    """A registry that holds one file of My.Demo_Package and one of demo.txt."""
    registry = registry_in_memory(tmp_path_factory.mktemp("paths") / "data")
    assert registry.upload(1, BUILT).code == 201
    assert registry.upload(1, wheel("notes.txt")).code == 201
    return registry


def get(registry: MemoryRegistry, path: str | bytes, method: str = "GET") -> Answer:
    return registry.ask(method, path, token=registry.root_token)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spelling=spellings(["my", "demo", "package"]), slash=st.booleans())
def test_any_spelling_finds_the_page_in_place(held: MemoryRegistry, spelling: str, *, slash: bool) -> None:
    """A page answers 200, never a redirect, to every spelling of its name, with and without a final slash (hardening row 1)."""
    answer = get(held, f"{BASE}/simple/{spelling}{'/' if slash else ''}")
    assert (answer.code, BUILT.filename in answer.text) == (200, True)
    assert answer.body == get(held, f"{BASE}/simple/my-demo-package/").body


@pytest.mark.parametrize(
    "segment",
    [
        "_my-demo-package",
        "my-demo-package-",
        "---",
        ".",
        "..",
        "%2e%2e",
        "my%20demo%20package",
        "my-demo-package%20",
        "%EF%BD%8Dy-demo-package",  # a full-width m
        "%E2%84%AAite",  # the Kelvin sign
        "my-demo-pac%E2%84%AAage",
        "my%2Fdemo%2Fpackage",
        "..%2Fmy-demo-package",
        "my%5Cdemo",
        "my\\demo",
        "my-demo-package;x",
        "my-demo-package%3Fx",
        "*",
        "%25",
        "%",
        "%zz",
        "a" * 5000,
        "<script>alert(1)</script>",
    ],
)
def test_what_is_no_name_is_no_page(held: MemoryRegistry, segment: str) -> None:
    """What PEP 508 does not allow names nothing: 404 in JSON, with nothing of it echoed (hardening rows 1 and 2)."""
    answer = get(held, f"{BASE}/simple/{segment}/")
    assert answer.code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json in ({"message": "404 Package Not Found"}, {"error": "404 Not Found"})
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "tail",
    [
        "..%2f..%2f..%2fcatalog.sqlite",
        "..%2F..%2F..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2fcatalog.sqlite",
        "..%5c..%5ccatalog.sqlite",
        "%2fetc%2fpasswd",
        "....//catalog.sqlite",
        "catalog.sqlite",
        ".",
        "..",
        "",
    ],
)
@pytest.mark.parametrize("sha256", ["{sha256}", "..", "%2e%2e", "..%2f..", "staging", "{short}", "{sha256}0", "."])
def test_no_path_reaches_the_file_system(held: MemoryRegistry, sha256: str, tail: str) -> None:
    """Digest and file name of a download are looked up, never joined to a path: whatever they hold, 404 (hardening row 2)."""
    digest = sha256.format(sha256=BUILT.sha256, short=BUILT.sha256[:2])
    answer = get(held, f"{BASE}/files/{digest}/{tail}")
    assert answer.code == 404
    assert set(answer.json) in ENVELOPES


@pytest.mark.parametrize(
    "raw",
    [
        b"%00",
        b"my%00demo",
        b"%0a",
        b"%0d%0aX-Injected:%20yes",
        b"%1f",
        b"my%1fdemo",
        b"%7f",
        b"%c0%af",  # overlong "/"
        b"%c0%ae%c0%ae",  # overlong ".."
        b"%e0%80%af",
        b"%ff",
        b"%ed%a0%80",  # a surrogate
    ],
)
@pytest.mark.parametrize("where", [b"/%b", b"/api/v4/projects/%b/packages/pypi/simple/", b"/api/v4/projects/1/packages/pypi/simple/%b/"])
def test_bytes_that_no_name_holds_are_refused(held: MemoryRegistry, where: bytes, raw: bytes) -> None:
    """Control characters, overlong UTF-8 and what is no UTF-8 are 400 in JSON and never reach a header (hardening rows 2 and 3)."""
    answer = get(held, where % raw)
    assert (answer.code, set(answer.json)) == (400, {"error"})
    assert not {"location", "x-injected"} & set(answer.headers)


@pytest.mark.parametrize("raw", [b"/\xff", b"/simple/\xc3\xa9", b"/a\x00b", b"/a\tb", b"/a b", b""])
def test_what_is_no_request_line_ends_the_connection(held: MemoryRegistry, raw: bytes) -> None:
    """A path with raw bytes that no path may hold is 400 at once, and the connection closes (hardening rows 2 and 3)."""
    wire = held.connect()
    wire.send(request("GET", raw))
    assert [answer.code for answer in wire.answers()] == [400]
    assert wire.closed


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get", "X"])
@pytest.mark.parametrize(
    "path", ["//evil.example/%2e%2e", "/%0d%0aLocation:%20x", "//evil.example", "/\\evil.example", "/api/v4/..//x", "/.."]
)
def test_no_path_is_ever_redirected(held: MemoryRegistry, method: str, path: str) -> None:
    """Nothing here answers with a Location, so none can point elsewhere (hardening row 3)."""
    answer = get(held, path, method)
    assert answer.code in {400, 404, 405}
    assert "location" not in answer.headers


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=40).map(lambda raw: bytes(byte for byte in raw if 32 < byte < 127)))
def test_no_path_breaks_anything(held: MemoryRegistry, tail: bytes) -> None:
    """Whatever a path holds, the answer is JSON with one of GitLab's keys, or a page that exists."""
    for prefix in (b"/", f"{BASE}/".encode(), f"{BASE}/simple/".encode(), f"{BASE}/files/{BUILT.sha256}/".encode(), b"/api/v4/projects/"):
        answer = get(held, prefix + tail)
        assert answer.code in {200, 400, 404, 405}
        if answer.code != 200:
            assert set(answer.json) in ENVELOPES


@pytest.mark.parametrize(
    "path",
    [
        f"/{BASE}/simple/my-demo-package/",
        "/api//v4///projects/1/packages//pypi/simple/my-demo-package",
        f"{BASE}/simple/my-demo-package//",
        f"{BASE}//simple//my-demo-package",
        f"{BASE}/simple/my%2Ddemo%2dpackage/",
        f"{BASE}/s%69mple/my-demo-package/",
    ],
)
def test_repeated_slashes_and_needless_escapes_change_nothing(held: MemoryRegistry, path: str) -> None:
    """As in GitLab's router, repeated slashes are one, and an escaped letter is the letter."""
    assert get(held, path).code == 200


@pytest.mark.parametrize("project", ["root%2Fpackages", "root%2fpackages", "ROOT%2FPackages", "%72oot%2Fpackages"])
def test_a_path_is_one_segment(held: MemoryRegistry, project: str) -> None:
    """A project's path, its slash escaped in either case, stays one segment."""
    assert get(held, f"/api/v4/projects/{project}/packages/pypi/simple/").code == 200


@pytest.mark.parametrize(
    "project", ["root/packages", "root%252Fpackages", "root%2Fpackages%2F", "%2Froot%2Fpackages", "root%5Cpackages", "root"]
)
def test_what_only_looks_like_the_path_is_another(held: MemoryRegistry, project: str) -> None:
    """A path is compared whole: an extra, missing or doubly escaped slash names something else, which is not there."""
    assert get(held, f"/api/v4/projects/{project}/packages/pypi/simple/").code == 404


@pytest.mark.parametrize(
    ("name", "code"), [("my-demo-package.txt", 200), ("notes.txt", 200), ("notes.txt.txt", 200), ("notes", 404), ("none.txt", 404)]
)
def test_a_txt_suffix_is_a_format(held: MemoryRegistry, name: str, code: int) -> None:
    """GitLab's format suffix is dropped, unless a name really ends so."""
    assert get(held, f"{BASE}/simple/{name}").code == code


@pytest.mark.parametrize("path", [f"{BASE}/simple", f"{BASE}/simple/", f"{BASE}/simple?x=y", f"{BASE}/simple/?x=y"])
def test_links_of_the_index_lead_to_pages(held: MemoryRegistry, path: str) -> None:
    """Wherever the index was read, its relative links lead to pages that exist (PEP 503)."""
    answer = get(held, path)
    links = [part.partition('"')[0] for part in answer.text.split('<a href="')[1:]]
    assert len(links) == 2
    for link in links:
        target = urljoin(f"http://registry.test{path}", link)
        assert target.startswith(f"http://registry.test{BASE}/simple/")
        assert target.endswith("/")
        assert get(held, target.removeprefix("http://registry.test")).code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:99", "packages.example.com:443", "[::1]", "[::1]:8080", "x" * 63])
@pytest.mark.parametrize("external_url", ["https://packages.example.com", ""])
def test_the_host_header_never_comes_back(tmp_path_factory: pytest.TempPathFactory, external_url: str, host: str) -> None:
    """No answer, page or error holds the Host header; links start at the configured address or are relative (hardening row 7)."""
    registry = registry_in_memory(tmp_path_factory.mktemp("host") / "data", external_url=external_url)
    assert registry.upload(1, BUILT).code == 201
    headers = {"Host": host, "X-Forwarded-Host": "forwarded.example", "X-Forwarded-Proto": "gopher", "Forwarded": "host=forwarded.example"}
    paths = ("/", "/-/health", "/none", f"{BASE}/simple", f"{BASE}/simple/my-demo-package", f"{BASE}/files/{BUILT.sha256}/{BUILT.filename}")
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        for path in paths:
            for accept in ("text/html", "application/vnd.pypi.simple.v1+json"):
                answer = registry.ask(method, path, {**headers, "Accept": accept}, token=registry.root_token)
                assert "location" not in answer.headers
                sent = answer.body + repr(answer.headers).encode()
                for text in (host.encode(), b"evil", b"forwarded.example", b"gopher"):
                    assert text not in sent
    page = registry.ask("GET", f"{BASE}/simple/my-demo-package", headers, token=registry.root_token)
    assert f'href="{external_url}{BASE}/files/' in page.text
    registry.close()


@pytest.mark.parametrize("peer", ["192.0.2.7", ""])
def test_a_host_is_not_needed(held: MemoryRegistry, peer: str) -> None:
    """An old client that sends no Host header is served, through a unix socket too."""
    wire = held.connect(peer)
    wire.send(f"GET {BASE}/simple/ HTTP/1.0\r\nPRIVATE-TOKEN: {held.root_token}\r\n\r\n".encode())
    assert [answer.code for answer in wire.answers()] == [200]
    assert wire.closed


@pytest.mark.parametrize("host", ["a b", "a/b", "<script>", "a@b", "\u00e9", "a\\b", 'a"b', "a,b", "x" * 64, "a..b", ".a"])
def test_a_host_that_is_none_is_refused(held: MemoryRegistry, host: str) -> None:
    """A Host header that is no host name is 400, and is not shown (hardening row 7)."""
    answer = held.ask("GET", f"{BASE}/simple/", {"Host": host}, token=held.root_token)
    assert (answer.code, set(answer.json)) == (400, {"error"})
    assert host not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", f"{BASE}/simple", "GET, HEAD, OPTIONS"),
        ("DELETE", f"{BASE}/simple/", "GET, HEAD, OPTIONS"),
        ("PUT", f"{BASE}/simple/demo", "GET, HEAD, OPTIONS"),
        ("PATCH", f"{BASE}/files/{'0' * 64}/x", "GET, HEAD, OPTIONS"),
        # "pypi" could also be the number of a package.
        ("PUT", BASE, "DELETE, GET, HEAD, OPTIONS, POST"),
        ("PATCH", BASE + "/", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("POST", f"{GROUP}/simple", "GET, HEAD, OPTIONS"),
        ("PUT", f"{GROUP}/simple/demo/", "GET, HEAD, OPTIONS"),
        ("DELETE", f"{GROUP}/files/{'0' * 64}/x", "GET, HEAD, OPTIONS"),
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("POST", "/-/health", "GET, HEAD, OPTIONS"),
        ("BREW", f"{BASE}/simple", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_405(held: MemoryRegistry, method: str, path: str, allow: str) -> None:
    """A method that a path does not know gets 405 with the ones it knows, in GitLab's envelope; OPTIONS gets them with 204."""
    answer = get(held, path, method)
    assert (answer.code, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert answer.json == {"error": "405 Not Allowed"}
    options = get(held, path, "OPTIONS")
    assert (options.code, options.headers["allow"], options.body) == (204, allow, b"")
    assert "content-length" not in options.headers


@pytest.mark.parametrize(
    "path",
    [
        "/none",
        "/api",
        "/api/v4/",
        "/api/v4/projects/1/none",
        f"{BASE}/none",
        f"{BASE}/simple/a/b",
        "/favicon.ico",
        "/api/v4/projects//packages/pypi/simple",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_an_unknown_path_is_404(held: MemoryRegistry, method: str, path: str) -> None:
    """A path that no route takes is 404 in GitLab's envelope, whoever asks."""
    for answer in (get(held, path, method), held.ask(method, path)):
        assert answer.code == 404
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if method != "HEAD":
            assert answer.json == {"error": "404 Not Found"}


def test_however_the_path_is_spelt_links_begin_where_the_registry_does(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without an external URL, doubled slashes and escapes in the path change no link, least of all its host (hardening rows 7, 19)."""
    registry = registry_in_memory(tmp_path_factory.mktemp("spelt") / "data", external_url="")
    assert registry.upload(1, wheel("demo", "1.0")).code == 201
    rest = "v4/projects/1/packages/pypi/simple/demo/"
    plain = registry.ask("GET", f"/api/{rest}", token=registry.root_token).body
    assert b'href="/api/v4/projects/1/packages/pypi/files/' in plain
    for spelling in (f"//api/{rest}", f"/api//{rest}", f"/%61pi/{rest}", f"///api/{rest}"):
        assert registry.ask("GET", spelling, token=registry.root_token).body == plain
    registry.close()
