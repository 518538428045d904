"""Asking other servers: what is given, what is refused and what is told, within which bounds."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.logger import LogEvent
from zope.interface.verify import verifyObject

from registry.domain.errors import UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.tokens import Secret
from registry.interfaces import IFetcher, IStream
from registry.testing import FakeUpstream, done, sdist, wheel
from registry.testing.authority import Authority
from registry.testing.troubles import (
    JSON,
    bomb,
    cut,
    gzipped,
    instead,
    redirect,
    status,
    without_length,
    wrong_length,
)
from registry.upstream.bodies import STALL_TIMEOUT
from registry.upstream.client import BODY_TIMEOUT, FETCHES, HOPS
from registry.upstream.connecting import CONNECT_TIMEOUT, HEAD_BYTES
from registry.upstream.origins import Credentials, Known, Target
from tests.upstream.asking import INDEX, Reader, World, problem

DEMO = "/simple/demo/"
FILE = "http://index.test/files/demo/demo-1.0.tar.gz"
BIG = sdist("big", payload=bytes(range(256)) * 8192)  # packs badly enough


@pytest.fixture
def world() -> World:
    """An upstream with demo 1.0, and a client that knows nobody."""
    made = World.of()
    made.upstream.add(wheel("demo"), sdist("demo"))
    return made


def known(url: str = INDEX, name: str = "pypi", credentials: Credentials | None = None) -> Known:
    return Known(name=name, origin=Target.read(url).origin, credentials=credentials)


ANN = Credentials(username="ann", secret=Secret("hunter2"))
ANNS_HEADER = ANN.header()


# --- small answers ---


def test_the_client_keeps_its_interface(world: World) -> None:
    """The client and its streams provide what the interfaces promise."""
    assert verifyObject(IFetcher, world.client)
    assert verifyObject(IStream, world.stream())


def test_a_page_comes_whole_and_decoded(world: World) -> None:
    """An answer has its status, headers by lower-case name, decoded body and address; it was asked for with gzip and who asks."""
    fetched = world.fetch(headers={"Accept": JSON})
    assert (fetched.status, fetched.headers["content-type"], fetched.url) == (200, JSON, f"{INDEX}demo/")
    assert fetched.body.startswith(b'{"meta"')
    assert "content-encoding" not in fetched.headers
    (asked,) = world.upstream.requests
    assert asked.headers["accept-encoding"] == "gzip"
    assert asked.headers["user-agent"].startswith("twisted-package-registry/")
    assert asked.host == "index.test"


def test_nothing_goes_out_but_what_is_meant_to(world: World) -> None:
    """Headers of the caller's own connection and cookies of earlier answers are not sent on."""
    world.upstream.on(DEMO, instead(b"{}", JSON, Set_Cookie="id=7"))
    world.fetch()
    sent = {"Cookie": "id=8", "Authorization": "Basic x", "Host": "other.test", "Proxy-Authorization": "Basic x", "User-Agent": "me"}
    world.fetch(headers={**sent, "If-None-Match": '"x"'})
    assert set(world.upstream.requests[1].headers) == {"accept-encoding", "if-none-match", "user-agent", "host"}
    assert world.upstream.requests[1].host == "index.test"


@pytest.mark.parametrize("code", [200, 404, 410])
def test_answers_that_say_something_are_given(world: World, code: int) -> None:
    """Whether there is something, is not, or is no more, is for the caller to read."""
    world.upstream.on(DEMO, status(code, body=b"so"))
    fetched = world.fetch()
    assert (fetched.status, fetched.body) == (code, b"so")


def test_what_has_not_changed_is_not_sent_again(world: World) -> None:
    """A question with the last answer's ETag is answered 304, without a body."""
    etag = world.fetch(headers={"Accept": JSON}).headers["etag"]
    fetched = world.fetch(headers={"Accept": JSON, "If-None-Match": etag})
    assert (fetched.status, fetched.body) == (304, b"")


def test_head_asks_for_no_body(world: World) -> None:
    """HEAD tells length and type of a file and leaves the connection in order."""
    headers = world.run(world.client.head(FILE, {}, timeout=10)).headers
    assert headers["content-length"] == str(len(sdist("demo").content))
    world.fetch()
    assert [asked.method for asked in world.upstream.requests] == ["HEAD", "GET"]
    assert len(world.network.attempts) == 1


def test_a_part_is_asked_for_unencoded(world: World) -> None:
    """A question with Range goes out without gzip, whose parts mean nothing (hardening row 16)."""
    fetched = world.fetch(FILE, {"Range": "bytes=2-5"})
    assert (fetched.status, fetched.body) == (206, sdist("demo").content[2:6])
    assert world.upstream.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_may_have_as_many_bytes_as_the_limit(world: World, *, encoded: bool) -> None:
    """Exactly the limit is given, a byte more is not, decoded or not (hardening row 13)."""
    world.upstream.on(DEMO, instead(b"x" * 1000))
    if encoded:
        world.upstream.on(DEMO, gzipped())
    assert len(world.fetch(limit=1000).body) == 1000
    failed = problem(world.begin(limit=999))
    assert isinstance(failed, UpstreamBroken)
    assert "999" in str(failed)


