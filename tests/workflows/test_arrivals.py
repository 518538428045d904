"""Files of upstreams: which bytes stand for which file, how often they are fetched, and what is kept of them."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from attrs import Factory, define, evolve
from twisted.internet.defer import Deferred
from zope.interface import implementer

from registry.domain.errors import RegistryError, UnknownFile, UpstreamBroken, UpstreamUnavailable
from registry.domain.fetched import Fetched
from registry.domain.model import File
from registry.domain.names import Name
from registry.domain.upstream import KeptFile, Mode, Upstream
from registry.interfaces import IFetcher, IStream, IStreamReader
from registry.outward import core_metadata
from registry.testing import Built, MemoryBlobs, MemoryRegistry, done, sdist, wheel
from registry.workflows.arrivals import Arrival, Arrivals, Elsewhere
from registry.workflows.transfer import HELD_BACK
from tests.beyond import large

DEMO = Name("demo")
INDEX = Upstream(name="index", url="http://index.test/simple/")
BIG = large("demo", 1 << 20)


@implementer(IStream)
@define(eq=False)
class Body:
    """A body that comes when the test says so."""

    content: bytes
    status: int = 200
    length: int | None = None
    url: str = ""
    headers: Mapping[str, str] = Factory(dict)
    reader: Any = None
    aborted: bool = False

    def deliver(self, reader: IStreamReader) -> None:
        """IStream."""
        assert self.reader is None, "a body is delivered once"
        self.reader = reader

    def come(self, until: int | None = None) -> None:
        """Let it come up to here, or all of it and its end."""
        self.reader.received(self.content[:until])
        if until is None:
            self.reader.ended()

    def pause(self) -> None:
        """IStream."""

    def resume(self) -> None:
        """IStream."""

    def abort(self) -> None:
        """IStream."""
        self.aborted = True


@implementer(IFetcher)
@define(eq=False)
class Scripted:
    """Gives what the test has put down, by address; `asked` are the addresses."""

    bodies: dict[str, Any] = Factory(dict)  # bodies, answers, errors, or Deferreds of them
    asked: list[str] = Factory(list)

    async def _give(self, url: str) -> Any:
        self.asked.append(url)
        found = self.bodies[url]
        found = await found if isinstance(found, Deferred) else found
        if isinstance(found, Exception):
            raise found
        return found

    async def fetch(self, url: str, headers: Mapping[str, str], *, limit: int, timeout: float) -> Fetched:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        found: Fetched = await self._give(url)
        return found

    async def head(self, url: str, headers: Mapping[str, str], *, timeout: float) -> Fetched:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        raise NotImplementedError

    async def stream(self, url: str, headers: Mapping[str, str], *, timeout: float = 30.0) -> IStream:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        found: IStream = await self._give(url)
        return found


@define(kw_only=True)
class Dock:
    """Where files arrive. `used` are the numbers of kept files that were used, `kept` the sizes of those that were kept."""

    registry: MemoryRegistry
    arrivals: Arrivals
    fetcher: Scripted = Factory(Scripted)
    blobs: MemoryBlobs = Factory(MemoryBlobs)
    used: list[int] = Factory(list)
    kept: list[int] = Factory(list)

    def offer(self, built: Built, **facts: Any) -> tuple[File, Body]:
        """A file as its index lists it, and its body."""
        url = f"http://index.test/{built.filename}"
        body = Body(built.content, length=len(built.content))
        self.fetcher.bodies[url] = body
        facts = {"sha256": built.sha256, "size": len(built.content), "url": url, **facts}
        return File(
            id=0, filename=built.filename, version=built.version, requires_python="", uploaded_at=None, source="index", **facts
        ), body

    def begin(self, file: File, upstream: Upstream = INDEX) -> "Deferred[Arrival]":
        """Begin to ask for a file."""
        return Deferred.fromCoroutine(self.arrivals.bytes(upstream, DEMO, file, self.rows()))

    def rows(self) -> list[KeptFile]:
        """What the catalog knows to be kept."""
        return done(self.registry.store.upstream.kept(DEMO))


@pytest.fixture
def dock(registry: MemoryRegistry) -> Dock:
    fetcher, blobs = Scripted(), MemoryBlobs()
    used: list[int] = []
    kept: list[int] = []
    arrivals = Arrivals(
        catalog=registry.store.upstream, fetcher=fetcher, blobs=blobs, core_metadata=core_metadata, on_used=used.append, on_kept=kept.append
    )
    return Dock(registry=registry, arrivals=arrivals, fetcher=fetcher, blobs=blobs, used=used, kept=kept)


def whole(arrival: Arrival) -> bytes:
    """All bytes of what has arrived."""
    got = b""
    while len(got) < arrival.blob.size:
        got += done(arrival.blob.read(len(got), 1 << 20))
    arrival.blob.close()
    return got


@pytest.mark.parametrize("built", [BIG, wheel(), sdist()], ids=["large", "wheel", "sdist"])
def test_a_file_comes_once_and_is_kept(dock: Dock, built: Built) -> None:
    """The first who asks gets it as it comes, the next the kept bytes with since when; both uses and sizes are told."""
    file, body = dock.offer(built)
    first = dock.begin(file)
    body.come()
    arrival = done(first)
    assert (arrival.state, arrival.since, whole(arrival)) == ("miss", None, built.content)
    again = done(dock.begin(file))
    assert (again.state, again.since, whole(again)) == ("hit", dock.registry.now(), built.content)
    assert (len(dock.fetcher.asked), dock.used, len(dock.kept), dock.blobs.staged) == (1, [1], 1, 0)
    assert [(row.filename, row.sha256, row.size) for row in dock.rows()] == [(built.filename, built.sha256, len(built.content))]


def test_who_asks_meanwhile_joins(dock: Dock) -> None:
    """Before there is an answer, and while the body comes, all who ask get the same transfer, each from the beginning."""
    file, body = dock.offer(BIG)
    late: Deferred[Body] = Deferred()
    dock.fetcher.bodies[file.url] = late
    early = [dock.begin(file) for _ in range(3)]
    late.callback(body)
    body.come(until=500_000)
    joined = [done(one) for one in [*early, dock.begin(file)]]
    assert [done(one.blob.read(0, 10)) for one in joined] == [BIG.content[:10]] * 4
    body.reader.received(BIG.content[500_000:])
    body.reader.ended()
    assert [whole(one) for one in joined] == [BIG.content] * 4
    assert (len(dock.fetcher.asked), dock.blobs.staged) == (1, 0)


def test_a_small_file_is_given_when_it_is_proven(dock: Dock) -> None:
    """Of a file of up to 64 KiB nothing could be given before: so there is no answer before, and a wrong one is an error (row 12)."""
    for size, waits in ((HELD_BACK, True), (HELD_BACK + 1, False)):
        file, body = dock.offer(large("demo", size))
        asked = dock.begin(file)
        body.come(until=size - 1)
        assert asked.called != waits
        body.reader.received(b"!" if body.content[-1:] != b"!" else b"?")
        body.reader.ended()
        if waits:
            with pytest.raises(UpstreamBroken, match="sha256"):
                done(asked)
        else:
            with pytest.raises(UpstreamBroken, match="sha256"):
                whole(done(asked))
            done(asked).blob.close()
        assert (dock.rows(), dock.blobs.staged) == ([], 0)


def test_other_bytes_are_another_transfer(dock: Dock) -> None:
    """Who asks for another digest under an address is not given what comes for the first (hardening row 12)."""
    file, body = dock.offer(BIG)
    right = dock.begin(file)
    other = Body(BIG.content, length=len(BIG.content))
    dock.fetcher.bodies[file.url] = other
    wrong = dock.begin(evolve(file, sha256="f" * 64))
    for one in (body, other):
        one.come()
    assert whole(done(right)) == BIG.content
    with pytest.raises(UpstreamBroken):
        whole(done(wrong))


def test_without_a_digest_only_the_same_index_has_the_same_file(dock: Dock) -> None:
    """What another index has under a file name is not given for a file whose own index tells no sha256 (hardening row 24)."""
    mine, theirs = wheel("demo", payload=b"mine"), wheel("demo", payload=b"theirs")
    file, body = dock.offer(mine)
    first = dock.begin(file)
    body.come()
    done(first).blob.close()
    bare, other = dock.offer(theirs, sha256="", size=None)
    asked = dock.begin(evolve(bare, source="another"), evolve(INDEX, name="another"))
    other.come()
    assert whole(done(asked)) == theirs.content
    assert whole(done(dock.begin(bare))) == mine.content


@pytest.mark.parametrize(
    ("status", "length", "told", "sentence"),
    [
        (404, 5, 5, "it answers 404 for demo-1.0.tar.gz"),
        (206, 5, 5, "it answers 206 for"),
        (200, 4, 5, "not what its index says"),
        (200, None, None, "does not say how long"),
    ],
)
def test_what_is_no_such_file_is_not_begun(dock: Dock, status: int, length: int | None, told: int | None, sentence: str) -> None:
    """An answer that cannot be the file is broken off, with a sentence that says why; nothing was staged for it."""
    file, body = dock.offer(Built(name="demo", version="1.0", filename="demo-1.0.tar.gz", content=b"12345"), size=told)
    body.status, body.length = status, length
    with pytest.raises(UpstreamBroken, match=sentence):
        done(dock.begin(file))
    assert (body.aborted, dock.blobs.staged) == (True, 0)


def test_a_failure_is_not_remembered(dock: Dock) -> None:
    """All who wait for a file hear what it failed with before it began; the next one has it asked for again."""
    file, body = dock.offer(BIG)
    late: Deferred[Body] = Deferred()
    dock.fetcher.bodies[file.url] = late
    asked = [dock.begin(file) for _ in range(2)]
    late.errback(UpstreamUnavailable(source="index", problem="away"))
    for one in asked:
        with pytest.raises(UpstreamUnavailable):
            done(one)
    dock.fetcher.bodies[file.url] = body
    again = dock.begin(file)
    body.come()
    assert whole(done(again)) == BIG.content


@pytest.mark.parametrize(("size", "goes_on"), [(16 << 20, True), ((16 << 20) + 1, False)])
def test_all_have_left_before_it_begins(dock: Dock, size: int, goes_on: bool) -> None:
    """A file of 16 MB is fetched all the same, a larger one is broken off; both can be asked for again (hardening row 53)."""
    built = Built(name="demo", version="1.0", filename="demo-1.0.tar.gz", content=bytes(size))
    file, body = dock.offer(built)
    late: Deferred[Body] = Deferred()
    dock.fetcher.bodies[file.url] = late
    asked = dock.begin(file)
    asked.addErrback(lambda _: None)
    asked.cancel()
    late.callback(body)
    assert body.aborted != goes_on
    if goes_on:
        body.come()
        assert done(dock.begin(file)).state == "hit"
    else:
        dock.fetcher.bodies[file.url] = Body(built.content, length=size)
        assert done(dock.begin(file)).state == "miss"
    assert len(dock.fetcher.asked) == (1 if goes_on else 2)


def test_what_came_since_the_catalog_was_read_is_not_fetched_again(dock: Dock) -> None:
    """Who read what is kept before a file was, and asks for it when its transfer is over, gets the kept bytes (hardening row 52)."""
    file, body = dock.offer(BIG)
    before = dock.rows()
    first = dock.begin(file)
    body.come()
    assert whole(done(first)) == BIG.content
    arrival = done(Deferred.fromCoroutine(dock.arrivals.bytes(INDEX, DEMO, file, before)))
    assert (arrival.state, whole(arrival), len(dock.fetcher.asked)) == ("hit", BIG.content, 1)


def test_lost_bytes_are_fetched_again(dock: Dock) -> None:
    """A row whose blob is gone is no file: it is asked for as if it were new."""
    file, body = dock.offer(BIG)
    first = dock.begin(file)
    body.come()
    done(first).blob.close()
    dock.blobs.spoil(BIG.sha256, None)
    dock.fetcher.bodies[file.url] = again = Body(BIG.content, length=len(BIG.content))
    asked = dock.begin(file)
    again.come()
    assert (done(asked).state, whole(done(asked))) == ("miss", BIG.content)


# --- core metadata ---


def beside(dock: Dock, built: Built) -> File:
    """A file whose index tells of core metadata."""
    file, _ = dock.offer(built, metadata_sha256=hashlib.sha256(built.metadata).hexdigest())
    dock.fetcher.bodies[f"{file.url}.metadata"] = Fetched(status=200, headers={}, body=built.metadata, url=file.url)
    return file


def metadata(dock: Dock, file: File, upstream: Upstream = INDEX) -> "Deferred[Arrival]":
    """Begin to ask for core metadata."""
    return Deferred.fromCoroutine(dock.arrivals.metadata(upstream, DEMO, file, dock.rows()))


def test_core_metadata_comes_once_and_is_kept(dock: Dock) -> None:
    """It is asked for once for all, has the digest that the index tells, and is kept under its own name."""
    file = beside(dock, wheel())
    answer = dock.fetcher.bodies[f"{file.url}.metadata"]
    late: Deferred[Fetched] = Deferred()
    dock.fetcher.bodies[f"{file.url}.metadata"] = late
    asked = [metadata(dock, file) for _ in range(50)]
    late.callback(answer)
    assert {whole(done(one)) for one in asked} == {wheel().metadata}
    again = done(metadata(dock, file))
    assert (again.state, again.file.filename, whole(again)) == ("hit", f"{file.filename}.metadata", wheel().metadata)
    assert len(dock.fetcher.asked) == 1


@pytest.mark.parametrize("wrong", ["digest", "404", "none"])
def test_core_metadata_that_is_not_there(dock: Dock, wrong: str) -> None:
    """Other bytes, or none, for metadata that an index tells of are an upstream's fault; what it does not tell of is not there (row 17)."""
    file = beside(dock, wheel())
    url = f"{file.url}.metadata"
    expected: type[RegistryError] = UpstreamBroken
    if wrong == "digest":
        dock.fetcher.bodies[url] = Fetched(status=200, headers={}, body=b"Name: other\n", url=url)
    elif wrong == "404":
        dock.fetcher.bodies[url] = Fetched(status=404, headers={}, body=b"", url=url)
    else:
        file, expected = evolve(file, metadata_sha256=""), UnknownFile
    with pytest.raises(expected):
        done(metadata(dock, file))
    assert (dock.rows(), dock.blobs.staged) == ([], 0)
    assert len(dock.fetcher.asked) == (wrong != "none")


