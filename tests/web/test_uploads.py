"""Uploads over HTTP: every answer a form can get, when it gets it, and what stays behind."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent

from registry.domain.form import OVERHEAD_BYTES
from registry.testing import (
    BOUNDARY,
    FORM_TYPE,
    Answer,
    Built,
    FailingDisk,
    HeldThreads,
    MemoryRegistry,
    Wire,
    form,
    registry_in_memory,
    request,
    sdist,
    wheel,
)
from registry.web.request import _LINGER_BYTES

UPLOAD = "/api/v4/projects/1/packages/pypi"
DEMO = wheel()
LIMIT = 1 << 20  # of registry_in_memory


def whole(built: Built, fields: Mapping[str, str] | None = None) -> bytes:
    return form({**built.fields, **(fields or {})}, ("content", built.filename, built.content))


def padded(size: int) -> Built:
    """A wheel of exactly `size` bytes."""
    built = wheel(payload=b"\0" * (size - len(wheel().content)))
    assert len(built.content) == size
    return built


def head(registry: MemoryRegistry, headers: Mapping[str, str], path: str = UPLOAD) -> bytes:
    return request("POST", path, {"PRIVATE-TOKEN": registry.root_token, "Content-Type": FORM_TYPE, **headers})


def post(registry: MemoryRegistry, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    return registry.ask("POST", UPLOAD, {"Content-Type": FORM_TYPE, **(headers or {})}, body, token=registry.root_token)


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def nothing_left(registry: MemoryRegistry) -> bool:
    return (registry.staged_files(), registry.kept_files()) == ([], [])


def published(registry: MemoryRegistry, name: str = "demo") -> list[str]:
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    answer = registry.ask("GET", f"{UPLOAD}/simple/{name}/", accept, token=registry.root_token)
    return [file["filename"] for file in answer.json["files"]] if answer.code == 200 else []


# --- what is accepted -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [UPLOAD, UPLOAD + "/", "/api/v4/projects/root%2Fpackages/packages/pypi"])
def test_an_upload_is_published_in_place(registry: MemoryRegistry, path: str) -> None:
    """A complete form is answered 201 in GitLab's words, with or without a final slash, and its file is on the page at once."""
    answer = registry.ask("POST", path, {"Content-Type": FORM_TYPE}, whole(DEMO), token=registry.root_token)
    assert (answer.code, answer.json) == (201, {"message": "201 Created"})
    assert published(registry) == [DEMO.filename]
    assert (registry.staged_files(), registry.kept_files()) == ([], DEMO.blobs)


def test_a_page_read_before_is_new_after_an_upload(registry: MemoryRegistry) -> None:
    """Reading a page, in either form, right after an upload shows the upload, however often it was read before."""
    for version in ("1.0", "1.1", "2.0"):
        before = published(registry)
        built = wheel(version=version)
        assert registry.upload(1, built).code == 201
        assert published(registry) == [*before, built.filename]


def test_a_release_may_have_many_files(registry: MemoryRegistry) -> None:
    """Wheels and the source distribution of one version, in any spelling of it, are one release on one page."""
    files = [wheel(), wheel(tag="cp311-cp311-win_amd64"), sdist()]
    for built, version in zip(files, ("1.0", "1.0.0", "v1"), strict=True):
        assert registry.upload(1, built, fields={"version": version}).code == 201
    assert published(registry) == [built.filename for built in files]
    page = registry.ask("GET", f"{UPLOAD}/simple/demo/", {"Accept": "application/vnd.pypi.simple.v1+json"}, token=registry.root_token)
    assert page.json["versions"] == ["1.0"]


def test_fields_may_follow_the_file(registry: MemoryRegistry) -> None:
    """The order of fields does not matter: digests that come after the file are compared too."""
    fields = {"name": "demo", "version": "1.0", "md5_digest": hashlib.md5(DEMO.content).hexdigest()}
    assert post(registry, form({}, ("content", DEMO.filename, DEMO.content), last=fields)).code == 201
    other = wheel(version="2.0")
    fields = {"name": "demo", "version": "2.0", "blake2_256_digest": "0" * 64}
    answer = post(registry, form({}, ("content", other.filename, other.content), last=fields))
    assert answer.code == 400
    assert "blake2b digest does not match" in answer.json["message"]
    assert registry.kept_files() == DEMO.blobs


