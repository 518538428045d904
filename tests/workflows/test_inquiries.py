"""Asking upstreams about names: how often, what holds meanwhile, and what failures do to what is asked next."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define, evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from registry.domain.access import Project, Visibility
from registry.domain.errors import RegistryError, UpstreamBroken, UpstreamRefused, UpstreamUnavailable
from registry.domain.fetched import Fetched
from registry.domain.names import Name
from registry.domain.upstream import Claim, Dossier, Mode, Said, Upstream
from registry.interfaces import IFetcher, IStream, IThreads
from registry.storage.threads import InlineThreads
from registry.testing import NOON, OPERATOR, HeldThreads, MemoryRegistry, done, registry_in_memory
from registry.upstream.pages import read_page
from registry.workflows.inquiries import PATIENCE, RESPITE, Inquiries
from registry.workflows.sayings import Sayings

DEMO, OTHER = Name("demo"), Name("other")
PLACE = Project(id=1, path="root/main", name="main", visibility=Visibility.PRIVATE)
INDEX = Upstream(name="index", url="http://index.test/simple/")
FRESH, STALE = INDEX.fresh_for, INDEX.stale_for
BROKEN, REFUSED, AWAY = (
    UpstreamBroken(source="index", problem="nonsense"),
    UpstreamRefused(source="index", problem="inside"),
    UpstreamUnavailable(source="index", problem="away", retry_after=7),
)


def page(*versions: str, name: str = "demo", etag: str = "") -> Fetched:
    """An upstream's answer that lists wheels."""
    files = [
        {"filename": f"{name}-{version}-py3-none-any.whl", "url": f"/files/{version}", "hashes": {"sha256": "0" * 64}}
        for version in versions
    ]
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()
    headers = {"content-type": "application/vnd.pypi.simple.v1+json", **({"etag": etag} if etag else {})}
    return Fetched(status=200, headers=headers, body=body, url=f"http://index.test/simple/{name}/")


def nothing(status: int = 404) -> Fetched:
    """An answer without a page."""
    return Fetched(status=status, headers={}, body=b"", url="http://index.test/simple/demo/")


@implementer(IFetcher)
@define(eq=False)
class Scripted:
    """Answers with what the test has put down, the last of it for ever."""

    script: list[Any] = Factory(list)  # answers, errors, or Deferreds of them
    asked: list[tuple[str, Mapping[str, str]]] = Factory(list)

    async def fetch(self, url: str, headers: Mapping[str, str], *, limit: int, timeout: float) -> Fetched:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        self.asked.append((url, headers))
        now = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        found: Any = await now if isinstance(now, Deferred) else now
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return] # a Fetched

    async def head(self, url: str, headers: Mapping[str, str], *, timeout: float) -> Fetched:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        raise NotImplementedError

    async def stream(self, url: str, headers: Mapping[str, str], *, timeout: float = 30.0) -> IStream:  # noqa: ASYNC109 - not asyncio
        """IFetcher."""
        raise NotImplementedError


@define(kw_only=True)
class Desk:
    """Where questions are asked."""

    registry: MemoryRegistry
    fetcher: Scripted = Factory(Scripted)
    clock: Clock = Factory(Clock)
    inquiries: Inquiries

    def begin(self, name: Name = DEMO, upstream: Upstream = INDEX, **more: Any) -> "Deferred[tuple[Said, str]]":
        """Begin to ask."""
        return Deferred.fromCoroutine(self.inquiries.ask(upstream, name, more.pop("newer_than", None), **more))

    def ask(self, name: Name = DEMO, upstream: Upstream = INDEX, **more: Any) -> tuple[list[str], str]:
        """The versions that an answer has, and how it is known."""
        said, state = done(self.begin(name, upstream, **more))
        return ([file.version for file in said.page.files] if said.page is not None else []), state

    def fails(self, **more: Any) -> RegistryError:
        """What asking fails with."""
        with pytest.raises(RegistryError) as failed:
            self.ask(**more)
        return failed.value


@pytest.fixture
def desk(registry: MemoryRegistry) -> Desk:
    return desk_in(registry)


