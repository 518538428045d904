"""Readers that are slow or do not read at all, over real sockets: what they cost, how long they are borne, and that others are served."""

from collections.abc import Iterator

import pytest
from attrs import define

from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.versions import Version
from registry.testing import OPERATOR, MemoryRegistry, answers_in, done, registry_in_memory, request
from registry.web.channel import Deadlines
from registry.web.outgoing import unsent
from tests.web.readiness import Asking, dateless
from tests.web.sockets import Plug

DEADLINES = Deadlines(head=30, stall=60, least=1024, linger=30)
FILES = 700


@define
class Reader:
    """A client of a registry with a page of 350 kB that is ready for it."""

    asking: Asking
    raw: bytes  # a request for the page
    whole: bytes  # its answer, but for the date

    @property
    def registry(self) -> MemoryRegistry:
        """The registry."""
        return self.asking.registry

    @property
    def size(self) -> int:
        """How many bytes the answer has on the wire."""
        return len(self.whole) + 28

    def another(self, number: int) -> bytes:
        """A request for the same page that is not ready."""
        return self.raw.replace(b"\r\n\r\n", b"\r\nX: %d\r\n\r\n" % number)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """See `Reader`."""
    registry = registry_in_memory(tmp_path_factory.mktemp("slow") / "data", deadlines=DEADLINES, budget=8 << 20)
    for number in range(FILES):
        digests = Digests(size=1, sha256=f"{number:064x}", others={})
        filename = f"demo-{number}.0-py3-none-any.whl"
        new = NewFile(name=Name("demo"), version=Version(f"{number}"), filename=filename, digests=digests, requires_python="", metadata={})
        done(registry.store.packages.add_file(1, new, OPERATOR))
    asking = Asking(registry)
    accept = {"Accept": "application/vnd.pypi.simple.v1+json", "PRIVATE-TOKEN": registry.root_token}
    raw = request("GET", "/api/v4/projects/1/packages/pypi/simple/demo/", accept)
    whole = dateless(asking.learned(raw))
    assert len(whole) > 200_000
    yield Reader(asking, raw, whole)
    registry.close()


@pytest.fixture
def plug(reader: Reader) -> Iterator[Plug]:
    """A connection that is closed in the end."""
    made = Plug.to(reader.registry)
    yield made
    made.close()


def test_a_ready_answer_arrives_whole(reader: Reader, plug: Plug) -> None:
    """A ready answer that is larger than the socket's buffer comes to its reader to the byte, again and again, without being made again."""
    parsed = reader.asking.parsed
    for _ in range(3):
        plug.send(reader.raw)
        assert dateless(plug.read(reader.size)) == reader.whole
        assert plug.waiting == 0
    assert reader.asking.parsed == parsed


@pytest.mark.parametrize("how", ["ready", "not ready", "ready and not"])
@pytest.mark.parametrize("packets", ["one by one", "in a row"])
def test_who_does_not_read_is_not_asked_for_more(reader: Reader, plug: Plug, how: str, packets: str) -> None:
    """Who asks 10,000 times and reads nothing is answered until his buffers are full, and then not read: memory stays flat.

    (hardening row 47)
    """
    heads = {"ready": [reader.raw], "not ready": [reader.another(1)], "ready and not": [reader.raw, reader.another(1)]}[how]
    most, asked = 0, 10_000
    if packets == "in a row":
        heads, asked = [b"".join(heads[number % len(heads)] for number in range(asked))], 1
    for number in range(asked):
        # What the kernel holds for the server is the peer's own trouble.
        plug.send(heads[number % len(heads)])
        most = max(most, plug.waiting)
    plug.settle()
    assert most <= reader.size + (1 << 16)
    assert plug.waiting > 0
    assert plug.transport not in plug.reactor.readers
    # Others are served meanwhile.
    assert reader.asking.ready(reader.raw)


@pytest.mark.parametrize("ready", [True, False])
def test_who_reads_in_the_end_gets_all(reader: Reader, plug: Plug, *, ready: bool) -> None:
    """Requests sent in a row, while nothing is read, are each answered once, in order, when their sender begins to read."""
    count = 12
    row = b"".join(reader.raw if ready else reader.another(number) for number in range(count))
    plug.send(row)
    plug.settle()
    assert plug.waiting <= reader.size + (1 << 16)
    received = plug.read(count * reader.size)
    assert [dateless(received[at : at + reader.size]) == reader.whole for at in range(0, len(received), reader.size)] == [True] * count
    assert plug.read(1) == b""
    # And it goes on as ever.
    plug.send(reader.raw)
    assert dateless(plug.read(reader.size)) == reader.whole


