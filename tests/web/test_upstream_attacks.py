"""Moments and inputs that somebody chooses to get a stranger's file under a name of ours, or more of this registry's time than is his."""

import pytest
from attrs import evolve
from twisted.logger import LogEvent, LogLevel

from registry.domain.forwarding import Switch, Turn
from registry.domain.names import Name
from registry.testing import OPERATOR, Built, FakeUpstream, done, sdist, wheel
from registry.testing.troubles import Gate, status
from registry.testing.upstream import Style
from registry.testing.wire import Answer, Wire
from registry.workflows.transfer import NEARLY
from tests.beyond import JSON, Beyond, configured, file_path, large, page_path
from tests.conftest import Start

BARE = Style(json=False, metadata=False, times=False, etags=False, modified=True)
METADATA = ".metadata"
STRANGERS, OURS = wheel("demo", "99.0"), wheel("demo", "1.0")


def held(start: Start, path: str, *built: Built, style: Style | None = None) -> tuple[Beyond, Gate]:
    """A registry beside an upstream that has these files, and answers below `path` when the gate is opened."""
    upstream = FakeUpstream(style=style or Style())
    upstream.add(*(built or (STRANGERS,)))
    gate = upstream.hold(path)
    return start(upstream, configured(), fills=style is not None), gate


def answered(beyond: Beyond, gate: Gate, wire: Wire) -> tuple[Answer, list[str]]:
    """The answer to what was asked before, once upstream goes on; and what that was asked for meanwhile."""
    before = len(beyond.upstream.requests)
    gate.open()
    beyond.settle(wire)
    (answer,) = wire.answers("GET")
    return answer, [one.path for one in beyond.upstream.requests[before:]]


@pytest.mark.parametrize("accept", [JSON, "text/html"])
def test_who_waits_for_a_page_of_a_name_that_becomes_ours_is_given_ours(start: Start, accept: str) -> None:
    """A page that upstream sends after the name was published here is given to nobody who was waiting for it (hardening rows 22 and 23)."""
    beyond, gate = held(start, "/simple/demo/")
    waiting = beyond.begin(page_path("demo"), headers={"Accept": accept})
    assert beyond.registry.upload(1, OURS).code == 201
    answer, asked = answered(beyond, gate, waiting)
    assert (answer.code, b"99.0" in answer.body, b"demo-1.0" in answer.body, asked) == (200, False, True, [])
    assert answer.headers["x-cache"] == "local"


def test_who_waits_for_a_page_elsewhere_is_told_nothing(start: Start) -> None:
    """Published in a project that he does not see, the name is 404 to who was waiting for upstream's page of it (hardening row 22)."""
    beyond, gate = held(start, "/simple/demo/")
    beyond.registry.project("root/hidden")
    waiting = beyond.begin(page_path("demo"))
    assert beyond.registry.upload("root%2Fhidden", OURS).code == 201
    answer, asked = answered(beyond, gate, waiting)
    assert (answer.code, asked) == (404, [])


def test_who_waits_for_an_explanation_of_a_name_that_becomes_ours_is_told_of_ours(start: Start) -> None:
    """What an upstream has of the name is not explained to anybody once the name was published here (hardening row 22)."""
    beyond, gate = held(start, "/simple/demo/")
    waiting = beyond.begin("/api/v4/projects/1/packages/pypi/explain/demo")
    assert len(beyond.upstream.requests) == 1
    assert beyond.registry.upload(1, OURS).code == 201
    answer, _ = answered(beyond, gate, waiting)
    assert (answer.json["standing"], [file["filename"] for file in answer.json["files"]]) == ("ours", [OURS.filename])


@pytest.mark.parametrize("ending", ["", METADATA])
@pytest.mark.parametrize("where", ["/simple/demo/", "/files/demo/"])
def test_who_waits_for_a_file_of_a_name_that_becomes_ours_is_refused(start: Start, ending: str, where: str) -> None:
    """Its bytes, or its metadata's, are neither asked for nor given once the name was published here (hardening row 22)."""
    beyond, gate = held(start, where)
    waiting = beyond.begin(file_path(STRANGERS) + ending)
    assert beyond.registry.upload(1, OURS).code == 201
    answer, asked = answered(beyond, gate, waiting)
    assert (answer.code, asked) == (404, [])


@pytest.mark.parametrize("ending", ["", METADATA])
def test_what_is_published_meanwhile_costs_a_file_of_another_name_nothing(start: Start, ending: str) -> None:
    """Who waits for a file while something else is published gets it, and upstream is asked for it once (hardening row 52)."""
    big = large("big", NEARLY + (1 << 17))
    beyond, gate = held(start, "/files/big/", big)
    waiting = beyond.begin(file_path(big) + ending)
    assert beyond.registry.upload(1, OURS).code == 201
    answer, _ = answered(beyond, gate, waiting)
    assert (answer.code, answer.body) == (200, big.metadata if ending else big.content)
    assert beyond.upstream.asked(f"/files/big/{big.filename}{ending}") == 1


