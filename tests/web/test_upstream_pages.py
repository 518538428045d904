"""Pages of names that are not held here: how often the upstream is asked, what is said meanwhile, and what never gets through."""

import pytest

from registry.config import UpstreamIndex
from registry.domain.tokens import Secret
from registry.testing import FakeUpstream, Style, sdist, wheel
from registry.testing.troubles import HTML, JSON, V1_HTML, bomb, cut, gzipped, instead, redirect, status, typed
from registry.testing.upstream import MARKUP
from tests.beyond import Beyond, configured, file_path, large, page_path, path_in
from tests.conftest import Start

DEMO = "/simple/demo/"
FRESH, STALE, NEGATIVE, PATIENCE, RESPITE = 300, 7 * 86400, 60, 10, 30


def origin(answer: object) -> tuple[str, str, bool]:
    """X-Cache, Age without its zeros, and whether there is a Warning."""
    headers = answer.headers  # type: ignore[attr-defined] # an Answer
    return headers["x-cache"], str(int(headers["age"])) if "age" in headers else "", "warning" in headers


# --- one question for all ---


def test_one_question_for_fifty_clients(beyond: Beyond) -> None:
    """Fifty clients, of two projects and three representations, on one cold page cause one request upstream (hardening rows 14, 52)."""
    beyond.registry.project("root/other")
    gate = beyond.upstream.hold(DEMO)
    places, kinds = ("projects/1", "projects/2"), (JSON, HTML, V1_HTML)
    wires = [beyond.begin(page_path("demo", places[number % 2]), headers={"Accept": kinds[number % 3]}) for number in range(50)]
    beyond.settle(*wires)
    assert (beyond.upstream.asked(), [wire.received for wire in wires]) == (1, [b""] * 50)
    gate.open()
    beyond.settle(*wires)
    answers = [wire.answers("GET")[0] for wire in wires]
    assert [answer.code for answer in answers] == [200] * 50
    assert all(b"demo-2.0.tar.gz" in answer.body for answer in answers)
    assert beyond.upstream.asked() == 1


def test_the_next_question_is_answered_without_asking(beyond: Beyond) -> None:
    """A page is a miss once and a hit from then on, in every project and representation, until it is five minutes old."""
    assert origin(beyond.page()) == ("miss", "0", False)
    beyond.pass_time(FRESH - 1)
    assert [origin(beyond.page(accept=kind)) for kind in (JSON, HTML, JSON)] == [("hit", "299", False)] * 3
    assert beyond.upstream.asked() == 1
    beyond.pass_time(1)
    assert origin(beyond.page()) == ("miss", "0", False)
    assert beyond.upstream.asked() == 2


def test_the_age_of_a_page_grows(beyond: Beyond) -> None:
    """`Age` tells how long ago the upstream said so, on answers that were ready, too; pages of ours have none and are "local"."""
    assert beyond.registry.upload(1, wheel("ours")).code == 201
    beyond.page()
    ages = []
    for _ in range(4):
        beyond.pass_time(7)
        ages.append(origin(beyond.page())[1])
    assert ages == ["7", "14", "21", "28"]
    assert [origin(beyond.page("ours")) for _ in range(3)] == [("local", "", False)] * 3


@pytest.mark.parametrize("left", [1, 3])
def test_a_client_that_leaves_neither_poisons_nor_restarts_a_page(beyond: Beyond, left: int) -> None:
    """Clients that hang up while a page is fetched, be they some or all, change nothing: it is fetched once and kept (hardening row 53)."""
    gate = beyond.upstream.hold(DEMO, at=50)
    wires = [beyond.begin(page_path("demo")) for _ in range(3)]
    beyond.settle(*wires)
    for wire in wires[:left]:
        wire.hang_up()
    beyond.settle()
    gate.open()
    beyond.settle(*wires[left:])
    assert [wire.answers("GET")[0].code for wire in wires[left:]] == [200] * (3 - left)
    assert (origin(beyond.page())[0], beyond.upstream.asked()) == ("hit", 1)


# --- an upstream that is slow ---