def desk_in(registry: MemoryRegistry) -> Desk:
    clock, fetcher = Clock(), Scripted()
    inquiries = Inquiries(
        catalog=registry.store.upstream,
        sayings=Sayings(catalog=registry.store.upstream),
        fetcher=fetcher,
        reader=read_page,
        threads=InlineThreads(),
        clock=clock,
        now=lambda: NOON + timedelta(seconds=clock.seconds()),
    )
    return Desk(registry=registry, fetcher=fetcher, clock=clock, inquiries=inquiries)


def test_an_answer_holds_for_a_while(desk: Desk) -> None:
    """It is a miss once and a hit until `fresh_for` is over to the second, then it is asked for again."""
    desk.fetcher.script = [page("1.0"), page("2.0")]
    assert desk.ask() == (["1.0"], "miss")
    desk.clock.advance(FRESH.total_seconds() - 1)
    assert desk.ask() == (["1.0"], "hit")
    desk.clock.advance(1)
    assert desk.ask() == (["2.0"], "miss")


@pytest.mark.parametrize("status", [404, 410])
def test_that_there_is_none_holds_for_a_minute(desk: Desk, status: int) -> None:
    """404 and 410 are believed for 60 seconds, whatever `fresh_for` says, and what was there before is gone with them."""
    desk.fetcher.script = [page("1.0"), nothing(status), AWAY]
    desk.ask()
    desk.clock.advance(FRESH.total_seconds())
    assert desk.ask() == ([], "miss")
    desk.clock.advance(59)
    assert desk.ask() == ([], "hit")
    desk.clock.advance(1)
    assert desk.fails() == AWAY


def test_an_answer_may_have_to_be_newer(desk: Desk) -> None:
    """With `newer_than` a fresh answer from before does not do, and one of that very moment does."""
    desk.fetcher.script = [page("1.0"), page("2.0")]
    desk.ask()
    desk.clock.advance(5)
    now = NOON + timedelta(seconds=5)
    assert desk.ask(newer_than=now - timedelta(seconds=5)) == (["1.0"], "hit")
    assert desk.ask(newer_than=now) == (["2.0"], "miss")
    assert desk.ask(newer_than=now) == (["2.0"], "hit")


def test_a_clock_that_was_set_back_makes_nothing_fresh(desk: Desk) -> None:
    """An answer from the future is asked for again; it is given only where nothing else is to be had (hardening row 54)."""
    desk.fetcher.script = [page("1.0"), page("2.0"), AWAY]
    desk.clock.advance(10_000)
    desk.ask()
    desk.inquiries.now = lambda: NOON
    assert desk.ask() == (["2.0"], "miss")
    assert desk.ask()[0] == ["2.0"]


def test_it_is_asked_with_what_it_gave_before(desk: Desk) -> None:
    """The ETag goes with the same `Accept` every time, and 304 makes the answer new (hardening row 14)."""
    desk.fetcher.script = [page("1.0", etag='"a"'), nothing(304), page("2.0", etag='"b"'), nothing(304)]
    for wanted in ("1.0", "1.0", "2.0", "2.0"):
        assert desk.ask() == ([wanted], "miss")
        assert desk.ask() == ([wanted], "hit")
        desk.clock.advance(FRESH.total_seconds())
    assert [headers.get("If-None-Match") for _, headers in desk.fetcher.asked] == [None, '"a"', '"a"', '"b"']
    assert len({headers["Accept"] for _, headers in desk.fetcher.asked}) == 1


@pytest.mark.parametrize("error", [BROKEN, REFUSED, AWAY], ids=["broken", "refused", "away"])
def test_a_failure_is_answered_with_what_was_said_before(desk: Desk, error: RegistryError) -> None:
    """Until `stale_for` is over to the second the older answer is given, as stale; then, and without one, the failure is told."""
    desk.fetcher.script = [error, page("1.0"), error]
    assert desk.fails() == error
    desk.clock.advance(RESPITE.total_seconds())
    assert desk.ask() == (["1.0"], "miss")
    desk.clock.advance(STALE.total_seconds() - 1)
    assert desk.ask() == (["1.0"], "stale")
    desk.clock.advance(1)
    assert desk.fails() == error


