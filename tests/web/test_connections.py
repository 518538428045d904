"""Connections: deadlines, several requests on one, the end of the server, and handlers that fail."""

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent
from twisted.web.resource import Resource

from registry.domain.access import Permission
from registry.domain.errors import Unavailable
from registry.testing import (
    FORM_TYPE,
    HeldThreads,
    MemoryRegistry,
    Wire,
    form,
    registry_in_memory,
    request,
    wheel,
)
from registry.web.access_log import AccessLog
from registry.web.channel import Deadlines
from registry.web.routes import Call, Route
from registry.web.site import RegistrySite

BASE = "/api/v4/projects/1/packages/pypi"
DEMO = wheel()
DEADLINES = Deadlines(head=30, stall=60, least=1024, linger=30)


class Handlers:
    """Routes that behave badly, or only when they are told."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[bytes]] = []

    def routes(self) -> tuple[Route, ...]:
        """What they are served as."""
        return tuple(
            Route(method="GET", rule=rule, permission=Permission.OPEN, handler=handler)
            for rule, handler in (
                ("/test/wait", self.wait),
                ("/test/crash", self.crash),
                ("/test/crash-later", self.crash_later),
                ("/test/refuse-later", self.refuse_later),
            )
        )

    async def wait(self, call: Call) -> bytes:
        """Answers when the test says so."""
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    async def crash(self, call: Call) -> bytes:
        """Fails before anything is written."""
        raise RuntimeError("a secret detail")

    async def crash_later(self, call: Call) -> bytes:
        """Fails when half of the answer is out."""
        call.request.setHeader(b"content-length", b"100")
        call.request.write(b"half")
        raise RuntimeError("a secret detail")

    async def refuse_later(self, call: Call) -> bytes:
        """Is refused when half of the answer is out."""
        call.request.setHeader(b"content-length", b"100")
        call.request.write(b"half")
        raise Unavailable(part="catalog")


@pytest.fixture
def handlers() -> Handlers:
    """The badly behaved routes of `odd`."""
    return Handlers()


@pytest.fixture
def odd(tmp_path_factory: pytest.TempPathFactory, handlers: Handlers) -> MemoryRegistry:
    """A registry with badly behaved routes beside its own."""
    return registry_in_memory(tmp_path_factory.mktemp("odd") / "data", deadlines=DEADLINES, more=handlers.routes())


def upload_head(registry: MemoryRegistry, **headers: str) -> bytes:
    return request("POST", BASE, {"PRIVATE-TOKEN": registry.root_token, "Content-Type": FORM_TYPE, **headers})


# --- deadlines ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_slow_head_is_cut(registry: MemoryRegistry, sent: bytes) -> None:
    """Headers that are not complete after the head timeout end the connection, not before (hardening row 46)."""
    wire = registry.connect()
    wire.send(sent)
    registry.pass_time(30, wire)
    assert not wire.closed
    registry.pass_time(1, wire)
    assert (wire.closed, wire.aborted) == (True, True)
    assert registry.site.channels == set()


def test_a_byte_a_second_does_not_help(registry: MemoryRegistry) -> None:
    """The head timeout runs from the first moment, however diligently single bytes come (hardening row 46)."""
    wire = registry.connect()
    for _ in range(31):
        wire.send(b"x")
        registry.pass_time(1, wire)
    assert wire.closed


def test_an_idle_connection_is_cut(registry: MemoryRegistry) -> None:
    """After an answer the next request's headers have the same time again."""
    wire = registry.connect()
    registry.pass_time(20, wire)
    wire.send(request("GET", "/-/health"))
    registry.pass_time(30, wire)
    assert not wire.closed
    wire.send(request("GET", "/-/health"))
    registry.pass_time(31, wire)
    assert wire.closed
    assert [answer.code for answer in wire.answers()] == [200, 200]


