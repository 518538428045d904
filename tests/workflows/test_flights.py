"""One piece of work for however many ask for it at once."""

from collections.abc import Coroutine
from typing import Any

import pytest
from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from registry.testing import done
from registry.workflows.flights import Flight, Flights


@define
class Work:
    """Work whose ends are the test's to say; `begun` holds one Deferred for each time it was begun."""

    flights: Flights = Factory(Flights)
    begun: "list[Deferred[str]]" = Factory(list)
    given: list[Flight] = Factory(list)

    def ask(self, key: str = "key", about: object = None) -> "Deferred[str]":
        """Ask for it."""

        async def work(flight: Flight) -> str:
            self.given.append(flight)
            self.begun.append(Deferred())
            return await self.begun[-1]

        asking: Coroutine[Any, Any, str] = self.flights.once(key, work, about)
        return Deferred.fromCoroutine(asking)


def test_it_is_done_once_for_all_who_ask() -> None:
    """All who ask while it is under way get the one result; who asks afterwards has it begun anew."""
    work = Work()
    asked = [work.ask() for _ in range(3)]
    assert len(work.begun) == 1
    work.begun[0].callback("first")
    assert [done(one) for one in asked] == ["first"] * 3
    later = work.ask()
    work.begun[1].callback("second")
    assert done(later) == "second"


def test_what_it_fails_with_all_hear() -> None:
    """A failure reaches everybody who waits, and is not remembered."""
    work = Work()
    asked = [work.ask() for _ in range(2)]
    work.begun[0].errback(ValueError("no"))
    for one in asked:
        with pytest.raises(ValueError, match="no"):
            done(one)
    assert len(work.begun) == 1
    again = work.ask()
    work.begun[1].callback("yes")
    assert done(again) == "yes"


def test_different_things_are_done_apart() -> None:
    """Only what has the same key is done together."""
    work = Work()
    one, other = work.ask("one"), work.ask("other")
    work.begun[1].callback("b")
    work.begun[0].callback("a")
    assert (done(one), done(other)) == ("a", "b")


@given(gone=st.sets(st.integers(0, 4)))
def test_who_gives_up_stops_nothing(gone: set[int]) -> None:
    """Whoever gives up hears so at once; the others get the result; and the work goes on though all have given up."""
    work = Work()
    asked = [work.ask() for _ in range(5)]
    for number in gone:
        asked[number].cancel()
    assert work.given[0].abandoned == (len(gone) == 5)
    late = work.ask()
    assert len(work.begun) == 1
    assert not work.given[0].abandoned
    work.begun[0].callback("done")
    for number, one in enumerate(asked):
        if number in gone:
            with pytest.raises(CancelledError):
                done(one)
        else:
            assert done(one) == "done"
    assert done(late) == "done"


def test_work_whose_first_asker_is_not_waiting_yet_is_not_abandoned() -> None:
    """While it has only just begun somebody is about to wait for it."""
    seen: list[bool] = []

    async def work(flight: Flight) -> None:
        seen.append(flight.abandoned)

    done(Flights().once("key", work))
    assert seen == [False]


def test_what_was_overtaken_is_begun_anew() -> None:
    """After a change who asks does not join what was begun before it; who asked before gets the older result, and ends nothing."""
    work = Work()
    early = work.ask(about="this")
    other = work.ask("other", about="that")
    work.flights.overtake(lambda about: about == "this")
    late, later = work.ask(about="this"), work.ask(about="this")
    assert len(work.begun) == 3
    assert [flight.overtaken for flight in work.given] == [True, False, False]
    work.begun[0].callback("old")
    last = work.ask(about="this")
    assert len(work.begun) == 3
    work.begun[2].callback("new")
    work.begun[1].callback("other")
    assert [done(one) for one in (early, late, later, last, other)] == ["old", "new", "new", "new", "other"]
