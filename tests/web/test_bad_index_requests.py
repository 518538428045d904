"""What a registry's index is asked in bad faith, or by broken programs: the right answer, in bounded memory, and nothing of it believed."""

import gc
import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from pypi_simple import ProjectPage
from sqlalchemy import event, insert

from registry.domain.names import Name
from registry.domain.versions import Version
from registry.storage.catalog.database import Writing
from registry.storage.catalog.tables import blobs, files, packages
from registry.testing import EXTERNAL_URL, NOON, Answer, Built, MemoryRegistry, done, registry_in_memory, request, sdist, wheel
from registry.testing.distributions import wheel_of

BASE, GROUP = "/api/v4/projects/1/packages/pypi", "/api/v4/groups/acme/-/packages/pypi"
PAGE, INDEX = f"{BASE}/simple/my-demo/", f"{BASE}/simple/"
HTML, V1_HTML, V1_JSON = "text/html", "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.v1+json"
QUOTED_JSON = V1_JSON.replace("+", "%2B")
BUILT = wheel("My.Demo", "1.0", requires_python=">=3.8", payload=b"x" * 1000)
SOURCE = sdist("my-demo", "0.9")
SIZE = len(BUILT.content)
FILE = f"{BASE}/files/{BUILT.sha256}/{BUILT.filename}"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A wheel and an sdist of My.Demo in root/packages and in a project of the group acme."""
    registry = registry_in_memory(tmp_path_factory.mktemp("bad") / "data")
    registry.group("acme")
    for project in (1, registry.project("acme/tools").id):
        for built in (BUILT, SOURCE):
            assert registry.upload(project, built).code == 201
    yield registry
    registry.close()


def get(registry: MemoryRegistry, path: str, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return registry.ask(method, path, sent, token=registry.root_token)


# --- Accept and ?format= --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PAGE, INDEX])
@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ("x" * 10_000, HTML),
        (f"{'x' * 10_000}, {V1_JSON}", V1_JSON),
        (f"{', '.join(f'a/b{number}' for number in range(1000))}, {V1_JSON}", V1_JSON),
        ("," * 10_000, HTML),
        (";" * 10_000, HTML),
        ("/" * 10_000, HTML),
        ('"' * 9_999, HTML),
        (f"{V1_JSON};q=nan, {V1_HTML};q=0.1", V1_HTML),
        (f"{V1_JSON};q=1e400, {V1_HTML};q=0.1", V1_HTML),
        (f"{V1_JSON};q=-1, {V1_HTML};q=0.1", V1_HTML),
        (f"{V1_JSON};q={'9' * 5000}, {V1_HTML};q=0.1", V1_HTML),
        (f"{V1_JSON};q=0.{'9' * 5000}, {V1_HTML};q=0.1", V1_JSON),
        (f"\u00e9, \U0001f40d/\u2028, {V1_JSON}", V1_JSON),
        (f"{V1_JSON}\t;\tq=1", V1_JSON),
        ("<script>alert(1)</script>/json", HTML),
        ("../../etc/passwd", HTML),
        ("application/json", HTML),
        ("", HTML),
    ],
)
def test_no_accept_header_makes_a_wrong_type(held: MemoryRegistry, path: str, accept: str, found: str) -> None:
    """Whatever Accept says, the answer is 200 with one of three types, the best that was readably asked for, and echoes nothing."""
    for method in ("GET", "HEAD"):
        answer = get(held, path, method, Accept=accept)
        assert (answer.code, answer.headers["content-type"]) == (200, f"{found}; charset=utf-8")
        assert "script" not in answer.text


@pytest.mark.parametrize("accept", ["a\0b", f"{V1_JSON}\0", "\0"])
def test_a_nul_in_a_header_ends_the_connection(held: MemoryRegistry, accept: str) -> None:
    """A header with a NUL is 400, and nothing after it is read (hardening row 2)."""
    wire = held.connect()
    head = {"Accept": accept, "PRIVATE-TOKEN": held.root_token}
    wire.send(request("GET", PAGE, head) + request("GET", PAGE, head))
    assert ([answer.code for answer in wire.answers()], wire.closed) == ([400], True)


@pytest.mark.parametrize("line", ["Accept: {}", "X-Anything: {}", "{}: x"])
def test_a_head_is_not_read_for_ever(held: MemoryRegistry, line: str) -> None:
    """A header line of more than 16 KiB ends the connection, however it goes on; one of less is read."""
    for size, ended in ((16_000, False), (17_000, True), (10_000_000, True)):
        wire = held.connect()
        text = line.format("x" * (size - len(line)))
        wire.send(f"GET {INDEX} HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {held.root_token}\r\n{text}\r\n\r\n".encode())
        assert wire.closed == ended
        assert [answer.code for answer in wire.answers()] in ([[200]] if not ended else [[], [400], [431]])
        wire.hang_up()


@pytest.mark.parametrize("path", [PAGE, INDEX])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"format={QUOTED_JSON}", V1_JSON),
        (f"format={V1_JSON}", V1_JSON),
        # The first one counts.
        (f"format={QUOTED_JSON}&format=text/html", V1_JSON),
        (f"format=text/html&format={QUOTED_JSON}", HTML),
        (f"format=nonsense&format={QUOTED_JSON}", V1_HTML),
        ("&".join(f"format={number}" for number in range(1000)), V1_HTML),
        ("format=" + "x" * 10_000, V1_HTML),
        ("format=" + "%00" * 3000, V1_HTML),
        ("format", V1_HTML),
        ("format=", V1_HTML),
        ("format=%", V1_HTML),
        ("format=%ff%fe", V1_HTML),
        ("format=%0d%0aX-Injected:%20yes", V1_HTML),
        ("format[]=text/html", V1_HTML),
        (f"FORMAT={QUOTED_JSON}", V1_HTML),
        (f"format={QUOTED_JSON.upper()}", V1_HTML),
        (f"format={QUOTED_JSON};format=text/html", V1_JSON),
        ("&" * 10_000, V1_HTML),
        ("=" * 10_000, V1_HTML),
    ],
)
def test_an_absurd_format_is_none(held: MemoryRegistry, path: str, query: str, found: str) -> None:
    """`?format=` is one of five values or is not there: Accept decides, nothing is echoed, and it is no error (hardening row 3)."""
    answer = get(held, f"{path}?{query}", Accept=V1_HTML)
    assert (answer.code, answer.headers["content-type"]) == (200, f"{found}; charset=utf-8")
    assert "x-injected" not in answer.headers


# --- names ----------------------------------------------------------------------------------------------------------------------------

NO_NAMES = [
    "%E2%84%AA",  # the Kelvin sign, which is a "k" in lower case
    "%E2%84%AAite",
    "my-demo%E2%84%AA",
    "my-dem%C5%BFo",  # the long s
    "%EF%BD%8D%EF%BD%99-demo",  # full-width letters
    "my%E2%80%90demo",  # a hyphen of Unicode
    "my%C2%ADdemo",  # a soft one
    "%EF%BB%BFmy-demo",  # a byte-order mark
    "my-demo%E2%80%8B",  # a blank of no width
    "_my-demo",
    "my-demo_",
    "-my-demo",
    "my-demo-",
    ".my-demo",
    "my-demo.",
    "---",
    "_",
    "-._",
    "%20my-demo",
    "my-demo%20",
    "my%20demo",
    "my%2Bdemo",
    "my+demo",
    "my%2fdemo",
    "my%5cdemo",
    "%2e%2e%2fmy-demo",
    "%2e",
    "%2e%2e",
    "%2fmy-demo",
    "my-demo%2f",
    "my-demo%2f..",
    "my-demo%252f",
    "my-demo%23",
    "my-demo%3fformat=x",
    "my-demo;v=1",
    "my-demo==1.0",
    "my-demo[extra]",
    "my-demo@1",
    "my-demo:1",
    "*",
    "%25",
    "%2a",
    "a" * 5000 + "-",
    "-" * 8000,
]


@pytest.mark.parametrize("top", [BASE, GROUP])
@pytest.mark.parametrize("segment", NO_NAMES)
def test_what_is_no_name_is_never_looked_up(held: MemoryRegistry, top: str, segment: str) -> None:
    """A segment that is no PEP 508 name is 404 before anything asks the catalog for it, and is not echoed (hardening rows 1 and 2)."""
    for slash in ("", "/"):
        assert get(held, f"{top}/simple/my-demo{slash}").code == 200  # whoever asks is let in and known from here on
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    engine: Any = held.store.database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        paths = [f"{top}/{where}/{segment}{slash}" for where in ("simple", "+simple") for slash in ("", "/")]
        answers = [get(held, path, method) for path in paths for method in ("GET", "HEAD")]
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked == []
    for answer in answers:
        assert (answer.code, answer.headers["content-type"]) == (404, "application/json")
        assert "location" not in answer.headers
        assert answer.body in {b"", b'{"message":"404 Package Not Found"}', b'{"error":"404 Not Found"}'}


@pytest.mark.parametrize(
    "segment", ["%0d%0aX-Injected:%20yes", "my-demo%0a", "my-demo%0d", "%00", "my-demo%00", "my%09demo", "%7f", "%c0%af", "%ff"]
)
@pytest.mark.parametrize("where", ["/simple/{}", "/simple/{}/", "/+simple/{}/", "/files/{}/x", f"/files/{'0' * 64}/{{}}"])
def test_what_could_end_a_header_is_refused(held: MemoryRegistry, where: str, segment: str) -> None:
    """Line breaks, NUL and broken UTF-8 in a path are 400 and reach no header (hardening rows 2 and 3)."""
    for method in ("GET", "HEAD"):
        answer = get(held, BASE + where.format(segment), method)
        assert answer.code == 400
        assert not {"location", "x-injected"} & set(answer.headers)


@pytest.mark.parametrize("length", [1, 255, 256, 8000])
def test_a_long_name_is_a_name(held: MemoryRegistry, length: int) -> None:
    """A valid name that nothing is held under is 404, at any length that a request line takes."""
    answer = get(held, f"{BASE}/simple/{'a' * length}/")
    assert (answer.code, answer.json) == (404, {"message": "404 Package Not Found"})


# --- parts of files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "code", "start", "stop"),
    [
        ("bytes=" + "0-0," * 1000 + "1-1", 200, 0, SIZE),
        ("bytes=" + ",".join(f"{at}-" for at in range(1000)), 200, 0, SIZE),
        ("bytes=0-" + "9" * 400, 206, 0, SIZE),
        ("bytes=-" + "9" * 400, 206, 0, SIZE),
        ("bytes=" + "9" * 400 + "-", 416, 0, 0),
        (f"bytes={'0' * 400}1-2", 206, 1, 3),
        # More digits than Python makes a number of.
        ("bytes=0-" + "9" * 5000, 200, 0, SIZE),
        ("bytes=" + "9" * 5000 + "-", 200, 0, SIZE),
        ("bytes=\u0660-\u0661", 200, 0, SIZE),
        ("bytes=\u00b2-3", 200, 0, SIZE),
        ("bytes=+0-0", 200, 0, SIZE),
        ("bytes=0x0-1", 200, 0, SIZE),
        ("bytes=1e1-", 200, 0, SIZE),
        ("bytes=0_0-1", 200, 0, SIZE),
        ("bytes=0-0;q=1", 200, 0, SIZE),
        ("bytes=0-0,", 200, 0, SIZE),
        ("bytes=-", 200, 0, SIZE),
        ("bytes=,", 200, 0, SIZE),
        ("x" * 10_000, 200, 0, SIZE),
        ("=" * 10_000, 200, 0, SIZE),
    ],
)
def test_an_absurd_range_gets_the_file_or_none(held: MemoryRegistry, spec: str, code: int, start: int, stop: int) -> None:
    """A Range of absurd numbers is what it says; malformed ones, and many, are ignored and get the file (RFC 9110, 14.2)."""
    answer = get(held, FILE, Range=spec)
    assert (answer.code, answer.body) == (code, BUILT.content[start:stop])
    head = get(held, FILE, "HEAD", Range=spec)
    assert (head.code, head.headers.get("content-range")) == (code, answer.headers.get("content-range"))


# --- HEAD, links and metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [PAGE, PAGE[:-1], INDEX, INDEX[:-1], f"{GROUP}/simple/my-demo", FILE, f"{FILE}.metadata", f"{BASE}/simple/none"]
)
@pytest.mark.parametrize("condition", [{}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}])
def test_head_answers_like_get(held: MemoryRegistry, path: str, condition: dict[str, str]) -> None:
    """HEAD has the status and headers of GET, and never sends anybody elsewhere (hardening row 18)."""
    for accept in (HTML, V1_JSON):
        got, head = (held.ask(method, path, {"Accept": accept, **condition}, token=held.root_token) for method in ("GET", "HEAD"))
        assert (head.code, head.body) == (got.code, b"")
        assert got.code in {200, 206, 304, 404}
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
        assert "location" not in got.headers


@pytest.mark.parametrize("external_url", [EXTERNAL_URL, "http://x.test:8080/below/here", ""])
def test_links_lead_to_files_wherever_they_are_read(tmp_path_factory: pytest.TempPathFactory, external_url: str) -> None:
    """Each link is an absolute address or path with the digest as fragment, and leads to the file from anywhere (hardening row 19)."""
    registry = registry_in_memory(tmp_path_factory.mktemp("links") / "data", external_url=external_url)
    assert registry.upload(1, BUILT).code == 201
    for at in (PAGE, PAGE[:-1]):
        address = f"{external_url or 'http://anywhere.test'}{at}"
        answers = {accept: get(registry, at, Accept=accept) for accept in (HTML, V1_HTML, V1_JSON)}
        assert b"<base" not in answers[HTML].body
        links = {ProjectPage.from_html("my-demo", answers[kind].text, address).packages[0].url for kind in (HTML, V1_HTML)}
        url = answers[V1_JSON].json["files"][0]["url"]
        assert url.startswith(f"{external_url}/api/v4/projects/1/packages/pypi/files/")
        assert url.endswith(f"#sha256={BUILT.sha256}")
        assert f'href="{url}"' in answers[HTML].text
        assert links == {urljoin(address, url).partition("#")[0]}
        below = urlsplit(external_url).path
        path = urlsplit(links.pop()).path.removeprefix(below)
        assert get(registry, path).body == BUILT.content
    registry.close()


def test_metadata_is_advertised_with_the_digest_of_what_is_served(held: MemoryRegistry) -> None:
    """The digest a page gives for a file's metadata is that of the bytes beside it, which are the archive's own (hardening row 17)."""
    page = get(held, PAGE, Accept=V1_JSON).json
    html = get(held, PAGE, Accept=HTML).text
    advertised = 0
    for file in page["files"]:
        path = unquote(urlsplit(file["url"]).path)
        beside = get(held, f"{path}.metadata")
        assert file.get("core-metadata") == file.get("dist-info-metadata")
        if "core-metadata" not in file:
            assert beside.code == 404
            continue
        advertised += 1
        assert beside.code == 200
        assert file["core-metadata"] == {"sha256": hashlib.sha256(beside.body).hexdigest()}
        assert f'data-core-metadata="sha256={hashlib.sha256(beside.body).hexdigest()}"' in html
        assert file["core-metadata"] != file["hashes"]
        if file["filename"] == BUILT.filename:
            with zipfile.ZipFile(io.BytesIO(BUILT.content)) as archive:
                assert beside.body == archive.read("My.Demo-1.0.dist-info/METADATA")
    assert advertised >= 1


# --- metadata that is hostile -----------------------------------------------------------------------------------------------------------

MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;b&gt;"
TEXT_FIELDS = (
    "Summary",
    "Keywords",
    "Author",
    "Author-email",
    "Maintainer",
    "Maintainer-email",
    "License",
    "Home-page",
    "Download-URL",
    "Platform",
    "Supported-Platform",
    "Classifier",
    "Project-URL",
    "Requires-External",
    "Description-Content-Type",
    "X-Unknown",
)
MEGABYTES = 5 << 20


def with_metadata(version: str, headers: str, description: str = "") -> Built:
    info = f"my_demo-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: my-demo\nVersion: {version}\n{headers}\n{description}"
    members = {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return Built(name="my-demo", version=version, filename=f"my_demo-{version}-py3-none-any.whl", content=wheel_of(members, info))


READ_AT = [
    "/",
    PAGE,
    INDEX,
    f"{GROUP}/simple/my-demo/",
    "/api/v4/projects/1/packages",
    "/api/v4/projects/1/packages/1",
    "/api/v4/projects/1/packages/1/package_files",
    f"{BASE}/pypi/my-demo/json",
    f"{BASE}/my-demo/json",
    f"{BASE}/pypi/my-demo/1.0/json",
]


def demand_plain_text(registry: MemoryRegistry) -> None:
    """No answer that a browser could take for a page holds markup of the uploader's."""
    for path in READ_AT:
        for accept in (HTML, V1_JSON):
            answer = get(registry, path, Accept=accept)
            assert answer.code in {200, 404}
            assert answer.headers["x-content-type-options"] == "nosniff"
            kind = answer.headers["content-type"].partition(";")[0]
            assert kind in {HTML, V1_JSON, "application/json"}
            if kind == HTML:
                assert "alert" not in answer.text
                assert "onerror" not in answer.text
            else:
                json.loads(answer.body)


