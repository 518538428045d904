"""Files that are still coming from an upstream, given over real sockets: the kernel sends what is there, and waits with us for the rest."""

from collections.abc import Iterator

import pytest
from attrs import define

from registry.testing import Answer, FakeUpstream, answers_in, request
from registry.testing.troubles import Gate, cut, damaged
from registry.web.outgoing import unsent
from registry.workflows.transfer import HELD_BACK
from tests.beyond import Beyond, file_path, large
from tests.conftest import Start
from tests.web.sockets import Plug

MB = 1 << 20
SIZE = 5 * MB + 12345
BIG = large("big", SIZE)
THERE = f"/files/{BIG.name}/{BIG.filename}"
# More than the head of an answer takes.
HEAD = 2000


@define(eq=False)
class Line:
    """A client of a registry on a real socket. The registry's upstream has BIG, of which it sends what `gate` lets through."""

    beyond: Beyond
    plug: Plug
    gate: Gate

    def begin(self, **headers: str) -> None:
        """Ask for the file."""
        self.plug.send(request("GET", file_path(BIG), [("PRIVATE-TOKEN", self.beyond.token), *headers.items()]))
        self.settle()

    def settle(self) -> None:
        """Let everything arrive that can, read or not."""
        self.beyond.settle()
        self.plug.settle()

    def come(self, upto: int) -> None:
        """Let the upstream send what comes before `upto`."""
        self.gate.let(upto)
        self.settle()

    def read(self) -> bytes:
        """Read what is to be had, the server sending what it can, until nothing is under way."""
        received, plug = b"", self.plug
        for _ in range(100_000):
            piece = plug.read(2 * SIZE)
            received += piece
            self.beyond.settle()
            under_way = not plug.closed and (unsent(plug.transport) or plug.transport in plug.reactor.writers)
            if not piece and not under_way:
                return received
        raise AssertionError("it never comes to rest")

    def answer(self, received: bytes) -> Answer:
        """The one answer in what was received."""
        (answer,) = answers_in(received)
        return answer

    def another(self) -> Answer:
        """What another client is answered."""
        return self.beyond.ask(file_path(BIG))

    @property
    def unkept(self) -> bool:
        """Whether nothing was kept, or is lying about."""
        return not self.beyond.registry.kept_files() and not self.beyond.registry.staged_files()


@pytest.fixture
def line(start: Start) -> Iterator[Line]:
    """See `Line`; not a byte of the file has come."""
    upstream = FakeUpstream()
    upstream.add(BIG)
    beyond = start(upstream)
    gate = upstream.hold(THERE)
    plug = Plug.to(beyond.registry)
    yield Line(beyond, plug, gate)
    plug.close()


def test_what_has_come_is_given_at_once(line: Line) -> None:
    """A client has every byte that the upstream has sent before that has finished; at the end it has all, and it is kept."""
    line.begin()
    assert line.read() == b""
    received = b""
    for upto in (0, 1, 1000, 100_000, 2 * MB, 2 * MB, 5 * MB):
        line.come(upto)
        received += line.read()
        if upto:
            answer = line.answer(received)
            assert (answer.code, answer.headers["x-cache"], answer.headers["content-length"]) == (200, "miss", str(SIZE))
            assert answer.body == BIG.content[: min(upto, SIZE - HELD_BACK)]
    line.come(SIZE - 1)
    received += line.read()
    assert line.answer(received).body == BIG.content[: SIZE - HELD_BACK]
    line.come(SIZE)
    received += line.read()
    assert (line.answer(received).complete, line.answer(received).body == BIG.content) == (True, True)
    assert BIG.sha256 in line.beyond.registry.kept_files()
    # The connection is as good as new.
    line.begin()
    assert line.answer(line.read()).body == BIG.content
    assert line.beyond.upstream.asked(THERE) == 1


@pytest.mark.parametrize(
    ("first", "last"), [(3 * MB, 3 * MB), (3 * MB, 4 * MB - 1), (SIZE - HELD_BACK - 10, SIZE - HELD_BACK + 9), (SIZE - 1, SIZE - 1)]
)
def test_a_part_that_is_not_there_yet(line: Line, first: int, last: int) -> None:
    """A range is 206 as soon as its first byte may be given, and complete as soon as its last may, whatever else is still to come."""

    def due(byte: int) -> int:
        # What has to be here before this byte is given.
        return byte + 1 if byte < SIZE - HELD_BACK else SIZE

    line.begin(Range=f"bytes={first}-{last}")
    line.come(due(first) - 1)
    assert line.read() == b""
    line.come(due(first))
    received = line.read()
    assert line.answer(received).code == 206
    if due(last) > due(first):
        line.come(due(last) - 1)
        received += line.read()
        assert not line.answer(received).complete
        line.come(due(last))
        received += line.read()
    answer = line.answer(received)
    assert (answer.complete, answer.body == BIG.content[first : last + 1]) == (True, True)
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"