@pytest.mark.parametrize("at", [-1, 50], ids=["before its head", "in its body"])
def test_a_slow_page_with_nothing_older_is_503_after_ten_seconds(beyond: Beyond, at: int) -> None:
    """Before clients give up they are told to come again, with a number of seconds; never that there is no such name (hardening row 52)."""
    beyond.upstream.hold(DEMO, at=at)
    wire = beyond.begin(page_path("demo"))
    beyond.pass_time(PATIENCE - 0.1, wire)
    assert not wire.received
    beyond.pass_time(0.2, wire)
    (answer,) = wire.answers("GET")
    assert (answer.code, answer.headers["retry-after"]) == (503, "30")
    assert "not available" in answer.reason


def test_a_page_that_came_too_late_is_kept(beyond: Beyond) -> None:
    """Nobody waited any more when it came, and yet the next one who asks has it at once: the upstream is not asked again."""
    gate = beyond.upstream.hold(DEMO, at=50)
    wire = beyond.begin(page_path("demo"))
    beyond.pass_time(PATIENCE + 1, wire)
    assert wire.answers("GET")[0].code == 503
    gate.open()
    beyond.settle()
    assert (origin(beyond.page())[0], beyond.upstream.asked()) == ("hit", 1)


@pytest.mark.parametrize("at", [-1, 50], ids=["before its head", "in its body"])
def test_a_slow_page_is_answered_with_an_older_one_within_ten_seconds(beyond: Beyond, at: int) -> None:
    """What it said before is given with `Warning` and its age; and who asks in the next half minute does not wait (hardening row 52)."""
    before = beyond.page().json
    beyond.upstream.add(wheel("demo", "3.0"))
    beyond.pass_time(FRESH)
    beyond.upstream.hold(DEMO, at=at)
    wire = beyond.begin(page_path("demo"), headers={"Accept": JSON})
    beyond.pass_time(PATIENCE - 0.1, wire)
    assert not wire.received
    beyond.pass_time(0.2, wire)
    (answer,) = wire.answers("GET")
    assert (answer.code, answer.json, origin(answer)) == (200, before, ("stale", "310", True))
    assert answer.headers["warning"] == '110 - "Response is Stale"'
    beyond.pass_time(RESPITE - 5)
    assert origin(beyond.page(accept=HTML)) == ("stale", "335", True)


def test_several_slow_upstreams_take_no_longer_than_one(start: Start) -> None:
    """The ten seconds are for all that are asked in turn, so that clients do not give up before there is an answer."""
    second = ("second", UpstreamIndex(url="http://second.test/simple/", priority=1))
    beyond = start(config=configured(more=[second]))
    other = FakeUpstream()
    beyond.network.serve(other.site(beyond.network), "second.test")
    gate = beyond.upstream.hold("/simple/nowhere/")
    other.hold("/simple/nowhere/")
    wire = beyond.begin(page_path("nowhere"))
    beyond.pass_time(8, wire)
    gate.open()
    beyond.settle(wire)
    assert not wire.received
    beyond.pass_time(PATIENCE - 8 + 0.1, wire)
    assert wire.answers("GET")[0].code == 503


# --- an upstream that fails ---


@pytest.mark.parametrize("code", [401, 403, 429, 500, 502, 503])
def test_an_upstream_that_refuses_or_fails_is_no_404(beyond: Beyond, code: int) -> None:
    """With nothing older it is 503 with a numeric `Retry-After`, the upstream's own if any; with something older that is given."""
    beyond.upstream.on("/simple/other/", status(code))
    beyond.upstream.on("/simple/later/", status(code, retry_after=7))
    beyond.page()
    answers = [beyond.page(name) for name in ("other", "later")]
    assert [(answer.code, answer.headers["retry-after"]) for answer in answers] == [(503, "30"), (503, "7")]
    beyond.pass_time(FRESH)
    beyond.upstream.on(DEMO, status(code))
    assert (beyond.page().code, origin(beyond.page())) == (200, ("stale", "300", True))