def test_markup_in_every_field_stays_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Markup in any field of form and metadata is on no page, and elsewhere a string in JSON that nobody sniffs (hardening row 4)."""
    registry = registry_in_memory(tmp_path_factory.mktemp("markup") / "data")
    built = with_metadata("1.0", "".join(f"{name}: {MARKUP}\n" for name in TEXT_FIELDS), MARKUP)
    more = ("Description", "Comment", "License-Expression")
    form = {name.lower().replace("-", "_"): MARKUP for name in (*TEXT_FIELDS, *more)}
    answer = registry.upload(1, built, fields=form)
    assert (answer.code, answer.headers["content-type"]) == (201, "application/json"), answer.text
    assert get(registry, PAGE).code == 200
    demand_plain_text(registry)
    beside = get(registry, f"{BASE}/files/{built.sha256}/{built.filename}.metadata")
    assert (beside.code, beside.headers["content-type"]) == (200, "application/octet-stream")
    assert beside.headers["content-security-policy"] == "default-src 'none'; sandbox"
    registry.close()


@pytest.mark.parametrize("where", ["description", "Summary", "Requires-Python", "Classifier", "form"])
def test_five_megabytes_of_metadata_are_kept_off_the_page(tmp_path_factory: pytest.TempPathFactory, where: str) -> None:
    """However long a field is, the page of its file stays as short as any other, and the answers stay plain text (hardening row 4)."""
    registry = registry_in_memory(tmp_path_factory.mktemp("long") / "data", limit=64 << 20)
    text = MARKUP * (MEGABYTES // len(MARKUP))
    headers = {
        "Summary": f"Summary: {text}\n",
        "Requires-Python": f"Requires-Python: {'>=3.8,' * (MEGABYTES // 6)}<4\n",
        "Classifier": f"Classifier: {MARKUP}\n" * (MEGABYTES // (len(MARKUP) + 13)),
    }.get(where, "")
    built = with_metadata("1.0", headers, text if where == "description" else "")
    fields = ("description", "summary", "keywords", "author_email", "classifiers", "license")
    form = dict.fromkeys(fields, MARKUP * 10_000) if where == "form" else {}
    uploaded = registry.upload(1, built, fields=form)
    assert uploaded.code == 201, uploaded.text
    answer = get(registry, PAGE, Accept=V1_JSON)
    assert answer.code == 200
    assert len(answer.body) < 2000
    demand_plain_text(registry)
    registry.close()


# --- pages of many files ----------------------------------------------------------------------------------------------------------------

MANY = 10_000


def hold(registry: MemoryRegistry, project: int, name: str, count: int, *, first: int = 0) -> None:
    """Put `count` files of `name` into the catalog at once, a version each; their bytes are nowhere."""

    def work(writing: Writing) -> None:
        for start in range(0, count, 1000):
            numbers = range(start, min(count, start + 1000))
            made: list[dict[str, Any]] = []
            for number in numbers:
                key = {"project_id": project, "name": name, "version_key": str(number)}
                row = {**key, "display_name": name, "version": f"{number}.0", "created_at": NOON}
                package = writing.connection.execute(insert(packages).values(row)).inserted_primary_key
                assert package is not None
                digest = f"{first + number:064x}"
                made.append(
                    {
                        "package_id": package[0],
                        "filename": f"{name.replace('-', '_')}-{number}.0-py3-none-any.whl",
                        "sha256": digest,
                        "requires_python": ">=3.8",
                        "metadata": {},
                        "uploaded_at": NOON,
                    }
                )
            writing.connection.execute(insert(blobs), [{"sha256": row["sha256"], "size": 1, "created_at": NOON} for row in made])
            writing.connection.execute(insert(files), made)

    done(registry.store.database.write(work))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A registry that holds 10,000 files of "many"."""
    registry = registry_in_memory(tmp_path_factory.mktemp("many") / "data", budget=64 << 20)
    hold(registry, 1, "many", MANY)
    yield registry
    registry.close()