def test_all_three_right_digests_are_accepted(registry: MemoryRegistry) -> None:
    """Digests that are those of the bytes, in any case, are no hindrance."""
    digests = {
        "sha256_digest": DEMO.sha256.upper(),
        "md5_digest": hashlib.md5(DEMO.content).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(DEMO.content, digest_size=32).hexdigest(),
    }
    assert registry.upload(1, DEMO, fields=digests).code == 201


def test_unknown_fields_and_a_signature_are_ignored(registry: MemoryRegistry) -> None:
    """What twine, uv or flit send beyond GitLab's fields changes nothing."""
    fields = {"filetype": "bdist_wheel", "pyversion": "py3", "classifiers": "A :: B", "attestations": "[]", "dynamic": "x", "": "y"}
    body = form({**DEMO.fields, **fields}, ("gpg_signature", "demo.asc", b"-----"), ("content", DEMO.filename, DEMO.content))
    assert post(registry, body).code == 201


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_a_chunked_upload_is_accepted(registry: MemoryRegistry, size: int) -> None:
    """Chunked transfer encoding gives the same result as a declared length (hardening row 46)."""
    wire = registry.connect()
    wire.send(head(registry, {"Transfer-Encoding": "chunked"}) + chunked(whole(DEMO), size))
    assert [answer.code for answer in wire.answers("POST")] == [201]
    assert registry.kept_files() == DEMO.blobs


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_how_the_bytes_arrive_does_not_matter(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    """However a request is cut into packets, the same file is published."""
    registry = registry_in_memory(tmp_path_factory.mktemp("packets") / "data")
    data, wire = head(registry, {"Content-Length": str(len(whole(DEMO)))}) + whole(DEMO), registry.connect()
    for size in sizes:
        wire.send(data[:size])
        data = data[size:]
    wire.send(data)
    assert [answer.code for answer in wire.answers("POST")] == [201]
    assert registry.kept_files() == DEMO.blobs
    registry.close()


def test_what_is_too_long_is_cut(registry: MemoryRegistry) -> None:
    """Metadata longer than GitLab keeps is accepted and cut, never refused."""
    long = {
        "description": "d" * 100_000,
        "summary": "s" * 256,
        "keywords": "k" * 1025,
        "author_email": "a" * 2049,
        "metadata_version": "2" * 17,
    }
    assert registry.upload(1, DEMO, fields=long).code == 201


# --- what is refused ------------------------------------------------------------------------------------------------------------------

NAME = "400 Bad request - Validation failed: Name is invalid: "
VERSION = "400 Bad request - Validation failed: Version is invalid: "
FILE = "400 Bad request - Validation failed: File name is invalid: "


@pytest.mark.parametrize(
    ("without", "error"),
    [
        (("content",), "content is missing"),
        (("name",), "name is missing"),
        (("version",), "version is missing"),
        (("content", "version"), "content is missing, version is missing"),
        (("content", "name", "version"), "content is missing, name is missing, version is missing"),
    ],
)
def test_missing_fields_are_named(registry: MemoryRegistry, without: tuple[str, ...], error: str) -> None:
    """A form without what it must have is told exactly what is missing, in GitLab's order."""
    fields = {key: value for key, value in {**DEMO.fields, "summary": "x"}.items() if key not in without}
    files = [] if "content" in without else [("content", DEMO.filename, DEMO.content)]
    answer = post(registry, form(fields, *files))
    assert (answer.code, answer.json) == (400, {"error": error})
    assert answer.reason == error
    assert nothing_left(registry)


@pytest.mark.parametrize("key", ["name", "version"])
@pytest.mark.parametrize("value", ["", "UNKNOWN"])
def test_an_empty_field_is_a_missing_one(registry: MemoryRegistry, key: str, value: str) -> None:
    """Nothing, and what old build tools write for nothing, are no name and no version."""
    answer = registry.upload(1, DEMO, fields={key: value})
    assert (answer.code, answer.json) == (400, {"error": f"{key} is missing"})


@pytest.mark.parametrize(
    "name", ["..", "-demo", "demo-", "_", "---", "a b", "a/b", "@a/b", "caf\u00e9", "\u212aite", "\uff44emo", "a\r\nb", "demo\n"]
)
def test_a_bad_name_is_refused(registry: MemoryRegistry, name: str) -> None:
    """A name that PEP 508 does not allow is refused with the rule (hardening rows 1 and 3)."""
    answer = registry.upload(1, DEMO, fields={"name": name})
    assert answer.code == 400
    assert answer.json["message"].startswith(NAME)
    assert "PEP 508" in answer.json["message"]
    assert nothing_left(registry)


@pytest.mark.parametrize("version", ["1.0-SNAPSHOT", "latest", "1..0", "1.0+", " 1.0", "1.0 ", "1.0\n", "1" * 5000, "\u0661.0"])
def test_a_bad_version_is_refused(registry: MemoryRegistry, version: str) -> None:
    """A version that PEP 440 does not allow is refused with the rule."""
    answer = registry.upload(1, DEMO, fields={"version": version})
    assert answer.code == 400
    assert answer.json["message"].startswith(VERSION)
    assert nothing_left(registry)


@pytest.mark.parametrize(
    "filename",
    [
        "demo.txt",
        "demo-1.0.exe",
        "demo-1.0.tar.bz2",
        "demo-2.0-py3-none-any.whl",
        "other-1.0-py3-none-any.whl",
        "demo-1.0.whl",
        "../demo-1.0.tar.gz",
        "..%2Fdemo-1.0.tar.gz",
        "/etc/passwd",
        "..\\demo-1.0.tar.gz",
        "demo-1.0-py3-none-any.whl.",
        "demo-1.0\u00e9.tar.gz",
        "d" * 256 + "-1.0.tar.gz",
        "<script>-1.0.tar.gz",
    ],
)
def test_a_bad_file_name_is_refused(registry: MemoryRegistry, filename: str) -> None:
    """A file name that is not a wheel or sdist of exactly this name and version is refused, and is never a path (hardening row 2)."""
    answer = post(registry, form(DEMO.fields, ("content", filename, DEMO.content)))
    assert answer.code == 400
    assert answer.json["message"].startswith(FILE)
    assert nothing_left(registry)
    assert not [path for path in registry.store.data_dir.path.rglob("*") if "demo" in path.name or "passwd" in path.name]


@pytest.mark.parametrize(("field", "algorithm"), [("sha256_digest", "sha256"), ("md5_digest", "md5"), ("blake2_256_digest", "blake2b")])
def test_a_digest_that_disagrees_is_refused(registry: MemoryRegistry, field: str, algorithm: str) -> None:
    """Each digest the client sent is compared with the bytes that came; one that differs stores nothing."""
    answer = registry.upload(1, DEMO, fields={field: "0" * 64})
    assert answer.code == 400
    assert answer.json["message"].startswith(f"400 Bad request - The {algorithm} digest does not match the file")
    assert nothing_left(registry)


@pytest.mark.parametrize("value", ["0" * 63, "0" * 65, "g" * 64, "sha256=" + "0" * 64, "0" * 64 + "\n"])
@pytest.mark.parametrize("last", [False, True])
def test_a_sha256_that_cannot_be_one_is_invalid(registry: MemoryRegistry, value: str, *, last: bool) -> None:
    """GitLab's sentence for a malformed sha256, before or behind the file."""
    fields, after = ({**DEMO.fields}, {"sha256_digest": value}) if last else ({**DEMO.fields, "sha256_digest": value}, {})
    answer = post(registry, form(fields, ("content", DEMO.filename, DEMO.content), last=after))
    assert (answer.code, answer.json) == (400, {"error": "sha256_digest is invalid"})
    assert nothing_left(registry)


def test_an_empty_file_is_refused(registry: MemoryRegistry) -> None:
    """A file of no bytes is no distribution."""
    answer = post(registry, form(DEMO.fields, ("content", DEMO.filename, b"")))
    assert answer.code == 400
    assert answer.json["message"].startswith("400 Bad request - File is empty")
    assert nothing_left(registry)


def test_two_files_are_refused(registry: MemoryRegistry) -> None:
    """One request publishes one file; of two neither is kept."""
    other, large = sdist(), padded(900_000)
    answer = post(registry, form(DEMO.fields, ("content", large.filename, large.content), ("content", other.filename, other.content)))
    assert (answer.code, answer.json) == (
        400,
        {"message": "400 Bad request - The upload form cannot be read: it holds two files called content; send one file a request"},
    )
    assert nothing_left(registry)


def test_content_that_is_no_file_is_invalid(registry: MemoryRegistry) -> None:
    """GitLab's sentence for `content` sent as a plain field."""
    answer = post(registry, form({**DEMO.fields, "content": "bytes"}))
    assert (answer.code, answer.json) == (400, {"error": "content is invalid"})


def test_a_field_that_is_a_file_is_invalid(registry: MemoryRegistry) -> None:
    """A file where a field belongs is refused by the field's name."""
    answer = post(registry, form(DEMO.fields, ("summary", "x.txt", b"x")))
    assert (answer.code, answer.json) == (400, {"error": "summary is invalid"})


@pytest.mark.parametrize("cut", [1, 4, 30, 200, 600])
def test_a_form_cut_off_is_refused(registry: MemoryRegistry, cut: int) -> None:
    """A body that ends before its form does is refused, wherever it was cut (hardening row 46)."""
    answer = post(registry, whole(padded(900_000))[: -cut - 2])
    assert answer.code == 400
    assert answer.json["message"].startswith("400 Bad request - The upload form cannot be read: ")
    assert nothing_left(registry)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=somethingelse",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=" + BOUNDARY,
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "text/plain",
        "",
    ],
)
def test_what_is_no_form_is_refused(registry: MemoryRegistry, content_type: str) -> None:
    """A wrong boundary, or a body that is no multipart form, gets 400 and a hint."""
    answer = post(registry, whole(DEMO), {"Content-Type": content_type})
    assert answer.code == 400
    assert answer.json["message"].startswith("400 Bad request - The upload form cannot be read: ")
    assert nothing_left(registry)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}])