def test_an_upload_behind_what_is_not_read(reader: Reader, plug: Plug) -> None:
    """A request with a body that waits behind unread answers is taken whole when they are read."""
    body = b'{"name": "x"}'
    form = {"Content-Type": "application/json", "PRIVATE-TOKEN": reader.registry.root_token}
    plug.send(reader.another(1) * 3 + request("POST", "/api/v4/projects", form, body) + reader.raw)
    received = b""
    while piece := plug.read(1 << 20):
        received += piece
    assert [answer.code for answer in answers_in(received, ["GET", "GET", "GET", "POST", "GET"])] == [200, 200, 200, 201, 200]
    reader.asking.learned(reader.raw)


@pytest.mark.parametrize("ready", [True, False])
def test_who_reads_nothing_is_cut(reader: Reader, plug: Plug, *, ready: bool) -> None:
    """Who has asked and reads nothing is cut when both deadlines are over, and not before the first (hardening row 46)."""
    plug.send(reader.raw if ready else reader.another(1))
    plug.pass_time(30)
    assert not plug.closed
    plug.pass_time(62)
    assert plug.closed


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize(("a_time", "cut"), [(4096, False), (100, True)])
def test_who_reads_slowly_gets_all(reader: Reader, plug: Plug, a_time: int, *, cut: bool, ready: bool) -> None:
    """Who reads slowly but steadily is not cut before he has all of his answer, however long it takes; a trickle does not count.

    (hardening row 46)
    """
    plug.send(reader.raw if ready else reader.another(1))
    received = b""
    for _ in range(40):
        received += plug.read(a_time)
        plug.pass_time(25)
        if plug.closed:
            break
    assert plug.closed is cut
    if not cut:
        assert len(received) == 40 * a_time
        received += plug.read(reader.size - len(received))
        assert dateless(received) == reader.whole


def test_time_for_the_next_request_begins_when_the_answer_is_out(reader: Reader, plug: Plug) -> None:
    """Who was busy reading has the whole time for his next request when he is done; then he is cut like anybody who is idle."""
    plug.send(reader.raw)
    received = b""
    for _ in range(6):
        received += plug.read(10_000)
        plug.pass_time(20)
    received += plug.read(reader.size - len(received))
    assert dateless(received) == reader.whole
    plug.arrived()
    plug.pass_time(29)
    assert not plug.closed
    plug.send(reader.raw)
    assert dateless(plug.read(reader.size)) == reader.whole
    plug.arrived()
    plug.pass_time(31)
    assert plug.closed


def test_after_a_slow_body_the_deadline_is_the_same(reader: Reader, plug: Plug) -> None:
    """Who took his time over a body has no more of it for his next request than anybody."""
    head = {"Content-Type": "application/json", "Content-Length": "2", "PRIVATE-TOKEN": reader.registry.root_token}
    plug.send(request("POST", "/api/v4/projects", head, b"{"))
    plug.pass_time(40)
    plug.send(b"}")
    assert answers_in(plug.read(1 << 16), ["POST"])[0].code == 400
    plug.arrived()
    plug.pass_time(29)
    assert not plug.closed
    plug.pass_time(2)
    assert plug.closed


def test_who_asks_again_and_again_must_read(reader: Reader, plug: Plug) -> None:
    """Asking every few seconds does not keep a connection whose answers nobody reads."""
    for _ in range(30):
        plug.send(reader.raw)
        plug.pass_time(10)
        if plug.closed:
            break
    assert plug.closed


def test_what_is_unsent_is_counted_through_wrappers(reader: Reader, plug: Plug) -> None:
    """What has not arrived counts where it waits in this process and where it waits in the kernel; of what has no socket, nothing does."""

    class Wrapper:
        transport = plug.transport

    assert unsent(plug.transport) == 0
    plug.send(reader.raw)
    assert unsent(plug.transport) > plug.waiting > 0
    assert unsent(Wrapper()) == unsent(plug.transport)
    assert unsent(object()) == unsent(None) == 0
    plug.read(reader.size)
    plug.arrived()
    plug.close()
    assert unsent(plug.transport) == 0


def test_a_peer_that_is_gone_is_noticed(reader: Reader, plug: Plug) -> None:
    """A peer that hangs up while a ready answer is on its way ends its connection, and nothing else."""
    plug.send(reader.raw)
    plug.client.close()
    plug.settle()
    assert plug.closed
    assert plug.channel not in reader.registry.site.channels
    assert reader.asking.ready(reader.raw)


def test_nothing_is_sent_past_encryption(reader: Reader, plug: Plug) -> None:
    """A connection that was switched to TLS is written to through it, never around it."""
    written: list[bytes] = []

    plug.transport.TLS, plug.transport.write = True, written.append
    plug.channel.dataReceived(reader.raw)
    assert [dateless(data) for data in written] == [reader.whole]
    plug.transport.TLS = False
    assert plug.read(1) == b""
