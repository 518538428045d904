"""Ready answers: that they are what a fresh registry would say, to the byte; what is never one; and what they cost."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred

from registry.config import Auth, Config
from registry.domain.access import Permission, Project, Visibility
from registry.domain.model import Digests, NewFile
from registry.domain.names import Name
from registry.domain.negotiation import Representation
from registry.domain.versions import Version
from registry.testing import FORM_TYPE, OPERATOR, HeldThreads, MemoryRegistry, done, form, registry_in_memory, request, wheel
from registry.web.ready import _LONGEST, _MOST, _MOST_BYTES
from registry.web.request import RegistryRequest
from registry.web.routes import Call, Route
from registry.workflows.answers import Held, Rendered
from registry.workflows.memory import ENTRY_BYTES
from registry.workflows.memory import Wire as Finished
from registry.workflows.views import View
from tests.strategies import chunkings
from tests.web.readiness import HAPPENINGS, HOUR, HTML, JSON, Asking, Team, answer_to, basic, dateless

BASE = "/api/v4/projects/1/packages/pypi"
DEMO, BIG = wheel("demo", "1.0", payload=b"\1" * 400), wheel("demo", "1.1", payload=b"\2" * 80_000)
PAGE, INDEX = f"{BASE}/simple/demo/", f"{BASE}/simple/"
TOPS = ("/api/v4/projects/1", "/api/v4/groups/team/-")
FILE = f"{BASE}/files/{DEMO.sha256}/{DEMO.filename}"


@pytest.fixture
def asking(registry: MemoryRegistry) -> Asking:
    """A client of a registry that holds demo 1.0, and 1.1, which is too large to be kept in memory."""
    for built in (DEMO, BIG):
        assert registry.upload(1, built).code == 201
    return Asking(registry)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """See `Team`."""
    made = Team(folder=tmp_path / "data")
    yield made
    made.close()


def head(asking: Asking, path: str = PAGE, method: str = "GET", **headers: str) -> bytes:
    """The administrator's request; underscores stand for hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(method, path, {**sent, "PRIVATE-TOKEN": asking.registry.root_token})


# --- the same bytes -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd", "identity", "br"])
@pytest.mark.parametrize("accept", [HTML, JSON, ""])
@pytest.mark.parametrize("path", [f"{top}/packages/pypi/{rest}" for top in TOPS for rest in ("simple/demo/", "simple/", "simple")])
def test_a_ready_page_is_the_page(both: tuple[Asking, Asking], path: str, accept: str, encoding: str, method: str) -> None:
    """A page or index that is ready is to the byte, Date apart, what it was the first time and what a registry just started says."""
    held, fresh = both
    headers = {name: value for name, value in (("Accept", accept), ("Accept_Encoding", encoding)) if value}
    raw = head(held, path, **headers)
    etag = answer_to(raw, held.get(raw)).headers["etag"]
    for copy, code in (("", 200), (etag, 304), ('"x"', 200)):
        raw = head(held, path, method, **headers, **({"If_None_Match": copy} if copy else {}))
        first = held.learned(raw)
        assert dateless(held.get(raw)) == dateless(first) == dateless(fresh.get(raw))
        answer = answer_to(raw, first)
        assert (answer.code, bool(answer.body), answer.complete) == (code, method == "GET" and code == 200, True)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("ending", ["", ".metadata"])
def test_a_ready_file_is_the_file(both: tuple[Asking, Asking], top: str, ending: str, *, copy: bool, method: str) -> None:
    """A small file, or its core metadata, that is ready is to the byte what it was the first time, and never in a coding."""
    held, fresh = both
    path = f"{top}/packages/pypi/files/{DEMO.sha256}/{DEMO.filename}{ending}"
    headers = {"Accept_Encoding": "gzip, zstd"}
    if copy:
        raw = head(held, path)
        headers["If_None_Match"] = answer_to(raw, held.get(raw)).headers["etag"]
    raw = head(held, path, method, **headers)
    first = held.learned(raw)
    assert dateless(held.get(raw)) == dateless(first) == dateless(fresh.get(raw))
    answer = answer_to(raw, first)
    assert (answer.code, "content-encoding" in answer.headers) == (304 if copy else 200, False)
    assert bool(answer.body) is (method == "GET" and not copy)


@pytest.fixture(scope="module")
def _both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MemoryRegistry, MemoryRegistry]]:
    folder = tmp_path_factory.mktemp("same") / "data"
    registry = registry_in_memory(folder)
    registry.group("team")
    for project in (1, registry.project("team/app").id):
        assert registry.upload(project, DEMO).code == 201
    other = registry_in_memory(folder, budget=0)
    yield registry, other
    registry.close()
    other.close()


