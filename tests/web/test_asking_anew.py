"""Clients that insist: `Cache-Control: no-cache` has upstreams asked again about a page, now and then."""

from collections.abc import Mapping

import pytest

from registry.config import Names
from registry.testing import FakeUpstream, request, wheel
from registry.testing.troubles import HTML, JSON, status
from tests.beyond import Beyond, configured, page_path
from tests.conftest import Start
from tests.web.readiness import Asking

DEMO = "/simple/demo/"
ANEW = {"Cache-Control": "no-cache"}
JUST_NOW, RESPITE = 5, 30


def versions(beyond: Beyond, headers: Mapping[str, str] | None = None, place: str = "projects/1") -> list[str]:
    """The versions on the page of demo."""
    answer = beyond.ask(page_path("demo", place), headers={"Accept": JSON, **(headers or {})})
    assert answer.code == 200, answer
    return list(answer.json["versions"])


def test_a_new_name_is_seen_at_once(start: Start) -> None:
    """That there is no such name is believed for a minute, but for who insists; what he brings about is there for all (row 21)."""
    beyond = start(FakeUpstream())
    assert beyond.page().code == 404
    beyond.upstream.add(wheel("demo"))
    beyond.pass_time(JUST_NOW)
    assert [beyond.page(cache_control="no-cache").code, beyond.upstream.asked(DEMO)] == [404, 1]
    beyond.pass_time(0.01)
    assert beyond.page().code == 404
    answer = beyond.page(cache_control="no-cache")
    assert (answer.code, answer.headers["x-cache"], beyond.upstream.asked(DEMO)) == (200, "miss", 2)
    assert [beyond.page(accept=kind).code for kind in (JSON, HTML)] == [200, 200]
    assert beyond.upstream.asked(DEMO) == 2


def test_a_new_file_is_seen_at_once(beyond: Beyond) -> None:
    """Who insists has what the upstream says now, and from then on so has everybody, in every place and representation (rows 14, 21)."""
    beyond.registry.project("root/other")
    places = ("projects/1", "projects/2")
    for _ in range(3):
        for place in places:
            assert "3.0" not in versions(beyond, place=place)
            beyond.page(place=place, accept=HTML)
    beyond.upstream.add(wheel("demo", "3.0"))
    beyond.pass_time(JUST_NOW + 1)
    assert "3.0" not in versions(beyond)
    assert "3.0" in versions(beyond, ANEW)
    assert ["3.0" in versions(beyond, place=place) for place in places] == [True, True]
    assert all("demo-3.0" in beyond.page(place=place, accept=HTML).text for place in places)
    assert beyond.upstream.asked() == 2


def test_a_name_that_is_gone_is_gone_at_once(beyond: Beyond) -> None:
    """What the upstream has taken down is 404 to who insists, and then to all (hardening row 20)."""
    beyond.page()
    beyond.page(accept=HTML)
    beyond.upstream.remove("demo")
    beyond.pass_time(JUST_NOW + 1)
    assert (beyond.page().code, beyond.page(cache_control="no-cache").code) == (200, 404)
    assert (beyond.page().code, beyond.page(accept=HTML).code) == (404, 404)


@pytest.mark.parametrize("name", ["demo", "nowhere"])
def test_insisting_does_not_hammer(beyond: Beyond, name: str) -> None:
    """However many insist, however often, the upstream is asked about a name once in five seconds (hardening row 21)."""
    beyond.registry.project("root/other")
    gate = beyond.upstream.hold(f"/simple/{name}/")
    asked = []
    for _ in range(4):
        places = ("projects/1", "projects/2")
        wires = [beyond.begin(page_path(name, places[number % 2]), headers={**ANEW, "Accept": JSON}) for number in range(20)]
        gate.open()
        beyond.settle(*wires)
        assert {wire.answers("GET")[0].code for wire in wires} == {200 if name == "demo" else 404}
        for _ in range(5):
            beyond.page(name, cache_control="no-cache")
            beyond.pass_time(1)
        asked.append(beyond.upstream.asked())
        beyond.pass_time(0.01)
    assert asked == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("said", "insists"),
    [
        ([], False),
        (["max-age=0"], False),
        (["no-store"], False),
        (["no-cachet"], False),
        (["x=no-cache"], False),
        ([""], False),
        (["no-cache"], True),
        (["No-Cache"], True),
        (["max-age=0, no-cache"], True),
        (["no-cache", "max-age=0"], True),
    ],
    ids=str,
)
def test_who_insists(beyond: Beyond, said: list[str], *, insists: bool) -> None:
    """Only `no-cache` counts, in any case and company: pip's `max-age=0` with every page would leave nothing of the cache."""
    beyond.page()
    beyond.pass_time(JUST_NOW + 1)
    answer = beyond.ask(page_path("demo"), headers=[("Cache-Control", value) for value in said])
    assert (answer.headers["x-cache"], beyond.upstream.asked()) == (("miss", 2) if insists else ("hit", 1))
    assert "warning" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ready_answers_are_not_for_who_insists(beyond: Beyond, method: str) -> None:
    """Who insists is never given a ready answer, nor does his become one, though it is the same to the byte (hardening row 21)."""
    asking = Asking(beyond.registry)
    head = {"PRIVATE-TOKEN": beyond.token, "Accept": JSON}
    plain, anew = request(method, page_path("demo"), head), request(method, page_path("demo"), {**head, **ANEW})
    beyond.page()
    asking.learned(plain)
    known = len(beyond.registry.site.ready)
    for _ in range(4):
        parsed = asking.parsed
        asking.get(anew)
        assert asking.parsed == parsed + 1
    assert len(beyond.registry.site.ready) == known
    assert asking.ready(plain)