def test_an_upstream_that_failed_is_left_alone_for_a_while(beyond: Beyond) -> None:
    """While there are older pages to give, an upstream that failed is asked again after half a minute, not for each of them."""
    beyond.upstream.add(wheel("other"))
    for name in ("demo", "other"):
        beyond.page(name)
    beyond.pass_time(FRESH)
    beyond.upstream.on(DEMO, status(503))
    asked = beyond.upstream.asked()
    assert [origin(beyond.page(name))[0] for name in ("demo", "other")] == ["stale", "stale"]
    assert beyond.upstream.asked() == asked + 1
    beyond.pass_time(RESPITE - 1)
    assert origin(beyond.page("other"))[0] == "stale"
    beyond.pass_time(1)
    assert origin(beyond.page("other"))[0] == "miss"


def test_a_page_that_cannot_be_read_keeps_no_other_from_being_fresh(beyond: Beyond) -> None:
    """However often a broken page is asked for, other pages are asked for as ever."""
    beyond.upstream.on("/simple/broken/", instead(b"nothing", "text/plain"))
    beyond.page()
    beyond.pass_time(FRESH)
    assert beyond.page("broken").code == 502
    assert origin(beyond.page())[0] == "miss"


@pytest.mark.parametrize(
    "trouble",
    [cut(100), instead(b"{}", JSON), instead(b"%PDF", "application/pdf"), bomb(1 << 28), status(418)],
    ids=["broken off", "no list of files", "neither JSON nor HTML", "gzip bomb", "teapot"],
)
def test_an_answer_that_is_no_use_is_502(beyond: Beyond, trouble: object) -> None:
    """A page that breaks off, is none, or is too large (decoded) is 502 and not kept; an older one is given instead (hardening row 13)."""
    beyond.upstream.on(DEMO, trouble, times=1)  # type: ignore[arg-type] # a Trouble
    answer = beyond.page()
    assert (answer.code, "retry-after" in answer.headers) == (502, False)
    assert "upstream" in answer.reason
    assert (beyond.page().code, beyond.upstream.asked(DEMO)) == (200, 2)
    beyond.pass_time(FRESH)
    beyond.upstream.on(DEMO, trouble)  # type: ignore[arg-type] # likewise
    assert (beyond.page().code, origin(beyond.page())[0]) == (200, "stale")


@pytest.mark.parametrize("trouble", [gzipped(), typed("text/plain"), typed("")], ids=["gzip", "plain text", "no type"])
def test_an_odd_answer_that_can_be_read_is_read(beyond: Beyond, trouble: object) -> None:
    """What proxies do to encodings and types does not matter where the page can be told from its body (hardening rows 13, 16)."""
    beyond.upstream.on(DEMO, trouble)  # type: ignore[arg-type] # a Trouble
    assert set(beyond.files()) == {"demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl", "demo-2.0.tar.gz"}


def test_there_is_no_such_name_for_a_minute(beyond: Beyond) -> None:
    """A name the upstream has not is 404, is not asked for again for a minute, and is there as soon as that is over (hardening row 21)."""
    assert (beyond.page("new").code, beyond.upstream.asked()) == (404, 1)
    beyond.upstream.add(wheel("new"))
    beyond.pass_time(NEGATIVE - 1)
    assert (beyond.page("new").code, beyond.upstream.asked()) == (404, 1)
    beyond.pass_time(1)
    assert (beyond.page("new").code, beyond.upstream.asked()) == (200, 2)


def test_a_killed_upstream_is_given_as_it_was(beyond: Beyond) -> None:
    """Without its upstream, and after a restart, the registry gives pages for `stale_for` (7 days), and then says that it cannot know."""
    before = beyond.page().json
    beyond.restart()
    assert (origin(beyond.page())[0], beyond.upstream.asked()) == ("hit", 1)
    beyond.kill()
    beyond.restart()
    beyond.pass_time(STALE - 3)
    answer = beyond.page()
    assert (answer.json, answer.headers["x-cache"]) == (before, "stale")
    beyond.pass_time(RESPITE + 3)
    assert beyond.page().code == 503
    assert beyond.page("unknown").code == 503