@pytest.fixture
def both(_both: tuple[MemoryRegistry, MemoryRegistry]) -> tuple[Asking, Asking]:
    """Clients of a registry that holds demo in a project and in the group team, and of another over the same data that keeps no page."""
    return Asking(_both[0]), Asking(_both[1])


def test_the_date_is_that_of_the_answer(asking: Asking) -> None:
    """A ready answer tells the second in which it is given, in the same place, however often that changes."""
    moments = [1_900_000_000.0]
    asking.registry.site.ready.seconds = lambda: moments[-1]
    raw = head(asking)
    asking.learned(raw)
    for moment in (1_900_000_000.9, 1_900_000_001.0, 1_900_086_400.5, 1_900_000_001.0):
        moments.append(moment)
        answer = answer_to(raw, asking.get(raw))
        expected = {1_900_000_000: "17:46:40", 1_900_000_001: "17:46:41", 1_900_086_400: "17:46:40"}[int(moment)]
        assert expected in answer.headers["date"]
        assert DEMO.filename in answer.text
    assert asking.parsed == 1


# --- exactly as long as it is so ------------------------------------------------------------------------------------------------------


def test_everything_that_may_be_read_is_ready(team: Team) -> None:
    """What a caller of any kind is shown is ready the second time; what he is refused never is."""
    codes = {name: answer_to(raw, team.asking.get(raw)).code for name, raw in team.requests.items()}
    assert team.learn() == {name: code in {200, 304} for name, code in codes.items()}
    # So that this says something of every caller, and of those who are refused.
    assert {name.partition(" ")[0] for name, code in codes.items() if code == 200} == {*(caller.split()[0] for caller in team.callers)} - {
        "nobody"
    }
    assert set(codes.values()) == {200, 304, 401, 404}


@pytest.mark.parametrize("what", HAPPENINGS)
def test_a_change_is_told_to_who_asks_next(team: Team, what: str) -> None:
    """After any change, every request, though it be the same as before to the byte, gets what a registry just started says.

    (hardening rows 14, 22, 23, 32)
    """
    before = {name: team.fact(raw) for name, raw in team.requests.items()}
    ready = team.learn()
    assert sum(ready.values()) > 50
    HAPPENINGS[what](team, team.api())
    team.demand_truth()
    team.learn()
    team.demand_truth()
    if what in CHANGING:
        assert any(team.fact(raw) != before[name] for name, raw in team.requests.items())


# Of the rest some do something only after another, and some do nothing that a reader would notice.
CHANGING = set(HAPPENINGS) - {
    *("publish outside", "unyank", "close", "activation", "unblock", "privacy", "privacy of the packages", "nobody may pull"),
    *("return", "an allowlist that nobody enforces", "settings", "a lower role"),
}


@pytest.mark.parametrize(
    "what", ["yank", "revocation of a token", "deletion of the project", "end of a membership", "publish of the same name"]
)
def test_a_change_by_another_process_is_told_once_it_is_heard_of(team: Team, what: str) -> None:
    """What another process has changed is told as soon as the journal is read, and by then nothing from before is left."""
    ready = team.learn()
    HAPPENINGS[what](team, team.api(elsewhere=True))
    # Until then nobody here can know.
    assert all(team.asking.ready(raw) for name, raw in team.requests.items() if ready[name])
    team.heard()
    team.demand_truth()


def test_what_ends_by_the_clock_ends_at_its_moment(team: Team) -> None:
    """A token, a membership, a deploy token and a job that run out are ready until that moment and refused from it on."""
    ready = team.learn()
    ending = ("ann", "dave", "group", "job")
    assert {name.partition(" ")[0] for name, is_ready in ready.items() if is_ready} >= set(ending)
    team.pass_time(HOUR.total_seconds() - 0.001)
    assert all(team.asking.ready(raw) for name, raw in team.requests.items() if ready[name])
    team.pass_time(0.001)
    for name, raw in team.requests.items():
        over = name.startswith(ending) and "team%2Fopen" not in name
        received = team.asking.get(raw)
        assert dateless(received) == team.fact(raw)
        if over and ready[name]:
            assert answer_to(raw, received).code in {401, 404}, name


def test_a_publish_leaves_the_rest_ready(team: Team) -> None:
    """A publish takes the pages of its name and the indexes of its project with it, and nothing else: neither other names nor files."""
    ready = team.learn()
    team.published += 1
    assert team.registry.upload(team.ids["app"], wheel("more", "1.0")).code == 201
    for name, raw in team.requests.items():
        touched = "/simple/ " in name or name.endswith(f"/simple {JSON}")
        assert team.asking.ready(raw) is (ready[name] and not touched), name