@pytest.mark.parametrize(("a_minute", "cut"), [(1024, False), (1023, True), (0, True)])
def test_a_slow_body_is_cut(registry: MemoryRegistry, a_minute: int, *, cut: bool) -> None:
    """A body that moves less than 1 KiB in a minute is cut and leaves nothing; one that just does goes on (hardening row 46)."""
    body = form(DEMO.fields, ("content", DEMO.filename, b"x" * 900_000))
    wire = registry.connect()
    sent = 600_000
    wire.send(upload_head(registry, **{"Content-Length": str(len(body))}) + body[:sent])
    assert len(registry.staged_files()) == 1
    registry.pass_time(2, wire)
    for _ in range(5):
        wire.send(body[sent : sent + a_minute])
        sent += a_minute
        registry.pass_time(60, wire)
    assert wire.closed is cut
    if cut:
        assert registry.staged_files() == []
        assert registry.site.channels == set()


def test_a_slow_disk_is_not_the_clients_fault(tmp_path_factory: pytest.TempPathFactory) -> None:
    """While we hold the body because our disk is slow, the client is not cut for sending nothing."""
    files = HeldThreads()
    registry = registry_in_memory(tmp_path_factory.mktemp("slow") / "data", files=files, limit=64 << 20, deadlines=DEADLINES)
    body = form(DEMO.fields, ("content", DEMO.filename, b"x" * (32 << 20)))
    wire = registry.connect()
    wire.send(upload_head(registry, **{"Content-Length": str(len(body))}) + body)
    assert not wire.reading
    registry.pass_time(600, wire)
    assert not wire.closed


def test_a_slow_handler_is_not_the_clients_fault(odd: MemoryRegistry, handlers: Handlers) -> None:
    """While we compute, a client that waits is never cut, and gets its answer."""
    wire = odd.connect()
    wire.send(request("GET", "/test/wait"))
    odd.pass_time(600, wire)
    assert not wire.closed
    handlers.waiting[0].callback(b"at last")
    assert [answer.body for answer in wire.answers()] == [b"at last"]