def test_an_upload_without_a_body_is_refused(registry: MemoryRegistry, headers: Mapping[str, str]) -> None:
    """No body at all, declared or not, is a form that is not complete."""
    wire = registry.connect()
    wire.send(head(registry, headers))
    (answer,) = wire.answers("POST")
    assert answer.code == 400
    assert answer.json["message"].startswith("400 Bad request - The upload form cannot be read: ")


@pytest.mark.parametrize("length", ["-1", "abc", "1,2", "+5", "0x10", ""])
def test_a_length_that_is_none_is_refused(registry: MemoryRegistry, length: str) -> None:
    """A Content-Length that is no number ends the connection with 400: the next request could not be found (hardening row 46)."""
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": length}) + whole(DEMO))
    assert [answer.code for answer in wire.answers("POST")] == [400]
    assert wire.closed
    assert nothing_left(registry)


def test_two_lengths_are_refused(registry: MemoryRegistry) -> None:
    """A length and chunks at once are what request smuggling is made of (hardening row 46)."""
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": "5", "Transfer-Encoding": "chunked"}) + chunked(whole(DEMO), 100))
    assert [answer.code for answer in wire.answers("POST")] == [400]
    assert wire.closed
    assert nothing_left(registry)


def test_a_broken_chunk_is_refused(registry: MemoryRegistry) -> None:
    """A chunk whose size is no number ends the connection with 400, and nothing stays behind (hardening row 46)."""
    wire = registry.connect()
    wire.send(head(registry, {"Transfer-Encoding": "chunked"}) + b"c3500\r\n" + whole(padded(900_000))[:800_000] + b"\r\n")
    assert len(registry.staged_files()) == 1
    wire.send(b"zz\r\n")
    assert [answer.code for answer in wire.answers("POST")] == [400]
    assert wire.closed
    assert nothing_left(registry)