@pytest.mark.parametrize("how", ["quarantined", "removed"])
def test_an_older_page_brings_nothing_back(beyond: Beyond, how: str) -> None:
    """What the upstream has quarantined or removed stays away when the upstream is dead, page and files (hardening row 20)."""
    built = wheel("demo", "1.0")
    assert beyond.ask(file_path(built)).code == 200
    if how == "quarantined":
        beyond.upstream.mark("demo", "quarantined", "malware")
    else:
        beyond.upstream.remove("demo")
    beyond.pass_time(FRESH)
    after = beyond.page()
    beyond.kill()
    for seconds in (1, 59, 600):
        beyond.pass_time(seconds)
        page, file = beyond.page(), beyond.ask(file_path(built))
        if how == "quarantined":
            assert (page.code, page.json["files"], page.json) == (200, [], after.json)
            assert (file.code, "quarantine" in file.reason) == (403, True)
        else:
            assert (page.code, file.code) in {(404, 404), (503, 503)}


def test_a_page_is_asked_for_again_as_before(beyond: Beyond) -> None:
    """With the ETag that came, and the same `Accept` and coding whoever asks: 304 makes it as new, another ETag replaces it (row 14)."""
    first = beyond.page(accept=HTML, Accept_Encoding="br")
    for _ in range(2):
        beyond.pass_time(FRESH)
        assert (beyond.page(accept=HTML).body, origin(beyond.page())[1]) == (first.body, "0")
    beyond.upstream.add(wheel("demo", "3.0"))
    beyond.pass_time(FRESH)
    assert "demo-3.0-py3-none-any.whl" in beyond.files()
    sent = [asked.headers for asked in beyond.upstream.requests]
    assert len(sent) == 4
    assert len({(headers["accept"], headers["accept-encoding"]) for headers in sent}) == 1
    assert ["if-none-match" in headers for headers in sent] == [False, True, True, True]
    assert len({headers.get("if-none-match") for headers in sent[1:]}) == 1


# --- what does not get through ---


@pytest.mark.parametrize("html", [False, True])
def test_markup_of_an_upstream_stays_text(start: Start, html: bool) -> None:
    """Whatever an upstream writes into a page, ours has no element, attribute or base of it, and all else of it (hardening row 8)."""
    upstream = FakeUpstream(style=Style(json=not html, base="http://index.test/files/demo/" if html else "", href="relative"))
    upstream.add(wheel("demo"), yanked=MARKUP, requires_python=f">=3{MARKUP}")
    upstream.add(wheel("demo", "2.0"), filename=MARKUP)
    upstream.add(wheel("demo", "3.0"))
    upstream.mark("demo", "archived", MARKUP)
    beyond = start(upstream)
    page = beyond.page(accept=HTML).text
    assert "demo-1.0-py3-none-any.whl" in page
    assert "demo-3.0-py3-none-any.whl" in page
    for harm in ("<script", "<base", "alert(1)>", "'\">"):
        assert harm not in page.lower()
    assert page.count("<a ") == page.count("</a>") == (3 if html else 2)  # of HTML the text of a link does not matter


@pytest.mark.parametrize(
    "there",
    [
        "http://127.0.0.1/simple/demo/",
        "http://169.254.169.254/latest/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://0x7f.1/",
        "http://inside.test/",
    ],
)
def test_a_page_that_leads_inside_is_502(beyond: Beyond, there: str) -> None:
    """A redirect to an address that is not public, by any spelling or name, is refused before anything is connected (hardening row 10)."""
    beyond.network.names["inside.test"] = ["192.168.0.5"]
    beyond.upstream.on(DEMO, redirect(there))
    answer = beyond.page()
    assert answer.code == 502
    assert {address for address, _ in beyond.network.attempts} == set(beyond.network.names["index.test"])


@pytest.mark.parametrize("there", ["file:///etc/passwd", "FILE:///etc/passwd", "ftp://index.test/", "gopher://index.test/", "javascript:1"])
def test_a_page_that_leads_to_another_scheme_is_502(beyond: Beyond, there: str) -> None:
    """Only http and https are gone to, by the parsed scheme and in any case (hardening row 10)."""
    beyond.upstream.on(DEMO, redirect(there))
    assert beyond.page().code == 502
    assert len(beyond.network.attempts) == 1