@pytest.mark.parametrize(("error", "asked"), [(AWAY, 0), (BROKEN, 1), (REFUSED, 1)], ids=["away", "broken", "refused"])
def test_an_upstream_that_is_away_is_left_alone(desk: Desk, error: RegistryError, asked: int) -> None:
    """For half a minute other names are not asked of an upstream that is away; what is wrong with one page concerns no other."""
    desk.fetcher.script = [page("1.0"), page("1.0", name="other"), error, page("2.0", name="other")]
    desk.ask()
    desk.ask(OTHER)
    desk.clock.advance(FRESH.total_seconds())
    assert desk.ask() == (["1.0"], "stale")
    before = len(desk.fetcher.asked)
    desk.clock.advance(RESPITE.total_seconds() - 1)
    assert desk.ask(OTHER) == ((["2.0"], "miss") if asked else (["1.0"], "stale"))
    assert desk.ask() == (["1.0"], "stale")
    assert len(desk.fetcher.asked) == before + asked
    desk.clock.advance(1)
    desk.fetcher.script = [page("3.0")]
    assert desk.ask() == (["3.0"], "miss")


def test_what_nobody_has_said_is_asked_though_an_upstream_was_away(desk: Desk) -> None:
    """Leaving it alone is for names of which there is something older; and its first answer ends that."""
    desk.fetcher.script = [page("1.0"), AWAY, page("1.0", name="other"), page("2.0")]
    desk.ask()
    desk.clock.advance(FRESH.total_seconds())
    assert desk.ask()[1] == "stale"
    assert desk.ask(OTHER) == (["1.0"], "miss")
    assert desk.ask() == (["2.0"], "miss")


@pytest.mark.parametrize("older", [False, True])
def test_nobody_waits_longer_than_ten_seconds(desk: Desk, older: bool) -> None:
    """Then the older answer is given, or 503 is; the question goes on, and what it brings is kept (hardening row 52)."""
    late: Deferred[Fetched] = Deferred()
    desk.fetcher.script = [*([page("1.0")] if older else []), late]
    if older:
        desk.ask()
        desk.clock.advance(FRESH.total_seconds())
    waiting = [desk.begin() for _ in range(3)]
    desk.clock.advance(PATIENCE - 0.1)
    assert not any(one.called for one in waiting)
    desk.clock.advance(0.1)
    for one in waiting:
        if older:
            assert done(one)[1] == "stale"
        else:
            with pytest.raises(UpstreamUnavailable, match="no page within 10 seconds"):
                done(one)
    if older:
        assert desk.ask() == (["1.0"], "stale")
    late.callback(page("2.0"))
    assert desk.ask() == (["2.0"], "hit")
    assert len(desk.fetcher.asked) == 1 + older


def test_a_deadline_from_before_counts(desk: Desk) -> None:
    """Where several are asked in turn, the time that the first took is gone for the others."""
    desk.fetcher.script = [Deferred()]
    by = desk.inquiries.deadline()
    desk.clock.advance(8)
    waiting = desk.begin(by=by)
    desk.clock.advance(1.9)
    assert not waiting.called
    desk.clock.advance(0.1)
    with pytest.raises(UpstreamUnavailable):
        done(waiting)
    none_left = desk.begin(OTHER, by=by)
    desk.clock.advance(0)
    with pytest.raises(UpstreamUnavailable):
        done(none_left)


def test_who_gives_up_stops_nothing(desk: Desk) -> None:
    """A question goes on though all who asked have left, and is not asked twice (hardening row 53)."""
    late: Deferred[Fetched] = Deferred()
    desk.fetcher.script = [late]
    asked = [desk.begin() for _ in range(2)]
    for one in asked:
        one.cancel()
        with pytest.raises(CancelledError):
            done(one)
    third = desk.begin()
    late.callback(page("1.0"))
    assert done(third)[1] == "miss"
    assert desk.ask() == (["1.0"], "hit")
    assert len(desk.fetcher.asked) == 1


def test_who_can_ask_nobody_gives_what_is_kept(desk: Desk) -> None:
    """Offline nothing is fetched, and of a page those files are told that are here: of this one none."""
    desk.fetcher.script = [page("1.0")]
    desk.ask()
    offline = evolve(INDEX, mode=Mode.OFFLINE)
    desk.clock.advance(10 * STALE.total_seconds())
    assert desk.ask(upstream=offline) == ([], "stale")
    assert desk.ask(OTHER, offline) == ([], "hit")
    assert len(desk.fetcher.asked) == 1