@pytest.mark.parametrize("content", [b"not an archive", b"PK\x03\x04", b"\x1f\x8b\x08", DEMO.content[:-30], b"\0" * 2000])
@pytest.mark.parametrize("filename", ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz", "demo-1.0.zip"])
def test_what_is_no_archive_is_refused(registry: MemoryRegistry, filename: str, content: bytes) -> None:
    """A file that cannot be opened as what its name says is refused, and nothing is kept."""
    answer = post(registry, form(DEMO.fields, ("content", filename, content)))
    assert answer.code == 400
    assert answer.json["message"].startswith("400 Bad request - Invalid distribution file: ")
    assert nothing_left(registry)


def test_an_archive_of_something_else_is_refused(registry: MemoryRegistry) -> None:
    """What an archive says of itself must agree with what it is uploaded as (hardening row 44)."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        archive.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    answer = post(registry, form(DEMO.fields, ("content", DEMO.filename, written.getvalue())))
    assert answer.code == 400
    assert "other" in answer.json["message"]
    assert nothing_left(registry)


def test_a_duplicate_is_refused_in_every_clients_words(registry: MemoryRegistry) -> None:
    """A file name that is taken is 400 with GitLab's sentence and PyPI's, in body and reason phrase (hardening row 49)."""
    sentence = "Validation failed: File name has already been taken (file already exists)"
    assert registry.upload(1, DEMO).code == 201
    for built in (DEMO, wheel(payload=b"other bytes")):
        answer = registry.upload(1, built)
        assert (answer.code, answer.json) == (400, {"message": f"400 Bad request - {sentence}"})
        assert answer.reason == f"Bad request - {sentence}"
    assert (registry.staged_files(), registry.kept_files()) == ([], DEMO.blobs)


def test_identical_bytes_may_be_welcome_again(tmp_path: Path) -> None:
    """With accept_identical the same file again is 201; other bytes under its name stay refused (hardening rows 48 and 49)."""
    registry = registry_in_memory(tmp_path / "data", accept_identical=True)
    assert [registry.upload(1, built).code for built in (DEMO, DEMO, wheel(payload=b"other"), DEMO)] == [201, 201, 400, 201]
    assert published(registry) == [DEMO.filename]
    assert (registry.staged_files(), registry.kept_files()) == ([], DEMO.blobs)


def test_no_message_carries_a_line_break(registry: MemoryRegistry) -> None:
    """Text of the client never ends a header: reason phrases are one line of printable text (hardening row 3)."""
    for fields in ({"name": "x\r\nSet-Cookie: a=b"}, {"version": "1\r\nX: y"}, {"sha256_digest": "\r\n\r\n"}):
        answer = registry.upload(1, DEMO, fields=fields)
        assert answer.code == 400
        assert not {"set-cookie", "x"} & set(answer.headers)
        assert answer.reason.isprintable()
        assert len(answer.reason) <= 300


# --- how much -------------------------------------------------------------------------------------------------------------------------


def test_a_file_of_the_largest_size_is_accepted(registry: MemoryRegistry) -> None:
    """Exactly max_file_size bytes are not too many (hardening row 46)."""
    assert registry.upload(1, padded(LIMIT)).code == 201


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT])
def test_a_larger_file_is_refused(registry: MemoryRegistry, size: int) -> None:
    """One byte more is 413 with the limit in the message, declared or chunked, and nothing stays behind (hardening row 46)."""
    message = (
        f"413 Request Entity Too Large - File is too large: this registry takes files of up to {LIMIT:,} bytes ([uploads] max_file_size)"
    )
    answer = registry.upload(1, padded(size))
    assert (answer.code, answer.json) == (413, {"message": message})
    wire = registry.connect()
    wire.send(head(registry, {"Transfer-Encoding": "chunked"}) + chunked(whole(padded(size)), 5000))
    assert [answer.code for answer in wire.answers("POST")] == [413]
    assert nothing_left(registry)


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)])
def test_a_declared_size_is_refused_before_the_body(registry: MemoryRegistry, more: int, *, refused: bool) -> None:
    """A Content-Length that no allowed file can need is 413 before a byte is sent; one that a file may need waits (hardening row 46)."""
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": str(LIMIT + OVERHEAD_BYTES + more)}))
    assert [answer.code for answer in wire.answers("POST")] == ([413] if refused else [])
    assert nothing_left(registry)


def test_fields_have_an_end_too(registry: MemoryRegistry) -> None:
    """A form whose fields never end is refused at the limit of what may stand beside the file (hardening row 46)."""
    wire = registry.connect()
    wire.send(head(registry, {"Transfer-Encoding": "chunked"}))
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="description"\r\n\r\n'.encode()
    wire.send(b"%x\r\n%b\r\n" % (len(part), part))
    block = b"x" * (1 << 20)
    for _ in range(OVERHEAD_BYTES // len(block)):
        wire.send(b"%x\r\n%b\r\n" % (len(block), block))
    assert wire.answers("POST") == []
    wire.send(b"%x\r\n%b\r\n" % (len(block), block))
    assert [answer.code for answer in wire.answers("POST")] == [400]


@pytest.mark.parametrize(("more", "code"), [(0, 404), (1, 413)])
def test_other_bodies_are_small(registry: MemoryRegistry, more: int, code: int) -> None:
    """A body on a route that takes none is read up to one MiB and refused beyond it."""
    size = (1 << 20) + more
    answer = registry.ask("POST", "/api/v4/nothing", {}, b"x" * size)
    assert answer.code == code
    wire = registry.connect()
    wire.send(request("PUT", "/api/v4/nothing", {"Transfer-Encoding": "chunked"}) + chunked(b"x" * size, 1 << 16))
    assert [answer.code for answer in wire.answers("PUT")] == [code]


# --- when -----------------------------------------------------------------------------------------------------------------------------


def test_a_welcome_body_is_asked_for(registry: MemoryRegistry) -> None:
    """`Expect: 100-continue` gets 100 once the caller is admitted, and then the upload goes on as ever."""
    body, wire = whole(DEMO), registry.connect()
    wire.send(head(registry, {"Expect": "100-continue", "Content-Length": str(len(body))}))
    assert [answer.code for answer in wire.answers("POST")] == [100]
    wire.send(body)
    assert [answer.code for answer in wire.answers("POST")] == [100, 201]


def test_a_body_sent_without_waiting_is_not_asked_for(registry: MemoryRegistry) -> None:
    """A client that expects 100 but sends at once gets one final answer, whichever came first."""
    body, wire = whole(DEMO), registry.connect()
    wire.send(head(registry, {"Expect": "100-continue", "Content-Length": str(len(body))}) + body)
    assert [answer.code for answer in wire.answers("POST")][-1] == 201
    assert registry.kept_files() == DEMO.blobs


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"PRIVATE-TOKEN": "glpat-unknown"}, 401), ({"Content-Length": str(1 << 40)}, 413), ({"Content-Type": "text/plain"}, 400)],
)
def test_an_unwelcome_body_is_never_asked_for(registry: MemoryRegistry, headers: Mapping[str, str], code: int) -> None:
    """`Expect: 100-continue` gets the refusal instead of 100, and the connection closes soon: nobody waits for a body."""
    wire = registry.connect()
    wire.send(head(registry, {"Expect": "100-continue", "Content-Length": "1000", **headers}))
    (answer,) = wire.answers("POST")
    assert (answer.code, answer.complete, answer.headers["connection"]) == (code, True, "close")
    registry.clock.advance(1.1)
    wire.settle()
    assert wire.closed
    assert not wire.aborted


def test_a_refused_body_is_drained(registry: MemoryRegistry) -> None:
    """A client that is still sending gets to read its refusal: the body is read and dropped, then the connection closes."""
    wire = registry.connect()
    wire.send(head(registry, {"PRIVATE-TOKEN": "glpat-unknown", "Content-Length": str(8 << 20)}))
    for _ in range(8):
        assert not wire.closed
        assert wire.reading
        wire.send(b"x" * (1 << 20))
    assert [answer.code for answer in wire.answers("POST")] == [401]
    assert wire.closed
    assert not wire.aborted
    assert nothing_left(registry)


def test_a_refused_body_is_not_drained_for_ever(registry: MemoryRegistry) -> None:
    """Who goes on sending slowly after a refusal is let go after the linger time."""
    wire = registry.connect()
    wire.send(head(registry, {"PRIVATE-TOKEN": "glpat-unknown", "Content-Length": str(8 << 20)}))
    for _ in range(29):
        registry.clock.advance(1)
        wire.send(b"x" * 4096)
    assert not wire.closed
    registry.clock.advance(2)
    wire.settle()
    assert wire.closed
    assert registry.site.channels == set()


def test_a_refused_body_has_an_end(registry: MemoryRegistry) -> None:
    """Who goes on sending fast after a refusal is cut once as much was dropped as anybody may need to hear of it."""
    wire = registry.connect()
    wire.send(head(registry, {"PRIVATE-TOKEN": "glpat-unknown", "Content-Length": str(4 << 30)}))
    (refused,) = wire.channel.requests
    refused._dropped = _LINGER_BYTES - 1  # a gigabyte takes too long to send
    wire.send(b"x")
    assert not wire.closed
    wire.send(b"x")
    assert (wire.closed, wire.aborted) == (True, True)


def test_who_hangs_up_after_a_refusal_is_forgotten(registry: MemoryRegistry) -> None:
    """A client that reads its refusal and goes leaves no timer behind."""
    wire = registry.connect()
    wire.send(head(registry, {"PRIVATE-TOKEN": "glpat-unknown", "Content-Length": "1000"}))
    wire.hang_up()
    registry.pass_time(60)
    assert registry.site.channels == set()


def test_a_refused_upload_is_logged_with_its_user(registry: MemoryRegistry) -> None:
    """The access log names who was admitted, though his body was not."""
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": str(1 << 40)}) + b"x")
    wire.hang_up()
    other = registry.connect()
    other.send(head(registry, {"Content-Length": str(1 << 40), "Expect": "100-continue"}))
    registry.pass_time(2, other)
    assert [line.split()[2] for line in registry.access_log().splitlines()] == ["root"]


@pytest.mark.parametrize("name", ["a\tb", "caf\u00e9", "\u202e", "n" * 2000, "a  b"])
def test_a_field_name_is_one_line_too(registry: MemoryRegistry, name: str) -> None:
    """A field's name, which the client chose, stands in a reason phrase as one short line of printable text (hardening row 3)."""
    answer = post(registry, form(DEMO.fields, (name, "x.txt", b"x")))
    assert (answer.code, answer.json) == (400, {"error": f"{name} is invalid"})
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 300


def test_a_refusal_in_the_middle_of_a_body_is_drained(registry: MemoryRegistry) -> None:
    """An error that shows half-way is answered at once; what is still on its way is dropped."""
    body = form({**DEMO.fields, "content": "x"}) + b"y" * (2 << 20)
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}) + body[:600])
    assert [answer.code for answer in wire.answers("POST")] == [400]
    assert not wire.closed
    wire.send(body[600:])
    assert [answer.code for answer in wire.answers("POST")] == [400]
    assert wire.closed