def test_who_waits_where_forwarding_is_switched_off_is_told_nothing(start: Start) -> None:
    """A page that comes after the switch was turned off is not given to who was waiting for it in that place (hardening row 22)."""
    beyond, gate = held(start, "/simple/demo/")
    waiting = beyond.begin(page_path("demo"))
    done(beyond.registry.store.forwarding.switch("project", 1, Turn(switch=Switch.OFF), OPERATOR))
    assert answered(beyond, gate, waiting)[0].code == 404


def test_files_of_a_name_that_becomes_ours_are_looked_at_no_further(start: Start) -> None:
    """What upstream's index lacks is not asked for any more once the name is published here, and nothing is kept (hardening row 24)."""
    beyond, gate = held(start, "/files/demo/", *(wheel("demo", f"{number}.0") for number in range(2, 40)), style=BARE)
    assert beyond.page().code == 200
    beyond.settle()
    assert beyond.registry.upload(1, OURS).code == 201
    before = len(beyond.upstream.requests)
    gate.open()
    beyond.settle()
    assert beyond.upstream.requests[before:] == []
    assert done(beyond.registry.store.upstream.kept(Name("demo"))) == []


def test_files_of_a_page_that_comes_too_late_are_not_looked_at(start: Start) -> None:
    """Nothing of a name's files is asked where its page comes after the name was published here (hardening row 24)."""
    beyond, gate = held(start, "/simple/demo/", style=BARE)
    waiting = beyond.begin(page_path("demo"))
    assert beyond.registry.upload(1, OURS).code == 201
    assert answered(beyond, gate, waiting)[1] == []


def test_files_of_a_page_that_comes_while_another_name_is_published_are_looked_at(start: Start) -> None:
    """What is published meanwhile keeps nothing from being found out of names that nobody has here."""
    beyond, gate = held(start, "/simple/demo/", style=BARE)
    waiting = beyond.begin(page_path("demo"))
    assert beyond.registry.upload(1, wheel("other")).code == 201
    assert [path.rpartition("/")[2] for path in answered(beyond, gate, waiting)[1]] == [STRANGERS.filename]


def test_files_are_looked_at_no_further_once_a_switch_is_turned(start: Start) -> None:
    """Nothing is found out for places that may not ask any more; the next who may ask has it begun again (hardening row 22)."""
    beyond, gate = held(start, "/files/demo/", *(wheel("demo", f"{number}.0") for number in range(2, 40)), style=BARE)
    assert beyond.page().code == 200
    beyond.settle()
    done(beyond.registry.store.forwarding.switch("project", 1, Turn(switch=Switch.OFF), OPERATOR))
    before = len(beyond.upstream.requests)
    gate.open()
    beyond.settle()
    assert beyond.upstream.requests[before:] == []
    done(beyond.registry.store.forwarding.switch("project", 1, Turn(switch=Switch.ON), OPERATOR))
    beyond.pass_time(301)
    assert beyond.page().code == 200
    beyond.settle()
    assert all("size" in entry for entry in beyond.files().values())


def test_a_file_that_may_be_of_a_name_of_ours_is_forgotten_with_that(start: Start) -> None:
    """Given from memory before, a file whose name reads as one of ours in another way is 404 once that is published (hardening row 24)."""
    made = sdist("foo-1", "2")
    ambiguous = evolve(made, filename="foo-1-2.tar.gz")
    upstream = FakeUpstream()
    upstream.add(ambiguous)
    beyond = start(upstream, configured())
    assert [beyond.ask(file_path(ambiguous)).headers["x-cache"] for _ in range(2)] == ["miss", "hit"]
    assert beyond.registry.upload(1, wheel("foo", "0.1")).code == 201
    assert beyond.ask(file_path(ambiguous)).code == 404


def test_an_older_answer_does_not_come_after_a_newer(start: Start) -> None:
    """Of two answers to two questions about one name that of the later question counts for all, though it be there first."""
    upstream = FakeUpstream()
    upstream.add(OURS)
    gate = Gate()
    upstream.on("/simple/demo/", lambda reply: evolve(reply, gate=gate), times=1)
    beyond = start(upstream, configured())
    waiting = beyond.begin(page_path("demo"), headers={"Accept": JSON})
    upstream.add(STRANGERS)
    beyond.pass_time(6)
    assert len(beyond.page(cache_control="no-cache").json["files"]) == 2
    answer, _ = answered(beyond, gate, waiting)
    assert len(answer.json["files"]) == len(beyond.files()) == 2