def test_a_body_without_a_length_is_bounded_too(world: World) -> None:
    """Chunks are counted as they come; the connection of too many is closed (hardening row 13)."""
    world.upstream.on(DEMO, instead(b"x" * 300_000))
    world.upstream.on(DEMO, without_length())
    assert len(world.fetch(limit=300_000).body) == 300_000
    assert isinstance(problem(world.begin(limit=299_999)), UpstreamBroken)
    world.network.settle()
    assert world.network.connections == 0


def test_a_gzip_bomb_is_not_unpacked(world: World) -> None:
    """What decodes to more than the limit is given up at the limit (hardening row 13)."""
    world.upstream.on(DEMO, bomb(64 << 20))
    assert isinstance(problem(world.begin(limit=1 << 20)), UpstreamBroken)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"x" * 100, mtime=0)[:-1], "gzip"),
        (gzip.compress(b"x" * 100, mtime=0) + b"rest", "gzip"),
        (b"no gzip", "gzip"),
        (b"x", "br"),
        (b"x", "gzip, gzip"),
        (b"x", "\xe9" * 300),
    ],
)
def test_a_damaged_encoding_is_no_answer(world: World, body: bytes, encoding: str) -> None:
    """A body that is not what its Content-Encoding says, or in one that was not asked for, is `UpstreamBroken` (hardening row 16)."""
    world.upstream.on(DEMO, instead(body, Content_Encoding=encoding))
    assert isinstance(problem(world.begin()), UpstreamBroken)


@pytest.mark.parametrize(
    ("body", "encoding"), [(gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0), "X-GZIP"), (b"ab", "identity"), (b"ab", "")]
)
def test_encodings_that_were_asked_for_are_read(world: World, body: bytes, encoding: str) -> None:
    """Gzip by both of its names and in several members, and none at all, are decoded."""
    world.upstream.on(DEMO, instead(body, Content_Encoding=encoding))
    assert world.fetch().body == b"ab"


# --- answers that are none ---


@pytest.mark.parametrize("code", [401, 403, 407, 408, 425, 429, 500, 502, 503, 504, 599])
def test_who_does_not_want_to_answer_now_is_unavailable(world: World, code: int) -> None:
    """Being kept out, held off or let down is never taken for an answer about what exists."""
    world.upstream.on(DEMO, status(code))
    failed = problem(world.begin())
    assert isinstance(failed, UpstreamUnavailable)
    assert failed.retry_after == 30
    assert str(code) in str(failed)


@pytest.mark.parametrize("code", [300, 304 + 1, 400, 405, 406, 418, 451])
def test_other_statuses_are_broken(world: World, code: int) -> None:
    """A status that a question for a page or file has no use for is `UpstreamBroken`."""
    world.upstream.on(DEMO, status(code))
    failed = problem(world.begin())
    assert isinstance(failed, UpstreamBroken)
    assert str(code) in str(failed)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 400, 3600),
        ("-1", 30),
        ("soon", 30),
        ("", 30),
        ("1.5", 30),
        ("\u0663", 30),
    ],
)
def test_retry_after_is_told_in_seconds(world: World, said: str, seconds: int) -> None:
    """Retry-After is kept between a second and an hour; what is no number of seconds counts as half a minute."""
    world.upstream.on(DEMO, status(429, retry_after=said))
    failed = problem(world.begin())
    assert isinstance(failed, UpstreamUnavailable)
    assert failed.retry_after == seconds


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Sat, 21 Nov 2026 12:01:40 GMT", 100),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 1),
        ("Sun, 22 Nov 2026 12:00:00 GMT", 3600),
        ("Sat, 99", 30),
    ],
)
def test_retry_after_may_be_a_date(world: World, until: str, seconds: int) -> None:
    """A date counts from the server's own Date, whatever our clock says."""
    url = world.raw(
        b"HTTP/1.1 503 No\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % until.encode()
    )
    failed = problem(world.begin(url))
    assert isinstance(failed, UpstreamUnavailable)
    assert failed.retry_after == seconds


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.test ESMTP\r\n",
        b"HTTP/1.1 200\r\nX",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nmore\r\n\r\n",
        b"\x00" * 20_000,
    ],
)
def test_what_is_no_http_is_broken(world: World, answer: bytes) -> None:
    """An answer that is malformed or ends early is `UpstreamBroken`, with nothing of it in the sentence."""
    failed = problem(world.begin(world.raw(answer)))
    assert isinstance(failed, UpstreamBroken)
    assert "raw.test" in str(failed)
    assert "mail.test" not in str(failed)