@pytest.mark.parametrize("sent", [0, 1, 100, 400, 600_000, -3, -1])
def test_an_early_disconnect_leaves_nothing(registry: MemoryRegistry, sent: int) -> None:
    """A client that goes in the middle of its body leaves no staged file, no blob, no row (hardening row 46)."""
    body, wire = whole(padded(900_000)), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}) + body[: sent if sent >= 0 else len(body) + sent])
    assert len(registry.staged_files()) == (0 if 0 <= sent < 500_000 else 1)
    wire.hang_up()
    assert nothing_left(registry)
    assert published(registry) == []
    assert registry.site.channels == set()


def test_a_disconnect_after_the_whole_body_does_not_undo_it(tmp_path: Path) -> None:
    """What was sent in full is published even if the client does not wait for the answer."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", files=files)
    body, wire = whole(DEMO), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}) + body)
    assert files.waiting
    wire.hang_up()
    files.let_all()
    assert published(registry) == [DEMO.filename]
    assert registry.staged_files() == []


@pytest.mark.parametrize("steps", range(1, 6))
def test_a_disconnect_while_the_disk_works_leaves_all_or_nothing(tmp_path: Path, steps: int) -> None:
    """Whenever the client goes, at any step of the disk, the file is published whole or not at all, and nothing stays staged."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", files=files)
    body, wire = whole(DEMO), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}) + body)
    for _ in range(steps):
        if files.waiting:
            files.let()
    wire.hang_up()
    files.let_all()
    assert registry.staged_files() == []
    assert published(registry) == [DEMO.filename]