@pytest.mark.parametrize("status", [201, 206, 304, 416])
@pytest.mark.parametrize("before", [nothing(), page("1.0")], ids=["none", "a page without an ETag"])
def test_a_status_that_is_no_page_is_no_answer(desk: Desk, status: int, before: Fetched) -> None:
    """What is neither a page nor the lack of one cannot be used: also "as before" where nobody has asked for that."""
    desk.fetcher.script = [before, nothing(status)]
    desk.ask()
    desk.clock.advance(STALE.total_seconds())
    assert f"it answers {status} when asked for a page" in str(desk.fails())


def test_names_that_fail_are_not_remembered_without_end(desk: Desk) -> None:
    """However many pages are broken, what is remembered of them stays small."""
    desk.fetcher.script = [nothing(201)]
    for number in range(1200):
        desk.fails(name=Name(f"name{number}"))
    assert len(desk.inquiries._respite) <= 1000


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["page", "none", "broken", "away", "same"])), max_size=12))
def test_nothing_is_given_longer_than_it_holds(registry: MemoryRegistry, desk: Desk, steps: list[tuple[int, str]]) -> None:
    """Whatever an upstream does and when: what is given was its last word, or its last but failures, and says how it is known."""
    upstream = evolve(INDEX, stale_for=timedelta(seconds=600))
    done(registry.store.keeping.purge(None, OPERATOR))
    desk.inquiries._respite.clear()
    last: tuple[list[str], float] | None = None  # its last word, and when
    for number, (wait, what) in enumerate(steps):
        desk.clock.advance(wait)
        now = desk.clock.seconds()
        answers = {"page": page(str(number), etag=f'"{number}"'), "none": nothing(), "broken": BROKEN, "away": AWAY, "same": nothing(304)}
        desk.fetcher.script = [answers[what]]
        before = len(desk.fetcher.asked)
        try:
            versions, state = desk.ask(upstream=upstream)
        except RegistryError:
            assert what not in {"page", "none"}
            assert last is None or not last[0] or now - last[1] >= 600
            continue
        if state == "miss":
            assert len(desk.fetcher.asked) == before + 1
            if what == "same":
                assert last is not None
                assert last[0]
                last = (last[0], now)
            else:
                assert what in {"page", "none"}
                last = ([str(number)] if what == "page" else [], now)
        assert last is not None
        assert versions == last[0]
        age = now - last[1]
        assert age < (600 if state == "stale" else 300 if versions else 60) or state == "miss"


# --- what is on file ------------------------------------------------------------------------------------------------------------------


@implementer(IThreads)
@define(eq=False)
class Late:
    """Threads that work at once, and tell of it when the test says so."""

    _told: "list[tuple[Deferred[Any], Any]]" = Factory(list)

    def run(self, work: Callable[..., Any], *args: object) -> "Deferred[Any]":
        """IThreads."""
        outcome: Deferred[Any] = Deferred()
        self._told.append((outcome, work(*args)))
        return outcome

    def tell(self) -> None:
        """Tell of all that was done."""
        while self._told:
            outcome, result = self._told.pop(0)
            outcome.callback(result)


def on_file(desk: Desk) -> "Deferred[Dossier]":
    return Deferred.fromCoroutine(desk.inquiries.sayings.dossier(DEMO, (1,), PLACE, [INDEX]))


def test_what_is_being_written_is_on_file(tmp_path: Path) -> None:
    """An answer that is not in the catalog yet is in the dossier as soon as its first asker has it, and nobody is asked again for it."""
    held = HeldThreads()
    registry = registry_in_memory(tmp_path / "held", writer=held)
    desk = desk_in(registry)
    desk.fetcher.script = [page("1.0"), page("2.0")]
    said, _ = done(desk.begin())
    assert held.waiting == 1
    dossier = done(on_file(desk))
    assert dossier.said == {INDEX.name: said}
    assert desk.ask(dossier=dossier) == (["1.0"], "hit")
    held.let_all()
    assert done(on_file(desk)).said == {INDEX.name: said}
    registry.close()