class Life(RuleBasedStateMachine):
    """Anything may happen, in any order, here or in another process; readers ask the same again and again."""

    def __init__(self) -> None:
        """Begin with an empty folder."""
        super().__init__()
        self.folder: Path = _FOLDERS.pop()
        self.team = Team(folder=self.folder)
        self.ready = 0

    @rule(what=st.sampled_from(sorted(HAPPENINGS)), elsewhere=st.booleans())
    def happens(self, what: str, *, elsewhere: bool) -> None:
        """A change, heard of at once."""
        HAPPENINGS[what](self.team, self.team.api(elsewhere=elsewhere))
        if elsewhere:
            self.team.heard()

    @rule(seconds=st.sampled_from([1, 1800, 3600]))
    def time_passes(self, seconds: int) -> None:
        """Something may run out."""
        self.team.pass_time(seconds)

    @rule(data=st.data())
    def is_asked(self, data: st.DataObject) -> None:
        """Some ask, and ask again: what they get is the truth, both times."""
        for name in data.draw(st.lists(st.sampled_from(sorted(self.team.requests)), min_size=1, max_size=8)):
            raw = self.team.requests[name]
            truth = self.team.fact(raw)
            assert dateless(self.team.asking.get(raw)) == truth, name
            assert dateless(self.team.asking.get(raw)) == truth, name

    def teardown(self) -> None:
        """Give everything back."""
        self.team.close()


_FOLDERS: list[Path] = []