def test_a_disconnect_before_the_route_runs_leaves_nothing(tmp_path: Path) -> None:
    """A client that goes after its last byte, while it must be admitted anew, has its file dropped and nothing published."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    body, wire = whole(padded(900_000)), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}))
    readers.let_all()
    wire.send(body[:600_000])
    registry.user("somebody")  # a change that may alter rights: the decision is made again
    wire.send(body[600_000:])
    assert readers.waiting
    assert len(registry.staged_files()) == 1
    wire.hang_up()
    readers.let_all()
    assert nothing_left(registry)


@pytest.mark.parametrize("slow_client_first", [False, True])
def test_reading_goes_on_only_when_both_sides_have_room(tmp_path: Path, *, slow_client_first: bool) -> None:
    """Neither a client that reads again nor a disk that has drained sets a body going that the other side still holds back."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", files=files, limit=64 << 20)
    body, wire = whole(padded(32 << 20)), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}) + body)
    assert not wire.reading
    if slow_client_first:
        wire.stop_reading()
        wire.read_on()
        assert not wire.reading
        files.let_all()
    else:
        wire.stop_reading()
        delivered = wire.delivered
        files.let_all()
        assert not wire.reading
        wire.read_on()
        assert wire.delivered > delivered
    finish(wire, files)
    assert [answer.code for answer in wire.answers("POST")] == [201]


