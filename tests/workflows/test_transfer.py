"""One file on its way here: what its readers get of it, and when."""

import hashlib
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from registry.domain.errors import RegistryError, StorageFull, UpstreamBroken, UpstreamUnavailable
from registry.domain.model import Digests, File
from registry.testing import MemoryBlobs, done
from registry.workflows.transfer import HELD_BACK, NEARLY, Following, Transfer

CONTENT = bytes(number % 251 for number in range(3 * HELD_BACK))
SIZE = len(CONTENT)


@define(kw_only=True)
class Coming:
    """A transfer of CONTENT, or of what says it is. `kept` are the digests that its end was told."""

    content: bytes = CONTENT
    size: int = SIZE
    digests: tuple[tuple[str, str], ...] = ()
    sha256: str | None = None
    blobs: MemoryBlobs = field(factory=MemoryBlobs)
    kept: list[Digests] = field(factory=list)
    aborted: int = 0
    fails: Exception | None = None
    keeping: Any = None  # a Deferred that keeping it waits for
    transfer: Transfer = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        staged = self.blobs.stage(lambda: None, lambda: None)
        digest = hashlib.sha256(self.content).hexdigest() if self.sha256 is None else self.sha256
        file = File(
            id=0,
            filename="demo-1.0-py3-none-any.whl",
            version="1.0",
            sha256=digest,
            size=self.size,
            requires_python="",
            uploaded_at=None,
            digests=self.digests,
            source="index",
        )
        self.transfer = Transfer(file=file, size=self.size, staged=staged, end=self.end, abort=self.abort)
        staged.expect([algorithm for algorithm, _ in self.digests])
        staged.follow(self.transfer.progress)
        self.transfer.begin()

    async def end(self, _: Transfer, digests: Digests) -> None:
        """Transfer.end."""
        if self.keeping is not None:
            await self.keeping
        if self.fails is not None:
            raise self.fails
        self.kept.append(digests)

    def abort(self) -> None:
        """Transfer.abort."""
        self.aborted += 1

    def read(self, following: Following, offset: int, length: int = SIZE) -> "Deferred[bytes]":
        """Begin to read."""
        return following.read(offset, length)


def waits(reading: "Deferred[bytes]") -> bool:
    """Whether it has no result yet."""
    return not reading.called


def test_readers_get_what_has_come() -> None:
    """Bytes that are here are given at once, those that are not as soon as they come; the last 64 KiB when they are proven (row 12)."""
    coming = Coming()
    reader = coming.transfer.reader()
    first = coming.read(reader, 0)
    assert waits(first)
    coming.transfer.received(CONTENT[:1000])
    assert done(first) == CONTENT[:1000]
    coming.transfer.received(CONTENT[1000:-1])
    assert done(coming.read(reader, 1000)) == CONTENT[1000:-HELD_BACK]
    last = coming.read(reader, SIZE - HELD_BACK)
    coming.transfer.received(CONTENT[-1:])
    assert waits(last)
    coming.transfer.ended()
    assert done(last) == CONTENT[-HELD_BACK:]
    assert [digests.sha256 for digests in coming.kept] == [hashlib.sha256(CONTENT).hexdigest()]
    assert done(coming.read(reader, SIZE)) == b""


@given(cuts=st.lists(st.integers(0, SIZE), max_size=6), starts=st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=4))
def test_every_reader_gets_all_of_it(cuts: list[int], starts: list[int]) -> None:
    """However the bytes come, and wherever a reader begins, he reads from there to the end exactly what was sent."""
    coming = Coming()
    readers = [(start, coming.transfer.reader(), bytearray()) for start in starts]

    def read_on() -> None:
        for start, reader, got in readers:
            while True:
                reading = reader.read(start + len(got), 50_000)
                if waits(reading) or not (data := done(reading)):
                    break
                got.extend(data)

    edges = [0, *sorted(cuts), SIZE]
    for begin, end in pairwise(edges):
        coming.transfer.received(CONTENT[begin:end])
        read_on()
        assert all(start + len(got) <= max(start, SIZE - HELD_BACK) for start, _, got in readers)
    coming.transfer.ended()
    read_on()
    assert [bytes(got) for _, _, got in readers] == [CONTENT[start:] for start in starts]


@pytest.mark.parametrize("size", [0, 1, HELD_BACK, HELD_BACK + 1, SIZE])
@pytest.mark.parametrize("wrong", ["sha256", "md5"])
def test_another_digest_is_never_proven(size: int, wrong: str, log_events: list[LogEvent]) -> None:
    """Bytes of any number with another digest are not given to their end, nor kept; the log says whose (hardening row 12)."""
    content = CONTENT[:size]
    told: dict[str, Any] = {"sha256": "0" * 64} if wrong == "sha256" else {"sha256": "", "digests": (("md5", "0" * 32),)}
    coming = Coming(content=content, size=size, **told)
    reader = coming.transfer.reader()
    proven = Deferred.fromCoroutine(coming.transfer.proven())
    coming.transfer.received(content)
    coming.transfer.ended()
    with pytest.raises(UpstreamBroken, match=wrong):
        done(proven)
    if size:
        with pytest.raises(UpstreamBroken, match=wrong):
            done(reader.read(max(0, size - HELD_BACK), SIZE))
    assert (coming.kept, coming.transfer.joinable) == ([], False)
    reader.close()
    assert (done(coming.transfer.over), coming.blobs.staged) == (None, 0)
    assert [event["source"] for event in log_events if "nothing of it was kept" in str(event.get("log_format"))] == ["index"]