def test_ten_thousand_files_are_one_right_page(many: MemoryRegistry) -> None:
    """A page of 10,000 files names each once, in the order of publishing, and takes a few times its own size to make (hardening row 51)."""
    tracemalloc.start()
    answer = get(many, f"{BASE}/simple/many/", Accept=V1_JSON)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    wanted = [f"many-{number}.0-py3-none-any.whl" for number in range(MANY)]
    page = answer.json
    assert [file["filename"] for file in page["files"]] == wanted
    assert page["versions"] == [f"{number}.0" for number in range(MANY)]
    assert peak < 12 * len(answer.body)
    html = get(many, f"{BASE}/simple/many/", Accept=HTML).text
    assert [part.partition("</a>")[0].rpartition(">")[2] for part in html.split("<a ")[1:]] == wanted


def test_different_accept_headers_share_what_is_kept(many: MemoryRegistry) -> None:
    """A dozen ways to ask for one page do not make a dozen pages in memory."""

    def ask(number: int) -> int:
        return len(get(many, f"{BASE}/simple/many/", Accept=f"{V1_JSON}, a/b{number}").body)

    size = ask(0)
    gc.collect()
    tracemalloc.start()
    for number in range(1, 12):
        assert ask(number) == size
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < size


def steps(registry: MemoryRegistry, ask: Callable[[], object]) -> tuple[int, int]:
    """How many statements `ask` puts to SQLite, and how many instructions of its machine they take."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    engine: Any = registry.store.database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        driver.set_progress_handler(step, 1)
        try:
            for statement, parameters in asked:
                driver.execute(statement, parameters).fetchall()
        finally:
            driver.set_progress_handler(None, 0)
    assert asked, "nothing was asked"
    return len(asked), taken


def test_a_page_costs_what_it_shows(registry: MemoryRegistry) -> None:
    """What a page, or finding a file, asks of the database does not grow with all else that is held (hardening row 51)."""
    other = registry.project("root/other").id
    hold(registry, 1, "few", 10)
    found = registry.store.packages
    asks: list[Callable[[], object]] = [
        lambda: done(found.page((1,), Name("few"))),
        lambda: done(found.file((1,), f"{3:064x}", "few-3.0-py3-none-any.whl")),
        lambda: done(found.prospect(1, Name("few"), Version("11.0"), "few-11.0-py3-none-any.whl")),
    ]
    before = [steps(registry, ask) for ask in asks]
    for first, (project, name) in enumerate([(1, "fewer"), (1, "fe"), (other, "few"), (other, "many")], 1):
        hold(registry, project, name, 2000, first=first * 10_000)
    page = done(found.page((1,), Name("few")))
    assert page is not None
    assert len(page.files) == 10
    # A step or two, for the next row that is looked at and is another's.
    for ask, (statements, taken) in zip(asks, before, strict=True):
        now = steps(registry, ask)
        assert now[0] == statements
        assert now[1] <= taken + 5
    # And it does grow with what it shows, by the file, so that what is counted here is what it costs.
    hold(registry, 1, "twice", 20, first=90_000)
    _, twice = steps(registry, lambda: done(found.page((1,), Name("twice"))))
    assert 1.5 * before[0][1] < twice < 2.5 * before[0][1]
