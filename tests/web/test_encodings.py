"""Pages in codings over HTTP: what is sent, what copies are worth, and where the work is done."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backports import zstd

from registry.domain.access import Visibility
from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.testing import OPERATOR, Answer, HeldThreads, MemoryRegistry, done, registry_in_memory, request, wheel
from tests.web.readiness import HTML, JSON, Asking, answer_to

BASE = "/api/v4/projects/1/packages/pypi"
DEMO = wheel("demo", "1.0", requires_python=">=3.8")
PAGE, INDEX = f"{BASE}/simple/demo/", f"{BASE}/simple/"
DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress}


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryRegistry]:
    """Demo in root/packages and in root/public, beside twenty other names, so that an index is worth compressing."""
    registry = registry_in_memory(tmp_path_factory.mktemp("encodings") / "data")
    registry.project("root/public", Visibility.PUBLIC)
    for project in (1, 2):
        assert registry.upload(project, DEMO).code == 201
    for number in range(20):
        add_file(registry, f"name-{number}", "1")
    yield registry
    registry.close()


def add_file(registry: MemoryRegistry, name: str, version: str) -> None:
    """A file the catalog knows of."""
    digests = Digests(size=1, sha256=hashlib.sha256(f"{name} {version}".encode()).hexdigest(), others={})
    filename = f"{name.replace('-', '_')}-{version}.tar.gz"
    new = NewFile(name=Name(name), version=Version(version), filename=filename, digests=digests, requires_python="", metadata={})
    done(registry.store.packages.add_file(1, new, OPERATOR))


def get(registry: MemoryRegistry, path: str = PAGE, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return registry.ask(method, path, sent, token=registry.root_token)


@pytest.mark.parametrize("accept", [HTML, JSON])
@pytest.mark.parametrize("path", [PAGE, INDEX, f"{BASE}/pypi/demo/json"])
@pytest.mark.parametrize("encoding", DECODERS)
def test_a_coded_page_is_the_plain_one(held: MemoryRegistry, path: str, accept: str, encoding: str) -> None:
    """A page in a coding says so, is of the length it says, and decodes to the plain page; all else about it is the same."""
    plain, coded = get(held, path, Accept=accept), get(held, path, Accept=accept, Accept_Encoding=encoding)
    assert coded.headers["content-encoding"] == encoding
    assert "content-encoding" not in plain.headers
    assert int(coded.headers["content-length"]) == len(coded.body) < len(plain.body)
    assert DECODERS[encoding](coded.body) == plain.body
    differing = {"content-encoding", "content-length", "etag", "date"}
    assert {k: v for k, v in coded.headers.items() if k not in differing} == {k: v for k, v in plain.headers.items() if k not in differing}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", [HTML, JSON])
def test_a_copy_is_worth_its_own_coding(held: MemoryRegistry, accept: str, method: str) -> None:
    """Each coding of each form has a validator of its own, repeated on its 304; in any other coding it is worth nothing.

    (hardening row 14)
    """
    etags = {}
    for encoding in ("", "gzip", "zstd"):
        etags[encoding] = get(held, Accept=accept, Accept_Encoding=encoding).headers["etag"]
    assert len(set(etags.values())) == 3
    for encoding, mine in etags.items():
        for copy, etag in etags.items():
            answer = get(held, PAGE, method, Accept=accept, Accept_Encoding=encoding, If_None_Match=etag)
            assert (answer.code, answer.headers["etag"]) == (304 if copy == encoding else 200, mine)
            assert answer.headers["vary"].startswith("Accept, Accept-Encoding")
            if answer.code == 304:
                # RFC 9110, 15.4.5: what describes a body has no place in an answer without one.
                assert answer.body == b""
                assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("project", [1, 2])
def test_caches_are_told(held: MemoryRegistry, project: int) -> None:
    """Shared caches hear that a page varies by coding and form, and where not anybody may read it, by credential (hardening row 15)."""
    answer = get(held, PAGE.replace("/1/", f"/{project}/"), Accept_Encoding="gzip")
    assert answer.headers["vary"] == "Accept, Accept-Encoding" + ("" if project == 2 else ", Authorization, Private-Token")
    assert answer.headers["cache-control"] == ("no-cache" if project == 2 else "private, no-cache")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("ending", ["", ".metadata"])
@pytest.mark.parametrize("encoding", ["gzip", "zstd", "*", "identity;q=0, gzip"])
def test_files_are_never_coded(held: MemoryRegistry, ending: str, encoding: str, method: str) -> None:
    """A file or its core metadata is what its digest says, byte for byte, whatever the client would like (hardening row 16)."""
    path = f"{BASE}/files/{DEMO.sha256}/{DEMO.filename}{ending}"
    plain, answer = get(held, path, method), get(held, path, method, Accept_Encoding=encoding)
    assert "content-encoding" not in answer.headers
    assert (answer.body, {**answer.headers, "date": ""}) == (plain.body, {**plain.headers, "date": ""})


@pytest.mark.parametrize(
    "encoding", ["gzip;q=banana", ',;="' * 40, "x" * 10_000, "gzip;" * 2000, "*;q=0", "identity;q=0", "br", "gzip\t;\tq=1"]
)
@pytest.mark.parametrize("times", [1, 2])
def test_odd_wishes_are_answered(held: MemoryRegistry, encoding: str, times: int) -> None:
    """Whatever Accept-Encoding holds, and however often it comes, the page comes, plain or in a coding that was named."""
    headers = [("Accept", HTML), ("Accept-Encoding", encoding)] + [("Accept-Encoding", "br")] * (times - 1)
    answer = held.ask("GET", PAGE, headers, token=held.root_token)
    if len(encoding) > 9000:
        assert answer.code in {200, 400}
        return
    assert answer.code == 200
    decode = DECODERS.get(answer.headers.get("content-encoding", ""), bytes)
    assert DEMO.filename.encode() in decode(answer.body)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[MemoryRegistry, HeldThreads]]:
    """A registry with a page of 150 kB, whose rendering and compressing is done when told."""
    work = HeldThreads()
    registry = registry_in_memory(tmp_path / "data")
    registry.library.threads = work
    for number in range(400):
        add_file(registry, "demo", f"{number}")
    yield registry, work
    registry.close()


def test_a_large_page_is_compressed_once_in_a_thread(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """However many ask for a large page in a coding at once, a thread compresses it once; those who go before do not disturb the others."""
    registry, work = slow
    raw = request("GET", PAGE, {"PRIVATE-TOKEN": registry.root_token, "Accept-Encoding": "gzip"})
    clients = [Asking(registry) for _ in range(50)]
    for client in clients:
        client.send(raw)
    assert work.waiting == 1  # the rendering
    work.let()
    assert work.waiting == 1  # the compressing
    assert [client.received for client in clients] == [b""] * 50
    for client in clients[:25]:
        client.wire.hang_up()
    work.let()
    assert work.waiting == 0
    answers = [answer_to(raw, client.received) for client in clients[25:]]
    assert {answer.code for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert gzip.decompress(answers[0].body).count(b"<a ") == 400
    assert clients[-1].ready(raw)
    assert work.waiting == 0


def test_a_compression_that_fails_is_told_to_all_and_tried_again(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """When compressing fails everybody who waits is told so; the next who asks has it tried again."""
    registry, work = slow
    raw = request("GET", PAGE, {"PRIVATE-TOKEN": registry.root_token, "Accept-Encoding": "zstd"})
    clients = [Asking(registry) for _ in range(3)]
    for client in clients:
        client.send(raw)
    work.let()
    work.fail(MemoryError())
    assert [answer_to(raw, client.received).code for client in clients] == [500] * 3
    clients[0].get(raw)
    work.let_all()
    assert answer_to(raw, clients[0].received).code == 200


def test_a_page_that_changes_while_it_is_compressed_is_not_ready(slow: tuple[MemoryRegistry, HeldThreads]) -> None:
    """Who asked before a change may get the page from before it; who asks the same after it never does."""
    registry, work = slow
    raw = request("GET", PAGE, {"PRIVATE-TOKEN": registry.root_token, "Accept-Encoding": "gzip"})
    one, two = Asking(registry), Asking(registry)
    one.send(raw)
    work.let()
    add_file(registry, "demo", "1000")
    two.send(raw)
    work.let_all()
    assert gzip.decompress(answer_to(raw, two.received).body).count(b"<a ") == 401
    for client in (one, two):
        assert gzip.decompress(answer_to(raw, client.get(raw)).body).count(b"<a ") == 401