def test_a_slow_disk_slows_the_sender_down(tmp_path: Path) -> None:
    """While too much waits for the disk the connection is not read; once it has drained, reading goes on and the upload succeeds."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", files=files, limit=64 << 20)
    body, wire = whole(padded(32 << 20)), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}) + body)
    assert not wire.reading
    assert wire.delivered < 16 << 20
    assert wire.answers("POST") == []
    finish(wire, files)
    assert [answer.code for answer in wire.answers("POST")] == [201]


def finish(wire: Wire, files: HeldThreads) -> None:
    """Let disk and client go on until neither has anything left to do."""
    while files.waiting or wire.undelivered:
        files.let_all()
        wire.settle()


def test_the_body_waits_for_the_decision(tmp_path: Path) -> None:
    """While the catalog has not said who may, the connection is not read and nothing is staged."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    body, wire = whole(DEMO), registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(body))}))
    wire.send(body)
    assert not wire.reading
    assert registry.staged_files() == []
    readers.let_all()
    wire.settle()
    readers.let_all()
    assert [answer.code for answer in wire.answers("POST")] == [201]


def test_a_body_that_came_with_the_head_waits_too(tmp_path: Path) -> None:
    """A small upload in one packet is decided on first, and then published, or refused, as ever."""
    for token, code in (("root", 201), ("other", 401)):
        readers = HeldThreads()
        registry = registry_in_memory(tmp_path / token, readers=readers)
        wire = registry.connect()
        credential = {} if token == "root" else {"PRIVATE-TOKEN": "glpat-unknown"}
        wire.send(head(registry, {"Content-Length": str(len(whole(DEMO))), **credential}) + whole(DEMO))
        assert registry.staged_files() == []
        readers.let_all()
        wire.settle()
        readers.let_all()
        assert [answer.code for answer in wire.answers("POST")] == [code]