def test_nothing_that_happens_is_hidden(tmp_path: Path) -> None:
    """Whatever happens in whatever order, no identical request is ever told what is no longer so (hardening rows 14, 22, 32)."""
    _FOLDERS[:] = [tmp_path / str(number) for number in range(1000)]
    once = settings(max_examples=8, stateful_step_count=12, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    run_state_machine_as_test(Life, settings=once)


@pytest.fixture
def held_up(tmp_path: Path) -> Iterator[tuple[Asking, HeldThreads]]:
    """A client of a registry that holds demo, and whose catalog is read when told."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "held", readers=readers)
    done(registry.store.packages.add_file(1, new_file("1.0"), OPERATOR))
    yield Asking(registry), readers
    registry.close()


def new_file(version: str) -> NewFile:
    """What the catalog is told of a file."""
    built = wheel(version=version)
    digests = Digests(size=len(built.content), sha256=built.sha256, others={})
    return NewFile(name=Name("demo"), version=Version(version), filename=built.filename, digests=digests, requires_python="", metadata={})


@pytest.mark.parametrize("steps", range(4))
def test_what_is_published_meanwhile_is_told_next(held_up: tuple[Asking, HeldThreads], steps: int) -> None:
    """A file that is published while a page is being answered, at any step, is on it for whoever asks the same after that."""
    asking, readers = held_up
    asking.send(lines(asking))
    readers.let(min(steps, readers.waiting))
    done(asking.registry.store.packages.add_file(1, new_file("2.0"), OPERATOR))
    for _ in range(2):
        asking.send(lines(asking))
        readers.let_all()
    assert ["demo-2.0" in answer.text for answer in asking.answers()][1:] == [True, True]


@pytest.mark.parametrize("steps", range(4))
def test_a_right_that_is_lost_meanwhile_is_lost(held_up: tuple[Asking, HeldThreads], steps: int) -> None:
    """A token that is revoked while its request is being answered, at any step, opens nothing after that (hardening row 32)."""
    asking, readers = held_up
    asking.send(lines(asking))
    readers.let(min(steps, readers.waiting))
    done(asking.registry.store.tokens.revoke_token(1, OPERATOR))
    for _ in range(2):
        asking.send(lines(asking))
        readers.let_all()
    assert [answer.code for answer in asking.answers()][1:] == [401, 401]


@pytest.mark.parametrize("read", [False, True])
def test_what_was_read_before_a_change_is_not_ready_after_it(held_up: tuple[Asking, HeldThreads], *, read: bool) -> None:
    """An answer made of what the catalog said before a change is given once, though the change comes before the answer."""
    asking, readers = held_up
    asking.get(lines(asking, path=INDEX))
    readers.let_all()
    asking.send(lines(asking))
    if read:
        # The catalog has answered; what it said has not reached the reactor.
        outcome, work, args = readers._work.pop()
        result = work(*args)
    done(asking.registry.store.packages.add_file(1, new_file("2.0"), OPERATOR))
    if read:
        outcome.callback(result)
    readers.let_all()
    asking.send(lines(asking))
    readers.let_all()
    _, first, second = asking.answers()
    assert ("demo-2.0" in first.text) is not read
    assert "demo-2.0" in second.text


def test_asking_twice_at_once_is_answered_twice(tmp_path: Path) -> None:
    """Of two callers who ask the same while nothing is known, each gets his answer; then it is ready."""
    readers = HeldThreads()
    registry = registry_in_memory(tmp_path / "data", readers=readers)
    one, two = Asking(registry), Asking(registry)
    raw = request("GET", INDEX, {"PRIVATE-TOKEN": registry.root_token})
    for asking in (one, two):
        asking.send(raw)
    readers.let_all()
    assert [answer.code for asking in (one, two) for answer in asking.answers()] == [200, 200]
    assert two.ready(raw)
    registry.close()


# --- never ready ----------------------------------------------------------------------------------------------------------------------


def lines(asking: Asking, *more: str, method: str = "GET", path: str = PAGE, protocol: str = "HTTP/1.1") -> bytes:
    """A request's head, line by line."""
    first = (f"{method} {path} {protocol}", "Host: registry.test", f"PRIVATE-TOKEN: {asking.registry.root_token}")
    return "\r\n".join((*first, *more, "", "")).encode()


def never(asking: Asking, what: str) -> list[bytes]:
    """The packets of a request of which the answer is never ready."""
    page = lines(asking)
    return {
        "a body": [lines(asking, "Content-Length: 5") + b"12345"],
        "a body that comes later": [lines(asking, "Content-Length: 5"), b"12345"],
        "a body like the end of a head": [lines(asking, "Content-Length: 4") + b"\r\n\r\n"],
        "a body of one line end": [lines(asking, "Content-Length: 2") + b"\r\n"],
        "a body like a request": [lines(asking, f"Content-Length: {len(page)}"), page],
        "a body in chunks": [lines(asking, "Transfer-Encoding: chunked") + b"0\r\n\r\n"],
        "chunks that come later": [lines(asking, "Transfer-Encoding: chunked"), b"0\r\n\r\n"],
        "an expectation": [lines(asking, "Expect: 100-continue")],
        "the end of the connection": [lines(asking, "Connection: close")],
        "HTTP/1.0": [lines(asking, protocol="HTTP/1.0")],
        "two packets": [page[:40], page[40:]],
        "a packet but for its last byte": [page[:-1], page[-1:]],
        "what was begun before": [b"X", page],
        "a leading line end": [b"\r\n" + page],
        "a leading line end of its own": [b"\r\n", page],
        "a head too long": [lines(asking, "X: " + "x" * (_LONGEST - len(page) - 4))],
        "two heads": [page + lines(asking, "X: 2")],
        "a small method": [lines(asking, method="get")],
        "another method": [lines(asking, method="OPTIONS")],
        "two tokens": [lines(asking, f"PRIVATE-TOKEN: {asking.registry.root_token}")],
        "two credentials": [request("GET", PAGE, [*basic("a", asking.registry.root_token).items()] * 2)],
        "a part": [lines(asking, "Range: bytes=0-9", path=FILE)],
        "a part beyond": [lines(asking, "Range: bytes=90000-", path=FILE)],
        "a large file": [lines(asking, path=f"{BASE}/files/{BIG.sha256}/{BIG.filename}")],
        "no name": [lines(asking, path=f"{BASE}/simple/none/")],
        "no file": [lines(asking, path=FILE.replace("1.0", "9.9"))],
        "no project": [lines(asking, path=PAGE.replace("/1/", "/9/"))],
        "no route": [lines(asking, path="/api/v4/none")],
        "an unknown token": [request("GET", PAGE, {"PRIVATE-TOKEN": "glpat-unknown"})],
        "a wrong password where anybody may read": [request("GET", "/api/v4/projects/2/packages/pypi/simple/", basic("root", "wrong"))],
        "no credential": [request("GET", PAGE)],
        "a list": [lines(asking, path="/api/v4/projects/1/packages")],
        "project JSON": [lines(asking, path=f"{BASE}/pypi/demo/json")],
        "a dated view": [lines(asking, path=f"{BASE}/at/2030-06-15/simple/demo/")],
        "health": [lines(asking, path="/-/health")],
        "a broken head": [b"GET / HTTP/1.1\r\nno colon\r\n\r\n"],
    }[what]


NEVER = {
    **dict.fromkeys(("a body", "a body that comes later", "a body like the end of a head", "a body of one line end"), (200,)),
    **dict.fromkeys(("a body like a request", "a body in chunks", "chunks that come later", "the end of the connection"), (200,)),
    **dict.fromkeys(("HTTP/1.0", "two packets", "a packet but for its last byte", "a leading line end", "a head too long"), (200,)),
    **dict.fromkeys(("a large file", "a list", "project JSON", "a dated view", "health"), (200,)),
    **dict.fromkeys(("a leading line end of its own", "a wrong password where anybody may read"), (200,)),
    "what was begun before": (405,),
    "an expectation": (100, 200),
    "two heads": (200, 200),
    "a small method": (200,),
    "another method": (204,),
    **dict.fromkeys(("two tokens", "two credentials", "an unknown token", "no credential"), (401,)),
    "a part": (206,),
    "a part beyond": (416,),
    **dict.fromkeys(("no name", "no file", "no project", "no route"), (404,)),
    "a broken head": (400,),
}


@pytest.mark.parametrize("what", NEVER)
def test_what_is_never_ready(asking: Asking, what: str) -> None:
    """A request that is more than one whole head in one packet, or whose answer is not a page's or file's, is worked for every time."""
    asking.registry.project("root/public", Visibility.PUBLIC)
    packets = never(asking, what)
    # That the plain request is ready makes nothing else so.
    asking.learned(lines(asking))
    known = len(asking.registry.site.ready)
    told = set()
    for _ in range(3):
        before = asking.parsed
        received = asking.get(*packets)
        codes = tuple(answer.code for answer in asking.answers(packets[0].lstrip().partition(b" ")[0].decode()))
        assert codes == NEVER[what]
        if codes != (400,):
            told.add(b"\n".join(sorted(line for line in received.split(b"\r\n") if not line.startswith(b"Date: "))))
        assert asking.parsed - before == len([code for code in codes if code != 100])
    assert len(told) <= 1
    assert len(asking.registry.site.ready) == known
    assert asking.ready(lines(asking))


def test_the_longest_head(asking: Asking) -> None:
    """A head of just the greatest length that may be ready is."""
    page = lines(asking)
    raw = lines(asking, "X: " + "x" * (_LONGEST - len(page) - 5))
    assert len(raw) == _LONGEST
    asking.learned(raw)


@pytest.mark.parametrize(
    "other",
    [
        lambda raw: raw.replace(b"GET ", b"HEAD ", 1),
        lambda raw: raw.replace(b"Host: registry.test", b"Host: registry.example"),
        lambda raw: raw.replace(b"PRIVATE-TOKEN", b"Private-Token"),
        lambda raw: raw.replace(b"/simple/demo/", b"/simple/DEMO/"),
        lambda raw: raw.replace(b"/simple/demo/", b"/simple/demo/?x=1"),
        lambda raw: raw.replace(b"\r\n\r\n", b"\r\nX: 1\r\n\r\n"),
    ],
)
def test_any_other_byte_is_another_request(asking: Asking, other: Callable[[bytes], bytes]) -> None:
    """A request that differs anywhere, if only in its method, host or spelling, is looked at for itself."""
    raw = lines(asking)
    first = asking.learned(raw)
    assert other(raw) != raw
    second = asking.get(other(raw))
    assert asking.parsed == 2
    if other(raw).startswith(b"HEAD"):
        assert second == first.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert dateless(asking.learned(other(raw))) == dateless(second)
        assert dateless(asking.get(raw)) == dateless(first)


@pytest.mark.parametrize("username", ["root", "__token__", "gitlab-ci-token"])
def test_failed_sign_ins_count_though_anybody_may_read(tmp_path: Path, username: str) -> None:
    """Who guesses where anybody may read is held up like everywhere: each of his guesses is looked at (hardening row 35)."""
    registry = registry_in_memory(tmp_path / "data", config=Config(auth=Auth(failures_per_minute=5)))
    project = registry.project("root/public", Visibility.PUBLIC).id
    asking = Asking(registry)
    raw = request("GET", f"/api/v4/projects/{project}/packages/pypi/simple/", basic(username, "guess"))
    codes = [answer_to(raw, asking.get(raw)).code for _ in range(8)]
    assert asking.parsed == 8
    assert codes[:5] == [401 if username == "gitlab-ci-token" else 200] * 5
    assert 429 in codes[5:]
    registry.close()


# --- on the wire ----------------------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_answers_come_in_order_however_requests_are_cut(asking: Asking, data: st.DataObject) -> None:
    """Of requests in a row, ready or not, in packets cut anywhere, each is answered once, in its turn, as it would be alone."""
    kinds = {
        "page": lines(asking),
        "head": lines(asking, method="HEAD"),
        "file": lines(asking, path=FILE),
        "part": lines(asking, "Range: bytes=0-9", path=FILE),
        "none": lines(asking, path=f"{BASE}/simple/none/"),
        "body": lines(asking, f"Content-Length: {len(lines(asking))}") + lines(asking),
    }
    alone = {kind: dateless(asking.get(raw)) for kind, raw in kinds.items()}
    row = data.draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=6))
    whole = b"".join(kinds[kind] for kind in row)
    packets = data.draw(st.one_of(st.just([kinds[kind] for kind in row]), chunkings(whole)))
    asking.get(*packets)
    received = asking.received
    for kind in row:
        size = len(alone[kind]) + 28  # a date in place of the dash
        assert dateless(received[:size]) == alone[kind]
        received = received[size:]
    assert received == b""


