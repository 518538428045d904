"""What a package requires comes from upstream while the client still reads that it does."""

from datetime import timedelta
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel

from registry.config import Curation, Names
from registry.domain.access import Role
from registry.domain.audit import Search
from registry.domain.forwarding import Switch, Turn
from registry.testing import NOON, OPERATOR, Built, FakeUpstream, done, wheel
from registry.testing.troubles import status
from registry.workflows.ahead import AGAIN, SMALL
from tests.beyond import Beyond, configured, file_path, large
from tests.conftest import Start

LEAF, OLD_LEAF, DEEP = wheel("leaf", "2.0", requires=["deep"]), wheel("leaf", "1.0"), wheel("deep")
ROOT = wheel("root", "1.0", requires=["leaf", "nowhere>=1", 'extra-leaf; extra == "more"'])
METADATA = ".metadata"


def stocked(start: Start, *built: Built, **settings: Any) -> Beyond:
    """A registry beside an upstream that has these files."""
    upstream = FakeUpstream()
    upstream.add(*(built or (ROOT, OLD_LEAF, LEAF, DEEP, wheel("extra-leaf"))))
    return start(upstream, configured(**settings))


def read(beyond: Beyond, built: Built = ROOT, **more: Any) -> None:
    """Let a client read what a package requires."""
    assert beyond.ask(file_path(built) + METADATA, **more).code == 200
    beyond.settle()


def asked_for(beyond: Beyond) -> set[str]:
    """What the upstream was asked for, by what comes last in the address."""
    return {one.path.strip("/").rpartition("/")[2] for one in beyond.upstream.requests}


def test_what_is_required_is_here_before_it_is_asked_for(start: Start) -> None:
    """Page, core metadata and wheel of what a package requires are hits to the client that asks for them next, and cost no question."""
    beyond = stocked(start)
    read(beyond)
    before = sum("leaf" in one.path for one in beyond.upstream.requests)
    page = beyond.page("leaf")
    assert (page.code, page.headers["x-cache"], len(page.json["files"])) == (200, "hit", 2)
    for ending, content in ((METADATA, LEAF.metadata), ("", LEAF.content)):
        answer = beyond.ask(file_path(LEAF) + ending)
        assert (answer.headers["x-cache"], answer.body == content) == ("hit", True)
    assert sum("leaf" in one.path for one in beyond.upstream.requests) == before == 3


def test_no_more_is_read_than_a_step(start: Start) -> None:
    """What the required requires is not asked for before a client has read that itself; what only an extra requires is not at all."""
    beyond = stocked(start)
    read(beyond)
    assert asked_for(beyond) == {"root", ROOT.filename + METADATA, "leaf", "nowhere", LEAF.filename, LEAF.filename + METADATA}
    read(beyond, LEAF)
    assert "deep" in asked_for(beyond)


def test_what_our_packages_require_is_read_ahead_too(start: Start) -> None:
    """A client that reads what a package of ours requires does not wait for upstream either."""
    beyond = stocked(start, LEAF)
    assert beyond.registry.upload(1, ROOT).code == 201
    read(beyond)
    assert beyond.page("leaf").headers["x-cache"] == "hit"
    assert not beyond.upstream.mentions("root")


def test_names_of_ours_are_not_read_ahead(start: Start) -> None:
    """A required name that is published elsewhere here, or reserved, is never heard of upstream (hardening rows 22 and 24)."""
    root = wheel("root", "1.0", requires=["secret", "acme-tool", "leaf"])
    beyond = stocked(start, root, LEAF, wheel("secret", "9.0"), wheel("acme-tool"), names=Names(reserved=("acme-*",)))
    beyond.registry.project("root/hidden")
    assert beyond.registry.upload("root%2Fhidden", wheel("secret")).code == 201
    before = len(beyond.upstream.requests)
    read(beyond, root)
    assert beyond.upstream.asked("/simple/leaf/") == 1
    asked = beyond.upstream.requests[before:]
    assert not [one for one in asked if "secret" in one.path or "acme" in one.path]


def test_where_nobody_may_be_asked_nothing_is_read_ahead(start: Start) -> None:
    """A project whose switch is off asks for nothing, whatever its packages require."""
    beyond = stocked(start, LEAF)
    assert beyond.registry.upload(1, ROOT).code == 201
    done(beyond.registry.store.forwarding.switch("project", 1, Turn(switch=Switch.OFF), OPERATOR))
    read(beyond)
    assert beyond.upstream.requests == []


def test_nothing_is_read_ahead_where_that_is_off(start: Start) -> None:
    """With `ahead = no` the upstream is asked for nothing but what a client asks for."""
    beyond = stocked(start, ahead=False)
    read(beyond)
    assert asked_for(beyond) == {"root", ROOT.filename + METADATA}