@pytest.mark.parametrize(
    "query", ["?url=http://evil.test/", "?redirect=http://evil.test/", "?format=http://evil.test/", "?index=http://evil.test/"]
)
def test_clients_do_not_say_where_to_ask(beyond: Beyond, query: str) -> None:
    """What is fetched, and from where, is said by configuration and pages alone, never by a request (hardening row 9)."""
    beyond.network.serve(FakeUpstream().site(beyond.network), "evil.test")
    headers = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "Referer": "http://evil.test/"}
    assert beyond.ask(page_path("demo") + query, headers=headers).code in {200, 406}
    assert beyond.ask(file_path(wheel("demo")) + query, headers=headers).code == 200
    assert beyond.network.lookups.count("evil.test") == 0
    assert not beyond.upstream.mentions("evil")


def test_what_clients_send_goes_no_further(beyond: Beyond) -> None:
    """Tokens, cookies, addresses and agents of clients are not told to the upstream (hardening row 11)."""
    sent = {"Cookie": "a=secret", "User-Agent": "secret", "X-Forwarded-For": "secret", "If-None-Match": '"secret"', "Range": "bytes=0-1"}
    beyond.page(**{name.replace("-", "_"): said for name, said in sent.items()})
    beyond.ask(file_path(wheel("demo")), headers=sent)
    assert beyond.upstream.asked() == 2
    for word in ("secret", beyond.token, "cookie", "authorization", "forwarded", "range", "root"):
        assert not beyond.upstream.mentions(word)


def test_credentials_are_for_their_origin_alone(start: Start) -> None:
    """User and password go to the configured origin, and neither where it redirects nor to the host that its files are on (row 11)."""
    upstream, elsewhere = FakeUpstream(credentials=("me", "hunter2"), files_url="http://files.test"), FakeUpstream()
    for one in (upstream, elsewhere):
        one.add(wheel("demo"), wheel("moved"))
    beyond = start(upstream, configured(username="me", password=Secret("hunter2")))
    beyond.network.serve(elsewhere.site(beyond.network), "files.test")
    assert beyond.ask(file_path(wheel("demo"))).code == 200
    upstream.on("/simple/moved/", redirect("http://files.test/simple/moved/"))
    assert beyond.page("moved").code == 200
    assert all("authorization" in asked.headers for asked in upstream.requests)
    assert elsewhere.asked() == 2
    assert not any("authorization" in asked.headers for asked in elsewhere.requests)


# --- kinds of indexes and modes ---


@pytest.mark.parametrize("href", ["relative", "rooted", "absolute"])
def test_an_index_of_html_alone_will_do(start: Start, href: str) -> None:
    """An index without JSON (PEP 503) offers the same files under our addresses, with what it tells, and they can be had."""
    upstream = FakeUpstream(style=Style(json=False, href=href))
    upstream.add(wheel("demo", requires_python=">=3.8"), requires_python=">=3.8")
    beyond = start(upstream)
    (entry,) = beyond.files().values()
    built = wheel("demo", requires_python=">=3.8")
    assert (entry["hashes"], entry["requires-python"], entry["core-metadata"]["sha256"]) == (
        {"sha256": built.sha256},
        ">=3.8",
        built.blobs[0 if built.blobs[1] == built.sha256 else 1],
    )
    assert path_in(entry["url"]) == file_path(built)
    assert beyond.ask(path_in(entry["url"])).body == built.content


def test_a_flat_directory_will_do(start: Start) -> None:
    """A web server's list of files, without a page per name, offers each name its files and no others'; a name it has none of is 404."""
    upstream = FakeUpstream(style=Style(flat=True, json=False, metadata=False, times=False))
    upstream.add(wheel("demo"), sdist("demo"), wheel("other"))
    beyond = start(upstream, configured(url="http://index.test/files/"))
    assert set(beyond.files()) == {"demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"}
    assert beyond.ask(file_path(wheel("other"))).body == wheel("other").content
    assert beyond.page("third").code == 404