def test_a_reader_that_stalls_is_cut(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A client that takes nothing of its file for a minute is cut; one that takes a block now and then is not (hardening row 46)."""
    built = wheel(payload=b"\2" * 900_000)
    files = HeldThreads()
    registry = registry_in_memory(tmp_path_factory.mktemp("stall") / "data", files=files, deadlines=DEADLINES)
    wire = registry.connect()
    body = form(built.fields, ("content", built.filename, built.content))
    wire.send(upload_head(registry, **{"Content-Length": str(len(body))}) + body)
    files.let_all()
    wire.settle()
    assert [answer.code for answer in wire.answers("POST")] == [201]
    wire.hang_up()
    wire = registry.connect()
    wire.send(request("GET", f"{BASE}/files/{built.sha256}/{built.filename}", {"PRIVATE-TOKEN": registry.root_token}))
    files.let()
    for _ in range(2):
        files.let()
        wire.stop_reading()
        registry.pass_time(50, wire)
        wire.read_on()
        assert not wire.closed
    wire.stop_reading()
    registry.pass_time(200, wire)
    assert wire.closed
    files.let_all()
    assert registry.site.channels == set()


@pytest.mark.parametrize(("headers", "code"), [(499, 200), (500, 400)])
def test_a_head_has_so_many_lines(registry: MemoryRegistry, headers: int, code: int) -> None:
    """500 headers are served, Host among them; one more is 400 and the end of the connection (hardening row 46)."""
    wire = registry.connect()
    wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A: %d\r\n" % number for number in range(headers)) + b"\r\n")
    assert [answer.code for answer in wire.answers()] == [code]
    assert wire.closed is (code == 400)


@pytest.mark.parametrize("line", [b"GET /%b HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: %b\r\n", b"%b"])
def test_a_head_has_an_end(registry: MemoryRegistry, line: bytes) -> None:
    """A line of more than 16 KiB ends the connection, complete or not (hardening row 46)."""
    wire = registry.connect()
    wire.send(line % (b"x" * 17_000))
    assert wire.closed
    assert b"200" not in wire.received


# --- several requests on one connection -----------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(registry: MemoryRegistry) -> None:
    """Requests that come in one packet are answered one after the other, an upload among them."""
    page = request("GET", f"{BASE}/simple/demo/", {"PRIVATE-TOKEN": registry.root_token})
    body = form(DEMO.fields, ("content", DEMO.filename, DEMO.content))
    upload = upload_head(registry, **{"Content-Length": str(len(body))}) + body
    wire = registry.connect()
    wire.send(page + upload + page + request("HEAD", "/-/health") + page)
    answers = wire.answers("GET", "POST", "GET", "HEAD", "GET")
    assert [answer.code for answer in answers] == [404, 201, 200, 200, 200]
    assert DEMO.filename in answers[2].text
    assert not wire.closed


def test_a_pipelined_request_waits_its_turn(odd: MemoryRegistry, handlers: Handlers) -> None:
    """While one request is worked on the next is not begun; both are answered in the end."""
    wire = odd.connect()
    wire.send(request("GET", "/test/wait") + request("GET", "/test/wait"))
    assert len(handlers.waiting) == 1
    handlers.waiting[0].callback(b"one")
    assert len(handlers.waiting) == 2
    handlers.waiting[1].callback(b"two")
    assert [answer.body for answer in wire.answers()] == [b"one", b"two"]


def test_an_upload_behind_another_request_waits_for_it(odd: MemoryRegistry, handlers: Handlers) -> None:
    """An upload that follows a request in progress is neither decided on nor staged before that is answered, then published as ever."""
    body = form(DEMO.fields, ("content", DEMO.filename, DEMO.content))
    wire = odd.connect()
    wire.send(request("GET", "/test/wait"))
    wire.send(upload_head(odd, **{"Content-Length": str(len(body))}) + body)
    assert odd.staged_files() == []
    handlers.waiting[0].callback(b"one")
    wire.settle()
    assert [answer.code for answer in wire.answers("GET", "POST")] == [200, 201]


@pytest.mark.parametrize("raw", [b"GET /-/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET /-/health HTTP/1.0\r\n\r\n"])
def test_a_connection_closes_when_asked(registry: MemoryRegistry, raw: bytes) -> None:
    """`Connection: close` and HTTP/1.0 get their answer, then the end."""
    wire = registry.connect()
    wire.send(raw + request("GET", "/-/health"))
    assert [answer.code for answer in wire.answers()] == [200]
    assert (wire.closed, wire.aborted) == (True, False)


def test_nothing_after_a_refused_body_is_a_request(registry: MemoryRegistry) -> None:
    """After a refusal before the body, the rest of the connection is dropped: a body can smuggle no request (hardening row 46)."""
    wire = registry.connect()
    wire.send(
        upload_head(registry, **{"Content-Length": "10", "PRIVATE-TOKEN": "glpat-unknown"}) + b"0123456789" + request("GET", "/-/health")
    )
    assert [answer.code for answer in wire.answers("POST")] == [401]
    assert wire.closed


# --- the end of the server ------------------------------------------------------------------------------------------------------------


def test_draining_closes_idle_connections_at_once(registry: MemoryRegistry) -> None:
    """A connection with no request in hand is closed when the server is asked to stop; the drain is then over."""
    wires = [registry.connect() for _ in range(3)]
    wires[1].send(request("GET", "/-/health"))
    wires[2].send(b"GET / HT")
    over: list[None] = []
    registry.site.drain().addCallback(over.append)
    for wire in wires:
        wire.settle()
    assert [wire.closed for wire in wires] == [True, True, True]
    assert over == [None]


def test_draining_lets_busy_connections_finish(odd: MemoryRegistry, handlers: Handlers) -> None:
    """A request in hand is answered before its connection closes; only then is the drain over."""
    wire, over = odd.connect(), list[None]()
    wire.send(request("GET", "/test/wait") + request("GET", "/-/health"))
    odd.site.drain().addCallback(over.append)
    wire.settle()
    assert (wire.closed, over) == (False, [])
    handlers.waiting[0].callback(b"done")
    wire.settle()
    assert [answer.body for answer in wire.answers()] == [b"done"]
    assert (wire.closed, over) == (True, [None])


def test_draining_lets_an_upload_finish(registry: MemoryRegistry) -> None:
    """An upload that is on its way when the server is asked to stop is received, published and answered."""
    body = form(DEMO.fields, ("content", DEMO.filename, DEMO.content))
    wire, over = registry.connect(), list[None]()
    wire.send(upload_head(registry, **{"Content-Length": str(len(body))}) + body[:100])
    registry.site.drain().addCallback(over.append)
    wire.settle()
    assert (wire.closed, over) == (False, [])
    wire.send(body[100:])
    assert [answer.code for answer in wire.answers("POST")] == [201]
    assert (wire.closed, over) == (True, [None])


def test_nothing_to_drain_is_drained(registry: MemoryRegistry) -> None:
    """Without connections the drain is over at once."""
    over: list[None] = []
    registry.site.drain().addCallback(over.append)
    assert over == [None]


def test_what_does_not_finish_is_cut(registry: MemoryRegistry) -> None:
    """After the grace period an unfinished upload is cut and leaves nothing."""
    wire, over = registry.connect(), list[None]()
    body = form(DEMO.fields, ("content", DEMO.filename, b"x" * 900_000))
    wire.send(upload_head(registry, **{"Content-Length": str(len(body))}) + body[:-10])
    assert len(registry.staged_files()) == 1
    registry.site.drain().addCallback(over.append)
    registry.site.abort()
    wire.settle()
    assert (wire.closed, wire.aborted, over) == (True, True, [None])
    assert registry.staged_files() == []


# --- handlers that fail ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_crash_is_500_without_details(odd: MemoryRegistry, log_events: list[LogEvent], method: str) -> None:
    """An error of ours is GitLab's 500 in JSON; what it was stands in the log, once, and nowhere else."""
    wire = odd.connect()
    wire.send(request(method, "/test/crash") + request("GET", "/-/health"))
    answer, after = wire.answers(method, "GET")
    assert (answer.code, answer.headers["content-type"], after.code) == (500, "application/json", 200)
    if method == "GET":
        assert answer.json == {"message": "500 Internal Server Error"}
    assert b"secret" not in wire.received
    assert [event["log_failure"].type for event in log_events if "log_failure" in event] == [RuntimeError]


@pytest.mark.parametrize("path", ["/test/crash-later", "/test/refuse-later"])
def test_an_error_in_the_middle_of_an_answer_breaks_the_connection(odd: MemoryRegistry, path: str) -> None:
    """Once half an answer is out, an error can only break the connection: it is never written into the body."""
    wire = odd.connect()
    wire.send(request("GET", path))
    wire.settle()
    (answer,) = wire.answers()
    assert (answer.complete, answer.body) == (False, b"half")
    assert (wire.closed, wire.aborted) == (True, True)


def test_http_2_is_never_offered(registry: MemoryRegistry) -> None:
    """Only HTTP/1.1 is negotiated: with HTTP/2 our deadlines and our intake would be passed by."""
    assert registry.site.acceptableProtocols() == [b"http/1.1"]
    wire = registry.connect()
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert [answer.code for answer in wire.answers()] == [400]


def test_a_registry_answers_under_any_path(odd: MemoryRegistry) -> None:
    """Mounted below a path, without an external address, pages link files below that same path."""
    assert odd.upload(1, DEMO).code == 201
    inner = registry_in_memory(odd.store.data_dir.path / "inner", external_url="")
    assert inner.upload(1, DEMO).code == 201
    root, tools = Resource(), Resource()
    root.putChild(b"tools", tools)
    tools.putChild(b"pypi", inner.routes.resource())
    inner.site.resource = root
    for slash in ("", "/"):
        page = inner.ask("GET", f"/tools/pypi{BASE}/simple/demo{slash}", token=inner.root_token)
        assert f'href="/tools/pypi{BASE}/files/{DEMO.sha256}/{DEMO.filename}#sha256=' in page.text
        link = page.text.split('href="')[1].partition("#")[0]
        assert inner.ask("GET", link, token=inner.root_token).body == DEMO.content
    by_path = inner.ask("GET", "/tools/pypi/api/v4/projects/root%2Fpackages/packages/pypi/simple/", token=inner.root_token)
    assert by_path.code == 200


def test_treq_reaches_the_registry(odd: MemoryRegistry) -> None:
    """The shipped in-memory client goes through our own Site: its answers are those of the wire."""
    results: list[int] = []
    asking = odd.http().get("http://registry.test/-/health")
    asking.addCallback(lambda response: results.append(response.code))
    assert results == [200]


def test_a_site_needs_no_log(odd: MemoryRegistry) -> None:
    """A site without an access log serves, and keeps none."""
    site = RegistrySite(odd.routes, odd.site._uploads, reactor=odd.clock)
    wire = Wire.to(site)
    wire.send(request("GET", "/-/health"))
    assert [answer.code for answer in wire.answers()] == [200]
    assert AccessLog not in map(type, vars(site).values())