@pytest.mark.parametrize(
    ("sent", "sentence"), [(SIZE - 1, "it ended after 196,607 of 196,608 bytes"), (SIZE + 1, "more than the 196,608 bytes")]
)
def test_the_length_is_kept_to(sent: int, sentence: str) -> None:
    """One byte less or more than was announced is a failure; with more the stream is broken off at once."""
    coming = Coming()
    reader = coming.transfer.reader()
    last = reader.read(SIZE - 1, 1)
    coming.transfer.received((CONTENT + b"x")[:sent])
    coming.transfer.ended()
    with pytest.raises(UpstreamBroken, match=sentence):
        done(last)
    assert coming.aborted == (sent > SIZE)
    coming.transfer.received(b"more")
    coming.transfer.ended()
    coming.transfer.failed(UpstreamUnavailable(source="index", problem="late"))
    assert coming.kept == []


def test_what_the_stream_fails_with_readers_hear() -> None:
    """Readers get what has come, then the failure; nobody may join any more, and when they have left everything is put away."""
    coming = Coming()
    readers = [coming.transfer.reader() for _ in range(2)]
    coming.transfer.received(CONTENT[:1000])
    waiting = readers[0].read(1000, 1)
    coming.transfer.failed(UpstreamUnavailable(source="index", problem="gone"))
    with pytest.raises(UpstreamUnavailable):
        done(waiting)
    assert done(readers[1].read(0, 1000)) == CONTENT[:1000]
    assert not coming.transfer.joinable
    for reader in readers:
        assert not coming.transfer.over.called
        reader.close()
        reader.close()
    assert (done(coming.transfer.over), coming.blobs.staged) == (None, 0)


@pytest.mark.parametrize(
    ("size", "came", "stopped"),
    [
        (4 * NEARLY, 0, True),
        (4 * NEARLY, 2 * NEARLY - 1, True),
        (4 * NEARLY, 2 * NEARLY, False),
        (NEARLY + 1, 0, True),
        (NEARLY + 1, 1, False),
        (NEARLY, 0, False),
    ],
)
def test_the_last_reader_that_leaves_stops_what_is_far_from_its_end(size: int, came: int, stopped: bool) -> None:
    """With half of it here, or no more than 16 MB missing, it goes on without a reader; else it is stopped (hardening row 53)."""
    coming = Coming(size=size)
    first, last = coming.transfer.reader(), coming.transfer.reader()
    coming.transfer.received(bytes(came))
    first.close()
    assert (coming.aborted, coming.transfer.joinable) == (0, True)
    last.close()
    assert (coming.aborted, coming.transfer.joinable, coming.transfer.over.called) == (int(stopped), not stopped, stopped)


def test_it_is_kept_though_nobody_reads_any_more() -> None:
    """What goes on without readers is kept when it has come, and then put away."""
    coming = Coming()
    coming.transfer.reader().close()
    coming.transfer.received(CONTENT)
    coming.transfer.ended()
    assert len(coming.kept) == 1
    assert (done(coming.transfer.over), coming.blobs.staged) == (None, 0)


def test_readers_do_not_wait_for_it_to_be_kept() -> None:
    """Proven is proven: the last bytes are given while the disk still works, and what it works on is put away only after that."""
    keeping: Deferred[None] = Deferred()
    coming = Coming(keeping=keeping)
    reader = coming.transfer.reader()
    coming.transfer.received(CONTENT)
    coming.transfer.ended()
    assert done(reader.read(SIZE - 10, 10)) == CONTENT[-10:]
    reader.close()
    assert (coming.transfer.over.called, coming.transfer.joinable, coming.blobs.staged) == (False, True, 1)
    keeping.callback(None)
    assert (coming.transfer.over.called, coming.blobs.staged) == (True, 0)


@pytest.mark.parametrize("error", [StorageFull(), OSError("the disk is gone")])
def test_what_cannot_be_kept_is_given_all_the_same(error: Exception, log_events: list[LogEvent]) -> None:
    """A full or broken disk at the very end takes nothing from clients whose file is proven; it is logged and put away."""
    coming = Coming(fails=error)
    reader = coming.transfer.reader()
    coming.transfer.received(CONTENT)
    coming.transfer.ended()
    assert done(reader.read(SIZE - 10, 10)) == CONTENT[-10:]
    reader.close()
    assert (done(coming.transfer.over), coming.blobs.staged) == (None, 0)
    assert any("log_failure" in event for event in log_events)


def test_a_disk_that_is_full_ends_it() -> None:
    """What cannot be written cannot be proven: its readers hear of the full disk, and nothing is kept."""
    coming = Coming(blobs=MemoryBlobs(full=True))
    reader = coming.transfer.reader()
    last = reader.read(SIZE - 1, 1)
    coming.transfer.received(CONTENT)
    coming.transfer.ended()
    with pytest.raises(RegistryError):
        done(last)
    assert coming.kept == []