def test_the_first_index_that_has_a_name_counts(start: Start) -> None:
    """Several indexes are asked by priority, each only for the names it is for, and never two are mixed."""
    more = [
        ("late", UpstreamIndex(url="http://late.test/simple/", priority=9)),
        ("early", UpstreamIndex(url="http://early.test/simple/", priority=-1, names=("torch*",))),
    ]
    beyond = start(config=configured(more=more))
    late, early = FakeUpstream(), FakeUpstream()
    for host, upstream in (("late.test", late), ("early.test", early)):
        beyond.network.serve(upstream.site(beyond.network), host)
    late.add(wheel("demo", "9.0"), wheel("torch", "9.0"), wheel("rare", "9.0"))
    early.add(wheel("torch", "1.0"), wheel("demo", "1.0"), wheel("rare", "1.0"))
    assert set(beyond.page("demo").json["versions"]) == {"1.0", "2.0"}
    assert beyond.page("torch").json["versions"] == ["1.0"]
    assert beyond.page("rare").json["versions"] == ["9.0"]
    assert (late.asked(), early.asked(), beyond.upstream.asked()) == (1, 1, 2)
    assert {entry["_source"]["upstream"] for entry in beyond.files("rare").values()} == {"late"}
    assert not early.mentions("demo")


def test_an_index_that_fails_is_not_passed_over(start: Start) -> None:
    """While the first index cannot be asked the second is not, for it might have a stranger's files under the name."""
    beyond = start(config=configured(more=[("late", UpstreamIndex(url="http://late.test/simple/", priority=9))]))
    late = FakeUpstream()
    late.add(wheel("demo", "9.0"))
    beyond.network.serve(late.site(beyond.network), "late.test")
    beyond.upstream.on(DEMO, status(503))
    assert (beyond.page().code, late.asked()) == (503, 0)


def test_clients_can_be_sent_there(start: Start) -> None:
    """In mode `redirect` a name that is not held is 302 to the upstream's own page, and one that is ours never is."""
    beyond = start(config=configured(mode="redirect"))
    assert beyond.registry.upload(1, wheel("ours")).code == 201
    answer = beyond.page("Demo")
    assert (answer.code, answer.headers["location"], answer.headers["cache-control"]) == (302, "http://index.test/simple/demo/", "no-store")
    assert (beyond.page("ours").code, "location" in beyond.page("ours").headers) == (200, False)
    assert beyond.page("ours", place="projects/1").headers["x-cache"] == "local"
    assert beyond.upstream.asked() == 0


def test_clients_are_sent_to_a_later_index_only_for_want_of_an_earlier(start: Start) -> None:
    """A redirecting index behind another one is where clients are sent for the names that the first has not."""
    later = ("later", UpstreamIndex(url="http://later.test/simple/", mode="redirect", priority=5))
    beyond = start(config=configured(more=[later]))
    assert beyond.page().code == 200
    answer = beyond.page("other")
    assert (answer.code, answer.headers["location"]) == (302, "http://later.test/simple/other/")


def test_an_index_that_is_off_is_not_asked(start: Start) -> None:
    """In mode `off` there is no other index: a name that is not held is 404, and nobody is connected to."""
    beyond = start(config=configured(mode="off"))
    assert (beyond.page().code, beyond.ask(file_path(wheel("demo"))).code) == (404, 404)
    assert beyond.network.attempts == []


def test_switching_forwarding_off_hides_what_is_kept(beyond: Beyond) -> None:
    """From the very next request pages and files that came from the upstream are 404, ready answers included; and back again."""
    built = wheel("demo")

    def codes() -> set[int]:
        return {
            beyond.page().code,
            beyond.page(accept=HTML).code,
            beyond.ask(file_path(built)).code,
            beyond.ask(file_path(built), "HEAD").code,
        }

    assert [codes() for _ in range(3)] == [{200}] * 3
    for switched, code in ((False, 404), (True, 200), (False, 404)):
        headers = [("Content-Type", "application/json"), ("PRIVATE-TOKEN", beyond.token)]
        body = b'{"pypi_package_requests_forwarding": %s}' % (b"true" if switched else b"false")
        assert beyond.registry.ask("PUT", "/api/v4/projects/1", headers, body).code == 200
        assert [codes() for _ in range(2)] == [{code}] * 2
    assert beyond.upstream.asked() == 2


def test_a_large_page_is_given_whole(start: Start) -> None:
    """A page of 5,000 files comes through with every file of it, once."""
    upstream = FakeUpstream()
    upstream.add_many("many", 5000)
    beyond = start(upstream)
    assert len(beyond.files("many")) == 5000
    assert large().filename not in beyond.files("many")