def test_what_is_not_kept_is_not_fetched_ahead(start: Start) -> None:
    """In mode `stream` pages are read ahead, which are kept, and no files, which would come in vain."""
    beyond = stocked(start, mode="stream")
    read(beyond)
    assert asked_for(beyond) == {"root", ROOT.filename + METADATA, "leaf", "nowhere"}


def test_the_policy_decides_what_is_read_ahead(start: Start) -> None:
    """A version that the policy keeps back is not fetched, and that it was is no refusal: what is fetched is the newest that it lets in."""
    upstream = FakeUpstream()
    upstream.add(ROOT, OLD_LEAF)
    upstream.add(LEAF, uploaded_at=NOON - timedelta(days=1))
    beyond = start(upstream, configured(curation=Curation(min_age=timedelta(days=7).total_seconds())))
    read(beyond)
    assert asked_for(beyond) == {"root", ROOT.filename + METADATA, "leaf", "nowhere", OLD_LEAF.filename, OLD_LEAF.filename + METADATA}
    done(beyond.registry.parts.refusals.flush())
    assert done(beyond.registry.store.audit.entries(Search(action="policy.refuse"), 10)) == []


@pytest.mark.parametrize(("size", "fetched"), [(SMALL, True), (SMALL + 1, False)])
def test_only_small_wheels_are_read_ahead(start: Start, size: int, fetched: bool) -> None:
    """A wheel of 256 KiB is fetched before anybody wants it, one of a byte more is not; its core metadata is either way."""
    leaf = large("leaf", size)
    beyond = stocked(start, ROOT, leaf)
    read(beyond)
    assert (leaf.filename in asked_for(beyond), leaf.filename + METADATA in asked_for(beyond)) == (fetched, True)


def test_a_client_that_is_as_fast_asks_with_it(start: Start) -> None:
    """Who asks for a page that is being read ahead waits for that same answer: it is asked for once (hardening row 52)."""
    beyond = stocked(start)
    gate = beyond.upstream.hold("/simple/leaf/")
    read(beyond)
    waiting = beyond.begin("/api/v4/projects/1/packages/pypi/simple/leaf/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    assert waiting.received == b""
    gate.open()
    beyond.settle(waiting)
    assert waiting.answers("GET")[0].code == 200
    assert beyond.upstream.asked("/simple/leaf/") == 1


def test_it_is_not_read_again_at_once(start: Start) -> None:
    """Fifty clients that install the same cause one reading; after five minutes pages are confirmed before the next asks for them."""
    beyond = stocked(start)
    for _ in range(50):
        read(beyond)
    assert beyond.upstream.asked("/simple/leaf/") == 1
    beyond.pass_time(AGAIN.total_seconds())
    read(beyond)
    assert beyond.upstream.asked("/simple/leaf/") == 2


def test_what_goes_wrong_ahead_is_nobodys_trouble(start: Start, log_events: list[LogEvent]) -> None:
    """An upstream that fails fails whoever asks for the page himself, and nobody before; the log has no error."""
    beyond = stocked(start)
    beyond.upstream.on("/simple/leaf/", status(500))
    read(beyond)
    assert beyond.upstream.asked("/simple/leaf/") > 0
    assert [event for event in log_events if event["log_level"] >= LogLevel.error] == []
    assert beyond.page("leaf").code == 503


def test_what_may_not_be_read_is_not_read_ahead_for_anybody(start: Start) -> None:
    """Who is refused the metadata causes no question."""
    beyond = stocked(start)
    beyond.registry.user("eve")
    beyond.registry.group("team")
    beyond.registry.project("team/app")
    beyond.registry.member("team", "eve", Role.GUEST)
    token = beyond.registry.token("eve", "api")
    assert beyond.ask(file_path(ROOT) + METADATA, token=token).code in {403, 404}
    assert beyond.upstream.requests == []


def test_a_stop_waits_for_nothing_that_is_read_ahead(start: Start) -> None:
    """A registry that stops while its upstream keeps it waiting asks for nothing more."""
    names = [f"leaf-{number}" for number in range(20)]
    root = wheel("root", "1.0", requires=names)
    beyond = stocked(start, root, *(wheel(name) for name in names))
    gates = [beyond.upstream.hold(f"/simple/{name}/") for name in names]
    read(beyond, root)
    before = sum(beyond.upstream.asked(f"/simple/{name}/") for name in names)
    assert 0 < before < len(names), "so many are asked for at once, and no more"
    assert beyond.registry.parts.ahead is not None
    beyond.registry.parts.ahead.stop()
    for gate in gates:
        gate.open()
    beyond.settle()
    assert sum(beyond.upstream.asked(f"/simple/{name}/") for name in names) == before