def test_an_answer_that_ends_with_its_connection_is_whole(world: World) -> None:
    """HTTP/1.0 without a length has no other end than the connection's."""
    assert world.fetch(world.raw(b"HTTP/1.0 200 OK\r\n\r\nabc")).body == b"abc"


def test_a_connection_that_is_closed_without_an_answer_is_unavailable(world: World) -> None:
    """Who hangs up instead of answering may do better later."""
    assert isinstance(problem(world.begin(world.raw(b""))), UpstreamUnavailable)


@pytest.mark.parametrize("trouble", [cut(10), wrong_length(1)])
def test_a_body_that_breaks_off_is_broken(world: World, trouble: Any) -> None:
    """Less than was announced is never taken for all."""
    world.upstream.on(DEMO, trouble)
    failed = problem(world.begin())
    assert isinstance(failed, UpstreamBroken)
    assert "broke off" in str(failed)


@pytest.mark.parametrize(("count", "fits"), [((HEAD_BYTES - 500) // 10_000, True), (HEAD_BYTES // 10_000 + 1, False)])
def test_the_head_of_an_answer_is_bounded(world: World, count: int, *, fits: bool) -> None:
    """Headers without end are given up at a quarter of a megabyte."""
    world.upstream.on(DEMO, instead(b"x", **{f"X_{index}": "y" * (10_000 - 7) for index in range(count)}))
    if fits:
        assert world.fetch().body == b"x"
    else:
        assert isinstance(problem(world.begin()), UpstreamBroken)


def test_interim_answers_without_end_are_bounded(world: World) -> None:
    """A server that only ever says "go on" is given up, too."""
    url = world.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * (HEAD_BYTES // 20), close=False)
    assert isinstance(problem(world.begin(url)), UpstreamBroken)


def test_a_name_without_an_address_is_unavailable(world: World) -> None:
    """Names that lead nowhere may do so later."""
    assert isinstance(problem(world.begin("http://nowhere.test/")), UpstreamUnavailable)


def test_who_takes_no_connections_is_unavailable(world: World) -> None:
    """A refused connection is told as one that cannot be made."""
    asking = world.begin("http://index.test:81/")
    world.network.advance(1)
    assert isinstance(problem(asking), UpstreamUnavailable)


# --- redirects ---


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/simple/demo/", "demo/", "//index.test/simple/demo/", "http://INDEX.test:80/simple/demo/#sha256=0"])
def test_redirects_are_followed(world: World, code: int, location: str) -> None:
    """Every kind of redirect and of Location is followed, over the same connection, and the answer says where it came from (row 19)."""
    world.upstream.on("/simple/", redirect(location, code))
    assert world.fetch(INDEX).url == f"{INDEX}demo/"
    assert len(world.network.attempts) == 1
    assert [asked.path for asked in world.upstream.requests] == ["/simple/", DEMO]


def test_as_many_redirects_are_followed_as_there_are_hops(world: World) -> None:
    """The last of five leads to the answer; a sixth, or a circle, is `UpstreamBroken`."""
    for hop in range(HOPS):
        world.upstream.on(f"/{hop}", redirect(f"/{hop + 1}"))
    world.upstream.on(f"/{HOPS}", instead(b"here"))
    assert world.fetch("http://index.test/0").body == b"here"
    world.upstream.on(f"/{HOPS}", redirect("/0"))
    world.upstream.requests.clear()
    failed = problem(world.begin("http://index.test/0"))
    assert isinstance(failed, UpstreamBroken)
    assert len(world.upstream.requests) == HOPS + 1


def test_a_redirect_to_nowhere_is_broken(world: World) -> None:
    """A redirect without a Location is no answer."""
    world.upstream.on(DEMO, status(302))
    assert isinstance(problem(world.begin()), UpstreamBroken)


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/simple/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://10.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::ffff:169.254.169.254]/",
        "http://inside.test/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "ftp://index.test/",
        "http://[fe80::1%25eth0]/",
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_redirect_inside_is_refused(world: World, location: str, *, later: bool) -> None:
    """No redirect, first or later, leads to an address inside or to another scheme: nothing is connected to (hardening row 10)."""
    world.network.names["inside.test"] = ["10.0.0.1"]
    world.upstream.on(DEMO, redirect("/again" if later else location))
    world.upstream.on("/again", redirect(location))
    failed = problem(world.begin())
    assert isinstance(failed, UpstreamRefused)
    assert {address for address, _ in world.network.attempts} == {"9.9.9.1"}


def test_a_large_body_of_a_redirect_is_not_read(world: World) -> None:
    """What a redirect says beside its Location is not waited for."""
    world.upstream.on("/simple/", redirect("/simple/demo/", body=b"x" * (1 << 20)))
    assert world.fetch(INDEX).status == 200
    assert len(world.network.attempts) == 2
    world.network.settle()
    assert world.network.connections == 1


def test_a_slow_body_of_a_redirect_is_not_waited_for(world: World) -> None:
    """Where a redirect leads is asked a second later at the latest, over another connection."""
    world.upstream.on("/simple/", redirect("/simple/demo/"))
    world.upstream.hold("/simple/", at=3)
    asking = world.begin(INDEX)
    assert not asking.called
    world.network.advance(1)
    assert done(asking).status == 200
    assert (len(world.network.attempts), world.network.connections) == (2, 1)


# --- addresses ---


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::a00:1"])
def test_a_name_that_leads_inside_is_refused(world: World, address: str) -> None:
    """What counts is the address that a name leads to, when it is connected to (hardening row 10)."""
    world.network.serve(world.upstream.site(world.network), "inside.test", address=address)
    failed = problem(world.begin("http://inside.test/simple/demo/"))
    assert isinstance(failed, UpstreamRefused)
    assert "allow_private" in str(failed)
    assert address not in str(failed)
    assert (world.network.attempts, world.upstream.requests) == ([], [])


def test_only_addresses_that_were_checked_are_connected_to(world: World) -> None:
    """Of several addresses those inside are left out, however slow the others are, and the name is looked up once (hardening row 10)."""
    addresses = ["10.0.0.1", "9.9.1.1", "::1", "9.9.1.2", "127.0.0.1"]
    world.network.names["mixed.test"] = addresses
    world.network.silent.add("9.9.1.1")
    for address in addresses:
        world.network.serve(world.upstream.site(world.network), "mixed.test", address=address)
    asking = world.begin("http://mixed.test/simple/demo/")
    world.network.advance(5)
    assert done(asking).status == 200
    assert world.network.attempts == [("9.9.1.1", 80), ("9.9.1.2", 80)]
    assert world.network.lookups == ["mixed.test"]


def test_a_name_is_checked_anew_with_every_connection(world: World) -> None:
    """A name that led outside and then leads inside is refused then (hardening row 10)."""
    world.fetch()
    world.network.break_all()
    world.network.settle()
    world.network.names["index.test"] = ["127.0.0.1"]
    assert isinstance(problem(world.begin()), UpstreamRefused)


def test_an_operator_can_allow_what_is_inside() -> None:
    """Networks that are allowed are connected to, by redirects too, and no others."""
    world = World.of(allow=("10.1.0.0/16",))
    for host, address in (("inside.test", "10.1.0.7"), ("other.test", "10.2.0.7")):
        world.network.serve(world.upstream.site(world.network), host, address=address)
    world.upstream.on("/go", redirect("http://inside.test/simple/"))
    assert world.fetch("http://index.test/go").status == 200
    assert world.fetch("http://10.1.0.7/simple/").status == 200
    assert isinstance(problem(world.begin("http://other.test/simple/")), UpstreamRefused)


# --- credentials ---


def test_credentials_go_to_their_origin() -> None:
    """An upstream's credentials are sent to it with the first question already (hardening row 11)."""
    world = World.of(known(credentials=ANN))
    world.upstream.credentials = ("ann", "hunter2")
    assert world.fetch(INDEX).status == 200
    assert len(world.upstream.requests) == 1


@pytest.mark.parametrize("there", ["http://files.test/x", "http://index.test:8080/x", "http://index.test./x", "http://sub.index.test/x"])
def test_credentials_stay_with_their_origin(there: str) -> None:
    """To another host or port, asked directly or by a redirect, they are not sent, and back home they are (hardening row 11)."""
    world = World.of(known(credentials=ANN))
    origin = Target.read(there).origin
    other = FakeUpstream()
    world.network.serve(other.site(world.network), origin.host, origin.port)
    other.on("/x", redirect("http://index.test/simple/"))
    world.upstream.on("/go", redirect(there))
    world.fetch("http://index.test/go")
    world.fetch(there)
    assert len(other.requests) == 2
    assert not other.mentions("authorization")
    assert [asked.headers.get("authorization") for asked in world.upstream.requests] == [ANNS_HEADER] * 3


def test_nobody_asks_for_credentials_with_success(world: World) -> None:
    """A 401 is told as it is: its realm is not asked, and nothing is sent because of it (hardening row 11)."""
    world.upstream.credentials = ("ann", "hunter2")
    assert isinstance(problem(world.begin()), UpstreamUnavailable)
    assert (len(world.upstream.requests), len(world.network.attempts)) == (1, 1)


def test_userinfo_in_addresses_is_used_for_nobody(world: World) -> None:
    """Names and passwords in an address or a Location are dropped (hardening row 11)."""
    world.upstream.on("/simple/", redirect("http://eve:hunter2@index.test/simple/demo/"))
    fetched = world.fetch("http://ann:hunter2@index.test/simple/")
    assert fetched.url == f"{INDEX}demo/"
    assert not world.upstream.mentions("authorization")
    assert not world.upstream.mentions("hunter2")


def test_sentences_and_logs_name_the_upstream_and_never_a_secret(log_events: list[LogEvent]) -> None:
    """Whatever goes wrong, it is told under the configured name, and no credential is in it or in the log."""
    world = World.of(known(credentials=ANN))
    told = []
    for trouble in (
        status(500),
        status(403),
        cut(3),
        instead(b"x", Content_Encoding="br"),
        redirect("file:///x"),
        status(400),
        redirect(""),
    ):
        world.upstream.on(DEMO, trouble, times=6)
        told.append(str(problem(world.begin("http://ann:hunter2@index.test/simple/demo/"))))
        world.upstream.calm()
    world.network.names["index.test"] = []
    world.network.break_all()
    told.append(str(problem(world.begin())))
    world.network.names["index.test"] = ["10.0.0.1"]
    told.append(str(problem(world.begin())))
    assert [sentence for sentence in told if "pypi" not in sentence] == [told[4]]
    assert not any(secret in f"{told} {log_events}" for secret in ("hunter2", ANNS_HEADER.split()[1]))


# --- deadlines ---


def test_a_connection_has_ten_seconds(world: World) -> None:
    """An address that does not answer is given up after ten seconds, for all of a name's addresses together."""
    world.network.names["slow.test"] = [f"9.9.2.{index}" for index in range(9)]
    world.network.silent.update(world.network.names["slow.test"])
    asking = world.begin("http://slow.test/", timeout=60)
    world.network.advance(CONNECT_TIMEOUT - 0.1)
    assert not asking.called
    world.network.advance(0.1)
    failed = problem(asking)
    assert isinstance(failed, UpstreamUnavailable)
    assert "10 seconds" in str(failed)


def test_the_first_byte_has_its_time(world: World) -> None:
    """An answer that does not begin in time is given up, and its connection closed."""
    world.upstream.hold(DEMO)
    asking = world.begin(timeout=7)
    world.network.advance(6.9)
    assert not asking.called
    world.network.advance(0.1)
    failed = problem(asking)
    assert isinstance(failed, UpstreamUnavailable)
    assert "7 seconds" in str(failed)
    assert world.network.connections == 0


def test_redirects_share_the_time_to_the_first_byte(world: World) -> None:
    """All hops together have the time that one answer has."""
    world.upstream.on("/simple/", redirect("demo/"))
    gate = world.upstream.hold("/simple/")
    world.upstream.hold(DEMO)
    asking = world.begin(INDEX, timeout=7)
    world.network.advance(5)
    gate.open()
    world.network.advance(1.9)
    assert not asking.called
    world.network.advance(0.1)
    assert isinstance(problem(asking), UpstreamUnavailable)


def test_a_body_may_not_stall(world: World) -> None:
    """Half a minute without a byte ends an answer; just less does not."""
    world.upstream.on(DEMO, instead(b"x" * 100))
    gate = world.upstream.hold(DEMO, at=50)
    asking = world.begin(timeout=5)
    world.network.advance(STALL_TIMEOUT - 1)
    gate.open()
    world.network.settle()
    assert done(asking).body == b"x" * 100
    world.upstream.hold(DEMO, at=50)
    stalled = world.begin(timeout=5)
    world.network.advance(STALL_TIMEOUT)
    failed = problem(stalled)
    assert isinstance(failed, UpstreamUnavailable)
    assert world.network.connections == 0


def test_a_body_that_trickles_ends_too(world: World) -> None:
    """A small answer has two minutes from its first byte to its last, however regularly something comes."""
    asking = world.begin(world.drip())
    for _ in range(int(BODY_TIMEOUT) - 1):
        world.network.advance(1)
    assert not asking.called
    world.network.advance(1)
    failed = problem(asking)
    assert isinstance(failed, UpstreamUnavailable)
    assert "120 seconds" in str(failed)


def test_whoever_waits_no_more_has_his_connection_closed(world: World) -> None:
    """Cancelling closes the connection while the answer is waited for, while its body comes, and while it is being made."""
    world.upstream.on(DEMO, instead(b"x" * 100))
    for at in (-1, 50):
        world.upstream.hold(DEMO, at=at)
        asking = world.begin()
        assert world.network.connections == 1
        asking.cancel()
        world.network.settle()
        assert isinstance(problem(asking), CancelledError)
        assert world.network.connections == 0
    world.network.silent.add("9.9.9.1")
    asking = world.begin()
    asking.cancel()
    assert isinstance(problem(asking), CancelledError)
    world.network.advance(60)
    assert world.network.connections == 0


# --- connections ---


def test_connections_are_kept_for_later(world: World) -> None:
    """Questions one after the other go through one connection, which is closed after half a minute of silence."""
    for _ in range(3):
        world.fetch()
    assert len(world.network.attempts) == 1
    world.network.advance(29)
    assert world.network.connections == 1
    world.network.advance(1)
    assert world.network.connections == 0


def test_a_kept_connection_that_was_closed_meanwhile_is_not_noticed(world: World) -> None:
    """If the server hung up just before a question, it is asked again over another connection."""
    world.fetch()
    world.network.break_all()
    assert world.fetch().status == 200
    assert len(world.network.attempts) == 2


def test_a_new_connection_that_is_closed_is_not_tried_for_ever(world: World) -> None:
    """A server that hangs up on a new connection is asked once."""
    url = world.raw(b"")
    problem(world.begin(url))
    assert len(world.network.attempts) == 1


def test_only_so_many_questions_are_asked_at_once(world: World) -> None:
    """Beyond 32, questions wait for their turn, within their time; files do not take their places."""
    gate = world.upstream.hold(DEMO)
    streams = [world.stream() for _ in range(FETCHES)]
    asking = [world.begin() for _ in range(FETCHES + 1)]
    assert world.upstream.asked(DEMO) == FETCHES
    impatient = world.begin(timeout=1)
    world.network.advance(1)
    assert isinstance(problem(impatient), UpstreamUnavailable)
    gate.open()
    world.network.settle()
    assert [done(one).status for one in asking] == [200] * (FETCHES + 1)
    for stream in streams:
        stream.abort()


def test_places_are_given_back_whatever_happens(world: World) -> None:
    """After many failures of every kind there is room for as many questions as before."""
    for trouble in (status(500), cut(3), redirect("file:///x"), instead(b"x", Content_Encoding="br"), instead(b"x" * 2000)):
        world.upstream.on(DEMO, trouble)
        for _ in range(FETCHES + 1):
            problem(world.begin(limit=1000))
        world.upstream.calm()
    for _ in range(70):
        world.stream().abort()
        world.read()
    assert world.fetch().status == 200


def test_closing_closes_what_was_kept(world: World) -> None:
    """When the registry stops, no connection stays open."""
    world.fetch()
    done(world.start(world.client.close()))
    assert world.network.connections == 0


def test_a_registry_that_asks_nobody_loads_nothing() -> None:
    """Twisted's HTTP client is loaded with the first question."""
    program = "import sys, registry.upstream.client as _; print({'twisted.web.client', 'treq'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


# --- streams ---


def test_a_file_is_read_as_it_comes(world: World) -> None:
    """A stream tells status, length and address at once, and gives all bytes and one end."""
    stream = world.stream()
    content = sdist("demo").content
    assert (stream.status, stream.length, stream.url) == (200, len(content), FILE)
    reader = world.read()
    assert (bytes(reader.body), reader.ends, reader.errors) == (content, 1, [])
    assert world.upstream.requests[0].headers["accept-encoding"] == "identity"


def test_the_first_bytes_come_before_the_last(world: World) -> None:
    """What the upstream has sent is given though the rest is held back."""
    world.upstream.add(BIG)
    gate = world.upstream.hold("/files/big/", at=1000)
    reader = world.read("http://index.test/files/big/big-1.0.tar.gz")
    assert (len(reader.body), reader.ends) == (1000, 0)
    gate.open()
    world.network.settle()
    assert (bytes(reader.body), reader.ends) == (BIG.content, 1)


def test_the_reader_sets_the_pace(world: World) -> None:
    """While a stream is paused, before or after `deliver`, little more comes, for however long; then all of it does."""
    content = b"x" * (8 << 20)
    world.upstream.on("/big", instead(content))
    for early in (True, False):
        reader = Reader(world.stream("http://index.test/big"), pause_at=1 << 60 if early else 1)
        if early:
            reader.stream.pause()
        reader.stream.deliver(reader)
        world.network.advance(3 * STALL_TIMEOUT)
        assert len(reader.body) <= 1 << 18
        assert (reader.ends, reader.errors) == (0, [])
        reader.pause_at = 1 << 60
        reader.stream.resume()
        world.network.settle()
        assert (len(reader.body), reader.ends) == (len(content), 1)


def test_nothing_is_read_before_it_is_delivered(world: World) -> None:
    """A stream that nobody reads yet holds the upstream back."""
    world.upstream.on("/big", instead(b"x" * (8 << 20)))
    stream: Any = world.stream("http://index.test/big")
    assert world.network.under_way <= 1 << 18
    stream.abort()


@pytest.mark.parametrize("trouble", [cut(10), cut(0), wrong_length(1)])
def test_a_file_that_ends_early_has_not_ended(world: World, trouble: Any) -> None:
    """A body of fewer bytes than announced fails, with and without TLS or chunks, and never ends."""
    world.upstream.on("/files/demo/", trouble)
    reader = world.read()
    assert reader.ends == 0
    (error,) = reader.errors
    assert isinstance(error, UpstreamBroken)


def test_chunks_that_break_off_have_not_ended(world: World) -> None:
    """A body without a length has ended only with its last chunk."""
    world.upstream.on("/files/demo/", cut(10))
    world.upstream.on("/files/demo/", without_length())
    reader = world.read()
    assert (reader.stream.length, reader.ends, len(reader.errors)) == (None, 0, 1)


def test_a_file_may_not_stall(world: World) -> None:
    """Half a minute without a byte while nobody pauses fails a stream; as much silence in a pause does not."""
    world.upstream.add(BIG)
    world.upstream.hold("/files/big/", at=1000)
    reader = Reader(world.stream("http://index.test/files/big/big-1.0.tar.gz"))
    reader.stream.deliver(reader)
    world.network.advance(STALL_TIMEOUT - 1)
    reader.stream.pause()
    for _ in range(100):
        world.network.advance(1)
    reader.stream.resume()
    world.network.advance(STALL_TIMEOUT - 1)
    assert reader.errors == []
    world.network.advance(1)
    (error,) = reader.errors
    assert isinstance(error, UpstreamUnavailable)
    assert world.network.connections == 0


def test_bytes_are_given_as_they_come(world: World) -> None:
    """A file that its server says to be encoded is given as it is, as pip does: what counts is its digest (hardening row 16)."""
    world.upstream.on("/files/demo/", instead(sdist("demo").content, "application/x-tar", Content_Encoding="gzip"))
    assert bytes(world.read().body) == sdist("demo").content


def test_an_aborted_stream_says_nothing_more(world: World) -> None:
    """After `abort`, however often and whenever, the connection is closed and the reader hears nothing."""
    world.upstream.add(BIG)
    world.upstream.hold("/files/big/", at=1000)
    for deliver in (True, False):
        stream: Any = world.stream("http://index.test/files/big/big-1.0.tar.gz")
        reader = Reader(stream)
        if deliver:
            stream.deliver(reader)
        stream.abort()
        stream.abort()
        stream.resume()
        stream.pause()
        if not deliver:
            stream.deliver(reader)
        world.network.advance(100)
        assert (reader.ends, reader.errors, world.network.connections) == (0, [], 0)


def test_aborting_what_is_complete_harms_nobody_else(world: World) -> None:
    """The connection of an answer that has come whole may carry another's question; aborting the first leaves it alone."""
    world.upstream.on("/empty", instead(b""))
    world.stream("http://index.test/empty").abort()
    complete = world.stream("http://index.test/empty")
    gate = world.upstream.hold(DEMO)
    asking = world.begin()
    assert len(world.network.attempts) == 1
    complete.abort()
    gate.open()
    world.network.settle()
    assert done(asking).status == 200
    assert (len(world.network.attempts), world.network.connections) == (1, 1)


def test_a_reader_that_fails_is_told_so_once(world: World, log_events: list[LogEvent]) -> None:
    """An error of the reader's own closes the connection, is logged and comes back to it as a failure."""

    class Failing(Reader):
        def received(self, data: bytes) -> None:
            raise OSError(28, "no space")

    stream: Any = world.stream()
    reader = Failing(stream)
    stream.deliver(reader)
    world.network.settle()
    assert (reader.ends, len(reader.errors)) == (0, 1)
    assert any(event.get("log_failure") is not None for event in log_events)
    assert world.fetch().status == 200


@pytest.mark.parametrize(("code", "given"), [(404, True), (410, True), (416, True), (403, False), (500, False)])
def test_a_file_that_is_not_there_is_told_as_with_pages(world: World, code: int, *, given: bool) -> None:
    """A stream has the statuses that pages have, and fails with the same errors."""
    world.upstream.on("/files/demo/", status(code))
    if given:
        assert world.stream().status == code
    else:
        assert isinstance(problem(world.start(world.client.stream(FILE, {}))), UpstreamUnavailable)


# --- TLS ---


def test_certificates_are_verified(tmp_path: Path, authority: Authority, other_authority: Authority) -> None:
    """A server is believed with a certificate for its host by a trusted authority, and otherwise not."""
    (tmp_path / "ca.pem").write_bytes(b"a comment\n" + other_authority.pem + authority.pem)
    world = World.of(ca_file=tmp_path / "ca.pem")
    good = world.serve_tls(authority, "good.test")
    good.add(sdist("demo"))
    assert world.fetch("https://good.test/simple/demo/").status == 200
    assert bytes(world.read("https://good.test/files/demo/demo-1.0.tar.gz").body) == sdist("demo").content
    assert len(world.network.attempts) == 1
    world.serve_tls(authority, "other.test", certified="good.test")
    failed = problem(world.begin("https://other.test/"))
    assert isinstance(failed, UpstreamBroken)
    assert "certificate" in str(failed)


def test_an_unknown_authority_is_not_trusted(tmp_path: Path, authority: Authority, other_authority: Authority) -> None:
    """A certificate that nobody trusted has signed is `UpstreamBroken`, with the operator's certificates and with the system's."""
    (tmp_path / "ca.pem").write_bytes(other_authority.pem)
    for ca_file in (tmp_path / "ca.pem", None):
        world = World.of(ca_file=ca_file)
        upstream = world.serve_tls(authority, "index.test")
        assert isinstance(problem(world.begin("https://index.test/")), UpstreamBroken)
        assert upstream.requests == []


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path, authority: Authority, log_events: list[LogEvent]) -> None:
    """Without the certificates to trust nothing is trusted; the log names the file."""
    world = World.of(ca_file=tmp_path / "none.pem")
    world.serve_tls(authority, "index.test")
    assert isinstance(problem(world.begin("https://index.test/")), UpstreamUnavailable)
    assert any("none.pem" in str(event.get("path")) for event in log_events)


def test_no_redirect_leads_out_of_tls(tmp_path: Path, authority: Authority) -> None:
    """From https to http nothing is followed, from http to https it is (hardening row 10)."""
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    world = World.of(ca_file=tmp_path / "ca.pem")
    secure = world.serve_tls(authority, "index.test")
    world.upstream.on("/up", redirect("https://index.test/simple/"))
    secure.on("/down", redirect("http://index.test/simple/"))
    assert world.fetch("http://index.test/up").url == "https://index.test/simple/"
    assert isinstance(problem(world.begin("https://index.test/down")), UpstreamRefused)
    assert world.upstream.asked("/simple/") == 0


# --- proxies ---


def test_plain_requests_go_through_a_proxy_whole() -> None:
    """A proxy, which may be inside, is asked for the whole address; its password goes to it, and the upstream's to the upstream."""
    world = World.of(known(credentials=ANN), environ={"HTTP_PROXY": "http://bob:secret@proxy.test:3128", "NO_PROXY": "near.test"})
    proxy = FakeUpstream()
    world.network.serve(proxy.site(world.network), "proxy.test", 3128, address="10.0.0.1")
    world.fetch(f"{INDEX}demo/")
    (asked,) = proxy.requests
    assert (asked.path, asked.host) == (f"{INDEX}demo/", "index.test")
    assert asked.headers["authorization"] == ANNS_HEADER
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    world.network.serve(world.upstream.site(world.network), "near.test")
    world.fetch("http://near.test/simple/")
    assert not world.upstream.mentions("proxy-authorization")
    assert world.network.lookups == ["proxy.test", "near.test"]


def test_tls_goes_through_a_proxy_in_a_tunnel(tmp_path: Path, authority: Authority) -> None:
    """For https a proxy is asked for a tunnel, in which the upstream's own certificate is verified; it sees nothing else."""
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    world = World.of(known(credentials=ANN), environ={"HTTPS_PROXY": "http://bob:secret@proxy.test"}, ca_file=tmp_path / "ca.pem")
    upstream = world.serve_tls(authority, "index.test")
    heads = world.serve_tunnel("proxy.test", {"index.test:443": ("9.9.9.1", 443)})
    for _ in range(2):
        assert world.fetch("https://index.test/simple/").status == 200
    (head,) = heads
    assert head.startswith(b"CONNECT index.test:443 HTTP/1.1\r\nHost: index.test:443\r\nProxy-Authorization: Basic ")
    assert b"hunter2" not in head
    assert not upstream.mentions("proxy-authorization")
    failed = problem(world.begin("https://elsewhere.test/"))
    assert isinstance(failed, UpstreamUnavailable)
    assert "403" in str(failed)
    assert "secret" not in str(failed)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0x7f.1", "2130706433", "localhost", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_not_asked_for_addresses_inside(scheme: str, host: str) -> None:
    """Where a proxy looks names up, addresses inside are refused in every spelling before it is asked (hardening row 10)."""
    world = World.of(environ={"HTTP_PROXY": "http://proxy.test", "HTTPS_PROXY": "http://proxy.test"})
    proxy = FakeUpstream()
    world.network.serve(proxy.site(world.network), "proxy.test")
    assert isinstance(problem(world.begin(f"{scheme}://{host}/")), UpstreamRefused)
    assert world.network.attempts == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 407 No\r\n\r\n", b"nonsense\r\n\r\n", b"x" * 20_000])
def test_a_proxy_that_opens_no_tunnel_is_told(answer: bytes) -> None:
    """Whatever a proxy says instead of opening a tunnel, the upstream is unavailable, and the connection is closed."""
    world = World.of(environ={"HTTPS_PROXY": "http://raw.test"})
    world.raw(answer, close=not answer)
    assert isinstance(problem(world.begin("https://index.test/")), UpstreamUnavailable)
    world.network.settle()
    assert world.network.connections == 0


def test_a_proxy_that_says_nothing_is_given_up() -> None:
    """A tunnel has to be open within the ten seconds that a connection has."""
    world = World.of(environ={"HTTPS_PROXY": "http://raw.test"})
    world.raw(b"", close=False)
    asking = world.begin("https://index.test/", timeout=60)
    world.network.advance(CONNECT_TIMEOUT)
    assert isinstance(problem(asking), UpstreamUnavailable)
    assert world.network.connections == 0