def test_a_disconnect_before_the_decision_is_harmless(tmp_path: Path) -> None:
    """A client that goes while the catalog is being asked leaves nothing and breaks nothing."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": str(len(whole(DEMO)))}) + whole(DEMO))
    wire.hang_up()
    readers.let_all()
    assert nothing_left(registry)
    assert registry.site.channels == set()


def test_a_catalog_that_is_gone_refuses_the_body(registry: MemoryRegistry) -> None:
    """Without a catalog nobody can be admitted: 503 and a time to come back, before the body."""
    registry.store.database.close()
    wire = registry.connect()
    wire.send(head(registry, {"Content-Length": "1000"}))
    (answer,) = wire.answers("POST")
    assert (answer.code, answer.headers["retry-after"]) == (503, "1")
    assert "catalog" in answer.json["message"]


# --- the disk -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["create", "write", "flush", "make_folder", "replace", "flush_folder"])
def test_a_full_disk_is_507(tmp_path: Path, step: str) -> None:
    """A disk without room, at whatever step, answers 507 with what to do, and leaves neither staged file nor row (hardening row 46)."""
    registry = registry_in_memory(tmp_path / "data", disk=FailingDisk.full_at(step))
    answer = registry.upload(1, DEMO)
    assert answer.code == 507
    assert answer.json == {
        "message": "507 Insufficient Storage - The registry's disk is full; nothing was stored. Tell whoever runs it, then upload again"
    }
    assert registry.staged_files() == []
    assert published(registry) == []


def test_a_full_disk_may_have_room_later(tmp_path: Path) -> None:
    """After 507 the same upload succeeds as soon as there is room."""
    room = iter([False, True])

    def before(step: str) -> None:
        if step == "write" and not next(room, True):
            raise OSError(28, "No space left on device")

    registry = registry_in_memory(tmp_path / "data", disk=FailingDisk(before=before))
    assert [registry.upload(1, DEMO).code, registry.upload(1, DEMO).code] == [507, 201]


def test_a_broken_disk_is_500_without_details(tmp_path: Path, log_events: list[LogEvent]) -> None:
    """Any other error of the disk is ours: 500 in JSON, the cause in our log and nowhere else."""
    registry = registry_in_memory(tmp_path / "data", disk=FailingDisk.broken_at("write", OSError(5, "Input/output error")))
    answer = registry.upload(1, DEMO)
    assert (answer.code, answer.json) == (500, {"message": "500 Internal Server Error"})
    assert [event["log_failure"].type for event in log_events if "log_failure" in event] == [OSError]
    assert registry.staged_files() == []
    assert published(registry) == []


def test_of_two_at_once_exactly_one_wins(tmp_path: Path) -> None:
    """Two uploads of one file name that both pass every check: one is 201, the other 400 (hardening row 48)."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", files=files)
    wires: list[Wire] = []
    for payload in (b"one", b"two"):
        body = whole(wheel(payload=payload))
        wires.append(registry.connect())
        wires[-1].send(head(registry, {"Content-Length": str(len(body))}) + body)
    files.let_all()
    codes = [answer.code for wire in wires for answer in wire.answers("POST")]
    assert sorted(codes) == [201, 400]
    assert published(registry) == [DEMO.filename]
    assert registry.staged_files() == []


def test_bodies_are_json_whatever_went_wrong(registry: MemoryRegistry) -> None:
    """Every refusal of an upload is one JSON object with one of GitLab's two keys, not to be kept by anybody."""
    for answer in (registry.upload(1, DEMO, fields={"name": "-"}), registry.upload(1, DEMO, fields={"name": ""}), post(registry, b"x")):
        assert set(json.loads(answer.body)) in ({"message"}, {"error"})
        assert answer.headers["cache-control"] == "no-store"