def test_a_client_that_stops_reading_keeps_nobody_waiting(line: Line) -> None:
    """While it reads nothing the file comes, is kept and given to others, and waits on the disk, not in memory (hardening row 47)."""
    line.begin()
    line.come(MB)
    line.gate.open()
    line.settle()
    assert line.plug.waiting <= HEAD
    assert BIG.sha256 in line.beyond.registry.kept_files()
    assert line.another().headers["x-cache"] == "hit"
    answer = line.answer(line.read())
    assert (answer.complete, answer.body == BIG.content) == (True, True)
    assert line.beyond.registry.staged_files() == []


def test_a_client_that_reads_nothing_of_what_is_there_is_cut(line: Line) -> None:
    """Who does not take what could be given is cut after a minute; the file is kept all the same (hardening row 46)."""
    line.begin()
    line.come(MB)
    line.plug.pass_time(122)
    assert line.plug.closed
    line.gate.open()
    line.settle()
    assert line.another().body == BIG.content
    assert line.beyond.registry.staged_files() == []


@pytest.mark.parametrize("spec", ["", "bytes=-10"], ids=["whole", "its end"])
def test_a_client_is_not_blamed_for_a_slow_upstream(line: Line, spec: str) -> None:
    """Who waits for bytes that have not come, or may not be given yet, is not cut as a slow reader, however long it takes."""
    line.begin(**({"Range": spec} if spec else {}))
    line.come(SIZE - HELD_BACK)
    received = line.read()
    for step in range(1, 21):
        line.plug.pass_time(20)
        line.come(SIZE - HELD_BACK + step)
        assert not line.plug.closed
    line.gate.open()
    line.settle()
    answer = line.answer(received + line.read())
    assert (answer.complete, answer.body == (BIG.content[-10:] if spec else BIG.content)) == (True, True)


@pytest.mark.parametrize("spec", ["", "bytes=-10"], ids=["whole", "its end"])
def test_a_client_without_a_socket_of_its_own_is_not_blamed_either(line: Line, spec: str) -> None:
    """So it is where bytes are not sent by the kernel, as under TLS."""
    line.gate.let(SIZE - HELD_BACK)
    wire = line.beyond.begin(file_path(BIG), headers={"Range": spec} if spec else {})
    for step in range(1, 21):
        line.plug.pass_time(20)
        line.gate.let(SIZE - HELD_BACK + step)
        line.beyond.settle(wire)
    line.gate.open()
    line.beyond.settle(wire)
    answer = line.answer(wire.received)
    assert (answer.complete, answer.body == (BIG.content[-10:] if spec else BIG.content)) == (True, True)


@pytest.mark.parametrize("at", [0, 1, MB, SIZE - 1])
@pytest.mark.parametrize("reading", [True, False])
def test_a_client_leaves(line: Line, at: int, *, reading: bool) -> None:
    """Who hangs up in the middle ends its own connection and nothing else: the file comes to its end, once (hardening row 53)."""
    line.begin()
    line.come(at)
    if reading:
        line.read()
    line.plug.client.close()
    line.settle()
    # Who is gone is noticed when something is sent, or at once.
    line.gate.open()
    line.settle()
    assert line.plug.closed
    assert line.plug.channel not in line.beyond.registry.site.channels
    answer = line.another()
    assert (answer.headers["x-cache"], answer.body == BIG.content) == ("hit", True)
    assert (line.beyond.upstream.asked(THERE), line.beyond.registry.staged_files()) == (1, [])


@pytest.mark.parametrize("at", [1, MB, SIZE - HELD_BACK, SIZE - 1])
@pytest.mark.parametrize("reading", [True, False])
def test_an_upstream_that_breaks_off(line: Line, at: int, *, reading: bool) -> None:
    """The client's connection is broken before the promised length, so that it knows; nothing is kept, and the next one asks anew."""
    line.beyond.upstream.on(THERE, cut(at), times=1)
    line.begin()
    line.come(at - 1)
    received = line.read() if reading else b""
    line.gate.open()
    line.settle()
    received += line.read()
    assert (line.plug.closed, line.plug.reset) == (True, True)
    if received:
        answer = line.answer(received)
        assert (answer.code, answer.complete) == (200, False)
        assert BIG.content.startswith(answer.body)
    assert line.unkept
    assert line.another().body == BIG.content


def test_an_upstream_that_lies_about_the_digest(line: Line) -> None:
    """Of other bytes than the index tells the last 64 KiB never come: the connection breaks, and nothing is kept (hardening row 12)."""
    line.beyond.upstream.on(THERE, damaged(), times=1)
    line.begin()
    line.come(SIZE - 1)
    received = line.read()
    assert line.answer(received).body == BIG.content[: SIZE - HELD_BACK]
    line.gate.open()
    line.settle()
    received += line.read()
    assert (line.plug.closed, line.plug.reset) == (True, True)
    assert len(line.answer(received).body) == SIZE - HELD_BACK
    assert line.unkept
    assert line.another().body == BIG.content
