"""Files over HTTP: headers, conditions, parts, and readers that are slow or gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent

from registry.domain.access import Visibility
from registry.storage.blobs.directory import INLINE_BYTES
from registry.testing import FORM_TYPE, NOON, Answer, Built, HeldThreads, MemoryRegistry, Wire, form, registry_in_memory, request, wheel

BASE = "/api/v4/projects/1/packages/pypi"
LAST_MODIFIED = "Sat, 15 Jun 2030 12:00:00 GMT"


def sized(version: str, size: int) -> Built:
    built = wheel(version=version, payload=b"\1" * (size - len(wheel(version=version).content)))
    assert len(built.content) == size
    return built


# Files up to INLINE_BYTES are read at once, larger ones block by block.
FILES = {
    "small": sized("1.0", 1000),
    "last inline": sized("2.0", INLINE_BYTES),
    "first streamed": sized("3.0", INLINE_BYTES + 1),
    "large": sized("4.0", 700_000),
}


def path_of(built: Built, project: int = 1) -> str:
    return f"/api/v4/projects/{project}/packages/pypi/files/{built.sha256}/{built.filename}"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """A registry that holds all of FILES."""
    registry = registry_in_memory(tmp_path_factory.mktemp("downloads") / "data")
    for built in FILES.values():
        assert registry.upload(1, built).code == 201
    yield registry
    registry.close()


def get(registry: MemoryRegistry, built: Built, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return registry.ask(method, path_of(built), sent, token=registry.root_token)


@pytest.mark.parametrize("size", FILES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_is_never_a_page_of_ours(held: MemoryRegistry, size: str, method: str) -> None:
    """A file goes out whole, as an attachment of bytes that no browser sniffs or runs (hardening row 5)."""
    built = FILES[size]
    answer = get(held, built, method)
    assert (answer.code, answer.complete, answer.body) == (200, True, built.content if method == "GET" else b"")
    wanted = {
        "content-type": "application/octet-stream",
        "content-disposition": f"attachment; filename=\"{built.filename}\"; filename*=UTF-8''{built.filename}",
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "x-frame-options": "SAMEORIGIN",
        "accept-ranges": "bytes",
        "etag": f'"{built.sha256}"',
        "last-modified": LAST_MODIFIED,
        "content-length": str(len(built.content)),
        "cache-control": "private, max-age=365000000, immutable",
    }
    assert {name: answer.headers[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("visibility", "cached"), [(Visibility.PUBLIC, "public"), (Visibility.INTERNAL, "private"), (Visibility.PRIVATE, "private")]
)
def test_files_may_be_kept_for_ever(registry: MemoryRegistry, visibility: Visibility, cached: str) -> None:
    """A file never changes: caches may keep it for ever, shared ones only where anybody may read it."""
    project = registry.project("root/other", visibility).id
    assert registry.upload(project, FILES["small"]).code == 201
    answer = registry.ask("GET", path_of(FILES["small"], project), token=registry.root_token)
    assert (answer.code, answer.headers["cache-control"]) == (200, f"{cached}, max-age=365000000, immutable")


def test_the_same_bytes_elsewhere_keep_their_own_rules(registry: MemoryRegistry) -> None:
    """One blob in a public and a private project is served to anybody only through the public one (hardening row 27)."""
    public, private = (registry.project(f"root/{kind.value}", kind).id for kind in (Visibility.PUBLIC, Visibility.PRIVATE))
    built = FILES["small"]
    assert {registry.upload(project, built).code for project in (public, private)} == {201}
    assert registry.kept_files() == built.blobs
    for _ in range(2):
        assert registry.ask("GET", path_of(built, public)).code == 200
        assert registry.ask("GET", path_of(built, private)).code == 401
        assert registry.ask("GET", path_of(built, private), token=registry.root_token).headers["cache-control"].startswith("private")


@pytest.mark.parametrize("size", FILES)
@pytest.mark.parametrize(
    ("spec", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=500-", 500, None),
        ("bytes=-1", -1, None),
        ("bytes=-500", -500, None),
        ("bytes=-99999999", 0, None),
        ("bytes=10-99999999", 10, None),
        ("bytes=999-999", 999, 1000),
    ],
)
def test_a_part_is_206(held: MemoryRegistry, size: str, spec: str, start: int, stop: int | None) -> None:
    """A single satisfiable range gets exactly those bytes, and HEAD their headers."""
    built = FILES[size]
    total = len(built.content)
    first = start % total if start else 0
    part = built.content[first:stop]
    answer = get(held, built, Range=spec)
    assert (answer.code, answer.body) == (206, part)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{total}"
    assert answer.headers["content-length"] == str(len(part))
    assert answer.headers["etag"] == f'"{built.sha256}"'
    head = get(held, built, "HEAD", Range=spec)
    assert (head.code, head.headers["content-range"], head.headers["content-length"]) == (
        206,
        answer.headers["content-range"],
        str(len(part)),
    )


@pytest.mark.parametrize("size", FILES)
@pytest.mark.parametrize("spec", ["bytes={size}-", "bytes={size}-{size}", "bytes=99999999-", "bytes=-0"])
def test_a_part_outside_is_416(held: MemoryRegistry, size: str, spec: str) -> None:
    """A range that begins behind the last byte is 416 with the real length; one that begins at the last byte is not."""
    built = FILES[size]
    total = len(built.content)
    answer = get(held, built, Range=spec.format(size=total))
    assert (answer.code, answer.body, answer.headers["content-range"]) == (416, b"", f"bytes */{total}")
    assert get(held, built, Range=f"bytes={total - 1}-").body == built.content[-1:]


@pytest.mark.parametrize(
    "spec", ["bytes=5-2", "bytes=a-b", "lines=0-5", "bytes", "", "bytes=", "bytes=0-1,5-6", "bytes=0-0,-1", "bytes=--1"]
)
def test_a_range_that_is_none_or_several_is_ignored(held: MemoryRegistry, spec: str) -> None:
    """A malformed Range, another unit or several parts get the whole file (RFC 9110, 14.2)."""
    built = FILES["large"]
    answer = get(held, built, Range=spec)
    assert (answer.code, answer.body == built.content, answer.headers.get("content-range")) == (200, True, None)


@pytest.mark.parametrize(
    ("validator", "code"),
    [
        ('"{sha256}"', 206),
        ('W/"{sha256}"', 200),
        ('"other"', 200),
        (LAST_MODIFIED, 206),
        ("Sat, 15 Jun 2030 12:00:01 GMT", 200),
        ("Sat, 15 Jun 2030 11:59:59 GMT", 200),
        ("nonsense", 200),
    ],
)
def test_a_part_of_another_file_is_never_sent(held: MemoryRegistry, validator: str, code: int) -> None:
    """If-Range that does not name this very file gets all of it (RFC 9110, 13.1.5)."""
    built = FILES["large"]
    answer = get(held, built, Range="bytes=0-9", If_Range=validator.format(sha256=built.sha256))
    assert (answer.code, answer.body) == (code, built.content[:10] if code == 206 else built.content)


@pytest.mark.parametrize("size", FILES)
@pytest.mark.parametrize(("sent", "code"), [('"{sha256}"', 304), ('W/"{sha256}"', 304), ("*", 304), ('"x", "{sha256}"', 304), ('"x"', 200)])
def test_a_copy_that_is_current_is_not_sent_again(held: MemoryRegistry, size: str, sent: str, code: int) -> None:
    """If-None-Match with the digest is 304 without a body and without a false length, and wins over Range."""
    built = FILES[size]
    answer = get(held, built, If_None_Match=sent.format(sha256=built.sha256))
    assert (answer.code, answer.body, answer.headers["etag"]) == (code, built.content if code == 200 else b"", f'"{built.sha256}"')
    assert answer.headers.get("content-length", str(len(built.content))) == str(len(built.content))
    with_range = get(held, built, If_None_Match=sent.format(sha256=built.sha256), Range="bytes=0-9")
    assert with_range.code == (304 if code == 304 else 206)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, 1_000_000), last=st.integers(0, 1_000_000), size=st.sampled_from(sorted(FILES)))
def test_any_two_numbers_make_the_right_part(held: MemoryRegistry, first: int, last: int, size: str) -> None:
    """Whatever range is asked for, the bytes are those that Content-Range says."""
    built = FILES[size]
    answer = get(held, built, Range=f"bytes={first}-{last}")
    if first > last:
        assert (answer.code, answer.body == built.content) == (200, True)
    elif first >= len(built.content):
        assert answer.code == 416
    else:
        assert (answer.code, answer.body == built.content[first : last + 1]) == (206, True)


def test_a_digest_may_be_in_capitals(held: MemoryRegistry) -> None:
    """A digest is a number: its case does not matter. A file's name is a name: its case does."""
    built = FILES["small"]
    upper = f"{BASE}/files/{built.sha256.upper()}/{built.filename}"
    assert held.ask("GET", upper, token=held.root_token).body == built.content
    assert held.ask("GET", f"{BASE}/files/{built.sha256}/{built.filename.upper()}", token=held.root_token).code == 404