@pytest.mark.parametrize("told", [False, True])
def test_core_metadata_is_read_out_of_a_wheel_where_its_index_tells_of_none(dock: Dock, told: bool) -> None:
    """With the file its METADATA is kept, and from then on served; where the index tells of some, that is what counts (row 17)."""
    file = beside(dock, BIG) if told else dock.offer(BIG)[0]
    body = dock.fetcher.bodies[file.url]
    asked = dock.begin(file)
    body.come()
    done(asked).blob.close()
    (row,) = dock.rows()
    digest = hashlib.sha256(BIG.metadata).hexdigest()
    assert row.metadata == (None if told else (digest, len(BIG.metadata)))
    assert whole(done(metadata(dock, evolve(file, metadata_sha256=digest)))) == BIG.metadata


# --- modes ---


def test_what_is_only_passed_on_is_not_kept(dock: Dock) -> None:
    """In mode `stream` neither a file nor core metadata is kept, and nothing is left of them."""
    file = beside(dock, BIG)
    body = dock.fetcher.bodies[file.url]
    stream = evolve(INDEX, mode=Mode.STREAM)
    asked = dock.begin(file, stream)
    body.come()
    assert whole(done(asked)) == BIG.content
    assert whole(done(metadata(dock, file, stream))) == BIG.metadata
    assert (dock.rows(), dock.blobs.staged, dock.kept) == ([], 0, [])
    with pytest.raises(RegistryError):
        done(dock.blobs.open(BIG.sha256))


def test_clients_are_sent_for_what_is_not_kept(dock: Dock) -> None:
    """In mode `redirect` a file is at its upstream, and in mode `offline` nowhere, unless it is kept."""
    file = beside(dock, BIG)
    with pytest.raises(Elsewhere) as there:
        done(dock.begin(file, evolve(INDEX, mode=Mode.REDIRECT)))
    assert there.value.url == file.url
    offline = evolve(INDEX, mode=Mode.OFFLINE)
    for asked in (dock.begin(file, offline), metadata(dock, file, offline)):
        with pytest.raises(UnknownFile):
            done(asked)
    assert dock.fetcher.asked == []
    body = dock.fetcher.bodies[file.url]
    first = dock.begin(file)
    body.come()
    done(first).blob.close()
    for mode in (Mode.REDIRECT, Mode.OFFLINE, Mode.STREAM):
        assert whole(done(dock.begin(file, evolve(INDEX, mode=mode, stale_for=timedelta(0))))) == BIG.content