def test_a_page_of_ours_is_what_it_is(beyond: Beyond) -> None:
    """Insisting on a name that is ours, is reserved, or may not be asked about where one is, asks nobody (hardening row 24)."""
    assert beyond.registry.upload(1, wheel("ours"), token=beyond.token).code == 201
    body = b'{"pypi_package_requests_forwarding": false}'
    closed = beyond.registry.project("root/closed").id
    headers = [("Content-Type", "application/json"), ("PRIVATE-TOKEN", beyond.token)]
    assert beyond.registry.ask("PUT", f"/api/v4/projects/{closed}", headers, body).code == 200
    for _ in range(3):
        answer = beyond.page("ours", cache_control="no-cache")
        assert (answer.code, answer.headers["x-cache"]) == (200, "local")
        assert beyond.page(place=f"projects/{closed}", cache_control="no-cache").code == 404
        assert beyond.ask(page_path("demo"), token="glpat-wrong", headers=ANEW).code == 401
        beyond.pass_time(JUST_NOW + 1)
    assert beyond.upstream.asked() == 0


def test_a_reserved_name_is_not_asked_about_by_insisting(start: Start) -> None:
    """A reserved name stays one (hardening row 24)."""
    beyond = start(config=configured(names=Names(reserved=("demo",))))
    assert (beyond.page(cache_control="no-cache").code, beyond.upstream.asked()) == (404, 0)


# --- an upstream that fails ---


def test_who_insists_is_told_that_it_could_not_be_asked(beyond: Beyond) -> None:
    """He has the older page as stale, and again without another question for half a minute; to all others it is what it was."""
    before = versions(beyond)
    beyond.pass_time(JUST_NOW + 1)
    beyond.upstream.on(DEMO, status(503))
    for _ in range(3):
        answer = beyond.page(cache_control="no-cache")
        assert (answer.code, answer.headers["x-cache"], "warning" in answer.headers) == (200, "stale", True)
        assert answer.json["versions"] == before
        other = beyond.page()
        assert (other.headers["x-cache"], "warning" in other.headers) == ("hit", False)
        beyond.pass_time(JUST_NOW + 1)
    assert beyond.upstream.asked() == 2
    beyond.upstream.calm()
    beyond.pass_time(RESPITE)
    assert beyond.page(cache_control="no-cache").headers["x-cache"] == "miss"


def test_who_insists_on_a_name_that_was_not_there_is_told_that_nobody_knows(beyond: Beyond) -> None:
    """It is 503, not 404, again and again without another question; who does not insist believes the last minute's answer."""
    assert beyond.page("new").code == 404
    beyond.pass_time(JUST_NOW + 1)
    beyond.upstream.on("/simple/new/", status(500))
    for _ in range(3):
        answer = beyond.page("new", cache_control="no-cache")
        assert (answer.code, answer.headers["retry-after"]) == (503, "30")
        assert beyond.page("new").code == 404
        beyond.pass_time(JUST_NOW + 1)
    assert beyond.upstream.asked() == 2


def test_a_slow_upstream_is_not_waited_for_twice(beyond: Beyond) -> None:
    """Who insists waits ten seconds at most, then has the older page as stale; the next one does not wait (hardening row 52)."""
    beyond.page()
    beyond.pass_time(JUST_NOW + 1)
    beyond.upstream.hold(DEMO)
    wire = beyond.begin(page_path("demo"), headers=ANEW)
    beyond.pass_time(10.1, wire)
    assert wire.answers("GET")[0].headers["x-cache"] == "stale"
    assert beyond.page(cache_control="no-cache").headers["x-cache"] == "stale"
    assert beyond.upstream.asked() == 2