def test_who_insists_joins_a_question_that_was_asked_a_moment_ago(start: Start) -> None:
    """Two questions about one name at once might be answered in the other order: no second is asked within five seconds of the first."""
    beyond, gate = held(start, "/simple/demo/")
    waiting = [beyond.begin(page_path("demo"), headers=headers) for headers in ({}, {"Cache-Control": "no-cache"}, {"Accept": JSON})]
    beyond.pass_time(5)
    waiting.append(beyond.begin(page_path("demo"), headers={"Cache-Control": "no-cache"}))
    gate.open()
    beyond.settle(*waiting)
    assert [wire.answers("GET")[0].code for wire in waiting] == [200] * 4
    assert beyond.upstream.asked("/simple/demo/") == 1


def test_a_file_that_came_while_its_page_was_asked_for_is_not_fetched_again(start: Start) -> None:
    """Who waits for a page to be confirmed, and wants a file that comes for somebody else meanwhile, gets that (hardening row 52)."""
    upstream = FakeUpstream()
    upstream.add(STRANGERS)
    beyond = start(upstream, configured(fresh_for=1.0))
    beyond.page()
    file = upstream.hold(f"/files/demo/{STRANGERS.filename}")
    first = beyond.begin(file_path(STRANGERS))
    beyond.pass_time(2, first)
    page = upstream.hold("/simple/demo/")
    second = beyond.begin(file_path(STRANGERS))
    file.open()
    beyond.settle(first)
    page.open()
    beyond.settle(second)
    assert [wire.answers("GET")[0].body == STRANGERS.content for wire in (first, second)] == [True, True]
    assert upstream.asked(f"/files/demo/{STRANGERS.filename}") == 1


def test_what_is_remembered_of_files_is_forgotten_with_them(start: Start) -> None:
    """However many files come by, no more is remembered of them than fits into the memory for files (hardening row 47)."""
    upstream = FakeUpstream()
    files = [wheel("demo", f"{number}.0") for number in range(60)]
    upstream.add(*files)
    beyond = start(upstream, configured())
    library = beyond.registry.library
    library._files.budget = 5000
    for built in files:
        assert beyond.ask(file_path(built)).code == 200
    remembered = len(library._files)
    assert 0 < remembered < 60
    assert sum(map(len, library._foreign_files.values())) == remembered


# --- reading ahead ---


def test_an_upstream_that_says_later_is_not_read_ahead(start: Start) -> None:
    """After 429 for one name the others that are required are not asked for for half a minute (hardening row 52)."""
    names = [f"leaf{number}" for number in range(60)]
    upstream = FakeUpstream()
    roots = [wheel("root", version, requires=names) for version in ("1.0", "2.0", "3.0")]
    upstream.add(*roots)
    for name in names:
        upstream.on(f"/simple/{name}/", status(429, retry_after=60))
    beyond = start(upstream, configured())

    def asked_ahead(built: Built) -> int:
        before = len(upstream.requests)
        assert beyond.ask(file_path(built) + METADATA).code == 200
        beyond.settle()
        return sum("leaf" in one.path for one in upstream.requests[before:])

    assert 0 < asked_ahead(roots[0]) <= 6
    assert asked_ahead(roots[1]) == 0
    beyond.pass_time(31)
    assert 0 < asked_ahead(roots[2]) <= 6


@pytest.mark.parametrize(
    "hostile",
    [
        f"leaf; {'(' * 450}python_version > '3'{')' * 450}",
        f"leaf >={'9' * 5000}",
        f"leaf ==1.{'9' * 4400}.*",
        "a" * 1_000_000,
        "leaf " + ",".join(f"!=0.{number}" for number in range(20_000)),
    ],
    ids=["parentheses", "digits", "more digits", "a long name", "clauses"],
)
def test_requirements_that_are_meant_to_hurt_are_passed_over(start: Start, hostile: str, log_events: list[LogEvent]) -> None:
    """What cannot be read, or takes long to compare with, is no error, and keeps nothing else from being read ahead."""
    root = wheel("root", "1.0", requires=[hostile, "other"])
    upstream = FakeUpstream()
    upstream.add(root, wheel("other"), *(wheel("leaf", f"0.{number}") for number in range(150)))
    beyond = start(upstream, configured())
    assert beyond.ask(file_path(root) + METADATA).code == 200
    beyond.settle()
    assert (upstream.asked("/simple/other/"), upstream.asked("/simple/leaf/")) == (1, 0)
    assert [event for event in log_events if event["log_level"] >= LogLevel.warn] == []