def test_what_is_written_while_the_catalog_is_read_is_on_file(tmp_path: Path) -> None:
    """Who read the catalog before an answer was in it, and is told after, is not given the answer before that (row 52)."""
    late, held = Late(), HeldThreads()
    registry = registry_in_memory(tmp_path / "both", readers=late, writer=held)
    desk = desk_in(registry)
    desk.fetcher.script = [page("1.0"), page("2.0")]
    nothing_known = Dossier(claim=Claim(own=False, shared=False), enabled=True, said={}, kept=())
    assert desk.ask(dossier=nothing_known) == (["1.0"], "miss")
    held.let_all()
    desk.clock.advance(1)
    assert desk.ask(dossier=nothing_known) == (["2.0"], "miss")
    reading = on_file(desk)
    held.let_all()
    late.tell()
    assert desk.ask(dossier=done(reading)) == (["2.0"], "hit")
    registry.close()


def test_what_is_said_while_the_catalog_is_read_is_on_file(tmp_path: Path) -> None:
    """Who read the catalog before an answer was written, and is told after, knows that answer: it is not asked for twice (row 52)."""
    late = Late()
    registry = registry_in_memory(tmp_path / "late", readers=late)
    desk = desk_in(registry)
    desk.fetcher.script = [page("1.0"), page("2.0")]
    reading = on_file(desk)
    nothing_known = Dossier(claim=Claim(own=False, shared=False), enabled=True, said={}, kept=())
    assert desk.ask(dossier=nothing_known) == (["1.0"], "miss")
    late.tell()
    dossier = done(reading)
    assert desk.ask(dossier=dossier) == (["1.0"], "hit")
    assert len(desk.fetcher.asked) == 1
    registry.close()


def test_what_is_forgotten_in_the_catalog_is_forgotten_here(desk: Desk) -> None:
    """What was purged, by whichever process, is not on file any more, though it was at hand a moment ago."""
    desk.fetcher.script = [page("1.0"), page("2.0")]
    desk.ask()
    assert done(on_file(desk)).said
    done(desk.registry.store.keeping.purge([DEMO], OPERATOR))
    dossier = done(on_file(desk))
    assert dossier.said == {}
    assert desk.ask(dossier=dossier) == (["2.0"], "miss")


def test_more_is_told_of_what_was_said(desk: Desk) -> None:
    """A page is amended while it is what was said last, whenever that was confirmed; after another answer it is not."""
    desk.fetcher.script = [page("1.0", etag='"1"'), nothing(304), page("2.0")]
    said, _ = done(desk.begin())
    assert said.page is not None
    more = evolve(said.page, files=tuple(evolve(file, size=7) for file in said.page.files))
    desk.clock.advance(FRESH.total_seconds())
    assert desk.ask() == (["1.0"], "miss")
    assert done(Deferred.fromCoroutine(desk.inquiries.sayings.amend(said, more))) is True
    known, state = done(desk.begin())
    assert (known.page, known.fetched_at, state) == (more, NOON + FRESH, "hit")
    desk.clock.advance(FRESH.total_seconds())
    assert desk.ask() == (["2.0"], "miss")
    assert done(Deferred.fromCoroutine(desk.inquiries.sayings.amend(known, more))) is False
    assert desk.ask() == (["2.0"], "hit")


def test_large_pages_are_read_one_after_the_other(desk: Desk) -> None:
    """Of pages that take a thread long, however many come at once, one is read at a time; small ones do not wait for them."""
    desk.inquiries.threads = held = HeldThreads()
    large = [page(*(f"{number}.0" for number in range(3000)), name=name.normalized) for name in (DEMO, OTHER)]
    desk.fetcher.script = [*large, page(*(f"{number}.0" for number in range(100)), name="small")]
    asking = [desk.begin(DEMO), desk.begin(OTHER)]
    assert held.waiting == 1
    asking.append(desk.begin(Name("small")))
    assert held.waiting == 2
    held.let_all()
    assert [len(said.page.files) for said, _ in map(done, asking) if said.page is not None] == [3000, 3000, 100]