def test_a_file_is_found_by_name_and_digest_together(held: MemoryRegistry) -> None:
    """The digest of one file with the name of another is nothing (hardening row 27)."""
    one, other = FILES["small"], FILES["large"]
    answer = held.ask("GET", f"{BASE}/files/{one.sha256}/{other.filename}", token=held.root_token)
    assert (answer.code, answer.json) == (404, {"message": "404 Package Not Found"})


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_file_whose_bytes_are_gone_is_404(registry: MemoryRegistry, size: str) -> None:
    """A row whose blob is gone is GitLab's 404, for GET and HEAD, not an empty file."""
    built = FILES[size]
    assert registry.upload(1, built).code == 201
    (registry.store.data_dir.blobs / built.sha256[:2] / built.sha256).unlink()
    for method in ("GET", "HEAD"):
        answer = get(registry, built, method)
        assert answer.code == 404
        assert "cache-control" not in answer.headers or "immutable" not in answer.headers["cache-control"]
    assert get(registry, built).json == {"message": "404 Not Found"}


# --- readers that are slow or gone ----------------------------------------------------------------------------------------------------


def streaming(tmp_path: Path) -> tuple[MemoryRegistry, HeldThreads, Wire]:
    """A registry whose disk works when told, and a connection that has asked for the large file."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", files=files)
    built = FILES["large"]
    wire = registry.connect()
    wire.send(upload_of(registry, built))
    files.let_all()
    wire.settle()
    assert [answer.code for answer in wire.answers("POST")] == [201]
    wire.hang_up()
    wire = registry.connect()
    wire.send(request("GET", path_of(built), {"PRIVATE-TOKEN": registry.root_token}))
    files.let()  # opened
    return registry, files, wire


def upload_of(registry: MemoryRegistry, built: Built) -> bytes:
    body = form(built.fields, ("content", built.filename, built.content))
    return request("POST", BASE, {"PRIVATE-TOKEN": registry.root_token, "Content-Type": FORM_TYPE}, body)


def test_a_slow_reader_stops_the_disk(tmp_path: Path) -> None:
    """While the client does not read, nothing more is read from the disk; when it reads again it gets the rest (hardening row 47)."""
    _, files, wire = streaming(tmp_path)
    files.let()
    wire.stop_reading()
    files.let()
    assert files.waiting == 0
    got = len(wire.received)
    wire.read_on()
    assert files.waiting == 1
    assert len(wire.received) == got
    files.let_all()
    (answer,) = wire.answers()
    assert (answer.complete, answer.body == FILES["large"].content) == (True, True)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_reader_that_goes_is_forgotten(tmp_path: Path, *, stopped: bool) -> None:
    """A client that goes in the middle ends the reading; its file is closed, and nothing is logged as our fault (hardening row 53)."""
    registry, files, wire = streaming(tmp_path)
    opened = open_blobs(registry)
    assert len(opened) == 1
    files.let()
    if stopped:
        wire.stop_reading()
        files.let()
    wire.hang_up()
    files.let_all()
    assert open_blobs(registry) == []
    assert registry.site.channels == set()


def open_blobs(registry: MemoryRegistry) -> list[str]:
    folder = str(registry.store.data_dir.blobs)
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue  # the descriptor that listed the folder
    return [path for path in found if path.startswith(folder)]


def test_no_answer_leaves_a_file_open(held: MemoryRegistry) -> None:
    """Every kind of answer gives its file back: 200, 206, 304, 416 and HEAD."""
    built = FILES["large"]
    for headers in ({}, {"Range": "bytes=0-1"}, {"If_None_Match": "*"}, {"Range": "bytes=99999999-"}):
        for method in ("GET", "HEAD"):
            get(held, built, method, **headers)
    assert open_blobs(held) == []


def test_a_file_that_ends_too_soon_breaks_the_connection(tmp_path: Path) -> None:
    """A blob that is shorter than it was is never taken for complete: the connection breaks, without an error text in the file."""
    registry, files, wire = streaming(tmp_path)
    files.let()
    blob = registry.store.data_dir.blobs / FILES["large"].sha256[:2] / FILES["large"].sha256
    with blob.open("r+b") as file:
        file.truncate(300_000)
    files.let_all()
    wire.settle()
    (answer,) = wire.answers()
    assert (wire.aborted, answer.complete) == (True, False)
    assert FILES["large"].content.startswith(answer.body)


def test_a_disk_that_fails_breaks_the_connection(tmp_path: Path, log_events: list[LogEvent]) -> None:
    """An error of the disk after the head is out breaks the connection: no error text ends up in the middle of a file."""
    _, files, wire = streaming(tmp_path)
    files.let()
    files.fail(OSError(5, "Input/output error"))
    wire.settle()
    (answer,) = wire.answers()
    assert (wire.aborted, answer.complete) == (True, False)
    assert FILES["large"].content.startswith(answer.body)
    assert [event["log_failure"].type for event in log_events if "log_failure" in event] == [OSError]


def test_the_moment_is_that_of_the_upload(held: MemoryRegistry) -> None:
    """Last-Modified is when the file was published, in GMT, to the second."""
    assert NOON.strftime("%a, %d %b %Y %H:%M:%S GMT") == LAST_MODIFIED
    assert get(held, FILES["small"], "HEAD").headers["last-modified"] == LAST_MODIFIED