class Waiting:
    """A route that answers when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[bytes]] = []

    def route(self) -> Route:
        """What it is served as."""
        return Route(method="GET", rule="/test/wait", permission=Permission.OPEN, handler=self.wait)

    async def wait(self, call: Call) -> bytes:
        """Answers later."""
        self.waiting.append(Deferred())
        return await self.waiting[-1]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Asking, Waiting]]:
    """A registry that holds demo, with a route that waits."""
    waiting = Waiting()
    registry = registry_in_memory(tmp_path / "slow", more=[waiting.route()])
    assert registry.upload(1, DEMO).code == 201
    yield Asking(registry), waiting
    registry.close()


def test_a_ready_answer_waits_its_turn(slow: tuple[Asking, Waiting]) -> None:
    """Behind a request that is being worked on a ready answer is not given early; it is given then, and still ready."""
    asking, waiting = slow
    page = answer_to(lines(asking), asking.learned(lines(asking)))
    parsed = asking.parsed
    asking.get(lines(asking, path="/test/wait"), lines(asking))
    assert asking.received == b""
    waiting.waiting[0].callback(b"waited")
    asking.settle()
    assert [answer.body for answer in asking.answers()] == [b"waited", page.body]
    assert asking.parsed == parsed + 1


def test_a_ready_answer_waits_for_its_reader(slow: tuple[Asking, Waiting]) -> None:
    """Behind an answer that its reader has not taken a ready answer is not given, though its request has come."""
    asking, waiting = slow
    asking.learned(lines(asking))
    asking.get(lines(asking, path="/test/wait"), lines(asking))
    asking.wire.stop_reading()
    waiting.waiting[0].callback(b"waited")
    assert [answer.body for answer in asking.answers()] == [b"waited"]
    asking.wire.read_on()
    assert [answer.code for answer in asking.answers()] == [200, 200]


def test_a_ready_answer_is_never_given_within_a_body(asking: Asking) -> None:
    """A piece of an upload that is a ready request to the byte is a piece of the upload."""
    raw = lines(asking)
    asking.learned(raw)
    content = raw * 3
    body = form(wheel("x", "1.0").fields, ("content", "x-1.0.tar.gz", content))
    start = body.index(content)
    token = {"PRIVATE-TOKEN": asking.registry.root_token}
    upload = request("POST", BASE, {"Content-Type": FORM_TYPE, "Content-Length": str(len(body)), **token})
    asking.get(upload, body[:start], raw, raw, raw, body[start + len(content) :])
    # It is no archive, of course; what matters is that it came to its end as one body and was answered once.
    assert [answer.code for answer in asking.answers("POST")] == [400]
    assert asking.parsed == 2


def test_a_refused_body_holds_no_request(asking: Asking) -> None:
    """What follows on a connection whose upload was refused is dropped, though it would be a ready request (hardening row 46)."""
    raw = lines(asking)
    asking.learned(raw)
    upload = request("POST", BASE, {"Content-Type": FORM_TYPE, "Content-Length": "100000", "PRIVATE-TOKEN": "glpat-unknown"})
    asking.get(upload, raw, raw)
    assert [answer.code for answer in asking.answers("POST")] == [401]


def test_a_server_that_ends_gives_no_ready_answer(slow: tuple[Asking, Waiting]) -> None:
    """A connection that is to close after the request in hand is given nothing after that, ready or not."""
    asking, waiting = slow
    asking.learned(lines(asking))
    over: list[None] = []
    asking.get(lines(asking, path="/test/wait"))
    asking.registry.site.drain().addCallback(over.append)
    asking.send(lines(asking))
    waiting.waiting[0].callback(b"last")
    asking.settle()
    assert [answer.body for answer in asking.answers()] == [b"last"]
    assert (asking.closed, over) == (True, [None])


@pytest.mark.parametrize("end", ["drain", "close"])
def test_what_comes_after_the_end_is_nothing(asking: Asking, end: str) -> None:
    """A request that is delivered on a connection that is being closed is not answered, not even in the log."""
    asking.learned(lines(asking))
    channel = asking.wire.channel
    if end == "drain":
        asking.registry.site.drain()
    else:
        channel.dataReceived(lines(asking, "Connection: close"))
    asking.registry.access_log()
    asking.registry.log_lines.clear()
    parsed = asking.parsed
    channel.dataReceived(lines(asking))
    assert (asking.registry.access_log(), asking.parsed) == ("", parsed)


def test_a_reader_who_is_behind_is_not_asked(asking: Asking) -> None:
    """While the last answer is not out no further request is read; when it is, each is answered."""
    raw = lines(asking)
    asking.learned(raw)
    wire = asking.wire
    wire.transport.clear()
    wire.stop_reading()
    asking.send(raw)
    asking.send(raw)
    assert (wire.undelivered, wire.received) == (2 * len(raw), b"")
    wire.read_on()
    assert [answer.code for answer in asking.answers()] == [200, 200]


# --- what is noted --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", ["192.0.2.7", ""])
def test_ready_answers_are_logged_like_others(asking: Asking, peer: str) -> None:
    """The access log has one line for each ready answer, like that of the first, and no secret or query in it."""
    registry = asking.registry
    public = registry.project("root/public", Visibility.PUBLIC).id
    token, etag = registry.root_token, answer_to(lines(asking), asking.get(lines(asking))).headers["etag"]
    raws = [
        lines(asking, 'User-Agent: pip/1 "x"\x1b', path=f"{PAGE}?secret=1"),
        lines(asking, "User-Agent: uv", "Accept-Encoding: gzip"),
        lines(asking, f"If-None-Match: {etag}"),
        lines(asking, method="HEAD"),
        lines(asking, path=FILE),
        request("GET", f"/api/v4/projects/{public}/packages/pypi/simple/"),
    ]
    registry.access_log()
    for raw in raws:
        registry.log_lines.clear()
        asking.connect(peer)
        asking.get(raw)
        assert asking.ready(raw)
        assert asking.ready(raw)
        logged = registry.access_log()
        assert len(logged.splitlines()) == 3, raw
        first, *others = ([word for word in line.split(" ")[1:] if not word.endswith("ms")] for line in logged.splitlines())
        assert others == [first, first]
        assert (token in logged, "secret" in logged, "\x1b" in logged) == (False, False, False)
        user = "root" if token.encode() in raw else "-"
        assert first[:2] == [peer or "-", user]


def test_ready_files_are_counted_as_downloads(asking: Asking) -> None:
    """A file that is given ready was downloaded then; HEAD of it, or its metadata, was not."""
    registry = asking.registry

    def downloaded() -> object:
        done(registry.downloads.flush())
        return registry.ask("GET", "/api/v4/projects/1/packages/1", token=registry.root_token).json["last_downloaded_at"]

    for raw in (lines(asking, path=FILE, method="HEAD"), lines(asking, path=f"{FILE}.metadata")):
        asking.learned(raw)
    assert downloaded() is None
    raw = lines(asking, path=FILE)
    asking.learned(raw)
    registry.clock.advance(60)
    assert asking.ready(raw)
    assert downloaded() == "2030-06-15T12:01:00.000Z"


def test_a_ready_answer_is_a_use_of_the_token(asking: Asking) -> None:
    """A token that opens nothing but ready answers was used when it last did."""
    registry = asking.registry
    asking.learned(lines(asking))
    registry.clock.advance(3600)
    assert asking.ready(lines(asking))
    assert registry.parts.uses._noted == {1: registry.now()}


# --- what it costs --------------------------------------------------------------------------------------------------------------------


def retained() -> int:
    """How many bytes of pages, files and finished answers there are in this process, whoever holds them."""
    gc.collect()
    total = 0
    for one in gc.get_objects():
        if isinstance(one, Rendered):
            total += len(one.plain) + sum(map(len, one.encoded.values()))
        elif isinstance(one, Held):
            total += one.contents.size if one.contents is not None else 0
        elif isinstance(one, Finished):
            total += len(one.data)
    return total


def test_answers_stay_within_the_budget(tmp_path: Path) -> None:
    """However many pages are asked for in however many ways, all their bytes in all codings stay within the budgets (hardening row 47)."""
    before, budget = retained(), 60_000
    registry = registry_in_memory(tmp_path / "data", budget=budget)
    for number in range(8):
        for name in ("one", "two", "three"):
            assert registry.upload(1, wheel(name, f"{number}.0", payload=b"\1" * 3000)).code == 201
    asking = Asking(registry)
    for turn in range(3):
        for name in ("one", "two", "three"):
            for encoding in ("gzip", "zstd", "identity"):
                for accept in (HTML, JSON):
                    for method in ("GET", "HEAD"):
                        page = f"{BASE}/simple/{name}/"
                        asking.get(lines(asking, f"Accept: {accept}", f"Accept-Encoding: {encoding}", method=method, path=page))
                        assert max(registry.library.used) <= budget
            built = wheel(name, f"{turn}.0", payload=b"\1" * 3000)
            asking.get(lines(asking, path=f"{BASE}/files/{built.sha256}/{built.filename}"))
            assert retained() - before <= sum(registry.library.used) <= 2 * budget
    assert registry.library.used[0] > budget // 2
    registry.close()


def test_what_is_forgotten_is_gone(asking: Asking) -> None:
    """A page that has changed, or a file that was deleted, is not kept alive by answers made of it, though nobody asks again."""
    registry = asking.registry
    raws = [lines(asking, f"Accept-Encoding: {encoding}", f"Accept: {accept}") for encoding in ("gzip", "zstd") for accept in (HTML, JSON)]
    raws += [lines(asking, path=FILE), lines(asking, path=f"{FILE}.metadata"), lines(asking, path=INDEX)]
    for raw in raws:
        asking.learned(raw)
    gc.collect()
    mine = (registry.library._pages, registry.library._files)
    alive = [weakref.ref(one) for one in gc.get_objects() if isinstance(one, Rendered | Held) and one.memory in mine]
    assert len(alive) == 5
    finished = [wire for one in alive for kept in [one()] if kept is not None for wire in kept.wires.values()]
    assert len(finished) == len(raws)
    assert registry.ask("DELETE", "/api/v4/projects/1/packages/1", token=registry.root_token).code == 204
    gc.collect()
    assert [one() for one in alive] == [None] * len(alive)
    assert {wire.data for wire in finished} == {b""}


def test_heads_are_bounded(asking: Asking) -> None:
    """So many heads are known, and so many bytes of them; who sends a new one each time cannot push out one that is in use."""
    registry, requests = asking.registry, list[RegistryRequest]()

    def parse(*arguments: object) -> RegistryRequest:
        requests.append(RegistryRequest(*arguments))
        return requests[-1]

    registry.site.requestFactory = parse  # type: ignore[assignment] # twisted.web calls it, nothing else
    asking.connect()
    raw, agent = lines(asking), b"x" * 3500
    asking.get(raw)
    (asked,) = requests
    kept = done(registry.library.page(_view(registry), Name("demo"), Representation.HTML, EXTERNAL))
    ready = registry.site.ready
    for number in range(_MOST + 500):
        ready.learn(b"GET %d" % number, asked, kept, kept.body, None)
        if number % 1000 == 0:
            assert ready.find(raw) is not None
    assert len(ready) == _MOST
    assert (ready.find(raw) is None, ready.find(b"GET 0") is None, ready.find(b"GET %d" % (_MOST + 499)) is None) == (False, True, False)
    used = registry.library.used
    asked.requestHeaders.setRawHeaders(b"user-agent", [agent])
    for number in range(_MOST):
        ready.learn(b"GET %d" % -number, asked, kept, kept.body, None)
    assert len(ready) * (ENTRY_BYTES + len(agent)) <= _MOST_BYTES
    # All of them are one answer.
    assert registry.library.used == used


EXTERNAL = "https://packages.example.com"


def _view(registry: MemoryRegistry) -> View:
    place = registry.place("root/packages")
    assert isinstance(place, Project)
    return View.of_project(place)


def test_agents_and_tokens_share_an_answer(asking: Asking) -> None:
    """A page that is ready for many tokens and agents is kept once (hardening row 47)."""
    registry = asking.registry
    asking.learned(lines(asking))
    used = registry.library.used
    for number in range(30):
        asking.learned(lines(asking, f"User-Agent: {number}"))
        asking.learned(request("GET", PAGE, {"PRIVATE-TOKEN": registry.token("root")}))
    assert registry.library.used == used


def test_guesses_are_not_kept(asking: Asking) -> None:
    """Wrong tokens and passwords, even where anybody may read, leave nothing in memory."""
    public = asking.registry.project("root/public", Visibility.PUBLIC).id
    asking.learned(lines(asking))
    known = len(asking.registry.site.ready)
    for number in range(50):
        for credential in ({"PRIVATE-TOKEN": f"glpat-{number}"}, basic("root", f"{number}")):
            asking.get(request("GET", f"/api/v4/projects/{public}/packages/pypi/simple/", credential))
    assert len(asking.registry.site.ready) == known


def test_heads_nobody_may_use_any_more_are_dropped(asking: Asking) -> None:
    """After a change of rights no head from before it is kept, once anything is learned."""
    for number in range(20):
        asking.learned(lines(asking, f"User-Agent: {number}"))
    asking.registry.user("ann")
    asking.learned(lines(asking))
    assert len(asking.registry.site.ready) == 1


def test_an_idle_connection_keeps_no_credential(asking: Asking) -> None:
    """Once a request is answered its head, which may hold a secret, is not kept with the connection."""
    asking.get(lines(asking))
    assert asking.wire.channel.asked == b""  # type: ignore[attr-defined]
